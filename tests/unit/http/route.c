#include "http/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void user_routes_have_their_handlers(void **state)
{
	(void)state;
	static const struct {
		const char *method;
		const char *path;
		route_handler *want;
	} cases[] = {
		{ "POST", "/v2/pipeline", serve_pipeline },
		{ "POST", "/v3/pipeline", serve_pipeline },
		{ "POST", "/v3/cursor", serve_cursor },
		{ "POST", "/v1/execute", serve_execute },
		{ "POST", "/v1/batch", serve_batch },
		{ "GET", "/v1/sync", serve_sync_get },
		{ "HEAD", "/v1/sync", serve_sync_get },
		{ "POST", "/v1/sync", serve_sync_post },
		{ "GET", "/v1/export", serve_export },
		{ "HEAD", "/v1/export", serve_export },
		{ "PUT", "/v1/import", serve_import },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct route r = route_find(cases[i].method, cases[i].path);
		assert_true(r.handler == cases[i].want);
		assert_true(r.needs_user);
		assert_string_equal(r.path, cases[i].path);
		assert_int_equal(r.takes_file, cases[i].want == serve_import);
	}
}

/* What a route answers that touches nothing but the exchange. */
static void answer(const char *method, const char *path, struct route *route, struct exchange *x)
{
	struct service s = { 0 };

	*x = (struct exchange){ .response = { .status = HTTP_OK,
					      .content_type = "application/json" } };
	*route = route_find(method, path);
	assert_int_equal(route->handler(&s, x), SERVE_DONE);
}

static void other_requests_are_answered_by_the_router(void **state)
{
	(void)state;
	static const struct {
		const char *method;
		const char *path;
		const char *label;
		bool needs_user;
		enum http_status status;
		const char *allow;
	} cases[] = {
		{ "GET", "/healthz", "/healthz", false, HTTP_OK, "GET, HEAD, OPTIONS" },
		{ "HEAD", "/healthz", "/healthz", false, HTTP_OK, "GET, HEAD, OPTIONS" },
		{ "POST", "/metrics", "/metrics", false, HTTP_METHOD_NOT_ALLOWED,
		  "GET, HEAD, OPTIONS" },
		{ "POST", "/readyz", "/readyz", false, HTTP_METHOD_NOT_ALLOWED,
		  "GET, HEAD, OPTIONS" },
		{ "GET", "/v2", "/v2", false, HTTP_OK, "GET, HEAD, OPTIONS" },
		{ "GET", "/v3", "/v3", false, HTTP_OK, "GET, HEAD, OPTIONS" },
		{ "POST", "/v3", "/v3", false, HTTP_METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS" },
		{ "GET", "/v2/pipeline", "/v2/pipeline", true, HTTP_METHOD_NOT_ALLOWED,
		  "POST, OPTIONS" },
		{ "DELETE", "/v1/sync", "/v1/sync", true, HTTP_METHOD_NOT_ALLOWED,
		  "GET, HEAD, POST, OPTIONS" },
		{ "get", "/healthz", "/healthz", false, HTTP_METHOD_NOT_ALLOWED,
		  "GET, HEAD, OPTIONS" },
		{ "", "/healthz", "/healthz", false, HTTP_METHOD_NOT_ALLOWED,
		  "GET, HEAD, OPTIONS" },
		{ "OPTIONS", "/v2/pipeline", "/v2/pipeline", false, HTTP_NO_CONTENT,
		  "POST, OPTIONS" },
		{ "POST", "/v1/import", "/v1/import", true, HTTP_METHOD_NOT_ALLOWED,
		  "PUT, OPTIONS" },
		{ "PUT", "/v1/execute", "/v1/execute", true, HTTP_METHOD_NOT_ALLOWED,
		  "POST, OPTIONS" },
		{ "OPTIONS", "/v1/import", "/v1/import", false, HTTP_NO_CONTENT, "PUT, OPTIONS" },
		{ "GET", "/", "other", true, HTTP_NOT_FOUND, NULL },
		{ "GET", "", "other", true, HTTP_NOT_FOUND, NULL },
		{ "GET", "/v2/", "other", true, HTTP_NOT_FOUND, NULL },
		{ "POST", "/v2/pipeline/", "other", true, HTTP_NOT_FOUND, NULL },
		{ "POST", "/v2/pipelines", "other", true, HTTP_NOT_FOUND, NULL },
		{ "POST", "/v3-protobufx", "other", true, HTTP_NOT_FOUND, NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct exchange x;
		struct route r;
		answer(cases[i].method, cases[i].path, &r, &x);
		if (x.response.status != cases[i].status || r.needs_user != cases[i].needs_user)
			fail_msg("%s %s: got %d", cases[i].method, cases[i].path,
				 (int)x.response.status);
		assert_string_equal(r.path, cases[i].label);
		if (cases[i].allow == NULL)
			assert_null(r.allow);
		else
			assert_string_equal(r.allow, cases[i].allow);
		assert_int_equal(x.response.body.len == 0, x.response.status == HTTP_NO_CONTENT);
		buf_release(&x.response.body);
	}
}

static void protobuf_is_refused_before_authentication(void **state)
{
	(void)state;
	const char *const paths[] = { "/v3-protobuf", "/v3-protobuf/", "/v3-protobuf/pipeline" };
	const char *const methods[] = { "GET", "POST", "HEAD" };

	for (size_t i = 0; i < 9; i++) {
		struct exchange x;
		struct route r;
		answer(methods[i / 3], paths[i % 3], &r, &x);
		assert_int_equal(x.response.status, HTTP_NOT_FOUND);
		assert_false(r.needs_user);
		assert_non_null(strstr(x.response.body.data, "\"code\":\"NOT_FOUND\""));
		buf_release(&x.response.body);
	}
}

static void health_is_json(void **state)
{
	(void)state;
	struct exchange x;
	struct route r;

	answer("GET", "/healthz", &r, &x);
	assert_string_equal(x.response.body.data, "{\"status\":\"ok\"}");
	buf_release(&x.response.body);
}

static void method_of_a_stranger_is_not_logged(void **state)
{
	(void)state;
	assert_string_equal(route_method_name("POST"), "POST");
	assert_string_equal(route_method_name("x status=200"), "other");
	assert_string_equal(route_method_name(""), "other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(user_routes_have_their_handlers),
		cmocka_unit_test(other_requests_are_answered_by_the_router),
		cmocka_unit_test(protobuf_is_refused_before_authentication),
		cmocka_unit_test(health_is_json),
		cmocka_unit_test(method_of_a_stranger_is_not_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
