/*
 * What a user's SQL may do on a connection, and for how long.
 *
 * What is allowed by name stands in db/rules.h.
 *
 * Inside, SQLite can do to the one open database whatever it can; it cannot
 * reach another file, and it cannot change how this one is journaled, synced,
 * locked or checkpointed.  What is not allowed fails with a message of its own
 * that names it.
 *
 *	sandbox_new()			for good: all SQL of the connection from now on
 *	sandbox_begin_request()
 *	... statements: db/stmt.h
 *	sandbox_end_request()		no transaction is left open; or
 *	sandbox_leave_request()		the stream goes on with the next request
 *	sandbox_tainted()		asked by who wants to keep the connection
 *
 * A connection is the same after a request as before, or it is tainted and to
 * be closed: a user may change settings like foreign_keys and create TEMP
 * objects, but the next request must not find them.
 */
#ifndef DB_SANDBOX_H
#define DB_SANDBOX_H

#include "db/userdb.h"

#include <stdbool.h>
#include <stdint.h>

struct sandbox;
struct sqlite3;
struct temp_space;

/*
 * `limits` is copied.  The connection must be configured already, and was opened
 * with temp_space_vfs(); `temp` is its space.
 */
struct sandbox *sandbox_new(struct sqlite3 *db, const struct userdb_limits *limits,
			    struct temp_space *temp);
/* Before the connection is closed. */
void sandbox_free(struct sandbox *s);

/*
 * All statements of a request together may take what one may wait for the lock
 * and four may run.  Without `writes`, SQLite itself refuses every write.
 *
 * Should the request take the time of four more, the process ends: it is stuck
 * where nothing can interrupt it.
 */
void sandbox_begin_request(struct sandbox *s, bool writes);
/* Rolls back what is open; every statement was freed before. */
void sandbox_end_request(struct sandbox *s);
/* Instead, when the next request goes on with this one's connection: all stays as it is. */
void sandbox_leave_request(struct sandbox *s);
bool sandbox_tainted(const struct sandbox *s);
const struct userdb_limits *sandbox_limits(const struct sandbox *s);
bool sandbox_in_transaction(const struct sandbox *s);
enum sandbox_lock {
	SANDBOX_UNLOCKED,
	SANDBOX_READS, /* a snapshot, which keeps the WAL from starting over */
	SANDBOX_WRITES, /* all others have to wait */
};
enum sandbox_lock sandbox_lock(const struct sandbox *s);

/* Part of the above, for a caller without requests. */
void sandbox_allow_writes(struct sandbox *s, bool writes);

/*
 * look(), if not NULL, is called about every millisecond while a statement runs.
 * true stops it, and sandbox_gave_way() says so until the next statement.
 */
void sandbox_set_look(struct sandbox *s, bool (*look)(void *owner), void *owner);
bool sandbox_gave_way(const struct sandbox *s);

/*
 * The rest is for stmt.c, migrations.c and sql_error.c.
 *
 * Some PRAGMAs act while they are prepared.  Therefore a setting is ignored
 * while preparing, and only seen, unless it is prepared between
 * sandbox_begin_setting() and sandbox_end_setting().
 */
enum sandbox_seen {
	SANDBOX_SETTING = 1 << 0, /* a PRAGMA that changes the connection */
	SANDBOX_TEMP = 1 << 1, /* an object that goes with the connection */
	SANDBOX_ROWS = 1 << 2, /* INSERT, UPDATE or DELETE of the user's rows */
	SANDBOX_SCHEMA = 1 << 3, /* CREATE, DROP, ALTER ... */
	SANDBOX_WRITE = 1 << 4, /* writes, whatever sqlite3_stmt_readonly() says */
	SANDBOX_TRANSACTION = 1 << 5, /* BEGIN, COMMIT, ROLLBACK */
};

struct sqlite3 *sandbox_sqlite(struct sandbox *s);
/* SQL that is no user's, for which nothing is forbidden.  SQLite's result. */
int sandbox_run_own(struct sandbox *s, const char *sql);
bool sandbox_writes(const struct sandbox *s);
void sandbox_taint(struct sandbox *s);

/* Afterwards sandbox_seen() says what the statement is made of. */
void sandbox_begin_prepare(struct sandbox *s);
void sandbox_end_prepare(struct sandbox *s);
unsigned sandbox_seen(const struct sandbox *s);
void sandbox_begin_setting(struct sandbox *s);
void sandbox_end_setting(struct sandbox *s);

/* false: the request has used up its time.  The statement's own starts here, */
bool sandbox_begin_statement(struct sandbox *s);
/* and anew after each wait for a lock, which has a limit of its own. */
void sandbox_waited(struct sandbox *s);
/* After it was finalized: outside of a transaction no snapshot is kept. */
void sandbox_end_statement(struct sandbox *s);
/* A bracket around every sqlite3_step(). */
void sandbox_begin_step(struct sandbox *s);
void sandbox_end_step(struct sandbox *s);

/* Why the last prepare or step failed, if it was for the sandbox; NULL if not. */
const char *sandbox_denial(const struct sandbox *s);
/* The same, asked with SQLite's primary code: time; memory and temporary files. */
const char *sandbox_timeout(struct sandbox *s, int rc);
const char *sandbox_overflow(struct sandbox *s, int rc);

#endif
