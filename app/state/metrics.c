#include "state/metrics.h"

#include <assert.h>

const int64_t metrics_bound_us[METRICS_BOUNDS] = {
	500,	1000,	2500,	5000,	 10000,	  25000,   50000,
	100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

/* Relaxed: a number says nothing about any other word. */
static void add(_Atomic uint64_t *word, uint64_t n)
{
	atomic_fetch_add_explicit(word, n, memory_order_relaxed);
}

static void observe(struct metrics_histogram *h, int64_t us)
{
	unsigned bucket = 0;

	if (us < 0)
		us = 0;
	while (bucket < METRICS_BOUNDS && us > metrics_bound_us[bucket])
		bucket++;
	add(&h->buckets[bucket], 1);
	add(&h->sum_us, (uint64_t)us);
}

void metrics_request(struct metrics *m, enum metrics_route route, int status, int64_t us)
{
	assert(route < METRICS_ROUTES && status >= 100 && status < 100 * (METRICS_CLASSES + 1));
	add(&m->requests[route][status / 100 - 1], 1);
	observe(&m->latency[route], us);
}

void metrics_done(struct metrics *m, enum metrics_job job, uint64_t bytes, int64_t us)
{
	add(&m->jobs[job].done, 1);
	add(&m->jobs[job].bytes, bytes);
	observe(&m->jobs[job].duration, us);
}

void metrics_failed(struct metrics *m, enum metrics_job job, unsigned reason)
{
	assert(reason < METRICS_REASONS);
	add(&m->jobs[job].failures[reason], 1);
}

void metrics_count(struct metrics *m, enum metrics_count what)
{
	add(&m->counts[what], 1);
}
