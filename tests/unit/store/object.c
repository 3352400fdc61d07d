#include "store/object.h"

#include "store/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* Whose strings may be literals: store_new() only reads them. */
static struct store_config config(void)
{
	static char url[] = "s3://bucket/prefix", endpoint[] = "https://h.example.com";
	static char region[] = "auto", access[] = "access", secret[] = "sesame";

	return (struct store_config){
		.url = url,
		.endpoint = endpoint,
		.region = region,
		.access_key = access,
		.secret_key = secret,
		.limits = { 1000, 1000, 4 },
	};
}

/* NULL, or what is said against `c`. */
static const char *complaint(const struct store_config *c)
{
	static char why[256];

	(void)snprintf(why, sizeof why, "%s", "");
	struct store *s = store_new(c, why, sizeof why);
	store_free(s);
	if (s == NULL)
		assert_true(strlen(why) > 10);
	return s == NULL ? why : NULL;
}

struct row {
	const char *text;
	const char *complaint; /* a part of it; NULL: none */
};

static void assert_row(const struct row *row, const char *got)
{
	if (row->complaint == NULL && got != NULL)
		fail_msg("%s: %s", row->text, got);
	if (row->complaint != NULL && (got == NULL || strstr(got, row->complaint) == NULL))
		fail_msg("%s: got '%s', want '%s'", row->text, got, row->complaint);
}

