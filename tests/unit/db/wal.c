#include "db/wal.h"

#include "db/scratch.h"

#include <endian.h>

static void store_be32(uint8_t *p, uint32_t word)
{
	word = htobe32(word);
	memcpy(p, &word, sizeof word);
}

/* Written from the file format alone: `big` says how checksums load words. */
static void make_header(uint8_t header[static WAL_HEADER_LEN], bool big, uint32_t page_size)
{
	uint32_t sum[2] = { 0, 0 };

	store_be32(header, big ? 0x377f0683 : 0x377f0682);
	store_be32(header + 4, 3007000);
	store_be32(header + 8, page_size);
	store_be32(header + 12, 9);
	memcpy(header + 16, "saltSALT", 8);
	for (int i = 0; i < 24; i += 4) {
		uint32_t word;
		memcpy(&word, header + i, sizeof word);
		sum[i / 4 % 2] += (big ? be32toh(word) : le32toh(word)) + sum[1 - i / 4 % 2];
	}
	store_be32(header + 24, sum[0]);
	store_be32(header + 28, sum[1]);
}

static void header_is_parsed_in_both_byte_orders(void **state)
{
	uint8_t header[WAL_HEADER_LEN];
	struct wal_header h;

	(void)state;
	for (int big = 0; big <= 1; big++) {
		make_header(header, big, 65536);
		assert_true(wal_header_parse(header, &h));
		assert_int_equal(h.big, big);
		assert_int_equal(h.page_size, 65536);
		assert_memory_equal(h.salt, "saltSALT", 8);
	}
}

static void header_with_any_changed_byte_is_refused(void **state)
{
	uint8_t header[WAL_HEADER_LEN];
	struct wal_header h;

	(void)state;
	make_header(header, false, 4096);
	for (size_t i = 0; i < sizeof header; i++) {
		header[i] ^= 0x11;
		assert_false(wal_header_parse(header, &h));
		header[i] ^= 0x11;
	}
	assert_true(wal_header_parse(header, &h));
}

static void header_with_an_impossible_page_size_is_refused(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 256, 511, 4095, 131072, 0x80000000 };
	uint8_t header[WAL_HEADER_LEN];
	struct wal_header h;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		make_header(header, false, sizes[i]);
		assert_false(wal_header_parse(header, &h));
	}
}

static void offsets_do_not_overflow(void **state)
{
	(void)state;
	assert_int_equal(wal_frame_offset(1, 4096), 32);
	assert_int_equal(wal_frame_offset(3, 512), 32 + 2 * 536);
	assert_true(wal_frame_offset(UINT32_MAX, 65536) == 32 + 4294967294ULL * 65560);
	assert_int_equal(wal_lock_page(4096), 262145);
	assert_int_equal(wal_lock_page(65536), 16385);
}

/* As a writer leaves it that died between the two copies. */
static void torn_index_is_a_misfit_until_the_next_transaction_repairs_it(void **state)
{
	struct wal_index before, now;
	struct scratch s;
	struct wal w;
	uint8_t byte;

	(void)state;
	scratch_init(&s);
	foreign_create(&s, 4096);
	struct userdb *u = scratch_open(&s);
	run_sql(u, "INSERT INTO t(b) VALUES(1)");
	assert_int_equal(wal_begin(u, WAL_READ, &w), WAL_OK);
	assert_int_equal(wal_read_index(&w, &before), WAL_OK);

	void volatile *map = NULL;
	struct sqlite3_file *file = w.db_file;
	assert_int_equal(file->pMethods->xShmMap(file, 0, 32768, 0, &map), SQLITE_OK);
	byte = ((volatile uint8_t *)map)[16];
	((volatile uint8_t *)map)[16] = (uint8_t)(byte + 1);
	assert_int_equal(wal_read_index(&w, &now), WAL_MISFIT);
	wal_end(&w);

	assert_int_equal(wal_begin(u, WAL_READ, &w), WAL_OK);
	assert_int_equal(wal_read_index(&w, &now), WAL_OK);
	assert_int_equal(now.last_frame, before.last_frame);
	assert_memory_equal(now.salt, before.salt, sizeof now.salt);
	wal_end(&w);
	userdb_close(u);
	scratch_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_is_parsed_in_both_byte_orders),
		cmocka_unit_test(header_with_any_changed_byte_is_refused),
		cmocka_unit_test(header_with_an_impossible_page_size_is_refused),
		cmocka_unit_test(offsets_do_not_overflow),
		cmocka_unit_test(torn_index_is_a_misfit_until_the_next_transaction_repairs_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
