#include "base/buf.h"

#include "fixture.h"

static void released_buf_is_empty_and_usable(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_release(&b);
	buf_add_text(&b, "one");
	buf_release(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	buf_add_text(&b, "two");
	assert_string_equal(b.data, "two");
	buf_release(&b);
}

static void added_bytes_end_with_a_nul_that_does_not_count(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_add(&b, "a\0b", 3);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
	buf_add(&b, "", 0);
	assert_int_equal(b.len, 3);
	buf_release(&b);
}

static void adding_nothing_to_an_empty_buf_makes_an_empty_string(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_add(&b, NULL, 0);
	assert_string_equal(b.data, "");
	assert_int_equal(b.len, 0);
	buf_release(&b);
}

static void bytes_stay_the_same_while_it_grows(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		char byte = (char)(i % 251);
		buf_add(&b, &byte, 1);
		assert_true(b.cap > b.len);
		assert_int_equal(b.data[b.len], 0);
	}
	assert_int_equal(b.len, 100000);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal((unsigned char)b.data[i], i % 251);
	buf_release(&b);
}

static void cleared_buf_keeps_its_memory(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_clear(&b);
	assert_null(b.data);
	buf_add_text(&b, "something");
	const char *before = b.data;
	size_t cap = b.cap;
	buf_clear(&b);
	assert_string_equal(b.data, "");
	assert_int_equal(b.len, 0);
	assert_ptr_equal(b.data, before);
	assert_int_equal(b.cap, cap);
	buf_release(&b);
}

static void reserved_room_can_be_written_directly(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_add_text(&b, "head");
	buf_reserve(&b, 5000);
	assert_true(b.cap - b.len > 5000);
	memset(b.data + b.len, 'x', 5000);
	b.len += 5000;
	buf_add_text(&b, "tail");
	assert_int_equal(b.len, 5008);
	assert_memory_equal(b.data, "headx", 5);
	assert_string_equal(b.data + 5003, "xtail");
	buf_release(&b);
}

static void formatted_text_is_added_whole_whatever_its_length(void **state)
{
	static char text[4000];
	struct buf b = BUF_INIT;

	(void)state;
	memset(text, 'y', sizeof text - 1);
	buf_addf(&b, "%s", "");
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	for (int len = 60; len <= 70; len++) {
		buf_clear(&b);
		buf_addf(&b, "%.*s", len, text);
		assert_int_equal(b.len, len);
		assert_int_equal(strlen(b.data), len);
	}
	buf_clear(&b);
	buf_addf(&b, "%d-%s-%c", 7, text, 'z');
	assert_int_equal(b.len, sizeof text - 1 + 4);
	assert_memory_equal(b.data, "7-y", 3);
	assert_string_equal(b.data + b.len - 3, "y-z");
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(released_buf_is_empty_and_usable),
		cmocka_unit_test(added_bytes_end_with_a_nul_that_does_not_count),
		cmocka_unit_test(adding_nothing_to_an_empty_buf_makes_an_empty_string),
		cmocka_unit_test(bytes_stay_the_same_while_it_grows),
		cmocka_unit_test(cleared_buf_keeps_its_memory),
		cmocka_unit_test(reserved_room_can_be_written_directly),
		cmocka_unit_test(formatted_text_is_added_whole_whatever_its_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
