#include "store/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const char empty_hash[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const struct sigv4_key short_key = { "key", "secret", "auto" };

static void assert_signed(const struct sigv4_key *key, const struct sigv4_request *r,
			  const char *target, const char *names, const char *signature)
{
	struct sigv4_signature s = SIGV4_SIGNATURE_INIT;
	struct buf want = BUF_INIT;

	assert_int_equal(sigv4_sign(key, r, &s), 0);
	assert_string_equal(s.target.data, target);
	buf_addf(&want,
		 "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/s3/aws4_request,SignedHeaders=%s,"
		 "Signature=%s",
		 key->access, r->date, key->region, names, signature);
	assert_string_equal(s.authorization.data, want.data);
	buf_release(&want);
	sigv4_signature_release(&s);
}

static void example_of_aws_is_signed_as_published(void **state)
{
	const struct sigv4_key key = { "AKIAIOSFODNN7EXAMPLE",
				       "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1" };
	const struct sigv4_pair headers[] = { { "Range", "bytes=0-9" } };
	const struct sigv4_request r = {
		.method = "GET",
		.host = "examplebucket.s3.amazonaws.com",
		.path = "/test.txt",
		.headers = headers,
		.nheaders = 1,
		.date = "20130524T000000Z",
		.payload_hash = empty_hash,
	};

	(void)state;
	assert_signed(&key, &r, "/test.txt", "host;range;x-amz-content-sha256;x-amz-date",
		      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void conditional_put_with_metadata_is_signed(void **state)
{
	/* In another order and case than they are signed in. */
	const struct sigv4_pair headers[] = {
		{ "x-amz-meta-nonce", "  5f0c2b7d9e413a68 " },
		{ "If-None-Match", "*" },
	};
	const struct sigv4_request r = {
		.method = "PUT",
		.host = "127.0.0.1:8787",
		.path = "/cdn-cgi/local/r2/s3/holdfast/u/alice/0000/"
			"0000000000000001-0000000000000001.ltx",
		.headers = headers,
		.nheaders = 2,
		.date = "20260101T000000Z",
		.payload_hash = "cc3009c190ffa91482a2664af2f2aef5814e300f012f0d8ac8cea02d4168e718",
	};

	(void)state;
	assert_signed(&short_key, &r, r.path,
		      "host;if-none-match;x-amz-content-sha256;x-amz-date;x-amz-meta-nonce",
		      "bfdb340086fea6ae2f5bbd9f182c326f94dba0bfbf46fd8854e06a84f58d3ece");
}

static void query_is_encoded_and_sorted(void **state)
{
	const struct sigv4_pair query[] = {
		{ "prefix", "u/alice/" },
		{ "list-type", "2" },
		{ "continuation-token", "a+b/=" },
	};
	const struct sigv4_request r = {
		.method = "GET",
		.host = "127.0.0.1:8787",
		.path = "/cdn-cgi/local/r2/s3/holdfast",
		.query = query,
		.nquery = 3,
		.date = "20260101T000000Z",
		.payload_hash = empty_hash,
	};

	(void)state;
	assert_signed(&short_key, &r,
		      "/cdn-cgi/local/r2/s3/holdfast?continuation-token=a%2Bb%2F%3D&list-type=2&"
		      "prefix=u%2Falice%2F",
		      "host;x-amz-content-sha256;x-amz-date",
		      "99c3072c2e4079877e5c1646d905e7c99e0a3961c3d8b6900108fe78be9c7e16");
}

static void every_odd_byte_of_a_path_is_escaped_in_upper_case(void **state)
{
	struct sigv4_signature s = SIGV4_SIGNATURE_INIT;
	const struct sigv4_request r = {
		.method = "GET",
		.host = "h",
		.path = "/aZ09-._~/ !\"#$%&'()*+,:;<=>?@[\\]^`{|}\x7f\xc3\xa9\n",
		.date = "20260101T000000Z",
		.payload_hash = empty_hash,
	};

	(void)state;
	assert_int_equal(sigv4_sign(&short_key, &r, &s), 0);
	assert_string_equal(s.target.data,
			    "/aZ09-._~/%20%21%22%23%24%25%26%27%28%29%2A%2B%2C%3A%3B%3C%3D%3E%3F"
			    "%40%5B%5C%5D%5E%60%7B%7C%7D%7F%C3%A9%0A");
	sigv4_signature_release(&s);
}

static void header_that_cannot_be_signed_is_refused(void **state)
{
	static const struct sigv4_pair rows[][2] = {
		{ { "range", "a" }, { "Range", "b" } },
		{ { "HOST", "other" }, { "a", "b" } },
		{ { "x-amz-date", "20260101T000000Z" }, { "a", "b" } },
		{ { "range", "a\r\nx: y" }, { "a", "b" } },
		{ { "range", "a\ny" }, { "a", "b" } },
		{ { "ra\nnge", "a" }, { "a", "b" } },
		{ { "range:x", "a" }, { "a", "b" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct sigv4_signature s = SIGV4_SIGNATURE_INIT;
		const struct sigv4_request r = {
			.method = "GET",
			.host = "h",
			.path = "/",
			.headers = rows[i],
			.nheaders = 2,
			.date = "20260101T000000Z",
			.payload_hash = empty_hash,
		};

		assert_int_equal(sigv4_sign(&short_key, &r, &s), -1);
		sigv4_signature_release(&s);
	}
}

static void date_is_written_in_utc(void **state)
{
	char date[SIGV4_DATE_SIZE];

	(void)state;
	sigv4_date(INT64_C(1767225600999), date);
	assert_string_equal(date, "20260101T000000Z");
}

static void spill_has_the_hash_of_its_bytes(void **state)
{
	char of_spill[SIGV4_HASH_SIZE], of_bytes[SIGV4_HASH_SIZE];
	static char bytes[200000];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 7 % 251);
	for (size_t memory_max = 100; memory_max < 1000000; memory_max *= 5000) {
		struct spill *s = spill_new("/tmp", memory_max);

		assert_int_equal(spill_add(s, bytes, sizeof bytes), 0);
		assert_int_equal(sigv4_hash_spill(s, of_spill), 0);
		sigv4_hash_bytes(bytes, sizeof bytes, of_bytes);
		assert_string_equal(of_spill, of_bytes);
		spill_free(s);
	}
	struct spill *none = spill_new("/tmp", 1);
	assert_int_equal(sigv4_hash_spill(none, of_spill), 0);
	assert_string_equal(of_spill, empty_hash);
	spill_free(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_of_aws_is_signed_as_published),
		cmocka_unit_test(conditional_put_with_metadata_is_signed),
		cmocka_unit_test(query_is_encoded_and_sorted),
		cmocka_unit_test(every_odd_byte_of_a_path_is_escaped_in_upper_case),
		cmocka_unit_test(header_that_cannot_be_signed_is_refused),
		cmocka_unit_test(date_is_written_in_utc),
		cmocka_unit_test(spill_has_the_hash_of_its_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
