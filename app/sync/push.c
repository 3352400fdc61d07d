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
#include "db/checkpoint.h"
#include "state/right.h"
#include "state/slot.h"
#include "sync/chain.h"
#include "sync/outgoing.h"
#include "sync/record.h"
#include "sync/spool.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
	SPILL_MEMORY = 1 << 20,
	CHECKPOINT_FRAMES = 1000,
	/* From here on a user who never pauses is made to; see push_rest(). */
	CHECKPOINT_FRAMES_BUSY = 4000,
	LATER_MS = 20,
};

struct push {
	struct sync *sync;
	struct account *account;
	struct slot *slot;
	struct record record;
	bool recorded; /* the record is what the disk says */
	bool keeps_local; /* whatever history the store has, ours goes on top */
	uint64_t covered; /* commits that this round stores */
	struct wal_position position; /* what this round reaches */
	uint8_t header[LTX_HEADER_LEN]; /* of the object that this round puts */
	struct spill *body;
	bool spooled; /* it is the spool's first file, not a capture */
	int64_t round_ms; /* when the round began, monotonic */
	enum object_error put_error; /* of a put whose outcome is asked for */
	struct object_request request;
	char record_path[PATH_MAX];
	char db_path[PATH_MAX];
	char user_dir[PATH_MAX];
	char spool_dir[PATH_MAX];
};

static const struct wal_position nowhere = { .page_size = 0 };

static void push_round(struct push *p);
static void spool_long_wal(struct push *p);
static void put_done(struct object_request *q);

static void push_end(struct push *p)
{
	struct sync *s = p->sync;
	struct slot *slot = p->slot;

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
	if (p->record.failed_since_ms == 0) {
		p->record.failed_since_ms = now;
		p->record.error = error;
		/* Without it a restart would show this user as merely dirty for a while. */
		if (p->recorded)
			record_write(p->record_path, &p->record);
	}
	log_event(v.failures == 0 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "push.failed",
		  "user=%s txid=%" PRIu64 " error=%s attempt=%u wait_ms=%" PRId64,
		  p->account->id.text, p->record.txid + 1, object_error_name[error], v.failures + 1,
		  wait);
	health_failed(&p->sync->health, error, clock_mono_ms());
	slot_push_failed(p->slot, error, now, clock_mono_ms() + wait,
			 result == OBJECT_REFUSED || asked_ms > 0);
	spool_long_wal(p);
	push_end(p);
}

