#include "sync/census.h"

#include "fixture.h"

#include "base/clock.h"
#include "state/slot.h"

enum { NSLOTS = 512 };

static struct table *make_table(struct folder *f)
{
	char path[FOLDER_FILE_MAX];

	folder_init(f);
	(void)snprintf(path, sizeof path, "%s/table", f->path);
	struct table *t = table_create(path, NSLOTS);
	assert_non_null(t);
	return t;
}

static struct slot *add(struct table *t, const char *name)
{
	struct user_id id;
	struct slot *s;

	assert_int_equal(user_id_parse(name, strlen(name), &id), 0);
	assert_int_equal(table_add(t, &id, &s), TABLE_ADDED);
	return s;
}

static void everybody_is_counted_once_where_he_stands(void **state)
{
	struct census c;
	struct folder f;
	struct table *t = make_table(&f);
	const struct slot_saved saved = {
		.files = FILES_PRESENT,
		.failed_since_ms = clock_wall_ms() - 90000,
		.error = ERROR_DISK,
		.dirty = true,
		.wal_bytes = 4097,
		.spool_bytes = 10240,
	};

	(void)state;
	census_take(t, &c);
	assert_int_equal(c.users[SYNC_IN_STEP] + c.users[SYNC_DIRTY] + c.users[SYNC_FAILED] +
				 c.users[SYNC_CONFLICT],
			 0);
	add(t, "in_step");
	struct slot *dirty = add(t, "dirty");
	slot_commit(dirty);
	slot_wal_is(dirty, 1024);
	slot_load(add(t, "failed"), &saved);
	slot_push_conflict(add(t, "conflict"), true);

	census_take(t, &c);
	for (int status = 0; status < SYNC_STATUSES; status++)
		assert_int_equal(c.users[status], 1);
	assert_int_equal(c.flagged[ERROR_DISK], 1);
	assert_int_equal(c.wal_bytes, 5120 + 1024);
	assert_int_equal(c.spool_bytes, 10240);
	assert_in_range(c.oldest_failed_ms, 90000, 99000);
	assert_in_range(c.oldest_unsynced_ms, 90000, 99000);
	table_free(t);
	folder_release(&f);
}

static void who_is_unsynced_is_so_since_the_earlier_of_two_clocks(void **state)
{
	static const struct {
		int64_t dirty_since, failed_since, want;
		uint64_t committed;
	} cases[] = {
		{ 0, 0, 0, 0 },		{ 700, 0, 300, 1 },
		{ 700, 0, 0, 0 }, /* what the last push left behind */
		{ 900, 4000, 1000, 1 }, { 200, 4900, 800, 1 },
		{ 0, 4000, 1000, 0 }, /* objects are missing */
		{ 700, 9000, 300, 1 }, /* the wall clock was set back */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct slot_view v = {
			.committed = cases[i].committed,
			.dirty_since_ms = cases[i].dirty_since,
			.failed_since_ms = cases[i].failed_since,
		};
		assert_int_equal(census_unsynced_ms(&v, 1000, 5000), cases[i].want);
	}
}

static void all_slots_in_use_are_seen(void **state)
{
	struct census c;
	struct folder f;
	struct table *t = make_table(&f);
	char name[32];

	(void)state;
	for (int i = 0; i < NSLOTS; i++) {
		(void)snprintf(name, sizeof name, "u%d", i);
		slot_commit(add(t, name));
	}
	census_take(t, &c);
	assert_int_equal(c.users[SYNC_DIRTY], NSLOTS);
	table_free(t);
	folder_release(&f);
}

static void what_dead_workers_had_under_way_is_gone(void **state)
{
	const struct table_busy mine = { 3, 2, 1 }, others = { 1, 0, 0 };
	struct table_busy all;
	struct folder f;
	struct table *t = make_table(&f);

	(void)state;
	table_worker_born(t, 0, 100);
	table_worker_born(t, 7, 107);
	table_worker_is_busy(t, 0, &mine);
	table_worker_is_busy(t, 7, &others);
	table_busy(t, &all);
	assert_int_equal(all.pushes, 4);
	assert_int_equal(all.pulls, 2);
	assert_int_equal(all.compactions, 1);
	table_worker_died(t, 0);
	table_busy(t, &all);
	assert_int_equal(all.pushes, 1);
	assert_int_equal(all.pulls + all.compactions, 0);
	table_free(t);
	folder_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_is_counted_once_where_he_stands),
		cmocka_unit_test(who_is_unsynced_is_so_since_the_earlier_of_two_clocks),
		cmocka_unit_test(all_slots_in_use_are_seen),
		cmocka_unit_test(what_dead_workers_had_under_way_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
