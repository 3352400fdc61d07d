#include "db/capture.h"

#include "db/replica.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>

struct fixture {
	struct scratch scratch;
	struct replica replica;
	struct userdb *u; /* captures */
	struct userdb *writer;
};

static void open_both(struct fixture *f)
{
	f->u = scratch_open(&f->scratch);
	f->writer = scratch_open(&f->scratch);
}

static void close_both(struct fixture *f)
{
	userdb_close(f->u);
	userdb_close(f->writer);
	f->u = NULL;
	f->writer = NULL;
}

static void follow_and_compare(struct fixture *f)
{
	follow_without_gap(&f->replica, f->u);
	expect_equals(&f->replica, f->u);
}

/* What only the pusher's checkpoint does otherwise. */
static void checkpoint_completely(struct userdb *u)
{
	int nlog, ncopied;
	int rc = sqlite3_wal_checkpoint_v2(userdb_sqlite(u), "main", SQLITE_CHECKPOINT_PASSIVE,
					   &nlog, &ncopied);

	assert_int_equal(rc, SQLITE_OK);
	assert_int_equal(nlog, ncopied);
}

static void first_capture_of_a_database_without_wal_reads_the_file(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	follow_and_compare(f);
	assert_int_equal(f->replica.at.frame, 0);
	assert_int_equal(f->replica.at.page_size, 1024);
	expect_nothing_to_follow(&f->replica, f->u);
}

static void commits_after_a_capture_of_the_file_alone_follow_without_gap(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	follow_and_compare(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(9000))");
	follow_and_compare(f);
	assert_true(f->replica.at.frame > 0);
	assert_true(f->replica.ncaptured < f->replica.at.npages);
	expect_nothing_to_follow(&f->replica, f->u);
}

static void whole_capture_takes_each_page_from_its_newest_place(void **state)
{
	struct fixture *f = *state;
	struct capture *c = NULL;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(5000))");
	run_sql(f->writer, "UPDATE t SET b = randomblob(5000) WHERE id = 2");
	assert_int_equal(capture_begin(f->u, &f->replica.at, &c), CAPTURE_PAGES);
	assert_true(capture_whole(c));
	assert_false(capture_gap(c));
	replica_apply(&f->replica, c);
	f->replica.at = *capture_position(c);
	capture_end(c);
	expect_equals(&f->replica, f->u);
	assert_int_equal(f->replica.ncaptured, f->replica.at.npages);
}

static void capture_has_only_the_pages_of_the_commit(void **state)
{
	struct fixture *f = *state;
	struct capture *c = NULL;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(90000))");
	follow_and_compare(f);
	run_sql(f->writer, "UPDATE t SET b = randomblob(100) WHERE id = 1");
	assert_int_equal(capture_begin(f->u, &f->replica.at, &c), CAPTURE_PAGES);
	assert_false(capture_whole(c));
	capture_end(c);
	follow_and_compare(f);
	assert_true(f->replica.ncaptured <= 2);
}

static void rolled_back_and_empty_transactions_are_nothing(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	follow_and_compare(f);
	/* More than the cache holds, so that frames do reach the file. */
	run_sql(f->writer, "PRAGMA cache_size=5; BEGIN;"
			   "INSERT INTO t VALUES(2, randomblob(90000));"
			   "UPDATE t SET b = randomblob(80000); ROLLBACK; BEGIN; COMMIT");
	struct stat wal;
	assert_int_equal(stat(f->scratch.wal, &wal), 0);
	assert_true(wal.st_size > 32);
	expect_nothing_to_follow(&f->replica, f->u);
	run_sql(f->writer, "INSERT INTO t VALUES(3, 'x')");
	follow_and_compare(f);
}

static void writer_committing_during_a_capture_belongs_to_the_next(void **state)
{
	struct fixture *f = *state;
	struct capture *c = NULL;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(5000))");
	assert_int_equal(capture_begin(f->u, &f->replica.at, &c), CAPTURE_PAGES);
	struct wal_position end = *capture_position(c);
	run_sql(f->writer, "UPDATE t SET b = randomblob(6000)");
	replica_apply(&f->replica, c);
	f->replica.at = end;
	capture_end(c);
	follow_and_compare(f);
	assert_true(f->replica.at.frame > end.frame);
}

/*
 * With everything in the file a reader does not hold the WAL: the writer below
 * starts it over and overwrites the frames that the capture found.
 */
