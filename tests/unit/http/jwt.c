#include "http/jwt.h"

#include "http/jws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char secret[] = "0123456789abcdef0123456789abcdef\n";
static const int64_t now_s = 1700000000;

static struct jwt_key *read_key(const char *text, size_t len, char *why, size_t why_size)
{
	char path[] = "/tmp/holdfast-jwt.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
	struct jwt_key *k = jwt_key_read(path, why, why_size);
	unlink(path);
	return k;
}

static int make_key(void **state)
{
	char why[128];

	*state = read_key(secret, strlen(secret), why, sizeof why);
	return *state != NULL ? 0 : -1;
}

static int free_key(void **state)
{
	jwt_key_free(*state);
	return 0;
}

/* What the key's holder could have signed, whatever it is. */
static void sign_payload(const char *payload, struct buf *out)
{
	char why[128];
	struct jws_key *k = jws_key_parse(secret, strlen(secret), why, sizeof why);

	assert_non_null(k);
	assert_int_equal(jws_sign(k, payload, strlen(payload), out), 0);
	jws_key_free(k);
}

static enum jwt_result verify_payload(const struct jwt_key *k, const char *payload)
{
	struct jwt_claims claims;
	struct buf token = BUF_INIT;

	sign_payload(payload, &token);
	enum jwt_result result = jwt_verify(k, token.data, token.len, now_s, &claims);
	buf_release(&token);
	return result;
}

static void signed_claims_come_back(void **state)
{
	for (int read_only = 0; read_only < 2; read_only++) {
		struct jwt_claims in = { .read_only = read_only, .expires_s = now_s + 60 };
		struct jwt_claims out = { .read_only = !read_only };
		struct buf token = BUF_INIT;
		assert_int_equal(user_id_parse("alice", 5, &in.user), 0);
		assert_int_equal(jwt_sign(*state, &in, now_s, &token), 0);
		assert_int_equal(jwt_verify(*state, token.data, token.len, now_s, &out), JWT_OK);
		assert_string_equal(out.user.text, "alice");
		assert_int_equal(out.read_only, read_only);
		assert_int_equal(out.expires_s, now_s + 60);
		buf_release(&token);
	}
}

static void claims_are_judged(void **state)
{
	static const struct {
		const char *payload;
		enum jwt_result want;
	} cases[] = {
		{ "{\"sub\":\"alice\",\"exp\":1700000001}", JWT_OK },
		{ "{\"sub\":\"alice\",\"exp\":1700000001.5}", JWT_OK },
		{ "{\"sub\":\"alice\",\"exp\":1.7000001e9}", JWT_OK },
		{ "{\"sub\":\"alice\",\"exp\":1700000001,\"nbf\":1700000000}", JWT_OK },
		{ "{\"sub\":\"alice\",\"exp\":1700000001,\"a\":\"ro\"}", JWT_OK },
		{ "{\"sub\":\"alice\",\"exp\":1700000001,\"more\":[1,{\"x\":null}]}", JWT_OK },
		/* 30 seconds of skew, and no more. */
		{ "{\"sub\":\"alice\",\"exp\":1699999971}", JWT_OK },
		{ "{\"sub\":\"alice\",\"exp\":1699999970}", JWT_EXPIRED },
		{ "{\"sub\":\"alice\",\"exp\":1699999970.9}", JWT_EXPIRED },
		{ "{\"sub\":\"alice\",\"exp\":0}", JWT_EXPIRED },
		{ "{\"sub\":\"alice\",\"exp\":-1}", JWT_EXPIRED },
		{ "{\"sub\":\"alice\",\"exp\":1800000000,\"nbf\":1700000030}", JWT_OK },
		{ "{\"sub\":\"alice\",\"exp\":1800000000,\"nbf\":1700000031}", JWT_INVALID },
		{ "{\"sub\":\"alice\",\"exp\":1800000000,\"nbf\":\"1\"}", JWT_INVALID },
		{ "{\"sub\":\"alice\",\"exp\":1800000000,\"nbf\":null}", JWT_INVALID },
		{ "{\"sub\":\"alice\"}", JWT_INVALID },
		{ "{\"sub\":\"alice\",\"exp\":null}", JWT_INVALID },
		{ "{\"sub\":\"alice\",\"exp\":\"1800000000\"}", JWT_INVALID },
		{ "{\"sub\":\"alice\",\"exp\":true}", JWT_INVALID },
		{ "{\"sub\":\"alice\",\"exp\":1e300}", JWT_INVALID },
		{ "{\"sub\":\"alice\",\"exp\":-1e300}", JWT_INVALID },
		{ "{\"exp\":1800000000}", JWT_INVALID },
		{ "{\"sub\":\"\",\"exp\":1800000000}", JWT_INVALID },
		{ "{\"sub\":7,\"exp\":1800000000}", JWT_INVALID },
		{ "{\"sub\":\"../alice\",\"exp\":1800000000}", JWT_INVALID },
		{ "{\"sub\":\".alice\",\"exp\":1800000000}", JWT_INVALID },
		{ "{\"sub\":\"alice\\u0000\",\"exp\":1800000000}", JWT_INVALID },
		{ "{\"sub\":[\"alice\"],\"exp\":1800000000}", JWT_INVALID },
		{ "{\"sub\":\"alice\",\"exp\":1800000000,\"a\":\"rw\"}", JWT_INVALID },
		{ "{\"sub\":\"alice\",\"exp\":1800000000,\"a\":null}", JWT_INVALID },
		{ "{\"sub\":\"alice\",\"exp\":1800000000,\"a\":[\"ro\"]}", JWT_INVALID },
		/* Expired and wrong is wrong. */
		{ "{\"sub\":\"..\",\"exp\":1}", JWT_INVALID },
		{ "[]", JWT_INVALID },
		{ "null", JWT_INVALID },
		{ "{", JWT_INVALID },
		{ "", JWT_INVALID },
		{ "[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]", JWT_INVALID },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum jwt_result got = verify_payload(*state, cases[i].payload);
		if (got != cases[i].want)
			fail_msg("%s: got %d, want %d", cases[i].payload, got, cases[i].want);
	}
}

