#include "db/sql_error.h"

#include "base/log.h"
#include "db/sandbox.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
	int rc;
	const char *name;
} names[] = {
	{ SQLITE_ABORT, "SQLITE_ABORT" },
	{ SQLITE_AUTH, "SQLITE_AUTH" },
	{ SQLITE_BUSY, "SQLITE_BUSY" },
	{ SQLITE_CANTOPEN, "SQLITE_CANTOPEN" },
	{ SQLITE_CONSTRAINT, "SQLITE_CONSTRAINT" },
	{ SQLITE_CORRUPT, "SQLITE_CORRUPT" },
	{ SQLITE_FULL, "SQLITE_FULL" },
	{ SQLITE_INTERNAL, "SQLITE_INTERNAL" },
	{ SQLITE_INTERRUPT, "SQLITE_INTERRUPT" },
	{ SQLITE_IOERR, "SQLITE_IOERR" },
	{ SQLITE_LOCKED, "SQLITE_LOCKED" },
	{ SQLITE_MISMATCH, "SQLITE_MISMATCH" },
	{ SQLITE_MISUSE, "SQLITE_MISUSE" },
	{ SQLITE_NOLFS, "SQLITE_NOLFS" },
	{ SQLITE_NOMEM, "SQLITE_NOMEM" },
	{ SQLITE_NOTADB, "SQLITE_NOTADB" },
	{ SQLITE_NOTFOUND, "SQLITE_NOTFOUND" },
	{ SQLITE_PERM, "SQLITE_PERM" },
	{ SQLITE_PROTOCOL, "SQLITE_PROTOCOL" },
	{ SQLITE_RANGE, "SQLITE_RANGE" },
	{ SQLITE_READONLY, "SQLITE_READONLY" },
	{ SQLITE_SCHEMA, "SQLITE_SCHEMA" },
	{ SQLITE_TOOBIG, "SQLITE_TOOBIG" },
	{ SQLITE_CONSTRAINT_CHECK, "SQLITE_CONSTRAINT_CHECK" },
	{ SQLITE_CONSTRAINT_COMMITHOOK, "SQLITE_CONSTRAINT_COMMITHOOK" },
	{ SQLITE_CONSTRAINT_DATATYPE, "SQLITE_CONSTRAINT_DATATYPE" },
	{ SQLITE_CONSTRAINT_FOREIGNKEY, "SQLITE_CONSTRAINT_FOREIGNKEY" },
	{ SQLITE_CONSTRAINT_FUNCTION, "SQLITE_CONSTRAINT_FUNCTION" },
	{ SQLITE_CONSTRAINT_NOTNULL, "SQLITE_CONSTRAINT_NOTNULL" },
	{ SQLITE_CONSTRAINT_PINNED, "SQLITE_CONSTRAINT_PINNED" },
	{ SQLITE_CONSTRAINT_PRIMARYKEY, "SQLITE_CONSTRAINT_PRIMARYKEY" },
	{ SQLITE_CONSTRAINT_ROWID, "SQLITE_CONSTRAINT_ROWID" },
	{ SQLITE_CONSTRAINT_TRIGGER, "SQLITE_CONSTRAINT_TRIGGER" },
	{ SQLITE_CONSTRAINT_UNIQUE, "SQLITE_CONSTRAINT_UNIQUE" },
	{ SQLITE_CONSTRAINT_VTAB, "SQLITE_CONSTRAINT_VTAB" },
};

void sql_error_set(struct sql_error *e, const char *code, const char *fmt, ...)
{
	va_list args;

	e->code = code;
	e->extended_code = NULL;
	va_start(args, fmt);
	(void)vsnprintf(e->message, sizeof e->message, fmt, args);
	va_end(args);
}

void sql_error_set_readonly(struct sql_error *e)
{
	sql_error_set(e, "SQLITE_READONLY", "the token allows reading only");
}

static const char *name_of(int rc)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].rc == rc)
			return names[i].name;
	return NULL;
}

static const char *code_of(int rc)
{
	const char *name = name_of(rc & 0xff);

	return name != NULL ? name : "SQLITE_UNKNOWN";
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* SQLite has one code for all that is wrong with a text; only its words tell. */
static bool is_syntax_error(const char *message)
{
	return ends_with(message, ": syntax error") || strcmp(message, "incomplete input") == 0 ||
	       strncmp(message, "unrecognized token:", 19) == 0 ||
	       strcmp(message, "parser stack overflow") == 0;
}

/* After these the connection may be no good, or its file. */
static void note_damage(struct sandbox *s, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_CANTOPEN:
	case SQLITE_CORRUPT:
	case SQLITE_IOERR:
	case SQLITE_NOTADB:
	case SQLITE_PROTOCOL:
		log_error("statement.failed", "code=%s extended=%d", code_of(rc), rc);
		sandbox_taint(s);
		break;
	case SQLITE_FULL:
		log_warn("statement.no_space", "extended=%d", rc);
		break;
	default:
		break;
	}
}

/* False: it was not the sandbox. */
static bool explain_refusal(struct sandbox *s, int rc, struct sql_error *e)
{
	const char *denial = sandbox_denial(s);
	const char *timeout = sandbox_timeout(s, rc & 0xff);
	const char *overflow = sandbox_overflow(s, rc & 0xff);

	if (denial != NULL)
		sql_error_set(e, "SQLITE_AUTH", "%s", denial);
	else if (timeout != NULL)
		sql_error_set(e, "SQLITE_INTERRUPT", "%s", timeout);
	else if (!sandbox_writes(s) && (rc & 0xff) == SQLITE_READONLY)
		sql_error_set_readonly(e);
	else if (overflow != NULL)
		sql_error_set(e, code_of(rc), "%s", overflow);
	else
		return false;
	return true;
}

void sql_error_of_call(struct sandbox *s, struct sql_error *e)
{
	struct sqlite3 *db = sandbox_sqlite(s);
	int rc = sqlite3_extended_errcode(db);

	if (explain_refusal(s, rc, e))
		return;
	sql_error_set(e, code_of(rc), "SQLite error: %s", sqlite3_errmsg(db));
	e->extended_code = rc > 0xff ? name_of(rc) : NULL;
	note_damage(s, rc);
}

void sql_error_of_prepare(struct sandbox *s, struct sql_error *e)
{
	struct sqlite3 *db = sandbox_sqlite(s);

	sql_error_of_call(s, e);
	if (strcmp(e->code, "SQLITE_UNKNOWN") != 0)
		return;
	if (is_syntax_error(sqlite3_errmsg(db)))
		e->code = "SQL_PARSE_ERROR";
	else if (sqlite3_error_offset(db) >= 0)
		e->code = "SQL_INPUT_ERROR";
}
