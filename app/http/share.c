#include "http/share.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "state/table.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	LONG_US = 20 * 1000, /* no short request has to wait longer for the processor */
	RISE_LIMIT = 20, /* the RLIMIT_NICE that allows a thread of nice 0 to come back */
	AHEAD_MS = 50, /* who has waited so much longer in another worker goes first */
};

struct share {
	struct share_config config;
	struct slot *slot; /* NULL: nobody is known yet */
	int64_t budget_us; /* of the user, from charged_us on */
	int64_t began_us;
	int64_t charged_us; /* when its use was last charged */
	bool greedy;
	bool listed; /* as greedy in the table */
	bool yields;
};

/* On Linux, of the calling thread. */
static int set_policy(int policy)
{
	static const struct sched_param none = { 0 };

	return sched_setscheduler(0, policy, &none);
}

/* In a child: whoever may not come back must not try it here. */
bool share_may_yield(void)
{
	struct rlimit limit;
	int status = -1;

	if (getrlimit(RLIMIT_NICE, &limit) == 0 && limit.rlim_cur < RISE_LIMIT) {
		limit.rlim_cur = limit.rlim_max < RISE_LIMIT ? limit.rlim_max : RISE_LIMIT;
		(void)setrlimit(RLIMIT_NICE, &limit);
	}
	pid_t child = fork();
	if (child == 0)
		_exit(set_policy(SCHED_IDLE) == 0 && set_policy(SCHED_OTHER) == 0 ? 0 : 1);
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

struct share *share_new(const struct share_config *c)
{
	struct share *s = alloc_zeroed(1, sizeof *s);

	s->config = *c;
	return s;
}

void share_free(struct share *s)
{
	free(s);
}

void share_begin(struct share *s)
{
	s->slot = NULL;
	s->began_us = clock_mono_us();
	s->charged_us = s->began_us;
}

static void list(struct share *s, bool greedy)
{
	if (s->listed == greedy)
		return;
	s->listed = greedy;
	table_worker_is_greedy(s->config.table, s->config.worker, greedy);
}

void share_yield(struct share *s)
{
	if (s->config.may_yield && !s->yields)
		s->yields = set_policy(SCHED_IDLE) == 0;
}

void share_work(struct share *s)
{
	if (s->greedy)
		list(s, true);
}

static void charge(struct share *s)
{
	int64_t now_us = clock_mono_us();

	if (s->slot != NULL)
		s->budget_us = slot_charge(s->slot, now_us - s->charged_us, now_us);
	s->charged_us = now_us;
}

void share_serve(struct share *s, struct slot *slot)
{
	if (slot == s->slot)
		return;
	s->slot = slot;
	s->budget_us = slot_charge(slot, 0, clock_mono_us());
	s->greedy = s->greedy || s->budget_us <= 0;
}

void share_exceed(struct share *s)
{
	s->greedy = true;
}

bool share_is_exceeded(const struct share *s)
{
	return s->greedy;
}

static bool others_are_enough(const struct share *s)
{
	return table_others_greedy(s->config.table, s->config.worker) >= s->config.max_greedy;
}

bool share_may_run(struct share *s, int64_t arrived_ms)
{
	if (!s->greedy)
		return true;
	/* First told, then asked: of two at the same time, none runs rather than both. */
	list(s, true);
	int64_t oldest_ms = table_others_wait_since(s->config.table, s->config.worker);
	bool may = !others_are_enough(s) && (oldest_ms == 0 || arrived_ms <= oldest_ms + AHEAD_MS);
	if (!may)
		list(s, false);
	return may;
}

bool share_look(struct share *s)
{
	bool before = s->greedy;

	if (s->slot == NULL)
		return false;
	charge(s);
	if (s->charged_us - s->began_us > LONG_US)
		share_yield(s);
	s->greedy = before || s->budget_us <= 0;
	share_work(s);
	return s->greedy && !before && others_are_enough(s);
}

void share_end(struct share *s)
{
	charge(s);
	s->slot = NULL;
	s->greedy = false;
	list(s, false);
	if (!s->yields)
		return;
	s->yields = set_policy(SCHED_OTHER) != 0;
	if (s->yields)
		log_error("share.stuck", "error=\"%s\"", strerror(errno));
}
