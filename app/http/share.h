/*
 * Who takes much of the workers' time leaves the processor to who takes little.
 *
 * A user has a share of a worker's time, and can save up a little of it
 * (slot_charge()).  A request of whoever has used more runs as SCHED_IDLE: it gets all
 * that others leave, and a thread that wakes up takes the processor from it at once. So
 * does a request that uses up its user's share while it runs, and one with a large body.
 * Alone on the machine, nobody notices.
 *
 *	share_new()		in the request thread
 *	share_begin()
 *	share_look()		now and then, while it runs
 *	share_end()		the thread is what it was before
 *	share_free()
 *
 * It is time and not use of the processor that counts: a worker that waits for
 * the disk is occupied, too.
 */
#ifndef HTTP_SHARE_H
#define HTTP_SHARE_H

#include "state/slot.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether a thread of this process may come back from SCHED_IDLE, which takes
 * RLIMIT_NICE of 20 or CAP_SYS_NICE (sched(7)); raises the soft limit.
 */
bool share_may_yield(void);

struct share;

/* If it may not yield, all of the following only count. */
struct share *share_new(bool may_yield);
void share_free(struct share *s);

void share_begin(struct share *s, struct slot *slot, size_t body_len);
void share_look(struct share *s);
void share_end(struct share *s);

#endif
