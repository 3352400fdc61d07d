#include "ltx/crc64.h"

#include "ltx/fixture.h"

static const char digits[] = "123456789";

static void crc_of_the_check_string_is_the_published_one(void **state)
{
	(void)state;
	assert_int_equal(crc64_update(0, digits, 9), 0xb90956c775a41001u);
}

static void crc_of_nothing_is_zero(void **state)
{
	(void)state;
	assert_int_equal(crc64_update(0, "", 0), 0);
}

static uint64_t bit_by_bit(const uint8_t *p, size_t len)
{
	uint64_t crc = ~(uint64_t)0;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xD800000000000000u : crc >> 1;
	}
	return ~crc;
}

static void every_length_and_alignment_agrees_with_the_definition(void **state)
{
	uint8_t bytes[80];

	(void)state;
	fill_with_noise(bytes, sizeof bytes, 1);
	for (size_t from = 0; from < 16; from++)
		for (size_t len = 0; len <= sizeof bytes - from; len++)
			assert_int_equal(crc64_update(0, bytes + from, len),
					 bit_by_bit(bytes + from, len));
}

static void continuing_anywhere_gives_the_crc_of_the_whole(void **state)
{
	uint8_t bytes[40];

	(void)state;
	fill_with_noise(bytes, sizeof bytes, 2);
	uint64_t whole = bit_by_bit(bytes, sizeof bytes);
	for (size_t cut = 0; cut <= sizeof bytes; cut++) {
		uint64_t crc = crc64_update(0, bytes, cut);
		assert_int_equal(crc64_update(crc, bytes + cut, sizeof bytes - cut), whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc_of_the_check_string_is_the_published_one),
		cmocka_unit_test(crc_of_nothing_is_zero),
		cmocka_unit_test(every_length_and_alignment_agrees_with_the_definition),
		cmocka_unit_test(continuing_anywhere_gives_the_crc_of_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