static void wal_started_over_during_a_capture_does_not_mix_in(void **state)
{
	struct fixture *f = *state;
	struct capture *c = NULL;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(20000))");
	checkpoint_completely(f->writer);
	assert_int_equal(capture_begin(f->u, &f->replica.at, &c), CAPTURE_PAGES);
	struct wal_position end = *capture_position(c), now;
	sqlite3_int64 len = 0;
	unsigned char *before = sqlite3_serialize(userdb_sqlite(f->u), "main", &len, 0);

	run_sql(f->writer, "UPDATE t SET b = randomblob(20000)");
	replica_apply(&f->replica, c);
	f->replica.at = end;
	capture_end(c);
	assert_int_equal(len, (int64_t)end.page_size * end.npages);
	assert_memory_equal(f->replica.bytes, before, (size_t)len);
	sqlite3_free(before);

	assert_int_equal(wal_present(f->u, &now), CAPTURE_PAGES);
	assert_memory_not_equal(now.salt, end.salt, sizeof now.salt);
	follow_and_compare(f);
}

/*
 * SQLite need not write each page that it grows by.  A remote copy that is
 * smaller than the database was at its position needs the same: pages that no
 * frame after the position has, but older ones or the file do.
 */
static void growth_by_pages_that_are_not_in_new_frames_is_captured(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(3000))");
	run_sql(f->writer, "UPDATE t SET b = randomblob(3000) WHERE id = 2");
	follow_and_compare(f);
	run_sql(f->writer, "UPDATE t SET b = randomblob(10) WHERE id = 1");
	uint32_t before = f->replica.at.npages;
	f->replica.at.npages = 4;
	follow_and_compare(f);
	assert_int_equal(f->replica.at.npages, before);
	assert_true(f->replica.ncaptured < before);
}

/* The same where the position is the file alone, or before a checkpoint. */
static void growth_over_a_position_in_the_file_is_captured(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	follow_and_compare(f);
	run_sql(f->writer, "UPDATE t SET b = randomblob(10) WHERE id = 1");
	uint32_t before = f->replica.at.npages;
	f->replica.at.npages = 4;
	follow_and_compare(f);
	assert_int_equal(f->replica.at.npages, before);
}

/* The file is shorter than the database, and no frame has its last pages. */
static void growth_by_pages_that_are_nowhere_is_zeros(void **state)
{
	struct fixture *f = *state;
	struct capture *c = NULL;

	struct stat st;
	assert_int_equal(stat(f->scratch.db, &st), 0);
	uint32_t npages = (uint32_t)(st.st_size / 1024);
	open_both(f);
	follow_and_compare(f);
	run_sql(f->writer, "PRAGMA secure_delete=OFF; DELETE FROM t WHERE id = 1000");
	follow_and_compare(f);
	assert_int_equal(f->replica.at.npages, npages);
	/* Free pages now, which a file may lack after a crash in the middle of growing. */
	assert_int_equal(truncate(f->scratch.db, (off_t)(npages - 3) * 1024), 0);
	run_sql(f->writer, "UPDATE t SET b = randomblob(10) WHERE id = 1");
	f->replica.at.npages = npages - 3;
	assert_int_equal(capture_begin(f->u, &f->replica.at, &c), CAPTURE_PAGES);
	replica_apply(&f->replica, c);
	assert_int_equal(capture_position(c)->npages, npages);
	capture_end(c);
	for (size_t i = 0; i < 3 * 1024; i++)
		assert_int_equal(f->replica.bytes[(npages - 3) * 1024 + i], 0);
}

static void shrinking_and_growing_between_two_captures_is_followed(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(90000))");
	follow_and_compare(f);
	run_sql(f->writer, "PRAGMA secure_delete=OFF");
	run_sql(f->writer, "DELETE FROM t WHERE id = 2; PRAGMA incremental_vacuum");
	run_sql(f->writer, "BEGIN; INSERT INTO t VALUES(3, zeroblob(60000));"
			   "DELETE FROM t WHERE id = 3; COMMIT");
	follow_and_compare(f);
	run_sql(f->writer, "PRAGMA incremental_vacuum");
	uint32_t npages = f->replica.at.npages;
	follow_and_compare(f);
	assert_true(f->replica.at.npages < npages);
	run_sql(f->writer, "BEGIN; INSERT INTO t VALUES(3, zeroblob(70000));"
			   "DELETE FROM t WHERE id = 3; COMMIT");
	follow_and_compare(f);
	run_sql(f->writer, "VACUUM");
	follow_and_compare(f);
	assert_true(f->replica.at.npages < npages);
}

