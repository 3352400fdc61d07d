#include "http/exchange.h"

#include "base/json_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct json_doc *parse(const struct buf *body)
{
	const struct json_limits limits = { .max_len = 65536, .max_depth = 4, .max_values = 16 };
	char why[128] = "";
	struct json_doc *doc = json_parse(body->data, body->len, &limits, why, sizeof why);

	assert_string_equal(why, "");
	assert_non_null(doc);
	return doc;
}

static void error_has_the_members_that_clients_read(void **state)
{
	(void)state;
	struct exchange x = { 0 };

	exchange_error(&x, HTTP_CONFLICT, "SYNC_CONFLICT", "txid %d of \"%s\"", 7, "a\nb");
	struct json_doc *doc = parse(&x.response.body);
	const struct json *root = json_root(doc);
	assert_int_equal(x.response.status, HTTP_CONFLICT);
	assert_string_equal(x.response.content_type, "application/json");
	assert_int_equal(root->len, 3);
	assert_true(json_text_is(json_get(root, "code"), "SYNC_CONFLICT"));
	assert_true(json_text_is(json_get(root, "message"), "txid 7 of \"a\nb\""));
	assert_true(json_text_is(json_get(root, "error"), "txid 7 of \"a\nb\""));
	json_free(doc);
	buf_release(&x.response.body);
}

static void error_replaces_what_was_written_before(void **state)
{
	(void)state;
	struct exchange x = { .response = { .content_type = "text/plain" } };

	buf_add_text(&x.response.body, "half of an answer");
	exchange_error(&x, HTTP_INTERNAL_ERROR, "INTERNAL", "no");
	assert_string_equal(x.response.body.data,
			    "{\"message\":\"no\",\"code\":\"INTERNAL\",\"error\":\"no\"}");
	assert_string_equal(x.response.content_type, "application/json");
	buf_release(&x.response.body);
}

static void long_message_is_cut_and_stays_json(void **state)
{
	(void)state;
	struct exchange x = { 0 };

	exchange_error(&x, HTTP_BAD_REQUEST, "BAD_REQUEST", "%05000d", 0);
	struct json_doc *doc = parse(&x.response.body);
	const struct json *message = json_get(json_root(doc), "message");
	assert_true(json_is(message, JSON_STRING));
	assert_true(message->len > 100 && message->len < 5000);
	json_free(doc);
	buf_release(&x.response.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_has_the_members_that_clients_read),
		cmocka_unit_test(error_replaces_what_was_written_before),
		cmocka_unit_test(long_message_is_cut_and_stays_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