static void read_only_is_told(void **state)
{
	struct jwt_claims claims = { .read_only = false };
	struct buf token = BUF_INIT;

	sign_payload("{\"sub\":\"alice\",\"exp\":1800000000,\"a\":\"ro\"}", &token);
	assert_int_equal(jwt_verify(*state, token.data, token.len, now_s, &claims), JWT_OK);
	assert_true(claims.read_only);
	buf_release(&token);
}

static void token_beyond_the_limit_is_refused(void **state)
{
	char payload[8192];
	int fitting = 0, too_long = 0;

	for (int fill = 5900; fill < 6300; fill += 10) {
		struct buf token = BUF_INIT;
		struct jwt_claims claims;
		int len =
			snprintf(payload, sizeof payload,
				 "{\"sub\":\"alice\",\"exp\":1800000000,\"x\":\"%0*d\"}", fill, 0);
		assert_true(len > 0 && (size_t)len < sizeof payload);
		sign_payload(payload, &token);
		bool fits = token.len <= JWT_TOKEN_MAX;
		assert_int_equal(jwt_verify(*state, token.data, token.len, now_s, &claims),
				 fits ? JWT_OK : JWT_INVALID);
		fitting += fits;
		too_long += !fits;
		buf_release(&token);
	}
	assert_true(fitting > 0);
	assert_true(too_long > 0);
}

static void key_file_is_checked(void **state)
{
	(void)state;
	static char big[70000];
	char why[128] = "";

	assert_null(jwt_key_read("/nonexistent/key", why, sizeof why));
	assert_string_equal(why, "there is no such file");
	assert_null(read_key("short\n", 6, why, sizeof why));
	assert_non_null(strstr(why, "shorter than 32"));
	assert_null(read_key("", 0, why, sizeof why));
	assert_non_null(strstr(why, "shorter than 32"));
	memset(big, 'x', sizeof big);
	assert_null(read_key(big, sizeof big, why, sizeof why));
	assert_string_equal(why, "the file is too long to be a key");
}

static void secret_may_hold_any_byte(void **state)
{
	(void)state;
	char bytes[48], why[128] = "";
	struct jwt_claims claims = { .expires_s = now_s };
	struct buf token = BUF_INIT;

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 37);
	assert_int_equal(user_id_parse("bob", 3, &claims.user), 0);
	struct jwt_key *k = read_key(bytes, sizeof bytes, why, sizeof why);
	assert_non_null(k);
	assert_int_equal(jwt_sign(k, &claims, now_s, &token), 0);
	assert_int_equal(jwt_verify(k, token.data, token.len, now_s, &claims), JWT_OK);
	jwt_key_free(k);
	buf_release(&token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signed_claims_come_back),
		cmocka_unit_test(claims_are_judged),
		cmocka_unit_test(read_only_is_told),
		cmocka_unit_test(token_beyond_the_limit_is_refused),
		cmocka_unit_test(key_file_is_checked),
		cmocka_unit_test(secret_may_hold_any_byte),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
