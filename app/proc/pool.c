#include "proc/pool.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>

/*
 *	NONE -> STARTING -> READY -> ASKED -> KILLED
 *	  ^--------+----------+--------+--------+	the process has ended
 *
 * A worker that is STARTING may be asked to go, too.  Of one place at most one
 * worker is STARTING.  Two are READY only until the older of them is asked to go.
 */
enum member_state { MEMBER_NONE, MEMBER_STARTING, MEMBER_READY, MEMBER_ASKED, MEMBER_KILLED };

struct member {
	enum member_state state;
	pid_t pid; /* 0 for MEMBER_NONE */
	unsigned generation; /* the pool's, when it was started */
	int64_t asked_ms;
};

struct throttle {
	int64_t not_before_ms;
	unsigned streak; /* faults in a row, those during one wait counting as one */
	int64_t last_fault_ms;
	int64_t period_began_ms;
	unsigned deaths; /* in this period */
};

struct pool {
	unsigned workers;
	int64_t patience_ms;
	unsigned generation; /* grows with every reload */
	bool stopping;
	bool was_ready; /* some worker was, ever */
	bool was_fault; /* some worker could not start or died, ever */
	struct throttle throttle;
	struct member *members; /* 2 * workers, by number */
};

struct pool *pool_new(unsigned workers, int64_t patience_ms)
{
	struct pool *p = alloc_zeroed(1, sizeof *p);

	assert(workers > 0);
	p->workers = workers;
	p->patience_ms = patience_ms;
	p->members = alloc_zeroed(2 * (size_t)workers, sizeof *p->members);
	return p;
}

void pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	free(p->members);
	free(p);
}

void pool_give(const struct pool *p, unsigned number, struct pool_worker *out)
{
	const struct member *m = &p->members[number];

	assert(number < 2 * p->workers);
	*out = (struct pool_worker){ m->pid, (int32_t)m->state, m->generation, m->asked_ms };
}

/*
 * Those who were there before have served, whatever becomes of their successors.
 * Which of two in a place is the older, should they come from the middle of a
 * reload, is in their generations.
 */
void pool_adopt(struct pool *p, unsigned number, const struct pool_worker *w)
{
	assert(number < 2 * p->workers && w->state >= MEMBER_NONE && w->state <= MEMBER_KILLED);
	p->members[number] = (struct member){
		(enum member_state)w->state,
		w->pid,
		w->generation,
		w->asked_ms,
	};
	if (p->generation < w->generation)
		p->generation = w->generation;
	p->was_ready = true;
}

static int64_t throttle_wait_ms(unsigned streak)
{
	int64_t wait_ms = POOL_THROTTLE_MIN_MS;

	while (--streak > 0 && wait_ms < POOL_THROTTLE_MAX_MS)
		wait_ms *= 2;
	return wait_ms < POOL_THROTTLE_MAX_MS ? wait_ms : POOL_THROTTLE_MAX_MS;
}

static void count_fault(struct throttle *t, int64_t now_ms)
{
	if (now_ms - t->last_fault_ms >= POOL_PERIOD_MS)
		t->streak = 0;
	t->last_fault_ms = now_ms;
	if (t->streak > 0 && now_ms < t->not_before_ms)
		return;
	t->streak++;
	t->not_before_ms = now_ms + throttle_wait_ms(t->streak);
}

static void count_death(struct pool *p, bool served, int64_t now_ms)
{
	struct throttle *t = &p->throttle;
	unsigned most = 2 * p->workers > POOL_DEATHS_MIN ? 2 * p->workers : POOL_DEATHS_MIN;

	if (now_ms - t->period_began_ms >= POOL_PERIOD_MS) {
		t->period_began_ms = now_ms;
		t->deaths = 0;
	}
	t->deaths++;
	if (!served || t->deaths > most)
		count_fault(t, now_ms);
}

static struct member *of_place(const struct pool *p, unsigned place, enum member_state state)
{
	for (unsigned number = place; number < 2 * p->workers; number += p->workers) {
		if (p->members[number].state == state)
			return &p->members[number];
	}
	return NULL;
}

static unsigned number_of(const struct pool *p, const struct member *m)
{
	return (unsigned)(m - p->members);
}

static struct pool_step ask(struct pool *p, struct member *m, int64_t now_ms)
{
	m->state = MEMBER_ASKED;
	m->asked_ms = now_ms;
	return (struct pool_step){ POOL_ASK, number_of(p, m), m->pid, 0 };
}

static int64_t sooner(int64_t wait_ms, int64_t other_ms)
{
	return wait_ms < 0 || other_ms < wait_ms ? other_ms : wait_ms;
}

static bool has_successor(const struct pool *p, const struct member *m)
{
	unsigned number = number_of(p, m);
	unsigned other = number < p->workers ? number + p->workers : number - p->workers;

	return m->state == MEMBER_READY && p->members[other].state == MEMBER_READY &&
	       p->members[other].generation > m->generation;
}

static bool must_go(const struct pool *p, const struct member *m)
{
	if (p->stopping)
		return m->state == MEMBER_STARTING || m->state == MEMBER_READY;
	return has_successor(p, m);
}

/* One who must go, or one who was asked too long ago; else how long until there is one. */
static struct pool_step end_some(struct pool *p, int64_t now_ms)
{
	struct pool_step wait = { .action = POOL_WAIT, .wait_ms = -1 };

