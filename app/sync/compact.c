#include "sync/compact.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/capture.h"
#include "ltx/ltx.h"
#include "state/right.h"
#include "sync/chain.h"
#include "sync/outgoing.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	SPILL_MEMORY = 1 << 20,
	MIN_BYTES = 1 << 20, /* less is not worth a snapshot, unless it is in many objects */
	MAX_PUSHES = 256,
};

struct compact {
	struct sync *sync;
	struct user_id id;
	uint64_t txid;
	uint64_t since; /* record.bytes_since that the snapshot makes up for */
	struct spill *body;
	struct object_request request;
	struct object_listing listing;
	size_t removable;
	size_t removed;
	char dir[PATH_MAX];
	char record_path[PATH_MAX];
};

bool compact_is_due(const struct record *r)
{
	uint64_t worth = r->snapshot_bytes > MIN_BYTES ? r->snapshot_bytes : MIN_BYTES;

	if (r->txid == 0 || r->spool_first != 0)
		return false;
	if (r->bytes_since >= worth)
		return true;
	return r->txid - r->snapshot_txid >= MAX_PUSHES && r->snapshot_bytes <= MIN_BYTES;
}

static void compact_end(struct compact *c)
{
	c->sync->compacts--;
	object_listing_release(&c->listing);
	spill_free(c->body);
	free(c);
}

static void start_request(struct compact *c, enum object_verb verb,
			  void (*done)(struct object_request *))
{
	memset(&c->request, 0, sizeof c->request);
	c->request.verb = verb;
	c->request.done = done;
	c->request.owner = c;
}

/* -- what is superfluous -- */

size_t compact_choose(struct object_listing *listing, int64_t cutoff_ms)
{
	struct chain_link link, base = { .max_txid = 0 };
	size_t count = 0;

	for (size_t i = 0; i < listing->count; i++) {
		const struct object_entry *e = &listing->entries[i];
		if (chain_parse(e, &link) && link.level == CHAIN_SNAPSHOT_LEVEL &&
		    link.min_txid == 1 && e->modified_ms != 0 && e->modified_ms <= cutoff_ms &&
		    link.max_txid > base.max_txid)
			base = link;
	}
	for (size_t i = 0; i < listing->count; i++) {
		if (!chain_parse(&listing->entries[i], &link) || link.max_txid > base.max_txid ||
		    strcmp(link.key, base.key) == 0)
			continue;
		if (count != i)
			listing->entries[count] = listing->entries[i];
		count++;
	}
	return count;
}

static void remove_next(struct compact *c);

static void removed(struct object_request *q)
{
	struct compact *c = q->owner;

	if (q->result == OBJECT_OK) {
		c->removed++;
		remove_next(c);
		return;
	}
	log_info("compact.failed", "user=%s verb=delete error=%s", c->id.text,
		 object_error_name[q->error]);
	compact_end(c);
}

static void remove_next(struct compact *c)
{
	if (c->removed == c->removable) {
		if (c->removed > 0)
			log_info("compact.removed", "user=%s objects=%zu", c->id.text, c->removed);
		compact_end(c);
		return;
	}
	start_request(c, OBJECT_DELETE, removed);
	memcpy(c->request.key, c->listing.entries[c->removed].key, sizeof c->request.key);
	store_start(c->sync->store, &c->request);
}

static void listed(struct object_request *q)
{
	struct compact *c = q->owner;

	c->listing = q->listing;
	if (q->result != OBJECT_OK) {
		compact_end(c);
		return;
	}
	c->removable = compact_choose(&c->listing, clock_wall_ms() - c->sync->config.retention_ms);
	remove_next(c);
}

/* -- the snapshot -- */

