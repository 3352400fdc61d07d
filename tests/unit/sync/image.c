#include "sync/image.h"

#include "base/file.h"
#include "db/capture.h"
#include "fixture.h"
#include "state/right.h"
#include "sync/record.h"

#include <sqlite3.h>

struct fixture {
	struct folder folder;
	struct user_id id;
	struct userdb *db; /* of a writer */
	char db_path[FOLDER_FILE_MAX];
	char sync_path[FOLDER_FILE_MAX];
	char lock_path[FOLDER_FILE_MAX];
};

static void run(const struct fixture *f, const char *sql)
{
	assert_int_equal(sqlite3_exec(userdb_sqlite(f->db), sql, NULL, NULL, NULL), SQLITE_OK);
}

static void record(const struct fixture *f, const struct record *r)
{
	assert_int_equal(record_write(f->sync_path, r), 0);
}

/* As a push does that has reached the end of the WAL. */
static void record_end(const struct fixture *f, uint64_t txid)
{
	struct record r = { .txid = txid };

	assert_int_equal(wal_present(f->db, &r.position), CAPTURE_PAGES);
	record(f, &r);
}

static int set_up(void **state)
{
	static struct fixture f;
	char dir[FOLDER_FILE_MAX];

	folder_init(&f.folder);
	assert_int_equal(user_id_parse("alice", 5, &f.id), 0);
	assert_int_equal(user_path(f.folder.path, &f.id, "", dir, sizeof dir), 0);
	assert_int_equal(file_make_dirs(dir, 0700), 0);
	user_path(f.folder.path, &f.id, "db.sqlite", f.db_path, sizeof f.db_path);
	user_path(f.folder.path, &f.id, "sync", f.sync_path, sizeof f.sync_path);
	user_path(f.folder.path, &f.id, "lock", f.lock_path, sizeof f.lock_path);
	assert_int_equal(userdb_create(f.db_path), USERDB_OK);
	assert_int_equal(userdb_open(f.db_path, USERDB_INTERNAL, NULL, &f.db), USERDB_OK);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	userdb_close(f->db);
	folder_release(&f->folder);
	return 0;
}

static void write_rows(const struct fixture *f)
{
	run(f, "CREATE TABLE IF NOT EXISTS t(x);"
	       "WITH n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 50) "
	       "INSERT INTO t SELECT randomblob(1000) FROM n");
}

static void expect(const struct fixture *f, enum image_result want)
{
	struct image i;
	enum image_result got = image_take(f->folder.path, &f->id, &i);

	if (got != want)
		fail_msg("got %d, want %d", (int)got, (int)want);
	if (got == IMAGE_TAKEN)
		image_release(&i);
}

/* Every page of the database as it is now, as a restore would write it. */
static int copy_pages(const struct fixture *f)
{
	static const struct wal_position nowhere = { .page_size = 0 };
	char path[FOLDER_FILE_MAX];
	const uint8_t *page;
	struct capture *c;
	uint32_t pgno;

	folder_file(&f->folder, "copy", path);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(capture_begin(f->db, &nowhere, &c), CAPTURE_PAGES);
	uint32_t page_size = capture_position(c)->page_size;
	while (capture_next_page(c, &pgno, &page) == CAPTURE_PAGE)
		assert_int_equal(
			file_write_all(fd, page, page_size, (uint64_t)(pgno - 1) * page_size), 0);
	capture_end(c);
	return fd;
}

static void flip_byte(int fd, uint64_t at)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void same_pages_have_no_difference(void **state)
{
	const struct fixture *f = *state;
	struct image i;

	write_rows(f);
	record_end(f, 7);
	int fd = copy_pages(f);
	assert_int_equal(image_take(f->folder.path, &f->id, &i), IMAGE_TAKEN);
	assert_int_equal(i.txid, 7);
	assert_true(i.npages > 10);
	/* What is written afterwards is not part of it. */
	write_rows(f);
	assert_int_equal(image_compare(&i, i.npages, fd).count, 0);
	image_release(&i);
	image_release(&i);
	close(fd);
}

