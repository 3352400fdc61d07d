/*
 * The first pull of a user that has no local database, and the replacement of
 * one that lost a conflict.
 *
 * The database is written beside and renamed into place only when every byte
 * was checked.  "The store has no such user" makes an empty database; nothing
 * else does, so an outage never looks like an empty account.
 *
 * The record is written before the database appears: a crash in between leaves
 * a record without a database, and the next pull writes it again.
 */
#include "sync/engine.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "state/right.h"
#include "state/slot.h"
#include "sync/kept.h"
#include "sync/record.h"
#include "sync/restore.h"
#include "sync/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pull {
	struct sync *sync;
	struct slot *slot;
	struct user_id id;
	struct restore *restore;
	int lock;
	int fd;
	int64_t began_ms;
	bool replaces; /* the database that is here */
	bool keeps; /* and puts it aside, for it lost a conflict */
	char dir[PATH_MAX];
	char lock_path[PATH_MAX];
	char db_path[PATH_MAX];
	char new_path[PATH_MAX];
	char record_path[PATH_MAX];
	char spool_dir[PATH_MAX];
};

static void pull_free(struct pull *p)
{
	restore_free(p->restore);
	if (p->fd >= 0) {
		close(p->fd);
		unlink(p->new_path);
	}
	if (p->lock >= 0)
		close(p->lock);
	free(p);
}

/* Where a database was to be replaced, the next look knows whether that is still to be done. */
static void pull_end(struct pull *p)
{
	if (!p->replaces)
		table_clear_due(p->sync->table, p->slot);
	slot_pull_ended(p->slot, clock_mono_ms());
	p->sync->pulls--;
	pull_free(p);
}

static void pull_failed(struct pull *p, enum object_error error)
{
	log_warn("pull.failed", "user=%s error=%s ms=%" PRId64, p->id.text,
		 object_error_name[error], clock_mono_ms() - p->began_ms);
	metrics_failed(table_metrics(p->sync->table), METRICS_PULL, error);
	slot_pull_failed(p->slot, error, clock_mono_ms());
	/* Nobody asks again for a replacement, as requests do for a database that is not here. */
	if (p->replaces)
		slot_push_put_off(p->slot, clock_mono_ms() + p->sync->config.retry.max_ms);
	pull_end(p);
}

static int disk_failed(const char *call, const char *path)
{
	log_error("pull.failed", "call=%s path=%s error=\"%s\"", call, path, strerror(errno));
	return -1;
}

/* A WAL whose database is gone would be replayed into the new one. */
static int put_aside(const struct pull *p, const char *name)
{
	char from[PATH_MAX], to[PATH_MAX];

	if (user_path(p->sync->config.data, &p->id, name, from, sizeof from) < 0 ||
	    snprintf(to, sizeof to, "%s.orphan", from) >= (int)sizeof to)
		return -1;
	if (rename(from, to) < 0 && errno != ENOENT)
		return disk_failed("rename", from);
	return 0;
}

static int install(struct pull *p, const struct restored *got)
{
	struct record record = {
		.txid = got->txid,
		.position = { .page_size = got->page_size,
			      .npages = got->npages,
			      .file_ns = wal_file_ns(p->new_path) },
	};

	FAULT("pull.before_record");
	if (fsync(p->fd) < 0)
		return disk_failed("fsync", p->new_path);
	if (record_write(p->record_path, &record) < 0)
		return -1;
	FAULT("pull.after_record");
	if (rename(p->new_path, p->db_path) < 0)
		return disk_failed("rename", p->db_path);
	FAULT("pull.after_rename");
	close(p->fd);
	p->fd = -1;
	return file_sync_dir(p->dir);
}

/*
 * The database with all that is in its WAL, as one file of its own.  Both
 * rights are held, so nobody writes and nobody has a transaction open.  It is
 * there already if whoever did this died before it could tell.
 */
static int put_in_kept(struct pull *p)
{
	char kept[PATH_MAX];

	if (access(p->db_path, F_OK) < 0 && errno == ENOENT)
		return 0;
	FAULT("kept.before_fold");
	if (kept_new_path(p->sync->config.data, &p->id, kept, sizeof kept) < 0)
		return -1;
	if (userdb_fold_wal(p->db_path) != USERDB_OK)
		return -1;
	FAULT("kept.after_fold");
	if (rename(p->db_path, kept) < 0)
		return disk_failed("rename", kept);
	FAULT("kept.after_rename");
	log_info("conflict.resolved", "user=%s keep=remote kept=%s", p->id.text, kept);
	return file_sync_parent(kept) < 0 ? -1 : file_sync_dir(p->dir);
}

/* All of it is in the store.  The file goes first: without its WAL it would be an older state. */
static int remove_old(const struct pull *p)
{
	static const char *const names[] = { "db.sqlite", "db.sqlite-wal", "db.sqlite-shm" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (user_path(p->sync->config.data, &p->id, names[i], path, sizeof path) < 0)
			return -1;
		if (unlink(path) < 0 && errno != ENOENT)
			return disk_failed("unlink", path);
		FAULT("forward.after_unlink");
	}
	return file_sync_dir(p->dir);
}

/*
 * Only now, with the other history whole beside it, does ours go.  It goes
 * before the record changes: an old database beside a new record would be
 * taken for the new one, and what is pushed next would not fit.
 */
static int replace(struct pull *p, const struct restored *got)
{
	if ((p->keeps ? put_in_kept(p) : remove_old(p)) < 0)
		return -1;
	slot_push_abandoned(p->slot);
	slot_push_conflict(p->slot, false);
	spool_keep_only(p->spool_dir, 0, 0);
	return install(p, got);
}

