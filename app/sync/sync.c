/*
 * The engine's thread looks through the table for what is due, starts what it
 * has room for, and moves the transfers.  There is no queue: what waits is a
 * bit in the table, so nothing is waiting twice, nothing is lost with a
 * worker, and any worker can take over.
 *
 * A request thread sets the bit and wakes its own engine; the engines of other
 * workers see it at their next look, at most IDLE_MS later.
 *
 * Retries of a crowd of failed users are paced, see sync/health.h.  They are
 * found by the same look: what it may not start waits for the next.
 */
#include "sync/sync.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "state/slot.h"
#include "sync/engine.h"

#include <assert.h>
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

/* Whoever is dirty finds out by pushing. */
static bool wants_check(const struct slot_view *v)
{
	return (!v->checked || v->suspect) && v->files == FILES_PRESENT && !v->conflict &&
	       !slot_is_dirty(v) && v->failed_since_ms == 0;
}

/* The user's own word, or else the configuration's, also after a restart. */
static enum slot_keep decision(const struct sync *s, const struct slot_view *v)
{
	return v->keep != KEEP_UNDECIDED ? v->keep : s->config.on_conflict;
}

/* Clears the bit of a slot that is clean, and sets it again if it no longer is. */
static void rest(struct sync *s, struct slot *slot)
{
	struct slot_view v;

	table_clear_due(s->table, slot);
	slot_read(slot, &v);
	if ((v.conflict ? decision(s, &v) != KEEP_UNDECIDED : slot_is_dirty(&v)) ||
	    (v.pull_wanted && v.files != FILES_PRESENT) || wants_check(&v))
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

static bool is_retry(const struct slot_view *v)
{
	return v->failures > 0 && !v->conflict;
}

/* The return of the store ends a wait that was for the store, not one that it asked for. */
static bool is_time(const struct sync *s, const struct slot_view *v, int64_t now)
{
	if (v->next_attempt_ms <= now)
		return true;
	return is_retry(v) && v->held_until_ms <= now && health_frees(&s->health, v->began_ms);
}

/* A crowd leaves one transfer to those who have not failed. */
static bool has_room_for_retry(const struct sync *s)
{
	unsigned kept = health_is_crowd(&s->health) && s->max_pushes > 1 ? 1 : 0;

	return s->pushes + kept < s->max_pushes;
}

/* What one look through the table has found. */
struct look {
	int64_t now;
	bool draining;
	unsigned failed_users;
	bool held_back; /* there are retries that are only allowed as a probe */
};

static void retry(struct sync *s, struct slot *slot, const struct slot_view *before,
		  struct look *look)
{
	struct slot_view v;

	if (!has_room_for_retry(s))
		return;
	if (!health_allows_retry(&s->health)) {
		look->held_back = true;
		return;
	}
	push_start(s, slot);
	slot_read(slot, &v);
	if (v.pusher != s->mark && v.ended == before->ended)
		health_give_back(&s->health); /* another worker was faster */
}

static void resolve(struct sync *s, struct slot *slot, enum slot_keep keep)
{
	if (keep == KEEP_LOCAL && s->pushes < s->max_pushes)
		push_keep_local(s, slot);
	else if (keep == KEEP_REMOTE && s->pulls < s->max_pulls)
		pull_keep_remote(s, slot);
}

static void consider(struct sync *s, struct slot *slot, struct look *look)
{
	int64_t now = look->now;
	struct slot_view v;

	slot_read(slot, &v);
	if (is_retry(&v))
		look->failed_users++;
	if (v.pusher == s->mark && has_begun_too_late(s, &v, now))
		slot_push_late(slot, ERROR_BUSY, clock_wall_ms());
	if (v.pushing && table_pusher_lives(s->table, slot))
		return;
	if (v.wal_long && v.failed_since_ms != 0 && !v.conflict)
		push_shorten(s, slot);
	if (v.conflict && decision(s, &v) != KEEP_UNDECIDED) {
		if (v.next_attempt_ms <= now)
			resolve(s, slot, decision(s, &v));
	} else if (v.pull_wanted && v.files != FILES_PRESENT) {
		if (s->pulls < s->max_pulls && !look->draining)
			pull_start(s, slot);
	} else if (wants_check(&v)) {
		if (v.next_attempt_ms <= now && s->pushes < s->max_pushes && !look->draining &&
		    !health_is_down(&s->health))
			push_check(s, slot);
	} else if (v.conflict || (!slot_is_dirty(&v) && v.failed_since_ms == 0)) {
		rest(s, slot);
	} else if (!is_time(s, &v, now)) {
		return;
	} else if (is_retry(&v)) {
		retry(s, slot, &v, look);
	} else if (s->pushes < s->max_pushes) {
		push_start(s, slot);
	} else if (has_waited_too_long(s, &v, now)) {
		push_give_up(s, slot);
	}
}

/* Whether a push of this failed user could begin now. */
static bool awaits_retry(const struct sync *s, const struct slot *slot, int64_t now)
{
	struct slot_view v;

	slot_read(slot, &v);
	return is_retry(&v) && is_time(s, &v, now) &&
	       !(v.pushing && table_pusher_lives(s->table, slot));
}

/* Whose turn it is: the next one in the table, so that nobody is the probe for ever. */
static struct slot *next_to_probe(struct sync *s, int64_t now)
{
	uint32_t end = s->probe_from;
	struct slot *slot;

	while ((slot = table_next_due(s->table, &s->probe_from)) != NULL) {
		if (awaits_retry(s, slot, now))
			return slot;
	}
	s->probe_from = 0;
	while ((slot = table_next_due(s->table, &s->probe_from)) != NULL && s->probe_from <= end) {
		if (awaits_retry(s, slot, now))
			return slot;
	}
	return NULL;
}

static void probe(struct sync *s, int64_t now)
{
	if (!has_room_for_retry(s) || !health_allows_probe(&s->health, now))
		return;
	struct slot *slot = next_to_probe(s, now);
	if (slot != NULL)
		push_start(s, slot);
}

/* The one that a request of this worker waits for; it has been allowed already. */
static void start_hurried(struct sync *s, int64_t now)
{
	struct slot *slot = s->hurried;
	struct slot_view v;

	if (slot == NULL)
		return;
	slot_read(slot, &v);
	/* Later than that: an attempt of another worker has come to its end meanwhile. */
	if (v.next_attempt_ms > now && v.next_attempt_ms <= now + HURRY_MS)
		return;
	if (awaits_retry(s, slot, now) && v.next_attempt_ms <= now) {
		if (!has_room_for_retry(s))
			return;
		push_start(s, slot);
	}
	s->hurried = NULL;
}

/* All due slots, beginning where the last scan had no room left, so that none starves. */
static void look_at_due(struct sync *s, bool draining)
{
	struct look look = { .now = clock_mono_ms(), .draining = draining };
	uint32_t begin = s->scan_from, place = begin;
	struct slot *slot;

	start_hurried(s, look.now);
	while ((slot = table_next_due(s->table, &place)) != NULL) {
		if (s->pushes == s->max_pushes)
			s->scan_from = place - 1;
		consider(s, slot, &look);
	}
	place = 0;
	while ((slot = table_next_due(s->table, &place)) != NULL && place <= begin)
		consider(s, slot, &look);
	if (s->pushes < s->max_pushes)
		s->scan_from = 0;
	health_counted(&s->health, look.failed_users);
	if (look.held_back)
		probe(s, look.now);
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
		/* One of many who wait for the store: its own time means nothing. */
		if (is_retry(&v) && health_is_down(&s->health) && slot != s->hurried)
			continue;
		if (v.next_attempt_ms - now < wait)
			wait = v.next_attempt_ms - now;
	}
	return wait;
}

