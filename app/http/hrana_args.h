/*
 * The arguments of a Stmt: "args", in order, or "named_args", never both.
 */
#ifndef HTTP_HRANA_ARGS_H
#define HTTP_HRANA_ARGS_H

#include "base/json_read.h"
#include "db/stmt.h"

/* NULL, or what is malformed. */
const char *hrana_args_check(const struct json *stmt);
/* They were checked.  -1: they do not fit the statement, or there are some of both kinds. */
int hrana_args_bind(const struct json *stmt, struct stmt *st, struct sql_error *e);

#endif
