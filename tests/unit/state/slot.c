#include "state/slot.h"

#include "fixture.h"

enum { SLOTS = 32, STEPS_MAX = 24 };

struct fixture {
	struct folder folder;
	struct table *table;
	struct slot *slot; /* of "alice" */
	uint64_t mark;
};

static int set_up(void **state)
{
	static struct fixture f;
	char path[FOLDER_FILE_MAX];
	struct user_id id;

	folder_init(&f.folder);
	folder_file(&f.folder, "table", path);
	f.table = table_create(path, SLOTS);
	assert_non_null(f.table);
	assert_int_equal(user_id_parse("alice", 5, &id), 0);
	assert_int_equal(table_add(f.table, &id, &f.slot), TABLE_ADDED);
	f.mark = table_worker_mark(f.table, 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	table_free(f->table);
	folder_release(&f->folder);
	return 0;
}

static struct slot_view look(const struct slot *s)
{
	struct slot_view v;

	slot_read(s, &v);
	return v;
}

enum op {
	END_OF_STEPS,
	COMMIT,
	BEGAN,
	ROUND, /* the same push goes on with what came meanwhile */
	STORED,
	STORED_LATE, /* a commit comes between the record and the slot */
	FAILED,
	PUT_OFF,
	ENDED,
};

struct step {
	enum op op;
	bool dirty; /* afterwards */
	bool failed;
};

struct sequence {
	const char *name;
	struct step steps[STEPS_MAX];
};

enum { DIRTY = true, CLEAN = false, FLAGGED = true, WELL = false };

static const struct sequence sequences[] = {
	{ "one commit, one push",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { STORED, CLEAN, WELL },
		  { ENDED, CLEAN, WELL },
	  } },
	{ "a commit during a push is not hidden by its success",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { COMMIT, DIRTY, WELL },
		  { STORED, DIRTY, WELL },
		  { ENDED, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { STORED, CLEAN, WELL },
		  { ENDED, CLEAN, WELL },
	  } },
	{ "a second round of the same push covers it",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { COMMIT, DIRTY, WELL },
		  { STORED, DIRTY, WELL },
		  { ROUND, DIRTY, WELL },
		  { STORED, CLEAN, WELL },
		  { ENDED, CLEAN, WELL },
	  } },
	{ "a commit after the record was written is not hidden",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { STORED_LATE, DIRTY, WELL },
		  { ENDED, DIRTY, WELL },
	  } },
	{ "failure, then success",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { FAILED, DIRTY, FLAGGED },
		  { ENDED, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { STORED, CLEAN, WELL },
		  { ENDED, CLEAN, WELL },
	  } },
	{ "commits while flagged are covered by the retry",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { FAILED, DIRTY, FLAGGED },
		  { ENDED, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { STORED, CLEAN, WELL },
	  } },
	{ "a success that covers less keeps the flag",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { FAILED, DIRTY, FLAGGED },
		  { ENDED, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { STORED, DIRTY, FLAGGED },
		  { ENDED, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { STORED, CLEAN, WELL },
	  } },
	{ "a user who never pauses is unflagged by the second success",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { COMMIT, DIRTY, WELL },
		  { FAILED, DIRTY, FLAGGED },
		  { ENDED, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { STORED, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { ROUND, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { STORED, DIRTY, WELL },
		  { COMMIT, DIRTY, WELL },
		  { ROUND, DIRTY, WELL },
		  { COMMIT, DIRTY, WELL },
		  { STORED, DIRTY, WELL },
	  } },
	{ "a failure between two successes asks for both again",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { FAILED, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { STORED, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { FAILED, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { STORED, DIRTY, FLAGGED },
		  { COMMIT, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { STORED, CLEAN, WELL },
	  } },
	{ "a commit after the record said that the flag is gone brings no flag back",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { FAILED, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { STORED_LATE, DIRTY, WELL },
	  } },
	{ "an attempt that is put off changes nothing",
	  {
		  { COMMIT, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { PUT_OFF, DIRTY, WELL },
		  { ENDED, DIRTY, WELL },
		  { BEGAN, DIRTY, WELL },
		  { FAILED, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { PUT_OFF, DIRTY, FLAGGED },
		  { ENDED, DIRTY, FLAGGED },
		  { BEGAN, DIRTY, FLAGGED },
		  { STORED, CLEAN, WELL },
	  } },
};

/* As push.c does: the record says what slot_push_clears() said, then the slot follows. */
static void store(struct slot *s, uint64_t covered, bool late)
{
	bool clears = slot_push_clears(s, covered);

	if (late)
		slot_commit(s);
	slot_push_stored(s, covered, 1, 7, 1000);
	assert_int_equal(look(s).failed_since_ms == 0, clears);
}

static void take_step(const struct fixture *f, enum op op, uint64_t *covered)
{
	switch (op) {
	case END_OF_STEPS:
		break;
	case COMMIT:
		slot_commit(f->slot);
		break;
	case BEGAN:
		*covered = slot_push_began(f->slot, f->mark, 1);
		break;
	case ROUND:
		*covered = slot_committed(f->slot);
		break;
	case STORED:
		store(f->slot, *covered, false);
		break;
	case STORED_LATE:
		store(f->slot, *covered, true);
		break;
	case FAILED:
		slot_push_failed(f->slot, 3, 1000, 50, false);
		break;
	case PUT_OFF:
		slot_push_put_off(f->slot, 50);
		break;
	case ENDED:
		slot_push_ended(f->slot, 2);
		break;
	}
}

static void walk_sequence(const struct sequence *q)
{
	struct fixture *f;
	void *state = NULL;
	uint64_t covered = 0;

	set_up(&state);
	f = state;
	for (int i = 0; i < STEPS_MAX && q->steps[i].op != END_OF_STEPS; i++) {
		const struct step *want = &q->steps[i];

		take_step(f, want->op, &covered);
		struct slot_view got = look(f->slot);
		bool failed = got.failed_since_ms != 0;
		if (slot_is_dirty(&got) != want->dirty || failed != want->failed)
			fail_msg("%s, step %d: got dirty %d failed %d, want %d %d", q->name, i + 1,
				 slot_is_dirty(&got), failed, want->dirty, want->failed);
	}
	tear_down(&state);
}

static void dirt_and_flag_follow_the_truth_through_every_sequence(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++)
		walk_sequence(&sequences[i]);
}

static void new_slot_is_clean_and_not_loaded(void **state)
{
	const struct fixture *f = *state;
	struct slot_view v = look(f->slot);

	assert_false(slot_is_loaded(f->slot));
	assert_false(slot_is_dirty(&v));
	assert_false(v.conflict || v.pushing || v.pull_wanted);
	assert_int_equal(v.files, FILES_UNKNOWN);
	assert_int_equal(v.failed_since_ms, 0);
}

static void loading_brings_what_the_disk_says(void **state)
{
	const struct fixture *f = *state;
	const struct slot_saved saved = {
		.txid = UINT64_MAX,
		.failed_since_ms = 1234567890123,
		.error = 7,
		.files = FILES_PRESENT,
		.dirty = true,
	};

	slot_load(f->slot, &saved);
	struct slot_view v = look(f->slot);
	assert_true(slot_is_loaded(f->slot));
	assert_true(slot_is_dirty(&v));
	assert_int_equal(v.txid, UINT64_MAX);
	assert_int_equal(v.failed_since_ms, 1234567890123);
	assert_int_equal(v.error, 7);
	assert_int_equal(v.failures, 1);
	assert_int_equal(v.files, FILES_PRESENT);
}

static void loading_hides_no_commit_that_came_first(void **state)
{
	const struct fixture *f = *state;
	const struct slot_saved saved = { .txid = 5, .files = FILES_PRESENT };

	slot_commit(f->slot);
	slot_load(f->slot, &saved);
	struct slot_view v = look(f->slot);
	assert_true(slot_is_dirty(&v));
	assert_int_equal(v.failures, 0);
}

static void flag_loaded_from_disk_is_cleared_by_the_push_that_covers_all(void **state)
{
	const struct fixture *f = *state;
	const struct slot_saved saved = { .txid = 5, .failed_since_ms = 99, .dirty = true };

	slot_load(f->slot, &saved);
	uint64_t covered = slot_push_began(f->slot, f->mark, 1);
	assert_true(slot_push_clears(f->slot, covered));
	slot_push_stored(f->slot, covered, 6, 7, 1000);
	struct slot_view v = look(f->slot);
	assert_false(slot_is_dirty(&v));
	assert_int_equal(v.failed_since_ms, 0);
	assert_int_equal(v.error, 0);
	assert_int_equal(v.txid, 6);
}

static void failures_are_counted_and_the_first_one_is_remembered(void **state)
{
	const struct fixture *f = *state;

	slot_commit(f->slot);
	uint64_t covered = slot_push_began(f->slot, f->mark, 1);
	slot_push_failed(f->slot, 3, 1000, 50, false);
	slot_push_failed(f->slot, 4, 2000, 90, false);
	struct slot_view v = look(f->slot);
	assert_int_equal(v.failures, 2);
	assert_int_equal(v.failed_since_ms, 1000);
	assert_int_equal(v.error, 4);
	assert_int_equal(v.next_attempt_ms, 90);
	assert_int_equal(v.last_success_ms, 0);

	slot_push_stored(f->slot, covered, 9, 7, 3000);
	v = look(f->slot);
	assert_int_equal(v.failures, 0);
	assert_int_equal(v.error, 0);
	assert_int_equal(v.next_attempt_ms, 0);
	assert_int_equal(v.last_success_ms, 3000);
	assert_int_equal(v.last_took_ms, 7);
	assert_int_equal(v.txid, 9);
}

static void success_that_keeps_the_flag_keeps_its_reason_too(void **state)
{
	const struct fixture *f = *state;

	slot_commit(f->slot);
	slot_push_failed(f->slot, 3, 1000, 50, true);
	uint64_t covered = slot_push_began(f->slot, f->mark, 60);
	slot_commit(f->slot);
	slot_push_stored(f->slot, covered, 9, 7, 3000);
	struct slot_view v = look(f->slot);
	assert_int_equal(v.failed_since_ms, 1000);
	assert_int_equal(v.error, 3);
	assert_int_equal(v.failures, 0);
	assert_int_equal(v.last_success_ms, 3000);
	assert_int_equal(v.held_until_ms, 0);
	assert_int_equal(v.next_attempt_ms, 0);
}

static void attempts_are_bracketed_and_counted(void **state)
{
	const struct fixture *f = *state;

	slot_push_began(f->slot, f->mark, 100);
	struct slot_view v = look(f->slot);
	assert_true(v.pushing);
	assert_int_equal(v.began_ms, 100);
	assert_int_equal(v.ended, 0);
	slot_push_ended(f->slot, 130);
	v = look(f->slot);
	assert_false(v.pushing);
	assert_int_equal(v.ended_ms, 130);
	assert_int_equal(v.ended, 1);
}

static void conflict_is_set_and_taken_back(void **state)
{
	const struct fixture *f = *state;

	slot_push_conflict(f->slot, true);
	assert_true(look(f->slot).conflict);
	slot_push_conflict(f->slot, false);
	assert_false(look(f->slot).conflict);
}

static void pull_is_wanted_until_it_ended_whatever_came_of_it(void **state)
{
	const struct fixture *f = *state;

	slot_pull_wanted(f->slot);
	slot_push_began(f->slot, f->mark, 10);
	slot_pull_failed(f->slot, 5, 20);
	assert_true(look(f->slot).pull_wanted);
	slot_pull_ended(f->slot, 21);
	struct slot_view v = look(f->slot);
	assert_false(v.pull_wanted || v.pushing);
	assert_int_equal(v.pull_error, 5);
	assert_int_equal(v.pull_failed_ms, 20);
	assert_int_equal(v.ended, 1);
	assert_int_not_equal(v.files, FILES_PRESENT);
	/* A pull that failed is no failed push. */
	assert_int_equal(v.failed_since_ms, 0);

	slot_pull_wanted(f->slot);
	slot_push_began(f->slot, f->mark, 30);
	slot_pull_done(f->slot, 17);
	slot_pull_ended(f->slot, 31);
	v = look(f->slot);
	assert_int_equal(v.pull_error, 0);
	assert_int_equal(v.txid, 17);
	assert_int_equal(v.files, FILES_PRESENT);
	assert_int_equal(v.ended, 2);
	assert_false(slot_is_dirty(&v));
}

/* Whoever replaced the database may have died between the old one and the new one. */
static void pull_is_wanted_though_the_slot_knows_of_files_finds_none(void **state)
{
	const struct fixture *f = *state;

	slot_pull_done(f->slot, 17);
	slot_pull_ended(f->slot, 10);
	slot_pull_wanted(f->slot);
	struct slot_view v = look(f->slot);
	assert_true(v.pull_wanted);
	assert_int_equal(v.files, FILES_ABSENT);
}

static void hurry_brings_the_next_attempt_nearer_but_not_before_the_hold(void **state)
{
	static const struct {
		int64_t next;
		bool held;
		int64_t hurried_to;
		int64_t want;
	} cases[] = {
		{ 1000, false, 400, 400 }, { 1000, false, 1000, 1000 }, { 1000, false, 2000, 1000 },
		{ 1000, true, 400, 1000 }, { 1000, true, 1000, 1000 },	{ 1000, true, 2000, 1000 },
		{ 0, false, 400, 0 },	   { 0, true, 400, 0 },
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		slot_push_failed(f->slot, 1, 1, cases[i].next, cases[i].held);
		slot_hurry(f->slot, cases[i].hurried_to);
		if (look(f->slot).next_attempt_ms != cases[i].want)
			fail_msg("case %zu: got %lld, want %lld", i,
				 (long long)look(f->slot).next_attempt_ms,
				 (long long)cases[i].want);
	}
}

static void hold_that_was_moved_on_stays_a_hold(void **state)
{
	const struct fixture *f = *state;

	slot_push_failed(f->slot, 1, 1, 1000, true);
	slot_push_put_off(f->slot, 5000);
	slot_hurry(f->slot, 10);
	assert_int_equal(look(f->slot).next_attempt_ms, 1000);
	/* The next failure does not ask for patience any more. */
	slot_push_failed(f->slot, 1, 1, 3000, false);
	slot_hurry(f->slot, 10);
	assert_int_equal(look(f->slot).next_attempt_ms, 10);
}

enum { WRITERS = 3, COMMITS = 100000 };

static int commit_again_and_again(void *owner)
{
	const struct fixture *f = owner;

	for (int i = 0; i < COMMITS; i++)
		slot_commit(f->slot);
	return 0;
}

static int push_until_all_is_stored(void *owner)
{
	const struct fixture *f = owner;
	struct slot_view v;

	do {
		uint64_t covered = slot_push_began(f->slot, f->mark, 1);
		slot_push_stored(f->slot, covered, 1, 7, 1);
		slot_push_ended(f->slot, 2);
		v = look(f->slot);
	} while (v.stored < (uint64_t)WRITERS * COMMITS);
	return 0;
}

static int watch_until_all_is_stored(void *owner)
{
	const struct fixture *f = owner;
	struct slot_view v, last = { 0 };

	do {
		v = look(f->slot);
		if (v.stored > v.committed)
			return 1;
		if (v.stored < last.stored || v.committed < last.committed)
			return 2;
		last = v;
	} while (v.stored < (uint64_t)WRITERS * COMMITS);
	return 0;
}

static void racing_commits_and_pushes_lose_no_commit(void **state)
{
	struct fixture *f = *state;
	struct children c;

	children_init(&c);
	for (int i = 0; i < WRITERS; i++)
		children_add(&c, commit_again_and_again, f);
	children_add(&c, push_until_all_is_stored, f);
	children_add(&c, watch_until_all_is_stored, f);
	children_go(&c);
	children_succeed(&c);
	assert_int_equal(slot_committed(f->slot), WRITERS * COMMITS);
	struct slot_view v = look(f->slot);
	assert_false(slot_is_dirty(&v));
}

static void lock_is_wanted_only_from_a_writer_and_not_again_at_once(void **state)
{
	const struct fixture *f = *state;
	struct slot *s = f->slot;

	assert_true(slot_want_lock(s, 1000));
	assert_false(slot_wants_lock(s, 1000));
	slot_lock_wanted(s, false, 1000);
	slot_set_writer(s, 7);
	assert_false(slot_want_lock(s, 1001));
	slot_clear_writer(s, 8);
	assert_false(slot_want_lock(s, 1001));
	slot_clear_writer(s, 7);
	assert_true(slot_want_lock(s, 1001));
	slot_set_writer(s, 7);
	assert_true(slot_want_lock(s, 3000));
	assert_true(slot_wants_lock(s, 3000));
	/* Whoever wanted it may have died. */
	assert_false(slot_wants_lock(s, 4000));
	slot_lock_wanted(s, true, 3001);
	assert_false(slot_wants_lock(s, 3001));
	assert_true(slot_want_lock(s, 3002));
}

static void id_of_64_characters_comes_out_whole(void **state)
{
	const struct fixture *f = *state;
	char text[USER_ID_MAX];
	struct user_id id, got;
	struct slot *s;

	for (int i = 0; i < USER_ID_MAX; i++)
		text[i] = (char)('a' + i % 26);
	assert_int_equal(user_id_parse(text, sizeof text, &id), 0);
	assert_int_equal(table_add(f->table, &id, &s), TABLE_ADDED);
	slot_id(s, &got);
	assert_string_equal(got.text, id.text);
	slot_id(f->slot, &got);
	assert_string_equal(got.text, "alice");
}

#define test_with_slot(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void who_uses_more_than_a_quarter_of_the_time_has_exceeded_its_share(void **state)
{
	struct fixture *f = *state;
	int64_t now_us = 1000 * 1000;

	assert_int_equal(slot_charge(f->slot, 0, now_us), SLOT_SPARE_US);
	for (int i = 0; i < 1000; i++, now_us += 1000)
		assert_true(slot_charge(f->slot, 1000 / SLOT_SHARE, now_us) > 0);
	assert_true(slot_charge(f->slot, SLOT_SPARE_US, now_us) <= 0);
	now_us += SLOT_SPARE_US * SLOT_SHARE + 1000;
	assert_int_equal(slot_charge(f->slot, 0, now_us), SLOT_SPARE_US);
	assert_true(slot_charge(f->slot, 100 * SLOT_MEMORY_US, now_us) <= 0);
	assert_int_equal(slot_charge(f->slot, 0, now_us + SLOT_MEMORY_US), SLOT_SPARE_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dirt_and_flag_follow_the_truth_through_every_sequence),
		test_with_slot(new_slot_is_clean_and_not_loaded),
		test_with_slot(loading_brings_what_the_disk_says),
		test_with_slot(loading_hides_no_commit_that_came_first),
		test_with_slot(flag_loaded_from_disk_is_cleared_by_the_push_that_covers_all),
		test_with_slot(failures_are_counted_and_the_first_one_is_remembered),
		test_with_slot(success_that_keeps_the_flag_keeps_its_reason_too),
		test_with_slot(attempts_are_bracketed_and_counted),
		test_with_slot(conflict_is_set_and_taken_back),
		test_with_slot(pull_is_wanted_until_it_ended_whatever_came_of_it),
		test_with_slot(pull_is_wanted_though_the_slot_knows_of_files_finds_none),
		test_with_slot(hurry_brings_the_next_attempt_nearer_but_not_before_the_hold),
		test_with_slot(hold_that_was_moved_on_stays_a_hold),
		test_with_slot(racing_commits_and_pushes_lose_no_commit),
		test_with_slot(lock_is_wanted_only_from_a_writer_and_not_again_at_once),
		test_with_slot(who_uses_more_than_a_quarter_of_the_time_has_exceeded_its_share),
		test_with_slot(id_of_64_characters_comes_out_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
