/*
 * Integers and index entries as they stand in an LTX file: big-endian, or
 * LEB128 for the index.
 */
#ifndef LTX_WIRE_H
#define LTX_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum {
	WIRE_PAGE_HEADER_LEN = 6, /* u32 number, u16 flags */
	WIRE_INDEX_ENTRY_MAX = 5 + 10 + 10,
	WIRE_TRAILER_LEN = 16,
};

/* The bit that every stored checksum has, so that none is 0. */
static const uint64_t WIRE_CHECKSUM = (uint64_t)1 << 63;

void wire_put_u32(uint8_t *out, uint32_t value);
void wire_put_u64(uint8_t *out, uint64_t value);
uint32_t wire_get_u16(const uint8_t *bytes);
uint32_t wire_get_u32(const uint8_t *bytes);
uint64_t wire_get_u64(const uint8_t *bytes);

/* `len` counts from the page header to the end of the payload.  How long the entry is. */
size_t wire_put_index_entry(uint8_t out[static WIRE_INDEX_ENTRY_MAX], uint32_t pgno,
			    uint64_t offset, uint64_t len);

#endif
