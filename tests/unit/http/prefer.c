#include "http/prefer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void wait_is_found_among_other_preferences(void **state)
{
	(void)state;
	static const char *const headers[] = {
		"wait=5",
		"Wait=5",
		" wait = 5 ",
		"wait=\"5\"",
		"wait=5; foo=bar",
		"respond-async, wait=5",
		"handling=lenient;x=\"a, wait=9\", wait=5",
		"x=\"\\\", wait=9\", wait=5, wait=7",
		"waiting=9, wait=5",
	};

	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
		assert_int_equal(prefer_wait_ms(headers[i]), 5000);
}

static void what_is_no_number_of_seconds_is_no_wait(void **state)
{
	(void)state;
	static const char *const headers[] = {
		"",	     "wait",	 "wait=",      "wait=0",   "wait=-1",
		"wait=5x",   "wait=5 6", "wait=\"5",   "wait=1.5", "await=5",
		"x=wait=5y", "wait;n=5", "x=\"wait=5", ",,,, ,",   "wait=,wait=5",
	};

	assert_int_equal(prefer_wait_ms(NULL), 0);
	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
		assert_int_equal(prefer_wait_ms(headers[i]), 0);
}

static void nobody_waits_longer_than_nginx_does(void **state)
{
	(void)state;
	assert_int_equal(prefer_wait_ms("wait=12"), PREFER_WAIT_MAX_MS);
	assert_int_equal(prefer_wait_ms("wait=3600"), PREFER_WAIT_MAX_MS);
	assert_int_equal(prefer_wait_ms("wait=99999999999999999999999"), PREFER_WAIT_MAX_MS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(wait_is_found_among_other_preferences),
		cmocka_unit_test(what_is_no_number_of_seconds_is_no_wait),
		cmocka_unit_test(nobody_waits_longer_than_nginx_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
