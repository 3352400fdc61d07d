#include "http/jws.h"

#include "base/base64.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "jose.h"

static const char secret[] = "0123456789abcdef0123456789abcdef";

static int verify_with(const struct jwks *set, const char *token, size_t len)
{
	struct buf payload = BUF_INIT;
	int result = jws_verify(set, token, len, &payload);

	if (result < 0)
		assert_int_equal(payload.len, 0);
	buf_release(&payload);
	return result;
}

static int verify(const char *key, const char *token, size_t len)
{
	struct jwks set = { .count = 0 };

	add_key(&set, key);
	int result = verify_with(&set, token, len);
	free_keys(&set);
	return result;
}

static void sign(const char *key, const char *payload, struct buf *out)
{
	struct jwk *k = key_of(key);

	assert_int_equal(jws_sign(k, payload, strlen(payload), out), 0);
	jwk_free(k);
}

/* As PEM, of any type, for as long as the test runs. */
static void make_private_key(const char *type, struct buf *out)
{
	EVP_PKEY *pair = type[0] == 'R' ? EVP_PKEY_Q_keygen(NULL, NULL, type, (size_t)2048)
					: EVP_PKEY_Q_keygen(NULL, NULL, type, "P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;

	assert_non_null(pair);
	assert_int_equal(PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL), 1);
	long len = BIO_get_mem_data(bio, &text);
	buf_add(out, text, (size_t)len);
	BIO_free(bio);
	EVP_PKEY_free(pair);
}

/* A token with any header, made with HMAC over `key`. */
static void forge(const char *header, const char *key, size_t key_len, struct buf *out)
{
	unsigned char mac[32];
	unsigned mac_len = sizeof mac;

	base64_encode(BASE64_URL, header, strlen(header), out);
	buf_add_text(out, ".");
	base64_encode(BASE64_URL, "{}", 2, out);
	assert_non_null(HMAC(EVP_sha256(), key, (int)key_len, (unsigned char *)out->data, out->len,
			     mac, &mac_len));
	buf_add_text(out, ".");
	base64_encode(BASE64_URL, mac, sizeof mac, out);
}

static void published_tokens_verify_with_their_keys_only(void **state)
{
	(void)state;
	static const struct {
		const char *key, *token, *says;
	} cases[] = {
		{ rfc_oct, rfc_hs256_token, "\"iss\":\"joe\"" },
		{ rfc_rsa, rfc_rs256_token, "\"iss\":\"joe\"" },
		{ rfc_ec, rfc_es256_token, "\"iss\":\"joe\"" },
		{ rfc_okp, rfc_eddsa_token, "Example of Ed25519 signing" },
		{ ed25519_public, rfc_eddsa_token, "Example of Ed25519 signing" },
		{ ed25519_private, rfc_eddsa_token, "Example of Ed25519 signing" },
	};
	enum { CASES = sizeof cases / sizeof cases[0] };

	for (size_t i = 0; i < CASES; i++) {
		struct jwks set = { .count = 0 };
		struct buf payload = BUF_INIT;
		add_key(&set, cases[i].key);
		assert_int_equal(jws_verify(&set, cases[i].token, strlen(cases[i].token), &payload),
				 0);
		assert_non_null(strstr(payload.data, cases[i].says));
		for (size_t other = 0; other < CASES; other++) {
			bool own = strcmp(cases[other].token, cases[i].token) == 0;
			assert_int_equal(
				verify_with(&set, cases[other].token, strlen(cases[other].token)),
				own ? 0 : -1);
		}
		buf_release(&payload);
		free_keys(&set);
	}
}

static void signed_token_verifies_with_its_key_only(void **state)
{
	(void)state;
	enum { KEYS = 6 };
	struct buf rsa = BUF_INIT, ec = BUF_INIT, other_ec = BUF_INIT;

	make_private_key("RSA", &rsa);
	make_private_key("EC", &ec);
	make_private_key("EC", &other_ec);
	const char *const keys[KEYS] = {
		secret,		 "another secret, as long as it has to be",
		ed25519_private, rsa.data,
		ec.data,	 other_ec.data,
	};
	for (size_t i = 0; i < KEYS; i++) {
		struct buf token = BUF_INIT;
		sign(keys[i], "hello", &token);
		for (size_t j = 0; j < KEYS; j++)
			assert_int_equal(verify(keys[j], token.data, token.len), i == j ? 0 : -1);
		buf_release(&token);
	}
	buf_release(&rsa);
	buf_release(&ec);
	buf_release(&other_ec);
}

