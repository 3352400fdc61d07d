/*
 * One user's push, from the claim of the right to its release.
 *
 *	round:	record -> spool's first, or else a capture -> put -> record
 *	again while there is more, then checkpoint and release
 *
 * The key of the object follows from the record's TXID and the object is
 * created only if it does not exist.  A refusal, or an answer that never came,
 * is settled by the first 100 bytes of the object that is there: the node id
 * in them says whether it is ours, the WAL position how far it reaches.  What
 * is ours is adopted, whatever attempt it came from.
 *
 * A crash at any point leaves the record at or one object behind the store,
 * and the next push finds out by the same way.
 */
#include "sync/engine.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "db/capture.h"
#include "state/right.h"
#include "state/slot.h"
#include "sync/backlog.h"
#include "sync/chain.h"
#include "sync/compact.h"
#include "sync/outgoing.h"
#include "sync/record.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	SPILL_MEMORY = 1 << 20,
	LATER_MS = 20,
};

struct push {
	struct sync *sync;
	struct account *account;
	struct slot *slot;
	struct backlog backlog;
	struct record *record; /* the backlog's */
	bool keeps_local; /* whatever history the store has, ours goes on top */
	uint64_t covered; /* commits that this round stores */
	struct wal_position position; /* what this round reaches */
	uint8_t header[LTX_HEADER_LEN]; /* of the object that this round puts */
	bool mends; /* a snapshot is owed, due or not */
	struct compact *compact; /* writes a snapshot of what this round reaches, or NULL */
	struct capture *capture; /* while it is encoded */
	struct outgoing *outgoing;
	struct task task;
	struct spill *body;
	bool spooled; /* it is the spool's first file, not a capture */
	int64_t round_ms; /* when the round began, monotonic */
	enum object_error put_error; /* of a put whose outcome is asked for */
	struct object_request request;
	char user_dir[PATH_MAX];
};

static void push_round(struct push *p);
static void put_done(struct object_request *q);

/* With it goes the snapshot that would have been made of it. */
static void release_capture(struct push *p)
{
	outgoing_free(p->outgoing);
	p->outgoing = NULL;
	capture_end(p->capture);
	p->capture = NULL;
	compact_free(p->compact);
	p->compact = NULL;
}

static void push_end(struct push *p)
{
	struct sync *s = p->sync;
	struct slot *slot = p->slot;

	tasks_drop(&s->tasks, &p->task);
	release_capture(p);
	slot_push_ended(slot, clock_mono_ms());
	right_release(p->account->lock, RIGHT_PUSH);
	account_close(s->accounts, p->account, true);
	spill_free(p->body);
	spill_free(p->request.answer);
	free(p);
	s->pushes--;
}

static uint32_t random_word(void)
{
	uint32_t word = 0;

	/* Only jitter: without entropy it is the shortest wait. */
	if (getrandom(&word, sizeof word, 0) != (ssize_t)sizeof word)
		word = 0;
	return word;
}

static void push_failed(struct push *p, enum object_error error, enum object_result result,
			int64_t asked_ms)
{
	const struct backoff *retry = &p->sync->config.retry;
	int64_t now = clock_wall_ms();
	struct slot_view v;

	slot_read(p->slot, &v);
	int64_t wait = backoff_wait_ms(retry, v.failures + 1, asked_ms, random_word());
	if (result == OBJECT_REFUSED && wait < retry->max_ms)
		wait = retry->max_ms;
	if (p->record->failed_since_ms == 0) {
		p->record->failed_since_ms = now;
		p->record->error = error;
		/* Without it a restart would show this user as merely dirty for a while. */
		if (p->backlog.recorded)
			backlog_save(&p->backlog);
	}
	log_event(v.failures == 0 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "push.failed",
		  "user=%s txid=%" PRIu64 " error=%s attempt=%u wait_ms=%" PRId64,
		  p->account->id.text, p->record->txid + 1, object_error_name[error],
		  v.failures + 1, wait);
	health_failed(&p->sync->health, error, clock_mono_ms());
	slot_push_failed(p->slot, error, now, clock_mono_ms() + wait,
			 result == OBJECT_REFUSED || asked_ms > 0);
	release_capture(p);
	backlog_bound(&p->backlog);
	slot_push_shortened(p->slot);
	push_end(p);
}

