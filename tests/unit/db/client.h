/*
 * A new database with one client on it, whose SQL runs in the sandbox.
 */
#ifndef UNIT_DB_CLIENT_H
#define UNIT_DB_CLIENT_H

#include "db/sandbox.h"
#include "db/scratch.h"
#include "db/stmt.h"

struct client {
	struct scratch scratch;
	struct userdb *db;
	struct sandbox *sandbox;
	struct sql_error e;
};

static inline struct client *client_new(const struct userdb_limits *limits)
{
	struct client *c = calloc(1, sizeof *c);

	scratch_init(&c->scratch);
	assert_int_equal(userdb_create(c->scratch.db), USERDB_OK);
	assert_int_equal(userdb_open(c->scratch.db, USERDB_CLIENT, limits, &c->db), USERDB_OK);
	c->sandbox = userdb_sandbox(c->db);
	return c;
}

static inline int client_set_up(void **state)
{
	static const struct userdb_limits limits = {
		.max_db_bytes = 64 << 20,
		.max_result_bytes = 1 << 20,
		.statement_ms = 1000,
		.lock_wait_ms = 20,
		.max_sql_bytes = 100000,
	};

	*state = client_new(&limits);
	return 0;
}

static inline int client_tear_down(void **state)
{
	struct client *c = *state;

	userdb_close(c->db);
	scratch_release(&c->scratch);
	free(c);
	return 0;
}

static inline struct stmt *client_prepare(struct client *c, const char *sql)
{
	struct stmt *st = NULL;

	if (stmt_prepare_one(c->sandbox, sql, strlen(sql), &st, &c->e) < 0)
		fail_msg("%s: %s", sql, c->e.message);
	return st;
}

/* Runs it to the end, which must be a good one. */
static inline struct stmt_effect client_run(struct client *c, const char *sql)
{
	struct stmt *st = client_prepare(c, sql);
	struct stmt_effect effect;
	enum stmt_stepped stepped;

	do {
		stepped = stmt_step(st, &c->e);
	} while (stepped == STMT_ROW);
	if (stepped == STMT_FAILED)
		fail_msg("%s: %s", sql, c->e.message);
	stmt_effect(st, &effect);
	stmt_free(st);
	return effect;
}

static inline void client_expect_refused(struct client *c, const char *sql, size_t len,
					 const char *code)
{
	struct stmt *st = NULL;

	if (stmt_prepare_one(c->sandbox, sql, len, &st, &c->e) == 0)
		fail_msg("%s: prepared", sql);
	assert_null(st);
	if (strcmp(c->e.code, code) != 0)
		fail_msg("%s: got %s, want %s (%s)", sql, c->e.code, code, c->e.message);
}

#endif
