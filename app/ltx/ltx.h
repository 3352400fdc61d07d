/*
 * The LTX file format, as Litestream 0.5 reads it: one file holds pages of an
 * SQLite database as they are after a range of transactions.
 *
 *	+-------------------+ 0
 *	| header            | 100 bytes, big-endian; see ltx_header_write()
 *	+-------------------+ 100
 *	| page              | u32 number, u16 flags, one LZ4 frame; ascending
 *	| 6 zero bytes      | end of the pages
 *	+-------------------+
 *	| index             | uvarints number, offset, length; one 0; u64 length
 *	+-------------------+ size - 16
 *	| trailer           | u64 database checksum (0 here), u64 file checksum
 *	+-------------------+ size
 *
 * Source: github.com/superfly/ltx, ltx.go, encoder.go, decoder.go.  Holdfast
 * writes one profile of it: no tracked database checksum, every page as an
 * LZ4 frame with a content checksum, one transaction id per file.
 */
#ifndef LTX_LTX_H
#define LTX_LTX_H

#include <stdbool.h>
#include <stdint.h>

enum {
	LTX_HEADER_LEN = 100,
	LTX_PAGE_MIN = 512,
	LTX_PAGE_MAX = 65536,
};

struct ltx_header {
	uint32_t page_size;
	uint32_t commit; /* size of the database in pages afterwards */
	uint64_t min_txid;
	uint64_t max_txid;
	int64_t timestamp_ms; /* since the Unix epoch */
	uint64_t wal_offset; /* the stretch of the WAL that is in here; */
	uint64_t wal_len; /* 0, 0 where there was none */
	uint8_t wal_salt[8]; /* both salts as they stand in the WAL */
	uint64_t node; /* random id of the data directory that wrote it */
};

/* `h` must follow the rules that ltx_header_read() checks. */
void ltx_header_write(const struct ltx_header *h, uint8_t out[LTX_HEADER_LEN]);
/*
 * -1: not an LTX header, or one that breaks a rule of the format, or one that
 * announces a tracked database checksum, which neither Holdfast nor
 * Litestream writes.
 */
int ltx_header_read(const uint8_t bytes[LTX_HEADER_LEN], struct ltx_header *out);

/* A file is a whole database if and only if it starts at the first transaction. */
bool ltx_is_snapshot(const struct ltx_header *h);
/* The page that holds SQLite's lock bytes; it is in no file. */
uint32_t ltx_lock_page(uint32_t page_size);
/* How many pages a snapshot has: all of them but the lock page. */
uint32_t ltx_snapshot_pages(const struct ltx_header *h);

#endif