static void push_conflict(struct push *p, const char *key)
{
	log_error("push.conflict", "user=%s key=%s", p->account->id.text, key);
	p->record->failed_since_ms = clock_wall_ms();
	p->record->error = ERROR_CONFLICT;
	if (p->backlog.recorded)
		backlog_save(&p->backlog);
	FAULT("conflict.after_record");
	slot_push_conflict(p->slot, true);
	slot_keep(p->slot, p->sync->config.on_conflict);
	if (p->sync->config.on_conflict != KEEP_UNDECIDED)
		table_set_due(p->sync->table, p->slot);
	push_end(p);
}

static void start_request(struct push *p, enum object_verb verb,
			  void (*done)(struct object_request *))
{
	spill_free(p->request.answer);
	memset(&p->request, 0, sizeof p->request);
	p->request.verb = verb;
	p->request.done = done;
	p->request.owner = p;
	if (verb == OBJECT_GET)
		p->request.answer = spill_new(p->user_dir, SPILL_MEMORY);
}

static void ask_for_header(struct push *p, uint64_t txid, void (*done)(struct object_request *))
{
	start_request(p, OBJECT_GET, done);
	p->request.range_len = LTX_HEADER_LEN;
	chain_push_key(&p->account->id, txid, p->request.key);
	store_start(p->sync->store, &p->request);
}

static void put(struct push *p)
{
	start_request(p, OBJECT_CREATE, put_done);
	p->request.body = p->body;
	chain_push_key(&p->account->id, p->record->txid + 1, p->request.key);
	FAULT("push.before_put");
	store_start(p->sync->store, &p->request);
}

/* Everything up to `covered` is in the store, by this round or an earlier one. */
static void push_stored(struct push *p)
{
	if (slot_push_clears(p->slot, p->covered)) {
		p->record->failed_since_ms = 0;
		p->record->error = ERROR_NONE;
	}
	if (backlog_save(&p->backlog) < 0) {
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		return;
	}
	FAULT("push.after_record");
	slot_push_stored(p->slot, p->covered, p->record->txid, clock_wall_ms());
	slot_push_shortened(p->slot);
	FAULT("push.after_stored");
	compact_merge(p->sync, &p->account->id, p->record);
	if (slot_committed(p->slot) == p->covered) {
		backlog_checkpoint(&p->backlog);
		push_end(p);
		return;
	}
	/* While every push ends with new commits in the WAL, it would grow for ever. */
	if (p->record->position.frame >= BACKLOG_BUSY_FRAMES)
		backlog_shorten(&p->backlog);
	push_round(p);
}

static void spooled_stored(struct push *p)
{
	if (backlog_spooled_stored(&p->backlog) < 0)
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
	else
		push_round(p);
}

/* From what was captured, which is in the store by now. */
static void start_snapshot(struct push *p)
{
	if (p->compact == NULL)
		return;
	compact_start(p->compact, p->capture, p->record);
	p->compact = NULL;
	p->capture = NULL;
}

/* Until the snapshot is there, nothing restores: the user is not in step. */
static void mended(struct push *p)
{
	if (backlog_save(&p->backlog) < 0)
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
	else
		push_failed(p, ERROR_MISSING, OBJECT_TRY_LATER, 0);
}

static void put_stored(struct push *p)
{
	health_succeeded(&p->sync->health, clock_mono_ms());
	FAULT("push.after_put");
	p->record->txid++;
	p->record->pushed_bytes += spill_len(p->body);
	log_info("push.done", "user=%s txid=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRId64,
		 p->account->id.text, p->record->txid, spill_len(p->body),
		 clock_mono_ms() - p->round_ms);
	FAULT("push.before_record");
	if (p->spooled) {
		spooled_stored(p);
		return;
	}
	p->record->position = p->position;
	start_snapshot(p);
	if (p->mends)
		mended(p);
	else
		push_stored(p);
}

/* Where in the WAL an object ends; nowhere, if the WAL has started over since. */
static struct wal_position end_of(struct push *p, const struct ltx_header *h)
{
	struct wal_position end = { .page_size = 0 };
	uint64_t frame = 0;

