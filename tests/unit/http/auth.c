#include "http/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t now_s = 1700000000;

static int make_key(void **state)
{
	char path[] = "/tmp/holdfast-auth.XXXXXX", why[128];
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, "0123456789abcdef0123456789abcdef", 32) != 32)
		return -1;
	close(fd);
	*state = jwt_key_read(path, why, sizeof why);
	unlink(path);
	return *state != NULL ? 0 : -1;
}

static int free_key(void **state)
{
	jwt_key_free(*state);
	return 0;
}

static void make_token(const struct jwt_key *k, bool read_only, struct buf *out)
{
	struct jwt_claims claims = { .expires_s = now_s + 60, .read_only = read_only };

	assert_int_equal(user_id_parse("alice", 5, &claims.user), 0);
	assert_int_equal(jwt_sign(k, &claims, now_s, out), 0);
}

static void assert_refused(struct exchange *x, const char *message)
{
	assert_int_equal(x->response.status, HTTP_UNAUTHORIZED);
	assert_non_null(strstr(x->response.body.data, "\"code\":\"UNAUTHORIZED\""));
	assert_non_null(strstr(x->response.body.data, message));
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
	assert_refused(&x, "expired");
	buf_release(&header);
}

static void anything_else_is_refused_alike(void **state)
{
	const char *const headers[] = { NULL,	      "Bearer",		"Bearer ",  "Bearer a.b.c",
					"Basic eDp5", "Bearer a b c d", "Token abc" };

	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
		struct exchange x = { .request.authorization = headers[i],
				      .request.remote_user = "mallory" };
		assert_false(auth_by_token(*state, now_s, &x));
		assert_refused(&x, "token is");
	}
}

static void remote_user_must_be_an_id(void **state)
{
	(void)state;
	const char *const names[] = { NULL, "", "../alice", ".x", "a b", "a/b" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct exchange x = { .request.remote_user = names[i] };
		assert_false(auth_by_remote_user(&x));
		assert_refused(&x, "no user");
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
		cmocka_unit_test(anything_else_is_refused_alike),
		cmocka_unit_test(remote_user_must_be_an_id),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
