#include "base/log_limit.h"

#include "fixture.h"

#include <stdio.h>
#include <string.h>

static int passed(const char *event, const char *facts, int times, int64_t now_ms)
{
	int n = 0;

	for (int i = 0; i < times; i++)
		n += log_limit_passes(event, facts, "", now_ms);
	return n;
}

static int settle(int64_t now_ms)
{
	struct log_limit_over over;
	int n = 0;

	while (log_limit_next(now_ms, &over))
		n++;
	return n;
}

static int forget_all(void **state)
{
	(void)state;
	settle(INT64_MAX);
	return 0;
}

static void what_is_repeated_is_counted_and_told_when_its_time_is_over(void **state)
{
	struct log_limit_over over;

	(void)state;
	assert_int_equal(passed("push.failed", "user=alice txid=1", 100, 1000), LOG_LIMIT_LINES);
	assert_false(log_limit_next(1000 + LOG_LIMIT_MS - 1, &over));
	assert_true(log_limit_next(1000 + LOG_LIMIT_MS, &over));
	assert_string_equal(over.event, "push.failed");
	assert_string_equal(over.subject, "alice");
	assert_int_equal(over.suppressed, 100 - LOG_LIMIT_LINES);
	assert_false(log_limit_next(INT64_MAX, &over));
}

static void the_next_period_begins_with_the_next_line(void **state)
{
	(void)state;
	assert_int_equal(passed("a.b", "user=bob", LOG_LIMIT_LINES, 0), LOG_LIMIT_LINES);
	assert_int_equal(passed("a.b", "user=bob", 1, LOG_LIMIT_MS - 1), 0);
	assert_int_equal(settle(LOG_LIMIT_MS), 1);
	assert_int_equal(passed("a.b", "user=bob", 9, LOG_LIMIT_MS), LOG_LIMIT_LINES);
}

static void nothing_is_told_of_who_was_never_suppressed(void **state)
{
	(void)state;
	assert_int_equal(passed("a.b", "user=carol", LOG_LIMIT_LINES, 0), LOG_LIMIT_LINES);
	assert_int_equal(settle(LOG_LIMIT_MS), 0);
	assert_int_equal(passed("a.b", "user=carol", LOG_LIMIT_LINES, LOG_LIMIT_MS),
			 LOG_LIMIT_LINES);
}

static void another_event_or_subject_has_lines_of_its_own(void **state)
{
	static const char *const facts[] = {
		"user=alice",
		"call=open path=/data/a/sync error=\"x\"",
		"path=/data/a/sync2",
		"verb=put key=alice/0000/1.ltx",
		"user=alicf path=/data/same",
		"txid=4 user=al",
	};

	(void)state;
	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
		assert_int_equal(passed("a.b", facts[i], 20, 0), LOG_LIMIT_LINES);
		assert_int_equal(passed("a.c", facts[i], 20, 0), LOG_LIMIT_LINES);
	}
	assert_int_equal(settle(LOG_LIMIT_MS), 12);
}

static void only_the_subject_tells_two_lines_apart(void **state)
{
	(void)state;
	assert_int_equal(passed("a.b", "user=dora txid=1 error=disk", 4, 0), 4);
	assert_int_equal(passed("a.b", "user=dora txid=2 error=disk", 4, 0), LOG_LIMIT_LINES - 4);
}

static void a_line_about_nobody_is_always_written(void **state)
{
	(void)state;
	assert_int_equal(passed("worker.end", "number=3 pid=7 suser=alice", 100, 0), 100);
	assert_int_equal(passed("worker.end", "", 100, 0), 100);
	assert_int_equal(settle(INT64_MAX), 0);
}

static void a_line_without_a_subject_is_about_whom_the_thread_works_for(void **state)
{
	int n = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		n += log_limit_passes("statement.no_space", "extended=13", "alice", 0);
		n += log_limit_passes("statement.no_space", "extended=13", "bob", 0);
	}
	assert_int_equal(n, 2 * LOG_LIMIT_LINES);
	assert_false(log_limit_passes("statement.no_space", "user=alice", "bob", 0));
}

static void more_subjects_than_there_are_places_are_written_and_old_ones_make_room(void **state)
{
	char facts[64];

	(void)state;
	for (int user = 0; user < 3000; user++) {
		(void)snprintf(facts, sizeof facts, "user=u%d", user);
		assert_true(passed("a.b", facts, LOG_LIMIT_LINES, 0) == LOG_LIMIT_LINES);
	}
	assert_int_equal(passed("a.b", "user=late", 100, LOG_LIMIT_MS), LOG_LIMIT_LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_repeated_is_counted_and_told_when_its_time_is_over,
				       forget_all),
		cmocka_unit_test_setup(the_next_period_begins_with_the_next_line, forget_all),
		cmocka_unit_test_setup(nothing_is_told_of_who_was_never_suppressed, forget_all),
		cmocka_unit_test_setup(another_event_or_subject_has_lines_of_its_own, forget_all),
		cmocka_unit_test_setup(only_the_subject_tells_two_lines_apart, forget_all),
		cmocka_unit_test_setup(a_line_about_nobody_is_always_written, forget_all),
		cmocka_unit_test_setup(a_line_without_a_subject_is_about_whom_the_thread_works_for,
				       forget_all),
		cmocka_unit_test_setup(
			more_subjects_than_there_are_places_are_written_and_old_ones_make_room,
			forget_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
