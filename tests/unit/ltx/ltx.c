#include "ltx/ltx.h"

#include "ltx/fixture.h"

static const struct ltx_header full_header = {
	.page_size = 65536,
	.commit = 0xfffffffe,
	.min_txid = 0x1122334455667788,
	.max_txid = 0x1122334455667789,
	.timestamp_ms = -1,
	.wal_offset = 32,
	.wal_len = INT64_MAX,
	.wal_salt = { 1, 2, 3, 4, 5, 6, 7, 8 },
	.node = 0xfedcba9876543210,
};

static void header_read_back_is_the_one_written(void **state)
{
	uint8_t bytes[LTX_HEADER_LEN];
	struct ltx_header h;

	(void)state;
	ltx_header_write(&full_header, bytes);
	assert_int_equal(ltx_header_read(bytes, &h), 0);
	assert_int_equal(h.page_size, full_header.page_size);
	assert_int_equal(h.commit, full_header.commit);
	assert_int_equal(h.min_txid, full_header.min_txid);
	assert_int_equal(h.max_txid, full_header.max_txid);
	assert_int_equal(h.timestamp_ms, full_header.timestamp_ms);
	assert_int_equal(h.wal_offset, full_header.wal_offset);
	assert_int_equal(h.wal_len, full_header.wal_len);
	assert_memory_equal(h.wal_salt, full_header.wal_salt, sizeof h.wal_salt);
	assert_int_equal(h.node, full_header.node);
}

static void header_fields_stand_at_their_places(void **state)
{
	struct buf want = from_hex("4c545831 00000002 00010000 fffffffe"
				   "1122334455667788 1122334455667789 ffffffffffffffff"
				   "0000000000000000 0000000000000020 7fffffffffffffff"
				   "0102030405060708 fedcba9876543210" HEX_ZEROS_20);
	uint8_t bytes[LTX_HEADER_LEN];

	(void)state;
	ltx_header_write(&full_header, bytes);
	assert_int_equal(want.len, sizeof bytes);
	assert_memory_equal(bytes, want.data, sizeof bytes);
	buf_release(&want);
}

/* `hex` written over a good header at `at`. */
static const struct broken {
	const char *rule;
	size_t at;
	const char *hex;
} broken_headers[] = {
	{ "magic", 3, "32" },
	{ "no tracked checksum", 4, "00000000" },
	{ "unknown flag", 4, "00000003" },
	{ "page size 0", 8, "00000000" },
	{ "page size below 512", 8, "00000100" },
	{ "page size of SQLite's header", 8, "00000001" },
	{ "page size no power of two", 8, "00000600" },
	{ "page size above 65536", 8, "00020000" },
	{ "empty database", 12, "00000000" },
	{ "min TXID 0", 16, "0000000000000000" },
	{ "max TXID below min", 24, "1122334455667787" },
	{ "checksum before", 40, "8000000000000000" },
	{ "WAL length without offset", 48, "0000000000000000 0000000000000001 0000000000000000" },
	{ "WAL salt without offset", 48, "0000000000000000 0000000000000000 0000000000000001" },
	{ "negative WAL offset", 48, "8000000000000000" },
	{ "negative WAL length", 56, "8000000000000000" },
	{ "reserved, first", 80, "01" },
	{ "reserved, last", 99, "01" },
};

static void header_that_breaks_a_rule_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof broken_headers / sizeof *broken_headers; i++) {
		const struct broken *b = &broken_headers[i];
		struct buf patch = from_hex(b->hex);
		uint8_t bytes[LTX_HEADER_LEN];
		struct ltx_header h;
		ltx_header_write(&full_header, bytes);
		memcpy(bytes + b->at, patch.data, patch.len);
		buf_release(&patch);
		if (ltx_header_read(bytes, &h) != -1)
			fail_msg("accepted: %s", b->rule);
	}
}

static void file_from_the_first_transaction_is_a_snapshot(void **state)
{
	(void)state;
	assert_true(ltx_is_snapshot(&snapshot_header));
	assert_false(ltx_is_snapshot(&increment_header));
}

static void lock_page_holds_the_byte_at_one_gib(void **state)
{
	(void)state;
	assert_int_equal(ltx_lock_page(512), 2097153);
	assert_int_equal(ltx_lock_page(4096), 262145);
	assert_int_equal(ltx_lock_page(65536), 16385);
}

static void snapshot_has_all_pages_but_the_lock_page(void **state)
{
	struct ltx_header h = { .page_size = 65536, .commit = 16384 };

	(void)state;
	assert_int_equal(ltx_snapshot_pages(&h), 16384);
	h.commit = 16385;
	assert_int_equal(ltx_snapshot_pages(&h), 16384);
	h.commit = 16386;
	assert_int_equal(ltx_snapshot_pages(&h), 16385);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_read_back_is_the_one_written),
		cmocka_unit_test(header_fields_stand_at_their_places),
		cmocka_unit_test(header_that_breaks_a_rule_is_refused),
		cmocka_unit_test(file_from_the_first_transaction_is_a_snapshot),
		cmocka_unit_test(lock_page_holds_the_byte_at_one_gib),
		cmocka_unit_test(snapshot_has_all_pages_but_the_lock_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
