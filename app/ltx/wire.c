#include "ltx/wire.h"

#include <endian.h>
#include <string.h>

void wire_put_u32(uint8_t *out, uint32_t value)
{
	value = htobe32(value);
	memcpy(out, &value, sizeof value);
}

void wire_put_u64(uint8_t *out, uint64_t value)
{
	value = htobe64(value);
	memcpy(out, &value, sizeof value);
}

uint32_t wire_get_u16(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 8 | bytes[1];
}

uint32_t wire_get_u32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof value);
	return be32toh(value);
}

uint64_t wire_get_u64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof value);
	return be64toh(value);
}

static size_t put_uvarint(uint8_t *out, uint64_t value)
{
	size_t len = 0;

	for (; value >= 0x80; value >>= 7)
		out[len++] = (uint8_t)(value | 0x80);
	out[len++] = (uint8_t)value;
	return len;
}

size_t wire_put_index_entry(uint8_t out[static WIRE_INDEX_ENTRY_MAX], uint32_t pgno,
			    uint64_t offset, uint64_t len)
{
	size_t n = put_uvarint(out, pgno);

	n += put_uvarint(out + n, offset);
	return n + put_uvarint(out + n, len);
}
