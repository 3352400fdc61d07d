#include "state/slot.h"

#include "base/clock.h"
#include "state/slot_words.h"

#include <assert.h>
#include <string.h>

enum { KIB = 1024 };

/* What README and DESIGN promise of the memory of an active user. */
static_assert(sizeof(struct slot) <= 256, "a slot outgrows its bound");

static uint32_t in_kib(uint64_t bytes)
{
	uint64_t kib = bytes / KIB + (bytes % KIB != 0);

	return kib < UINT32_MAX ? (uint32_t)kib : UINT32_MAX;
}

void slot_read(const struct slot *s, struct slot_view *out)
{
	/* stored before committed: a reader may see too many pending, never too few. */
	out->stored = s->stored;
	out->committed = s->committed;
	out->txid = s->txid;
	out->files = (enum slot_files)s->files;
	out->conflict = s->conflict != 0;
	out->keep = (enum slot_keep)s->keep;
	out->pusher = s->owner;
	out->pushing = out->pusher != 0;
	out->error = s->error;
	out->failures = s->failures;
	out->dirty_since_ms = s->dirty_since_ms;
	out->failed_since_ms = s->failed_since_ms;
	out->last_success_ms = s->last_success_ms;
	out->last_took_ms = s->last_took_ms;
	out->next_attempt_ms = s->next_attempt_ms;
	out->held_until_ms = s->held_until_ms;
	out->began_ms = s->began_ms;
	out->ended_ms = s->ended_ms;
	out->ended = s->ended;
	out->pull_error = s->pull_error;
	out->pull_failed_ms = s->pull_failed_ms;
	out->pull_wanted = s->pull_wanted != 0;
	out->checked = s->checked != 0;
	out->suspect = s->suspect != 0;
	out->wal_long = s->wal_long != 0;
	out->wal_bytes = (uint64_t)s->wal_kib * KIB;
	out->spool_bytes = (uint64_t)s->spool_kib * KIB;
}

void slot_id(const struct slot *s, struct user_id *out)
{
	uint64_t words[8];

	for (int i = 0; i < 8; i++)
		words[i] = s->id[i];
	memset(out, 0, sizeof *out);
	memcpy(out->text, words, sizeof words);
}

bool slot_is_loaded(const struct slot *s)
{
	return s->loaded != 0;
}

void slot_load(struct slot *s, const struct slot_saved *saved)
{
	s->txid = saved->txid;
	s->files = saved->files;
	s->error = saved->error;
	s->conflict = saved->conflict;
	s->failures = saved->failed_since_ms != 0;
	s->failed_since_ms = saved->failed_since_ms;
	s->wal_kib = in_kib(saved->wal_bytes);
	s->spool_kib = in_kib(saved->spool_bytes);
	if (saved->dirty)
		slot_commit(s);
	s->loaded = 1;
}

static void note_dirty(struct slot *s)
{
	int64_t never = 0;

	atomic_compare_exchange_strong(&s->dirty_since_ms, &never, clock_mono_ms());
}

void slot_commit(struct slot *s)
{
	s->committed++;
	note_dirty(s);
}

uint64_t slot_committed(const struct slot *s)
{
	return s->committed;
}

uint64_t slot_push_began(struct slot *s, uint64_t mark, int64_t mono_ms)
{
	s->began_ms = mono_ms;
	s->owner = mark;
	return s->committed;
}

bool slot_push_clears(struct slot *s, uint64_t covered)
{
	if (s->failed_since_ms == 0)
		return true;
	if (s->clear_at == 0)
		s->clear_at = s->committed;
	return covered >= s->clear_at;
}

void slot_push_stored(struct slot *s, uint64_t covered, uint64_t txid, uint32_t took_ms,
		      int64_t wall_ms)
{
	bool clears = slot_push_clears(s, covered);

	s->txid = txid;
	s->last_took_ms = took_ms;
	s->last_success_ms = wall_ms;
	s->failures = 0;
	s->held_until_ms = 0;
	s->next_attempt_ms = 0;
	s->stored = covered;
	s->checked = 1;
	s->dirty_since_ms = 0;
	if (s->committed != covered)
		note_dirty(s);
	if (clears) {
		s->error = 0;
		s->clear_at = 0;
		s->failed_since_ms = 0;
	}
}

void slot_push_failed(struct slot *s, uint32_t error, int64_t wall_ms, int64_t next_attempt_ms,
		      bool held)
{
	s->error = error;
	s->clear_at = 0;
	s->failures++;
	s->held_until_ms = held ? next_attempt_ms : 0;
	s->next_attempt_ms = next_attempt_ms;
	if (s->failed_since_ms == 0)
		s->failed_since_ms = wall_ms;
}

