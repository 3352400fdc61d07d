#include "base/file.h"

#include "fixture.h"

#include <dirent.h>

enum { CHANGES = 300, VERSION_LEN = 9000 };

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static void expect_text(const char *path, const char *text)
{
	struct buf b = BUF_INIT;

	assert_int_equal(file_read(path, 1 << 20, &b), FILE_OK);
	assert_string_equal(b.data, text);
	assert_int_equal(b.len, strlen(text));
	buf_release(&b);
}

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void absent_file_and_folder_are_told_apart_from_failures(void **state)
{
	struct buf b = BUF_INIT;
	char path[FOLDER_FILE_MAX];

	folder_file(*state, "none", path);
	assert_int_equal(file_read(path, 10, &b), FILE_ABSENT);
	folder_file(*state, "none/at/all", path);
	assert_int_equal(file_read(path, 10, &b), FILE_ABSENT);
	folder_file(*state, "plain", path);
	write_text(path, "x");
	folder_file(*state, "plain/below", path);
	assert_int_equal(file_read(path, 10, &b), FILE_ABSENT);
	folder_file(*state, ".", path);
	assert_int_equal(file_read(path, 10, &b), FILE_FAILED);
	buf_release(&b);
}

static void reading_replaces_what_was_in_the_buf(void **state)
{
	struct buf b = BUF_INIT;
	char path[FOLDER_FILE_MAX];

	folder_file(*state, "f", path);
	write_text(path, "");
	buf_add_text(&b, "before");
	assert_int_equal(file_read(path, 10, &b), FILE_OK);
	assert_string_equal(b.data, "");
	assert_int_equal(b.len, 0);
	buf_release(&b);
}

static void file_of_max_bytes_is_read_and_one_more_is_refused(void **state)
{
	static const size_t lengths[] = { 1, 4095, 4096, 4097, 8192, 70000 };
	static char text[70002];
	struct buf b = BUF_INIT;
	char path[FOLDER_FILE_MAX];

	folder_file(*state, "f", path);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		memset(text, 'a', lengths[i]);
		text[lengths[i]] = '\0';
		write_text(path, text);
		assert_int_equal(file_read(path, lengths[i], &b), FILE_OK);
		assert_int_equal(b.len, lengths[i]);
		assert_string_equal(b.data, text);
		assert_int_equal(file_read(path, lengths[i] - 1, &b), FILE_TOO_LONG);
	}
	buf_release(&b);
}

static void replacing_makes_the_file_with_its_mode_and_leaves_nothing_beside(void **state)
{
	const struct folder *f = *state;
	char path[FOLDER_FILE_MAX];

	folder_file(f, "f", path);
	mode_t before = umask(0);
	assert_int_equal(file_replace(path, "one", 3, 0600), 0);
	umask(before);
	expect_text(path, "one");
	assert_int_equal(mode_of(path), 0600);
	assert_int_equal(file_replace(path, "longer than that", 16, 0600), 0);
	assert_int_equal(file_replace(path, "", 0, 0600), 0);
	expect_text(path, "");
	assert_int_equal(count_entries(f->path), 1);
}

static void replacing_after_a_crash_ignores_what_it_left(void **state)
{
	const struct folder *f = *state;
	char path[FOLDER_FILE_MAX], beside[FOLDER_FILE_MAX];

	folder_file(f, "f", path);
	folder_file(f, "f.new", beside);
	write_text(path, "old");
	write_text(beside, "half of something that was much longer");
	assert_int_equal(file_replace(path, "new", 3, 0600), 0);
	expect_text(path, "new");
	assert_int_equal(count_entries(f->path), 1);
}

static void replacing_does_not_follow_a_link_beside(void **state)
{
	char path[FOLDER_FILE_MAX], beside[FOLDER_FILE_MAX], victim[FOLDER_FILE_MAX];

	folder_file(*state, "f", path);
	folder_file(*state, "f.new", beside);
	folder_file(*state, "victim", victim);
	write_text(path, "old");
	write_text(victim, "untouched");
	assert_int_equal(symlink(victim, beside), 0);
	assert_int_equal(file_replace(path, "new", 3, 0600), -1);
	expect_text(victim, "untouched");
	expect_text(path, "old");
}

