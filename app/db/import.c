#include "db/import.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/spill.h"
#include "db/copy.h"
#include "db/sandbox.h"
#include "db/spill_vfs.h"
#include "db/temp_space.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STEP_MS = 15 * 1000, /* checking, rewriting, replacing, each */
	HEADER_LEN = 100,
	ENCODING_AT = 56, /* of the header; 4 bytes, big-endian */
	ENCODING_UTF8 = 1, /* 0: there is nothing in it yet */
	ANSWER_MAX = 32,
};

/* A file that is looked at. */
struct candidate {
	struct sqlite3 *db;
	struct sandbox *sandbox;
	struct temp_space temp;
};

static enum import_result result_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
		return IMPORT_DONE;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return IMPORT_BUSY;
	case SQLITE_NOTADB:
		return IMPORT_NO_DATABASE;
	case SQLITE_FULL:
		return IMPORT_NO_SPACE;
	case SQLITE_INTERRUPT:
		return IMPORT_LATE;
	default:
		return IMPORT_FAILED;
	}
}

/* What is wrong with a file nobody has seen before is that file's, and not ours. */
static enum import_result result_of_check(int rc)
{
	enum import_result result = result_of(rc);

	return result == IMPORT_FAILED ? IMPORT_DAMAGED : result;
}

static enum import_result check_header(const struct spill *file)
{
	static const char magic[16] = "SQLite format 3";
	unsigned char h[HEADER_LEN];

	if (spill_read(file, 0, h, sizeof h) != sizeof h || memcmp(h, magic, sizeof magic) != 0)
		return IMPORT_NO_DATABASE;
	const unsigned char *e = h + ENCODING_AT;
	return (e[0] | e[1] | e[2]) == 0 && e[3] <= ENCODING_UTF8 ? IMPORT_DONE : IMPORT_ENCODING;
}

/* Runs one statement within the sandbox's bounds; the first value it gives. */
static int ask(struct sandbox *s, const char *sql, char answer[static ANSWER_MAX])
{
	struct sqlite3_stmt *st = NULL;

	answer[0] = '\0';
	sandbox_begin_prepare(s);
	int rc = sqlite3_prepare_v2(sandbox_sqlite(s), sql, -1, &st, NULL);
	sandbox_end_prepare(s);
	if (rc != SQLITE_OK)
		return rc;
	if (!sandbox_begin_statement(s)) {
		sqlite3_finalize(st);
		return SQLITE_INTERRUPT;
	}
	sandbox_begin_step(s);
	rc = sqlite3_step(st);
	sandbox_end_step(s);
	if (rc == SQLITE_ROW) {
		const unsigned char *text = sqlite3_column_text(st, 0);
		(void)snprintf(answer, ANSWER_MAX, "%s", text != NULL ? (const char *)text : "");
		rc = SQLITE_OK;
	}
	sqlite3_finalize(st);
	sandbox_end_statement(s);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int64_t ask_number(struct sandbox *s, const char *sql, int *rc)
{
	char answer[ANSWER_MAX] = "";

	if (*rc == SQLITE_OK)
		*rc = ask(s, sql, answer);
	return strtoll(answer, NULL, 10);
}

static int open_candidate(struct candidate *c, struct spill *file, struct userdb *u)
{
	struct userdb_limits limits = *sandbox_limits(userdb_sandbox(u));

	int rc = spill_vfs_open(file, &c->db);
	if (rc == SQLITE_OK)
		rc = userdb_distrust(c->db);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(c->db, "PRAGMA cell_size_check=ON", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return rc;
	limits.statement_ms = STEP_MS;
	c->sandbox = sandbox_new(c->db, &limits, &c->temp);
	sandbox_begin_request(c->sandbox, true);
	return SQLITE_OK;
}

static void close_candidate(struct candidate *c)
{
	if (c->sandbox != NULL)
		sandbox_end_request(c->sandbox);
	sandbox_free(c->sandbox);
	sqlite3_close(c->db);
}

static enum import_result check_size(struct candidate *c)
{
	int rc = SQLITE_OK;
	int64_t npages = ask_number(c->sandbox, "PRAGMA page_count", &rc);
	int64_t page_size = ask_number(c->sandbox, "PRAGMA page_size", &rc);

	if (rc != SQLITE_OK)
		return result_of_check(rc);
	return npages * page_size <= sandbox_limits(c->sandbox)->max_db_bytes ? IMPORT_DONE
									      : IMPORT_TOO_LARGE;
}

static enum import_result check_content(struct candidate *c)
{
	char answer[ANSWER_MAX];
	int rc = ask(c->sandbox, "PRAGMA integrity_check(1)", answer);

	if (rc != SQLITE_OK)
		return result_of_check(rc);
	return strcmp(answer, "ok") == 0 ? IMPORT_DONE : IMPORT_DAMAGED;
}

/* A database in WAL mode cannot get another page size, so the file gets the database's. */
static enum import_result fit_pages(struct candidate *c, struct userdb *u)
{
	char pragma[64], answer[ANSWER_MAX];
	int rc = SQLITE_OK;
	int64_t theirs = ask_number(c->sandbox, "PRAGMA page_size", &rc);
	int64_t ours = ask_number(userdb_sandbox(u), "PRAGMA page_size", &rc);

	if (rc != SQLITE_OK || theirs == ours)
		return result_of_check(rc);
	(void)snprintf(pragma, sizeof pragma, "PRAGMA page_size=%lld", (long long)ours);
	rc = sandbox_run_own(c->sandbox, pragma);
	if (rc == SQLITE_OK)
		rc = ask(c->sandbox, "VACUUM", answer);
	return rc == SQLITE_OK ? check_size(c) : result_of_check(rc);
}

enum import_result import_check(struct userdb *u, struct spill *file)
{
	struct candidate c = { .db = NULL };
	enum import_result result = check_header(file);

	if (result != IMPORT_DONE)
		return result;
	result = result_of_check(open_candidate(&c, file, u));
	if (result == IMPORT_DONE)
		result = check_size(&c);
	if (result == IMPORT_DONE)
		result = check_content(&c);
	if (result == IMPORT_DONE)
		result = fit_pages(&c, u);
	close_candidate(&c);
	return result;
}

enum import_result import_replace(struct userdb *u, struct spill *file)
{
	struct sqlite3 *from = NULL, *to = userdb_sqlite(u);

	int rc = spill_vfs_open(file, &from);
	if (rc == SQLITE_OK)
		rc = copy_database(from, to, clock_mono_ms() + STEP_MS);
	sqlite3_close(from);
	/* The commit is told to the WAL's hook by the next statement, whatever comes of that. */
	if (rc == SQLITE_OK)
		(void)sandbox_run_own(userdb_sandbox(u), "PRAGMA user_version");
	enum import_result result = result_of(rc);
	if (result == IMPORT_FAILED)
		log_error("import.failed", "code=%d error=\"%s\"", rc, sqlite3_errstr(rc));
	return result;
}
