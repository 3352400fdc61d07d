/*
 * One user's push, from the claim of the right to its release.
 *
 *	round:	record -> spool's first, or else a capture -> put -> record
 *	again while there is more, then checkpoint and release
 *
 * The key of the object follows from the record's TXID and the object is
 * created only if it does not exist.  A refusal, or an answer that never came,
 * is settled by what is there, see inquiry.c.
 *
 * A crash at any point leaves the record at or one object behind the store,
 * and the next push finds out by the same way.
 */
#include "sync/push.h"

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

void push_end(struct push *p)
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

void push_failed(struct push *p, enum object_error error, enum object_result result,
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
	log_warn("push.failed", "user=%s txid=%" PRIu64 " error=%s attempt=%u wait_ms=%" PRId64,
		 p->account->id.text, p->record->txid + 1, object_error_name[error], v.failures + 1,
		 wait);
	health_failed(&p->sync->health, error, clock_mono_ms());
	metrics_failed(table_metrics(p->sync->table), METRICS_PUSH, error);
	slot_push_failed(p->slot, error, now, clock_mono_ms() + wait,
			 result == OBJECT_REFUSED || asked_ms > 0);
	release_capture(p);
	backlog_bound(&p->backlog);
	slot_push_shortened(p->slot);
	push_end(p);
}

void push_conflict(struct push *p, const char *key)
{
	log_error("push.conflict", "user=%s key=%s", p->account->id.text, key);
	metrics_failed(table_metrics(p->sync->table), METRICS_PUSH, ERROR_CONFLICT);
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

void push_request(struct push *p, enum object_verb verb, void (*done)(struct object_request *))
{
	spill_free(p->request.answer);
	memset(&p->request, 0, sizeof p->request);
	p->request.verb = verb;
	p->request.done = done;
	p->request.owner = p;
	if (verb == OBJECT_GET)
		p->request.answer = spill_new(p->user_dir, SPILL_MEMORY);
}

static void put(struct push *p)
{
	push_request(p, OBJECT_CREATE, put_done);
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
	slot_push_stored(p->slot, p->covered, p->record->txid,
			 (uint32_t)(clock_mono_ms() - p->round_ms), clock_wall_ms());
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

void push_put_stored(struct push *p)
{
	health_succeeded(&p->sync->health, clock_mono_ms());
	FAULT("push.after_put");
	p->record->txid++;
	p->record->pushed_bytes += spill_len(p->body);
	int64_t ms = clock_mono_ms() - p->round_ms;
	metrics_done(table_metrics(p->sync->table), METRICS_PUSH, spill_len(p->body), ms * 1000);
	log_info("push.done", "user=%s txid=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRId64,
		 p->account->id.text, p->record->txid, spill_len(p->body), ms);
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

static void put_done(struct object_request *q)
{
	struct push *p = q->owner;

	switch (q->result) {
	case OBJECT_OK:
		push_put_stored(p);
		return;
	case OBJECT_TAKEN:
		inquiry_outcome(p, ERROR_SERVER);
		return;
	case OBJECT_UNKNOWN:
		/*
		 * Whoever is silent would be silent to the question too, and the
		 * user is to be told in time.  The next attempt settles it.
		 */
		if (q->error == ERROR_TIMEOUT)
			push_failed(p, q->error, q->result, q->retry_after_ms);
		else
			inquiry_outcome(p, q->error);
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

void push_captured(struct push *p)
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

void push_backlog(struct push *p)
{
	if (p->record->spool_first != 0)
		push_spooled(p);
	else
		push_captured(p);
}

void push_round(struct push *p)
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
			inquiry_gap(p);
		else
			push_backlog(p);
		return;
	case RECORD_MISSING:
		log_warn("record.missing", "user=%s", p->account->id.text);
		inquiry_last(p);
		return;
	case RECORD_FAILED:
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		return;
	}
}

/* NULL: another worker is at it, or it cannot be done now. */
struct push *push_claim(struct sync *s, struct slot *slot)
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
