#include "db/checkpoint.h"

#include "db/replica.h"

struct fixture {
	struct scratch scratch;
	struct replica replica;
	struct userdb *u; /* captures and checkpoints */
	struct userdb *writer;
	int meanwhile; /* commits that come while the rest is secured */
};

static int refuse_to_arm(void *owner)
{
	(void)owner;
	return -1;
}

static enum checkpoint_result checkpoint(struct fixture *f)
{
	return wal_checkpoint(f->u, f->scratch.db, &f->replica.at, arm_position, &f->replica.at);
}

static void commit_and_follow(struct fixture *f)
{
	run_sql(f->writer, "INSERT INTO t(b) VALUES(randomblob(5000))");
	follow_without_gap(&f->replica, f->u);
	expect_equals(&f->replica, f->u);
}

static void checkpoint_at_the_end_lets_the_wal_start_over_without_gap(void **state)
{
	struct fixture *f = *state;

	commit_and_follow(f);
	struct wal_position before = f->replica.at;
	assert_int_equal(checkpoint(f), CHECKPOINT_DONE);
	assert_true(f->replica.at.armed);
	expect_nothing_to_follow(&f->replica, f->u);
	commit_and_follow(f);
	assert_memory_not_equal(f->replica.at.salt, before.salt, sizeof before.salt);
	assert_false(f->replica.at.armed);
	assert_true(f->replica.ncaptured < f->replica.at.npages);
}

static void checkpoint_behind_the_end_is_for_later_and_does_not_arm(void **state)
{
	struct fixture *f = *state;

	commit_and_follow(f);
	run_sql(f->writer, "INSERT INTO t(b) VALUES(1)");
	assert_int_equal(checkpoint(f), CHECKPOINT_LATER);
	assert_false(f->replica.at.armed);
	follow_without_gap(&f->replica, f->u);
	assert_int_equal(checkpoint(f), CHECKPOINT_DONE);
}

static void checkpoint_during_a_write_neither_waits_nor_copies_it(void **state)
{
	struct fixture *f = *state;

	commit_and_follow(f);
	run_sql(f->writer, "BEGIN IMMEDIATE; INSERT INTO t(b) VALUES(randomblob(5000))");
	assert_int_equal(checkpoint(f), CHECKPOINT_DONE);
	run_sql(f->writer, "COMMIT");
	struct wal_position before = f->replica.at;
	follow_without_gap(&f->replica, f->u);
	expect_equals(&f->replica, f->u);
	assert_memory_equal(f->replica.at.salt, before.salt, sizeof before.salt);
}

static int commit_meanwhile(void *owner)
{
	struct fixture *f = owner;

	run_sql(f->writer, "INSERT INTO t(b) VALUES(randomblob(5000))");
	f->replica.at.armed = true;
	return 0;
}

static void commit_that_comes_during_the_checkpoint_is_not_lost_with_the_wal(void **state)
{
	struct fixture *f = *state;

	commit_and_follow(f);
	assert_int_equal(wal_checkpoint(f->u, f->scratch.db, &f->replica.at, commit_meanwhile, f),
			 CHECKPOINT_LATER);
	struct wal_position before = f->replica.at;
	commit_and_follow(f);
	assert_memory_equal(f->replica.at.salt, before.salt, sizeof before.salt);
	assert_int_equal(checkpoint(f), CHECKPOINT_DONE);
	commit_and_follow(f);
	assert_memory_not_equal(f->replica.at.salt, before.salt, sizeof before.salt);
}

static void checkpoint_with_an_older_reader_is_for_later_and_breaks_nothing(void **state)
{
	struct fixture *f = *state;

	commit_and_follow(f);
	run_sql(f->writer, "BEGIN; SELECT count(*) FROM t");
	struct userdb *other = scratch_open(&f->scratch);
	run_sql(other, "INSERT INTO t(b) VALUES(randomblob(5000))");
	follow_without_gap(&f->replica, f->u);
	assert_int_equal(checkpoint(f), CHECKPOINT_LATER);
	run_sql(other, "INSERT INTO t(b) VALUES(randomblob(5000))");
	userdb_close(other);
	run_sql(f->writer, "COMMIT");
	follow_without_gap(&f->replica, f->u);
	expect_equals(&f->replica, f->u);
	assert_int_equal(checkpoint(f), CHECKPOINT_DONE);
	commit_and_follow(f);
}

