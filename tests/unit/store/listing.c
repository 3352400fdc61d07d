#include "store/listing.h"

#include "base/buf.h"
#include "store/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
#define ROOT "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define LAST "<IsTruncated>false</IsTruncated>"
#define END "</ListBucketResult>"
#define FOLDER(name) "<CommonPrefixes><Prefix>" name "</Prefix></CommonPrefixes>"
#define OBJECT(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"

static const char usual_page[] = HEAD ROOT
	"<Name>b</Name>" LAST "<KeyCount>2</KeyCount><Prefix>p/u/</Prefix>"
	"<Contents><Key>p/u/a&amp;&lt;b</Key><ETag>&quot;x&quot;</ETag><Size>235</Size>"
	"<LastModified>2026-01-01T00:00:00.250Z</LastModified>"
	"<Owner><ID>i</ID><Key>no</Key></Owner></Contents>\n"
	"<Contents><LastModified>yesterday</LastModified><Size>18446744073709551615</Size>"
	"<Key>p/u/b</Key></Contents>" END;

/* Fed in pieces of `step` bytes. */
static enum listing_page read_page(struct listing *l, const char *xml, size_t len, size_t step)
{
	for (size_t at = 0; at < len; at += step)
		(void)listing_feed(l, xml + at, len - at < step ? len - at : step);
	return listing_end_page(l);
}

static enum listing_page read_text(const char *xml)
{
	struct listing *l = listing_new("p/", "u/");
	enum listing_page result = read_page(l, xml, strlen(xml), 4096);

	listing_free(l);
	return result;
}

static void page_is_read_whatever_the_pieces(void **state)
{
	(void)state;
	for (size_t step = 1; step <= sizeof usual_page; step++) {
		struct listing *l = listing_new("p/", "u/");

		assert_int_equal(read_page(l, usual_page, strlen(usual_page), step),
				 LISTING_COMPLETE);
		struct object_listing found = listing_take(l);
		assert_int_equal(found.count, 2);
		assert_string_equal(found.entries[0].key, "u/a&<b");
		assert_int_equal(found.entries[0].size, 235);
		assert_int_equal(found.entries[0].modified_ms, INT64_C(1767225600250));
		assert_string_equal(found.entries[1].key, "u/b");
		assert_true(found.entries[1].size == UINT64_MAX);
		assert_int_equal(found.entries[1].modified_ms, 0);
		object_listing_release(&found);
		listing_free(l);
	}
}

static void page_that_is_cut_anywhere_is_damaged(void **state)
{
	(void)state;
	for (size_t len = 0; len < strlen(usual_page); len++) {
		struct listing *l = listing_new("p/", "u/");

		assert_int_equal(read_page(l, usual_page, len, 4096), LISTING_DAMAGED);
		listing_free(l);
	}
}

static void page_that_is_not_one_is_damaged(void **state)
{
	static const char *const rows[] = {
		"",
		"<html><body>Bad gateway</body></html>",
		"not xml",
		HEAD "<Error><Code>InternalError</Code></Error>",
		HEAD "<ListBucketResults>" LAST "</ListBucketResults>",
		HEAD "<List" LAST "/>",
		/* says not, or twice, or oddly, whether it is the last */
		HEAD ROOT END,
		HEAD ROOT LAST LAST END,
		HEAD ROOT "<IsTruncated>maybe</IsTruncated>" END,
		HEAD ROOT "<IsTruncated/>" END,
		HEAD ROOT "<X>" LAST "</X>" END,
		/* not the last, and no way to go on */
		HEAD ROOT "<IsTruncated>true</IsTruncated>" END,
		HEAD ROOT "<IsTruncated>true</IsTruncated><NextContinuationToken/>" END,
		/* not asked for */
		HEAD ROOT LAST OBJECT("p/v/a") END,
		HEAD ROOT LAST OBJECT("u/a") END,
		HEAD ROOT LAST OBJECT("") END,
		HEAD ROOT LAST FOLDER("p/u/a/") END,
		HEAD ROOT LAST "<Contents><Key>p/u/<b>x</b></Key><Size>1</Size></Contents>" END,
		/* incomplete or double */
		HEAD ROOT LAST "<Contents><Key>p/u/a</Key></Contents>" END,
		HEAD ROOT LAST "<Contents><Size>1</Size></Contents>" END,
		HEAD ROOT LAST
		"<Contents><Key>p/u/a</Key><Key>p/u/b</Key><Size>1</Size></Contents>" END,
		HEAD ROOT LAST "<Contents><Key>p/u/a</Key><Size>-1</Size></Contents>" END,
		HEAD ROOT LAST "<Contents><Key>p/u/a</Key><Size>1x</Size></Contents>" END,
		HEAD ROOT LAST
		"<Contents><Key>p/u/a</Key><Size>18446744073709551616</Size></Contents>" END,
		/* not ascending */
		HEAD ROOT LAST OBJECT("p/u/b") OBJECT("p/u/a") END,
		HEAD ROOT LAST OBJECT("p/u/b") OBJECT("p/u/b") END,
		/* entities and what follows the document */
		HEAD "<!DOCTYPE ListBucketResult>" ROOT LAST END,
		HEAD "<!DOCTYPE x [<!ENTITY a \"p/u/a\">]>" ROOT LAST OBJECT("&a;") END,
		HEAD "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">" ROOT LAST END,
		HEAD ROOT LAST OBJECT("&a;") END,
		HEAD ROOT LAST END "x",
		HEAD ROOT LAST END ROOT LAST END,
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (read_text(rows[i]) != LISTING_DAMAGED)
			fail_msg("not damaged: %s", rows[i]);
	}
	assert_int_equal(read_text(HEAD ROOT LAST OBJECT("p/u/a") END), LISTING_COMPLETE);
}

