#include "sync/account.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "db/capture.h"
#include "state/right.h"
#include "state/slot.h"
#include "sync/record.h"
#include "sync/spool.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Every account that is not detached is in the hash; the idle ones are in a list, too, the most
 * recently used first, so that its end is what may go.
 */
struct entry {
	struct account account; /* first: an account is its entry */
	SLIST_ENTRY(entry) same_hash;
	TAILQ_ENTRY(entry) idle;
	ino_t inode; /* of the database when it was opened */
	bool in_use;
	bool detached; /* in no hash chain */
};

enum { HASH_SIZE = 1024 };

struct accounts {
	struct table *table;
	char *data;
	enum userdb_role role;
	struct userdb_limits limits;
	unsigned max_open;
	unsigned count;
	SLIST_HEAD(hash_chain, entry) hash[HASH_SIZE];
	TAILQ_HEAD(idle_list, entry) idle;
};

struct accounts *accounts_new(struct table *t, const struct accounts_config *c)
{
	struct accounts *all = alloc_zeroed(1, sizeof *all);

	all->table = t;
	all->data = alloc_string(c->data);
	all->role = c->role;
	all->limits = c->limits;
	all->max_open = c->max_open;
	TAILQ_INIT(&all->idle);
	return all;
}

static unsigned hash_of(const struct user_id *id)
{
	unsigned h = 5381;

	for (const char *p = id->text; *p != '\0'; p++)
		h = h * 33 ^ (unsigned char)*p;
	return h % HASH_SIZE;
}

static struct entry *lookup(const struct accounts *all, const struct user_id *id)
{
	struct entry *e = SLIST_FIRST(&all->hash[hash_of(id)]);

	while (e != NULL && strcmp(e->account.id.text, id->text) != 0)
		e = SLIST_NEXT(e, same_hash);
	return e;
}

/* `e` is not among the idle ones. */
static void drop(struct accounts *all, struct entry *e)
{
	if (!e->detached)
		SLIST_REMOVE(&all->hash[hash_of(&e->account.id)], e, entry, same_hash);
	all->count--;
	userdb_close(e->account.db);
	close(e->account.lock);
	free(e);
}

static void keep_within(struct accounts *all, unsigned most)
{
	struct entry *e;

	while (all->count > most && (e = TAILQ_LAST(&all->idle, idle_list)) != NULL) {
		TAILQ_REMOVE(&all->idle, e, idle);
		drop(all, e);
	}
}

void accounts_free(struct accounts *all)
{
	if (all == NULL)
		return;
	keep_within(all, 0);
	assert(all->count == 0);
	free(all->data);
	free(all);
}

static int path_of(const struct accounts *all, const struct user_id *id, const char *name,
		   char out[static PATH_MAX])
{
	return user_path(all->data, id, name, out, PATH_MAX);
}

/*
 * Reads what the disk says.  Without a record it is not known how far the
 * store reaches: the user counts as dirty, and the push will ask.
 */
static int read_saved(const struct accounts *all, const struct user_id *id, struct slot_saved *out)
{
	char db[PATH_MAX], wal[PATH_MAX], sync[PATH_MAX], spool[PATH_MAX];
	struct record record = { 0 };
	struct stat st;

	memset(out, 0, sizeof *out);
	if (path_of(all, id, "db.sqlite", db) < 0 || path_of(all, id, "db.sqlite-wal", wal) < 0 ||
	    path_of(all, id, "sync", sync) < 0 || path_of(all, id, "spool", spool) < 0)
		return -1;
	if (stat(db, &st) < 0) {
		if (errno != ENOENT) {
			log_error("account.failed", "call=stat path=%s error=\"%s\"", db,
				  strerror(errno));
			return -1;
		}
		out->files = FILES_ABSENT;
		return 0;
	}
	out->files = FILES_PRESENT;
	if (stat(wal, &st) == 0)
		out->wal_bytes = (uint64_t)st.st_size;
	switch (record_read(sync, &record)) {
	case RECORD_OK:
		out->txid = record.txid;
		out->conflict = record.error == ERROR_CONFLICT;
		out->failed_since_ms = out->conflict ? 0 : record.failed_since_ms;
		out->error = record.error;
		if (record.spool_first != 0)
			out->spool_bytes = spool_bytes(spool);
		out->dirty = record.failed_since_ms != 0 || record.spool_first != 0 ||
			     wal_may_reach_beyond(db, &record.position);
		return 0;
	case RECORD_MISSING:
		out->dirty = true;
		return 0;
	case RECORD_FAILED:
		break;
	}
	return -1;
}

/* Inside the bracket, or the slot might become another user's at this moment. */
static int fill_in(const struct accounts *all, const struct user_id *id, struct slot *slot,
		   const struct slot_saved *saved)
{
	int change = table_change_begin(all->table);

	if (change < 0)
		return -1;
	if (!slot_is_loaded(slot) && table_find(all->table, id) == slot)
		slot_load(slot, saved);
	table_change_end(change);
	return 0;
}

