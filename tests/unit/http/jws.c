#include "http/jws.h"

#include "base/base64.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RFC 8037, A.1, as PEM. */
static const char ed25519_private[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
	"-----END PRIVATE KEY-----\n";
static const char ed25519_public[] =
	"-----BEGIN PUBLIC KEY-----\n"
	"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
	"-----END PUBLIC KEY-----\n";
/* RFC 8037, A.4. */
static const char ed25519_token[] =
	"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PG"
	"cvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
/* RFC 7515, A.1. */
static const char hs256_secret[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0"
				   "iPS4hcgUuTwjAzZr1Z9CAow";
static const char hs256_token[] =
	"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogI"
	"mh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

static const char secret[] = "0123456789abcdef0123456789abcdef";

static struct jws_key *parse(const char *text)
{
	char why[128] = "";
	struct jws_key *k = jws_key_parse(text, strlen(text), why, sizeof why);

	assert_string_equal(why, "");
	assert_non_null(k);
	return k;
}

static int verify(const struct jws_key *k, const char *token, size_t len)
{
	struct buf payload = BUF_INIT;
	int result = jws_verify(k, token, len, &payload);

	if (result < 0)
		assert_int_equal(payload.len, 0);
	buf_release(&payload);
	return result;
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

static void rfc8037_token_verifies_with_either_half_of_the_key(void **state)
{
	(void)state;
	const char *const keys[] = { ed25519_private, ed25519_public };

	for (size_t i = 0; i < 2; i++) {
		struct jws_key *k = parse(keys[i]);
		struct buf payload = BUF_INIT;
		assert_int_equal(jws_verify(k, ed25519_token, strlen(ed25519_token), &payload), 0);
		assert_string_equal(payload.data, "Example of Ed25519 signing");
		buf_release(&payload);
		jws_key_free(k);
	}
}

static void rfc7515_token_verifies(void **state)
{
	(void)state;
	struct buf key = BUF_INIT, payload = BUF_INIT;
	char why[128];

	assert_int_equal(base64_decode(BASE64_URL, hs256_secret, strlen(hs256_secret), &key), 0);
	struct jws_key *k = jws_key_parse(key.data, key.len, why, sizeof why);
	assert_non_null(k);
	assert_int_equal(jws_verify(k, hs256_token, strlen(hs256_token), &payload), 0);
	assert_non_null(strstr(payload.data, "\"iss\":\"joe\""));
	jws_key_free(k);
	buf_release(&key);
	buf_release(&payload);
}

static void signed_token_verifies_with_its_key_only(void **state)
{
	(void)state;
	const char *const keys[] = { secret, "another secret, as long as it has to be",
				     ed25519_private };

	for (size_t i = 0; i < 3; i++) {
		struct jws_key *signer = parse(keys[i]);
		struct buf token = BUF_INIT;
		assert_int_equal(jws_sign(signer, "hello", 5, &token), 0);
		for (size_t j = 0; j < 3; j++) {
			struct jws_key *k = parse(keys[j]);
			assert_int_equal(verify(k, token.data, token.len), i == j ? 0 : -1);
			jws_key_free(k);
		}
		buf_release(&token);
		jws_key_free(signer);
	}
}

static void public_key_cannot_sign(void **state)
{
	(void)state;
	struct jws_key *k = parse(ed25519_public);
	struct buf token = BUF_INIT;

	assert_int_equal(jws_sign(k, "hello", 5, &token), -1);
	assert_int_equal(token.len, 0);
	jws_key_free(k);
	buf_release(&token);
}

static void every_change_of_one_byte_is_refused(void **state)
{
	(void)state;
	const char *const keys[] = { secret, ed25519_private };

	for (size_t i = 0; i < 2; i++) {
		struct jws_key *k = parse(keys[i]);
		struct buf token = BUF_INIT;
		assert_int_equal(jws_sign(k, "{\"sub\":\"alice\"}", 15, &token), 0);
		assert_int_equal(verify(k, token.data, token.len), 0);
		for (size_t at = 0; at < token.len; at++) {
			char right = token.data[at];
			for (int wrong = 0; wrong < 256; wrong += i == 0 ? 1 : 16) {
				if ((char)wrong == right)
					continue;
				token.data[at] = (char)wrong;
				assert_int_equal(verify(k, token.data, token.len), -1);
			}
			token.data[at] = right;
		}
		buf_release(&token);
		jws_key_free(k);
	}
}

static void token_cut_or_extended_is_refused(void **state)
{
	(void)state;
	struct jws_key *k = parse(secret);
	struct buf token = BUF_INIT;

	assert_int_equal(jws_sign(k, "hello", 5, &token), 0);
	for (size_t len = 0; len < token.len; len++)
		assert_int_equal(verify(k, token.data, len), -1);
	const char *const more[] = { "=", ".", ".AAAA", "A", " ", "\n" };
	for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
		struct buf longer = BUF_INIT;
		buf_add(&longer, token.data, token.len);
		buf_add_text(&longer, more[i]);
		assert_int_equal(verify(k, longer.data, longer.len), -1);
		buf_release(&longer);
	}
	jws_key_free(k);
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
		{ "{\"alg\":\"none\"}", -1 },
		{ "{\"alg\":\"None\"}", -1 },
		{ "{\"alg\":\"hs256\"}", -1 },
		{ "{\"alg\":\"HS384\"}", -1 },
		{ "{\"alg\":\"EdDSA\"}", -1 },
		{ "{\"alg\":\"RS256\"}", -1 },
		{ "{\"alg\":[\"HS256\"]}", -1 },
		{ "{\"alg\":null}", -1 },
		{ "{\"typ\":\"JWT\"}", -1 },
		{ "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", -1 },
		{ "{\"alg\":\"HS256\",\"crit\":null}", -1 },
		{ "{\"alg\":\"HS256\"", -1 },
		{ "\"HS256\"", -1 },
		{ "", -1 },
	};
	struct jws_key *k = parse(secret);

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf token = BUF_INIT;
		forge(cases[i].header, secret, strlen(secret), &token);
		if (verify(k, token.data, token.len) != cases[i].want)
			fail_msg("header %s: want %d", cases[i].header, cases[i].want);
		buf_release(&token);
	}
	jws_key_free(k);
}

