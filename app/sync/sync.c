/*
 * The engine's thread looks through the table for what is due, starts what it
 * has room for, and moves the transfers.  There is no queue: what waits is a
 * bit in the table, so nothing is waiting twice, nothing is lost with a
 * worker, and any worker can take over.
 *
 * A request thread sets the bit and wakes its own engine; the engines of other
 * workers see it at their next look, at most IDLE_MS later.
 */
#include "sync/sync.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "state/slot.h"
#include "sync/engine.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
	IDLE_MS = 250,
	/* A push that begins so long after the commit had to wait for a transfer. */
	LATE_MS = 500,
	SWEEP_MS = 1,
	MAX_PULLS = 8,
	TRANSFERS_PER_PULL = 8,
	/* Two hurried attempts of one user are at least so far apart. */
	HURRY_MS = 300,
	/* A pull that failed is not tried again for a request that comes right after it. */
	PULL_PATIENCE_MS = 1000,
};

/* Clears the bit of a slot that is clean, and sets it again if it no longer is. */
static void rest(struct sync *s, struct slot *slot)
{
	struct slot_view v;

	table_clear_due(s->table, slot);
	slot_read(slot, &v);
	if ((slot_is_dirty(&v) && !v.conflict) || (v.pull_wanted && v.files != FILES_PRESENT))
		table_set_due(s->table, slot);
}

/*
 * Who is silent holds a transfer for silence_ms.  A user who found none free
 * for so long is to be told no later than the others.
 */
static bool has_waited_too_long(const struct sync *s, const struct slot_view *v, int64_t now)
{
	return v->failed_since_ms == 0 && slot_is_dirty(v) &&
	       now - v->dirty_since_ms >= s->config.store.limits.silence_ms;
}

/* One that found a transfer in the end does not get silence_ms once more. */
static bool has_begun_too_late(const struct sync *s, const struct slot_view *v, int64_t now)
{
	return has_waited_too_long(s, v, now) && v->began_ms - v->dirty_since_ms >= LATE_MS;
}

static void consider(struct sync *s, struct slot *slot, int64_t now, bool draining)
{
	struct slot_view v;

	slot_read(slot, &v);
	if (v.pusher == s->mark && has_begun_too_late(s, &v, now))
		slot_push_late(slot, ERROR_BUSY, clock_wall_ms());
	if (v.pushing && table_pusher_lives(s->table, slot))
		return;
	if (v.pull_wanted && v.files != FILES_PRESENT) {
		if (s->pulls < s->max_pulls && !draining)
			pull_start(s, slot);
	} else if (v.conflict || (!slot_is_dirty(&v) && v.failed_since_ms == 0)) {
		rest(s, slot);
	} else if (v.next_attempt_ms > now) {
		return;
	} else if (s->pushes < s->max_pushes) {
		push_start(s, slot);
	} else if (has_waited_too_long(s, &v, now)) {
		push_give_up(s, slot);
	}
}

/* All due slots, beginning where the last scan had no room left, so that none starves. */
static void look_at_due(struct sync *s, bool draining)
{
	int64_t now = clock_mono_ms();
	uint32_t begin = s->scan_from, place = begin;
	struct slot *slot;

	while ((slot = table_next_due(s->table, &place)) != NULL) {
		if (s->pushes == s->max_pushes)
			s->scan_from = place - 1;
		consider(s, slot, now, draining);
	}
	place = 0;
	while ((slot = table_next_due(s->table, &place)) != NULL && place <= begin)
		consider(s, slot, now, draining);
	if (s->pushes < s->max_pushes)
		s->scan_from = 0;
}

static void move_sweep(struct sync *s)
{
	if (s->sweep == NULL) {
		if (!table_claim_sweep(s->table, s->worker))
			return;
		s->sweep = sweep_new(s);
	}
	if (!sweep_step(s->sweep))
		return;
	sweep_free(s->sweep);
	s->sweep = NULL;
	table_sweep_done(s->table);
}

/* When the next look is worth it: a due slot's time may come before IDLE_MS is over. */
static int64_t wait_ms(struct sync *s)
{
	int64_t now = clock_mono_ms(), wait = s->sweep != NULL ? SWEEP_MS : IDLE_MS;
	uint32_t place = 0;
	struct slot *slot;

	while ((slot = table_next_due(s->table, &place)) != NULL) {
		struct slot_view v;
		slot_read(slot, &v);
		if (v.pushing || v.next_attempt_ms <= now)
			continue;
		if (v.next_attempt_ms - now < wait)
			wait = v.next_attempt_ms - now;
	}
	return wait;
}