static void position_survives_closing_and_reopening(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(9000))");
	follow_and_compare(f);
	run_sql(f->writer, "INSERT INTO t VALUES(3, randomblob(9000))");
	close_both(f);
	open_both(f);
	run_sql(f->writer, "UPDATE t SET b = randomblob(100) WHERE id = 2");
	follow_and_compare(f);
	close_both(f);
	open_both(f);
	expect_nothing_to_follow(&f->replica, f->u);
}

static void wal_removed_by_a_foreign_tool_is_a_gap(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(9000))");
	follow_and_compare(f);
	close_both(f);
	foreign_run(&f->scratch, "INSERT INTO t VALUES(3, 'foreign')");
	assert_int_equal(access(f->scratch.wal, F_OK), -1);
	open_both(f);
	follow_with_gap(&f->replica, f->u);
	expect_equals(&f->replica, f->u);
	expect_nothing_to_follow(&f->replica, f->u);
}

static void wal_started_over_by_a_foreign_checkpoint_is_a_gap(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(9000))");
	follow_and_compare(f);
	run_sql(f->writer, "INSERT INTO t VALUES(3, randomblob(9000))");
	checkpoint_completely(f->writer);
	run_sql(f->writer, "INSERT INTO t VALUES(4, randomblob(100))");
	follow_with_gap(&f->replica, f->u);
	expect_equals(&f->replica, f->u);
}

static void foreign_checkpoint_before_the_wal_starts_over_is_no_gap(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(9000))");
	follow_and_compare(f);
	run_sql(f->writer, "INSERT INTO t VALUES(3, randomblob(9000))");
	checkpoint_completely(f->writer);
	follow_and_compare(f);
	run_sql(f->writer, "INSERT INTO t VALUES(4, randomblob(100))");
	follow_and_compare(f);
}

static void position_that_does_not_fit_is_a_gap(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(9000))");
	follow_and_compare(f);
	struct wal_position good = f->replica.at;

	f->replica.at.frame += 1;
	follow_with_gap(&f->replica, f->u);
	f->replica.at = good;
	f->replica.at.sum[0] ^= 1;
	follow_with_gap(&f->replica, f->u);
	f->replica.at.salt[3] ^= 1;
	follow_with_gap(&f->replica, f->u);
	f->replica.at.page_size = 4096;
	follow_with_gap(&f->replica, f->u);
	expect_equals(&f->replica, f->u);

	run_sql(f->writer, "INSERT INTO t VALUES(3, randomblob(100))");
	f->replica.at.sum[1] ^= 1;
	follow_with_gap(&f->replica, f->u);
	expect_equals(&f->replica, f->u);
	expect_nothing_to_follow(&f->replica, f->u);
}

static void damaged_frame_fails_and_is_never_captured(void **state)
{
	struct fixture *f = *state;
	struct capture *c = NULL;

	open_both(f);
	follow_and_compare(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(9000))");
	int fd = open(f->scratch.wal, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "damage", 6, 32 + 24 + 1024 + 24 + 500), 6);
	assert_int_equal(close(fd), 0);
	assert_int_equal(capture_begin(f->u, &f->replica.at, &c), CAPTURE_FAILED);
	assert_null(c);
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t word;

	memcpy(&word, p, sizeof word);
	return le32toh(word);
}

static void store_be32(uint8_t *p, uint32_t word)
{
	word = htobe32(word);
	memcpy(p, &word, sizeof word);
}

/*
 * What a writer leaves that died after its commit frame and before it
 * published the wal-index: page 1 once more, changed, with right checksums.
 */
static void append_phantom_commit(const struct fixture *f, const struct wal_position *end)
{
	uint8_t frame[24 + 1024];
	uint32_t sum[2] = { end->sum[0], end->sum[1] };

	memcpy(frame + 24, f->replica.bytes, 1024);
	frame[24 + 60] ^= 1; /* user_version */
	store_be32(frame, 1);
	store_be32(frame + 4, end->npages);
	memcpy(frame + 8, end->salt, 8);
	for (size_t i = 0; i < sizeof frame; i += 8) {
		if (i == 8 || i == 16)
			continue;
		sum[0] += load32(frame + i) + sum[1];
		sum[1] += load32(frame + i + 4) + sum[0];
	}
	store_be32(frame + 16, sum[0]);
	store_be32(frame + 20, sum[1]);
	int fd = open(f->scratch.wal, O_RDWR | O_CLOEXEC);
	off_t offset = 32 + (off_t)end->frame * (off_t)sizeof frame;
	assert_int_equal(pwrite(fd, frame, sizeof frame, offset), sizeof frame);
	assert_int_equal(close(fd), 0);
}

