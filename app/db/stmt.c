#include "db/stmt.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "db/sandbox.h"
#include "db/sql_text.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct stmt {
	struct sandbox *sandbox;
	sqlite3_stmt *handle;
	const char *sql; /* from this statement to the end of the text */
	size_t len;
	unsigned seen; /* enum sandbox_seen */
	bool started;
	int nparams;
	int ngiven; /* in order */
	bool *given; /* nparams of them */
	uint64_t nrows;
	int64_t changes_before; /* of the connection, in all its life */
	struct timespec start;
};

/* With the NUL counted in, SQLite reads the text where it is; otherwise it copies all of it. */
static sqlite3_stmt *prepare(struct sandbox *s, const char *sql, size_t len, size_t *used, int *rc)
{
	sqlite3_stmt *handle = NULL;
	const char *tail = sql;
	size_t begin = sql_begin_readonly(sql, len);

	assert(sql[len] == '\0');
	if (begin > 0) {
		*rc = sqlite3_prepare_v3(sandbox_sqlite(s), "BEGIN", -1, 0, &handle, NULL);
		*used = begin;
		return handle;
	}
	*rc = sqlite3_prepare_v3(sandbox_sqlite(s), sql, (int)(len + 1), 0, &handle, &tail);
	*used = (size_t)(tail - sql);
	return handle;
}

static void refuse_nul(struct sql_error *e)
{
	sql_error_set(e, "SQL_PARSE_ERROR", "the SQL text contains U+0000");
}

static struct stmt *make(struct sandbox *s, sqlite3_stmt *handle, const char *sql, size_t len)
{
	struct stmt *st = alloc_zeroed(1, sizeof *st);

	st->sandbox = s;
	st->handle = handle;
	st->sql = sql;
	st->len = len;
	st->seen = sandbox_seen(s);
	st->nparams = sqlite3_bind_parameter_count(handle);
	st->given = alloc_zeroed((size_t)st->nparams, sizeof *st->given);
	return st;
}

enum stmt_prepared stmt_prepare_next(struct sandbox *s, const char *sql, size_t len, size_t *used,
				     struct stmt **out, struct sql_error *e)
{
	size_t at = 0, n = 0;
	sqlite3_stmt *handle = NULL;

	*out = NULL;
	*used = 0;
	while (at < len && handle == NULL) {
		int rc;
		sandbox_begin_prepare(s);
		handle = prepare(s, sql + at, len - at, &n, &rc);
		sandbox_end_prepare(s);
		if (rc != SQLITE_OK) {
			sql_error_of_prepare(s, e);
			return STMT_REFUSED;
		}
		/* SQLite stops early at a NUL only. */
		if (handle == NULL && at + n < len && sql[at + n] == '\0') {
			refuse_nul(e);
			return STMT_REFUSED;
		}
		at += n;
	}
	*used = at;
	if (handle == NULL)
		return STMT_EMPTY;
	*out = make(s, handle, sql + (at - n), len - (at - n));
	if (!sandbox_writes(s) && stmt_may_write(*out)) {
		sql_error_set_readonly(e);
		stmt_free(*out);
		*out = NULL;
		return STMT_REFUSED;
	}
	return STMT_READY;
}

int stmt_prepare_one(struct sandbox *s, const char *sql, size_t len, struct stmt **out,
		     struct sql_error *e)
{
	size_t used;

	*out = NULL;
	if (memchr(sql, '\0', len) != NULL) {
		refuse_nul(e);
		return -1;
	}
	switch (stmt_prepare_next(s, sql, len, &used, out, e)) {
	case STMT_READY:
		break;
	case STMT_EMPTY:
		sql_error_set(e, "SQL_NO_STATEMENT", "the SQL text contains no statement");
		return -1;
	case STMT_REFUSED:
		return -1;
	}
	if (sql_is_blank(sql + used, len - used))
		return 0;
	sql_error_set(e, "SQL_MANY_STATEMENTS", "the SQL text contains more than one statement");
	stmt_free(*out);
	*out = NULL;
	return -1;
}

void stmt_free(struct stmt *st)
{
	if (st == NULL)
		return;
	sqlite3_finalize(st->handle);
	sandbox_end_statement(st->sandbox);
	free(st->given);
	free(st);
}