	if (h->wal_len > 0)
		frame = (h->wal_offset + h->wal_len - 32) / (h->page_size + 24u);
	if (frame == 0 || frame > UINT32_MAX ||
	    wal_position_at(p->account->db, h->wal_salt, (uint32_t)frame, &end) != CAPTURE_PAGES)
		return (struct wal_position){ .page_size = 0 };
	return end;
}

/*
 * An object of ours from an attempt whose answer never came.  It may reach
 * less far than what is committed now; the rest goes out as the next one.  If
 * it was spooled meanwhile, the spool holds all of it and more.
 */
static void adopt(struct push *p, const struct ltx_header *h)
{
	p->record->txid = h->max_txid;
	if (p->record->spool_first == 0)
		p->record->position = end_of(p, h);
	log_info("push.adopted", "user=%s txid=%" PRIu64 " frame=%" PRIu32 " spool=%" PRIu64,
		 p->account->id.text, h->max_txid, p->record->position.frame,
		 p->record->spool_first);
	FAULT("adopt.before_record");
	if (backlog_save(&p->backlog) < 0)
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
	else
		push_round(p);
}

static void settle(struct push *p, const uint8_t bytes[LTX_HEADER_LEN])
{
	struct ltx_header h;

	if (memcmp(bytes, p->header, LTX_HEADER_LEN) == 0)
		put_stored(p);
	else if (ltx_header_read(bytes, &h) < 0 || h.node != p->sync->config.node)
		push_conflict(p, p->request.key);
	else
		adopt(p, &h);
}

static void asked(struct object_request *q)
{
	struct push *p = q->owner;
	uint8_t bytes[LTX_HEADER_LEN];

	switch (q->result) {
	case OBJECT_OK:
		if (spill_read(q->answer, 0, bytes, sizeof bytes) == (int64_t)sizeof bytes)
			settle(p, bytes);
		else
			push_failed(p, ERROR_DAMAGED, OBJECT_DAMAGED, 0);
		return;
	case OBJECT_ABSENT:
		/* Not yet there is not "not stored": the next attempt has the same key. */
		push_failed(p, p->put_error, OBJECT_UNKNOWN, 0);
		return;
	case OBJECT_TAKEN:
	case OBJECT_UNKNOWN:
	case OBJECT_TRY_LATER:
	case OBJECT_REFUSED:
	case OBJECT_DAMAGED:
		push_failed(p, q->error, q->result, q->retry_after_ms);
		return;
	}
}

static void ask(struct push *p, enum object_error why)
{
	p->put_error = why;
	ask_for_header(p, p->record->txid + 1, asked);
}

static void put_done(struct object_request *q)
{
	struct push *p = q->owner;

	switch (q->result) {
	case OBJECT_OK:
		put_stored(p);
		return;
	case OBJECT_TAKEN:
		ask(p, ERROR_SERVER);
		return;
	case OBJECT_UNKNOWN:
		/*
		 * Whoever is silent would be silent to the question too, and the
		 * user is to be told in time.  The next attempt settles it.
		 */
		if (q->error == ERROR_TIMEOUT)
			push_failed(p, q->error, q->result, q->retry_after_ms);
		else
			ask(p, q->error);
		return;
	case OBJECT_TRY_LATER:
	case OBJECT_REFUSED:
	case OBJECT_DAMAGED:
	case OBJECT_ABSENT:
		push_failed(p, q->error, q->result, q->retry_after_ms);
		return;
	}
}

static void put_encoded(struct push *p)
{
	spill_free(p->body);
	p->body = outgoing_body(p->outgoing);
	p->spooled = false;
	/* A snapshot goes on from it, once it is stored. */
	if (p->compact == NULL)
		release_capture(p);
	FAULT("push.after_capture");
	put(p);
}

static bool encode_slice(void *owner)
{
	struct push *p = owner;

	switch (outgoing_step(p->outgoing)) {
	case OUTGOING_MORE:
		return true;
	case OUTGOING_READY:
		put_encoded(p);
		break;
	case OUTGOING_FAILED:
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		break;
	}
	return false;
}