static void checkpoint_that_cannot_arm_fails_and_copies_nothing(void **state)
{
	struct fixture *f = *state;

	commit_and_follow(f);
	assert_int_equal(wal_checkpoint(f->u, f->scratch.db, &f->replica.at, refuse_to_arm, NULL),
			 CHECKPOINT_FAILED);
	struct wal_position before = f->replica.at;
	commit_and_follow(f);
	assert_memory_equal(f->replica.at.salt, before.salt, sizeof before.salt);
}

static void checkpoint_again_or_with_an_empty_wal_is_done(void **state)
{
	struct fixture *f = *state;

	follow_without_gap(&f->replica, f->u);
	assert_int_equal(checkpoint(f), CHECKPOINT_DONE);
	assert_false(f->replica.at.armed);
	commit_and_follow(f);
	assert_int_equal(checkpoint(f), CHECKPOINT_DONE);
	assert_int_equal(checkpoint(f), CHECKPOINT_DONE);
}

static void writer_waits_no_longer_than_the_checkpoint(void **state)
{
	struct fixture *f = *state;

	commit_and_follow(f);
	assert_int_equal(checkpoint(f), CHECKPOINT_DONE);
	assert_int_equal(sqlite3_get_autocommit(userdb_sqlite(f->u)), 1);
	run_sql(f->writer, "BEGIN IMMEDIATE; COMMIT");
}

static int follow_through(void *owner, struct userdb *reader)
{
	struct fixture *f = owner;

	follow_without_gap(&f->replica, reader);
	f->replica.at.armed = true;
	if (f->meanwhile > 0) {
		f->meanwhile--;
		run_sql(f->writer, "INSERT INTO t(b) VALUES(randomblob(5000))");
	}
	return 0;
}

static int refuse_to_secure(void *owner, struct userdb *reader)
{
	(void)owner;
	(void)reader;
	return -1;
}

static void busy_checkpoint_secures_the_rest_while_nobody_writes(void **state)
{
	struct fixture *f = *state;

	commit_and_follow(f);
	f->meanwhile = 1;
	run_sql(f->writer, "INSERT INTO t(b) VALUES(randomblob(5000))");
	assert_int_equal(wal_checkpoint_busy(f->u, f->scratch.db, follow_through, f),
			 CHECKPOINT_DONE);
	assert_int_equal(f->meanwhile, 0);
	expect_equals(&f->replica, f->u);
	struct wal_position before = f->replica.at;
	commit_and_follow(f);
	assert_memory_not_equal(f->replica.at.salt, before.salt, sizeof before.salt);
}

static void busy_checkpoint_that_cannot_secure_fails_and_copies_nothing(void **state)
{
	struct fixture *f = *state;

	commit_and_follow(f);
	struct wal_position before = f->replica.at;
	assert_int_equal(wal_checkpoint_busy(f->u, f->scratch.db, refuse_to_secure, NULL),
			 CHECKPOINT_FAILED);
	commit_and_follow(f);
	assert_memory_equal(f->replica.at.salt, before.salt, sizeof before.salt);
}

static void checkpoint_of_an_absent_file_fails(void **state)
{
	struct fixture *f = *state;

	commit_and_follow(f);
	assert_int_equal(wal_checkpoint(f->u, "/nonexistent/db.sqlite", &f->replica.at,
					arm_position, &f->replica.at),
			 CHECKPOINT_FAILED);
	assert_false(f->replica.at.armed);
}

static int set_up(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof f);
	scratch_init(&f.scratch);
	foreign_create(&f.scratch, 4096);
	f.u = scratch_open(&f.scratch);
	f.writer = scratch_open(&f.scratch);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	userdb_close(f->u);
	userdb_close(f->writer);
	replica_release(&f->replica);
	scratch_release(&f->scratch);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(checkpoint_at_the_end_lets_the_wal_start_over_without_gap),
		TEST(checkpoint_behind_the_end_is_for_later_and_does_not_arm),
		TEST(checkpoint_during_a_write_neither_waits_nor_copies_it),
		TEST(commit_that_comes_during_the_checkpoint_is_not_lost_with_the_wal),
		TEST(checkpoint_with_an_older_reader_is_for_later_and_breaks_nothing),
		TEST(checkpoint_that_cannot_arm_fails_and_copies_nothing),
		TEST(checkpoint_again_or_with_an_empty_wal_is_done),
		TEST(writer_waits_no_longer_than_the_checkpoint),
		TEST(busy_checkpoint_secures_the_rest_while_nobody_writes),
		TEST(busy_checkpoint_that_cannot_secure_fails_and_copies_nothing),
		TEST(checkpoint_of_an_absent_file_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