static void tell_what_is_under_way(const struct sync *s)
{
	const struct table_busy busy = { s->pushes, s->pulls, s->compacts };

	table_worker_is_busy(s->table, s->worker, &busy);
}

static void *run(void *owner)
{
	struct sync *s = owner;
	int mode;

	while ((mode = s->mode) != ENGINE_STOPS) {
		if (mode == ENGINE_RUNS)
			move_sweep(s);
		look_at_due(s, mode == ENGINE_DRAINS);
		bool busy = tasks_run(&s->tasks);
		tell_what_is_under_way(s);
		log_settle();
		store_run(s->store, busy ? 0 : wait_ms(s));
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

static_assert(ERROR_COUNT <= (int)METRICS_REASONS, "a reason that cannot be counted");

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
	health_init(&s->health, table_store(t));
	tasks_init(&s->tasks);
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

void sync_last_call(struct sync *s, int64_t since_ms)
{
	int64_t now = clock_mono_ms();
	uint32_t place = 0;
	struct slot *slot;

	while ((slot = table_next_due(s->table, &place)) != NULL) {
		struct slot_view v;
		slot_read(slot, &v);
		if (v.began_ms < since_ms)
			slot_hurry(slot, now);
	}
	store_wake(s->store);
}

void sync_drain(struct sync *s)
{
	s->mode = ENGINE_DRAINS;
	store_wake(s->store);
}

/* What waits for its next attempt, or for the store's return, is for the next start. */
bool sync_is_drained(struct sync *s)
{
	int64_t now = clock_mono_ms();
	uint32_t place = 0;
	struct slot *slot;

	while ((slot = table_next_due(s->table, &place)) != NULL) {
		struct slot_view v;
		slot_read(slot, &v);
		if (is_retry(&v) && !v.pushing && health_is_down(&s->health))
			continue;
		if (slot_is_dirty(&v) && !v.conflict && is_time(s, &v, now))
			return false;
	}
	return true;
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
	if (s->pushes + s->pulls == 0)
		accounts_free(s->accounts);
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

void sync_commit(struct sync *s, struct slot *slot, int64_t wal_bytes)
{
	slot_commit(slot);
	slot_wal_is(slot, (uint64_t)wal_bytes);
	metrics_count(table_metrics(s->table), METRICS_WRITES);
	if (wal_bytes >= s->config.max_wal_bytes)
		slot_wal_long(slot);
}

/* A first attempt waits for nothing, though a look at the store may have been put off. */
void sync_look(struct sync *s, struct slot *slot)
{
	struct slot_view v;

	slot_read(slot, &v);
	if (v.failures == 0)
		slot_hurry(slot, clock_mono_ms());
	table_set_due(s->table, slot);
	store_wake(s->store);
}

/* One at a time is on its way from the request thread to the engine. */
static bool gets_ahead(struct sync *s, int64_t now)
{
	return s->hurried == NULL && health_allows_hurry(&s->health, now);
}

/*
 * In a crowd only so many get ahead of the others; while the store is down the
 * others are told at once that there is nothing to wait for.
 */
bool sync_retry(struct sync *s, struct slot *slot, int64_t delay_ms)
{
	int64_t now = clock_mono_ms();
	struct slot_view v;

	slot_read(slot, &v);
	if (v.pushing && table_pusher_lives(s->table, slot))
		return true;
	if (v.held_until_ms > now)
		return false;
	bool in_crowd = is_retry(&v) && health_is_crowd(&s->health);
	bool ahead = in_crowd && gets_ahead(s, now);
	if (in_crowd && !ahead && s->hurried != slot && health_is_down(&s->health))
		return false;
	int64_t at = now + (in_crowd ? 0 : delay_ms);
	slot_hurry(slot, v.ended_ms + HURRY_MS > at ? v.ended_ms + HURRY_MS : at);
	if (ahead)
		s->hurried = slot;
	sync_look(s, slot);
	return true;
}

void sync_resolve(struct sync *s, struct slot *slot, enum slot_keep keep)
{
	slot_keep(slot, keep);
	slot_hurry(slot, clock_mono_ms());
	sync_look(s, slot);
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