static int bind(struct stmt *st, int param, const struct stmt_value *v)
{
	const char *bytes = v->len > 0 ? v->bytes : "";

	switch (v->type) {
	case STMT_NULL:
		return sqlite3_bind_null(st->handle, param);
	case STMT_INTEGER:
		return sqlite3_bind_int64(st->handle, param, v->integer);
	case STMT_REAL:
		return sqlite3_bind_double(st->handle, param, v->real);
	case STMT_TEXT:
		return sqlite3_bind_text64(st->handle, param, bytes, v->len, SQLITE_TRANSIENT,
					   SQLITE_UTF8);
	case STMT_BLOB:
		return sqlite3_bind_blob64(st->handle, param, bytes, v->len, SQLITE_TRANSIENT);
	}
	return SQLITE_MISUSE;
}

static int give(struct stmt *st, int param, const struct stmt_value *v, struct sql_error *e)
{
	if (bind(st, param, v) != SQLITE_OK) {
		sql_error_of_call(st->sandbox, e);
		return -1;
	}
	st->given[param - 1] = true;
	return 0;
}

int stmt_bind_next(struct stmt *st, const struct stmt_value *v, struct sql_error *e)
{
	st->ngiven++;
	if (st->ngiven > st->nparams) {
		sql_error_set(e, "ARGS_INVALID", "more arguments than the %d parameters",
			      st->nparams);
		return -1;
	}
	return give(st, st->ngiven, v, e);
}

/* One name without a prefix may stand for a parameter with each of them. */
int stmt_bind_name(struct stmt *st, const char *name, size_t len, const struct stmt_value *v,
		   struct sql_error *e)
{
	static const char prefixes[] = ":@$";
	struct buf full = BUF_INIT;
	int result = 0;

	if (len == 0 || memchr(name, '\0', len) != NULL)
		return 0;
	bool has_prefix = strchr(":@$?", name[0]) != NULL;
	for (const char *prefix = prefixes; *prefix != '\0' && result == 0; prefix++) {
		buf_clear(&full);
		if (!has_prefix)
			buf_add(&full, prefix, 1);
		buf_add(&full, name, len);
		int param = sqlite3_bind_parameter_index(st->handle, full.data);
		if (param > 0)
			result = give(st, param, v, e);
		if (has_prefix)
			break;
	}
	buf_release(&full);
	return result;
}

int stmt_bind_end(struct stmt *st, struct sql_error *e)
{
	for (int param = 1; param <= st->nparams; param++) {
		if (st->given[param - 1])
			continue;
		const char *name = sqlite3_bind_parameter_name(st->handle, param);
		sql_error_set(e, "ARGS_INVALID", "no value for parameter %d%s%.60s", param,
			      name ? " " : "", name ? name : "");
		return -1;
	}
	return 0;
}

/* A setting takes effect while it is prepared, so that happens again, in earnest. */
static int prepare_setting(struct stmt *st)
{
	size_t used;
	int rc;

	sqlite3_finalize(st->handle);
	sandbox_begin_setting(st->sandbox);
	st->handle = prepare(st->sandbox, st->sql, st->len, &used, &rc);
	sandbox_end_setting(st->sandbox);
	return rc;
}

static enum stmt_stepped fail(struct stmt *st, struct sql_error *e)
{
	sql_error_of_call(st->sandbox, e);
	return STMT_FAILED;
}

static int start(struct stmt *st)
{
	struct sandbox *s = st->sandbox;

	st->started = true;
	clock_gettime(CLOCK_MONOTONIC, &st->start);
	st->changes_before = sqlite3_total_changes64(sandbox_sqlite(s));
	if (st->seen & (SANDBOX_SETTING | SANDBOX_TEMP))
		sandbox_taint(s);
	if (st->seen & SANDBOX_SETTING)
		return prepare_setting(st);
	return SQLITE_OK;
}

enum stmt_stepped stmt_step(struct stmt *st, struct sql_error *e)
{
	struct sandbox *s = st->sandbox;

