#include "sync/compact.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "db/capture.h"
#include "state/right.h"
#include "state/slot.h"
#include "sync/apply.h"
#include "sync/chain.h"
#include "sync/outgoing.h"
#include "sync/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PATIENCE_MS = 5 * 60 * 1000, /* after an attempt that failed */
	MERGE_LINKS = 256,
	MERGE_LEVELS = 3, /* 256 pushes each, 65,536, 16 million */
};

struct compact {
	struct sync *sync;
	struct user_id id;
	int lock; /* of our own: its rights outlast those of the push */
	bool forced;
	enum metrics_job job; /* a snapshot or a merge */
	int64_t put_ms; /* when its object began to go out, monotonic */
	struct tally tally;
	struct tally next; /* what it says once the object is in the store */

	/* a snapshot */
	struct userdb *db;
	struct capture *capture;

	/* a merge */
	struct apply *apply;
	int fd; /* of the file that it applies to */
	uint32_t pgno; /* the last page that was looked for */
	uint8_t *page;

	struct outgoing *outgoing;
	struct task task;
	struct spill *body;
	char key[OBJECT_KEY_MAX]; /* of the object that is made */
	struct object_request request;

	/* what is superfluous */
	struct object_listing listing;
	struct chain oldest; /* what restores the oldest state that is to stay */
	size_t place; /* in the listing */
	size_t removed;

	char dir[PATH_MAX];
	char db_path[PATH_MAX];
	char tally_path[PATH_MAX];
};

static void list(struct compact *c);

/* The WAL cannot start over while we read, and nobody can replace the database. */
static void release_database(struct compact *c)
{
	capture_end(c->capture);
	c->capture = NULL;
	userdb_close(c->db);
	c->db = NULL;
	if (c->lock >= 0)
		right_release(c->lock, RIGHT_FILES_SHARED);
}

/* All that belongs to the object that was made. */
static void release_object(struct compact *c)
{
	tasks_drop(&c->sync->tasks, &c->task);
	outgoing_free(c->outgoing);
	c->outgoing = NULL;
	release_database(c);
	apply_free(c->apply);
	c->apply = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	free(c->page);
	c->page = NULL;
	spill_free(c->body);
	c->body = NULL;
}

void compact_free(struct compact *c)
{
	if (c == NULL)
		return;
	c->sync->compacts--;
	release_object(c);
	object_listing_release(&c->listing);
	chain_release(&c->oldest);
	if (c->lock >= 0)
		close(c->lock);
	free(c);
}

static void compact_failed(struct compact *c, const char *what, enum object_error error)
{
	log_warn("compact.failed", "user=%s what=%s error=%s", c->id.text, what,
		 object_error_name[error]);
	metrics_failed(table_metrics(c->sync->table), c->job, error);
	c->tally.not_before_ms = clock_wall_ms() + PATIENCE_MS;
	tally_write(c->tally_path, &c->tally);
	compact_free(c);
}

static void start_request(struct compact *c, enum object_verb verb,
			  void (*done)(struct object_request *))
{
	memset(&c->request, 0, sizeof c->request);
	c->request.verb = verb;
	c->request.done = done;
	c->request.owner = c;
}

/* -- the way out of a snapshot or a merge -- */

static void put_done(struct object_request *q)
{
	struct compact *c = q->owner;

	/* Taken: by an attempt whose answer never came. */
	if (q->result != OBJECT_OK && q->result != OBJECT_TAKEN) {
		compact_failed(c, "create", q->error);
		return;
	}
	FAULT("compact.after_put");
	metrics_done(table_metrics(c->sync->table), c->job, spill_len(c->body),
		     (clock_mono_ms() - c->put_ms) * 1000);
	log_info("compact.done", "user=%s key=%s bytes=%" PRIu64, c->id.text, q->key,
		 spill_len(c->body));
	c->tally = c->next;
	release_object(c);
	if (tally_write(c->tally_path, &c->tally) < 0)
		compact_free(c);
	else
		list(c);
}

static void put(struct compact *c)
{
	c->body = outgoing_body(c->outgoing);
	if (c->capture != NULL)
		c->next.snapshot_bytes = spill_len(c->body);
	else
		c->next.merged_bytes += spill_len(c->body);
	release_database(c);
	FAULT("compact.before_put");
	c->put_ms = clock_mono_ms();
	start_request(c, OBJECT_CREATE, put_done);
	c->request.body = c->body;
	memcpy(c->request.key, c->key, sizeof c->request.key);
	store_start(c->sync->store, &c->request);
}

static bool encode_slice(void *owner)
{
	struct compact *c = owner;

	switch (outgoing_step(c->outgoing)) {
	case OUTGOING_MORE:
		return true;
	case OUTGOING_READY:
		put(c);
		break;
	case OUTGOING_FAILED:
		compact_failed(c, "encode", ERROR_DISK);
		break;
	}
	return false;
}

