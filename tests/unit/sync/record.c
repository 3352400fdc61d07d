#include "sync/record.h"

#include "base/file.h"
#include "fixture.h"

static const struct record records[] = {
	{ 0 },
	{
		.txid = 17,
		.position = { .salt = { 0, 1, 2, 3, 4, 5, 6, 7 },
			      .frame = 12,
			      .sum = { 0x01234567, 0x89abcdef },
			      .page_size = 4096,
			      .npages = 40,
			      .armed = true },
		.failed_since_ms = 1700000000000,
		.error = ERROR_TIMEOUT,
	},
	{
		.txid = UINT64_MAX,
		.position = { .salt = { 255, 255, 255, 255, 255, 255, 255, 255 },
			      .frame = UINT32_MAX,
			      .sum = { UINT32_MAX, UINT32_MAX },
			      .page_size = UINT32_MAX,
			      .npages = UINT32_MAX,
			      .armed = true },
		.failed_since_ms = INT64_MAX,
		.error = ERROR_COUNT - 1,
	},
	{
		.txid = 1,
		.position = { .salt = { 0x80 },
			      .sum = { 1, 0 },
			      .page_size = 65536,
			      .file_ns = 1700000000123456789 },
		.pushed_bytes = UINT64_MAX,
		.gap = true,
		.failed_since_ms = INT64_MIN,
		.error = ERROR_CREDENTIALS,
	},
};

enum { NRECORDS = sizeof records / sizeof records[0] };

static bool is_equal(const struct record *a, const struct record *b)
{
	const struct wal_position *p = &a->position, *q = &b->position;

	return a->txid == b->txid && memcmp(p->salt, q->salt, sizeof p->salt) == 0 &&
	       p->frame == q->frame && p->sum[0] == q->sum[0] && p->sum[1] == q->sum[1] &&
	       p->page_size == q->page_size && p->npages == q->npages && p->armed == q->armed &&
	       p->file_ns == q->file_ns && a->pushed_bytes == b->pushed_bytes && a->gap == b->gap &&
	       a->failed_since_ms == b->failed_since_ms && a->error == b->error;
}

static void write_bytes(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(close(fd), 0);
}

static struct buf written(const char *path, const struct record *r)
{
	struct buf text = BUF_INIT;

	assert_int_equal(record_write(path, r), 0);
	assert_int_equal(file_read(path, 4096, &text), FILE_OK);
	return text;
}

static void record_comes_back_as_it_was_written(void **state)
{
	char path[FOLDER_FILE_MAX];
	struct record got;

	folder_file(*state, "sync", path);
	for (size_t i = 0; i < NRECORDS; i++) {
		memset(&got, 0xee, sizeof got);
		assert_int_equal(record_write(path, &records[i]), 0);
		assert_int_equal(record_read(path, &got), RECORD_OK);
		assert_true(is_equal(&got, &records[i]));
	}
}

static void every_error_comes_back(void **state)
{
	char path[FOLDER_FILE_MAX];
	struct record r = records[1], got;

	folder_file(*state, "sync", path);
	for (int e = 0; e < ERROR_COUNT; e++) {
		r.error = (enum object_error)e;
		assert_int_equal(record_write(path, &r), 0);
		assert_int_equal(record_read(path, &got), RECORD_OK);
		assert_int_equal(got.error, e);
	}
}

