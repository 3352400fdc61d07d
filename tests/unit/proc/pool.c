#include "proc/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { WORKERS = 3, PATIENCE_MS = 1000 };

/* A pool, a clock, and pids that are given out as 100, 101... */
struct world {
	struct pool *pool;
	int64_t now_ms;
	pid_t next_pid;
	pid_t pids[2 * WORKERS]; /* by number, of those started last */
};

static int set_up(void **state)
{
	static struct world w;

	w = (struct world){ pool_new(WORKERS, PATIENCE_MS), 1000000, 100, { 0 } };
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	pool_free(w->pool);
	return 0;
}

static struct pool_step next(struct world *w)
{
	return pool_next(w->pool, w->now_ms);
}

static void expect_wait(struct world *w, int64_t wait_ms)
{
	struct pool_step step = next(w);

	assert_int_equal(step.action, POOL_WAIT);
	assert_int_equal(step.wait_ms, wait_ms);
}

static unsigned start_one(struct world *w)
{
	struct pool_step step = next(w);

	assert_int_equal(step.action, POOL_START);
	assert_true(step.number < 2 * WORKERS);
	w->pids[step.number] = w->next_pid++;
	pool_started(w->pool, step.number, w->pids[step.number]);
	return step.number;
}

static void be_ready(struct world *w, unsigned number)
{
	pool_ready(w->pool, number, w->pids[number]);
}

static enum pool_end end(struct world *w, unsigned number, bool served)
{
	unsigned ended = 2 * WORKERS;
	enum pool_end result = pool_ended(w->pool, w->pids[number], served, w->now_ms, &ended);

	assert_int_equal(ended, number);
	return result;
}

static void expect_asked(struct world *w, unsigned number)
{
	struct pool_step step = next(w);

	assert_int_equal(step.action, POOL_ASK);
	assert_int_equal(step.number, number);
	assert_int_equal(step.pid, w->pids[number]);
}

static void start_all(struct world *w)
{
	for (unsigned i = 0; i < WORKERS; i++)
		be_ready(w, start_one(w));
	expect_wait(w, -1);
	assert_true(pool_complete(w->pool));
}

static void every_place_is_started_once(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(start_one(w), i);
	expect_wait(w, -1);
	assert_int_equal(pool_alive(w->pool), WORKERS);
}

static void pool_is_complete_when_the_last_one_is_ready(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < WORKERS; i++)
		start_one(w);
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_false(pool_complete(w->pool));
		be_ready(w, i);
	}
	assert_true(pool_complete(w->pool));
}

static void ready_message_of_a_process_that_is_gone_has_no_effect(void **state)
{
	struct world *w = *state;

	start_one(w);
	pool_ready(w->pool, 0, w->pids[0] + 50);
	pool_ready(w->pool, 1, w->pids[0]);
	pool_ready(w->pool, 4000000000u, w->pids[0]);
	assert_int_equal(end(w, 0, false), POOL_END_DIED);
	/* Had any of them counted, somebody would have been ready once. */
	assert_true(pool_hopeless(w->pool));
}

static void unknown_pid_is_nobody_of_ours(void **state)
{
	struct world *w = *state;
	unsigned number = 77;

	start_all(w);
	assert_int_equal(pool_ended(w->pool, 99999, true, w->now_ms, &number), POOL_END_UNKNOWN);
	assert_int_equal(number, 77);
	assert_int_equal(pool_alive(w->pool), WORKERS);
}

static void worker_that_died_after_serving_is_replaced_at_once(void **state)
{
	struct world *w = *state;

	start_all(w);
	assert_int_equal(end(w, 1, true), POOL_END_DIED);
	assert_false(pool_complete(w->pool));
	assert_int_equal(start_one(w), 1);
	expect_wait(w, -1);
}

static void worker_that_died_unserved_is_replaced_after_a_wait_that_doubles(void **state)
{
	struct world *w = *state;
	int64_t wait_ms = POOL_THROTTLE_MIN_MS;

	start_all(w);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(end(w, 1, false), POOL_END_DIED);
		expect_wait(w, wait_ms);
		w->now_ms += wait_ms - 1;
		expect_wait(w, 1);
		w->now_ms += 1;
		be_ready(w, start_one(w));
		wait_ms = wait_ms * 2 < POOL_THROTTLE_MAX_MS ? wait_ms * 2 : POOL_THROTTLE_MAX_MS;
	}
	assert_int_equal(wait_ms, POOL_THROTTLE_MAX_MS);
}

