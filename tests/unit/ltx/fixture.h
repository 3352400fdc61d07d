/*
 * LTX files in memory, and three that are known byte for byte: the official
 * reader accepts them.
 */
#ifndef UNIT_LTX_FIXTURE_H
#define UNIT_LTX_FIXTURE_H

#include "base/buf.h"
#include "ltx/ltx.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

enum { VECTOR_PAGE = 512 };

static const struct ltx_header snapshot_header = {
	.page_size = VECTOR_PAGE,
	.commit = 2,
	.min_txid = 1,
	.max_txid = 1,
	.timestamp_ms = 1700000000000,
};

static const struct ltx_header increment_header = {
	.page_size = VECTOR_PAGE,
	.commit = 2,
	.min_txid = 2,
	.max_txid = 2,
	.timestamp_ms = 1700000001000,
};

#define HEX_ZEROS_20 "00000000 00000000 00000000 00000000 00000000 "
#define HEX_ZEROS_60 HEX_ZEROS_20 HEX_ZEROS_20 HEX_ZEROS_20
#define HEX_SNAPSHOT_HEADER                                                                        \
	"4c545831 00000002 00000200 00000002 0000000000000001 0000000000000001 "                   \
	"0000018bcfe56800" HEX_ZEROS_60
#define HEX_PAGE_1 "ff0353514c69746520666f726d6174203300020001003f1f410100ff84504141414141"

/* Pages 1 and 2 as LZ4 frames. */
static const char snapshot_hex[] = HEX_SNAPSHOT_HEADER
	"00000001 0000 04224d18 6440a7 23000000" HEX_PAGE_1 "00000000 cdbb2242"
	"00000002 0000 04224d18 6440a7 0c000000 1f420100ffe8504242424242 00000000 f968d0aa"
	"000000000000"
	"01 64 3c  02 a001 25  00  0000000000000008"
	"0000000000000000 d5f79d89e4e65fd5";

/* The same as LZ4 blocks. */
static const char blocks_hex[] = HEX_SNAPSHOT_HEADER
	"00000001 0001 00000023" HEX_PAGE_1 "00000002 0001 0000000c 1f420100ffe8504242424242"
	"000000000000"
	"01 64 2d  02 9101 16  00  0000000000000008"
	"0000000000000000 f7cfdeef2d98b933";

/* Page 2 anew. */
static const char increment_hex[] =
	"4c545831 00000002 00000200 00000002 0000000000000002 0000000000000002 "
	"0000018bcfe56be8" HEX_ZEROS_60
	"00000002 0000 04224d18 6440a7 0c000000 1f430100ffe8504343434343 00000000 863ed0f6"
	"000000000000"
	"02 64 25  00  0000000000000004"
	"0000000000000000 e46e02b2a9a1733b";

static inline unsigned hex_digit(char c)
{
	return (unsigned)(c >= 'a' ? c - 'a' + 10 : c - '0');
}

static inline struct buf from_hex(const char *hex)
{
	struct buf b = BUF_INIT;

	for (; *hex != '\0'; hex++) {
		if (*hex == ' ')
			continue;
		char byte = (char)(hex_digit(hex[0]) << 4 | hex_digit(hex[1]));
		buf_add(&b, &byte, 1);
		hex++;
	}
	return b;
}

static inline void vector_page_1(uint8_t page[VECTOR_PAGE])
{
	memset(page, 0, 100);
	memcpy(page, "SQLite format 3", 16);
	page[16] = 2;
	memset(page + 100, 'A', VECTOR_PAGE - 100);
}

/* Bytes that LZ4 cannot shorten, the same for the same `seed`. */
static inline void fill_with_noise(uint8_t *page, size_t len, uint32_t seed)
{
	uint64_t x = 0x9E3779B97F4A7C15u * (seed + 1u);

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		page[i] = (uint8_t)(x >> 32);
	}
}

static inline int append_to_buf(void *owner, const void *bytes, size_t len)
{
	buf_add(owner, bytes, len);
	return 0;
}

/* A source over bytes that stay the test's. */
struct reader {
	const char *data;
	size_t len;
	size_t at;
};

static inline int read_from_memory(void *owner, void *out, size_t len)
{
	struct reader *r = owner;

	if (len > r->len - r->at)
		return -1;
	memcpy(out, r->data + r->at, len);
	r->at += len;
	return 0;
}

#endif