static int create_empty(struct pull *p)
{
	struct record record = { 0 };

	if (record_write(p->record_path, &record) < 0)
		return -1;
	FAULT("create.after_record");
	return userdb_create(p->db_path) == USERDB_OK ? 0 : -1;
}

static void finish(struct pull *p, int rc, uint64_t txid)
{
	if (rc < 0) {
		pull_failed(p, ERROR_DISK);
		return;
	}
	int64_t ms = clock_mono_ms() - p->began_ms;
	metrics_done(table_metrics(p->sync->table), METRICS_PULL, 0, ms * 1000);
	log_info("pull.done", "user=%s txid=%" PRIu64 " ms=%" PRId64, p->id.text, txid, ms);
	slot_pull_done(p->slot, txid);
	pull_end(p);
}

static void restored(struct restore *r, void *owner)
{
	struct pull *p = owner;
	const struct restored *got = restore_outcome(r);

	switch (got->result) {
	case RESTORE_DONE:
		finish(p, p->replaces ? replace(p, got) : install(p, got), got->txid);
		return;
	case RESTORE_NO_USER:
		if (p->replaces)
			pull_failed(p, ERROR_CONFLICT);
		else
			finish(p, create_empty(p), 0);
		return;
	case RESTORE_UNREACHED:
	case RESTORE_DAMAGED:
	case RESTORE_FAILED:
		pull_failed(p, got->error);
		return;
	}
}

static int set_paths(struct pull *p)
{
	const char *data = p->sync->config.data;

	if (user_path(data, &p->id, "", p->dir, sizeof p->dir) < 0 ||
	    user_path(data, &p->id, "lock", p->lock_path, sizeof p->lock_path) < 0 ||
	    user_path(data, &p->id, "db.sqlite", p->db_path, sizeof p->db_path) < 0 ||
	    user_path(data, &p->id, "db.sqlite.pull", p->new_path, sizeof p->new_path) < 0 ||
	    user_path(data, &p->id, "sync", p->record_path, sizeof p->record_path) < 0 ||
	    user_path(data, &p->id, "spool", p->spool_dir, sizeof p->spool_dir) < 0)
		return -1;
	return 0;
}

enum claim_result {
	CLAIM_OK,
	CLAIM_BUSY, /* another worker is at it */
	CLAIM_FAILED, /* the disk; already logged */
};

static enum claim_result claim(struct pull *p)
{
	if (set_paths(p) < 0 || file_make_dirs(p->dir, 0700) < 0)
		return CLAIM_FAILED;
	p->lock = right_open(p->lock_path);
	if (p->lock < 0)
		return CLAIM_FAILED;
	if (!right_claim(p->lock, RIGHT_PUSH) || !right_claim(p->lock, RIGHT_FILES) ||
	    !slot_is_of(p->slot, &p->id))
		return CLAIM_BUSY;
	return CLAIM_OK;
}

static int begin(struct pull *p)
{
	if (!p->replaces &&
	    (put_aside(p, "db.sqlite-wal") < 0 || put_aside(p, "db.sqlite-shm") < 0))
		return -1;
	p->fd = open(p->new_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->fd < 0)
		return disk_failed("open", p->new_path);
	p->restore = restore_start(p->sync->store, &p->sync->tasks, &p->id, 0, p->fd, p->dir,
				   restored, p);
	return 0;
}

/* NULL: another worker is at it, or the disk has failed, which whoever waits is told. */
static struct pull *pull_claim(struct sync *s, struct slot *slot)
{
	struct pull *p = alloc_zeroed(1, sizeof *p);

	p->sync = s;
	p->slot = slot;
	p->lock = -1;
	p->fd = -1;
	p->began_ms = clock_mono_ms();
	slot_id(slot, &p->id);
	enum claim_result claimed = claim(p);
	if (claimed == CLAIM_BUSY) {
		pull_free(p);
		return NULL;
	}
	s->pulls++;
	if (claimed == CLAIM_FAILED) {
		pull_failed(p, ERROR_DISK);
		return NULL;
	}
	slot_push_began(slot, s->mark, p->began_ms);
	return p;
}

void pull_start(struct sync *s, struct slot *slot)
{
	struct pull *p = pull_claim(s, slot);
	struct record record = { 0 };

	if (p == NULL)
		return;
	if (access(p->db_path, F_OK) == 0) {
		/* Another worker's pull ended between the wish and the claim. */
		if (record_read(p->record_path, &record) != RECORD_OK)
			record.txid = 0;
		slot_pull_done(slot, record.txid);
		pull_end(p);
	} else if (begin(p) < 0) {
		pull_failed(p, ERROR_DISK);
	}
}

void pull_keep_remote(struct sync *s, struct slot *slot)
{
	struct pull *p = pull_claim(s, slot);

	if (p == NULL)
		return;
	p->replaces = true;
	p->keeps = true;
	if (begin(p) < 0)
		pull_failed(p, ERROR_DISK);
}

/* A commit may have come since the store was asked: then it is for a push to find the conflict. */
void pull_forward(struct sync *s, struct slot *slot)
{
	struct pull *p = pull_claim(s, slot);
	struct record record;
	struct slot_view v;

	if (p == NULL)
		return;
	p->replaces = true;
	slot_read(slot, &v);
	if (slot_is_dirty(&v) || record_read(p->record_path, &record) != RECORD_OK ||
	    wal_may_reach_beyond(p->db_path, &record.position)) {
		slot_push_checked(slot);
		slot_pull_ended(slot, clock_mono_ms());
		p->sync->pulls--;
		pull_free(p);
	} else if (begin(p) < 0) {
		pull_failed(p, ERROR_DISK);
	}
}