/* -- the claim -- */

static int set_paths(struct compact *c)
{
	const char *data = c->sync->config.data;

	if (user_path(data, &c->id, "", c->dir, sizeof c->dir) < 0 ||
	    user_path(data, &c->id, "db.sqlite", c->db_path, sizeof c->db_path) < 0 ||
	    user_path(data, &c->id, "tally", c->tally_path, sizeof c->tally_path) < 0)
		return -1;
	return 0;
}

static bool is_due(struct compact *c, const struct record *r, enum tally_due wanted)
{
	tally_read(c->tally_path, &c->tally);
	return tally_due(&c->tally, r, clock_wall_ms()) == wanted;
}

static bool claim_right(struct compact *c)
{
	char path[PATH_MAX];

	if (user_path(c->sync->config.data, &c->id, "lock", path, sizeof path) < 0)
		return false;
	c->lock = right_open(path);
	return c->lock >= 0 && right_claim(c->lock, RIGHT_COMPACT);
}

static struct compact *compact_new(struct sync *s, const struct user_id *id)
{
	if (s->compacts > 0 || s->mode != ENGINE_RUNS)
		return NULL;
	struct compact *c = alloc_zeroed(1, sizeof *c);
	c->sync = s;
	c->id = *id;
	c->lock = -1;
	c->fd = -1;
	c->job = METRICS_SNAPSHOT;
	s->compacts++;
	if (set_paths(c) == 0)
		return c;
	compact_free(c);
	return NULL;
}

/* NULL: it is not due, or somebody is at it. */
static struct compact *claim(struct sync *s, const struct user_id *id, const struct record *r,
			     enum tally_due wanted)
{
	struct compact *c = compact_new(s, id);

	/* Whoever held the right until now may have done it: asked once more. */
	if (c == NULL || (is_due(c, r, wanted) && claim_right(c) && is_due(c, r, wanted)))
		return c;
	compact_free(c);
	return NULL;
}

/* -- a snapshot -- */

static struct compact *with_database(struct compact *c)
{
	if (right_claim(c->lock, RIGHT_FILES_SHARED) &&
	    userdb_open(c->db_path, USERDB_INTERNAL, NULL, &c->db) == USERDB_OK)
		return c;
	compact_free(c);
	return NULL;
}

struct compact *compact_claim(struct sync *s, const struct user_id *id, const struct record *r)
{
	struct compact *c = claim(s, id, r, TALLY_SNAPSHOT);

	return c == NULL ? NULL : with_database(c);
}

struct compact *compact_force(struct sync *s, const struct user_id *id)
{
	struct compact *c = compact_new(s, id);

	if (c != NULL && claim_right(c)) {
		c->forced = true;
		tally_read(c->tally_path, &c->tally);
		return with_database(c);
	}
	compact_free(c);
	return NULL;
}

struct userdb *compact_db(struct compact *c)
{
	return c->db;
}

void compact_start(struct compact *c, struct capture *capture, const struct record *r)
{
	struct ltx_header h;

	c->capture = capture;
	c->next = (struct tally){
		.reach = r->txid,
		.snapshot_pages = r->position.npages,
		.pushed_bytes = r->pushed_bytes,
	};
	if (capture_widen(capture) < 0) {
		compact_failed(c, "capture", ERROR_DISK);
		return;
	}
	chain_key(&c->id, CHAIN_SNAPSHOT_LEVEL, 1, r->txid, c->key);
	outgoing_header(capture, r->txid, c->sync->config.node, &h);
	h.min_txid = 1;
	c->outgoing = outgoing_of_capture(capture, &h, c->dir);
	tasks_add(&c->sync->tasks, &c->task, encode_slice, c);
}

/* -- a merge -- */

/* The next page of the file that was in one of the merged objects. */
static enum capture_page next_page(void *owner, uint32_t *pgno, const uint8_t **page)
{
	struct compact *c = owner;
	const struct applied *a = apply_outcome(c->apply);

	do {
		if (c->pgno == a->npages)
			return CAPTURE_LAST;
		c->pgno++;
	} while (!apply_has_page(c->apply, c->pgno));
	ssize_t n = pread(c->fd, c->page, a->page_size, (off_t)(c->pgno - 1) * a->page_size);
	if (n != (ssize_t)a->page_size) {
		log_error("compact.failed", "user=%s call=pread error=\"%s\"", c->id.text,
			  strerror(errno));
		return CAPTURE_PAGE_FAILED;
	}
	*pgno = c->pgno;
	*page = c->page;
	return CAPTURE_PAGE;
}

