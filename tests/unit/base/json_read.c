#include "base/json_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

static const struct json_limits wide = { .max_len = 1 << 20, .max_depth = 64, .max_values = 10000 };
static char why[200];

static struct json_doc *parse(const char *text)
{
	return json_parse(text, strlen(text), &wide, why, sizeof why);
}

static void assert_refused(const char *text, const char *reason)
{
	why[0] = '\0';
	struct json_doc *doc = parse(text);
	if (doc != NULL)
		fail_msg("accepted: %s", text);
	if (strstr(why, reason) == NULL)
		fail_msg("%s: got \"%s\", want \"%s\"", text, why, reason);
}

static void members_are_linked_in_order_with_their_keys(void **state)
{
	struct json_doc *doc = parse("{\"a\":[1,\"x\",null],\"b\":{\"c\":true},\"d\":false}");

	(void)state;
	assert_non_null(doc);
	const struct json *root = json_root(doc);
	assert_int_equal(root->len, 3);
	const struct json *a = json_get(root, "a");
	assert_true(json_is(a, JSON_ARRAY));
	assert_int_equal(a->len, 3);
	assert_string_equal(a->first->text, "1");
	assert_true(json_text_is(a->first->next, "x"));
	assert_true(json_is(a->first->next->next, JSON_NULL));
	assert_null(a->first->next->next->next);
	assert_true(json_get(json_get(root, "b"), "c")->boolean);
	assert_false(json_get(root, "d")->boolean);
	assert_string_equal(root->first->key, "a");
	assert_null(a->first->key);
	assert_null(json_get(a, "a"));
	assert_null(json_get(NULL, "a"));
	json_free(doc);
}

static void last_of_repeated_members_is_found(void **state)
{
	struct json_doc *doc = parse("{\"a\":1,\"a\":2}");

	(void)state;
	assert_string_equal(json_get(json_root(doc), "a")->text, "2");
	json_free(doc);
}

static void nul_in_text_and_key_is_kept(void **state)
{
	struct json_doc *doc = parse("{\"k\\u0000y\":\"a\\u0000b\"}");

	(void)state;
	const struct json *v = json_root(doc)->first;
	assert_int_equal(v->key_len, 3);
	assert_memory_equal(v->key, "k\0y", 4);
	assert_int_equal(v->len, 3);
	assert_memory_equal(v->text, "a\0b", 4);
	assert_null(json_get(json_root(doc), "k"));
	assert_false(json_text_is(v, "a"));
	json_free(doc);
}

static void surrogate_pair_becomes_one_character(void **state)
{
	struct json_doc *doc = parse("\"\\ud83d\\uDE00\"");

	(void)state;
	assert_non_null(doc);
	assert_string_equal(json_root(doc)->text, "\xF0\x9F\x98\x80");
	json_free(doc);
}

static void half_a_surrogate_pair_is_refused(void **state)
{
	(void)state;
	assert_refused("\"\\ud83d\"", "surrogate");
	assert_refused("\"\\ud83dx\"", "surrogate");
	assert_refused("\"\\ud83d\\n\"", "surrogate");
	assert_refused("\"\\ud83d\\ud83d\"", "surrogate");
	assert_refused("\"\\ude00\"", "surrogate");
	assert_refused("\"\\\\\\ude00\"", "surrogate");
	assert_refused("{\"\\ude00\":1}", "surrogate");

	struct json_doc *doc = parse("\"\\\\ude00\"");
	assert_non_null(doc);
	assert_string_equal(json_root(doc)->text, "\\ude00");
	json_free(doc);
}