static void entities_that_multiply_are_refused_at_once(void **state)
{
	struct listing *l = listing_new("p/", "u/");
	struct buf xml = BUF_INIT;

	(void)state;
	buf_add_text(&xml, HEAD "<!DOCTYPE l [<!ENTITY l0 \"lollollollol\">");
	for (int i = 1; i < 20; i++)
		buf_addf(&xml, "<!ENTITY l%d \"&l%d;&l%d;&l%d;&l%d;\">", i, i - 1, i - 1, i - 1,
			 i - 1);
	buf_add_text(&xml, "]>" ROOT "&l19;");
	assert_int_equal(listing_feed(l, xml.data, xml.len), -1);
	assert_int_equal(listing_feed(l, LAST END, strlen(LAST END)), -1);
	assert_int_equal(listing_end_page(l), LISTING_DAMAGED);
	buf_release(&xml);
	listing_free(l);
}

static enum listing_page read_key_of(size_t len)
{
	struct buf xml = BUF_INIT;

	buf_add_text(&xml, HEAD ROOT LAST "<Contents><Key>p/u/");
	for (size_t i = strlen("u/"); i < len; i++)
		buf_add(&xml, "k", 1);
	buf_add_text(&xml, "</Key><Size>1</Size></Contents>" END);
	enum listing_page result = read_text(xml.data);
	buf_release(&xml);
	return result;
}

static void key_that_does_not_fit_is_damaged(void **state)
{
	(void)state;
	assert_int_equal(read_key_of(OBJECT_KEY_MAX - 1), LISTING_COMPLETE);
	assert_int_equal(read_key_of(OBJECT_KEY_MAX), LISTING_DAMAGED);
	assert_int_equal(read_key_of(10000), LISTING_DAMAGED);
	assert_int_equal(read_key_of(5000000), LISTING_DAMAGED);
}

static void page_without_end_is_cut_off(void **state)
{
	struct listing *l = listing_new("p/", "u/");
	static char filler[65536];
	size_t fed = strlen(HEAD ROOT);

	(void)state;
	memset(filler, ' ', sizeof filler);
	assert_int_equal(listing_feed(l, HEAD ROOT, fed), 0);
	while (listing_feed(l, filler, sizeof filler) == 0) {
		fed += sizeof filler;
		assert_true(fed < 32 * 1024 * 1024);
	}
	assert_int_equal(listing_end_page(l), LISTING_DAMAGED);
	listing_free(l);
}

static void nesting_without_end_is_cut_off(void **state)
{
	struct listing *l = listing_new("p/", "u/");
	int depth = 0;

	(void)state;
	assert_int_equal(listing_feed(l, HEAD ROOT, strlen(HEAD ROOT)), 0);
	while (listing_feed(l, "<a>", 3) == 0)
		assert_true(++depth < 1000);
	assert_int_equal(listing_end_page(l), LISTING_DAMAGED);
	listing_free(l);
}

