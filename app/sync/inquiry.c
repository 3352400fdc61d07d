/*
 * What only the store can say, and what follows from it.
 *
 * The first 100 bytes of an object are its LTX header: the node id in it says
 * whether it is ours, the WAL position how far it reaches.  What is ours is
 * adopted, whatever attempt it came from.
 */
#include "sync/push.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "db/capture.h"
#include "state/slot.h"
#include "sync/chain.h"
#include "sync/compact.h"

#include <inttypes.h>
#include <string.h>

static void ask_for_header(struct push *p, uint64_t txid, void (*done)(struct object_request *))
{
	push_request(p, OBJECT_GET, done);
	p->request.range_len = LTX_HEADER_LEN;
	chain_push_key(&p->account->id, txid, p->request.key);
	store_start(p->sync->store, &p->request);
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
		push_put_stored(p);
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

void inquiry_outcome(struct push *p, enum object_error why)
{
	p->put_error = why;
	ask_for_header(p, p->record->txid + 1, asked);
}

static void list(struct push *p, void (*done)(struct object_request *))
{
	push_request(p, OBJECT_LIST, done);
	chain_prefix(&p->account->id, p->request.key);
	store_start(p->sync->store, &p->request);
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
	push_request(p, OBJECT_GET, last_asked);
	p->request.range_len = LTX_HEADER_LEN;
	memcpy(p->request.key, last.key, sizeof p->request.key);
	store_start(p->sync->store, &p->request);
}

/* How far the store reaches, only the store can say. */
void inquiry_last(struct push *p)
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

void inquiry_gap(struct push *p)
{
	list(p, listed_for_gap);
}

/* -- the first look after a start -- */

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
		inquiry_gap(p);
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
	inquiry_last(p);
}