static void encode(struct push *p)
{
	struct ltx_header h;

	if (capture_gap(p->capture))
		log_warn("push.gap", "user=%s txid=%" PRIu64, p->account->id.text,
			 p->record->txid + 1);
	outgoing_header(p->capture, p->record->txid + 1, p->sync->config.node, &h);
	ltx_header_write(&h, p->header);
	p->position = *capture_position(p->capture);
	p->outgoing = outgoing_of_capture(p->capture, &h, p->user_dir);
	tasks_add(&p->sync->tasks, &p->task, encode_slice, p);
}

/* A snapshot of the state that the last push has reached. */
static void mend_as_it_is(struct push *p)
{
	static const struct wal_position nowhere = { .page_size = 0 };
	struct capture *since = NULL;

	/* If a commit has come in between, the next attempt stores it first. */
	if (capture_begin(compact_db(p->compact), &nowhere, &p->capture) == CAPTURE_PAGES &&
	    capture_begin(p->account->db, &p->record->position, &since) == CAPTURE_NOTHING)
		start_snapshot(p);
	capture_end(since);
	mended(p);
}

static void push_captured(struct push *p)
{
	struct userdb *db = p->account->db;

	/* Nothing restores without a first object that holds everything. */
	if (p->record->txid == 0)
		memset(&p->record->position, 0, sizeof p->record->position);
	if (p->compact == NULL)
		p->compact = compact_claim(p->sync, &p->account->id, p->record);
	if (p->compact != NULL)
		db = compact_db(p->compact);
	FAULT("push.before_capture");
	switch (capture_begin(db, &p->record->position, &p->capture)) {
	case CAPTURE_PAGES:
		encode(p);
		return;
	case CAPTURE_NOTHING:
		if (p->mends)
			mend_as_it_is(p);
		else
			push_stored(p);
		return;
	case CAPTURE_LATER:
		slot_push_put_off(p->slot, clock_mono_ms() + LATER_MS);
		push_end(p);
		return;
	case CAPTURE_FAILED:
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		return;
	}
}

/* A spool that cannot be read is no reason to stop: the database has it all. */
static void push_spooled(struct push *p)
{
	spill_free(p->body);
	p->body = backlog_spooled(&p->backlog, p->user_dir);
	p->spooled = true;
	if (p->body != NULL &&
	    spill_read(p->body, 0, p->header, sizeof p->header) == (int64_t)sizeof p->header)
		put(p);
	else if (backlog_forget(&p->backlog) < 0)
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
	else
		push_captured(p);
}

static void push_backlog(struct push *p)
{
	if (p->record->spool_first != 0)
		push_spooled(p);
	else
		push_captured(p);
}

static void last_asked(struct object_request *q)
{
	struct push *p = q->owner;
	uint8_t bytes[LTX_HEADER_LEN];
	struct ltx_header h;

	if (q->result != OBJECT_OK) {
		push_failed(p, q->error ? q->error : ERROR_DAMAGED, q->result, q->retry_after_ms);
		return;
	}
	if (spill_read(q->answer, 0, bytes, sizeof bytes) != (int64_t)sizeof bytes ||
	    ltx_header_read(bytes, &h) < 0 || h.node != p->sync->config.node) {
		push_conflict(p, q->key);
		return;
	}
	p->record->txid = h.max_txid;
	push_captured(p);
}

/*
 * The user keeps this database: it goes, whole, behind the last transaction
 * that is there, which stays restorable by its TXID.
 */
static void push_on_top(struct push *p, uint64_t last_txid)
{
	memset(p->record, 0, sizeof *p->record);
	p->record->txid = last_txid;
	if (backlog_forget(&p->backlog) < 0) {
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		return;
	}
	FAULT("resolve.after_record");
	log_info("conflict.resolved", "user=%s keep=local txid=%" PRIu64, p->account->id.text,
		 last_txid + 1);
	slot_push_conflict(p->slot, false);
	p->keeps_local = false;
	p->backlog.recorded = true;
	push_captured(p);
}