static void pages_join_into_one_listing(void **state)
{
	static const char first[] = HEAD ROOT
		"<IsTruncated>true</IsTruncated>"
		"<NextContinuationToken>p/u/b&gt;+=</NextContinuationToken>" OBJECT("p/u/")
			OBJECT("p/u/a") END;
	static const char second[] = HEAD ROOT LAST OBJECT("p/u/b") END;
	struct listing *l = listing_new("p/", "u/");

	(void)state;
	assert_int_equal(read_page(l, first, strlen(first), 10), LISTING_MORE);
	assert_string_equal(listing_token(l), "p/u/b>+=");
	assert_int_equal(read_page(l, second, strlen(second), 10), LISTING_COMPLETE);
	struct object_listing found = listing_take(l);
	assert_int_equal(found.count, 3);
	assert_string_equal(found.entries[0].key, "u/");
	assert_string_equal(found.entries[2].key, "u/b");
	object_listing_release(&found);
	listing_free(l);
}

static void page_that_comes_again_is_damaged(void **state)
{
	static const char page[] =
		HEAD ROOT "<IsTruncated>true</IsTruncated>"
			  "<NextContinuationToken>t</NextContinuationToken>" OBJECT("p/u/a") END;
	struct listing *l = listing_new("p/", "u/");

	(void)state;
	assert_int_equal(read_page(l, page, strlen(page), 4096), LISTING_MORE);
	assert_int_equal(read_page(l, page, strlen(page), 4096), LISTING_DAMAGED);
	listing_free(l);
}

static void empty_pages_do_not_go_on_for_ever(void **state)
{
	static const char page[] = HEAD ROOT "<IsTruncated>true</IsTruncated>"
					     "<NextContinuationToken>t</NextContinuationToken>" END;
	struct listing *l = listing_new("p/", "u/");
	int pages = 0;

	(void)state;
	while (read_page(l, page, strlen(page), 4096) == LISTING_MORE)
		assert_true(++pages < 20000);
	listing_free(l);
}

static void placeholder_of_the_prefix_itself_is_left_out(void **state)
{
	static const char page[] = HEAD ROOT LAST OBJECT("p/") OBJECT("p/a") END;
	struct listing *l = listing_new("p/", "");

	(void)state;
	assert_int_equal(read_page(l, page, strlen(page), 4096), LISTING_COMPLETE);
	struct object_listing found = listing_take(l);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.entries[0].key, "a");
	object_listing_release(&found);
	listing_free(l);
}

static void folders_join_over_pages_without_the_objects_beside_them(void **state)
{
	static const char first[] = HEAD ROOT
		"<Prefix>p/u/</Prefix><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated>"
		"<NextContinuationToken>t</NextContinuationToken>" OBJECT("p/u/") OBJECT("p/u/x")
			FOLDER("p/u/a-b/") FOLDER("p/u/a/") END;
	static const char second[] = HEAD ROOT LAST FOLDER("p/u/b&amp;/") OBJECT("p/u/a") END;
	struct listing *l = listing_new_of_folders("p/", "u/");

	(void)state;
	assert_int_equal(read_page(l, first, strlen(first), 10), LISTING_MORE);
	assert_int_equal(read_page(l, second, strlen(second), 10), LISTING_COMPLETE);
	struct object_listing found = listing_take(l);
	assert_int_equal(found.count, 3);
	assert_string_equal(found.entries[0].key, "u/a-b/");
	assert_string_equal(found.entries[1].key, "u/a/");
	assert_string_equal(found.entries[2].key, "u/b&/");
	assert_int_equal(found.entries[0].size, 0);
	object_listing_release(&found);
	listing_free(l);
}

static enum listing_page read_folders(const char *xml)
{
	struct listing *l = listing_new_of_folders("p/", "u/");
	enum listing_page result = read_page(l, xml, strlen(xml), 4096);

	listing_free(l);
	return result;
}