/* Another holder of the right is no reason to wait: the next snapshot finds this one. */
static void note_in_record(struct compact *c)
{
	struct account *a;
	struct record r;

	if (account_open(c->sync->accounts, &c->id, &a) != ACCOUNT_OK)
		return;
	if (right_claim(a->lock, RIGHT_PUSH)) {
		if (record_read(c->record_path, &r) == RECORD_OK && r.snapshot_txid < c->txid) {
			r.snapshot_txid = c->txid;
			r.snapshot_bytes = spill_len(c->body);
			r.bytes_since -= r.bytes_since < c->since ? r.bytes_since : c->since;
			record_write(c->record_path, &r);
		}
		right_release(a->lock, RIGHT_PUSH);
	}
	account_close(c->sync->accounts, a, true);
}

static void put_done(struct object_request *q)
{
	struct compact *c = q->owner;

	if (q->result != OBJECT_OK && q->result != OBJECT_TAKEN) {
		log_info("compact.failed", "user=%s verb=create error=%s", c->id.text,
			 object_error_name[q->error]);
		compact_end(c);
		return;
	}
	log_info("compact.done", "user=%s txid=%" PRIu64 " bytes=%" PRIu64, c->id.text, c->txid,
		 spill_len(c->body));
	note_in_record(c);
	start_request(c, OBJECT_LIST, listed);
	chain_prefix(&c->id, c->request.key);
	store_start(c->sync->store, &c->request);
}

static bool is_same(const struct wal_position *a, const struct wal_position *b)
{
	return a->frame == b->frame && memcmp(a->salt, b->salt, sizeof a->salt) == 0 &&
	       a->sum[0] == b->sum[0] && a->sum[1] == b->sum[1] && a->npages == b->npages;
}

/* -1: a commit has come meanwhile, or it cannot be read. */
static int take_snapshot(struct compact *c, struct userdb *db, const struct record *r)
{
	static const struct wal_position nowhere = { .page_size = 0 };
	struct capture *capture = NULL;
	struct ltx_header h;
	int rc = -1;

	if (capture_begin(db, &nowhere, &capture) != CAPTURE_PAGES)
		return -1;
	if (is_same(capture_position(capture), &r->position)) {
		outgoing_header(capture, r->txid, c->sync->config.node, &h);
		h.min_txid = 1;
		c->body = spill_new(c->dir, SPILL_MEMORY);
		rc = outgoing_encode(capture, &h, outgoing_to_spill, c->body);
	}
	capture_end(capture);
	return rc;
}

/* With both rights; what it reads is the state of record.txid. */
static int prepare(struct compact *c, struct account *a)
{
	struct record r;

	if (record_read(c->record_path, &r) != RECORD_OK || !compact_is_due(&r))
		return -1;
	c->txid = r.txid;
	c->since = r.bytes_since;
	return take_snapshot(c, a->db, &r);
}

static int set_paths(struct compact *c)
{
	const char *data = c->sync->config.data;

	if (user_path(data, &c->id, "", c->dir, sizeof c->dir) < 0 ||
	    user_path(data, &c->id, "sync", c->record_path, sizeof c->record_path) < 0)
		return -1;
	return 0;
}

void compact_start(struct sync *s, struct slot *slot)
{
	struct compact *c;
	struct account *a;
	int rc = -1;

	if (s->compacts > 0)
		return;
	c = alloc_zeroed(1, sizeof *c);
	c->sync = s;
	s->compacts++;
	slot_id(slot, &c->id);
	if (set_paths(c) == 0 && account_open(s->accounts, &c->id, &a) == ACCOUNT_OK) {
		if (right_claim(a->lock, RIGHT_PUSH)) {
			rc = prepare(c, a);
			right_release(a->lock, RIGHT_PUSH);
		}
		account_close(s->accounts, a, true);
	}
	if (rc < 0) {
		compact_end(c);
		return;
	}
	start_request(c, OBJECT_CREATE, put_done);
	c->request.body = c->body;
	chain_snapshot_key(&c->id, c->txid, c->request.key);
	store_start(s->store, &c->request);
}
