#include "sync/health.h"

#include "fixture.h"

enum {
	CROWD = 1000,
	NOW = 5000000,
	TRANSFERS = 32,
	PUT_MS = 80,
};

struct world {
	struct store_words words;
	struct health health;
	int64_t now_ms;
};

static int set_up(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof w);
	w.now_ms = NOW;
	health_init(&w.health, &w.words);
	*state = &w;
	return 0;
}

static void fail_times(struct world *w, unsigned n)
{
	while (n-- > 0)
		health_failed(&w->health, ERROR_SERVER, w->now_ms);
}

static void be_down(struct world *w)
{
	health_counted(&w->health, CROWD);
	fail_times(w, HEALTH_OUTAGE_FAILURES);
	assert_true(health_is_down(&w->health));
}

/* How many retries may begin at this moment. */
static unsigned allowed(struct world *w)
{
	unsigned n = 0;

	while (n < 2 * HEALTH_CREDITS_MAX && health_allows_retry(&w->health))
		n++;
	return n;
}

static void few_failed_users_follow_their_own_backoff(void **state)
{
	struct world *w = *state;

	health_counted(&w->health, HEALTH_FEW);
	fail_times(w, 100);
	assert_false(health_is_crowd(&w->health));
	assert_false(health_is_down(&w->health));
	assert_int_equal(allowed(w), 2 * HEALTH_CREDITS_MAX);
	health_succeeded(&w->health, w->now_ms);
	assert_false(health_frees(&w->health, w->now_ms - 1));
}

static void failures_of_one_among_successes_of_others_are_no_outage(void **state)
{
	struct world *w = *state;

	health_counted(&w->health, CROWD);
	for (int i = 0; i < 100; i++) {
		fail_times(w, HEALTH_OUTAGE_FAILURES - 1);
		assert_false(health_is_down(&w->health));
		health_succeeded(&w->health, w->now_ms++);
	}
	assert_false(health_frees(&w->health, 0));
}

static void only_what_concerns_the_store_counts(void **state)
{
	static const struct {
		enum object_error error;
		bool counts;
	} cases[] = {
		{ ERROR_CONNECT, true },   { ERROR_TIMEOUT, true },   { ERROR_BROKEN, true },
		{ ERROR_SERVER, true },	   { ERROR_THROTTLED, true }, { ERROR_CREDENTIALS, true },
		{ ERROR_CLOCK, true },	   { ERROR_CONFIG, true },    { ERROR_NONE, false },
		{ ERROR_DISK, false },	   { ERROR_DAMAGED, false },  { ERROR_BUSY, false },
		{ ERROR_CONFLICT, false }, { ERROR_MISSING, false },  { ERROR_CERTIFICATE, true },
	};

	assert_int_equal(sizeof cases / sizeof *cases, ERROR_COUNT);
	for (size_t i = 0; i < ERROR_COUNT; i++) {
		set_up(state);
		struct world *w = *state;
		health_counted(&w->health, CROWD);
		health_succeeded(&w->health, w->now_ms);
		for (int n = 0; n < HEALTH_OUTAGE_FAILURES; n++)
			health_failed(&w->health, cases[i].error, w->now_ms);
		if (health_is_down(&w->health) != cases[i].counts ||
		    (allowed(w) == 0) != cases[i].counts)
			fail_msg("%s counts: %d, want %d", object_error_name[cases[i].error],
				 !cases[i].counts, cases[i].counts);
	}
}

static void outage_of_a_crowd_leaves_one_probe_a_second(void **state)
{
	struct world *w = *state;
	unsigned probes = 0;

	be_down(w);
	for (int64_t end = w->now_ms + 60 * 1000; w->now_ms < end; w->now_ms += 5) {
		assert_int_equal(allowed(w), 0);
		if (!health_allows_probe(&w->health, w->now_ms))
			continue;
		probes++;
		assert_false(health_allows_probe(&w->health, w->now_ms));
		fail_times(w, 1);
	}
	assert_int_equal(probes, 60);
}

static void hurried_attempts_are_ten_a_second_after_a_handful_at_once(void **state)
{
	struct world *w = *state;
	unsigned at_once = 0, later = 0;

	be_down(w);
	while (health_allows_hurry(&w->health, w->now_ms))
		at_once++;
	assert_int_equal(at_once, HEALTH_HURRY_BURST);
	for (int64_t end = w->now_ms + 60 * 1000; w->now_ms < end; w->now_ms++)
		later += health_allows_hurry(&w->health, w->now_ms);
	assert_in_range(later, 598, 600);
	/* Rest is not saved up. */
	w->now_ms += 3600 * 1000;
	for (at_once = 0; health_allows_hurry(&w->health, w->now_ms); at_once++)
		;
	assert_int_equal(at_once, HEALTH_HURRY_BURST);
}

static void successes_double_what_is_under_way_and_no_more(void **state)
{
	struct world *w = *state;
	unsigned under_way = 1; /* the probe */

	be_down(w);
	for (unsigned want = 2; want <= TRANSFERS; want *= 2) {
		for (unsigned i = 0; i < under_way; i++)
			health_succeeded(&w->health, w->now_ms);
		under_way = allowed(w);
		assert_int_equal(under_way, want);
	}
	for (int i = 0; i < 10000; i++)
		health_succeeded(&w->health, w->now_ms);
	assert_int_equal(allowed(w), HEALTH_CREDITS_MAX);
}