static void listed(struct object_request *q)
{
	struct push *p = q->owner;
	struct chain_link last;

	if (q->result != OBJECT_OK && q->result != OBJECT_ABSENT) {
		push_failed(p, q->error, q->result, q->retry_after_ms);
		return;
	}
	bool any = chain_last(&q->listing, &last);
	object_listing_release(&q->listing);
	if (p->keeps_local) {
		push_on_top(p, any ? last.max_txid : 0);
		return;
	}
	if (!any) {
		push_captured(p);
		return;
	}
	start_request(p, OBJECT_GET, last_asked);
	p->request.range_len = LTX_HEADER_LEN;
	memcpy(p->request.key, last.key, sizeof p->request.key);
	store_start(p->sync->store, &p->request);
}

static void list(struct push *p, void (*done)(struct object_request *))
{
	start_request(p, OBJECT_LIST, done);
	chain_prefix(&p->account->id, p->request.key);
	store_start(p->sync->store, &p->request);
}

/* How far the store reaches, only the store can say. */
static void find_last(struct push *p)
{
	list(p, listed);
}

/* -- objects that somebody else removed -- */

/* Nobody has written anything that could be late. */
static void check_later(struct push *p)
{
	slot_push_put_off(p->slot, clock_mono_ms() + p->sync->config.retry.max_ms);
	push_end(p);
}

static bool is_restorable(const struct object_listing *listing, uint64_t txid)
{
	struct chain chain;

	if (chain_choose(listing, txid, &chain) != CHAIN_OK)
		return false;
	chain_release(&chain);
	return true;
}

/*
 * Nothing restores from behind a gap: a snapshot is written of what is here.
 * TXIDs go on from where they are, for one that was used is never used again.
 */
static void mend(struct push *p)
{
	if (backlog_save(&p->backlog) < 0) {
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		return;
	}
	p->compact = compact_force(p->sync, &p->account->id);
	p->mends = p->compact != NULL;
	if (p->mends)
		push_backlog(p);
	else
		push_failed(p, ERROR_MISSING, OBJECT_TRY_LATER, 0);
}

static void listed_for_gap(struct object_request *q)
{
	struct push *p = q->owner;
	struct slot_view v;

	if (q->result != OBJECT_OK && q->result != OBJECT_ABSENT) {
		slot_read(p->slot, &v);
		if (!slot_is_dirty(&v))
			check_later(p);
		else
			push_failed(p, q->error, q->result, q->retry_after_ms);
		return;
	}
	bool whole = p->record->txid == 0 || is_restorable(&q->listing, p->record->txid);
	object_listing_release(&q->listing);
	slot_push_checked(p->slot);
	if (!whole && !p->record->gap) {
		log_error("store.gap", "user=%s txid=%" PRIu64, p->account->id.text,
			  p->record->txid);
		table_store(p->sync->table)->gaps++;
	}
	p->record->gap = !whole;
	if (whole)
		push_backlog(p);
	else
		mend(p);
}

static void look_for_gap(struct push *p)
{
	list(p, listed_for_gap);
}

static void push_round(struct push *p)
{
	struct slot_view v;

	release_capture(p);
	p->mends = false;
	p->round_ms = clock_mono_ms();
	/* Counted before the WAL is read: what is counted here will be in the capture. */
	p->covered = slot_committed(p->slot);
	switch (backlog_read(&p->backlog)) {
	case RECORD_OK:
		slot_read(p->slot, &v);
		if (v.suspect || p->record->gap)
			look_for_gap(p);
		else
			push_backlog(p);
		return;
	case RECORD_MISSING:
		log_warn("record.missing", "user=%s", p->account->id.text);
		find_last(p);
		return;
	case RECORD_FAILED:
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		return;
	}
}

/* NULL: another worker is at it, or it cannot be done now. */
static struct push *push_claim(struct sync *s, struct slot *slot)
{
	struct account *account;
	struct user_id id;