/* One with leading zeros in r or s is rare: some hundred of them have some. */
static void every_es256_signature_is_64_bytes(void **state)
{
	(void)state;
	struct buf ec = BUF_INIT;
	struct jwks set = { .count = 0 };

	make_private_key("EC", &ec);
	add_key(&set, ec.data);
	for (int i = 0; i < 600; i++) {
		struct buf token = BUF_INIT;
		assert_int_equal(jws_sign(set.keys[0], "hello", 5, &token), 0);
		assert_int_equal(strlen(strrchr(token.data, '.') + 1), 86);
		assert_int_equal(verify_with(&set, token.data, token.len), 0);
		buf_release(&token);
	}
	free_keys(&set);
	buf_release(&ec);
}

static void public_key_cannot_sign(void **state)
{
	(void)state;
	const char *const keys[] = { ed25519_public, rfc_okp, rfc_ec, rfc_rsa };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		struct jwk *k = key_of(keys[i]);
		struct buf token = BUF_INIT;
		assert_false(jwk_can_sign(k));
		assert_int_equal(jws_sign(k, "hello", 5, &token), -1);
		assert_int_equal(token.len, 0);
		jwk_free(k);
		buf_release(&token);
	}
}

static void every_change_of_one_byte_is_refused(void **state)
{
	(void)state;
	struct buf ec = BUF_INIT, rsa = BUF_INIT;

	make_private_key("EC", &ec);
	make_private_key("RSA", &rsa);
	const char *const keys[] = { secret, ed25519_private, ec.data, rsa.data };
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		struct jwks set = { .count = 0 };
		struct buf token = BUF_INIT;
		add_key(&set, keys[i]);
		sign(keys[i], "{\"sub\":\"alice\"}", &token);
		assert_int_equal(verify_with(&set, token.data, token.len), 0);
		for (size_t at = 0; at < token.len; at++) {
			char right = token.data[at];
			for (int wrong = (int)at % 16; wrong < 256; wrong += i == 0 ? 1 : 16) {
				if ((char)wrong == right)
					continue;
				token.data[at] = (char)wrong;
				assert_int_equal(verify_with(&set, token.data, token.len), -1);
			}
			token.data[at] = right;
		}
		buf_release(&token);
		free_keys(&set);
	}
	buf_release(&ec);
	buf_release(&rsa);
}

static void token_cut_or_extended_is_refused(void **state)
{
	(void)state;
	struct jwks set = { .count = 0 };
	struct buf token = BUF_INIT;

	add_key(&set, secret);
	sign(secret, "hello", &token);
	for (size_t len = 0; len < token.len; len++)
		assert_int_equal(verify_with(&set, token.data, len), -1);
	const char *const more[] = { "=", ".", ".AAAA", "A", " ", "\n" };
	for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
		struct buf longer = BUF_INIT;
		buf_add(&longer, token.data, token.len);
		buf_add_text(&longer, more[i]);
		assert_int_equal(verify_with(&set, longer.data, longer.len), -1);
		buf_release(&longer);
	}
	free_keys(&set);
	buf_release(&token);
}

static void header_decides_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *header;
		int want;
	} cases[] = {
		{ "{\"alg\":\"HS256\"}", 0 },
		{ "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"1\"}", 0 },
		{ "{\"alg\":\"HS256\",\"kid\":1}", -1 },
		{ "{\"alg\":\"HS256\",\"kid\":null}", -1 },
		{ "{\"alg\":\"HS256\",\"kid\":[\"1\"]}", -1 },
		{ "{\"alg\":\"none\"}", -1 },
		{ "{\"alg\":\"None\"}", -1 },
		{ "{\"alg\":\"hs256\"}", -1 },
		{ "{\"alg\":\"HS384\"}", -1 },
		{ "{\"alg\":\"EdDSA\"}", -1 },
		{ "{\"alg\":\"RS256\"}", -1 },
		{ "{\"alg\":\"HS256\\u0000\"}", -1 },
		{ "{\"alg\":[\"HS256\"]}", -1 },
		{ "{\"alg\":null}", -1 },
		{ "{\"typ\":\"JWT\"}", -1 },
		{ "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", -1 },
		{ "{\"alg\":\"HS256\",\"crit\":null}", -1 },
		{ "{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", -1 },
		{ "{\"alg\":\"HS256\",\"x\":[[[[1]]]]}", -1 },
		{ "{\"alg\":\"HS256\"", -1 },
		{ "\"HS256\"", -1 },
		{ "", -1 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf token = BUF_INIT;
		forge(cases[i].header, secret, strlen(secret), &token);
		if (verify(secret, token.data, token.len) != cases[i].want)
			fail_msg("header %s: want %d", cases[i].header, cases[i].want);
		buf_release(&token);
	}
}

static void long_header_is_refused(void **state)
{
	(void)state;
	static const struct {
		int fill;
		int want;
	} cases[] = { { 1900, 0 }, { 2100, -1 }, { 4000, -1 } };
	char header[5000];

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf token = BUF_INIT;
		(void)snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"x\":\"%0*d\"}",
			       cases[i].fill, 0);
		forge(header, secret, strlen(secret), &token);
		assert_int_equal(verify(secret, token.data, token.len), cases[i].want);
		buf_release(&token);
	}
}

