#include "base/base64.h"

#include <stdint.h>

static const char alphabets[][65] = {
	[BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	[BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

static char *put(char *to, const char *digits, uint32_t group, unsigned ndigits)
{
	for (unsigned i = 0; i < ndigits; i++)
		*to++ = digits[group >> (18 - 6 * i) & 63];
	return to;
}

void base64_encode(enum base64_alphabet a, const void *bytes, size_t len, struct buf *out)
{
	const unsigned char *s = bytes;
	const char *digits = alphabets[a];
	size_t rest = len % 3, whole = len - rest;

	buf_reserve(out, len / 3 * 4 + 4);
	char *to = out->data + out->len;
	for (size_t i = 0; i < whole; i += 3)
		to = put(to, digits, (uint32_t)s[i] << 16 | (uint32_t)s[i + 1] << 8 | s[i + 2], 4);
	if (rest == 1)
		to = put(to, digits, (uint32_t)s[whole] << 16, 2);
	if (rest == 2)
		to = put(to, digits, (uint32_t)s[whole] << 16 | (uint32_t)s[whole + 1] << 8, 3);
	*to = '\0';
	out->len = (size_t)(to - out->data);
}

/* 64: not a digit. */
static uint32_t digit_value(enum base64_alphabet a, char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0' + 52);
	if (c == alphabets[a][62])
		return 62;
	if (c == alphabets[a][63])
		return 63;
	return 64;
}

/* The length without padding; padding fills a group of four up or is not there. */
static int strip_padding(const char *text, size_t *len)
{
	size_t n = *len;

	while (n > 0 && *len - n < 2 && text[n - 1] == '=')
		n--;
	if (n != *len && *len % 4 != 0)
		return -1;
	if (n % 4 == 1)
		return -1;
	*len = n;
	return 0;
}

static int decode_group(enum base64_alphabet a, const char *text, size_t ndigits, uint32_t *out)
{
	uint32_t group = 0;

	for (size_t i = 0; i < ndigits; i++) {
		uint32_t value = digit_value(a, text[i]);
		if (value > 63)
			return -1;
		group |= value << (18 - 6 * i);
	}
	*out = group;
	return 0;
}

int base64_decode(enum base64_alphabet a, const char *text, size_t len, struct buf *out)
{
	if (strip_padding(text, &len) < 0)
		return -1;
	buf_reserve(out, len / 4 * 3 + 3);
	char *to = out->data + out->len;
	for (size_t i = 0; i < len; i += 4) {
		size_t ndigits = len - i < 4 ? len - i : 4;
		uint32_t group;
		if (decode_group(a, text + i, ndigits, &group) < 0)
			goto bad;
		size_t nbytes = ndigits - 1;
		for (size_t byte = 0; byte < nbytes; byte++)
			*to++ = (char)(group >> (16 - 8 * byte) & 0xff);
		if (group & ((UINT32_C(1) << (24 - 8 * nbytes)) - 1))
			goto bad;
	}
	*to = '\0';
	out->len = (size_t)(to - out->data);
	return 0;
bad:
	out->data[out->len] = '\0';
	return -1;
}