static void deaths_at_the_same_time_count_as_one_fault(void **state)
{
	struct world *w = *state;

	start_all(w);
	for (unsigned i = 0; i < WORKERS; i++)
		end(w, i, false);
	expect_wait(w, POOL_THROTTLE_MIN_MS);
	w->now_ms += POOL_THROTTLE_MIN_MS;
	start_all(w);
}

static void throttle_ends_after_a_period_without_a_fault(void **state)
{
	struct world *w = *state;

	start_all(w);
	for (int i = 0; i < 4; i++) {
		end(w, 0, false);
		w->now_ms += POOL_THROTTLE_MAX_MS;
		be_ready(w, start_one(w));
	}
	w->now_ms += POOL_PERIOD_MS;
	end(w, 0, false);
	expect_wait(w, POOL_THROTTLE_MIN_MS);
}

static void many_deaths_in_a_period_are_throttled_though_all_served(void **state)
{
	struct world *w = *state;

	start_all(w);
	for (int i = 0; i < POOL_DEATHS_MIN; i++) {
		end(w, 2, true);
		be_ready(w, start_one(w));
	}
	end(w, 2, true);
	expect_wait(w, POOL_THROTTLE_MIN_MS);
	w->now_ms += POOL_PERIOD_MS;
	be_ready(w, start_one(w));
	end(w, 2, true);
	assert_int_equal(start_one(w), 2);
}

static void fork_that_fails_is_tried_again_after_a_wait(void **state)
{
	struct world *w = *state;

	start_all(w);
	end(w, 0, true);
	assert_int_equal(next(w).action, POOL_START);
	pool_not_started(w->pool, w->now_ms);
	expect_wait(w, POOL_THROTTLE_MIN_MS);
	w->now_ms += POOL_THROTTLE_MIN_MS;
	assert_int_equal(start_one(w), 0);
}

static void pool_whose_first_workers_all_fail_is_hopeless(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < WORKERS; i++)
		start_one(w);
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_false(pool_hopeless(w->pool));
		end(w, i, false);
		w->now_ms += POOL_THROTTLE_MAX_MS;
		expect_wait(w, -1);
	}
	assert_true(pool_hopeless(w->pool));
}

static void pool_that_served_once_is_never_hopeless(void **state)
{
	struct world *w = *state;

	start_all(w);
	for (unsigned i = 0; i < WORKERS; i++)
		end(w, i, false);
	assert_int_equal(pool_alive(w->pool), 0);
	assert_false(pool_hopeless(w->pool));
}

static void reload_starts_one_successor_at_a_time_beside_its_predecessor(void **state)
{
	struct world *w = *state;

	start_all(w);
	pool_reload(w->pool);
	for (unsigned place = 0; place < WORKERS; place++) {
		assert_true(pool_reloading(w->pool));
		unsigned successor = start_one(w);
		assert_int_equal(successor, place + WORKERS);
		expect_wait(w, place == 0 ? -1 : PATIENCE_MS);
		be_ready(w, successor);
		assert_true(pool_complete(w->pool));
		expect_asked(w, place);
	}
	assert_false(pool_reloading(w->pool));
	expect_wait(w, PATIENCE_MS);
	for (unsigned place = 0; place < WORKERS; place++)
		assert_int_equal(end(w, place, true), POOL_END_ASKED);
	expect_wait(w, -1);
	assert_true(pool_complete(w->pool));
	assert_int_equal(pool_alive(w->pool), WORKERS);
}

static void second_reload_waits_for_the_predecessor_to_be_gone(void **state)
{
	struct world *w = *state;

	start_all(w);
	pool_reload(w->pool);
	for (unsigned place = 0; place < WORKERS; place++) {
		be_ready(w, start_one(w));
		expect_asked(w, place);
	}
	pool_reload(w->pool);
	expect_wait(w, PATIENCE_MS);
	end(w, 1, true);
	assert_int_equal(start_one(w), 1);
}

