#include "http/jwt.h"

#include "http/jws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "jose.h"

static const char secret[] = "0123456789abcdef0123456789abcdef";
static const int64_t now_s = 1700000000;

static int make_rules(void **state)
{
	static struct jwks set;
	static struct jwt_rules rules = { .keys = &set, .leeway_s = 30 };

	add_key(&set, secret);
	*state = &rules;
	return 0;
}

static int free_rules(void **state)
{
	struct jwt_rules *rules = *state;

	jwk_free(rules->keys->keys[0]);
	return 0;
}

/* What the key's holder could have signed, whatever it is. */
static void sign_payload(const struct jwt_rules *rules, const char *payload, struct buf *out)
{
	assert_int_equal(jws_sign(rules->keys->keys[0], payload, strlen(payload), out), 0);
}

static enum jwt_result verify_payload(const struct jwt_rules *rules, const char *payload)
{
	struct jwt_claims claims;
	struct buf token = BUF_INIT;

	sign_payload(rules, payload, &token);
	enum jwt_result result = jwt_verify(rules, token.data, token.len, now_s, &claims);
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

	sign_payload(*state, "{\"sub\":\"alice\",\"exp\":1800000000,\"a\":\"ro\"}", &token);
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
		sign_payload(*state, payload, &token);
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

static void clocks_may_be_off_by_the_leeway(void **state)
{
	static const struct {
		int64_t leeway_s;
		const char *payload;
		enum jwt_result want;
	} cases[] = {
		{ 0, "{\"sub\":\"alice\",\"exp\":1700000001,\"nbf\":1700000000}", JWT_OK },
		{ 0, "{\"sub\":\"alice\",\"exp\":1700000000}", JWT_EXPIRED },
		{ 0, "{\"sub\":\"alice\",\"exp\":1800000000,\"nbf\":1700000001}", JWT_INVALID },
		{ 300, "{\"sub\":\"alice\",\"exp\":1699999701}", JWT_OK },
		{ 300, "{\"sub\":\"alice\",\"exp\":1699999700}", JWT_EXPIRED },
		{ 300, "{\"sub\":\"alice\",\"exp\":1800000000,\"nbf\":1700000300}", JWT_OK },
		{ 300, "{\"sub\":\"alice\",\"exp\":1800000000,\"nbf\":1700000301}", JWT_INVALID },
	};
	struct jwt_rules rules = *(struct jwt_rules *)*state;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		rules.leeway_s = cases[i].leeway_s;
		if (verify_payload(&rules, cases[i].payload) != cases[i].want)
			fail_msg("%s: want %d", cases[i].payload, cases[i].want);
	}
}

static void audience_and_issuer_are_compared_where_they_are_configured(void **state)
{
	static const struct {
		const char *aud, *iss; /* of the token, as JSON */
		enum jwt_result want;
	} cases[] = {
		{ "\"db\"", "\"https://id/\"", JWT_OK },
		{ "[\"db\"]", "\"https://id/\"", JWT_OK },
		{ "[\"web\",7,\"db\"]", "\"https://id/\"", JWT_OK },
		{ "[]", "\"https://id/\"", JWT_INVALID },
		{ "[\"web\",\"dbx\",\"d\"]", "\"https://id/\"", JWT_INVALID },
		{ "[[\"db\"]]", "\"https://id/\"", JWT_INVALID },
		{ "{\"db\":\"db\"}", "\"https://id/\"", JWT_INVALID },
		{ "\"DB\"", "\"https://id/\"", JWT_INVALID },
		{ "\"db\\u0000\"", "\"https://id/\"", JWT_INVALID },
		{ "null", "\"https://id/\"", JWT_INVALID },
		{ "\"db\"", "\"https://id\"", JWT_INVALID },
		{ "\"db\"", "[\"https://id/\"]", JWT_INVALID },
		{ "\"db\"", "null", JWT_INVALID },
	};
	const struct jwt_rules *any = *state;
	struct jwt_rules rules = *any;
	char payload[256];

	rules.audience = "db";
	rules.issuer = "https://id/";
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		(void)snprintf(payload, sizeof payload,
			       "{\"sub\":\"alice\",\"exp\":1800000000,\"aud\":%s,\"iss\":%s}",
			       cases[i].aud, cases[i].iss);
		if (verify_payload(&rules, payload) != cases[i].want)
			fail_msg("%s: want %d", payload, cases[i].want);
		assert_int_equal(verify_payload(any, payload), JWT_OK);
	}
	assert_int_equal(verify_payload(&rules, "{\"sub\":\"alice\",\"exp\":1800000000}"),
			 JWT_INVALID);
	/* Expired, and not even for us. */
	assert_int_equal(verify_payload(&rules, "{\"sub\":\"alice\",\"exp\":1,\"aud\":\"web\"}"),
			 JWT_INVALID);
}

static void own_token_meets_the_rules(void **state)
{
	struct jwt_rules rules = *(struct jwt_rules *)*state;
	struct jwt_claims claims = { .expires_s = now_s + 60 };
	struct buf token = BUF_INIT;

	rules.audience = "db";
	rules.issuer = "https://id/";
	assert_int_equal(user_id_parse("alice", 5, &claims.user), 0);
	assert_int_equal(jwt_sign(&rules, &claims, now_s, &token), 0);
	assert_int_equal(jwt_verify(&rules, token.data, token.len, now_s, &claims), JWT_OK);
	buf_release(&token);
}

static void first_key_that_can_sign_signs(void **state)
{
	(void)state;
	struct jwks set = { .count = 0 };
	struct jwt_rules rules = { .keys = &set };
	struct jwt_claims claims = { .expires_s = now_s + 60 };
	struct buf token = BUF_INIT;

	add_key(&set, rfc_ec);
	assert_int_equal(user_id_parse("alice", 5, &claims.user), 0);
	assert_int_equal(jwt_sign(&rules, &claims, now_s, &token), -1);
	add_key(&set, ed25519_private);
	add_key(&set, secret);
	assert_int_equal(jwt_sign(&rules, &claims, now_s, &token), 0);
	jwk_free(set.keys[2]);
	set.count = 2;
	assert_int_equal(jwt_verify(&rules, token.data, token.len, now_s, &claims), JWT_OK);
	free_keys(&set);
	buf_release(&token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signed_claims_come_back),
		cmocka_unit_test(claims_are_judged),
		cmocka_unit_test(read_only_is_told),
		cmocka_unit_test(token_beyond_the_limit_is_refused),
		cmocka_unit_test(clocks_may_be_off_by_the_leeway),
		cmocka_unit_test(audience_and_issuer_are_compared_where_they_are_configured),
		cmocka_unit_test(own_token_meets_the_rules),
		cmocka_unit_test(first_key_that_can_sign_signs),
	};

	return cmocka_run_group_tests(tests, make_rules, free_rules);
}
