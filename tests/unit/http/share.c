#include "http/share.h"

#include "base/clock.h"
#include "fixture.h"
#include "state/table.h"

#include <sched.h>

enum { SMALL = 100, LARGE = 1 << 20 };

struct fixture {
	struct folder folder;
	struct table *table;
	struct slot *alice;
	struct slot *bob;
	struct share *share;
	int yielding; /* what the machine allows */
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
	bool may_yield = share_may_yield();

	folder_init(&f.folder);
	folder_file(&f.folder, "table", path);
	f.table = table_create(path, 32);
	assert_non_null(f.table);
	f.alice = add(&f, "alice");
	f.bob = add(&f, "bob");
	f.share = share_new(may_yield);
	f.yielding = may_yield ? SCHED_IDLE : SCHED_OTHER;
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

static void who_is_within_its_share_yields_nothing(void **state)
{
	struct fixture *f = *state;

	use_too_much(f->bob);
	share_begin(f->share, f->alice, SMALL);
	share_look(f->share);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	share_end(f->share);
}

static void who_has_used_more_yields_until_the_request_ends(void **state)
{
	struct fixture *f = *state;

	use_too_much(f->bob);
	share_begin(f->share, f->bob, SMALL);
	assert_int_equal(sched_getscheduler(0), f->yielding);
	share_end(f->share);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	share_begin(f->share, f->alice, SMALL);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	share_end(f->share);
}

static void request_that_uses_up_the_share_yields_from_then_on(void **state)
{
	struct fixture *f = *state;
	int64_t until_us = clock_mono_us() + SLOT_SPARE_US + 2000;

	share_begin(f->share, f->alice, SMALL);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	while (clock_mono_us() < until_us)
		share_look(f->share);
	assert_int_equal(sched_getscheduler(0), f->yielding);
	share_end(f->share);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	assert_true(slot_charge(f->alice, 0, clock_mono_us()) < SLOT_SPARE_US);
}

static void large_body_yields_at_once(void **state)
{
	struct fixture *f = *state;

	share_begin(f->share, f->alice, LARGE);
	assert_int_equal(sched_getscheduler(0), f->yielding);
	share_end(f->share);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

static void looking_between_requests_charges_nobody(void **state)
{
	struct fixture *f = *state;

	share_look(f->share);
	share_end(f->share);
	assert_int_equal(slot_charge(f->alice, 0, clock_mono_us()), SLOT_SPARE_US);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

#define test_with_share(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		test_with_share(who_is_within_its_share_yields_nothing),
		test_with_share(who_has_used_more_yields_until_the_request_ends),
		test_with_share(request_that_uses_up_the_share_yields_from_then_on),
		test_with_share(large_body_yields_at_once),
		test_with_share(looking_between_requests_charges_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