void slot_push_late(struct slot *s, uint32_t error, int64_t wall_ms)
{
	s->error = error;
	s->clear_at = 0;
	s->failed_since_ms = wall_ms;
}

void slot_push_put_off(struct slot *s, int64_t next_attempt_ms)
{
	s->next_attempt_ms = next_attempt_ms;
}

void slot_push_conflict(struct slot *s, bool conflict)
{
	s->keep = KEEP_UNDECIDED;
	s->conflict = conflict;
}

void slot_push_checked(struct slot *s)
{
	s->suspect = 0;
	s->checked = 1;
}

void slot_push_shortened(struct slot *s)
{
	s->wal_long = 0;
}

void slot_suspect(struct slot *s)
{
	s->suspect = 1;
}

void slot_wal_long(struct slot *s)
{
	s->wal_long = 1;
}

void slot_wal_is(struct slot *s, uint64_t bytes)
{
	s->wal_kib = in_kib(bytes);
}

void slot_push_spool_is(struct slot *s, uint64_t bytes)
{
	s->spool_kib = in_kib(bytes);
}

void slot_keep(struct slot *s, enum slot_keep keep)
{
	s->keep = keep;
}

void slot_push_abandoned(struct slot *s)
{
	s->error = 0;
	s->failures = 0;
	s->clear_at = 0;
	s->dirty_since_ms = 0;
	s->failed_since_ms = 0;
	s->files = FILES_ABSENT;
	s->wal_kib = 0;
	s->spool_kib = 0;
	s->stored = s->committed;
}

void slot_push_ended(struct slot *s, int64_t mono_ms)
{
	s->ended_ms = mono_ms;
	s->owner = 0;
	s->ended++;
}

void slot_files_lost(struct slot *s)
{
	s->files = FILES_ABSENT;
}

void slot_pull_wanted(struct slot *s)
{
	s->files = FILES_ABSENT;
	s->pull_wanted = 1;
}

void slot_pull_failed(struct slot *s, uint32_t error, int64_t mono_ms)
{
	s->pull_failed_ms = mono_ms;
	s->pull_error = error;
}

void slot_pull_done(struct slot *s, uint64_t txid)
{
	s->pull_error = 0;
	s->checked = 1;
	s->txid = txid;
	s->files = FILES_PRESENT;
}

void slot_pull_ended(struct slot *s, int64_t mono_ms)
{
	s->pull_wanted = 0;
	slot_push_ended(s, mono_ms);
}

void slot_hurry(struct slot *s, int64_t mono_ms)
{
	int64_t held = s->held_until_ms;

	if (mono_ms < held)
		mono_ms = held;
	if (s->next_attempt_ms > mono_ms)
		s->next_attempt_ms = mono_ms;
}

static int64_t pay(int64_t until_us, int64_t used_us, int64_t now_us)
{
	if (until_us < now_us)
		until_us = now_us;
	until_us += used_us * SLOT_SHARE;
	return until_us < now_us + SLOT_MEMORY_US ? until_us : now_us + SLOT_MEMORY_US;
}

/* The word is the moment at which all that was used is paid for. */
int64_t slot_charge(struct slot *s, int64_t used_us, int64_t now_us)
{
	int64_t before = s->used_until_us, after = pay(before, used_us, now_us);

	while (used_us != 0 && !atomic_compare_exchange_weak(&s->used_until_us, &before, after))
		after = pay(before, used_us, now_us);
	return SLOT_SPARE_US - (after - now_us) / SLOT_SHARE;
}

uint64_t slot_writer(const struct slot *s)
{
	return s->writer;
}

void slot_set_writer(struct slot *s, uint64_t mark)
{
	s->writer = mark;
}

void slot_clear_writer(struct slot *s, uint64_t mark)
{
	atomic_compare_exchange_strong(&s->writer, &mark, 0);
}

/* Longer than anybody waits for the lock: one that dies meanwhile stops nobody for long. */
enum { LOCK_WANTED_MS = 500, LOCK_AGAIN_MS = 1000 };

bool slot_want_lock(struct slot *s, int64_t now_ms)
{
	if (s->writer == 0)
		return true;
	if (now_ms < s->lock_again_ms)
		return false;
	s->lock_wanted_ms = now_ms + LOCK_WANTED_MS;
	return true;
}

void slot_lock_wanted(struct slot *s, bool got, int64_t now_ms)
{
	s->lock_wanted_ms = 0;
	s->lock_again_ms = got ? 0 : now_ms + LOCK_AGAIN_MS;
}

bool slot_wants_lock(const struct slot *s, int64_t now_ms)
{
	return now_ms < s->lock_wanted_ms;
}