static void one_failure_takes_back_what_successes_allowed(void **state)
{
	struct world *w = *state;

	be_down(w);
	for (int i = 0; i < 20; i++)
		health_succeeded(&w->health, w->now_ms);
	fail_times(w, 1);
	assert_int_equal(allowed(w), 0);
	assert_false(health_is_down(&w->health));
	health_succeeded(&w->health, w->now_ms);
	assert_int_equal(allowed(w), 2);
}

/* Rounds of PUT_MS; the store takes `capacity` in each and fails the rest.  Returns those that failed. */
static unsigned heal(struct world *w, unsigned users, unsigned capacity, int64_t *took_ms)
{
	unsigned failed = 0, under_way;
	int64_t began = w->now_ms;

	for (; users > 0; w->now_ms += PUT_MS) {
		for (under_way = 0; under_way < TRANSFERS && under_way < users; under_way++) {
			if (!health_allows_retry(&w->health) &&
			    !health_allows_probe(&w->health, w->now_ms))
				break;
		}
		for (unsigned i = 0; i < under_way; i++) {
			if (i >= capacity) {
				fail_times(w, 1);
				failed++;
				continue;
			}
			health_succeeded(&w->health, w->now_ms);
			users--;
		}
		health_counted(&w->health, users);
		if (w->now_ms - began > 3600 * 1000)
			fail_msg("%u users are left after an hour", users);
	}
	*took_ms = w->now_ms - began;
	return failed;
}

static void thousand_users_heal_in_a_few_seconds(void **state)
{
	struct world *w = *state;
	int64_t took_ms;

	be_down(w);
	assert_int_equal(heal(w, CROWD, TRANSFERS, &took_ms), 0);
	if (took_ms > 4000)
		fail_msg("took %ld ms, want 4000", (long)took_ms);
}

static void store_that_takes_little_is_not_stormed(void **state)
{
	struct world *w = *state;
	int64_t took_ms;

	be_down(w);
	unsigned failed = heal(w, CROWD, 4, &took_ms);
	if (failed > 3 * CROWD)
		fail_msg("%u attempts failed for %d users", failed, CROWD);
}

static void return_frees_who_was_tried_before_it_once(void **state)
{
	struct world *w = *state;
	int64_t before = w->now_ms, back = before + 60 * 1000;

	be_down(w);
	assert_false(health_frees(&w->health, before));
	health_succeeded(&w->health, back);
	assert_false(health_is_down(&w->health));
	assert_true(health_frees(&w->health, before));
	assert_true(health_frees(&w->health, back - 1));
	assert_false(health_frees(&w->health, back));
	/* A success that ends no outage frees nobody. */
	health_succeeded(&w->health, back + 1000);
	assert_false(health_frees(&w->health, back));
}

static void retry_that_did_not_take_place_is_given_back(void **state)
{
	struct world *w = *state;

	be_down(w);
	health_succeeded(&w->health, w->now_ms);
	assert_true(health_allows_retry(&w->health));
	health_give_back(&w->health);
	assert_int_equal(allowed(w), 2);
}

static void end_of_an_outage_that_was_half_written_is_written_again(void **state)
{
	struct world *w = *state;
	int64_t half = w->now_ms + 1000, whole = half + 1000;

	be_down(w);
	w->words.back_ms = half;
	health_succeeded(&w->health, whole);
	assert_false(health_is_down(&w->health));
	assert_true(health_frees(&w->health, whole - 1));
}

static int find_it_down(void *owner)
{
	struct health h;

	health_init(&h, owner);
	health_counted(&h, CROWD);
	for (int i = 0; i < HEALTH_OUTAGE_FAILURES; i++)
		health_failed(&h, ERROR_CONNECT, NOW);
	return 0;
}

static void what_a_worker_saw_before_it_was_killed_is_known_to_the_others(void **state)
{
	struct folder folder;
	char path[FOLDER_FILE_MAX];
	struct health h;

	(void)state;
	folder_init(&folder);
	folder_file(&folder, "table", path);
	struct table *t = table_create(path, 64);
	assert_non_null(t);
	health_init(&h, table_store(t));
	health_counted(&h, CROWD);
	assert_false(health_is_down(&h));
	kill_child(start_child_that_stays(find_it_down, table_store(t)));
	assert_true(health_is_down(&h));
	table_free(t);
	folder_release(&folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(few_failed_users_follow_their_own_backoff, set_up),
		cmocka_unit_test_setup(failures_of_one_among_successes_of_others_are_no_outage,
				       set_up),
		cmocka_unit_test_setup(only_what_concerns_the_store_counts, set_up),
		cmocka_unit_test_setup(outage_of_a_crowd_leaves_one_probe_a_second, set_up),
		cmocka_unit_test_setup(hurried_attempts_are_ten_a_second_after_a_handful_at_once,
				       set_up),
		cmocka_unit_test_setup(successes_double_what_is_under_way_and_no_more, set_up),
		cmocka_unit_test_setup(one_failure_takes_back_what_successes_allowed, set_up),
		cmocka_unit_test_setup(thousand_users_heal_in_a_few_seconds, set_up),
		cmocka_unit_test_setup(store_that_takes_little_is_not_stormed, set_up),
		cmocka_unit_test_setup(return_frees_who_was_tried_before_it_once, set_up),
		cmocka_unit_test_setup(retry_that_did_not_take_place_is_given_back, set_up),
		cmocka_unit_test_setup(end_of_an_outage_that_was_half_written_is_written_again,
				       set_up),
		cmocka_unit_test(what_a_worker_saw_before_it_was_killed_is_known_to_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
