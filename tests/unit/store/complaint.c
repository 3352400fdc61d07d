#include "store/complaint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void first_is_told_at_once(void **state)
{
	struct complaint c = { 0 };
	unsigned untold = 99;

	(void)state;
	assert_true(complaint_is_due(&c, 5, &untold));
	assert_int_equal(untold, 0);
}

static void those_of_the_same_second_are_counted_only(void **state)
{
	struct complaint c = { 0 };
	unsigned untold;

	(void)state;
	assert_true(complaint_is_due(&c, 5, &untold));
	assert_false(complaint_is_due(&c, 5, &untold));
	assert_false(complaint_is_due(&c, 4 + COMPLAINT_EVERY_MS, &untold));
	assert_true(complaint_is_due(&c, 5 + COMPLAINT_EVERY_MS, &untold));
	assert_int_equal(untold, 2);
}

static void second_begins_when_one_was_told(void **state)
{
	struct complaint c = { 0 };
	unsigned untold;

	(void)state;
	assert_true(complaint_is_due(&c, 5, &untold));
	assert_true(complaint_is_due(&c, 9 + COMPLAINT_EVERY_MS, &untold));
	assert_false(complaint_is_due(&c, 8 + 2 * COMPLAINT_EVERY_MS, &untold));
	assert_true(complaint_is_due(&c, 9 + 2 * COMPLAINT_EVERY_MS, &untold));
	assert_int_equal(untold, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_is_told_at_once),
		cmocka_unit_test(those_of_the_same_second_are_counted_only),
		cmocka_unit_test(second_begins_when_one_was_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