	for (unsigned number = 0; number < 2 * p->workers; number++) {
		struct member *m = &p->members[number];
		if (must_go(p, m))
			return ask(p, m, now_ms);
		if (m->state != MEMBER_ASKED)
			continue;
		int64_t left_ms = m->asked_ms + p->patience_ms - now_ms;
		if (left_ms <= 0) {
			m->state = MEMBER_KILLED;
			return (struct pool_step){ POOL_KILL, number, m->pid, 0 };
		}
		wait.wait_ms = sooner(wait.wait_ms, left_ms);
	}
	return wait;
}

static bool is_old(const struct pool *p, const struct member *m)
{
	return m != NULL && m->generation != p->generation;
}

static bool some_are_starting(const struct pool *p)
{
	for (unsigned number = 0; number < 2 * p->workers; number++) {
		if (p->members[number].state == MEMBER_STARTING)
			return true;
	}
	return false;
}

/* A number to start under, -1 for none: empty places first, then those to be replaced. */
static int wanted(const struct pool *p)
{
	bool may_replace = !some_are_starting(p);
	struct member *free_number;

	/* Whether starting makes sense at all is for the first ones to show. */
	if (p->was_fault && !p->was_ready)
		return -1;
	for (unsigned place = 0; place < p->workers; place++) {
		bool empty = of_place(p, place, MEMBER_READY) == NULL &&
			     of_place(p, place, MEMBER_STARTING) == NULL;
		if (empty && (free_number = of_place(p, place, MEMBER_NONE)) != NULL)
			return (int)number_of(p, free_number);
	}
	for (unsigned place = 0; may_replace && place < p->workers; place++) {
		if (is_old(p, of_place(p, place, MEMBER_READY)) &&
		    (free_number = of_place(p, place, MEMBER_NONE)) != NULL)
			return (int)number_of(p, free_number);
	}
	return -1;
}

struct pool_step pool_next(struct pool *p, int64_t now_ms)
{
	struct pool_step step = end_some(p, now_ms);

	if (step.action != POOL_WAIT || p->stopping)
		return step;
	int number = wanted(p);
	if (number < 0)
		return step;
	if (now_ms < p->throttle.not_before_ms) {
		step.wait_ms = sooner(step.wait_ms, p->throttle.not_before_ms - now_ms);
		return step;
	}
	return (struct pool_step){ POOL_START, (unsigned)number, 0, 0 };
}

void pool_started(struct pool *p, unsigned number, pid_t pid)
{
	struct member *m = &p->members[number];

	assert(number < 2 * p->workers && m->state == MEMBER_NONE && pid > 0);
	*m = (struct member){ MEMBER_STARTING, pid, p->generation, 0 };
}

void pool_not_started(struct pool *p, int64_t now_ms)
{
	p->was_fault = true;
	count_fault(&p->throttle, now_ms);
}

void pool_ready(struct pool *p, unsigned number, pid_t pid)
{
	if (number >= 2 * p->workers)
		return;
	struct member *m = &p->members[number];
	if (m->state != MEMBER_STARTING || m->pid != pid)
		return;
	m->state = MEMBER_READY;
	p->was_ready = true;
}

static struct member *of_pid(const struct pool *p, pid_t pid)
{
	for (unsigned number = 0; number < 2 * p->workers; number++) {
		if (p->members[number].state != MEMBER_NONE && p->members[number].pid == pid)
			return &p->members[number];
	}
	return NULL;
}

static void give_up_reload(struct pool *p)
{
	for (unsigned number = 0; number < 2 * p->workers; number++)
		p->members[number].generation = p->generation;
}

enum pool_end pool_ended(struct pool *p, pid_t pid, bool served, int64_t now_ms, unsigned *number)
{
	struct member *m = of_pid(p, pid);

	if (m == NULL)
		return POOL_END_UNKNOWN;
	*number = number_of(p, m);
	enum member_state was = m->state;
	*m = (struct member){ 0 };
	if (was == MEMBER_ASKED || was == MEMBER_KILLED || p->stopping)
		return POOL_END_ASKED;
	p->was_fault = true;
	count_death(p, served, now_ms);
	if (was != MEMBER_STARTING || of_place(p, *number % p->workers, MEMBER_READY) == NULL)
		return POOL_END_DIED;
	give_up_reload(p);
	return POOL_END_NO_SUCCESSOR;
}

void pool_reload(struct pool *p)
{
	p->generation++;
}

void pool_stop(struct pool *p)
{
	p->stopping = true;
}

unsigned pool_alive(const struct pool *p)
{
	unsigned alive = 0;

	for (unsigned number = 0; number < 2 * p->workers; number++)
		alive += p->members[number].state != MEMBER_NONE;
	return alive;
}

bool pool_complete(const struct pool *p)
{
	for (unsigned place = 0; place < p->workers; place++) {
		if (of_place(p, place, MEMBER_READY) == NULL)
			return false;
	}
	return true;
}

bool pool_reloading(const struct pool *p)
{
	for (unsigned place = 0; place < p->workers; place++) {
		if (is_old(p, of_place(p, place, MEMBER_STARTING)) ||
		    is_old(p, of_place(p, place, MEMBER_READY)))
			return true;
	}
	return false;
}

bool pool_hopeless(const struct pool *p)
{
	return p->was_fault && !p->was_ready && pool_alive(p) == 0;
}
