#include "base/siphash.h"

#include "fixture.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

enum { MESSAGE_MAX = 300 };

/* The key 00 01 .. 0f of the reference vectors. */
static const uint64_t reference_secret[2] = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };

static void counting_message(uint8_t *message, size_t len)
{
	for (size_t i = 0; i < len; i++)
		message[i] = (uint8_t)i;
}

static void hash_of_the_paper_is_a129ca6149be45e5(void **state)
{
	uint8_t message[15];

	(void)state;
	counting_message(message, sizeof message);
	assert_int_equal(siphash(reference_secret, message, sizeof message), 0xa129ca6149be45e5u);
}

static void reference_vectors_come_out(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{ 0, 0x726fdb47dd0e0e31u },  { 1, 0x74f839c593dc67fdu },
		{ 7, 0xab0200f58b01d137u },  { 8, 0x93f5f5799a932462u },
		{ 9, 0x9e0082df0ba9e4b0u },  { 16, 0x3f2acc7f57c29bdbu },
		{ 31, 0x32d892fad841c342u }, { 32, 0x7127512f72f27cceu },
		{ 63, 0x958a324ceb064572u },
	};
	uint8_t message[64];

	(void)state;
	counting_message(message, sizeof message);
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
		assert_int_equal(siphash(reference_secret, message, vectors[i].len),
				 vectors[i].hash);
}

static uint64_t hash_by_openssl(const uint8_t secret[16], const uint8_t *message, size_t len)
{
	size_t size = 8, got = 0;
	uint8_t out[8];
	uint64_t hash = 0;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *c = EVP_MAC_CTX_new(mac);

	assert_non_null(c);
	assert_int_equal(EVP_MAC_init(c, secret, 16, params), 1);
	assert_int_equal(EVP_MAC_update(c, message, len), 1);
	assert_int_equal(EVP_MAC_final(c, out, &got, sizeof out), 1);
	assert_int_equal(got, sizeof out);
	EVP_MAC_CTX_free(c);
	EVP_MAC_free(mac);
	for (int i = 7; i >= 0; i--)
		hash = hash << 8 | out[i];
	return hash;
}

/* Bytes at odd addresses too, and with the sign bit set. */
static void every_length_hashes_as_openssl_does(void **state)
{
	static const uint64_t secret[2] = { 0xfedcba9876543210u, 0x8000000000000001u };
	static uint8_t space[MESSAGE_MAX + 1];
	uint8_t secret_bytes[16];

	(void)state;
	for (int i = 0; i < 16; i++)
		secret_bytes[i] = (uint8_t)(secret[i / 8] >> 8 * (i % 8));
	for (size_t i = 0; i < sizeof space; i++)
		space[i] = (uint8_t)(i * 167 + 129);
	for (size_t len = 0; len <= MESSAGE_MAX; len++)
		assert_int_equal(siphash(secret, space + 1, len),
				 hash_by_openssl(secret_bytes, space + 1, len));
}

static void hash_depends_on_both_halves_of_the_secret(void **state)
{
	uint64_t first[2] = { reference_secret[0] ^ 1, reference_secret[1] };
	uint64_t second[2] = { reference_secret[0], reference_secret[1] ^ 1 };

	(void)state;
	uint64_t hash = siphash(reference_secret, "alice", 5);
	assert_int_not_equal(siphash(first, "alice", 5), hash);
	assert_int_not_equal(siphash(second, "alice", 5), hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_of_the_paper_is_a129ca6149be45e5),
		cmocka_unit_test(reference_vectors_come_out),
		cmocka_unit_test(every_length_hashes_as_openssl_does),
		cmocka_unit_test(hash_depends_on_both_halves_of_the_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
