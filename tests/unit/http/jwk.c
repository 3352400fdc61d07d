#include "http/jwk.h"

#include "base/base64.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "jose.h"

#define P256_X "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""
#define P256_Y "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define OCT "\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\""

static void every_type_has_one_algorithm(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum jwk_algorithm algorithm;
		const char *type;
	} cases[] = {
		{ rfc_oct, JWK_HS256, "secret" },
		{ rfc_okp, JWK_EDDSA, "Ed25519" },
		{ rfc_ec, JWK_ES256, "EC P-256" },
		{ rfc_rsa, JWK_RS256, "RSA 2048 bits" },
		{ ed25519_private, JWK_EDDSA, "Ed25519" },
		{ ed25519_public, JWK_EDDSA, "Ed25519" },
		{ "0123456789abcdef0123456789abcdef", JWK_HS256, "secret" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char type[JWK_TYPE_MAX];
		struct jwk *k = key_of(cases[i].text);
		assert_int_equal(jwk_algorithm(k), cases[i].algorithm);
		jwk_describe(k, type);
		assert_string_equal(type, cases[i].type);
		assert_string_equal(jwk_kid(k), "");
		jwk_free(k);
	}
}

static void what_a_jwk_says_of_its_use_is_honoured(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		const char *why; /* NULL: accepted */
	} cases[] = {
		{ "{" OCT "}", NULL },
		{ "{" OCT ",\"use\":\"sig\",\"alg\":\"HS256\",\"kid\":\"1\"}", NULL },
		{ "{" OCT ",\"key_ops\":[\"sign\",\"verify\"],\"more\":{\"x\":1}}", NULL },
		{ "{" OCT ",\"use\":\"enc\"}", "use or key_ops" },
		{ "{" OCT ",\"use\":[\"sig\"]}", "use or key_ops" },
		{ "{" OCT ",\"key_ops\":[\"encrypt\"]}", "use or key_ops" },
		{ "{" OCT ",\"key_ops\":\"verify\"}", "use or key_ops" },
		{ "{" OCT ",\"alg\":\"HS384\"}", "alg is not HS256" },
		{ "{" OCT ",\"alg\":\"RS256\"}", "alg is not HS256" },
		{ "{" OCT ",\"alg\":\"none\"}", "alg is not HS256" },
		{ "{" OCT ",\"alg\":null}", "alg is not HS256" },
		{ "{" OCT ",\"kid\":\"\"}", "kid" },
		{ "{" OCT ",\"kid\":7}", "kid" },
		{ "{" OCT ",\"kid\":\"a\\nb\"}", "kid" },
		{ "{" OCT ",\"kid\":\"\\u00e9\"}", "kid" },
		{ "{" OCT ",\"kid\":\"a\\u0000\"}", "kid" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char why[128] = "";
		struct jwk *k = key_from_json(cases[i].json, why, sizeof why);
		if ((k != NULL) != (cases[i].why == NULL) ||
		    (k == NULL && strstr(why, cases[i].why) == NULL))
			fail_msg("%s: '%s', want '%s'", cases[i].json, why, cases[i].why);
		jwk_free(k);
	}
}

static void jwk_that_is_no_key_is_refused_with_a_reason(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		const char *why;
	} cases[] = {
		{ "{}", "kty" },
		{ "[]", "kty" },
		{ "{\"kty\":\"ec\"}", "kty" },
		{ "{\"kty\":[\"oct\"]}", "kty" },
		{ "{\"kty\":\"oct\"}", "k is not base64url" },
		{ "{\"kty\":\"oct\",\"k\":\"****\"}", "k is not base64url" },
		{ "{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"}",
		  "k is not base64url" },
		{ "{\"kty\":\"oct\",\"k\":\"\"}", "shorter than 32" },
		{ "{\"kty\":\"oct\",\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ\"}",
		  "shorter than 32" },
		{ "{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AAAA\"}", "crv is not Ed25519" },
		{ "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AAAA\"}", "crv is not Ed25519" },
		{ "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", "32 bytes" },
		{ "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}", "32 bytes" },
		{ "{\"kty\":\"EC\",\"crv\":\"secp256k1\"," P256_X "," P256_Y "}",
		  "crv is not P-256" },
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\"," P256_X "}", "32 bytes each" },
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\"," P256_X ",\"y\":\"AAAA\"}", "32 bytes each" },
		/* Not on the curve. */
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\"," P256_X
		  ",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5aw\"}",
		  "cannot be read" },
		{ "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "bits, not 2048" },
		{ "{\"kty\":\"RSA\",\"e\":\"AQAB\"}", "n and e" },
		{ "{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", "n and e" },
		{ "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQABAQABAQAB\"}", "n and e" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char why[128] = "";
		assert_null(key_from_json(cases[i].json, why, sizeof why));
		if (strstr(why, cases[i].why) == NULL)
			fail_msg("%s: '%s', want '%s'", cases[i].json, why, cases[i].why);
	}
}