static void record_file_is_private(void **state)
{
	char path[FOLDER_FILE_MAX];
	struct stat st;

	folder_file(*state, "sync", path);
	mode_t before = umask(0);
	assert_int_equal(record_write(path, &records[1]), 0);
	umask(before);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void record_that_was_never_written_is_missing(void **state)
{
	char path[FOLDER_FILE_MAX];
	struct record got;

	folder_file(*state, "sync", path);
	assert_int_equal(record_read(path, &got), RECORD_MISSING);
	folder_file(*state, "none/sync", path);
	assert_int_equal(record_read(path, &got), RECORD_MISSING);
}

static void folder_in_the_way_is_a_failure_of_the_disk(void **state)
{
	char path[FOLDER_FILE_MAX];
	struct record got;

	folder_file(*state, "sync", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(record_read(path, &got), RECORD_FAILED);
	assert_int_equal(record_write(path, &records[1]), -1);
}

static void failed_write_leaves_the_record_before(void **state)
{
	char path[FOLDER_FILE_MAX], beside[FOLDER_FILE_MAX];
	struct record got;

	folder_file(*state, "sync", path);
	folder_file(*state, "sync.new", beside);
	assert_int_equal(record_write(path, &records[1]), 0);
	assert_int_equal(mkdir(beside, 0700), 0);
	assert_int_equal(record_write(path, &records[2]), -1);
	assert_int_equal(record_read(path, &got), RECORD_OK);
	assert_true(is_equal(&got, &records[1]));
}

/* What became of a damaged record, worst first. */
struct damage {
	unsigned lies; /* read, with other values */
	unsigned taken; /* read, with the right values */
	unsigned failed;
	size_t first; /* where the first of them is */
};

static void damage_was_read(struct damage *d, const char *path, const struct record *before,
			    size_t at)
{
	struct record got;

	memset(&got, 0xee, sizeof got);
	switch (record_read(path, &got)) {
	case RECORD_MISSING:
		if (!is_equal(&got, &records[0]))
			fail_msg("what is damaged at %zu is handed out", at);
		return;
	case RECORD_OK:
		*(is_equal(&got, before) ? &d->taken : &d->lies) += 1;
		break;
	case RECORD_FAILED:
		d->failed++;
		break;
	}
	if (d->lies + d->taken + d->failed == 1)
		d->first = at;
}

static void expect_all_missing(const struct damage *d, const char *what)
{
	if (d->lies + d->taken + d->failed > 0)
		fail_msg("%s: %u read with other values, %u as if whole, %u failed; first at %zu",
			 what, d->lies, d->taken, d->failed, d->first);
}

static void record_with_any_byte_changed_is_missing(void **state)
{
	char path[FOLDER_FILE_MAX];

	folder_file(*state, "sync", path);
	for (size_t i = 0; i < NRECORDS; i++) {
		struct buf text = written(path, &records[i]);
		struct damage d = { 0 };

		int before = silence_stderr();
		for (size_t at = 0; at < text.len; at++) {
			char right = text.data[at];
			for (int other = 0; other < 256; other++) {
				if ((char)other == right)
					continue;
				text.data[at] = (char)other;
				write_bytes(path, text.data, text.len);
				damage_was_read(&d, path, &records[i], at);
			}
			text.data[at] = right;
		}
		restore_stderr(before);
		buf_release(&text);
		expect_all_missing(&d, "a changed byte");
	}
}

static void record_cut_anywhere_is_missing(void **state)
{
	char path[FOLDER_FILE_MAX];

	folder_file(*state, "sync", path);
	for (size_t i = 0; i < NRECORDS; i++) {
		struct buf text = written(path, &records[i]);
		struct damage d = { 0 };

		int before = silence_stderr();
		for (size_t len = 0; len < text.len; len++) {
			write_bytes(path, text.data, len);
			damage_was_read(&d, path, &records[i], len);
		}
		restore_stderr(before);
		buf_release(&text);
		expect_all_missing(&d, "a cut");
	}
}

/* A file of zeros is what a crash can leave on some file systems. */
static void record_of_zeros_or_with_more_behind_it_is_missing(void **state)
{
	static const char zeros[4096];
	char path[FOLDER_FILE_MAX];
	struct buf text;
	struct damage d = { 0 };

	folder_file(*state, "sync", path);
	text = written(path, &records[1]);
	int before = silence_stderr();
	for (size_t len = 1; len <= 1024; len *= 2) {
		write_bytes(path, zeros, len);
		damage_was_read(&d, path, &records[1], len);
	}
	buf_add_text(&text, "x");
	write_bytes(path, text.data, text.len);
	damage_was_read(&d, path, &records[1], text.len);
	restore_stderr(before);
	buf_release(&text);
	expect_all_missing(&d, "zeros or more");
}

static void record_that_is_too_long_is_missing(void **state)
{
	static const char zeros[4096];
	char path[FOLDER_FILE_MAX];
	struct damage d = { 0 };

	folder_file(*state, "sync", path);
	write_bytes(path, zeros, sizeof zeros);
	damage_was_read(&d, path, &records[1], sizeof zeros);
	expect_all_missing(&d, "4096 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_folder(record_comes_back_as_it_was_written),
		test_in_folder(every_error_comes_back),
		test_in_folder(record_file_is_private),
		test_in_folder(record_that_was_never_written_is_missing),
		test_in_folder(folder_in_the_way_is_a_failure_of_the_disk),
		test_in_folder(failed_write_leaves_the_record_before),
		test_in_folder(record_with_any_byte_changed_is_missing),
		test_in_folder(record_cut_anywhere_is_missing),
		test_in_folder(record_of_zeros_or_with_more_behind_it_is_missing),
		test_in_folder(record_that_is_too_long_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
