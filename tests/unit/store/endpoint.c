#include "store/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void address_is_taken_apart(void **state)
{
	static const struct {
		const char *address, *host, *origin, *path;
	} rows[] = {
		{ "https://a.example", "a.example", "https://a.example", "" },
		{ "https://A.Example/", "a.example", "https://a.example", "" },
		{ "https://a.example:443", "a.example", "https://a.example", "" },
		{ "https://a.example:8443", "a.example:8443", "https://a.example:8443", "" },
		{ "https://a.example/x%20y//", "a.example", "https://a.example", "/x y" },
		{ "http://127.0.0.2:9000", "127.0.0.2:9000", "http://127.0.0.2:9000", "" },
		{ "http://localhost:80/x", "localhost", "http://localhost", "/x" },
		{ "http://[::1]:9000", "[::1]:9000", "http://[::1]:9000", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct endpoint e = ENDPOINT_INIT;
		const char *wrong = endpoint_init(&e, rows[i].address);

		if (wrong != NULL)
			fail_msg("%s: %s", rows[i].address, wrong);
		assert_string_equal(e.host, rows[i].host);
		assert_string_equal(e.origin, rows[i].origin);
		assert_string_equal(e.path, rows[i].path);
		endpoint_release(&e);
	}
}

static void address_that_cannot_be_one_is_refused(void **state)
{
	static const struct {
		const char *address, *wrong;
	} rows[] = {
		{ "", "is not an http(s) address" },
		{ "a.example", "is not an http(s) address" },
		{ "https://", "is not an http(s) address" },
		{ "ftp://a.example", "is not an http(s) address" },
		{ "https://b\xc3\xbc"
		  "cher.example",
		  "is not an http(s) address" },
		{ "https://a%2533.example", "is not an http(s) address" },
		{ "https://a!b.example", "is not an http(s) address" },
		{ "https://secret@a.example", "without user" },
		{ "https://u:secret@a.example", "without user" },
		{ "https://a.example/?x=secret", "without user" },
		{ "https://a.example/#secret", "without user" },
		{ "https://[fe80::1%25eth0]", "without user" },
		{ "http://a.example", "must be https" },
		{ "http://128.0.0.1", "must be https" },
		{ "http://localhost.example", "must be https" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct endpoint e = ENDPOINT_INIT;
		const char *wrong = endpoint_init(&e, rows[i].address);

		if (wrong == NULL)
			fail_msg("%s: taken", rows[i].address);
		if (strstr(wrong, rows[i].wrong) == NULL || strstr(wrong, "secret") != NULL)
			fail_msg("%s: got '%s', want '%s'", rows[i].address, wrong, rows[i].wrong);
		assert_null(e.host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_is_taken_apart),
		cmocka_unit_test(address_that_cannot_be_one_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