static void first_difference_is_found_in_every_page(void **state)
{
	const struct fixture *f = *state;
	struct image i;

	write_rows(f);
	record_end(f, 1);
	int fd = copy_pages(f);
	assert_int_equal(image_take(f->folder.path, &f->id, &i), IMAGE_TAKEN);
	for (uint32_t pgno = i.npages; pgno > 0; pgno--) {
		/* The first byte of one, the last of another. */
		flip_byte(fd, (uint64_t)pgno * i.page_size - (pgno % 2 ? 1 : i.page_size));
		struct image_difference d = image_compare(&i, i.npages, fd);
		assert_int_equal(d.first, pgno);
		assert_int_equal(d.count, i.npages - pgno + 1);
	}
	image_release(&i);
	close(fd);
}

static void pages_that_only_one_side_has_differ(void **state)
{
	const struct fixture *f = *state;
	struct image i;

	write_rows(f);
	record_end(f, 1);
	int fd = copy_pages(f);
	assert_int_equal(image_take(f->folder.path, &f->id, &i), IMAGE_TAKEN);
	struct image_difference d = image_compare(&i, i.npages - 3, fd);
	assert_int_equal(d.first, i.npages - 2);
	assert_int_equal(d.count, 3);
	d = image_compare(&i, i.npages + 2, fd);
	assert_int_equal(d.first, i.npages + 1);
	assert_int_equal(d.count, 2);
	/* A file that is shorter than it was said to be. */
	assert_int_equal(ftruncate(fd, (off_t)i.page_size * 4 + 100), 0);
	d = image_compare(&i, i.npages, fd);
	assert_int_equal(d.first, 5);
	assert_int_equal(d.count, i.npages - 4);
	image_release(&i);
	close(fd);
}

static void what_is_not_stored_is_dirty(void **state)
{
	const struct fixture *f = *state;
	struct record r = { .txid = 2, .spool_first = 1, .spool_last = 1 };

	write_rows(f);
	expect(f, IMAGE_DIRTY); /* no record */
	record_end(f, 1);
	expect(f, IMAGE_TAKEN);
	write_rows(f);
	expect(f, IMAGE_DIRTY);
	assert_int_equal(wal_present(f->db, &r.position), CAPTURE_PAGES);
	record(f, &r);
	expect(f, IMAGE_DIRTY); /* in the spool */
	record(f, &(struct record){ .txid = 2 });
	expect(f, IMAGE_DIRTY); /* a record that has lost its place */
	record_end(f, 3);
	expect(f, IMAGE_TAKEN);
}

static void account_without_a_write_is_an_image_without_pages(void **state)
{
	const struct fixture *f = *state;
	struct image i;

	record(f, &(struct record){ .txid = 0 });
	assert_int_equal(image_take(f->folder.path, &f->id, &i), IMAGE_TAKEN);
	assert_int_equal(i.txid, 0);
	assert_int_equal(i.npages, 0);
	image_release(&i);
	write_rows(f);
	expect(f, IMAGE_DIRTY);
}

static void rights_that_others_hold_are_not_waited_for(void **state)
{
	static const enum right rights[] = { RIGHT_PUSH, RIGHT_FILES };
	const struct fixture *f = *state;

	write_rows(f);
	record_end(f, 1);
	for (size_t i = 0; i < sizeof rights / sizeof rights[0]; i++) {
		int lock = right_open(f->lock_path);
		assert_true(right_claim(lock, rights[i]));
		expect(f, IMAGE_BUSY);
		close(lock);
		expect(f, IMAGE_TAKEN);
	}
	/* A request is no obstacle. */
	int lock = right_open(f->lock_path);
	assert_true(right_claim(lock, RIGHT_FILES_SHARED));
	expect(f, IMAGE_TAKEN);
	close(lock);
}

static void user_without_a_database_has_no_image(void **state)
{
	const struct fixture *f = *state;
	struct user_id nobody;
	struct image i;

	assert_int_equal(user_id_parse("nobody", 6, &nobody), 0);
	assert_int_equal(image_take(f->folder.path, &nobody, &i), IMAGE_ABSENT);
}

#define test_with_database(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_with_database(same_pages_have_no_difference),
		test_with_database(first_difference_is_found_in_every_page),
		test_with_database(pages_that_only_one_side_has_differ),
		test_with_database(what_is_not_stored_is_dirty),
		test_with_database(account_without_a_write_is_an_image_without_pages),
		test_with_database(rights_that_others_hold_are_not_waited_for),
		test_with_database(user_without_a_database_has_no_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
