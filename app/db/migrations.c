#include "db/migrations.h"

#include "base/alloc.h"
#include "base/file.h"
#include "db/sandbox.h"
#include "db/stmt.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 9999, SQL_BYTES_MAX = 1 << 20 };

struct migrations {
	unsigned count;
	struct buf *sql; /* of number i + 1, followed by a NUL */
};

/* ---- reading */

static int complain(char why[static MIGRATIONS_WHY_MAX], const char *path, const char *what)
{
	(void)snprintf(why, MIGRATIONS_WHY_MAX, "'%.300s' %s", path, what);
	return -1;
}

static bool is_sql(const char *name)
{
	size_t len = strlen(name);

	return name[0] != '.' && len > 4 && strcmp(name + len - 4, ".sql") == 0;
}

static int read_file(struct migrations *m, const char *path, unsigned long number,
		     char why[static MIGRATIONS_WHY_MAX])
{
	if (number < 1 || number > NUMBER_MAX)
		return complain(why, path, "does not begin with a number from 1 to 9999");
	while (m->count < number) {
		m->sql = alloc_resized(m->sql, (m->count + 1) * sizeof *m->sql);
		m->sql[m->count++] = (struct buf)BUF_INIT;
	}
	struct buf *sql = &m->sql[number - 1];
	if (sql->data != NULL)
		return complain(why, path, "has the number of another one");
	switch (file_read(path, SQL_BYTES_MAX, sql)) {
	case FILE_OK:
		break;
	case FILE_TOO_LONG:
		return complain(why, path, "is longer than 1 MiB");
	case FILE_ABSENT:
	case FILE_FAILED:
		return complain(why, path, "cannot be read");
	}
	buf_add(sql, "", 1);
	sql->len--;
	return 0;
}

static int read_all(struct migrations *m, DIR *d, const char *dir,
		    char why[static MIGRATIONS_WHY_MAX])
{
	char path[PATH_MAX];
	struct dirent *entry;

	while ((entry = readdir(d)) != NULL) {
		if (!is_sql(entry->d_name))
			continue;
		if (snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) >= (int)sizeof path)
			return complain(why, dir, "is too long a path");
		if (read_file(m, path, strtoul(entry->d_name, NULL, 10), why) < 0)
			return -1;
	}
	for (unsigned i = 0; i < m->count; i++) {
		if (m->sql[i].data != NULL)
			continue;
		(void)snprintf(why, MIGRATIONS_WHY_MAX, "there is no number %u in '%.300s'", i + 1,
			       dir);
		return -1;
	}
	return 0;
}

struct migrations *migrations_read(const char *dir, char why[static MIGRATIONS_WHY_MAX])
{
	struct migrations *m = alloc_zeroed(1, sizeof *m);
	DIR *d = opendir(dir);

	if (d == NULL)
		complain(why, dir, strerror(errno));
	if (d == NULL || read_all(m, d, dir, why) < 0) {
		migrations_free(m);
		m = NULL;
	}
	if (d != NULL)
		closedir(d);
	return m;
}

void migrations_free(struct migrations *m)
{
	if (m == NULL)
		return;
	for (unsigned i = 0; i < m->count; i++)
		buf_release(&m->sql[i]);
	free(m->sql);
	free(m);
}

unsigned migrations_count(const struct migrations *m)
{
	return m->count;
}

/* ---- running */

/* -1: see sqlite3_errcode(). */
static int64_t ask_number(struct sqlite3 *db, const char *sql)
{
	struct sqlite3_stmt *st = NULL;
	int64_t n = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	return sqlite3_finalize(st) == SQLITE_OK ? n : -1;
}

/* Rows that point to none. */
static int64_t dangling(struct sqlite3 *db)
{
	return ask_number(db, "SELECT count(*) FROM pragma_foreign_key_check");
}