static void applied(struct apply *a, void *owner)
{
	const struct applied *got = apply_outcome(a);
	struct compact *c = owner;

	if (got->result != APPLY_DONE) {
		compact_failed(c, "fetch", got->error);
		return;
	}
	const struct ltx_header h = {
		.page_size = got->page_size,
		.commit = got->npages,
		.min_txid = got->min_txid,
		.max_txid = got->txid,
		.timestamp_ms = clock_wall_ms(),
		.node = c->sync->config.node,
	};
	c->pgno = 0;
	c->page = alloc_zeroed(1, got->page_size);
	c->outgoing = outgoing_new(next_page, c, &h, c->dir);
	tasks_add(&c->sync->tasks, &c->task, encode_slice, c);
}

static void merge(struct compact *c, struct chain *links)
{
	const struct chain_link *first = &links->links[0], *last = &links->links[links->count - 1];

	c->job = METRICS_MERGE;
	c->next = c->tally;
	chain_key(&c->id, first->level + 1, first->min_txid, last->max_txid, c->key);
	c->fd = open(c->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (c->fd < 0) {
		log_error("compact.failed", "user=%s call=open path=%s error=\"%s\"", c->id.text,
			  c->dir, strerror(errno));
		chain_release(links);
		compact_failed(c, "file", ERROR_DISK);
		return;
	}
	c->apply = apply_start(c->sync->store, &c->sync->tasks, links, c->fd, c->dir, applied, c);
}

void compact_merge(struct sync *s, const struct user_id *id, const struct record *r)
{
	struct compact *c = claim(s, id, r, TALLY_MERGE);

	if (c == NULL)
		return;
	c->job = METRICS_MERGE;
	list(c);
}

/* -- what is superfluous -- */

static void remove_next(struct compact *c);

static void removed(struct object_request *q)
{
	struct compact *c = q->owner;

	if (q->result != OBJECT_OK) {
		compact_failed(c, "delete", q->error);
		return;
	}
	FAULT("compact.after_delete");
	c->removed++;
	remove_next(c);
}

/* Objects that reach beyond the oldest state lead to younger ones. */
static const char *next_superfluous(struct compact *c)
{
	uint64_t oldest = c->oldest.links[c->oldest.count - 1].max_txid;
	struct chain_link link;

	while (c->place < c->listing.count) {
		const struct object_entry *e = &c->listing.entries[c->place++];
		if (chain_parse(e, &link) && link.max_txid <= oldest &&
		    !chain_has(&c->oldest, e->key))
			return e->key;
	}
	return NULL;
}

static void remove_next(struct compact *c)
{
	const char *key = next_superfluous(c);

	if (key == NULL) {
		if (c->removed > 0)
			log_info("compact.removed", "user=%s objects=%zu", c->id.text, c->removed);
		compact_free(c);
		return;
	}
	start_request(c, OBJECT_DELETE, removed);
	memcpy(c->request.key, key, sizeof c->request.key);
	store_start(c->sync->store, &c->request);
}

/* The oldest state that is to stay is the one that was the last when the retention began. */
static void remove_superfluous(struct compact *c)
{
	uint64_t txid = chain_txid_at(&c->listing, clock_wall_ms() - c->sync->config.retention_ms);

	if (txid != 0 && chain_choose(&c->listing, txid, &c->oldest) == CHAIN_OK)
		remove_next(c);
	else
		compact_free(c);
}

/* -- the listing -- */

/* Whoever pushes next looks for itself what is missing, or no longer is. */
static void suspect(struct compact *c)
{
	struct slot *slot = table_find(c->sync->table, &c->id);

	if (slot == NULL)
		return;
	slot_suspect(slot);
	slot_hurry(slot, clock_mono_ms());
	table_set_due(c->sync->table, slot);
}

static void note_reach(struct compact *c, const struct chain *all)
{
	uint64_t reach = chain_merged_until(all);

	if (c->tally.reach == reach)
		return;
	c->tally.reach = reach;
	tally_write(c->tally_path, &c->tally);
}

static void listed(struct object_request *q)
{
	struct compact *c = q->owner;
	struct chain all, run;

	c->listing = q->listing;
	if (q->result != OBJECT_OK) {
		compact_failed(c, "list", q->error);
		return;
	}
	enum chain_result result = chain_choose(&c->listing, 0, &all);
	if (result != CHAIN_OK || c->forced)
		suspect(c);
	if (result != CHAIN_OK) {
		compact_failed(c, "chain", ERROR_MISSING);
		return;
	}
	if (chain_run(&all, MERGE_LINKS, MERGE_LEVELS, &run)) {
		merge(c, &run);
	} else {
		note_reach(c, &all);
		remove_superfluous(c);
	}
	chain_release(&all);
}

static void list(struct compact *c)
{
	object_listing_release(&c->listing);
	start_request(c, OBJECT_LIST, listed);
	chain_prefix(&c->id, c->request.key);
	store_start(c->sync->store, &c->request);
}
