#include "sync/backlog.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "db/capture.h"
#include "db/checkpoint.h"
#include "state/slot.h"
#include "sync/outgoing.h"
#include "sync/spool.h"

#include <inttypes.h>
#include <string.h>

enum { SPILL_MEMORY = 1 << 20 };

static const struct wal_position nowhere = { .page_size = 0 };

int backlog_open(struct backlog *b, const struct sync_config *c, struct account *a)
{
	*b = (struct backlog){ .config = c, .account = a };
	if (user_path(c->data, &a->id, "spool", b->spool_dir, sizeof b->spool_dir) < 0 ||
	    user_path(c->data, &a->id, "sync", b->record_path, sizeof b->record_path) < 0 ||
	    user_path(c->data, &a->id, "db.sqlite", b->db_path, sizeof b->db_path) < 0)
		return -1;
	return 0;
}

enum record_result backlog_read(struct backlog *b)
{
	memset(&b->record, 0, sizeof b->record);
	enum record_result result = record_read(b->record_path, &b->record);
	b->recorded = result == RECORD_OK;
	return result;
}

int backlog_save(const struct backlog *b)
{
	return record_write(b->record_path, &b->record);
}

static int arm(void *owner)
{
	struct backlog *b = owner;

	b->record.position.armed = true;
	b->record.position.file_ns = 0;
	if (backlog_save(b) < 0)
		return -1;
	FAULT("push.armed");
	return 0;
}

/*
 * What an incomplete checkpoint armed is disarmed again: no writer starts the
 * WAL over then, so whoever does was no friend of ours.
 */
static void disarm(struct backlog *b, bool was_armed)
{
	if (was_armed || !b->record.position.armed)
		return;
	b->record.position.armed = false;
	backlog_save(b);
}

/*
 * By which a WAL with new salts is known to be the next one, see capture.c.  If
 * nothing was armed, nothing was copied: then a new time is somebody else's.
 */
static void note_file(struct backlog *b)
{
	if (!b->record.position.armed || b->record.position.file_ns != 0)
		return;
	b->record.position.file_ns = wal_file_ns(b->db_path);
	backlog_save(b);
}

void backlog_checkpoint(struct backlog *b)
{
	bool was_armed = b->record.position.armed;

	if (b->record.position.frame < BACKLOG_CHECKPOINT_FRAMES ||
	    !slot_want_lock(b->account->slot, clock_mono_ms()))
		return;
	enum checkpoint_result result =
		wal_checkpoint(b->account->db, b->db_path, &b->record.position, arm, b);
	slot_lock_wanted(b->account->slot, result == CHECKPOINT_DONE, clock_mono_ms());
	switch (result) {
	case CHECKPOINT_DONE:
		FAULT("push.after_checkpoint");
		slot_wal_is(b->account->slot, 0);
		note_file(b);
		log_debug("wal.checkpointed", "user=%s frames=%" PRIu32, b->account->id.text,
			  b->record.position.frame);
		break;
	case CHECKPOINT_LATER:
		disarm(b, was_armed);
		break;
	case CHECKPOINT_FAILED:
		break;
	}
}

static void note_spool(const struct backlog *b)
{
	slot_push_spool_is(b->account->slot, spool_bytes(b->spool_dir));
}

/*
 * What is in the WAL and not yet in the store or the spool, as the spool's next
 * file; the record then reaches the end of the WAL.
 */
