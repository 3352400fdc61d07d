/*
 * How often a store that fails is asked, when many users wait for it.
 *
 * A few failed users are no burden: each follows its own backoff.  A crowd is
 * one, and from then on its retries are paced over all workers together:
 *
 *	- while nothing succeeds, one a second: a probe;
 *	- every success allows two more, every failure takes back what is left.
 *
 * So the return of the store is met by 1, 2, 4, ... retries at once, up to the
 * transfers there are, and their number falls by itself when more than half of
 * them fail.  First attempts are not paced: their users are to be told.
 *
 *	health_init()
 *	health_counted()	at every look: how many users have failed
 *	health_failed(), health_succeeded()	what came of a push
 *	health_allows_...()	before a retry
 *
 * A crowd without one success in OUTAGE_FAILURES is an outage.  The success
 * that ends it frees every failed user from the rest of its own wait, once:
 * whoever fails again follows its own backoff.
 *
 * All of it but the number of users is in the shared table, one atomic word
 * each.  A worker that dies takes the credits of its retries with it; the
 * probes go on without any.
 */
#ifndef SYNC_HEALTH_H
#define SYNC_HEALTH_H

#include "state/table.h"
#include "store/object.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	HEALTH_FEW = 8, /* failed users who are no crowd yet */
	HEALTH_OUTAGE_FAILURES = 8,
	HEALTH_PROBE_MS = 1000,
	HEALTH_HURRY_MS = 100,
	HEALTH_HURRY_BURST = 5,
	HEALTH_CREDITS_MAX = 64,
};

struct health {
	struct store_words *words;
	_Atomic unsigned failed_users;
};

void health_init(struct health *h, struct store_words *words);
void health_counted(struct health *h, unsigned failed_users);

/* An attempt that failed; errors that say nothing about the store have no effect. */
void health_failed(struct health *h, enum object_error error, int64_t now_ms);
/* The store has taken an object. */
void health_succeeded(struct health *h, int64_t now_ms);

bool health_is_crowd(const struct health *h);
/* There is an outage and a crowd that waits for its end. */
bool health_is_down(const struct health *h);
/* Whether a failed user whose latest attempt began then need wait no longer. */
bool health_frees(const struct health *h, int64_t began_ms);

/* One retry now; false: not before a success or the next probe. */
bool health_allows_retry(struct health *h);
/* A retry that was allowed and did not take place. */
void health_give_back(struct health *h);
/* One retry now, though the store fails, by whoever's turn it is. */
bool health_allows_probe(struct health *h, int64_t now_ms);
/* One retry now for a user who waits for it. */
bool health_allows_hurry(struct health *h, int64_t now_ms);

#endif
