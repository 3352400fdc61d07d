#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *bytes;
	size_t len;
	const char *text;
} pairs[] = {
	{ "", 0, "" },
	{ "f", 1, "Zg" },
	{ "fo", 2, "Zm8" },
	{ "foo", 3, "Zm9v" },
	{ "foob", 4, "Zm9vYg" },
	{ "fooba", 5, "Zm9vYmE" },
	{ "foobar", 6, "Zm9vYmFy" },
	{ "\0\xff\x10", 3, "AP8Q" },
	{ "\xfb\xff\xbf", 3, "+/+/" },
};

static void bytes_are_encoded_without_padding(void **state)
{
	struct buf out = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		buf_clear(&out);
		buf_add_text(&out, "x");
		base64_encode(BASE64_STANDARD, pairs[i].bytes, pairs[i].len, &out);
		assert_string_equal(out.data + 1, pairs[i].text);
		assert_int_equal(out.len, 1 + strlen(pairs[i].text));
	}
	buf_clear(&out);
	base64_encode(BASE64_URL, "\xfb\xff\xbf", 3, &out);
	assert_string_equal(out.data, "-_-_");
	buf_release(&out);
}

static void padded_and_unpadded_text_is_decoded(void **state)
{
	struct buf out = BUF_INIT;
	char padded[16];

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		size_t len = strlen(pairs[i].text);
		memset(padded, '=', sizeof padded);
		memcpy(padded, pairs[i].text, len);
		size_t padded_len = (len + 3) / 4 * 4;
		buf_clear(&out);
		assert_int_equal(base64_decode(BASE64_STANDARD, padded, len, &out), 0);
		assert_int_equal(base64_decode(BASE64_STANDARD, padded, padded_len, &out), 0);
		assert_int_equal(out.len, 2 * pairs[i].len);
		assert_memory_equal(out.data, pairs[i].bytes, pairs[i].len);
		assert_memory_equal(out.data + pairs[i].len, pairs[i].bytes, pairs[i].len);
	}
	buf_release(&out);
}

static void anything_else_is_refused_and_appends_nothing(void **state)
{
	static const char *const texts[] = {
		"Z",
		"Zg=",
		"Zm8==",
		"Zm9v=",
		"Zm9v====",
		"Z===",
		"=",
		"==",
		"====",
		"Zh",
		"Zm9",
		"Zg==Zg",
		"Zm 9v",
		"Zm9v\n",
		"-_-_",
		"Zm9vZ",
		"\xc3\xa4\xc3\xa4",
		"Zg=a",
		"Zm9vZh==",
	};
	struct buf out = BUF_INIT;

	(void)state;
	buf_add_text(&out, "kept");
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (base64_decode(BASE64_STANDARD, texts[i], strlen(texts[i]), &out) != -1)
			fail_msg("accepted: %s", texts[i]);
		assert_string_equal(out.data, "kept");
		assert_int_equal(out.len, 4);
	}
	assert_int_equal(base64_decode(BASE64_URL, "+/+/", 4, &out), -1);
	assert_int_equal(base64_decode(BASE64_URL, "-_-_", 4, &out), 0);
	buf_release(&out);
}

static void every_byte_comes_back(void **state)
{
	unsigned char bytes[256];
	struct buf text = BUF_INIT, back = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)i;
	for (size_t len = 0; len <= sizeof bytes; len++) {
		buf_clear(&text);
		buf_clear(&back);
		base64_encode(BASE64_URL, bytes + (256 - len), len, &text);
		assert_int_equal(base64_decode(BASE64_URL, text.data, text.len, &back), 0);
		assert_int_equal(back.len, len);
		assert_memory_equal(back.data, bytes + (256 - len), len);
	}
	buf_release(&text);
	buf_release(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_encoded_without_padding),
		cmocka_unit_test(padded_and_unpadded_text_is_decoded),
		cmocka_unit_test(anything_else_is_refused_and_appends_nothing),
		cmocka_unit_test(every_byte_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