static void rsa_with_an_even_exponent_or_a_size_out_of_range_is_refused(void **state)
{
	(void)state;
	static const struct {
		size_t len;
		const char *e;
		const char *why;
	} cases[] = {
		{ 256, "Ag", "not sound" },	   { 256, "AQ", "not sound" },
		{ 255, "AQAB", "bits, not 2048" }, { 1025, "AQAB", "bits, not 2048" },
		{ 1026, "AQAB", "n and e" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char n[1100], why[128] = "";
		struct buf json = BUF_INIT;
		memset(n, 0xd5, sizeof n);
		buf_add_text(&json, "{\"kty\":\"RSA\",\"n\":\"");
		base64_encode(BASE64_URL, n, cases[i].len, &json);
		buf_addf(&json, "\",\"e\":\"%s\"}", cases[i].e);
		assert_null(key_from_json(json.data, why, sizeof why));
		if (strstr(why, cases[i].why) == NULL)
			fail_msg("%zu bytes, e %s: '%s'", cases[i].len, cases[i].e, why);
		buf_release(&json);
	}
}

static void write_key(const char *type, const char *curve, size_t bits, struct buf *out)
{
	EVP_PKEY *pair = curve != NULL ? EVP_PKEY_Q_keygen(NULL, NULL, type, curve)
			 : bits > 0    ? EVP_PKEY_Q_keygen(NULL, NULL, type, bits)
				       : EVP_PKEY_Q_keygen(NULL, NULL, type);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;

	assert_non_null(pair);
	assert_int_equal(PEM_write_bio_PUBKEY(bio, pair), 1);
	long len = BIO_get_mem_data(bio, &text);
	buf_add(out, text, (size_t)len);
	BIO_free(bio);
	EVP_PKEY_free(pair);
}

static void pem_key_of_another_kind_is_refused_with_a_reason(void **state)
{
	(void)state;
	static const struct {
		const char *type, *curve;
		size_t bits;
		const char *why;
	} cases[] = {
		{ "RSA", NULL, 1024, "1024 bits, not 2048" },
		{ "RSA", NULL, 2047, "2047 bits, not 2048" },
		{ "EC", "P-384", 0, "not P-256" },
		{ "EC", "secp256k1", 0, "not P-256" },
		{ "ED448", NULL, 0, "not Ed25519, EC on P-256 or RSA" },
		{ "X25519", NULL, 0, "not Ed25519, EC on P-256 or RSA" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char why[128] = "";
		struct buf text = BUF_INIT;
		write_key(cases[i].type, cases[i].curve, cases[i].bits, &text);
		assert_null(jwk_from_text(text.data, text.len, why, sizeof why));
		if (strstr(why, cases[i].why) == NULL)
			fail_msg("%s: '%s', want '%s'", cases[i].type, why, cases[i].why);
		buf_release(&text);
	}
}

static void text_that_is_no_key_is_refused_with_a_reason(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *why;
	} cases[] = {
		{ "", "shorter than 32" },
		{ "0123456789abcdef0123456789abcde\n", "shorter than 32" },
		{ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDdSmHAYKxCrfVS alice", "neither PEM" },
		{ "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no readable" },
		{ "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no readable" },
		{ "-----BEGIN PUBLIC KEY-----\n"
		  "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
		  "-----END PUBLIC KEY-----\n"
		  "-----BEGIN PUBLIC KEY-----\n"
		  "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
		  "-----END PUBLIC KEY-----\n",
		  "more than one key" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char why[128] = "";
		assert_null(jwk_from_text(cases[i].text, strlen(cases[i].text), why, sizeof why));
		if (strstr(why, cases[i].why) == NULL)
			fail_msg("key %zu: got '%s', want '%s'", i, why, cases[i].why);
	}
}

static void public_key_in_der_is_no_secret(void **state)
{
	(void)state;
	struct buf der = BUF_INIT;
	char why[128] = "";
	const char text[] = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

	assert_int_equal(base64_decode(BASE64_STANDARD, text, strlen(text), &der), 0);
	assert_int_equal(der.len, 44);
	assert_null(jwk_from_text(der.data, der.len, why, sizeof why));
	assert_non_null(strstr(why, "neither PEM"));
	buf_release(&der);
}

static void secret_may_hold_any_byte_and_ends_before_a_final_newline(void **state)
{
	(void)state;
	char bytes[49], why[128] = "";
	struct buf signature = BUF_INIT;

	for (size_t i = 0; i < 48; i++)
		bytes[i] = (char)(i * 37);
	bytes[48] = '\n';
	struct jwk *with = jwk_from_text(bytes, 49, why, sizeof why);
	struct jwk *without = jwk_from_text(bytes, 48, why, sizeof why);
	struct jwk *shorter = jwk_from_text(bytes, 47, why, sizeof why);
	assert_int_equal(jwk_sign(with, "hello", 5, &signature), 0);
	assert_true(jwk_verify(without, "hello", 5, &signature));
	assert_false(jwk_verify(shorter, "hello", 5, &signature));
	jwk_free(with);
	jwk_free(without);
	jwk_free(shorter);
	buf_release(&signature);
}

/* ES256 as other programs write it, in DER; numbers that no signature has; and lengths. */
static void signature_of_another_form_is_refused(void **state)
{
	(void)state;
	static const unsigned char zeros[JWK_SIGNATURE_MAX];
	unsigned char ones[JWK_SIGNATURE_MAX];
	const char *const keys[] = { rfc_oct, rfc_okp, rfc_ec, rfc_rsa };

	memset(ones, 0xff, sizeof ones);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		struct jwk *k = key_of(keys[i]);
		for (size_t len = 0; len <= 300; len++) {
			struct buf signature = BUF_INIT;
			buf_add(&signature, zeros, len);
			assert_false(jwk_verify(k, "hello", 5, &signature));
			buf_clear(&signature);
			buf_add(&signature, ones, len);
			assert_false(jwk_verify(k, "hello", 5, &signature));
			buf_release(&signature);
		}
		jwk_free(k);
	}
}

static void es256_in_der_is_refused(void **state)
{
	(void)state;
	EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	BIO *bio = BIO_new(BIO_s_mem());
	struct buf der = BUF_INIT;
	size_t len = 80;
	char *text, why[128] = "";

	assert_int_equal(PEM_write_bio_PUBKEY(bio, pair), 1);
	long text_len = BIO_get_mem_data(bio, &text);
	struct jwk *k = jwk_from_text(text, (size_t)text_len, why, sizeof why);
	assert_non_null(k);
	buf_reserve(&der, len);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pair), 1);
	assert_int_equal(EVP_DigestSign(ctx, (unsigned char *)der.data, &len,
					(const unsigned char *)"hello", 5),
			 1);
	der.len = len;
	assert_false(jwk_verify(k, "hello", 5, &der));
	jwk_free(k);
	buf_release(&der);
	EVP_MD_CTX_free(ctx);
	BIO_free(bio);
	EVP_PKEY_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_has_one_algorithm),
		cmocka_unit_test(what_a_jwk_says_of_its_use_is_honoured),
		cmocka_unit_test(jwk_that_is_no_key_is_refused_with_a_reason),
		cmocka_unit_test(rsa_with_an_even_exponent_or_a_size_out_of_range_is_refused),
		cmocka_unit_test(pem_key_of_another_kind_is_refused_with_a_reason),
		cmocka_unit_test(text_that_is_no_key_is_refused_with_a_reason),
		cmocka_unit_test(public_key_in_der_is_no_secret),
		cmocka_unit_test(secret_may_hold_any_byte_and_ends_before_a_final_newline),
		cmocka_unit_test(signature_of_another_form_is_refused),
		cmocka_unit_test(es256_in_der_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
