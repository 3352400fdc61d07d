/*
 * A connection cannot checkpoint inside a transaction of its own, so there are
 * two: one keeps a bound, the other copies.
 *
 *	a reader bounds	what is copied ends where its transaction does, at
 *			frames that are safe elsewhere; writers go on
 *	a writer bounds	nobody commits meanwhile; for the rest of a busy WAL
 *
 * SQLite lets a writer start the WAL over only when every frame is copied, and
 * nobody else copies.  So the WAL cannot start over while we do, and the
 * writer-against-checkpoint bug of SQLite 3.7.0 to 3.51.2 has no chance.
 *
 * The position is armed before the first page is copied.  The other way round,
 * a death in between would leave a WAL that the next writer starts over and a
 * position that takes this for a gap.
 */
#include "db/checkpoint.h"

#include "base/fault.h"
#include "base/log.h"
#include "db/wal.h"

#include <assert.h>
#include <sqlite3.h>
#include <string.h>

static bool is_end(const struct wal_position *at, const struct wal_index *now)
{
	return at->frame == now->last_frame && at->sum[0] == now->sum[0] &&
	       at->sum[1] == now->sum[1] && memcmp(at->salt, now->salt, sizeof at->salt) == 0;
}

/* Complete means every frame: only then does the next writer start over. */
static enum checkpoint_result copy_all(struct userdb *copier, const struct wal_index *now)
{
	int nlog = -1, ncopied = -1;
	int rc = sqlite3_wal_checkpoint_v2(userdb_sqlite(copier), "main", SQLITE_CHECKPOINT_PASSIVE,
					   &nlog, &ncopied);

	switch (rc & 0xff) {
	case SQLITE_OK:
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return CHECKPOINT_LATER;
	default:
		log_error("checkpoint.failed", "path=%s code=%d error=\"%s\"",
			  sqlite3_db_filename(userdb_sqlite(copier), "main"), rc,
			  sqlite3_errstr(rc));
		return CHECKPOINT_FAILED;
	}
	if (nlog < 0 || (uint32_t)nlog != now->last_frame || ncopied != nlog)
		return CHECKPOINT_LATER;
	return CHECKPOINT_DONE;
}

static enum checkpoint_result result_of(enum wal_result result)
{
	switch (result) {
	case WAL_OK:
		return CHECKPOINT_DONE;
	case WAL_BUSY:
	case WAL_MISFIT:
		return CHECKPOINT_LATER;
	case WAL_FAILED:
		return CHECKPOINT_FAILED;
	}
	return CHECKPOINT_FAILED;
}

/* What has to be done before a page is copied. */
struct before_copy {
	const struct wal_position *at; /* must be the end, unless secure() sees to what is not */
	int (*arm)(void *owner);
	int (*secure)(void *owner, struct userdb *reader);
	void *owner;
};

static enum checkpoint_result prepare(const struct before_copy *b, struct userdb *copier,
				      const struct wal_index *now)
{
	if (b->secure != NULL)
		return b->secure(b->owner, copier) < 0 ? CHECKPOINT_FAILED : CHECKPOINT_DONE;
	assert(b->at != NULL);
	if (!is_end(b->at, now))
		return CHECKPOINT_LATER;
	return b->arm(b->owner) < 0 ? CHECKPOINT_FAILED : CHECKPOINT_DONE;
}

static bool is_empty_as_expected(const struct wal_position *at)
{
	return at == NULL || at->frame == 0 || at->armed;
}

static enum checkpoint_result copy_within(struct wal *w, struct userdb *copier,
					  const struct before_copy *b)
{
	struct wal_index now;

	enum checkpoint_result result = result_of(wal_read_index(w, &now));
	if (result != CHECKPOINT_DONE)
		return result;
	if (now.last_frame == 0)
		return is_empty_as_expected(b->at) ? CHECKPOINT_DONE : CHECKPOINT_LATER;
	result = prepare(b, copier, &now);
	if (result != CHECKPOINT_DONE)
		return result;
	FAULT("checkpoint.before_copy");
	result = copy_all(copier, &now);
	FAULT("checkpoint.after_copy");
	return result;
}

static enum checkpoint_result copy_beside(struct userdb *u, enum wal_lock lock,
					  struct userdb *copier, const struct before_copy *b)
{
	struct wal w;

	enum checkpoint_result result = result_of(wal_begin(u, lock, &w));
	if (result == CHECKPOINT_DONE)
		result = copy_within(&w, copier, b);
	wal_end(&w);
	return result;
}

static enum checkpoint_result checkpoint(struct userdb *u, const char *path,
					 const struct before_copy *b)
{
	struct userdb *copier = NULL;

	switch (userdb_open(path, USERDB_INTERNAL, NULL, &copier)) {
	case USERDB_OK:
		break;
	case USERDB_BUSY:
		return CHECKPOINT_LATER;
	case USERDB_ABSENT:
		log_error("checkpoint.failed", "path=%s error=\"no such file\"", path);
		return CHECKPOINT_FAILED;
	case USERDB_FAILED:
		return CHECKPOINT_FAILED;
	}
	enum checkpoint_result result = copy_beside(u, WAL_READ, copier, b);
	if (result == CHECKPOINT_LATER && b->secure != NULL)
		result = copy_beside(u, WAL_WRITE, copier, b);
	userdb_close(copier);
	return result;
}

enum checkpoint_result wal_checkpoint(struct userdb *u, const char *path,
				      const struct wal_position *at, int (*arm)(void *owner),
				      void *owner)
{
	const struct before_copy b = { .at = at, .arm = arm, .owner = owner };

	return checkpoint(u, path, &b);
}

enum checkpoint_result wal_checkpoint_busy(struct userdb *u, const char *path,
					   int (*secure)(void *owner, struct userdb *reader),
					   void *owner)
{
	const struct before_copy b = { .secure = secure, .owner = owner };

	return checkpoint(u, path, &b);
}
