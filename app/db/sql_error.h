/*
 * A failure of a user's SQL as clients know it: a code, an extended code and a
 * message.  Here SQLite's results become that, and nowhere else.
 */
#ifndef DB_SQL_ERROR_H
#define DB_SQL_ERROR_H

struct sandbox;

struct sql_error {
	const char *code; /* of a fixed set: "SQLITE_CONSTRAINT", "ARGS_INVALID" */
	const char *extended_code; /* NULL if there is none */
	char message[512];
};

void sql_error_set(struct sql_error *e, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The token of the request allows reading only. */
void sql_error_set_readonly(struct sql_error *e);

/*
 * Why the last call on the sandbox's connection failed: preparing a text, or
 * anything else.  What the sandbox stopped is told in its words.  A failure
 * that may have left the connection or its file no good is logged and taints
 * the sandbox.
 */
void sql_error_of_prepare(struct sandbox *s, struct sql_error *e);
void sql_error_of_call(struct sandbox *s, struct sql_error *e);

#endif