static void reload_during_the_start_replaces_those_still_starting_too(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < WORKERS; i++)
		start_one(w);
	pool_reload(w->pool);
	expect_wait(w, -1);
	for (unsigned i = 0; i < WORKERS; i++)
		be_ready(w, i);
	assert_true(pool_reloading(w->pool));
	assert_int_equal(start_one(w), WORKERS);
}

static void successor_that_cannot_start_ends_the_reload_and_the_others_stay(void **state)
{
	struct world *w = *state;

	start_all(w);
	pool_reload(w->pool);
	unsigned successor = start_one(w);
	assert_int_equal(end(w, successor, false), POOL_END_NO_SUCCESSOR);
	assert_false(pool_reloading(w->pool));
	assert_true(pool_complete(w->pool));
	w->now_ms += POOL_THROTTLE_MAX_MS;
	expect_wait(w, -1);
}

static void predecessor_that_dies_during_the_reload_leaves_the_place_to_the_successor(void **state)
{
	struct world *w = *state;

	start_all(w);
	pool_reload(w->pool);
	unsigned successor = start_one(w);
	assert_int_equal(end(w, 0, true), POOL_END_DIED);
	expect_wait(w, -1);
	be_ready(w, successor);
	assert_true(pool_complete(w->pool));
	assert_int_equal(start_one(w), 1 + WORKERS);
}

static void stop_asks_everybody_and_kills_who_stays(void **state)
{
	struct world *w = *state;

	be_ready(w, start_one(w));
	be_ready(w, start_one(w));
	start_one(w);
	pool_stop(w->pool);
	for (unsigned i = 0; i < WORKERS; i++)
		expect_asked(w, i);
	expect_wait(w, PATIENCE_MS);
	assert_int_equal(end(w, 0, true), POOL_END_ASKED);
	w->now_ms += PATIENCE_MS;
	for (unsigned i = 1; i < WORKERS; i++) {
		struct pool_step step = next(w);
		assert_int_equal(step.action, POOL_KILL);
		assert_int_equal(step.pid, w->pids[i]);
	}
	expect_wait(w, -1);
	assert_int_equal(end(w, 1, true), POOL_END_ASKED);
	assert_int_equal(end(w, 2, false), POOL_END_ASKED);
	assert_int_equal(pool_alive(w->pool), 0);
	expect_wait(w, -1);
}

static void replaced_worker_that_stays_is_killed(void **state)
{
	struct world *w = *state;

	start_all(w);
	pool_reload(w->pool);
	be_ready(w, start_one(w));
	expect_asked(w, 0);
	w->now_ms += PATIENCE_MS;
	struct pool_step step = next(w);
	assert_int_equal(step.action, POOL_KILL);
	assert_int_equal(step.pid, w->pids[0]);
	assert_int_equal(start_one(w), 1 + WORKERS);
}

/* Another program goes on: what one pool knows is all that the next one gets. */
static void hand_over(struct world *w)
{
	struct pool *before = w->pool;
	struct pool_worker worker;

	w->pool = pool_new(WORKERS, PATIENCE_MS);
	for (unsigned number = 0; number < 2 * WORKERS; number++) {
		pool_give(before, number, &worker);
		pool_adopt(w->pool, number, &worker);
	}
	pool_free(before);
}

static void adopted_workers_serve_on_and_are_replaced_one_by_one(void **state)
{
	struct world *w = *state;

	start_all(w);
	hand_over(w);
	expect_wait(w, -1);
	assert_true(pool_complete(w->pool));
	pool_reload(w->pool);
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_true(pool_reloading(w->pool));
		be_ready(w, start_one(w));
		expect_asked(w, i);
		assert_int_equal(end(w, i, true), POOL_END_ASKED);
	}
	assert_false(pool_reloading(w->pool));
	expect_wait(w, -1);
}

static void adopted_worker_that_was_starting_is_heard_and_replaced(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < WORKERS; i++)
		start_one(w);
	hand_over(w);
	pool_reload(w->pool);
	expect_wait(w, -1);
	for (unsigned i = 0; i < WORKERS; i++)
		be_ready(w, i);
	assert_true(pool_complete(w->pool));
	assert_int_equal(start_one(w), WORKERS);
}