static int run_statement(struct sandbox *s, struct stmt *st, struct sql_error *e)
{
	enum stmt_stepped stepped;

	if (sandbox_seen(s) & SANDBOX_TRANSACTION) {
		sql_error_set(e, "SQLITE_AUTH", "a migration cannot begin or end transactions");
		return -1;
	}
	do
		stepped = stmt_step(st, e);
	while (stepped == STMT_ROW);
	return stepped == STMT_DONE ? 0 : -1;
}

static int run_file(struct sandbox *s, const struct buf *sql, struct sql_error *e)
{
	size_t at = 0, used = 0;

	for (;; at += used) {
		struct stmt *st = NULL;
		switch (stmt_prepare_next(s, sql->data + at, sql->len - at, &used, &st, e)) {
		case STMT_READY:
			break;
		case STMT_EMPTY:
			return 0;
		case STMT_REFUSED:
			return -1;
		}
		int result = run_statement(s, st, e);
		stmt_free(st);
		if (result < 0)
			return -1;
	}
}

static int commit(struct sandbox *s, struct migrations_outcome *out)
{
	char pragma[64];

	(void)snprintf(pragma, sizeof pragma, "PRAGMA user_version=%u", out->to);
	if (sandbox_run_own(s, pragma) == SQLITE_OK && sandbox_run_own(s, "COMMIT") == SQLITE_OK)
		return 0;
	sql_error_of_call(s, &out->error);
	return -1;
}

/* In a transaction; what is left of it after -1 is rolled back by the caller. */
static int run_missing(const struct migrations *m, struct sandbox *s,
		       struct migrations_outcome *out)
{
	struct sqlite3 *db = sandbox_sqlite(s);
	int64_t before = dangling(db);

	for (unsigned i = out->from; i < out->to; i++) {
		out->failed = i + 1;
		if (run_file(s, &m->sql[i], &out->error) < 0)
			return -1;
	}
	out->failed = 0;
	int64_t after = dangling(db);
	if (before < 0 || after < 0) {
		sql_error_of_call(s, &out->error);
		return -1;
	}
	if (after > before) {
		sql_error_set(&out->error, "SQLITE_CONSTRAINT",
			      "rows are left that refer to rows which are gone");
		return -1;
	}
	return commit(s, out);
}

static enum migrations_result fail_to_read(struct sandbox *s, struct migrations_outcome *out)
{
	if ((sqlite3_errcode(sandbox_sqlite(s)) & 0xff) == SQLITE_BUSY)
		return MIGRATIONS_BUSY;
	sql_error_of_call(s, &out->error);
	return MIGRATIONS_FAILED;
}

static enum migrations_result run_locked(const struct migrations *m, struct sandbox *s,
					 struct migrations_outcome *out)
{
	if (sandbox_run_own(s, "BEGIN IMMEDIATE") != SQLITE_OK)
		return fail_to_read(s, out);
	/* Another worker may have been faster. */
	int64_t version = ask_number(sandbox_sqlite(s), "PRAGMA user_version");
	if (version < 0)
		return fail_to_read(s, out);
	out->from = (unsigned)version;
	if (out->from >= out->to)
		return MIGRATIONS_CURRENT;
	return run_missing(m, s, out) == 0 ? MIGRATIONS_DONE : MIGRATIONS_FAILED;
}

enum migrations_result migrations_run(const struct migrations *m, struct userdb *u,
				      struct migrations_outcome *out)
{
	struct sandbox *s = userdb_sandbox(u);
	struct sqlite3 *db = userdb_sqlite(u);
	int64_t version = ask_number(db, "PRAGMA user_version");

	*out = (struct migrations_outcome){ .to = m->count };
	if (version < 0)
		return fail_to_read(s, out);
	out->from = (unsigned)version;
	if (out->from >= m->count)
		return MIGRATIONS_CURRENT;
	sandbox_begin_request(s, true);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
	enum migrations_result result = run_locked(m, s, out);
	sandbox_end_request(s);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
	return result;
}
