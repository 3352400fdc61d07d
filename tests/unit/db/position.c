#include "db/position.h"

#include "db/replica.h"

#include <fcntl.h>
#include <sys/stat.h>

struct fixture {
	struct scratch scratch;
	struct userdb *u;
	struct wal_position at;
};

static bool may_reach_beyond(const struct fixture *f)
{
	return wal_may_reach_beyond(f->scratch.db, &f->at);
}

static void commit_and_take_position(struct fixture *f)
{
	run_sql(f->u, "INSERT INTO t(b) VALUES(randomblob(3000))");
	assert_int_equal(wal_present(f->u, &f->at), CAPTURE_PAGES);
	assert_true(f->at.frame > 0);
}

static void checkpoint_completely(struct fixture *f)
{
	int nlog, ncopied;

	assert_int_equal(sqlite3_wal_checkpoint_v2(userdb_sqlite(f->u), "main",
						   SQLITE_CHECKPOINT_PASSIVE, &nlog, &ncopied),
			 SQLITE_OK);
	assert_int_equal(nlog, ncopied);
}

static void end_of_the_wal_is_not_beyond(void **state)
{
	struct fixture *f = *state;

	commit_and_take_position(f);
	assert_false(may_reach_beyond(f));
	userdb_close(f->u);
	f->u = NULL;
	assert_false(may_reach_beyond(f));
}

static void later_commit_is_beyond(void **state)
{
	struct fixture *f = *state;

	commit_and_take_position(f);
	run_sql(f->u, "INSERT INTO t(b) VALUES(1)");
	assert_true(may_reach_beyond(f));
}

static void nothing_captured_yet_is_beyond(void **state)
{
	struct fixture *f = *state;

	assert_true(may_reach_beyond(f));
}

static void empty_wal_is_beyond_only_where_one_should_be(void **state)
{
	struct fixture *f = *state;

	commit_and_take_position(f);
	userdb_close(f->u);
	f->u = NULL;
	for (int absent = 0; absent <= 1; absent++) {
		assert_int_equal(absent ? unlink(f->scratch.wal) : truncate(f->scratch.wal, 32), 0);
		f->at.armed = false;
		assert_true(may_reach_beyond(f));
		f->at.armed = true;
		assert_true(may_reach_beyond(f));
	}
	f->at = (struct wal_position){ .page_size = 1024,
				       .npages = 3,
				       .file_ns = wal_file_ns(f->scratch.db) };
	assert_false(may_reach_beyond(f));
}

static void change_of_the_file_is_beyond_the_file_alone(void **state)
{
	struct fixture *f = *state;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1 } };

	assert_int_equal(wal_present(f->u, &f->at), CAPTURE_PAGES);
	assert_int_equal(f->at.frame, 0);
	assert_false(may_reach_beyond(f));
	assert_int_equal(utimensat(AT_FDCWD, f->scratch.db, times, 0), 0);
	assert_true(may_reach_beyond(f));
	assert_int_equal(wal_file_ns(f->scratch.db), 1000000000);
	assert_int_equal(unlink(f->scratch.db), 0);
	assert_int_equal(wal_file_ns(f->scratch.db), -1);
	assert_true(may_reach_beyond(f));
}

static void any_commit_is_beyond_the_file_alone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(wal_present(f->u, &f->at), CAPTURE_PAGES);
	assert_int_equal(f->at.frame, 0);
	assert_false(may_reach_beyond(f));
	run_sql(f->u, "INSERT INTO t(b) VALUES(1)");
	assert_true(may_reach_beyond(f));
}

static void wal_started_over_is_beyond(void **state)
{
	struct fixture *f = *state;

	commit_and_take_position(f);
	checkpoint_completely(f);
	f->at.armed = true;
	assert_false(may_reach_beyond(f));
	run_sql(f->u, "INSERT INTO t(b) VALUES(1)");
	assert_true(may_reach_beyond(f));
	f->at.armed = false;
	assert_true(may_reach_beyond(f));
}

/* What the one in between held is in the file, and was never captured. */
static void wal_started_over_twice_is_beyond_without_a_frame(void **state)
{
	struct fixture *f = *state;

	commit_and_take_position(f);
	checkpoint_completely(f);
	f->at.armed = true;
	struct wal_position old = f->at;
	commit_and_take_position(f);
	assert_true(wal_salt_follows(old.salt, f->at.salt));
	checkpoint_completely(f);
	commit_and_take_position(f);
	assert_false(wal_salt_follows(old.salt, f->at.salt));
	f->at = old;
	assert_int_equal(truncate(f->scratch.wal, 40), 0);
	assert_true(may_reach_beyond(f));
}

/* A writer that died after the new header: the frames are those of the old WAL. */
static void new_header_before_old_frames_is_beyond_only_when_not_armed(void **state)
{
	struct fixture *f = *state;

	commit_and_take_position(f);
	checkpoint_completely(f);
	struct wal_position old = f->at;
	commit_and_take_position(f);
	FILE *wal = fopen(f->scratch.wal, "r+");
	assert_int_equal(fseek(wal, 32 + 8, SEEK_SET), 0);
	assert_int_equal(fwrite(old.salt, sizeof old.salt, 1, wal), 1);
	assert_int_equal(fclose(wal), 0);

	f->at = old;
	f->at.armed = true;
	assert_false(may_reach_beyond(f));
	f->at.armed = false;
	assert_true(may_reach_beyond(f));
}

static void doubt_is_beyond(void **state)
{
	struct fixture *f = *state;

	commit_and_take_position(f);
	struct wal_position good = f->at;
	f->at.frame += 5;
	assert_true(may_reach_beyond(f));
	f->at.frame = UINT32_MAX;
	assert_true(may_reach_beyond(f));
	f->at = good;
	f->at.page_size = 4096;
	assert_true(may_reach_beyond(f));
	f->at = good;
	f->at.armed = true;
	FILE *wal = fopen(f->scratch.wal, "r+");
	assert_true(fputc('x', wal) == 'x');
	assert_int_equal(fclose(wal), 0);
	assert_true(may_reach_beyond(f));
	assert_true(wal_may_reach_beyond("/proc/self/mem/none", &f->at));
}

static int set_up(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof f);
	scratch_init(&f.scratch);
	foreign_create(&f.scratch, 1024);
	f.u = scratch_open(&f.scratch);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	userdb_close(f->u);
	scratch_release(&f->scratch);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(end_of_the_wal_is_not_beyond),
		TEST(later_commit_is_beyond),
		TEST(nothing_captured_yet_is_beyond),
		TEST(empty_wal_is_beyond_only_where_one_should_be),
		TEST(change_of_the_file_is_beyond_the_file_alone),
		TEST(any_commit_is_beyond_the_file_alone),
		TEST(wal_started_over_is_beyond),
		TEST(wal_started_over_twice_is_beyond_without_a_frame),
		TEST(new_header_before_old_frames_is_beyond_only_when_not_armed),
		TEST(doubt_is_beyond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
