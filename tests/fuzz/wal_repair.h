/*
 * A WAL whose checksums fit what the fuzzer has changed in it, so that it gets
 * past the checks that any accident fails.
 */
#ifndef FUZZ_WAL_REPAIR_H
#define FUZZ_WAL_REPAIR_H

#include "db/wal.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

static uint32_t wal_load(const uint8_t *p, bool big)
{
	uint32_t word;

	memcpy(&word, p, sizeof word);
	return big ? be32toh(word) : le32toh(word);
}

static void wal_store(uint8_t *p, uint32_t word)
{
	word = htobe32(word);
	memcpy(p, &word, sizeof word);
}

static void wal_sum(const uint8_t *p, size_t len, bool big, uint32_t sum[2])
{
	for (; len >= 8; p += 8, len -= 8) {
		sum[0] += wal_load(p, big) + sum[1];
		sum[1] += wal_load(p + 4, big) + sum[0];
	}
}

/* Checksums and salts that fit, up to and without frame `until`. */
static void wal_repair(uint8_t *wal, size_t len, unsigned until)
{
	uint32_t sum[2] = { 0, 0 };

	if (len < WAL_HEADER_LEN)
		return;
	bool big = wal[3] & 1;
	size_t size = wal_load(wal + 8, true);
	wal_sum(wal, 24, big, sum);
	wal_store(wal + 24, sum[0]);
	wal_store(wal + 28, sum[1]);
	if (size < 8 || size > 65536)
		return;
	for (uint32_t frame = 1; frame < until; frame++) {
		uint8_t *f = wal + wal_frame_offset(frame, (uint32_t)size);
		if (wal_frame_offset(frame + 1, (uint32_t)size) > len)
			return;
		memcpy(f + 8, wal + 16, WAL_SALT_LEN);
		wal_sum(f, 8, big, sum);
		wal_sum(f + WAL_FRAME_LEN, size, big, sum);
		wal_store(f + 16, sum[0]);
		wal_store(f + 20, sum[1]);
	}
}

#endif