static void folders_that_were_not_asked_for_are_damaged(void **state)
{
	static const char *const rows[] = {
		HEAD ROOT LAST FOLDER("p/v/a/") END,
		HEAD ROOT LAST FOLDER("u/a/") END,
		HEAD ROOT LAST FOLDER("p/u/") END,
		HEAD ROOT LAST FOLDER("") END,
		/* no folder, and one further down */
		HEAD ROOT LAST FOLDER("p/u/a") END,
		HEAD ROOT LAST FOLDER("p/u/a/b/") END,
		HEAD ROOT LAST FOLDER("p/u/a//") END,
		HEAD ROOT LAST FOLDER("p/u/a/b") END,
		/* not ascending */
		HEAD ROOT LAST FOLDER("p/u/b/") FOLDER("p/u/a/") END,
		HEAD ROOT LAST FOLDER("p/u/a/") FOLDER("p/u/a/") END,
		/* a store that does not know of folders */
		HEAD ROOT LAST OBJECT("p/u/a/0000/1") END,
		HEAD ROOT LAST OBJECT("p/u/a/") END,
		HEAD ROOT LAST OBJECT("p/v/a") END,
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (read_folders(rows[i]) != LISTING_DAMAGED)
			fail_msg("not damaged: %s", rows[i]);
	}
	assert_int_equal(read_folders(HEAD ROOT LAST FOLDER("p/u/a/") END), LISTING_COMPLETE);
	assert_int_equal(read_folders(HEAD ROOT LAST END), LISTING_COMPLETE);
}

static enum listing_page read_folder_of(size_t len)
{
	struct buf xml = BUF_INIT;

	buf_add_text(&xml, HEAD ROOT LAST "<CommonPrefixes><Prefix>p/u/");
	for (size_t i = strlen("u/") + 1; i < len; i++)
		buf_add(&xml, "k", 1);
	buf_add_text(&xml, "/</Prefix></CommonPrefixes>" END);
	enum listing_page result = read_folders(xml.data);
	buf_release(&xml);
	return result;
}

static void folder_that_does_not_fit_is_damaged(void **state)
{
	(void)state;
	assert_int_equal(read_folder_of(OBJECT_KEY_MAX - 1), LISTING_COMPLETE);
	assert_int_equal(read_folder_of(OBJECT_KEY_MAX), LISTING_DAMAGED);
}

static void code_is_taken_from_a_whole_error_document_only(void **state)
{
	static const struct {
		const char *xml, *code;
	} rows[] = {
		{ HEAD "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>", "NoSuchKey" },
		{ "<Error><Message>m</Message><Code>AccessDenied</Code></Error>", "AccessDenied" },
		{ "<Error><Code>NoSuchKey</Code>", "" },
		{ "<Error><X><Code>NoSuchKey</Code></X></Error>", "" },
		{ "<Errors><Code>NoSuchKey</Code></Errors>", "" },
		{ "<html><Code>NoSuchKey</Code></html>", "" },
		{ "<Error><Code>No Such Key</Code></Error>", "" },
		{ "<Error><Code>a</Code><Code>NoSuchKey</Code></Error>", "" },
		{ "<Error><Code>a23456789a23456789a23456789a23456789a23456789a23456789a234567891234"
		  "</Code></Error>",
		  "" },
		{ "<!DOCTYPE Error><Error><Code>NoSuchKey</Code></Error>", "" },
		{ "NoSuchKey", "" },
		{ "", "" },
	};
	char code[LISTING_CODE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		listing_error_code(rows[i].xml, strlen(rows[i].xml), code);
		assert_string_equal(code, rows[i].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_is_read_whatever_the_pieces),
		cmocka_unit_test(page_that_is_cut_anywhere_is_damaged),
		cmocka_unit_test(page_that_is_not_one_is_damaged),
		cmocka_unit_test(entities_that_multiply_are_refused_at_once),
		cmocka_unit_test(key_that_does_not_fit_is_damaged),
		cmocka_unit_test(page_without_end_is_cut_off),
		cmocka_unit_test(nesting_without_end_is_cut_off),
		cmocka_unit_test(pages_join_into_one_listing),
		cmocka_unit_test(page_that_comes_again_is_damaged),
		cmocka_unit_test(empty_pages_do_not_go_on_for_ever),
		cmocka_unit_test(placeholder_of_the_prefix_itself_is_left_out),
		cmocka_unit_test(folders_join_over_pages_without_the_objects_beside_them),
		cmocka_unit_test(folders_that_were_not_asked_for_are_damaged),
		cmocka_unit_test(folder_that_does_not_fit_is_damaged),
		cmocka_unit_test(code_is_taken_from_a_whole_error_document_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
