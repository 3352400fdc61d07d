#include "http/share.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	RISE_LIMIT = 20, /* the RLIMIT_NICE that allows a thread of nice 0 to come back */
	LARGE_BODY = 128 << 10, /* takes milliseconds to parse */
};

struct share {
	bool may_yield;
	struct slot *slot; /* NULL: between requests */
	int64_t charged_us; /* when its time was last charged */
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

struct share *share_new(bool may_yield)
{
	struct share *s = alloc_zeroed(1, sizeof *s);

	s->may_yield = may_yield;
	return s;
}

void share_free(struct share *s)
{
	free(s);
}

static void yield(struct share *s)
{
	if (s->may_yield && !s->yields)
		s->yields = set_policy(SCHED_IDLE) == 0;
}

void share_look(struct share *s)
{
	int64_t now_us = clock_mono_us();

	if (s->slot == NULL)
		return;
	if (slot_charge(s->slot, now_us - s->charged_us, now_us) <= 0)
		yield(s);
	s->charged_us = now_us;
}

void share_begin(struct share *s, struct slot *slot, size_t body_len)
{
	s->slot = slot;
	s->charged_us = clock_mono_us();
	share_look(s);
	if (body_len > LARGE_BODY)
		yield(s);
}

void share_end(struct share *s)
{
	share_look(s);
	s->slot = NULL;
	if (!s->yields)
		return;
	s->yields = set_policy(SCHED_OTHER) != 0;
	if (s->yields)
		log_error("share.stuck", "error=\"%s\"", strerror(errno));
}