static void phantom_commit_beyond_the_index_is_not_captured(void **state)
{
	struct fixture *f = *state;
	struct wal_position found;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(5000))");
	follow_and_compare(f);
	struct wal_position end = f->replica.at;
	append_phantom_commit(f, &end);
	expect_nothing_to_follow(&f->replica, f->u);
	assert_int_equal(wal_position_at(f->u, end.salt, end.frame + 1, &found), CAPTURE_NOTHING);
	assert_true(wal_may_reach_beyond(f->scratch.db, &end));
	run_sql(f->writer, "INSERT INTO t VALUES(3, randomblob(5000))");
	follow_and_compare(f);
	assert_int_equal(number_of(f->u, "PRAGMA user_version"), 0);
}

/* When all processes are gone, the next one recovers the WAL and finds it valid. */
static void phantom_commit_adopted_by_recovery_is_captured(void **state)
{
	struct fixture *f = *state;
	char shm[128];

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(5000))");
	follow_and_compare(f);
	append_phantom_commit(f, &f->replica.at);
	close_both(f);
	(void)snprintf(shm, sizeof shm, "%s-shm", f->scratch.db);
	assert_int_equal(unlink(shm), 0);
	open_both(f);
	follow_and_compare(f);
	assert_true(number_of(f->u, "PRAGMA user_version") != 0);
}

static void expect_same_position(const struct wal_position *a, const struct wal_position *b)
{
	assert_memory_equal(a->salt, b->salt, sizeof a->salt);
	assert_int_equal(a->frame, b->frame);
	assert_int_equal(a->sum[0], b->sum[0]);
	assert_int_equal(a->sum[1], b->sum[1]);
	assert_int_equal(a->page_size, b->page_size);
	assert_int_equal(a->npages, b->npages);
	assert_int_equal(a->armed, b->armed);
}

static void position_at_finds_commits_and_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct wal_position ends[4], found;
	uint32_t frame = 0;

	open_both(f);
	for (int i = 0; i < 4; i++) {
		run_sql(f->writer, "INSERT INTO t(b) VALUES(randomblob(5000))");
		assert_int_equal(wal_present(f->u, &ends[i]), CAPTURE_PAGES);
	}
	for (int i = 0; i < 4; i++) {
		assert_true(ends[i].frame > frame + 1);
		for (frame++; frame < ends[i].frame; frame++)
			assert_int_equal(wal_position_at(f->u, ends[i].salt, frame, &found),
					 CAPTURE_NOTHING);
		assert_int_equal(wal_position_at(f->u, ends[i].salt, frame, &found), CAPTURE_PAGES);
		expect_same_position(&found, &ends[i]);
	}
	assert_int_equal(wal_position_at(f->u, ends[3].salt, frame + 1, &found), CAPTURE_NOTHING);
	assert_int_equal(wal_position_at(f->u, ends[3].salt, 0, &found), CAPTURE_NOTHING);
	ends[3].salt[7] ^= 1;
	assert_int_equal(wal_position_at(f->u, ends[3].salt, frame, &found), CAPTURE_NOTHING);

	/* A capture may go on from any of them. */
	follow_and_compare(f);
	assert_int_equal(wal_position_at(f->u, ends[1].salt, ends[1].frame, &f->replica.at),
			 CAPTURE_PAGES);
	follow_and_compare(f);
}

static void frames_of_an_open_transaction_are_not_captured(void **state)
{
	struct fixture *f = *state;
	struct wal_position before, now;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t VALUES(2, randomblob(5000))");
	follow_and_compare(f);
	before = f->replica.at;
	run_sql(f->writer, "PRAGMA cache_size=5; BEGIN;"
			   "INSERT INTO t VALUES(3, randomblob(90000)); UPDATE t SET b = b || 'x'");
	assert_true(wal_may_reach_beyond(f->scratch.db, &before));
	expect_nothing_to_follow(&f->replica, f->u);
	assert_int_equal(wal_present(f->u, &now), CAPTURE_PAGES);
	assert_int_equal(now.frame, before.frame);
	run_sql(f->writer, "COMMIT");
	follow_and_compare(f);
}