static void replacing_that_fails_leaves_the_old_file(void **state)
{
	const struct folder *f = *state;
	char path[FOLDER_FILE_MAX];
	char too_long[PATH_MAX + 8];

	folder_file(f, "none/f", path);
	assert_int_equal(file_replace(path, "x", 1, 0600), -1);
	folder_file(f, "in_the_way", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(file_replace(path, "x", 1, 0600), -1);
	assert_int_equal(count_entries(path), 0);
	assert_int_equal(count_entries(f->path), 1);
	memset(too_long, 'a', sizeof too_long);
	too_long[PATH_MAX - 3] = '\0';
	assert_int_equal(file_replace(too_long, "x", 1, 0600), -1);
}

/* Each version is one byte throughout, and versions differ in length too. */
static size_t make_version(unsigned n, char *bytes)
{
	size_t len = VERSION_LEN - n % 7 * 1001;

	memset(bytes, 'a' + (int)(n % 26), len);
	return len;
}

static int replace_for_ever(void *owner)
{
	static char bytes[VERSION_LEN];

	for (unsigned n = 1;; n++) {
		size_t len = make_version(n, bytes);
		if (file_replace(owner, bytes, len, 0600) < 0)
			return 1;
	}
}

static bool is_a_version(const struct buf *b)
{
	if (b->len > VERSION_LEN || b->len <= VERSION_LEN - 7 * 1001)
		return false;
	if ((VERSION_LEN - b->len) % 1001 != 0)
		return false;
	for (size_t i = 1; i < b->len; i++) {
		if (b->data[i] != b->data[0])
			return false;
	}
	return true;
}

static void reader_never_sees_a_part_of_a_file(void **state)
{
	static char bytes[VERSION_LEN];
	struct buf b = BUF_INIT;
	char path[FOLDER_FILE_MAX];
	size_t last = 0;

	folder_file(*state, "f", path);
	size_t len = make_version(0, bytes);
	assert_int_equal(file_replace(path, bytes, len, 0600), 0);
	pid_t writer = start_child(replace_for_ever, path);
	for (unsigned changes = 0; changes < CHANGES; changes += b.len != last) {
		last = b.len;
		assert_int_equal(waitpid(writer, NULL, WNOHANG), 0);
		assert_int_equal(file_read(path, VERSION_LEN, &b), FILE_OK);
		assert_true(is_a_version(&b));
	}
	kill_child(writer);
	buf_release(&b);
}

static void writer_killed_at_any_moment_leaves_a_whole_file(void **state)
{
	static char bytes[VERSION_LEN];
	struct buf b = BUF_INIT;
	char path[FOLDER_FILE_MAX];

	folder_file(*state, "f", path);
	size_t len = make_version(0, bytes);
	assert_int_equal(file_replace(path, bytes, len, 0600), 0);
	for (unsigned n = 0; n < 50; n++) {
		struct stat st, before;

		assert_int_equal(stat(path, &before), 0);
		pid_t writer = start_child(replace_for_ever, path);
		do
			assert_int_equal(stat(path, &st), 0);
		while (st.st_ino == before.st_ino && st.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
		kill_child(writer);
		assert_int_equal(file_read(path, VERSION_LEN, &b), FILE_OK);
		assert_true(is_a_version(&b));
	}
	buf_release(&b);
}

static void bytes_are_written_at_their_offset(void **state)
{
	char path[FOLDER_FILE_MAX];

	folder_file(*state, "f", path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	assert_int_equal(file_write_all(fd, "world", 5, 6), 0);
	assert_int_equal(file_write_all(fd, "hello ", 6, 0), 0);
	assert_int_equal(file_write_all(fd, "", 0, 100), 0);
	expect_text(path, "hello world");
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(file_write_all(fd, "x", 1, 0), -1);
	close(fd);
}

static void folders_are_made_with_their_parents_and_again(void **state)
{
	char path[FOLDER_FILE_MAX];

	folder_file(*state, "a/b/c", path);
	assert_int_equal(file_make_dirs(path, 0700), 0);
	assert_int_equal(mode_of(path), 0700);
	assert_int_equal(file_make_dirs(path, 0700), 0);
	folder_file(*state, "a/b", path);
	assert_int_equal(mode_of(path), 0700);
	folder_file(*state, "a/b/d/", path);
	assert_int_equal(file_make_dirs(path, 0700), 0);
	assert_int_equal(mode_of(path), 0700);
}

static void folders_are_not_made_below_a_file(void **state)
{
	char path[FOLDER_FILE_MAX];

	folder_file(*state, "plain", path);
	write_text(path, "x");
	folder_file(*state, "plain/a", path);
	assert_int_equal(file_make_dirs(path, 0700), -1);
}

static void folder_is_not_said_to_be_made_where_a_file_is(void **state)
{
	char path[FOLDER_FILE_MAX];

	folder_file(*state, "plain", path);
	write_text(path, "x");
	assert_int_equal(file_make_dirs(path, 0700), -1);
}

static void syncing_a_folder_that_is_not_there_fails(void **state)
{
	const struct folder *f = *state;
	char path[FOLDER_FILE_MAX];

	assert_int_equal(file_sync_dir(f->path), 0);
	folder_file(f, "f", path);
	assert_int_equal(file_sync_parent(path), 0);
	assert_int_equal(file_sync_parent("/f"), 0);
	assert_int_equal(file_sync_parent("f"), 0);
	assert_int_equal(file_sync_dir(path), -1);
	folder_file(f, "none/f", path);
	assert_int_equal(file_sync_parent(path), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_folder(absent_file_and_folder_are_told_apart_from_failures),
		test_in_folder(reading_replaces_what_was_in_the_buf),
		test_in_folder(file_of_max_bytes_is_read_and_one_more_is_refused),
		test_in_folder(replacing_makes_the_file_with_its_mode_and_leaves_nothing_beside),
		test_in_folder(replacing_after_a_crash_ignores_what_it_left),
		test_in_folder(replacing_does_not_follow_a_link_beside),
		test_in_folder(replacing_that_fails_leaves_the_old_file),
		test_in_folder(reader_never_sees_a_part_of_a_file),
		test_in_folder(writer_killed_at_any_moment_leaves_a_whole_file),
		test_in_folder(bytes_are_written_at_their_offset),
		test_in_folder(folders_are_made_with_their_parents_and_again),
		test_in_folder(folders_are_not_made_below_a_file),
		test_in_folder(folder_is_not_said_to_be_made_where_a_file_is),
		test_in_folder(syncing_a_folder_that_is_not_there_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
