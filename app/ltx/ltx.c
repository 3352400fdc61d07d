#include "ltx/ltx.h"

#include "ltx/wire.h"

#include <assert.h>
#include <string.h>

/*
 *	  0  "LTX1"
 *	  4  u32 flags		NO_CHECKSUM
 *	  8  u32 page size
 *	 12  u32 commit
 *	 16  u64 min TXID
 *	 24  u64 max TXID
 *	 32  u64 timestamp
 *	 40  u64 checksum of the database before, 0 with NO_CHECKSUM
 *	 48  u64 WAL offset
 *	 56  u64 WAL length
 *	 64  2 * 4 WAL salts
 *	 72  u64 node
 *	 80  20 bytes 0
 */
enum { NO_CHECKSUM = 2, RESERVED_AT = 80 };

static const char magic[4] = { 'L', 'T', 'X', '1' };
static const uint64_t lock_byte = 0x40000000;

static bool page_size_is_valid(uint32_t n)
{
	return n >= LTX_PAGE_MIN && n <= LTX_PAGE_MAX && (n & (n - 1)) == 0;
}

/* The official reader takes the WAL fields as signed and the offset as their presence. */
static bool wal_is_valid(const struct ltx_header *h)
{
	static const uint8_t none[sizeof h->wal_salt];

	if (h->wal_offset == 0)
		return h->wal_len == 0 && memcmp(h->wal_salt, none, sizeof none) == 0;
	return h->wal_offset <= INT64_MAX && h->wal_len <= INT64_MAX;
}

static bool header_is_valid(const struct ltx_header *h)
{
	return page_size_is_valid(h->page_size) && h->commit >= 1 && h->min_txid >= 1 &&
	       h->max_txid >= h->min_txid && wal_is_valid(h);
}

void ltx_header_write(const struct ltx_header *h, uint8_t out[LTX_HEADER_LEN])
{
	assert(header_is_valid(h));
	memset(out, 0, LTX_HEADER_LEN);
	memcpy(out, magic, sizeof magic);
	wire_put_u32(out + 4, NO_CHECKSUM);
	wire_put_u32(out + 8, h->page_size);
	wire_put_u32(out + 12, h->commit);
	wire_put_u64(out + 16, h->min_txid);
	wire_put_u64(out + 24, h->max_txid);
	wire_put_u64(out + 32, (uint64_t)h->timestamp_ms);
	wire_put_u64(out + 48, h->wal_offset);
	wire_put_u64(out + 56, h->wal_len);
	memcpy(out + 64, h->wal_salt, sizeof h->wal_salt);
	wire_put_u64(out + 72, h->node);
}

int ltx_header_read(const uint8_t bytes[LTX_HEADER_LEN], struct ltx_header *out)
{
	static const uint8_t zero[LTX_HEADER_LEN - RESERVED_AT];

	if (memcmp(bytes, magic, sizeof magic) != 0 || wire_get_u32(bytes + 4) != NO_CHECKSUM ||
	    wire_get_u64(bytes + 40) != 0 || memcmp(bytes + RESERVED_AT, zero, sizeof zero) != 0)
		return -1;
	*out = (struct ltx_header){
		.page_size = wire_get_u32(bytes + 8),
		.commit = wire_get_u32(bytes + 12),
		.min_txid = wire_get_u64(bytes + 16),
		.max_txid = wire_get_u64(bytes + 24),
		.timestamp_ms = (int64_t)wire_get_u64(bytes + 32),
		.wal_offset = wire_get_u64(bytes + 48),
		.wal_len = wire_get_u64(bytes + 56),
		.node = wire_get_u64(bytes + 72),
	};
	memcpy(out->wal_salt, bytes + 64, sizeof out->wal_salt);
	return header_is_valid(out) ? 0 : -1;
}

bool ltx_is_snapshot(const struct ltx_header *h)
{
	return h->min_txid == 1;
}

uint32_t ltx_lock_page(uint32_t page_size)
{
	return (uint32_t)(lock_byte / page_size) + 1;
}

uint32_t ltx_snapshot_pages(const struct ltx_header *h)
{
	return h->commit < ltx_lock_page(h->page_size) ? h->commit : h->commit - 1;
}
