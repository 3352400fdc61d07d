#include "state/metrics.h"

#include "fixture.h"

#include <pthread.h>

static uint64_t count_of(const struct metrics_histogram *h)
{
	uint64_t n = 0;

	for (int i = 0; i <= METRICS_BOUNDS; i++)
		n += h->buckets[i];
	return n;
}

static void a_request_is_in_its_route_its_class_and_one_bucket(void **state)
{
	static struct metrics m;

	(void)state;
	metrics_request(&m, METRICS_CURSOR, 200, 700);
	metrics_request(&m, METRICS_CURSOR, 204, 700);
	metrics_request(&m, METRICS_CURSOR, 507, 700);
	assert_int_equal(m.requests[METRICS_CURSOR][1], 2);
	assert_int_equal(m.requests[METRICS_CURSOR][4], 1);
	assert_int_equal(m.requests[METRICS_PIPELINE][1], 0);
	assert_int_equal(m.latency[METRICS_CURSOR].buckets[1], 3);
	assert_int_equal(count_of(&m.latency[METRICS_CURSOR]), 3);
	assert_int_equal(m.latency[METRICS_CURSOR].sum_us, 2100);
}

static void a_bound_belongs_to_the_bucket_that_it_ends(void **state)
{
	static struct metrics m;
	struct metrics_histogram *h = &m.jobs[METRICS_PULL].duration;

	(void)state;
	for (int i = 0; i < METRICS_BOUNDS; i++) {
		assert_true(i == 0 || metrics_bound_us[i] > metrics_bound_us[i - 1]);
		metrics_done(&m, METRICS_PULL, 10, metrics_bound_us[i]);
		assert_int_equal(h->buckets[i], i == 0 ? 1 : 2);
		metrics_done(&m, METRICS_PULL, 10, metrics_bound_us[i] + 1);
		assert_int_equal(h->buckets[i + 1], 1);
	}
	/* A clock that goes backwards takes nothing away. */
	metrics_done(&m, METRICS_PULL, 10, -5);
	assert_int_equal(h->buckets[0], 2);
	assert_int_equal(m.jobs[METRICS_PULL].done, 2 * METRICS_BOUNDS + 1);
	assert_int_equal(m.jobs[METRICS_PULL].bytes, 20 * METRICS_BOUNDS + 10);
}

enum { THREADS = 4, EACH = 20000 };

static void *count_many(void *m)
{
	for (int i = 0; i < EACH; i++) {
		metrics_request(m, METRICS_EXECUTE, 200, 3);
		metrics_failed(m, METRICS_PUSH, 5);
		metrics_count(m, METRICS_WRITES);
	}
	return NULL;
}

static void many_at_a_time_lose_nothing(void **state)
{
	static struct metrics m;
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, &m), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(m.requests[METRICS_EXECUTE][1], THREADS * EACH);
	assert_int_equal(m.latency[METRICS_EXECUTE].sum_us, 3 * THREADS * EACH);
	assert_int_equal(m.jobs[METRICS_PUSH].failures[5], THREADS * EACH);
	assert_int_equal(m.counts[METRICS_WRITES], THREADS * EACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_in_its_route_its_class_and_one_bucket),
		cmocka_unit_test(a_bound_belongs_to_the_bucket_that_it_ends),
		cmocka_unit_test(many_at_a_time_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