static void url_names_a_bucket_or_a_folder(void **state)
{
	static const struct row rows[] = {
		{ "s3://bucket/prefix", NULL },
		{ "s3://bucket", NULL },
		{ "s3://bucket/", NULL },
		{ "s3://bucket/a/b/c/", NULL },
		{ "s3://my-bucket.1/A_~@+=,-.z", NULL },
		{ "", "no store" },
		{ "bucket", "must be s3://" },
		{ "http://bucket/", "must be s3://" },
		{ "S3://bucket/", "must be s3://" },
		{ "s3:bucket", "must be s3://" },
		{ "s3://", "the bucket" },
		{ "s3:///prefix", "the bucket" },
		{ "s3://ab/x", "the bucket" },
		{ "s3://Bucket/x", "the bucket" },
		{ "s3://user@bucket/x", "the bucket" },
		{ "s3://bucket?x", "the bucket" },
		{ "s3://a234567890123456789012345678901234567890123456789012345678901234",
		  "the bucket" },
		{ "s3://bucket//x", "empty, '.' or '..'" },
		{ "s3://bucket/a//b", "empty, '.' or '..'" },
		{ "s3://bucket/a/../b", "empty, '.' or '..'" },
		{ "s3://bucket/.", "empty, '.' or '..'" },
		{ "s3://bucket/a//", "empty, '.' or '..'" },
		{ "s3://bucket/a?b", "letters, digits" },
		{ "s3://bucket/a b", "letters, digits" },
		{ "s3://bucket/a%2fb", "letters, digits" },
		{ "s3://bucket/\xc3\xa9", "letters, digits" },
		{ "file:", "absolute path" },
		{ "file:/", "absolute path" },
		{ "file:x", "absolute path" },
		{ "file://host/x", "absolute path" },
		{ "file:/dev/null", "cannot be used" },
		{ "file:/proc/none/x", "cannot be used" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct store_config c = config();

		c.url = strdup(rows[i].text);
		assert_row(&rows[i], complaint(&c));
		free(c.url);
	}
	struct store_config none = config();
	none.url = NULL;
	assert_non_null(complaint(&none));
}

static void folder_may_be_written_in_two_ways(void **state)
{
	char url[64], path[] = "/tmp/holdfast-object-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(path));
	for (int i = 0; i < 2; i++) {
		struct store_config c = { .url = url };

		(void)snprintf(url, sizeof url, "file:%s%s", i == 0 ? "" : "//", path);
		assert_null(complaint(&c));
	}
	assert_int_equal(rmdir(path), 0);
}

static void endpoint_is_https_or_on_this_machine(void **state)
{
	static const struct row rows[] = {
		{ "https://id.r2.cloudflarestorage.com", NULL },
		{ "https://id.r2.cloudflarestorage.com/", NULL },
		{ "HTTPS://ID.example.com:8443/path/to/s3", NULL },
		{ "http://127.0.0.1:8787/cdn-cgi/local/r2/s3", NULL },
		{ "http://127.255.0.9/", NULL },
		{ "http://localhost:1", NULL },
		{ "http://[::1]:1", NULL },
		{ "http://LOCALHOST", NULL },
		{ "http://example.com", "must be https" },
		{ "http://128.0.0.1", "must be https" },
		{ "http://10.0.0.1", "must be https" },
		{ "http://127.0.0.1.example.com", "must be https" },
		{ "http://localhost.example.com", "must be https" },
		{ "http://[::2]", "must be https" },
		{ "http://[::ffff:10.0.0.1]", "must be https" },
		{ "http://127.0.0.1@example.com", "without user" },
		{ "https://key:secret@example.com", "without user" },
		{ "https://example.com/?x=y", "without user" },
		{ "https://example.com/#x", "without user" },
		{ "https://[fe80::1%25eth0]/", "without user" },
		{ "ftp://example.com", "not an http(s) address" },
		{ "file:///etc/passwd", "not an http(s) address" },
		{ "example.com", "not an http(s) address" },
		{ "https://", "not an http(s) address" },
		{ "https://exa mple.com", "not an http(s) address" },
		{ "https://example.com:99999", "not an http(s) address" },
		{ "", "needs an endpoint" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct store_config c = config();

		c.endpoint = strdup(rows[i].text);
		const char *got = complaint(&c);
		assert_row(&rows[i], got);
		if (got != NULL)
			assert_null(strstr(got, "secret"));
		free(c.endpoint);
	}
}

static void credentials_and_limits_are_needed(void **state)
{
	char empty[] = "", odd[] = "a b", line[] = "a\nb";
	struct store_config rows[] = {
		config(), config(), config(), config(), config(),
		config(), config(), config(), config(), config(),
	};

	(void)state;
	rows[0].endpoint = NULL;
	rows[1].region = NULL;
	rows[2].region = empty;
	rows[3].access_key = NULL;
	rows[4].access_key = odd;
	rows[5].access_key = line;
	rows[6].secret_key = NULL;
	rows[7].secret_key = empty;
	rows[8].limits.connect_ms = 0;
	rows[9].limits.max_transfers = 0;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *got = complaint(&rows[i]);
		assert_non_null(got);
		assert_non_null(strstr(got, "s3://"));
		assert_null(strstr(got, "sesame"));
	}
}

static void every_error_has_a_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < ERROR_COUNT; i++) {
		assert_non_null(object_error_name[i]);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(object_error_name[i], object_error_name[j]);
	}
}

static void listing_grows_and_ends(void **state)
{
	struct object_listing l = { 0 };

	(void)state;
	for (size_t i = 0; i < 100000; i++) {
		struct object_entry *e = object_listing_add(&l);
		assert_non_null(e);
		assert_int_equal(e->size, 0);
		e->size = i + 1;
	}
	for (size_t i = 0; i < l.count; i++)
		assert_int_equal(l.entries[i].size, i + 1);
	l.count = OBJECT_LIST_MAX;
	assert_null(object_listing_add(&l));
	object_listing_release(&l);
	assert_null(l.entries);
	assert_int_equal(l.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(url_names_a_bucket_or_a_folder),
		cmocka_unit_test(folder_may_be_written_in_two_ways),
		cmocka_unit_test(endpoint_is_https_or_on_this_machine),
		cmocka_unit_test(credentials_and_limits_are_needed),
		cmocka_unit_test(every_error_has_a_name),
		cmocka_unit_test(listing_grows_and_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
