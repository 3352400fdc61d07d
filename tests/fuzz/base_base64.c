/*
 * Any bytes as base64, the first of them choosing the alphabet: what is accepted is the
 * one encoding of what it means; and any bytes encoded come back.
 */
#include "base/base64.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static void check_decoding(enum base64_alphabet a, const char *text, size_t len)
{
	struct buf bytes = BUF_INIT, again = BUF_INIT;

	buf_add_text(&bytes, "kept");
	if (base64_decode(a, text, len, &bytes) < 0) {
		assert(bytes.len == 4 && strcmp(bytes.data, "kept") == 0);
	} else {
		base64_encode(a, bytes.data + 4, bytes.len - 4, &again);
		size_t padding = len - again.len;
		assert(again.len <= len && padding <= 2 && (padding == 0 || len % 4 == 0));
		assert(memcmp(again.data, text, again.len) == 0);
		for (size_t i = again.len; i < len; i++)
			assert(text[i] == '=');
	}
	buf_release(&bytes);
	buf_release(&again);
}

static void check_encoding(enum base64_alphabet a, const uint8_t *bytes, size_t len)
{
	struct buf text = BUF_INIT, again = BUF_INIT;

	base64_encode(a, bytes, len, &text);
	assert(strlen(text.data) == text.len && text.len == (len * 4 + 2) / 3);
	assert(base64_decode(a, text.data, text.len, &again) == 0 && again.len == len);
	assert(len == 0 || memcmp(again.data, bytes, len) == 0);
	buf_release(&text);
	buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	enum base64_alphabet a = data[0] & 1 ? BASE64_URL : BASE64_STANDARD;
	check_decoding(a, (const char *)data + 1, len - 1);
	check_encoding(a, data + 1, len - 1);
	return 0;
}