static void push_conflict(struct push *p, const char *key)
{
	log_error("push.conflict", "user=%s key=%s", p->account->id.text, key);
	p->record.failed_since_ms = clock_wall_ms();
	p->record.error = ERROR_CONFLICT;
	if (p->recorded)
		record_write(p->record_path, &p->record);
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

static int encode(struct push *p, struct capture *c)
{
	struct ltx_header h;

	outgoing_header(c, p->record.txid + 1, p->sync->config.node, &h);
	ltx_header_write(&h, p->header);
	spill_free(p->body);
	p->body = spill_new(p->user_dir, SPILL_MEMORY);
	p->position = *capture_position(c);
	p->spooled = false;
	return outgoing_encode(c, &h, outgoing_to_spill, p->body);
}

static void put(struct push *p)
{
	start_request(p, OBJECT_CREATE, put_done);
	p->request.body = p->body;
	chain_push_key(&p->account->id, p->record.txid + 1, p->request.key);
	FAULT("push.before_put");
	store_start(p->sync->store, &p->request);
}

static int arm(void *owner)
{
	struct push *p = owner;

	p->record.position.armed = true;
	if (record_write(p->record_path, &p->record) < 0)
		return -1;
	FAULT("push.armed");
	return 0;
}

/*
 * What is in the WAL and not yet in the store or the spool, as the spool's next
 * file; the record then reaches the end of the WAL.  0 too when there is nothing.
 */
static int spool_capture(struct push *p, struct userdb *reader, bool armed)
{
	struct record next = p->record;
	struct ltx_header h;
	struct capture *c = NULL;

	switch (capture_begin(reader, &p->record.position, &c)) {
	case CAPTURE_PAGES:
		break;
	case CAPTURE_NOTHING:
		return armed ? arm(p) : 0;
	case CAPTURE_LATER:
	case CAPTURE_FAILED:
		return -1;
	}
	next.spool_last++;
	if (next.spool_first == 0)
		next.spool_first = next.spool_last;
	next.position = *capture_position(c);
	next.position.armed |= armed;
	outgoing_header(c, next.txid + 1 + next.spool_last - next.spool_first, p->sync->config.node,
			&h);
	int rc = spool_add(p->spool_dir, next.spool_last, c, &h);
	capture_end(c);
	FAULT("spool.before_record");
	if (rc < 0 || record_write(p->record_path, &next) < 0)
		return -1;
	FAULT("spool.after_record");
	p->record = next;
	return 0;
}

static int spool_rest(void *owner, struct userdb *reader)
{
	return spool_capture(owner, reader, true);
}

static void disarm(struct push *p)
{
	if (!p->record.position.armed)
		return;
	p->record.position.armed = false;
	record_write(p->record_path, &p->record);
}

/*
 * An incomplete one is disarmed again: no writer starts the WAL over then, so
 * whoever does was no friend of ours.
 */
static void checkpoint(struct push *p)
{
	if (p->record.position.frame < CHECKPOINT_FRAMES ||
	    !slot_want_lock(p->slot, clock_mono_ms()))
		return;
	enum checkpoint_result result =
		wal_checkpoint(p->account->db, p->db_path, &p->record.position, arm, p);
	slot_lock_wanted(p->slot, result == CHECKPOINT_DONE, clock_mono_ms());
	switch (result) {
	case CHECKPOINT_DONE:
		FAULT("push.after_checkpoint");
		log_debug("wal.checkpointed", "user=%s frames=%" PRIu32, p->account->id.text,
			  p->record.position.frame);
		break;
	case CHECKPOINT_LATER:
		disarm(p);
		break;
	case CHECKPOINT_FAILED:
		break;
	}
}

/* While SQLite's writers are held, the rest of the WAL goes to the spool. */
static void checkpoint_busy(struct push *p)
{
	if (!slot_want_lock(p->slot, clock_mono_ms()))
		return;
	enum checkpoint_result result =
		wal_checkpoint_busy(p->account->db, p->db_path, spool_rest, p);
	slot_lock_wanted(p->slot, result == CHECKPOINT_DONE, clock_mono_ms());
	if (result == CHECKPOINT_LATER)
		disarm(p);
}

/*
 * When many outgoing files say less than the database itself, they go, and the
 * next file or object holds every page.
 */
static int forget_spool(struct push *p)
{
	uint64_t whole = (uint64_t)p->record.position.npages * p->record.position.page_size;
	uint64_t spooled = spool_bytes(p->spool_dir);
	struct record next = p->record;

	if (spooled <= (uint64_t)p->sync->config.max_wal_bytes || spooled <= 2 * whole)
		return 0;
	log_info("spool.forgotten", "user=%s bytes=%" PRIu64, p->account->id.text, spooled);
	next.spool_first = 0;
	next.spool_last = 0;
	next.position = nowhere;
	if (record_write(p->record_path, &next) < 0)
		return -1;
	p->record = next;
	spool_keep_only(p->spool_dir, 0, 0);
	return 0;
}

/*
 * The store is away and the WAL is long: what it holds goes to the spool, most
 * of it while writers go on, so that the WAL may start over.
 */
static void spool_long_wal(struct push *p)
{
	struct wal_position end;

	if (!p->recorded || wal_present(p->account->db, &end) != CAPTURE_PAGES)
		return;
	if ((int64_t)end.frame * (end.page_size + 24) < p->sync->config.max_wal_bytes)
		return;
	if (forget_spool(p) < 0 || spool_capture(p, p->account->db, false) < 0)
		return;
	checkpoint_busy(p);
	log_info("wal.spooled", "user=%s frames=%" PRIu32 " files=%" PRIu64, p->account->id.text,
		 end.frame, p->record.spool_last - p->record.spool_first + 1);
}

/* Everything up to `covered` is in the store, by this round or an earlier one. */
static void push_stored(struct push *p)
{
	if (slot_push_clears(p->slot, p->covered)) {
		p->record.failed_since_ms = 0;
		p->record.error = ERROR_NONE;
	}
	if (record_write(p->record_path, &p->record) < 0) {
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		return;
	}
	FAULT("push.after_record");
	slot_push_stored(p->slot, p->covered, p->record.txid, clock_wall_ms());
	FAULT("push.after_stored");
	if (slot_committed(p->slot) == p->covered) {
		checkpoint(p);
		push_end(p);
		return;
	}
	/* While every push ends with new commits in the WAL, it would grow for ever. */
	if (p->record.position.frame >= CHECKPOINT_FRAMES_BUSY)
		checkpoint_busy(p);
	push_round(p);
}

static void count_bytes(struct record *r, uint64_t bytes)
{
	if (r->txid > 1) {
		r->bytes_since += bytes;
		return;
	}
	r->snapshot_txid = r->txid;
	r->snapshot_bytes = bytes;
	r->bytes_since = 0;
}

/* What it held is covered by the record's position already. */
static void spooled_stored(struct push *p)
{
	if (p->record.spool_first++ == p->record.spool_last) {
		p->record.spool_first = 0;
		p->record.spool_last = 0;
	}
	if (record_write(p->record_path, &p->record) < 0) {
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		return;
	}
	spool_keep_only(p->spool_dir, p->record.spool_first, p->record.spool_last);
	push_round(p);
}

static void put_stored(struct push *p)
{
	health_succeeded(&p->sync->health, clock_mono_ms());
	FAULT("push.after_put");
	p->record.txid++;
	count_bytes(&p->record, spill_len(p->body));
	log_info("push.done", "user=%s txid=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRId64,
		 p->account->id.text, p->record.txid, spill_len(p->body),
		 clock_mono_ms() - p->round_ms);
	FAULT("push.before_record");
	if (p->spooled) {
		spooled_stored(p);
		return;
	}
	p->record.position = p->position;
	push_stored(p);
}

/* Where in the WAL an object ends; nowhere, if the WAL has started over since. */
static struct wal_position end_of(struct push *p, const struct ltx_header *h)
{
	struct wal_position end = nowhere;
	uint64_t frame = 0;

	if (h->wal_len > 0)
		frame = (h->wal_offset + h->wal_len - 32) / (h->page_size + 24u);
	if (frame == 0 || frame > UINT32_MAX ||
	    wal_position_at(p->account->db, h->wal_salt, (uint32_t)frame, &end) != CAPTURE_PAGES)
		end = nowhere;
	return end;
}

/*
 * An object of ours from an attempt whose answer never came.  It may reach
 * less far than what is committed now; the rest goes out as the next one.  If
 * it was spooled meanwhile, the spool holds all of it and more.
 */
static void adopt(struct push *p, const struct ltx_header *h)
{
	p->record.txid = h->max_txid;
	if (p->record.spool_first == 0)
		p->record.position = end_of(p, h);
	log_info("push.adopted", "user=%s txid=%" PRIu64 " frame=%" PRIu32 " spool=%" PRIu64,
		 p->account->id.text, h->max_txid, p->record.position.frame, p->record.spool_first);
	FAULT("adopt.before_record");
	if (record_write(p->record_path, &p->record) < 0)
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
	start_request(p, OBJECT_GET, asked);
	p->request.range_len = LTX_HEADER_LEN;
	chain_push_key(&p->account->id, p->record.txid + 1, p->request.key);
	store_start(p->sync->store, &p->request);
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

static void push_captured(struct push *p)
{
	struct capture *c = NULL;

	/* Nothing restores without a first object that holds everything. */
	if (p->record.txid == 0)
		p->record.position = nowhere;
	FAULT("push.before_capture");
	switch (capture_begin(p->account->db, &p->record.position, &c)) {
	case CAPTURE_NOTHING:
		capture_end(c);
		push_stored(p);
		return;
	case CAPTURE_LATER:
		capture_end(c);
		slot_push_put_off(p->slot, clock_mono_ms() + LATER_MS);
		push_end(p);
		return;
	case CAPTURE_FAILED:
		capture_end(c);
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		return;
	case CAPTURE_PAGES:
		break;
	}
	if (capture_gap(c))
		log_warn("push.gap", "user=%s txid=%" PRIu64, p->account->id.text,
			 p->record.txid + 1);
	int rc = encode(p, c);
	capture_end(c);
	FAULT("push.after_capture");
	if (rc < 0)
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
	else
		put(p);
}

static int load_spooled(struct push *p)
{
	struct spill *file = spool_open(p->spool_dir, p->record.spool_first);

	if (file == NULL)
		return -1;
	spill_free(p->body);
	p->body = spill_new(p->user_dir, SPILL_MEMORY);
	p->spooled = true;
	int rc = outgoing_renumber(file, p->record.txid + 1, outgoing_to_spill, p->body);
	spill_free(file);
	if (rc < 0 ||
	    spill_read(p->body, 0, p->header, sizeof p->header) != (int64_t)sizeof p->header)
		return -1;
	return 0;
}

/* A spool that cannot be read is no reason to stop: the database has it all. */
static void push_spooled(struct push *p)
{
	if (load_spooled(p) == 0) {
		put(p);
		return;
	}
	log_error("spool.lost", "user=%s number=%" PRIu64, p->account->id.text,
		  p->record.spool_first);
	p->record.spool_first = 0;
	p->record.spool_last = 0;
	p->record.position = nowhere;
	if (record_write(p->record_path, &p->record) < 0)
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
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
	p->record.txid = h.max_txid;
	push_captured(p);
}

/*
 * The user keeps this database: it goes, whole, behind the last transaction
 * that is there, which stays restorable by its TXID.
 */
static void push_on_top(struct push *p, uint64_t last_txid)
{
	memset(&p->record, 0, sizeof p->record);
	p->record.txid = last_txid;
	if (record_write(p->record_path, &p->record) < 0) {
		push_failed(p, ERROR_DISK, OBJECT_TRY_LATER, 0);
		return;
	}
	log_info("conflict.resolved", "user=%s keep=local txid=%" PRIu64, p->account->id.text,
		 last_txid + 1);
	spool_keep_only(p->spool_dir, 0, 0);
	slot_push_conflict(p->slot, false);
	p->keeps_local = false;
	p->recorded = true;
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

/* How far the store reaches, only the store can say. */
static void find_last(struct push *p)
{
	start_request(p, OBJECT_LIST, listed);
	chain_prefix(&p->account->id, p->request.key);
	store_start(p->sync->store, &p->request);
}

static void push_round(struct push *p)
{
	p->round_ms = clock_mono_ms();
	/* Counted before the WAL is read: what is counted here will be in the capture. */
	p->covered = slot_committed(p->slot);
	memset(&p->record, 0, sizeof p->record);
	switch (record_read(p->record_path, &p->record)) {
	case RECORD_OK:
		p->recorded = true;
		if (p->record.spool_first != 0)
			push_spooled(p);
		else
			push_captured(p);
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

static int set_paths(struct push *p, const struct user_id *id)
{
	const char *data = p->sync->config.data;

	if (user_path(data, id, "", p->user_dir, sizeof p->user_dir) < 0 ||
	    user_path(data, id, "spool", p->spool_dir, sizeof p->spool_dir) < 0 ||
	    user_path(data, id, "sync", p->record_path, sizeof p->record_path) < 0 ||
	    user_path(data, id, "db.sqlite", p->db_path, sizeof p->db_path) < 0)
		return -1;
	return 0;
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
	if (set_paths(p, &id) == 0)
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

static void checked(struct object_request *q)
{
	struct push *p = q->owner;
	uint8_t bytes[LTX_HEADER_LEN];
	struct ltx_header h;

	switch (q->result) {
	case OBJECT_ABSENT:
		slot_push_checked(p->slot);
		push_end(p);
		return;
	case OBJECT_OK:
		break;
	case OBJECT_TAKEN:
	case OBJECT_UNKNOWN:
	case OBJECT_TRY_LATER:
	case OBJECT_REFUSED:
	case OBJECT_DAMAGED:
		/* Nobody has written anything that could be late. */
		slot_push_put_off(p->slot, clock_mono_ms() + p->sync->config.retry.max_ms);
		push_end(p);
		return;
	}
	if (spill_read(q->answer, 0, bytes, sizeof bytes) == (int64_t)sizeof bytes &&
	    ltx_header_read(bytes, &h) == 0 && h.node == p->sync->config.node) {
		adopt(p, &h);
		return;
	}
	struct sync *s = p->sync;
	struct slot *slot = p->slot;
	log_info("check.behind", "user=%s txid=%" PRIu64, p->account->id.text, p->record.txid);
	push_end(p);
	pull_forward(s, slot);
}

void push_check(struct sync *s, struct slot *slot)
{
	struct push *p = push_claim(s, slot);

	if (p == NULL)
		return;
	p->round_ms = clock_mono_ms();
	p->covered = slot_committed(slot);
	p->recorded = record_read(p->record_path, &p->record) == RECORD_OK;
	if (!p->recorded) {
		push_round(p);
		return;
	}
	start_request(p, OBJECT_GET, checked);
	p->request.range_len = LTX_HEADER_LEN;
	chain_push_key(&p->account->id, p->record.txid + 1, p->request.key);
	store_start(s->store, &p->request);
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
	p->recorded = record_read(p->record_path, &p->record) == RECORD_OK;
	push_failed(p, ERROR_BUSY, OBJECT_TRY_LATER, 0);
}
