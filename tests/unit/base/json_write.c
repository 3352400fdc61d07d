#include "base/json_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_read.h"

#include <float.h>
#include <math.h>

static void nested_values_are_separated(void **state)
{
	struct buf out = BUF_INIT;
	struct json_writer *w = json_writer_new(&out);

	(void)state;
	buf_add_text(&out, "before:");
	json_open_object(w);
	json_key(w, "a");
	json_open_array(w);
	json_put_int(w, INT64_MIN);
	json_put_bool(w, true);
	json_put_null(w);
	json_open_object(w);
	json_close_object(w);
	json_close_array(w);
	json_key(w, "b");
	json_put_string(w, NULL);
	json_key(w, "c");
	json_put_string(w, "x");
	json_close_object(w);
	json_writer_free(w);
	assert_string_equal(out.data,
			    "before:{\"a\":[-9223372036854775808,true,null,{}],\"b\":null,"
			    "\"c\":\"x\"}");
	buf_release(&out);
}

static void assert_text_becomes(const char *text, size_t len, const char *want)
{
	struct buf out = BUF_INIT;
	struct json_writer *w = json_writer_new(&out);

	json_put_text(w, text, len);
	json_writer_free(w);
	assert_string_equal(out.data, want);
	buf_release(&out);
}

static void special_characters_are_escaped(void **state)
{
	(void)state;
	assert_text_becomes("a\0b", 3, "\"a\\u0000b\"");
	assert_text_becomes("\"\\/\n\x1f", 5, "\"\\\"\\\\/\\n\\u001F\"");
	assert_text_becomes("", 0, "\"\"");
	assert_text_becomes("\xF0\x9F\x98\x80", 4, "\"\xF0\x9F\x98\x80\"");
}

static void invalid_utf8_is_replaced(void **state)
{
	(void)state;
	assert_text_becomes("a\xFF"
			    "b",
			    3,
			    "\"a\xEF\xBF\xBD"
			    "b\"");
	assert_text_becomes("\xC3", 1, "\"\xEF\xBF\xBD\"");
	assert_text_becomes("\xC0\x80", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

static void double_reads_back_to_the_same_bits(void **state)
{
	static const double values[] = { 0,	-0.0,	1,    2.5,     0.1,	1.0 / 3, 5e-324,
					 1e300, 9.5e22, 1e21, DBL_MAX, DBL_MIN, M_PI };

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct buf out = BUF_INIT;
		struct json_writer *w = json_writer_new(&out);
		const struct json_limits limits = { 100, 1, 1 };
		char why[100];
		double back;
		json_put_double(w, values[i]);
		json_writer_free(w);
		struct json_doc *doc = json_parse(out.data, out.len, &limits, why, sizeof why);
		assert_non_null(doc);
		assert_int_equal(json_double(json_root(doc), &back), 0);
		if (memcmp(&back, &values[i], sizeof back) != 0)
			fail_msg("%.17g became %s", values[i], out.data);
		json_free(doc);
		buf_release(&out);
	}
}

static void numbers_without_a_text_become_null(void **state)
{
	struct buf out = BUF_INIT;
	struct json_writer *w = json_writer_new(&out);

	(void)state;
	json_open_array(w);
	json_put_double(w, (double)NAN);
	json_put_double(w, (double)INFINITY);
	json_put_double(w, -(double)INFINITY);
	json_put_double(w, 2);
	json_close_array(w);
	json_writer_free(w);
	assert_string_equal(out.data, "[null,null,null,2.0]");
	buf_release(&out);
}

static void rewinding_to_an_empty_array_leaves_no_comma(void **state)
{
	struct buf out = BUF_INIT;
	struct json_writer *w = json_writer_new(&out);

	(void)state;
	json_open_array(w);
	struct json_mark mark = json_mark(w);
	json_open_object(w);
	json_key(w, "a");
	json_open_array(w);
	json_put_int(w, 1);
	json_rewind(w, mark);
	json_put_int(w, 2);
	json_put_int(w, 3);
	json_close_array(w);
	json_writer_free(w);
	assert_string_equal(out.data, "[2,3]");
	buf_release(&out);
}

static void rewinding_deep_inside_continues_where_the_mark_was(void **state)
{
	struct buf out = BUF_INIT;
	struct json_writer *w = json_writer_new(&out);

	(void)state;
	json_open_object(w);
	json_key(w, "x");
	json_put_int(w, 0);
	json_key(w, "results");
	json_open_array(w);
	json_put_int(w, 1);
	json_open_object(w);
	json_key(w, "r");
	struct json_mark after_key = json_mark(w);
	json_open_array(w);
	json_open_array(w);
	json_rewind(w, after_key);
	json_put_string(w, "again");
	struct json_mark in_object = json_mark(w);
	json_key(w, "gone");
	json_rewind(w, in_object);
	json_key(w, "s");
	json_put_null(w);
	json_close_object(w);
	json_put_int(w, 2);
	json_close_array(w);
	json_key(w, "y");
	json_put_int(w, 3);
	json_close_object(w);
	json_writer_free(w);
	assert_string_equal(out.data,
			    "{\"x\":0,\"results\":[1,{\"r\":\"again\",\"s\":null},2],\"y\":3}");
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nested_values_are_separated),
		cmocka_unit_test(special_characters_are_escaped),
		cmocka_unit_test(invalid_utf8_is_replaced),
		cmocka_unit_test(double_reads_back_to_the_same_bits),
		cmocka_unit_test(numbers_without_a_text_become_null),
		cmocka_unit_test(rewinding_to_an_empty_array_leaves_no_comma),
		cmocka_unit_test(rewinding_deep_inside_continues_where_the_mark_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
