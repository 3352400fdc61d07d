/*
 * Eight bytes at a time: table[k][b] is what byte b does to the CRC when k
 * more bytes follow it, so the eight lookups of a word do not wait for each
 * other.  The tables are made at the first use in a process.
 */
#include "ltx/crc64.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

static const uint64_t polynomial = 0xD800000000000000u;

static uint64_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static uint64_t crc_of_byte(uint64_t c)
{
	for (int bit = 0; bit < 8; bit++)
		c = c & 1 ? c >> 1 ^ polynomial : c >> 1;
	return c;
}

static void make_table(void)
{
	for (unsigned b = 0; b < 256; b++) {
		uint64_t c = crc_of_byte(b);
		for (int k = 0; k < 8; k++) {
			table[k][b] = c;
			c = crc_of_byte(c & 0xff) ^ c >> 8;
		}
	}
}

static uint64_t add_word(uint64_t crc, const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof word);
	word = le64toh(word) ^ crc;
	crc = 0;
	for (int k = 7; k >= 0; k--, word >>= 8)
		crc ^= table[k][word & 0xff];
	return crc;
}

uint64_t crc64_update(uint64_t crc, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	(void)pthread_once(&table_once, make_table);
	crc = ~crc;
	for (; len >= 8; p += 8, len -= 8)
		crc = add_word(crc, p);
	for (; len > 0; p++, len--)
		crc = table[0][(uint8_t)(crc ^ *p)] ^ crc >> 8;
	return ~crc;
}