static void *run(void *owner)
{
	struct sync *s = owner;
	int mode;

	while ((mode = s->mode) != ENGINE_STOPS) {
		if (mode == ENGINE_RUNS)
			move_sweep(s);
		look_at_due(s, mode == ENGINE_DRAINS);
		store_run(s->store, wait_ms(s));
	}
	return NULL;
}

static int start_thread(struct sync *s)
{
	sigset_t all, before;

	/* Signals belong to the request thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int rc = pthread_create(&s->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		log_error("sync.failed", "call=pthread_create error=\"%s\"", strerror(rc));
	return rc == 0 ? 0 : -1;
}

struct sync *sync_start(struct table *t, unsigned worker, const struct sync_config *c)
{
	struct sync *s = alloc_zeroed(1, sizeof *s);
	struct store_config store = c->store;
	const struct accounts_config accounts = {
		.data = c->data,
		.role = USERDB_INTERNAL,
		.max_open = c->max_open,
	};
	char why[256];

	s->table = t;
	s->worker = worker;
	s->mark = table_worker_mark(t, worker);
	s->config = *c;
	s->max_pushes = (unsigned)store.limits.max_transfers;
	s->max_pulls = MAX_PULLS;
	store.limits.max_transfers += MAX_PULLS * TRANSFERS_PER_PULL;
	s->accounts = accounts_new(t, &accounts);
	s->store = store_new(&store, why, sizeof why);
	if (s->store == NULL) {
		log_error("store.failed", "why=\"%s\"", why);
		goto fail;
	}
	if (start_thread(s) < 0)
		goto fail;
	return s;
fail:
	store_free(s->store);
	accounts_free(s->accounts);
	free(s);
	return NULL;
}

/* What could still be pushed now; what waits for its next attempt is for the next start. */
static bool work_left(struct sync *s)
{
	int64_t now = clock_mono_ms();
	uint32_t place = 0;
	struct slot *slot;

	while ((slot = table_next_due(s->table, &place)) != NULL) {
		struct slot_view v;
		slot_read(slot, &v);
		if (slot_is_dirty(&v) && !v.conflict && v.next_attempt_ms <= now)
			return true;
	}
	return false;
}

void sync_drain(struct sync *s, int64_t deadline_ms)
{
	const struct timespec step = { .tv_nsec = 5 * 1000 * 1000 };

	s->mode = ENGINE_DRAINS;
	store_wake(s->store);
	while (work_left(s) && clock_mono_ms() < deadline_ms)
		nanosleep(&step, NULL);
}

/* Transfers under way are dropped with the process; their users are dirty on disk. */
void sync_free(struct sync *s)
{
	if (s == NULL)
		return;
	s->mode = ENGINE_STOPS;
	store_wake(s->store);
	pthread_join(s->thread, NULL);
	sweep_free(s->sweep);
	store_free(s->store);
	free(s);
}

const char *const sync_status_name[] = {
	[SYNC_IN_STEP] = "ok",
	[SYNC_DIRTY] = "dirty",
	[SYNC_FAILED] = "failed",
	[SYNC_CONFLICT] = "conflict",
};

enum sync_status sync_status(const struct slot_view *v)
{
	if (v->conflict)
		return SYNC_CONFLICT;
	if (v->failed_since_ms != 0)
		return SYNC_FAILED;
	return slot_is_dirty(v) ? SYNC_DIRTY : SYNC_IN_STEP;
}

void sync_commit(struct slot *slot)
{
	slot_commit(slot);
}

void sync_look(struct sync *s, struct slot *slot)
{
	table_set_due(s->table, slot);
	store_wake(s->store);
}

bool sync_retry(struct sync *s, struct slot *slot, int64_t delay_ms)
{
	int64_t now = clock_mono_ms();
	struct slot_view v;

	slot_read(slot, &v);
	if (v.pushing && table_pusher_lives(s->table, slot))
		return true;
	if (v.held_until_ms > now)
		return false;
	int64_t at = now + delay_ms;
	slot_hurry(slot, v.ended_ms + HURRY_MS > at ? v.ended_ms + HURRY_MS : at);
	sync_look(s, slot);
	return true;
}

void sync_pull(struct sync *s, struct slot *slot)
{
	slot_pull_wanted(slot);
	sync_look(s, slot);
}

enum object_error sync_pull_error(const struct slot *slot, int64_t *patience_ms)
{
	struct slot_view v;

	slot_read(slot, &v);
	int64_t left = v.pull_failed_ms + PULL_PATIENCE_MS - clock_mono_ms();
	if (v.pull_error == 0 || left <= 0)
		return ERROR_NONE;
	*patience_ms = left;
	return (enum object_error)v.pull_error;
}
