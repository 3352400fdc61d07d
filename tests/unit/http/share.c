#include "http/share.h"

#include "base/clock.h"
#include "fixture.h"
#include "state/table.h"

#include <sched.h>

enum { WORKER = 0, OTHER = 1, PARTY = 1, SOCKET = 0, NOW_MS = 10000 };

struct fixture {
	struct folder folder;
	struct table *table;
	struct slot *alice;
	struct slot *bob;
	struct share *share; /* of WORKER; OTHER is on the same socket */
};

static struct slot *add(struct fixture *f, const char *name)
{
	struct user_id id;
	struct slot *slot;

	assert_int_equal(user_id_parse(name, strlen(name), &id), 0);
	assert_int_equal(table_add(f->table, &id, &slot), TABLE_ADDED);
	return slot;
}

static int set_up(void **state)
{
	static struct fixture f;
	char path[FOLDER_FILE_MAX];

	folder_init(&f.folder);
	folder_file(&f.folder, "table", path);
	f.table = table_create(path, 32);
	assert_non_null(f.table);
	for (unsigned worker = WORKER; worker <= OTHER; worker++) {
		table_worker_born(f.table, worker, 17 + worker);
		table_worker_joins(f.table, worker, PARTY, SOCKET);
	}
	f.alice = add(&f, "alice");
	f.bob = add(&f, "bob");
	const struct share_config config = {
		.table = f.table,
		.worker = WORKER,
		.max_greedy = 1,
		.may_yield = share_may_yield(),
	};
	f.share = share_new(&config);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	share_free(f->share);
	table_free(f->table);
	folder_release(&f->folder);
	return 0;
}

static void use_too_much(struct slot *slot)
{
	(void)slot_charge(slot, SLOT_MEMORY_US, clock_mono_us());
}

static void who_is_within_its_share_runs_whoever_else_does(void **state)
{
	struct fixture *f = *state;

	table_worker_is_greedy(f->table, OTHER, true);
	table_worker_waits(f->table, OTHER, 1);
	share_begin(f->share);
	share_serve(f->share, f->alice);
	assert_true(share_may_run(f->share, NOW_MS));
	assert_false(share_look(f->share));
	share_end(f->share);
}

static void greedy_user_waits_while_another_runs_and_not_a_moment_longer(void **state)
{
	struct fixture *f = *state;

	use_too_much(f->alice);
	use_too_much(f->bob);
	share_begin(f->share);
	share_serve(f->share, f->bob);
	assert_true(share_is_exceeded(f->share));
	table_worker_is_greedy(f->table, OTHER, true);
	assert_false(share_may_run(f->share, NOW_MS));
	assert_int_equal(table_others_greedy(f->table, OTHER), 0);
	table_worker_is_greedy(f->table, OTHER, false);
	assert_true(share_may_run(f->share, NOW_MS));
	assert_int_equal(table_others_greedy(f->table, OTHER), 1);
	share_end(f->share);
	assert_int_equal(table_others_greedy(f->table, OTHER), 0);
}

static void who_waits_much_longer_in_another_worker_goes_first(void **state)
{
	struct fixture *f = *state;

	use_too_much(f->alice);
	share_begin(f->share);
	share_serve(f->share, f->alice);
	table_worker_waits(f->table, OTHER, NOW_MS - 1000);
	assert_false(share_may_run(f->share, NOW_MS));
	table_worker_waits(f->table, OTHER, NOW_MS);
	assert_true(share_may_run(f->share, NOW_MS));
	share_end(f->share);
}

static void who_exceeds_its_share_in_the_last_worker_is_told_to_stop_once(void **state)
{
	struct fixture *f = *state;

	share_begin(f->share);
	share_serve(f->share, f->alice);
	table_worker_is_greedy(f->table, OTHER, true);
	assert_false(share_look(f->share));
	use_too_much(f->alice);
	assert_true(share_look(f->share));
	assert_false(share_look(f->share));
	share_end(f->share);
}

static void long_request_yields_until_its_end(void **state)
{
	struct fixture *f = *state;

	if (!share_may_yield())
		skip();
	int before = sched_getscheduler(0);
	share_begin(f->share);
	share_serve(f->share, f->alice);
	share_work(f->share);
	assert_int_equal(sched_getscheduler(0), before);
	int64_t until_us = clock_mono_us() + 25 * 1000;
	while (clock_mono_us() < until_us)
		(void)share_look(f->share);
	assert_int_equal(sched_getscheduler(0), SCHED_IDLE);
	share_end(f->share);
	assert_int_equal(sched_getscheduler(0), before);
}

static void request_with_a_large_body_yields_until_its_end(void **state)
{
	struct fixture *f = *state;

	if (!share_may_yield())
		skip();
	share_begin(f->share);
	share_serve(f->share, f->alice);
	share_yield(f->share);
	assert_int_equal(sched_getscheduler(0), SCHED_IDLE);
	share_end(f->share);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

#define test_with_share(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_with_share(who_is_within_its_share_runs_whoever_else_does),
		test_with_share(greedy_user_waits_while_another_runs_and_not_a_moment_longer),
		test_with_share(who_waits_much_longer_in_another_worker_goes_first),
		test_with_share(who_exceeds_its_share_in_the_last_worker_is_told_to_stop_once),
		test_with_share(long_request_yields_until_its_end),
		test_with_share(request_with_a_large_body_yields_until_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
