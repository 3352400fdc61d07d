#include "sync/tally.h"

#include "fixture.h"

#include "base/file.h"

static const int64_t now = 1700000000000;

/* A database of 1,000 pages whose snapshot weighs 2,000,000 bytes, with everything in it. */
static const struct tally after_snapshot = {
	.reach = 100,
	.snapshot_bytes = 2000000,
	.snapshot_pages = 1000,
	.pushed_bytes = 5000000,
};

static struct record record_at(uint64_t txid, uint64_t since, uint32_t npages)
{
	return (struct record){
		.txid = txid,
		.pushed_bytes = after_snapshot.pushed_bytes + since,
		.position = { .page_size = 4096, .npages = npages },
	};
}

static enum tally_due due(const struct tally *t, struct record r)
{
	return tally_due(t, &r, now);
}

static void pushes_that_weigh_less_than_the_snapshot_are_left_alone(void **state)
{
	(void)state;
	assert_int_equal(due(&after_snapshot, record_at(200, 1999999, 1000)), TALLY_NOTHING);
	assert_int_equal(due(&after_snapshot, record_at(200, 2000000, 1000)), TALLY_SNAPSHOT);
}

static void database_that_grows_needs_more_pushes_for_a_snapshot(void **state)
{
	(void)state;
	assert_int_equal(due(&after_snapshot, record_at(200, 3999999, 2000)), TALLY_NOTHING);
	assert_int_equal(due(&after_snapshot, record_at(200, 4000000, 2000)), TALLY_SNAPSHOT);
}

static void small_database_gets_a_snapshot_by_number(void **state)
{
	const struct tally t = { .reach = 100, .snapshot_bytes = 500, .snapshot_pages = 2 };

	(void)state;
	struct record r = { .txid = 355,
			    .pushed_bytes = 100000,
			    .position = { .page_size = 4096, .npages = 2 } };
	assert_int_equal(due(&t, r), TALLY_NOTHING);
	r.txid++;
	assert_int_equal(due(&t, r), TALLY_SNAPSHOT);
}

static void many_pushes_that_weigh_little_are_merged(void **state)
{
	(void)state;
	assert_int_equal(due(&after_snapshot, record_at(355, 1000000, 1000)), TALLY_NOTHING);
	assert_int_equal(due(&after_snapshot, record_at(356, 1000000, 1000)), TALLY_MERGE);
}

static void merges_put_a_snapshot_off_but_not_for_ever(void **state)
{
	struct tally t = after_snapshot;

	(void)state;
	t.merged_bytes = 1000000;
	assert_int_equal(due(&t, record_at(200, 2999999, 1000)), TALLY_NOTHING);
	assert_int_equal(due(&t, record_at(200, 3000000, 1000)), TALLY_SNAPSHOT);
	t.merged_bytes = 100000000;
	assert_int_equal(due(&t, record_at(200, 7999999, 1000)), TALLY_NOTHING);
	assert_int_equal(due(&t, record_at(200, 8000000, 1000)), TALLY_SNAPSHOT);
}

static void first_push_is_a_snapshot_already(void **state)
{
	const struct tally none = { 0 };
	struct record r = { .txid = 1,
			    .pushed_bytes = 41000000,
			    .position = { .page_size = 4096, .npages = 10000 } };

	(void)state;
	assert_int_equal(due(&none, r), TALLY_NOTHING);
	r.pushed_bytes = 82000000;
	assert_int_equal(due(&none, r), TALLY_SNAPSHOT);
}

static void user_who_was_never_pushed_or_is_spooled_has_nothing_due(void **state)
{
	struct record r = record_at(1000, 100000000, 1000);

	(void)state;
	assert_int_equal(due(&after_snapshot, r), TALLY_SNAPSHOT);
	r.spool_first = r.spool_last = 1;
	assert_int_equal(due(&after_snapshot, r), TALLY_NOTHING);
	r = record_at(0, 100000000, 1000);
	assert_int_equal(due(&after_snapshot, r), TALLY_NOTHING);
}

static void failed_attempt_is_not_repeated_at_once_whatever_the_clock_does(void **state)
{
	struct tally t = after_snapshot;

	(void)state;
	t.not_before_ms = now + 1;
	assert_int_equal(due(&t, record_at(200, 2000000, 1000)), TALLY_NOTHING);
	t.not_before_ms = now;
	assert_int_equal(due(&t, record_at(200, 2000000, 1000)), TALLY_SNAPSHOT);
	t.not_before_ms = now + INT64_C(86400000);
	assert_int_equal(due(&t, record_at(200, 2000000, 1000)), TALLY_SNAPSHOT);
}

static void what_was_written_is_read(void **state)
{
	const struct tally t = { 1, UINT64_MAX, UINT32_MAX, 4, 5, INT64_MIN };
	struct folder folder;
	char path[FOLDER_FILE_MAX];
	struct tally got;

	(void)state;
	folder_init(&folder);
	folder_file(&folder, "tally", path);
	assert_int_equal(tally_write(path, &t), 0);
	tally_read(path, &got);
	assert_int_equal(got.reach, t.reach);
	assert_int_equal(got.snapshot_bytes, t.snapshot_bytes);
	assert_int_equal(got.snapshot_pages, t.snapshot_pages);
	assert_int_equal(got.pushed_bytes, t.pushed_bytes);
	assert_int_equal(got.merged_bytes, t.merged_bytes);
	assert_int_equal(got.not_before_ms, t.not_before_ms);
	folder_release(&folder);
}

static void missing_or_damaged_tally_says_nothing(void **state)
{
	static const char *const texts[] = {
		"",
		"holdfast-tally 1\n",
		"holdfast-tally 1\nreach 1\nsnapshot 2 3 4\nmerged 5\nnot_before 06\n",
		"holdfast-tally 1\nreach -1\nsnapshot 2 3 4\nmerged 5\nnot_before 6\n",
		"holdfast-tally 1\nreach 1\nsnapshot 2 3 4\nmerged 5\nnot_before 6\nmore\n",
		"holdfast-tally 2\nreach 1\nsnapshot 2 3 4\nmerged 5\nnot_before 6\n",
	};
	const struct tally none = { 0 };
	struct folder folder;
	char path[FOLDER_FILE_MAX];
	struct tally got = after_snapshot;

	(void)state;
	folder_init(&folder);
	folder_file(&folder, "tally", path);
	tally_read(path, &got);
	assert_memory_equal(&got, &none, sizeof got);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		assert_int_equal(file_replace(path, texts[i], strlen(texts[i]), 0600), 0);
		got = after_snapshot;
		tally_read(path, &got);
		assert_memory_equal(&got, &none, sizeof got);
	}
	folder_release(&folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pushes_that_weigh_less_than_the_snapshot_are_left_alone),
		cmocka_unit_test(database_that_grows_needs_more_pushes_for_a_snapshot),
		cmocka_unit_test(small_database_gets_a_snapshot_by_number),
		cmocka_unit_test(many_pushes_that_weigh_little_are_merged),
		cmocka_unit_test(merges_put_a_snapshot_off_but_not_for_ever),
		cmocka_unit_test(first_push_is_a_snapshot_already),
		cmocka_unit_test(user_who_was_never_pushed_or_is_spooled_has_nothing_due),
		cmocka_unit_test(failed_attempt_is_not_repeated_at_once_whatever_the_clock_does),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(missing_or_damaged_tally_says_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
