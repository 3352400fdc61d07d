#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool in_range(unsigned char byte, unsigned char low, unsigned char high)
{
	return byte >= low && byte <= high;
}

/* What the second byte may be depends on the first where a form would be overlong or too high. */
static bool second_is_valid(unsigned char first, unsigned char second)
{
	switch (first) {
	case 0xE0:
		return in_range(second, 0xA0, 0xBF);
	case 0xED:
		return in_range(second, 0x80, 0x9F);
	case 0xF0:
		return in_range(second, 0x90, 0xBF);
	case 0xF4:
		return in_range(second, 0x80, 0x8F);
	default:
		return in_range(second, 0x80, 0xBF);
	}
}

static size_t promised_len(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (in_range(first, 0xC2, 0xDF))
		return 2;
	if (in_range(first, 0xE0, 0xEF))
		return 3;
	if (in_range(first, 0xF0, 0xF4))
		return 4;
	return 0;
}

/* Bytes of the character at the start, 0 if it is none. */
static size_t character_len(const unsigned char *s, size_t len)
{
	size_t want = promised_len(s[0]);

	if (want <= 1)
		return want;
	if (want > len || !second_is_valid(s[0], s[1]))
		return 0;
	for (size_t i = 2; i < want; i++)
		if (!in_range(s[i], 0x80, 0xBF))
			return 0;
	return want;
}

/* Most text is ASCII, so eight bytes at a time are looked at first. */
static size_t ascii_prefix(const unsigned char *s, size_t len)
{
	size_t at = 0;
	uint64_t word;

	while (at + sizeof word <= len) {
		memcpy(&word, s + at, sizeof word);
		if (word & UINT64_C(0x8080808080808080))
			break;
		at += sizeof word;
	}
	return at;
}

size_t utf8_valid_prefix(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0;

	while (at < len) {
		at += ascii_prefix(s + at, len - at);
		if (at == len)
			break;
		size_t n = character_len(s + at, len - at);
		if (n == 0)
			break;
		at += n;
	}
	return at;
}
