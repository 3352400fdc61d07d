#include "store/backoff.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct backoff usual = { .min_ms = 1000, .max_ms = 30000 };

static void wait_is_between_min_and_the_doubled_bound(void **state)
{
	static const struct {
		unsigned failures;
		int64_t bound;
	} rows[] = {
		{ 1, 2000 },   { 2, 4000 },	{ 3, 8000 },	     { 4, 16000 },
		{ 5, 30000 },  { 6, 30000 },	{ 63, 30000 },	     { 64, 30000 },
		{ 65, 30000 }, { 1000, 30000 }, { UINT_MAX, 30000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (uint64_t r = 0; r <= UINT32_MAX; r += UINT32_MAX / 1000) {
			int64_t got = backoff_wait_ms(&usual, rows[i].failures, 0, (uint32_t)r);
			assert_in_range(got, 1000, rows[i].bound - 1);
		}
	}
}

static void jitter_uses_the_whole_range(void **state)
{
	(void)state;
	assert_int_equal(backoff_wait_ms(&usual, 4, 0, 0), 1000);
	assert_int_equal(backoff_wait_ms(&usual, 4, 0, UINT32_MAX), 15999);
	assert_int_equal(backoff_wait_ms(&usual, 4, 0, 1u << 31), 8500);
}

static void what_the_store_asked_for_is_the_least(void **state)
{
	(void)state;
	assert_int_equal(backoff_wait_ms(&usual, 1, 60000, UINT32_MAX), 60000);
	assert_int_equal(backoff_wait_ms(&usual, 4, 1500, UINT32_MAX), 15999);
}

static void largest_limits_do_not_overflow(void **state)
{
	const struct backoff widest = { .min_ms = 1, .max_ms = INT64_MAX };
	const struct backoff high = { .min_ms = INT64_MAX / 2 + 1, .max_ms = INT64_MAX };

	(void)state;
	for (unsigned failures = 1; failures < 80; failures++)
		assert_true(backoff_wait_ms(&widest, failures, 0, UINT32_MAX) >= 1);
	assert_true(backoff_wait_ms(&widest, UINT_MAX, 0, UINT32_MAX) > INT64_MAX / 2);
	assert_true(backoff_wait_ms(&high, UINT_MAX, 0, UINT32_MAX) >= high.min_ms);
}

static void odd_limits_still_give_a_wait(void **state)
{
	const struct backoff crossed = { .min_ms = 5000, .max_ms = 1000 };
	const struct backoff none = { .min_ms = 0, .max_ms = 0 };

	(void)state;
	assert_int_equal(backoff_wait_ms(&crossed, UINT_MAX, 0, UINT32_MAX), 5000);
	assert_int_equal(backoff_wait_ms(&none, UINT_MAX, 0, UINT32_MAX), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wait_is_between_min_and_the_doubled_bound),
		cmocka_unit_test(jitter_uses_the_whole_range),
		cmocka_unit_test(what_the_store_asked_for_is_the_least),
		cmocka_unit_test(largest_limits_do_not_overflow),
		cmocka_unit_test(odd_limits_still_give_a_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
