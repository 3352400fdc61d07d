/*
 * What the pool has done since it was started: numbers that only grow, counted
 * by all its processes together.  They lie in the shared table, so what a
 * worker has counted stays when it dies, and when another program takes over.
 *
 *	metrics_request()	an answer is about to go out
 *	metrics_done()		a push, a pull, ... has come to its end
 *	metrics_failed()	or to a bad one
 *	metrics_count()		everything else
 *
 * Each number is one atomic word that anybody adds to; nothing is locked and
 * nothing waits.  Whoever reads finds two words as they were at two moments.
 */
#ifndef STATE_METRICS_H
#define STATE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

/* Few, and none that a client can choose. */
enum metrics_route {
	METRICS_EXECUTE,
	METRICS_PIPELINE,
	METRICS_CURSOR,
	METRICS_SYNC,
	METRICS_PROBE,
	METRICS_OTHER,
	METRICS_ROUTES
};

/* Statuses by their first digit, from 100 on. */
enum { METRICS_CLASSES = 5 };

enum metrics_job { METRICS_PUSH, METRICS_SNAPSHOT, METRICS_MERGE, METRICS_PULL, METRICS_JOBS };

enum metrics_count {
	METRICS_DROPPED, /* requests that nobody waited for any more */
	METRICS_WRITES, /* requests that have committed something */
	METRICS_DEATHS, /* workers that ended unasked */
	METRICS_RELOADS,
	METRICS_RELOADS_REFUSED,
	METRICS_COUNTS
};

enum {
	METRICS_BOUNDS = 14, /* of a histogram; beyond the last there is one bucket more */
	METRICS_REASONS = 16, /* the caller's enum, below that */
};
extern const int64_t metrics_bound_us[METRICS_BOUNDS];

/* `buckets` are not cumulative; their sum is the count. */
struct metrics_histogram {
	_Atomic uint64_t buckets[METRICS_BOUNDS + 1];
	_Atomic uint64_t sum_us;
};

struct metrics_job_words {
	_Atomic uint64_t done;
	_Atomic uint64_t bytes; /* sent to the store */
	_Atomic uint64_t failures[METRICS_REASONS];
	struct metrics_histogram duration; /* of those that were done */
};

struct metrics {
	_Atomic int64_t started_ms; /* wall clock; by the master, before the first fork */
	_Atomic uint64_t requests[METRICS_ROUTES][METRICS_CLASSES];
	struct metrics_histogram latency[METRICS_ROUTES];
	struct metrics_job_words jobs[METRICS_JOBS];
	_Atomic uint64_t counts[METRICS_COUNTS];
};

void metrics_request(struct metrics *m, enum metrics_route route, int status, int64_t us);
void metrics_done(struct metrics *m, enum metrics_job job, uint64_t bytes, int64_t us);
void metrics_failed(struct metrics *m, enum metrics_job job, unsigned reason);
void metrics_count(struct metrics *m, enum metrics_count what);

#endif
