/*
 * Whose turn it is to write: the requests that wait in this worker for a user's
 * open transaction, in the order of their arrival.
 *
 *	turn_hold(), turn_let_go()	a stream of this worker has the user's write
 *					lock, or has it no longer
 *	turn_wait()			a request gets in line
 *	turn_next()			the request that may go on now, again and again
 *	turn_is_busy()
 *
 * Users take turns, too: turn_next() goes round.  Nothing here knows what a
 * request is; a waiter is part of the caller's.
 */
#ifndef HTTP_TURN_H
#define HTTP_TURN_H

#include "state/user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct turns;

struct turn_waiter {
	TAILQ_ENTRY(turn_waiter) link;
	int64_t arrived_ms; /* of the monotonic clock, which all workers share */
	int64_t not_before_ms; /* has had its turn, in vain: it and those behind it wait so long */
	size_t bytes; /* of memory it holds meanwhile */
};

struct turn_limits {
	unsigned per_user;
	unsigned all;
	size_t bytes; /* of all */
};

struct turns *turns_new(const struct turn_limits *limits);
/* Nobody waits any more. */
void turns_free(struct turns *t);

void turn_hold(struct turns *t, const struct user_id *user);
void turn_let_go(struct turns *t, const struct user_id *user);
/* Somebody holds the lock or waits for it. */
bool turn_is_busy(const struct turns *t, const struct user_id *user);

/* false: there is no room.  All of the waiter but the link is set. */
bool turn_wait(struct turns *t, const struct user_id *user, struct turn_waiter *w);
/*
 * The first in line of a user whose lock nobody here holds, or one that arrived
 * before `late_ms`; out of the line.  NULL: none.
 */
struct turn_waiter *turn_next(struct turns *t, int64_t now_ms, int64_t late_ms);
bool turn_anybody_waits(const struct turns *t);
/* Anyone, out of the line: the worker ends.  NULL: none is left. */
struct turn_waiter *turn_dismiss(struct turns *t);

#endif
