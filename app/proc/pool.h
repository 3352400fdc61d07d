/*
 * Which worker processes there should be: the policy, without any process.
 *
 * There are `workers` places, each with two numbers: `place` itself and
 * `place` + workers.  A successor starts under the other number while the
 * predecessor still serves; a number is free again when its process is gone.
 *
 *	pool_new()
 *	pool_adopt()				workers that another pool has started
 *	pool_reload(), pool_stop()		what was asked for
 *	pool_started(), pool_not_started(),
 *	pool_ready(), pool_ended()		what happened
 *	pool_next()				what to do now; again, until POOL_WAIT
 *	pool_free()
 *
 * A place is never empty without need: a worker is asked to go only when its
 * successor is ready.  Replacing dead ones is throttled: whoever ends before it
 * served once is a structural fault, and many deaths in a short time are one too.
 */
#ifndef PROC_POOL_H
#define PROC_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	POOL_THROTTLE_MIN_MS = 100,
	POOL_THROTTLE_MAX_MS = 5000,
	POOL_PERIOD_MS = 10000, /* for counting deaths; one without any ends a throttle */
	POOL_DEATHS_MIN = 8, /* or two for each place, if that is more: normal in a period */
};

struct pool;

/* A worker that was asked to go and is still there after `patience_ms` is killed. */
struct pool *pool_new(unsigned workers, int64_t patience_ms);
void pool_free(struct pool *p);

/* One worker, for the pool of the program that goes on in this one's place. */
struct pool_worker {
	int32_t pid; /* 0: there is none */
	int32_t state; /* of a pool only: to be copied, not read */
	uint32_t generation; /* the same */
	int64_t asked_ms;
};
void pool_give(const struct pool *p, unsigned number, struct pool_worker *out);
/* Before pool_next(), with the number and the `workers` that it had there. */
void pool_adopt(struct pool *p, unsigned number, const struct pool_worker *w);

enum pool_action {
	POOL_WAIT, /* for an event, at most wait_ms (-1: only for an event) */
	POOL_START, /* a worker under `number`; then pool_started() or pool_not_started() */
	POOL_ASK, /* `pid` to finish and go */
	POOL_KILL, /* `pid` */
};
struct pool_step {
	enum pool_action action;
	unsigned number;
	pid_t pid;
	int64_t wait_ms;
};
/* `now_ms` of the monotonic clock, here and below. */
struct pool_step pool_next(struct pool *p, int64_t now_ms);

void pool_started(struct pool *p, unsigned number, pid_t pid);
void pool_not_started(struct pool *p, int64_t now_ms);
/* A message from a process that is gone, or never was, has no effect. */
void pool_ready(struct pool *p, unsigned number, pid_t pid);

enum pool_end {
	POOL_END_UNKNOWN, /* no worker of ours */
	POOL_END_ASKED,
	POOL_END_DIED, /* unasked, whatever its exit code */
	POOL_END_NO_SUCCESSOR, /* was to replace one: the reload is given up */
};
/* `served`: it has answered at least one request. */
enum pool_end pool_ended(struct pool *p, pid_t pid, bool served, int64_t now_ms, unsigned *number);

/* All present workers are replaced, one starting at a time. */
void pool_reload(struct pool *p);
/* All are asked to go, none is started any more. */
void pool_stop(struct pool *p);

unsigned pool_alive(const struct pool *p); /* processes of any state */
bool pool_complete(const struct pool *p); /* every place has a worker that is ready */
bool pool_reloading(const struct pool *p);
/* The first workers have all ended and none was ever ready: starting more is no use. */
bool pool_hopeless(const struct pool *p);

#endif
