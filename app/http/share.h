/*
 * Everybody's share of the workers, and what happens to whom takes more.
 *
 * A user may use a quarter of a worker's time, and a little more at once
 * (slot_charge()).  It is time and not use of the processor: a worker that waits
 * for one, or for the disk, is occupied, too.  Requests of who has used more run
 * in all workers of a socket but one at a time, of however many users they are.
 * The others wait.  One that began within its share and finds, when it exceeds
 * that, that the last worker is its own is told to stop, and waits like them; if it
 * only reads.
 *
 * Beside that, whoever's a request is: once it has run for 20 ms, or has a large
 * body, the thread goes on as SCHED_IDLE.  Whoever wakes up takes the processor from
 * it at once; alone on the machine, nobody notices.
 *
 *	share_new()		of the request thread
 *	share_begin()
 *	share_serve()		as soon as the user is known; again, if it has waited
 *	share_may_run()		false: it has to wait, and was charged for little
 *	share_work()		if it may
 *	... share_look() in the middle of long work
 *	share_end()		what was used is the user's
 *
 * In that state the thread must hold nothing that others need.
 */
#ifndef HTTP_SHARE_H
#define HTTP_SHARE_H

#include "state/slot.h"

#include <stdbool.h>

struct share;

struct share_config {
	struct table *table;
	unsigned worker;
	unsigned max_greedy; /* workers of one socket that run a greedy user's request at a time */
	bool may_yield; /* share_may_yield() */
};

/*
 * Whether a thread of this process may come back from SCHED_IDLE, which takes
 * RLIMIT_NICE of 20 or CAP_SYS_NICE (sched(7)); raises the soft limit.
 */
bool share_may_yield(void);

struct share *share_new(const struct share_config *c);
void share_free(struct share *s);

void share_begin(struct share *s);
void share_serve(struct share *s, struct slot *slot);
/* Its user has used more than its share. */
bool share_is_exceeded(const struct share *s);
/* `arrived_ms` is compared with those who wait in the socket's other workers. */
bool share_may_run(struct share *s, int64_t arrived_ms);
void share_work(struct share *s);
/* It takes more than any share: its user counts as greedy while it runs. */
void share_exceed(struct share *s);
/* Whoever's it is, the request is known to be much work: a large body. */
void share_yield(struct share *s);
/* true: it should stop, and be run again later. */
bool share_look(struct share *s);
void share_end(struct share *s);

#endif