	slot_id(slot, &id);
	switch (account_open(s->accounts, &id, &account)) {
	case ACCOUNT_OK:
		break;
	case ACCOUNT_BUSY:
		return NULL;
	case ACCOUNT_NO_FILES:
		table_clear_due(s->table, slot);
		return NULL;
	case ACCOUNT_FULL:
	case ACCOUNT_FAILED:
		slot_push_put_off(slot, clock_mono_ms() + s->config.retry.max_ms);
		return NULL;
	}
	if (account->slot != slot || !right_claim(account->lock, RIGHT_PUSH)) {
		account_close(s->accounts, account, true);
		return NULL;
	}
	struct push *p = alloc_zeroed(1, sizeof *p);
	p->sync = s;
	p->account = account;
	p->slot = slot;
	s->pushes++;
	slot_push_began(slot, s->mark, clock_mono_ms());
	p->record = &p->backlog.record;
	if (backlog_open(&p->backlog, &s->config, account) == 0 &&
	    user_path(s->config.data, &id, "", p->user_dir, sizeof p->user_dir) == 0)
		return p;
	push_end(p);
	return NULL;
}

void push_start(struct sync *s, struct slot *slot)
{
	struct push *p = push_claim(s, slot);

	if (p != NULL)
		push_round(p);
}

/* Our own last object, which retention may have removed behind a snapshot. */
static void last_checked(struct object_request *q)
{
	struct push *p = q->owner;

	switch (q->result) {
	case OBJECT_OK:
		slot_push_checked(p->slot);
		push_end(p);
		return;
	case OBJECT_ABSENT:
		look_for_gap(p);
		return;
	case OBJECT_TAKEN:
	case OBJECT_UNKNOWN:
	case OBJECT_TRY_LATER:
	case OBJECT_REFUSED:
	case OBJECT_DAMAGED:
		check_later(p);
		return;
	}
}

static void found_next(struct push *p)
{
	const struct spill *answer = p->request.answer;
	struct sync *s = p->sync;
	struct slot *slot = p->slot;
	uint8_t bytes[LTX_HEADER_LEN];
	struct ltx_header h;

	if (spill_read(answer, 0, bytes, sizeof bytes) == (int64_t)sizeof bytes &&
	    ltx_header_read(bytes, &h) == 0 && h.node == s->config.node) {
		adopt(p, &h);
		return;
	}
	log_info("check.behind", "user=%s txid=%" PRIu64, p->account->id.text, p->record->txid);
	push_end(p);
	pull_forward(s, slot);
}

static void next_checked(struct object_request *q)
{
	struct push *p = q->owner;

	switch (q->result) {
	case OBJECT_OK:
		found_next(p);
		return;
	case OBJECT_ABSENT:
		if (p->record->txid != 0) {
			ask_for_header(p, p->record->txid, last_checked);
			return;
		}
		slot_push_checked(p->slot);
		push_end(p);
		return;
	case OBJECT_TAKEN:
	case OBJECT_UNKNOWN:
	case OBJECT_TRY_LATER:
	case OBJECT_REFUSED:
	case OBJECT_DAMAGED:
		check_later(p);
		return;
	}
}

void push_check(struct sync *s, struct slot *slot)
{
	struct push *p = push_claim(s, slot);
	struct slot_view v;

	if (p == NULL)
		return;
	p->round_ms = clock_mono_ms();
	p->covered = slot_committed(slot);
	slot_read(slot, &v);
	if (backlog_read(&p->backlog) != RECORD_OK || v.suspect || p->record->gap)
		push_round(p);
	else
		ask_for_header(p, p->record->txid + 1, next_checked);
}

void push_keep_local(struct sync *s, struct slot *slot)
{
	struct push *p = push_claim(s, slot);

	if (p == NULL)
		return;
	p->keeps_local = true;
	p->round_ms = clock_mono_ms();
	p->covered = slot_committed(p->slot);
	find_last(p);
}

void push_give_up(struct sync *s, struct slot *slot)
{
	struct push *p = push_claim(s, slot);

	if (p == NULL)
		return;
	backlog_read(&p->backlog);
	push_failed(p, ERROR_BUSY, OBJECT_TRY_LATER, 0);
}

void push_shorten(struct sync *s, struct slot *slot)
{
	struct push *p = push_claim(s, slot);

	if (p == NULL)
		return;
	if (backlog_read(&p->backlog) == RECORD_OK)
		backlog_bound(&p->backlog);
	slot_push_shortened(slot);
	push_end(p);
}