/* RIGHT_LOAD makes sure that nobody pushes between the reading and the writing. */
static int load(const struct accounts *all, const struct user_id *id, struct slot *slot)
{
	char path[PATH_MAX];
	struct slot_saved saved = { .files = FILES_ABSENT };
	int rc = 0;

	if (path_of(all, id, "lock", path) < 0)
		return -1;
	int lock = right_open(path);
	if (lock < 0 && errno != ENOENT)
		return -1;
	if (lock >= 0)
		right_claim(lock, RIGHT_LOAD);
	if (!slot_is_loaded(slot)) {
		rc = lock < 0 ? 0 : read_saved(all, id, &saved);
		if (rc == 0)
			rc = fill_in(all, id, slot, &saved);
	}
	if (lock >= 0)
		close(lock);
	/* Dirty, or not yet compared with the store in this run. */
	if (rc == 0 && saved.files == FILES_PRESENT)
		table_set_due(all->table, slot);
	return rc;
}

/*
 * Both rights say that nobody serves or pushes this user at this moment, and
 * the disk that nothing waits to be pushed: a worker may have died between a
 * commit and its count.
 */
static bool take_from(struct accounts *all, struct slot *slot, const struct user_id *id)
{
	struct slot_saved saved = { .dirty = false };
	char path[PATH_MAX];
	struct user_id old;
	bool taken = false;

	slot_id(slot, &old);
	if (path_of(all, &old, "lock", path) < 0)
		return false;
	int lock = right_open(path);
	if (lock < 0)
		return errno == ENOENT && table_replace(all->table, slot, &old, id);
	if (!right_claim(lock, RIGHT_PUSH) || !right_claim(lock, RIGHT_FILES) ||
	    read_saved(all, &old, &saved) < 0)
		goto out;
	if (!saved.dirty) {
		taken = table_replace(all->table, slot, &old, id);
	} else if (slot_is_of(slot, &old)) {
		slot_commit(slot);
		table_set_due(all->table, slot);
	}
out:
	close(lock);
	return taken;
}

static struct slot *take_over(struct accounts *all, const struct user_id *id)
{
	struct slot *slot;

	for (unsigned n = 0; (slot = table_candidate(all->table, id, n)) != NULL; n++) {
		if (take_from(all, slot, id))
			return slot;
	}
	log_error("table.full", "user=%s", id->text);
	return NULL;
}

static struct slot *make_slot(struct accounts *all, const struct user_id *id)
{
	int change = table_change_begin(all->table);

	if (change < 0)
		return NULL;
	struct slot *slot = table_find(all->table, id);
	if (slot == NULL)
		slot = table_place(all->table, id);
	if (slot == NULL)
		slot = take_over(all, id);
	table_change_end(change);
	return slot;
}

enum account_result account_slot(struct accounts *all, const struct user_id *id, struct slot **out)
{
	*out = table_find(all->table, id);
	if (*out == NULL)
		*out = make_slot(all, id);
	if (*out == NULL)
		return ACCOUNT_FULL;
	if (!slot_is_loaded(*out) && load(all, id, *out) < 0)
		return ACCOUNT_FAILED;
	return ACCOUNT_OK;
}

/* And has an object: what nobody has written to yet is not in the store, nor wanted there. */
static bool is_in_step(const struct slot_view *v)
{
	return v->files == FILES_PRESENT && v->txid != 0 && !v->pushing && !v->conflict &&
	       !slot_is_dirty(v) && v->failed_since_ms == 0;
}

static bool has_more_than(const struct record *r, const char *db_path)
{
	struct capture *rest = NULL;
	struct userdb *u = NULL;
	bool more = false;

	if (userdb_open(db_path, USERDB_INTERNAL, NULL, &u) == USERDB_OK)
		more = capture_begin(u, &r->position, &rest) == CAPTURE_PAGES;
	capture_end(rest);
	userdb_close(u);
	return more;
}

/*
 * The files leave a doubt when a transaction was rolled back after some of it
 * had gone to the WAL.  Only then is SQLite asked.
 */
static bool has_more_than_recorded(const struct accounts *all, const struct user_id *id)
{
	char db[PATH_MAX], sync[PATH_MAX], path[PATH_MAX];
	struct record record;
	bool more = false;

	if (path_of(all, id, "db.sqlite", db) < 0 || path_of(all, id, "sync", sync) < 0 ||
	    path_of(all, id, "lock", path) < 0)
		return false;
	switch (record_read(sync, &record)) {
	case RECORD_OK:
		break;
	case RECORD_MISSING:
		return true;
	case RECORD_FAILED:
		return false;
	}
	if (!wal_may_reach_beyond(db, &record.position))
		return false;
	int lock = right_open(path);
	if (lock >= 0 && right_claim(lock, RIGHT_FILES_SHARED))
		more = has_more_than(&record, db);
	if (lock >= 0)
		close(lock);
	return more;
}

