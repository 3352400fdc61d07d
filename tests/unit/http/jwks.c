#include "http/jwks.h"

#include "base/file.h"

#include "fixture.h"
#include "jose.h"

static const char secret[] = "0123456789abcdef0123456789abcdef\n";

/* RFC 7517, A.1: one for encryption, one for signatures. */
static const char rfc_set[] =
	"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
	"\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
	"\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\",\"use\":\"enc\",\"kid\":\"1\"},"
	"{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zw"
	"u1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6"
	"Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD"
	"08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJz"
	"KnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}]}";

static char told[2048];

static void note(const struct jwks_found *f)
{
	size_t len = strlen(told);

	(void)snprintf(told + len, sizeof told - len, "%s %s%s%s\n", strrchr(f->path, '/') + 1,
		       f->key != NULL ? jwk_algorithm_name[jwk_algorithm(f->key)] : "-",
		       f->kid[0] != '\0' ? " " : "", f->kid);
}

/* Each text in a file of its own: a, b, c ... */
static struct jwks *read_files(const struct folder *f, const char *const texts[], size_t count,
			       char why[static JWKS_WHY_MAX])
{
	char path[FOLDER_FILE_MAX], name[2] = "a";
	struct buf paths = BUF_INIT;

	for (size_t i = 0; i < count; i++, name[0]++) {
		folder_file(f, name, path);
		assert_int_equal(file_replace(path, texts[i], strlen(texts[i]), 0600), 0);
		buf_addf(&paths, "%s%s", i > 0 ? ":" : "", path);
	}
	told[0] = '\0';
	why[0] = '\0';
	struct jwks *set = jwks_read(paths.data, note, why);
	buf_release(&paths);
	return set;
}

static void assert_read(const struct folder *f, const char *text, unsigned count, const char *want)
{
	char why[JWKS_WHY_MAX];
	struct jwks *set = read_files(f, &text, 1, why);

	assert_string_equal(why, "");
	assert_non_null(set);
	assert_int_equal(set->count, count);
	assert_string_equal(told, want);
	jwks_free(set);
}

static void assert_refused(const struct folder *f, const char *text, const char *want)
{
	char why[JWKS_WHY_MAX];

	assert_null(read_files(f, &text, 1, why));
	if (strstr(why, want) == NULL || strstr(why, "/a'") == NULL)
		fail_msg("%.40s: '%s', want '%s' and the path", text, why, want);
}

static void file_is_a_key_or_a_set_of_them(void **state)
{
	assert_read(*state, secret, 1, "a HS256\n");
	assert_read(*state, ed25519_public, 1, "a EdDSA\n");
	assert_read(*state, rfc_ec, 1, "a ES256\n");
	assert_read(*state, rfc_set, 1, "a - 1\na RS256 2011-04-29\n");
}

static void several_files_are_one_set(void **state)
{
	const char *const texts[] = { secret, rfc_set, ed25519_private, rfc_okp };
	char why[JWKS_WHY_MAX];
	struct jwks *set = read_files(*state, texts, 4, why);

	assert_non_null(set);
	assert_int_equal(set->count, 4);
	assert_string_equal(told, "a HS256\nb - 1\nb RS256 2011-04-29\nc EdDSA\nd EdDSA\n");
	assert_string_equal(jwk_kid(set->keys[1]), "2011-04-29");
	jwks_free(set);
}

static void one_bad_file_of_several_is_an_error(void **state)
{
	const char *const texts[] = { secret, "short", ed25519_private };
	char why[JWKS_WHY_MAX];

	assert_null(read_files(*state, texts, 3, why));
	assert_non_null(strstr(why, "shorter than 32"));
	assert_non_null(strstr(why, "/b'"));
}

static void unknown_members_are_passed_over_and_told(void **state)
{
	static const char set[] =
		"{\"more\":1,\"keys\":[7,null,{},{\"kty\":\"PQC\",\"kid\":\"new\"},"
		"{\"kty\":\"OKP\",\"crv\":\"X448\",\"kid\":\"a\\nb\",\"x\":\"AA\"},"
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"good\","
		"\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

	assert_read(*state, set, 1, "a -\na -\na -\na - new\na - a?b\na EdDSA good\n");
}

static void set_without_a_key_that_is_of_use_is_refused(void **state)
{
	assert_refused(*state, "{\"keys\":[]}", "no key that is of use");
	assert_refused(*state, "{\"keys\":[{\"kty\":\"PQC\"}]}", "no key that is of use");
	assert_refused(*state, "{\"keys\":{}}", "no array of keys");
	assert_refused(*state, "{}", "no array of keys");
	assert_refused(*state, "{\"kty\":\"PQC\"}", "no key that is of use");
}

/* Anybody may have read what it is a part of. */
static void damaged_set_is_no_secret(void **state)
{
	static const char *const texts[] = {
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQH",
		" \n\t{\"keys\" 0123456789abcdef0123456789abcdef",
		"\xef\xbb\xbf{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}]}",
		"[{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}, 0123456789abcdef]",
		"{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_refused(*state, texts[i], "no JWKS");
}

static void number_of_keys_is_limited(void **state)
{
	static const char key[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
				  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
	char why[JWKS_WHY_MAX];

	for (int count = JWKS_MAX; count <= JWKS_MAX + 1; count++) {
		struct buf text = BUF_INIT;
		buf_add_text(&text, "{\"keys\":[");
		for (int i = 0; i < count; i++)
			buf_addf(&text, "%s%s", i > 0 ? "," : "", key);
		buf_add_text(&text, "]}");
		const char *const texts[] = { text.data };
		struct jwks *set = read_files(*state, texts, 1, why);
		assert_int_equal(set != NULL, count == JWKS_MAX);
		if (set == NULL)
			assert_non_null(strstr(why, "16 are the limit"));
		jwks_free(set);
		buf_release(&text);
	}
}

static void file_that_is_not_there_or_too_long_is_refused(void **state)
{
	static char big[70000];
	char why[JWKS_WHY_MAX];

	assert_null(jwks_read("/nonexistent/key", NULL, why));
	assert_string_equal(why, "there is no such file: '/nonexistent/key'");
	memset(big, 'x', sizeof big - 1);
	assert_refused(*state, big, "too long to hold keys");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_folder(file_is_a_key_or_a_set_of_them),
		test_in_folder(several_files_are_one_set),
		test_in_folder(one_bad_file_of_several_is_an_error),
		test_in_folder(unknown_members_are_passed_over_and_told),
		test_in_folder(set_without_a_key_that_is_of_use_is_refused),
		test_in_folder(damaged_set_is_no_secret),
		test_in_folder(number_of_keys_is_limited),
		test_in_folder(file_that_is_not_there_or_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
