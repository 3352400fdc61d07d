#include "base/spill.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

static const char no_dir[] = "/nonexistent/spill";

struct fixture {
	char dir[32];
};

static int make_dir(void **state)
{
	static struct fixture f;

	strcpy(f.dir, "/tmp/spill.XXXXXX");
	*state = &f;
	return mkdtemp(f.dir) == NULL ? -1 : 0;
}

/* Fails when a file was left behind. */
static int remove_dir(void **state)
{
	struct fixture *f = *state;

	return rmdir(f->dir);
}

static unsigned count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static unsigned count_open_files(void)
{
	return count_entries("/proc/self/fd");
}

/* Byte i is i modulo 251, a prime, so that no shift by a block looks right. */
static void add_counting(struct spill *s, size_t piece, size_t total)
{
	uint8_t bytes[1024];

	assert_true(piece <= sizeof bytes);
	for (size_t done = 0; done < total; done += piece) {
		for (size_t i = 0; i < piece; i++)
			bytes[i] = (uint8_t)((done + i) % 251);
		assert_int_equal(spill_add(s, bytes, piece), 0);
	}
	assert_int_equal(spill_len(s), total);
}

static void assert_counting(struct spill *s, uint64_t offset, size_t len)
{
	uint8_t bytes[8192];

	assert_true(len <= sizeof bytes);
	assert_int_equal(spill_read(s, offset, bytes, len), len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], (offset + i) % 251);
}

static void few_bytes_stay_in_memory(void **state)
{
	unsigned before = count_open_files();
	struct spill *s = spill_new(no_dir, 1000);

	(void)state;
	add_counting(s, 100, 1000);
	assert_counting(s, 0, 1000);
	assert_int_equal(count_open_files(), before);
	spill_free(s);
}

static void many_bytes_go_to_a_file_without_a_name(void **state)
{
	struct fixture *f = *state;
	unsigned before = count_open_files();
	unsigned entries = count_entries(f->dir);
	struct spill *s = spill_new(f->dir, 1000);

	add_counting(s, 100, 5000);
	assert_int_equal(count_open_files(), before + 1);
	assert_int_equal(count_entries(f->dir), entries);
	assert_counting(s, 0, 5000);
	spill_free(s);
	assert_int_equal(count_open_files(), before);
}

static void reading_anywhere_gives_what_was_added_there(void **state)
{
	static const size_t memory_max[] = { 0, 700, 4096, 100000 };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof memory_max / sizeof *memory_max; i++) {
		struct spill *s = spill_new(f->dir, memory_max[i]);
		add_counting(s, 700, 7000);
		for (uint64_t offset = 0; offset < 6900; offset += 97)
			assert_counting(s, offset, 100);
		spill_free(s);
	}
}

static void reading_may_alternate_with_adding(void **state)
{
	struct fixture *f = *state;
	struct spill *s = spill_new(f->dir, 20);

	for (uint8_t i = 0; i < 100; i++) {
		assert_int_equal(spill_add(s, &i, 1), 0);
		assert_counting(s, 0, i + 1u);
	}
	spill_free(s);
}

static void assert_short_at_the_end(struct spill *s)
{
	char bytes[10] = "---------";

	assert_int_equal(spill_read(s, 96, bytes, sizeof bytes), 4);
	assert_memory_equal(bytes, "\x60\x61\x62\x63-----", 9);
	assert_int_equal(spill_read(s, 100, bytes, sizeof bytes), 0);
	assert_int_equal(spill_read(s, UINT64_MAX, bytes, sizeof bytes), 0);
}

static void reading_at_the_end_is_short(void **state)
{
	static const size_t memory_max[] = { 10, 1000 };
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		struct spill *s = spill_new(f->dir, memory_max[i]);
		add_counting(s, 50, 100);
		assert_short_at_the_end(s);
		spill_free(s);
	}
}

static void empty_spill_reads_nothing(void **state)
{
	struct spill *s = spill_new(no_dir, 10);
	char byte;

	(void)state;
	assert_int_equal(spill_len(s), 0);
	assert_int_equal(spill_read(s, 0, &byte, 1), 0);
	assert_int_equal(spill_add(s, "", 0), 0);
	assert_int_equal(spill_len(s), 0);
	spill_free(s);
	spill_free(NULL);
}

static void writing_over_behind_and_cutting_keep_the_rest(void **state)
{
	const struct fixture *f = *state;
	struct spill *s = spill_new(f->dir, 100);
	char bytes[64];

	add_counting(s, 50, 50);
	assert_int_equal(spill_write(s, 10, "abc", 3), 0);
	assert_int_equal(spill_len(s), 50);
	assert_int_equal(spill_write(s, 60, "z", 1), 0);
	assert_int_equal(spill_len(s), 61);
	assert_int_equal(spill_read(s, 10, bytes, 3), 3);
	assert_memory_equal(bytes, "abc", 3);
	assert_int_equal(spill_read(s, 50, bytes, 64), 11);
	assert_memory_equal(bytes, "\0\0\0\0\0\0\0\0\0\0z", 11);
	assert_int_equal(spill_cut(s, 70), 0);
	assert_int_equal(spill_len(s), 61);
	assert_int_equal(spill_cut(s, 10), 0);
	assert_int_equal(spill_len(s), 10);
	assert_counting(s, 0, 10);
	assert_int_equal(spill_add(s, "!", 1), 0);
	assert_int_equal(spill_read(s, 10, bytes, 64), 1);
	assert_int_equal(bytes[0], '!');
	spill_free(s);
}

static void file_that_cannot_be_made_is_a_failure_that_keeps_the_rest(void **state)
{
	struct spill *s = spill_new(no_dir, 100);

	(void)state;
	add_counting(s, 100, 100);
	assert_int_equal(spill_add(s, "x", 1), -1);
	assert_int_equal(spill_len(s), 100);
	assert_counting(s, 0, 100);
	spill_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_bytes_stay_in_memory),
		cmocka_unit_test(many_bytes_go_to_a_file_without_a_name),
		cmocka_unit_test(reading_anywhere_gives_what_was_added_there),
		cmocka_unit_test(reading_may_alternate_with_adding),
		cmocka_unit_test(reading_at_the_end_is_short),
		cmocka_unit_test(empty_spill_reads_nothing),
		cmocka_unit_test(writing_over_behind_and_cutting_keep_the_rest),
		cmocka_unit_test(file_that_cannot_be_made_is_a_failure_that_keeps_the_rest),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
