/* SQL text: what is taken for blank or for BEGIN READONLY, SQLite must agree with. */
#include "db/sql_text.h"

#include "base/buf.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

static struct sqlite3 *db;

/* Whether SQLite finds no statement in it. */
static bool is_nothing(const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	while (sql[0] != '\0') {
		const char *rest = sql;
		int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, &rest);
		sqlite3_finalize(stmt);
		if (rc != SQLITE_OK || stmt != NULL)
			return false;
		if (rest == sql)
			break;
		sql = rest;
	}
	return true;
}

static bool is_begin(const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	sqlite3_finalize(stmt);
	return rc == SQLITE_OK && stmt != NULL;
}

/* READONLY is one word more than SQLite has, so it is left out. */
static void check_begin(const char *sql, size_t used)
{
	struct buf text = BUF_INIT;
	const char *word = strcasestr(sql, "readonly");

	assert(word != NULL && (size_t)(word - sql) < used);
	buf_add(&text, sql, (size_t)(word - sql));
	assert(is_begin(text.data));
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf text = BUF_INIT;

	if (db == NULL)
		assert(sqlite3_open(":memory:", &db) == SQLITE_OK);
	buf_add(&text, data, len);
	size_t used = sql_begin_readonly(text.data, len);
	assert(used <= len);
	if (used > 0)
		check_begin(text.data, used);
	/*
	 * SQLite takes a zero byte for the end of the text; stmt.c refuses it before.  And it
	 * takes the beginning of a comment for one only if something follows.
	 */
	if (memchr(data, '\0', len) == NULL && sql_is_blank(text.data, len)) {
		buf_add_text(&text, " ");
		assert(is_nothing(text.data));
	}
	buf_release(&text);
	return 0;
}