static void invalid_utf8_is_refused(void **state)
{
	static const char *const texts[] = {
		"\"\x80\"",
		"\"\xC0\x80\"",
		"\"\xC3\"",
		"\"\xE0\x80\x80\"",
		"\"\xED\xA0\x80\"",
		"\"\xF0\x80\x80\x80\"",
		"\"\xF4\x90\x80\x80\"",
		"\"\xF5\x80\x80\x80\"",
		"\"abcdefgh\xFF\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_refused(texts[i], "UTF-8");

	struct json_doc *doc = parse("\"\xC3\xA4\xE2\x82\xAC\xF4\x8F\xBF\xBF\"");
	assert_non_null(doc);
	json_free(doc);
}

static void malformed_text_is_refused_without_being_quoted(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"{",
		"[1,]",
		"{\"a\"}",
		"{a:1}",
		"'x'",
		"01",
		"1 2",
		"[1}",
		"nul",
		"+1",
		".5",
		"1.",
		"\"\n\"",
		"\"\\x\"",
		"\"\\u12\"",
		"NaN",
		"-",
		"1e",
		"{\"a\":1,}",
		"//x\n1",
		"\xEF\xBB\xBF 1",
		"[] []",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_refused(texts[i], "");
	assert_refused("{\"secret\":hidden}", "at byte");
	assert_null(strstr(why, "hidden"));
	assert_null(strstr(why, "secret"));
}

static void reason_says_where_the_text_goes_wrong(void **state)
{
	(void)state;
	assert_refused("{\"a\":[1,2", "at byte 9");
	assert_refused("{\"a\":", "at byte 5");
	assert_refused("\"open", "at byte 5");
	assert_refused("{\"a\":[1,x]}", "at byte 9");
	assert_refused("{\"a\":1}}", "at byte 8");
	assert_refused("[1,]", "at byte 4");
	assert_refused("", "at byte 0");
}

static void every_truncation_of_a_document_is_refused(void **state)
{
	static const char text[] = "{\"a\":[1,-2.5e3,\"x\\u00e4\\ud83d\\ude00\xC3\xA4\",true,false,"
				   "null,{\"b\":{}}],\"c\":\"\"}";

	(void)state;
	for (size_t len = 0; len < sizeof text - 1; len++) {
		char *copy = malloc(len + 1);
		memcpy(copy, text, len);
		assert_null(json_parse(copy, len, &wide, why, sizeof why));
		free(copy);
	}
	struct json_doc *doc = parse(text);
	assert_non_null(doc);
	json_free(doc);
}

static void depth_beyond_the_limit_is_refused(void **state)
{
	const struct json_limits two = { .max_len = 100, .max_depth = 2, .max_values = 100 };

	(void)state;
	struct json_doc *doc = json_parse("[[1]]", 5, &two, why, sizeof why);
	assert_non_null(doc);
	json_free(doc);
	assert_null(json_parse("[[[1]]]", 7, &two, why, sizeof why));
	assert_non_null(strstr(why, "nested too deeply"));
}

static void a_million_open_brackets_are_refused_without_a_deep_stack(void **state)
{
	const size_t n = 1000000;
	const struct json_limits deep = { .max_len = n, .max_depth = 500000, .max_values = n };
	char *text = malloc(n);

	(void)state;
	memset(text, '[', n);
	assert_null(json_parse(text, n, &deep, why, sizeof why));
	assert_non_null(strstr(why, "nested too deeply"));
	free(text);
}

static void values_beyond_the_limit_are_refused(void **state)
{
	const struct json_limits four = { .max_len = 100, .max_depth = 9, .max_values = 4 };

	(void)state;
	struct json_doc *doc = json_parse("[1,2,3]", 7, &four, why, sizeof why);
	assert_non_null(doc);
	json_free(doc);
	assert_null(json_parse("[1,2,3,4]", 9, &four, why, sizeof why));
	assert_non_null(strstr(why, "too many values"));
}

static void length_beyond_the_limit_is_refused(void **state)
{
	const struct json_limits three = { .max_len = 3, .max_depth = 9, .max_values = 4 };

	(void)state;
	struct json_doc *doc = json_parse("123", 3, &three, why, sizeof why);
	assert_non_null(doc);
	json_free(doc);
	assert_null(json_parse("1234", 4, &three, why, sizeof why));
	assert_non_null(strstr(why, "longer than 3 bytes"));
}

static void texts_longer_than_a_chunk_stay_whole(void **state)
{
	struct buf text = BUF_INIT;

	(void)state;
	buf_add_text(&text, "[");
	for (int i = 0; i < 50; i++)
		buf_addf(&text, "\"%0*d\",", 1 + i * 997, i);
	buf_add_text(&text, "0]");
	struct json_doc *doc = json_parse(text.data, text.len,
					  &(struct json_limits){ 1 << 22, 4, 99 }, why, sizeof why);
	assert_non_null(doc);
	const struct json *v = json_root(doc)->first;
	for (int i = 0; i < 50; i++, v = v->next) {
		assert_int_equal(v->len, 1 + i * 997);
		assert_int_equal(strlen(v->text), v->len);
		assert_int_equal(atoi(v->text), i);
	}
	json_free(doc);
	buf_release(&text);
}

static int64_t int_of(const char *text, int want)
{
	struct json_doc *doc = parse(text);
	int64_t value = 0;

	assert_non_null(doc);
	if (json_int(json_root(doc), &value) != want)
		fail_msg("%s: want %d", text, want);
	json_free(doc);
	return value;
}

static void whole_numbers_keep_64_bits(void **state)
{
	(void)state;
	assert_true(int_of("9223372036854775807", 0) == INT64_MAX);
	assert_true(int_of("-9223372036854775808", 0) == INT64_MIN);
	assert_true(int_of("-0", 0) == 0);
	int_of("9223372036854775808", -1);
	int_of("-9223372036854775809", -1);
	int_of("1.0", -1);
	int_of("1e3", -1);
	int_of("\"1\"", -1);
	int_of("null", -1);
}

static void doubles_keep_64_bits_and_too_large_ones_are_none(void **state)
{
	struct json_doc *doc = parse("[5e-324,1.7976931348623157e308,0.1,1,1e999,-1e999,\"1\"]");
	double value;

	(void)state;
	assert_non_null(doc);
	const struct json *v = json_root(doc)->first;
	static const double want[] = { 5e-324, 1.7976931348623157e308, 0.1, 1 };
	for (size_t i = 0; i < 4; i++, v = v->next) {
		assert_int_equal(json_double(v, &value), 0);
		assert_memory_equal(&value, &want[i], sizeof value);
	}
	for (; v != NULL; v = v->next)
		assert_int_equal(json_double(v, &value), -1);
	assert_int_equal(json_double(NULL, &value), -1);
	json_free(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_linked_in_order_with_their_keys),
		cmocka_unit_test(last_of_repeated_members_is_found),
		cmocka_unit_test(nul_in_text_and_key_is_kept),
		cmocka_unit_test(surrogate_pair_becomes_one_character),
		cmocka_unit_test(half_a_surrogate_pair_is_refused),
		cmocka_unit_test(invalid_utf8_is_refused),
		cmocka_unit_test(malformed_text_is_refused_without_being_quoted),
		cmocka_unit_test(reason_says_where_the_text_goes_wrong),
		cmocka_unit_test(every_truncation_of_a_document_is_refused),
		cmocka_unit_test(depth_beyond_the_limit_is_refused),
		cmocka_unit_test(a_million_open_brackets_are_refused_without_a_deep_stack),
		cmocka_unit_test(values_beyond_the_limit_are_refused),
		cmocka_unit_test(length_beyond_the_limit_is_refused),
		cmocka_unit_test(texts_longer_than_a_chunk_stay_whole),
		cmocka_unit_test(whole_numbers_keep_64_bits),
		cmocka_unit_test(doubles_keep_64_bits_and_too_large_ones_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