/* The file is a hole behind its first pages, so this costs no disk. */
/* The same moment, captured in part and then as a whole. */
static void expect_widened(struct fixture *f, bool checkpointed)
{
	struct replica whole = { 0 };
	struct capture *c = NULL;

	run_sql(f->writer, "INSERT INTO t(b) VALUES(randomblob(9000))");
	if (checkpointed)
		checkpoint_completely(f->writer);
	assert_int_equal(capture_begin(f->u, &f->replica.at, &c), CAPTURE_PAGES);
	assert_false(capture_whole(c));
	replica_apply(&f->replica, c);
	f->replica.at = *capture_position(c);
	/* Not part of it, however late it is read. */
	run_sql(f->writer, "UPDATE t SET b = randomblob(100)");
	assert_int_equal(capture_widen(c), 0);
	assert_true(capture_whole(c));
	replica_apply(&whole, c);
	assert_int_equal(capture_position(c)->npages, f->replica.at.npages);
	assert_memory_equal(whole.bytes, f->replica.bytes,
			    (size_t)f->replica.at.npages * f->replica.at.page_size);
	capture_end(c);
	replica_release(&whole);
}

static void widened_capture_is_whole_and_of_the_same_moment(void **state)
{
	struct fixture *f = *state;

	open_both(f);
	run_sql(f->writer, "INSERT INTO t(b) VALUES(randomblob(9000))");
	follow_without_gap(&f->replica, f->u);
	expect_widened(f, false);
	follow_without_gap(&f->replica, f->u);
	expect_widened(f, true);
}

static void page_of_the_lock_byte_is_left_out(void **state)
{
	struct scratch s;
	struct capture *c = NULL;
	struct wal_position at = { .page_size = 0 };
	uint32_t pgno = 0, last = 0;
	enum capture_page result;
	const uint8_t *page;

	(void)state;
	scratch_init(&s);
	foreign_create(&s, 65536);
	assert_int_equal(truncate(s.db, (off_t)65536 * 16387), 0);
	struct userdb *u = scratch_open(&s);
	assert_int_equal(capture_begin(u, &at, &c), CAPTURE_PAGES);
	assert_int_equal(capture_position(c)->npages, 16387);
	while ((result = capture_next_page(c, &pgno, &page)) == CAPTURE_PAGE) {
		assert_int_equal(pgno, last == 16384 ? 16386 : last + 1);
		last = pgno;
	}
	assert_int_equal(result, CAPTURE_LAST);
	assert_int_equal(last, 16387);
	capture_end(c);
	userdb_close(u);
	scratch_release(&s);
}

static int set_up(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof f);
	scratch_init(&f.scratch);
	foreign_create(&f.scratch, 1024);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close_both(f);
	replica_release(&f->replica);
	scratch_release(&f->scratch);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_capture_of_a_database_without_wal_reads_the_file),
		TEST(commits_after_a_capture_of_the_file_alone_follow_without_gap),
		TEST(whole_capture_takes_each_page_from_its_newest_place),
		TEST(capture_has_only_the_pages_of_the_commit),
		TEST(rolled_back_and_empty_transactions_are_nothing),
		TEST(writer_committing_during_a_capture_belongs_to_the_next),
		TEST(wal_started_over_during_a_capture_does_not_mix_in),
		TEST(growth_by_pages_that_are_not_in_new_frames_is_captured),
		TEST(growth_over_a_position_in_the_file_is_captured),
		TEST(growth_by_pages_that_are_nowhere_is_zeros),
		TEST(shrinking_and_growing_between_two_captures_is_followed),
		TEST(position_survives_closing_and_reopening),
		TEST(wal_removed_by_a_foreign_tool_is_a_gap),
		TEST(wal_started_over_by_a_foreign_checkpoint_is_a_gap),
		TEST(foreign_checkpoint_before_the_wal_starts_over_is_no_gap),
		TEST(position_that_does_not_fit_is_a_gap),
		TEST(damaged_frame_fails_and_is_never_captured),
		TEST(phantom_commit_beyond_the_index_is_not_captured),
		TEST(phantom_commit_adopted_by_recovery_is_captured),
		TEST(position_at_finds_commits_and_nothing_else),
		TEST(frames_of_an_open_transaction_are_not_captured),
		TEST(widened_capture_is_whole_and_of_the_same_moment),
		cmocka_unit_test(page_of_the_lock_byte_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