/* Two in a place: who is the older is still known, and both are replaced in the end. */
static void workers_adopted_in_the_middle_of_a_reload_are_replaced(void **state)
{
	struct world *w = *state;

	start_all(w);
	pool_reload(w->pool);
	unsigned successor = start_one(w);
	hand_over(w);
	pool_reload(w->pool);
	expect_wait(w, -1);
	be_ready(w, successor);
	expect_asked(w, 0);
	assert_int_equal(end(w, 0, true), POOL_END_ASKED);
	for (unsigned i = 0; i < WORKERS; i++) {
		assert_true(pool_reloading(w->pool));
		be_ready(w, start_one(w));
		expect_asked(w, i == 0 ? successor : i);
		assert_int_equal(end(w, i == 0 ? successor : i, true), POOL_END_ASKED);
	}
	assert_false(pool_reloading(w->pool));
	expect_wait(w, -1);
}

static void adopted_worker_that_was_asked_is_killed_when_its_time_is_over(void **state)
{
	struct world *w = *state;

	start_all(w);
	pool_reload(w->pool);
	be_ready(w, start_one(w));
	expect_asked(w, 0);
	w->now_ms += PATIENCE_MS - 1;
	hand_over(w);
	start_one(w);
	expect_wait(w, 1);
	w->now_ms++;
	assert_int_equal(next(w).action, POOL_KILL);
}

static void adopted_workers_stay_when_no_successor_can_start(void **state)
{
	struct world *w = *state;

	start_all(w);
	hand_over(w);
	pool_reload(w->pool);
	assert_int_equal(end(w, start_one(w), false), POOL_END_NO_SUCCESSOR);
	assert_false(pool_reloading(w->pool));
	assert_true(pool_complete(w->pool));
	assert_false(pool_hopeless(w->pool));
}

static void adopted_workers_all_go_when_stopped(void **state)
{
	struct world *w = *state;

	start_all(w);
	hand_over(w);
	pool_stop(w->pool);
	for (unsigned i = 0; i < WORKERS; i++) {
		expect_asked(w, i);
		assert_int_equal(end(w, i, true), POOL_END_ASKED);
	}
	assert_int_equal(pool_alive(w->pool), 0);
	expect_wait(w, -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_place_is_started_once),
		TEST(pool_is_complete_when_the_last_one_is_ready),
		TEST(ready_message_of_a_process_that_is_gone_has_no_effect),
		TEST(unknown_pid_is_nobody_of_ours),
		TEST(worker_that_died_after_serving_is_replaced_at_once),
		TEST(worker_that_died_unserved_is_replaced_after_a_wait_that_doubles),
		TEST(deaths_at_the_same_time_count_as_one_fault),
		TEST(throttle_ends_after_a_period_without_a_fault),
		TEST(many_deaths_in_a_period_are_throttled_though_all_served),
		TEST(fork_that_fails_is_tried_again_after_a_wait),
		TEST(pool_whose_first_workers_all_fail_is_hopeless),
		TEST(pool_that_served_once_is_never_hopeless),
		TEST(reload_starts_one_successor_at_a_time_beside_its_predecessor),
		TEST(second_reload_waits_for_the_predecessor_to_be_gone),
		TEST(reload_during_the_start_replaces_those_still_starting_too),
		TEST(successor_that_cannot_start_ends_the_reload_and_the_others_stay),
		TEST(predecessor_that_dies_during_the_reload_leaves_the_place_to_the_successor),
		TEST(stop_asks_everybody_and_kills_who_stays),
		TEST(replaced_worker_that_stays_is_killed),
		TEST(adopted_workers_serve_on_and_are_replaced_one_by_one),
		TEST(adopted_worker_that_was_starting_is_heard_and_replaced),
		TEST(workers_adopted_in_the_middle_of_a_reload_are_replaced),
		TEST(adopted_worker_that_was_asked_is_killed_when_its_time_is_over),
		TEST(adopted_workers_stay_when_no_successor_can_start),
		TEST(adopted_workers_all_go_when_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
