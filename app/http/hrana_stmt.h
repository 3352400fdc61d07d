/*
 * SQL as a request carries it: a Stmt (a text or the number of a stored one,
 * with arguments), a sequence of statements, a text to describe.
 *
 * Each has a check, which needs no database, and the rest, which relies on it.
 */
#ifndef HTTP_HRANA_STMT_H
#define HTTP_HRANA_STMT_H

#include "base/json_read.h"
#include "http/hrana_stream.h"

#include <stdbool.h>

/* NULL, or what is wrong.  `store` is as it will be then. */
const char *hrana_sql_check(const struct json *holder, const struct hrana_store *store);
const char *hrana_stmt_check(const struct json *stmt, const struct hrana_store *store);

/* Appends the result to the answer.  -1: the error, and what was appended is to be rewound. */
int hrana_stmt_run(struct hrana_stream *s, const struct json *stmt, struct sql_error *e);
/*
 * The same as lines of a cursor, as the step of that number.  -1: the lines up
 * to the error stay.
 */
int hrana_stmt_run_lines(struct hrana_stream *s, const struct json *stmt, size_t step,
			 struct sql_error *e);
int hrana_describe(struct hrana_stream *s, const struct json *holder, struct sql_error *e);
/* Runs all statements up to the first that fails, and appends nothing. */
int hrana_sequence(struct hrana_stream *s, const struct json *holder, struct sql_error *e);

/* Whether one of the statements would write; false for what cannot be prepared. */
bool hrana_sql_would_write(struct hrana_stream *s, const struct json *holder);

#endif
