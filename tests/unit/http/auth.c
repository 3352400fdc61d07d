#include "http/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jose.h"

static const int64_t now_s = 1700000000;

static int make_rules(void **state)
{
	static struct jwks set;
	static struct jwt_rules rules = { .keys = &set, .leeway_s = 30 };

	add_key(&set, "0123456789abcdef0123456789abcdef");
	*state = &rules;
	return 0;
}

static int free_rules(void **state)
{
	struct jwt_rules *rules = *state;

	jwk_free(rules->keys->keys[0]);
	return 0;
}

static void make_token(const struct jwt_rules *rules, bool read_only, struct buf *out)
{
	struct jwt_claims claims = { .expires_s = now_s + 60, .read_only = read_only };

	assert_int_equal(user_id_parse("alice", 5, &claims.user), 0);
	assert_int_equal(jwt_sign(rules, &claims, now_s, out), 0);
}

/* The whole answer: nothing in it says more. */
static void assert_refused(struct exchange *x, const char *code, const char *message)
{
	char body[256];

	(void)snprintf(body, sizeof body, "{\"message\":\"%s\",\"code\":\"%s\",\"error\":\"%s\"}",
		       message, code, message);
	assert_int_equal(x->response.status, HTTP_UNAUTHORIZED);
	assert_string_equal(x->response.body.data, body);
	assert_string_equal(x->response.challenge, strcmp(code, "UNAUTHORIZED") == 0
							   ? "Bearer"
							   : "Bearer error=\"invalid_token\"");
	assert_string_equal(x->user.text, "");
	buf_release(&x->response.body);
}

static void token_names_the_user_whatever_the_case_of_the_scheme(void **state)
{
	const char *const schemes[] = { "Bearer ", "bearer ", "BEARER ", "Bearer   " };

	for (size_t i = 0; i < 8; i++) {
		struct exchange x = { 0 };
		struct buf header = BUF_INIT;
		buf_add_text(&header, schemes[i % 4]);
		make_token(*state, i >= 4, &header);
		x.request.authorization = header.data;
		assert_true(auth_by_token(*state, now_s, &x));
		assert_string_equal(x.user.text, "alice");
		assert_int_equal(x.read_only, i >= 4);
		buf_release(&header);
	}
}

static void token_that_has_expired_is_said_to_be(void **state)
{
	struct exchange x = { 0 };
	struct buf header = BUF_INIT;

	buf_add_text(&header, "Bearer ");
	make_token(*state, false, &header);
	x.request.authorization = header.data;
	assert_false(auth_by_token(*state, now_s + 3600, &x));
	assert_refused(&x, "TOKEN_EXPIRED", "the token has expired");
	buf_release(&header);
}

static void without_a_token_one_is_asked_for(void **state)
{
	const char *const headers[] = { NULL, "Bearer", "Basic eDp5", "Token abc" };

	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
		struct exchange x = { .request.authorization = headers[i],
				      .request.remote_user = "mallory" };
		assert_false(auth_by_token(*state, now_s, &x));
		assert_refused(&x, "UNAUTHORIZED", "a bearer token is required");
	}
}

static void every_other_token_is_refused_alike(void **state)
{
	const char *const headers[] = { "Bearer ", "Bearer a.b.c", "Bearer a b c d",
					"Bearer eyJhbGciOiJub25lIn0.e30.",
					"Bearer eyJhbGciOiJSUzI1NiJ9.e30.AAAA" };

	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
		struct exchange x = { .request.authorization = headers[i],
				      .request.remote_user = "mallory" };
		assert_false(auth_by_token(*state, now_s, &x));
		assert_refused(&x, "TOKEN_INVALID", "the token is not valid");
	}
}

static void remote_user_must_be_an_id(void **state)
{
	(void)state;
	const char *const names[] = { NULL, "", "../alice", ".x", "a b", "a/b" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct exchange x = { .request.remote_user = names[i] };
		assert_false(auth_by_remote_user(&x));
		assert_refused(&x, "UNAUTHORIZED", "no user is logged in");
	}
	struct exchange x = { .request.remote_user = "bob@example.org", .read_only = true };
	assert_true(auth_by_remote_user(&x));
	assert_string_equal(x.user.text, "bob@example.org");
	assert_false(x.read_only);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(token_names_the_user_whatever_the_case_of_the_scheme),
		cmocka_unit_test(token_that_has_expired_is_said_to_be),
		cmocka_unit_test(without_a_token_one_is_asked_for),
		cmocka_unit_test(every_other_token_is_refused_alike),
		cmocka_unit_test(remote_user_must_be_an_id),
	};

	return cmocka_run_group_tests(tests, make_rules, free_rules);
}
