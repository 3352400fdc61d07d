/*
 * An LTX file whose checksums, index and trailer fit its pages again, so that
 * what the fuzzer has changed in them gets past the checks that any accident
 * fails.
 */
#ifndef FUZZ_LTX_REPAIR_H
#define FUZZ_LTX_REPAIR_H

#include "base/buf.h"
#include "ltx/crc64.h"
#include "ltx/ltx.h"
#include "ltx/wire.h"

#include <endian.h>
#include <lz4.h>
#include <lz4frame.h>
#include <stdbool.h>
#include <string.h>

enum { REPAIR_PAGE_MAX = LTX_PAGE_MAX + 1 };

struct repair {
	uint8_t *data;
	size_t len;
	size_t at;
	uint64_t crc; /* of the file so far */
	struct buf index;
};

static uint32_t xxh32_rotated(uint32_t x, int bits)
{
	return x << bits | x >> (32 - bits);
}

static uint32_t xxh32_word(const uint8_t *p)
{
	uint32_t word;

	memcpy(&word, p, sizeof word);
	return le32toh(word);
}

/* xxHash32 with seed 0, the checksum of LZ4 frames. */
static uint32_t xxh32(const uint8_t *p, size_t len)
{
	const uint32_t p1 = 2654435761U, p2 = 2246822519U, p3 = 3266489917U, p4 = 668265263U,
		       p5 = 374761393U;
	uint32_t lane[4] = { p1 + p2, p2, 0, 0 - p1 };
	uint32_t h = p5 + (uint32_t)len;
	bool long_enough = len >= 16;

	for (; len >= 16; p += 16, len -= 16) {
		for (int i = 0; i < 4; i++)
			lane[i] = xxh32_rotated(lane[i] + xxh32_word(p + 4 * i) * p2, 13) * p1;
	}
	if (long_enough)
		h += xxh32_rotated(lane[0], 1) + xxh32_rotated(lane[1], 7) +
		     xxh32_rotated(lane[2], 12) + xxh32_rotated(lane[3], 18) - p5;
	for (; len >= 4; p += 4, len -= 4)
		h = xxh32_rotated(h + xxh32_word(p) * p3, 17) * p4;
	for (; len > 0; p++, len--)
		h = xxh32_rotated(h + *p * p5, 11) * p1;
	h = (h ^ h >> 15) * p2;
	h = (h ^ h >> 13) * p3;
	return h ^ h >> 16;
}

static void put_le32(uint8_t *out, uint32_t value)
{
	value = htole32(value);
	memcpy(out, &value, sizeof value);
}

static bool has(const struct repair *r, size_t len)
{
	return r->len - r->at >= len;
}

/* How long the page in the frame at `frame` is; its checksums are not looked at. */
static size_t unpack_frame(const uint8_t *frame, size_t len, uint8_t page[REPAIR_PAGE_MAX])
{
	static const LZ4F_decompressOptions_t options = { .skipChecksums = 1 };
	LZ4F_dctx *context = NULL;
	size_t n = REPAIR_PAGE_MAX;

	if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
		return 0;
	if (LZ4F_isError(LZ4F_decompress(context, page, &n, frame, &len, &options)))
		n = 0;
	LZ4F_freeDecompressionContext(context);
	return n;
}

/* The header's checksum, those of the blocks, and past them; false: it is no frame. */
static bool repair_blocks(struct repair *r)
{
	const size_t start = r->at;

	if (!has(r, 7))
		return false;
	uint8_t flags = r->data[start + 4];
	size_t header = 6 + (flags & 0x08 ? 8U : 0) + (flags & 0x01 ? 4U : 0);
	if (!has(r, header + 1))
		return false;
	r->data[start + header] = (uint8_t)(xxh32(r->data + start + 4, header - 4) >> 8);
	r->at += header + 1;
	while (has(r, 4)) {
		size_t len = xxh32_word(r->data + r->at) & 0x7fffffff;
		size_t sum = flags & 0x10 && len > 0 ? 4 : 0;

		if (!has(r, 4 + len + sum))
			return false;
		if (sum > 0)
			put_le32(r->data + r->at + 4 + len, xxh32(r->data + r->at + 4, len));
		r->at += 4 + len + sum;
		if (len == 0)
			return true;
	}
	return false;
}

static size_t repair_frame(struct repair *r, uint8_t page[REPAIR_PAGE_MAX])
{
	const size_t start = r->at;

	if (!repair_blocks(r))
		return 0;
	size_t n = unpack_frame(r->data + start, r->at - start, page);
	if (r->data[start + 4] & 0x04 && has(r, 4)) {
		put_le32(r->data + r->at, xxh32(page, n));
		r->at += 4;
	}
	return n;
}

static size_t repair_block(struct repair *r, uint8_t page[REPAIR_PAGE_MAX])
{
	if (!has(r, 4))
		return 0;
	size_t len = wire_get_u32(r->data + r->at);
	r->crc = crc64_update(r->crc, r->data + r->at, 4);
	r->at += 4;
	if (!has(r, len))
		return 0;
	int n = LZ4_decompress_safe((const char *)r->data + r->at, (char *)page, (int)len,
				    REPAIR_PAGE_MAX);
	r->at += len;
	return n > 0 ? (size_t)n : 0;
}

/* False: there are no more pages, or the next one is none. */
static bool repair_page(struct repair *r)
{
	static uint8_t page[REPAIR_PAGE_MAX];
	uint8_t entry[WIRE_INDEX_ENTRY_MAX];
	const size_t start = r->at;

	if (!has(r, WIRE_PAGE_HEADER_LEN))
		return false;
	uint32_t pgno = wire_get_u32(r->data + start);
	uint32_t flags = wire_get_u16(r->data + start + 4);
	r->crc = crc64_update(r->crc, r->data + start, WIRE_PAGE_HEADER_LEN);
	r->at += WIRE_PAGE_HEADER_LEN;
	if (pgno == 0 && flags == 0)
		return false;
	size_t n = flags != 0 ? repair_block(r, page) : repair_frame(r, page);
	r->crc = crc64_update(r->crc, page, n);
	buf_add(&r->index, entry, wire_put_index_entry(entry, pgno, start, r->at - start));
	return n > 0;
}

/* What follows the pages, as far as it fits `max`. */
static void repair_rest(struct repair *r, size_t max)
{
	uint8_t bytes[8 + WIRE_TRAILER_LEN] = { 0 };

	buf_add(&r->index, "", 1);
	wire_put_u64(bytes, r->index.len);
	buf_add(&r->index, bytes, 8);
	memset(bytes, 0, sizeof bytes);
	r->crc = crc64_update(r->crc, r->index.data, r->index.len);
	r->crc = crc64_update(r->crc, bytes, 8);
	wire_put_u64(bytes + 8, r->crc | WIRE_CHECKSUM);
	buf_add(&r->index, bytes, WIRE_TRAILER_LEN);
	if (max - r->at >= r->index.len) {
		memcpy(r->data + r->at, r->index.data, r->index.len);
		r->len = r->at + r->index.len;
	}
}

/* The length of the file in `data`, of `len` bytes with room for `max`, as it now is. */
static size_t ltx_repair(uint8_t *data, size_t len, size_t max)
{
	struct repair r = { .data = data, .len = len, .at = LTX_HEADER_LEN };

	if (len < LTX_HEADER_LEN)
		return len;
	r.crc = crc64_update(0, data, LTX_HEADER_LEN);
	while (repair_page(&r))
		;
	repair_rest(&r, max);
	buf_release(&r.index);
	return r.len;
}

#endif