static void kid_selects_among_keys_that_have_one(void **state)
{
	(void)state;
	static const char one[] = "{\"kty\":\"oct\",\"kid\":\"one\",\"k\":"
				  "\"b25lIG9uZSBvbmUgb25lIG9uZSBvbmUgb25lIG9uZSBvbmU\"}";
	static const char two[] = "{\"kty\":\"oct\",\"kid\":\"two\",\"k\":"
				  "\"dHdvIHR3byB0d28gdHdvIHR3byB0d28gdHdvIHR3byB0d28\"}";
	static const char one_secret[] = "one one one one one one one one one";
	static const struct {
		const char *header;
		const char *secret;
		int want;
	} cases[] = {
		{ "{\"alg\":\"HS256\",\"kid\":\"one\"}", one_secret, 0 },
		{ "{\"alg\":\"HS256\"}", one_secret, 0 },
		{ "{\"alg\":\"HS256\",\"kid\":\"two\"}", one_secret, -1 },
		{ "{\"alg\":\"HS256\",\"kid\":\"on\"}", one_secret, -1 },
		{ "{\"alg\":\"HS256\",\"kid\":\"ONE\"}", one_secret, -1 },
		{ "{\"alg\":\"HS256\",\"kid\":\"\"}", one_secret, -1 },
		/* A key without a name is tried for every one. */
		{ "{\"alg\":\"HS256\",\"kid\":\"three\"}", secret, 0 },
		{ "{\"alg\":\"HS256\",\"kid\":\"one\"}", secret, 0 },
		{ "{\"alg\":\"HS256\"}", "0123456789abcdef0123456789abcdeF", -1 },
	};
	struct jwks set = { .count = 0 };

	add_key(&set, rfc_ec);
	add_key(&set, two);
	add_key(&set, one);
	add_key(&set, secret);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf token = BUF_INIT;
		forge(cases[i].header, cases[i].secret, strlen(cases[i].secret), &token);
		if (verify_with(&set, token.data, token.len) != cases[i].want)
			fail_msg("header %s: want %d", cases[i].header, cases[i].want);
		buf_release(&token);
	}
	free_keys(&set);
}

static void signed_token_names_its_key(void **state)
{
	(void)state;
	struct buf token = BUF_INIT, header = BUF_INIT;

	sign("{\"kty\":\"oct\",\"kid\":\"a \\\"b\\\"\",\"k\":"
	     "\"b25lIG9uZSBvbmUgb25lIG9uZSBvbmUgb25lIG9uZSBvbmU\"}",
	     "{}", &token);
	assert_int_equal(base64_decode(BASE64_URL, token.data, strcspn(token.data, "."), &header),
			 0);
	assert_string_equal(header.data,
			    "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"a \\\"b\\\"\"}");
	buf_release(&header);
	buf_release(&token);
}

/* Whoever knows the public key must not be able to use it as an HMAC secret. */
static void public_key_as_hmac_secret_is_refused(void **state)
{
	(void)state;
	const char *const headers[] = { "{\"alg\":\"HS256\"}", "{\"alg\":\"EdDSA\"}",
					"{\"alg\":\"RS256\"}", "{\"alg\":\"ES256\"}" };
	const char *const keys[] = { ed25519_public, rfc_rsa, rfc_ec, rfc_okp };

	for (size_t i = 0; i < 16; i++) {
		struct buf token = BUF_INIT;
		forge(headers[i % 4], keys[i / 4], strlen(keys[i / 4]), &token);
		assert_int_equal(verify(keys[i / 4], token.data, token.len), -1);
		buf_release(&token);
	}
}

static void unsigned_token_is_refused(void **state)
{
	(void)state;
	const char *const keys[] = { secret, ed25519_public, rfc_rsa, rfc_ec };
	struct buf token = BUF_INIT;

	base64_encode(BASE64_URL, "{\"alg\":\"none\"}", 14, &token);
	buf_add_text(&token, ".e30.");
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		assert_int_equal(verify(keys[i], token.data, token.len), -1);
		assert_int_equal(verify(keys[i], token.data, token.len - 1), -1);
	}
	buf_release(&token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_tokens_verify_with_their_keys_only),
		cmocka_unit_test(signed_token_verifies_with_its_key_only),
		cmocka_unit_test(every_es256_signature_is_64_bytes),
		cmocka_unit_test(public_key_cannot_sign),
		cmocka_unit_test(every_change_of_one_byte_is_refused),
		cmocka_unit_test(token_cut_or_extended_is_refused),
		cmocka_unit_test(header_decides_nothing),
		cmocka_unit_test(long_header_is_refused),
		cmocka_unit_test(kid_selects_among_keys_that_have_one),
		cmocka_unit_test(signed_token_names_its_key),
		cmocka_unit_test(public_key_as_hmac_secret_is_refused),
		cmocka_unit_test(unsigned_token_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
