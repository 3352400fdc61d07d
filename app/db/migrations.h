/*
 * Numbered SQL files that bring every user's database to the same schema.
 *
 *	<dir>/<number><anything>.sql	numbers from 1 without a gap: 0001-notes.sql
 *
 * `PRAGMA user_version` of a database says how many it has had; with
 * migrations, a user's own SQL cannot change that.  What is missing runs in one
 * transaction, in the sandbox, with foreign keys checked at its end only, so that
 * a table can be made anew as SQLite's documentation of ALTER TABLE recommends.
 *
 *	migrations_read()	once
 *	migrations_run()	on each connection before a user's SQL
 *	migrations_free()
 */
#ifndef DB_MIGRATIONS_H
#define DB_MIGRATIONS_H

#include "db/sql_error.h"
#include "db/userdb.h"

enum { MIGRATIONS_WHY_MAX = 512 };

struct migrations;

/* NULL: `why` says what is wrong, in one line.  A folder without any is as good as none. */
struct migrations *migrations_read(const char *dir, char why[static MIGRATIONS_WHY_MAX]);
void migrations_free(struct migrations *m);
unsigned migrations_count(const struct migrations *m);

enum migrations_result {
	MIGRATIONS_CURRENT, /* nothing to do, or the database is ahead */
	MIGRATIONS_DONE, /* committed */
	MIGRATIONS_BUSY, /* somebody else has the write lock; nothing has happened */
	MIGRATIONS_FAILED, /* rolled back: the database is as it was */
};

struct migrations_outcome {
	unsigned from, to; /* the versions before and after */
	unsigned failed; /* the number of the file, 0: none of them; on FAILED */
	struct sql_error error; /* on FAILED */
};

/* `u` is USERDB_CLIENT, between requests. */
enum migrations_result migrations_run(const struct migrations *m, struct userdb *u,
				      struct migrations_outcome *out);

#endif