static int spool_rest(void *owner, struct userdb *reader)
{
	struct backlog *b = owner;
	struct record next = b->record;
	struct ltx_header h;
	struct capture *c = NULL;

	switch (capture_begin(reader, &b->record.position, &c)) {
	case CAPTURE_PAGES:
		break;
	case CAPTURE_NOTHING:
		return arm(b);
	case CAPTURE_LATER:
	case CAPTURE_FAILED:
		return -1;
	}
	next.spool_last++;
	if (next.spool_first == 0)
		next.spool_first = next.spool_last;
	next.position = *capture_position(c);
	next.position.armed = true;
	next.position.file_ns = 0;
	outgoing_header(c, next.txid + 1 + next.spool_last - next.spool_first, b->config->node, &h);
	int rc = spool_add(b->spool_dir, next.spool_last, c, &h);
	capture_end(c);
	FAULT("spool.before_record");
	if (rc < 0 || record_write(b->record_path, &next) < 0)
		return -1;
	FAULT("spool.after_record");
	b->record = next;
	return 0;
}

int backlog_forget(struct backlog *b)
{
	struct record next = b->record;

	next.spool_first = 0;
	next.spool_last = 0;
	next.position = nowhere;
	if (record_write(b->record_path, &next) < 0)
		return -1;
	b->record = next;
	spool_keep_only(b->spool_dir, 0, 0);
	note_spool(b);
	return 0;
}

/* Many outgoing files may say less than the database itself does. */
static int forget_heavy_spool(struct backlog *b)
{
	uint64_t whole = (uint64_t)b->record.position.npages * b->record.position.page_size;
	uint64_t spooled = spool_bytes(b->spool_dir);

	if (spooled <= (uint64_t)b->config->max_wal_bytes || spooled <= 2 * whole)
		return 0;
	log_info("spool.forgotten", "user=%s bytes=%" PRIu64, b->account->id.text, spooled);
	return backlog_forget(b);
}

void backlog_shorten(struct backlog *b)
{
	if (!b->recorded || forget_heavy_spool(b) < 0 ||
	    !slot_want_lock(b->account->slot, clock_mono_ms()))
		return;
	enum checkpoint_result result =
		wal_checkpoint_busy(b->account->db, b->db_path, spool_rest, b);
	slot_lock_wanted(b->account->slot, result == CHECKPOINT_DONE, clock_mono_ms());
	if (result == CHECKPOINT_DONE) {
		slot_wal_is(b->account->slot, 0);
		note_file(b);
	} else if (result == CHECKPOINT_LATER) {
		disarm(b, false);
	}
	spool_keep_only(b->spool_dir, b->record.spool_first, b->record.spool_last);
	note_spool(b);
}

void backlog_bound(struct backlog *b)
{
	uint64_t before = b->record.spool_last;
	struct wal_position end;

	if (wal_present(b->account->db, &end) != CAPTURE_PAGES)
		return;
	if ((int64_t)end.frame * (end.page_size + 24) < b->config->max_wal_bytes)
		return;
	backlog_shorten(b);
	if (b->record.spool_last == before)
		return;
	log_info("wal.spooled", "user=%s frames=%" PRIu32 " files=%" PRIu64, b->account->id.text,
		 end.frame,
		 b->record.spool_first == 0 ? 0 : b->record.spool_last - b->record.spool_first + 1);
}

struct spill *backlog_spooled(const struct backlog *b, const char *spill_dir)
{
	struct spill *file = spool_open(b->spool_dir, b->record.spool_first);
	struct spill *body = spill_new(spill_dir, SPILL_MEMORY);

	if (file != NULL &&
	    outgoing_renumber(file, b->record.txid + 1, outgoing_to_spill, body) == 0)
		goto out;
	log_error("spool.lost", "user=%s number=%" PRIu64, b->account->id.text,
		  b->record.spool_first);
	spill_free(body);
	body = NULL;
out:
	spill_free(file);
	return body;
}

/* What the file held is covered by the record's position already. */
int backlog_spooled_stored(struct backlog *b)
{
	if (b->record.spool_first++ == b->record.spool_last) {
		b->record.spool_first = 0;
		b->record.spool_last = 0;
	}
	if (backlog_save(b) < 0)
		return -1;
	spool_keep_only(b->spool_dir, b->record.spool_first, b->record.spool_last);
	note_spool(b);
	return 0;
}
