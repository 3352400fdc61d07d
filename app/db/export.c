#include "db/export.h"

#include "base/log.h"
#include "base/spill.h"
#include "db/copy.h"
#include "db/sandbox.h"
#include "db/spill_vfs.h"

#include <sqlite3.h>
#include <stddef.h>

static enum export_result result_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
		return EXPORT_DONE;
	case SQLITE_INTERRUPT:
		return EXPORT_LATE;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return EXPORT_BUSY;
	case SQLITE_FULL:
		return EXPORT_NO_SPACE;
	default:
		log_error("export.failed", "code=%d error=\"%s\"", rc, sqlite3_errstr(rc));
		return EXPORT_FAILED;
	}
}

/* What the header says of a WAL is true of the original only. */
static int set_alone(struct spill *file)
{
	static const unsigned char versions[2] = { 1, 1 };

	return spill_write(file, 18, versions, sizeof versions);
}

enum export_result export_copy(struct userdb *u, int64_t until_ms, struct spill *out)
{
	struct sandbox *s = userdb_sandbox(u);
	struct sqlite3 *to = NULL;

	int rc = spill_vfs_open(out, &to);
	/* Between two steps nothing else would keep the moment. */
	if (rc == SQLITE_OK)
		rc = sandbox_run_own(s, "BEGIN; PRAGMA user_version");
	if (rc == SQLITE_OK)
		rc = copy_database(userdb_sqlite(u), to, until_ms);
	sqlite3_close(to);
	sandbox_end_request(s);
	if (rc == SQLITE_OK && set_alone(out) < 0)
		rc = SQLITE_FULL;
	return result_of(rc);
}

static int64_t ask_number(struct sqlite3 *db, const char *sql)
{
	struct sqlite3_stmt *st = NULL;
	int64_t n = 0;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return n;
}

uint64_t export_len(struct userdb *u)
{
	struct sqlite3 *db = userdb_sqlite(u);

	return (uint64_t)ask_number(db, "PRAGMA page_count") *
	       (uint64_t)ask_number(db, "PRAGMA page_size");
}