bool account_was_written(struct accounts *all, const struct user_id *id, struct slot *slot)
{
	struct slot_view before, now;

	slot_read(slot, &before);
	if (!is_in_step(&before) || !has_more_than_recorded(all, id))
		return false;
	/* A push has changed what was read, unless none began and none ended. */
	slot_read(slot, &now);
	if (!is_in_step(&now) || now.ended != before.ended || !slot_is_of(slot, id))
		return false;
	slot_commit(slot);
	return true;
}

static struct entry *new_entry(struct accounts *all, const struct user_id *id)
{
	char path[PATH_MAX];

	if (path_of(all, id, "lock", path) < 0)
		return NULL;
	int lock = right_open(path);
	if (lock < 0)
		return NULL;
	struct entry *e = alloc_zeroed(1, sizeof *e);
	e->account.id = *id;
	e->account.lock = lock;
	SLIST_INSERT_HEAD(&all->hash[hash_of(id)], e, same_hash);
	all->count++;
	return e;
}

/* A file that was replaced since (a pull, a resolved conflict) has another inode. */
static enum account_result open_database(struct accounts *all, struct entry *e)
{
	char path[PATH_MAX];
	struct stat st;

	if (path_of(all, &e->account.id, "db.sqlite", path) < 0)
		return ACCOUNT_FAILED;
	if (stat(path, &st) < 0)
		return errno == ENOENT ? ACCOUNT_NO_FILES : ACCOUNT_FAILED;
	if (e->account.db != NULL && e->inode == st.st_ino)
		return ACCOUNT_OK;
	userdb_close(e->account.db);
	e->account.db = NULL;
	switch (userdb_open(path, all->role, &all->limits, &e->account.db)) {
	case USERDB_OK:
		e->inode = st.st_ino;
		return ACCOUNT_OK;
	case USERDB_ABSENT:
		return ACCOUNT_NO_FILES;
	case USERDB_BUSY:
		return ACCOUNT_BUSY;
	case USERDB_FAILED:
		break;
	}
	return ACCOUNT_FAILED;
}

/* Rights to a lock file that was removed say nothing to those who have the next one. */
static bool lock_is_in_place(const struct entry *e)
{
	struct stat st;

	return fstat(e->account.lock, &st) == 0 && st.st_nlink > 0;
}

/* Whoever has removed a database while we run has made this user one who is to be pulled. */
static enum account_result no_files(const struct user_id *id, struct slot *slot)
{
	struct slot_view v;

	slot_read(slot, &v);
	if (v.files == FILES_PRESENT && slot_is_of(slot, id)) {
		log_error("account.lost_files", "user=%s", id->text);
		slot_files_lost(slot);
	}
	return ACCOUNT_NO_FILES;
}

enum account_result account_open(struct accounts *all, const struct user_id *id,
				 struct account **out)
{
	struct slot *slot;
	enum account_result result = account_slot(all, id, &slot);

	if (result != ACCOUNT_OK)
		return result;
	struct entry *e = lookup(all, id);
	if (e == NULL) {
		keep_within(all, all->max_open - 1);
		e = new_entry(all, id);
		if (e == NULL)
			return errno == ENOENT ? no_files(id, slot) : ACCOUNT_FAILED;
	} else {
		if (e->in_use)
			return ACCOUNT_BUSY;
		TAILQ_REMOVE(&all->idle, e, idle);
	}
	e->in_use = true;
	if (!right_claim(e->account.lock, RIGHT_FILES_SHARED) || !lock_is_in_place(e))
		result = ACCOUNT_BUSY;
	else if (table_find(all->table, id) != slot)
		result = ACCOUNT_BUSY; /* somebody took the slot over meanwhile */
	else if (!slot_is_loaded(slot) && load(all, id, slot) < 0)
		result = ACCOUNT_FAILED; /* it went to another user and came back */
	else
		result = open_database(all, e);
	if (result != ACCOUNT_OK) {
		account_close(all, &e->account, false);
		return result == ACCOUNT_NO_FILES ? no_files(id, slot) : result;
	}
	e->account.slot = slot;
	*out = &e->account;
	return ACCOUNT_OK;
}

void account_detach(struct accounts *all, struct account *a)
{
	struct entry *e = (struct entry *)a;

	assert(e->in_use && !e->detached);
	SLIST_REMOVE(&all->hash[hash_of(&a->id)], e, entry, same_hash);
	e->detached = true;
}

/* One that was detached comes back if the user has no other one by now. */
static void attach(struct accounts *all, struct entry *e)
{
	if (!e->detached || lookup(all, &e->account.id) != NULL)
		return;
	SLIST_INSERT_HEAD(&all->hash[hash_of(&e->account.id)], e, same_hash);
	e->detached = false;
}

void account_close(struct accounts *all, struct account *a, bool reusable)
{
	struct entry *e = (struct entry *)a;

	e->in_use = false;
	if (reusable)
		attach(all, e);
	reusable = reusable && !e->detached;
	if (!reusable) {
		drop(all, e);
		return;
	}
	right_release(a->lock, RIGHT_FILES_SHARED);
	TAILQ_INSERT_HEAD(&all->idle, e, idle);
	keep_within(all, all->max_open);
}