/* Whoever knows the public key must not be able to use it as an HMAC secret. */
static void public_key_as_hmac_secret_is_refused(void **state)
{
	(void)state;
	const char *const headers[] = { "{\"alg\":\"HS256\"}", "{\"alg\":\"EdDSA\"}" };
	struct jws_key *k = parse(ed25519_public);

	for (size_t i = 0; i < 2; i++) {
		struct buf token = BUF_INIT;
		forge(headers[i], ed25519_public, strlen(ed25519_public), &token);
		assert_int_equal(verify(k, token.data, token.len), -1);
		buf_release(&token);
	}
	jws_key_free(k);
}

static void unsigned_token_is_refused(void **state)
{
	(void)state;
	const char *const keys[] = { secret, ed25519_public };
	struct buf token = BUF_INIT;

	base64_encode(BASE64_URL, "{\"alg\":\"none\"}", 14, &token);
	buf_add_text(&token, ".e30.");
	for (size_t i = 0; i < 2; i++) {
		struct jws_key *k = parse(keys[i]);
		assert_int_equal(verify(k, token.data, token.len), -1);
		assert_int_equal(verify(k, token.data, token.len - 1), -1);
		jws_key_free(k);
	}
	buf_release(&token);
}

static void key_that_is_none_of_ours_is_refused_with_a_reason(void **state)
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
		{ "-----BEGIN PUBLIC KEY-----\n"
		  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
		  "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
		  "-----END PUBLIC KEY-----\n",
		  "not an Ed25519" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char why[128] = "";
		assert_null(jws_key_parse(cases[i].text, strlen(cases[i].text), why, sizeof why));
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
	assert_null(jws_key_parse(der.data, der.len, why, sizeof why));
	assert_non_null(strstr(why, "neither PEM"));
	buf_release(&der);
}

static void final_newline_of_a_secret_does_not_count(void **state)
{
	(void)state;
	struct jws_key *with = parse("0123456789abcdef0123456789abcdef\n");
	struct jws_key *without = parse(secret);
	struct buf token = BUF_INIT;

	assert_int_equal(jws_sign(with, "hello", 5, &token), 0);
	assert_int_equal(verify(without, token.data, token.len), 0);
	jws_key_free(with);
	jws_key_free(without);
	buf_release(&token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc8037_token_verifies_with_either_half_of_the_key),
		cmocka_unit_test(rfc7515_token_verifies),
		cmocka_unit_test(signed_token_verifies_with_its_key_only),
		cmocka_unit_test(public_key_cannot_sign),
		cmocka_unit_test(every_change_of_one_byte_is_refused),
		cmocka_unit_test(token_cut_or_extended_is_refused),
		cmocka_unit_test(header_decides_nothing),
		cmocka_unit_test(public_key_as_hmac_secret_is_refused),
		cmocka_unit_test(unsigned_token_is_refused),
		cmocka_unit_test(key_that_is_none_of_ours_is_refused_with_a_reason),
		cmocka_unit_test(public_key_in_der_is_no_secret),
		cmocka_unit_test(final_newline_of_a_secret_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