	if (!st->started) {
		if (!sandbox_begin_statement(s)) {
			sql_error_set(e, "SQLITE_INTERRUPT", "%s",
				      sandbox_timeout(s, SQLITE_INTERRUPT));
			return STMT_FAILED;
		}
		if (start(st) != SQLITE_OK)
			return fail(st, e);
	}
	sandbox_begin_step(s);
	int rc = sqlite3_step(st->handle);
	sandbox_end_step(s);
	if (rc == SQLITE_DONE)
		return STMT_DONE;
	if (rc != SQLITE_ROW)
		return fail(st, e);
	st->nrows++;
	return STMT_ROW;
}

/*
 * A statement that returns rows of what it wrote has written everything when
 * the first one comes, and to reset it would commit.
 */
void stmt_abort(struct stmt *st)
{
	struct sql_error ignored;

	if (stmt_may_write(st)) {
		sqlite3_interrupt(sandbox_sqlite(st->sandbox));
		enum stmt_stepped last = stmt_step(st, &ignored);
		assert(last == STMT_FAILED);
		(void)last;
	}
	sqlite3_reset(st->handle);
}

int stmt_column_count(const struct stmt *st)
{
	return sqlite3_column_count(st->handle);
}

const char *stmt_column_name(const struct stmt *st, int column)
{
	return sqlite3_column_name(st->handle, column);
}

const char *stmt_column_decltype(const struct stmt *st, int column)
{
	return sqlite3_column_decltype(st->handle, column);
}

/* The order matters: asking for the bytes may convert them, and only then the length is right. */
static void column_bytes(const struct stmt *st, int column, struct stmt_value *out)
{
	if (out->type == STMT_TEXT)
		out->bytes = (const char *)sqlite3_column_text(st->handle, column);
	else
		out->bytes = sqlite3_column_blob(st->handle, column);
	out->len = (size_t)sqlite3_column_bytes(st->handle, column);
	if (out->bytes == NULL && out->len > 0) {
		log_error("memory.exhausted", "wanted=%zu", out->len);
		abort();
	}
	if (out->bytes == NULL)
		out->bytes = "";
}

void stmt_column(const struct stmt *st, int column, struct stmt_value *out)
{
	*out = (struct stmt_value){ .type = STMT_NULL };
	switch (sqlite3_column_type(st->handle, column)) {
	case SQLITE_INTEGER:
		out->type = STMT_INTEGER;
		out->integer = sqlite3_column_int64(st->handle, column);
		break;
	case SQLITE_FLOAT:
		out->type = STMT_REAL;
		out->real = sqlite3_column_double(st->handle, column);
		break;
	case SQLITE_TEXT:
		out->type = STMT_TEXT;
		column_bytes(st, column, out);
		break;
	case SQLITE_BLOB:
		out->type = STMT_BLOB;
		column_bytes(st, column, out);
		break;
	default:
		break;
	}
}

static double ms_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) * 1e3 +
	       (double)(now.tv_nsec - start->tv_nsec) / 1e6;
}

/*
 * The connection's own counts are left over from an earlier statement when
 * this one changes no rows: only a total that has moved says that they are
 * this one's.
 */
void stmt_effect(const struct stmt *st, struct stmt_effect *out)
{
	struct sqlite3 *db = sandbox_sqlite(st->sandbox);
	bool rows = (st->seen & SANDBOX_ROWS) && !(st->seen & SANDBOX_SCHEMA);
	int64_t moved = sqlite3_total_changes64(db) - st->changes_before;

	*out = (struct stmt_effect){ .rows_read = st->nrows, .ms = ms_since(&st->start) };
	if (!rows || !stmt_may_write(st))
		return;
	out->affected = moved != 0 ? sqlite3_changes64(db) : 0;
	out->rows_written = (uint64_t)moved;
	out->has_rowid = true;
	out->last_rowid = sqlite3_last_insert_rowid(db);
}

int stmt_param_count(const struct stmt *st)
{
	return st->nparams;
}

const char *stmt_param_name(const struct stmt *st, int param)
{
	return sqlite3_bind_parameter_name(st->handle, param);
}

bool stmt_is_readonly(const struct stmt *st)
{
	return !(st->seen & SANDBOX_WRITE) && sqlite3_stmt_readonly(st->handle);
}

bool stmt_may_write(const struct stmt *st)
{
	return !stmt_is_readonly(st) && !stmt_is_explain(st);
}

bool stmt_is_explain(const struct stmt *st)
{
	return sqlite3_stmt_isexplain(st->handle) != 0;
}
