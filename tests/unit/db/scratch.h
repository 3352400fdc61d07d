/*
 * A folder for one test's database, and SQL that must succeed.
 *
 * In memory where the machine has such a file system: the tests that race with
 * other processes get more turns from it.
 */
#ifndef UNIT_DB_SCRATCH_H
#define UNIT_DB_SCRATCH_H

#include "db/userdb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <ftw.h>
#include <sqlite3.h>
#include <unistd.h>

struct scratch {
	char dir[64];
	char db[96];
	char wal[128];
};

static inline void scratch_init(struct scratch *s)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)snprintf(s->dir, sizeof s->dir, "%s/holdfast-db-XXXXXX", base);
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->db, sizeof s->db, "%s/db.sqlite", s->dir);
	(void)snprintf(s->wal, sizeof s->wal, "%s-wal", s->db);
}

static inline int scratch_remove_entry(const char *path, const struct stat *st, int type,
				       struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void scratch_release(struct scratch *s)
{
	assert_int_equal(nftw(s->dir, scratch_remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static inline struct userdb *scratch_open(const struct scratch *s)
{
	struct userdb *u = NULL;

	assert_int_equal(userdb_open(s->db, USERDB_INTERNAL, NULL, &u), USERDB_OK);
	return u;
}

static inline void run_sql(struct userdb *u, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(userdb_sqlite(u), sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
}

static inline int64_t number_of(struct userdb *u, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	assert_int_equal(sqlite3_prepare_v2(userdb_sqlite(u), sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(stmt, 0);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	return n;
}

/*
 * What a tool does that knows nothing of us: as the last connection it
 * checkpoints at close and deletes the WAL.
 */
static inline void foreign_run(const struct scratch *s, const char *sql)
{
	struct sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(s->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A database with other settings than userdb_create() gives it, and no WAL. */
static inline void foreign_create(const struct scratch *s, unsigned page_size)
{
	char sql[256];

	(void)snprintf(sql, sizeof sql,
		       "PRAGMA page_size=%u; PRAGMA auto_vacuum=INCREMENTAL;"
		       "PRAGMA journal_mode=WAL;"
		       "CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB);"
		       "INSERT INTO t VALUES(1, randomblob(100)), (1000, randomblob(20000))",
		       page_size);
	foreign_run(s, sql);
}

#endif
