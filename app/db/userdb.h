/*
 * A connection to one user's database.
 *
 * Every connection of this program is opened here, in WAL mode, synchronous
 * FULL, without automatic checkpoints and without one at close: the WAL is the
 * record of what was not pushed yet, and only the pusher may let go of it.
 *
 * A connection belongs to one thread at a time and never crosses a fork.
 * Nothing but SQLite opens the database or its -shm: closing any descriptor of
 * them would drop SQLite's locks in the whole process.
 */
#ifndef DB_USERDB_H
#define DB_USERDB_H

#include <stdbool.h>
#include <stdint.h>

struct sandbox;
struct sqlite3;
struct userdb;

struct userdb_limits {
	int64_t max_db_bytes; /* the file may not grow beyond */
	int64_t max_result_bytes; /* of all rows of one request */
	int64_t statement_ms; /* one statement */
	int64_t lock_wait_ms; /* a writer waiting its turn */
	int max_sql_bytes;
	bool has_migrations; /* user_version is theirs: see db/migrations.h */
};

enum userdb_role {
	USERDB_CLIENT, /* runs a user's SQL, inside the sandbox */
	USERDB_INTERNAL, /* captures and checkpoints */
};

enum userdb_result {
	USERDB_OK,
	USERDB_ABSENT,
	USERDB_BUSY,
	USERDB_FAILED, /* already logged */
};

/*
 * Makes an empty database in WAL mode at `path`, atomically: beside it first,
 * then renamed.  USERDB_OK too if one is there already.
 */
enum userdb_result userdb_create(const char *path);

/*
 * Brings all of the WAL into the file and empties it: afterwards the file alone
 * is the database.  For the holder of both rights, who is about to move it.
 */
enum userdb_result userdb_fold_wal(const char *path);

/*
 * `limits` is copied; it matters for USERDB_CLIENT only, NULL otherwise.  The
 * file must exist.  One that a foreign tool left in another journal mode is
 * put back into WAL mode.
 */
enum userdb_result userdb_open(const char *path, enum userdb_role role,
			       const struct userdb_limits *limits, struct userdb **out);
/* An open transaction is rolled back; every statement was finalized before. */
void userdb_close(struct userdb *u);

/* For this folder only, but that http brackets its requests with the sandbox. */
struct sqlite3 *userdb_sqlite(struct userdb *u);
struct sandbox *userdb_sandbox(struct userdb *u); /* NULL for USERDB_INTERNAL */
/* No SQL that was left in the database runs on this connection.  SQLite's result. */
int userdb_distrust(struct sqlite3 *db);

/* How many commits of this connection have added to the WAL since it was opened. */
uint64_t userdb_commits(const struct userdb *u);
/* The WAL that the last of them left. */
int64_t userdb_wal_bytes(const struct userdb *u);

/*
 * How long statements from now on wait for SQLite's lock, asleep.  give_up(), if
 * not NULL, is asked now and then: true ends the wait, and the statement fails.
 */
void userdb_set_patience(struct userdb *u, int64_t wait_ms, bool (*give_up)(void *owner),
			 void *owner);

/* Nothing that a user did would be found by the next request: the handle may be used again. */
bool userdb_is_clean(const struct userdb *u);

#endif
