/*
 * One SQL statement of a user, in the sandbox: text and values in, rows and
 * counts out.
 *
 *	stmt_prepare_one()	or stmt_prepare_next() through a longer text
 *	stmt_bind_next()	for each argument in order, or
 *	stmt_bind_name()	for each named one; then
 *	stmt_bind_end()		in any case
 *	stmt_step()		until it is not STMT_ROW
 *	stmt_effect()		after STMT_DONE
 *	stmt_free()
 *
 * Preparing changes nothing, whatever the text is.  The text must be followed
 * by a NUL, which does not count, and stay until stmt_free().  A U+0000 in it is
 * refused, because SQLite would take it for the end.
 */
#ifndef DB_STMT_H
#define DB_STMT_H

#include "db/sql_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sandbox;
struct stmt;

enum stmt_type { STMT_NULL, STMT_INTEGER, STMT_REAL, STMT_TEXT, STMT_BLOB };

struct stmt_value {
	enum stmt_type type;
	int64_t integer;
	double real;
	const char *bytes; /* of text and blob */
	size_t len;
};

enum stmt_prepared {
	STMT_READY,
	STMT_EMPTY, /* nothing but space and comments is left */
	STMT_REFUSED, /* see the error */
};

/* The text is exactly one statement; if not, SQL_NO_STATEMENT or SQL_MANY_STATEMENTS.  0 or -1. */
int stmt_prepare_one(struct sandbox *s, const char *sql, size_t len, struct stmt **out,
		     struct sql_error *e);
/* The first statement of the text; `used` says where the next one may start. */
enum stmt_prepared stmt_prepare_next(struct sandbox *s, const char *sql, size_t len, size_t *used,
				     struct stmt **out, struct sql_error *e);
void stmt_free(struct stmt *st);

/*
 * Values are copied.  A name may come with or without its prefix and may be
 * one that the statement does not have.  -1: refused.
 */
int stmt_bind_next(struct stmt *st, const struct stmt_value *v, struct sql_error *e);
int stmt_bind_name(struct stmt *st, const char *name, size_t len, const struct stmt_value *v,
		   struct sql_error *e);
/* -1: ARGS_INVALID, unless every parameter has a value and no value is left over. */
int stmt_bind_end(struct stmt *st, struct sql_error *e);

enum stmt_stepped {
	STMT_ROW,
	STMT_DONE,
	STMT_FAILED, /* the statement has no effect, as far as SQLite can */
};

enum stmt_stepped stmt_step(struct stmt *st, struct sql_error *e);
/* After STMT_ROW: give up, with no effect.  That can end the transaction around it. */
void stmt_abort(struct stmt *st);

/* Right after a step: the schema may have changed since the statement was prepared. */
int stmt_column_count(const struct stmt *st);
const char *stmt_column_name(const struct stmt *st, int column);
const char *stmt_column_decltype(const struct stmt *st, int column); /* NULL: an expression */
/* After STMT_ROW; valid until the next step. */
void stmt_column(const struct stmt *st, int column, struct stmt_value *out);

struct stmt_effect {
	int64_t affected; /* rows; those of triggers and cascades do not count */
	bool has_rowid;
	int64_t last_rowid; /* of the connection, after INSERT, UPDATE and DELETE */
	uint64_t rows_read; /* handed out */
	uint64_t rows_written; /* with those of triggers and cascades */
	double ms;
};

void stmt_effect(const struct stmt *st, struct stmt_effect *out);

int stmt_param_count(const struct stmt *st);
const char *stmt_param_name(const struct stmt *st, int param); /* from 1; NULL: has none */
bool stmt_is_readonly(const struct stmt *st); /* of an EXPLAIN: what it explains */
bool stmt_is_explain(const struct stmt *st);
bool stmt_may_write(const struct stmt *st);

#endif
