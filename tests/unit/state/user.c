#include "state/user.h"

#include "fixture.h"

static bool is_letter_or_digit(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static void every_byte_is_judged_as_the_header_says(void **state)
{
	struct user_id id;

	(void)state;
	for (int c = 0; c < 256; c++) {
		bool inside = is_letter_or_digit(c) || c == '_' || c == '.' || c == '@' || c == '-';
		const char first[1] = { (char)c };
		const char later[3] = { 'a', (char)c, 'b' };

		if (user_id_parse(first, 1, &id) != (inside && c != '.' ? 0 : -1))
			fail_msg("byte 0x%02x alone", (unsigned)c);
		if (user_id_parse(later, 3, &id) != (inside ? 0 : -1))
			fail_msg("byte 0x%02x inside", (unsigned)c);
	}
}

static void good_ids_come_out_as_they_went_in(void **state)
{
	static const char *const good[] = {
		"a",  "42",   "alice", "user@example.com", "a..b", "-", "--help", "a.", "_", "con",
		"@.", "0000", "lock",  "db.sqlite",
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct user_id id;
		assert_int_equal(user_id_parse(good[i], strlen(good[i]), &id), 0);
		assert_string_equal(id.text, good[i]);
	}
}

static void bad_ids_are_refused(void **state)
{
	static const char *const bad[] = {
		"",	".",   "..",  ".a",   "../a",	  "a/b",  "/",	   "a\\b", "a b",
		" a",	"a\n", "a\t", "a:b",  "a+b",	  "a%2f", "a*",	   "~a",   "$a",
		"a\"b", "a'b", "a,b", "\x7f", "\xc3\xa4", "\xff", "a\x01",
	};
	struct user_id id;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (user_id_parse(bad[i], strlen(bad[i]), &id) != -1)
			fail_msg("'%s' was taken for an id", bad[i]);
	}
	assert_int_equal(user_id_parse("a\0b", 3, &id), -1);
	assert_int_equal(user_id_parse("\0", 1, &id), -1);
}

static void id_has_64_characters_at_most(void **state)
{
	char text[80];
	struct user_id id;

	(void)state;
	memset(text, 'x', sizeof text);
	assert_int_equal(user_id_parse(text, 64, &id), 0);
	assert_int_equal(strlen(id.text), 64);
	assert_int_equal(user_id_parse(text, 65, &id), -1);
	assert_int_equal(user_id_parse(text, SIZE_MAX, &id), -1);
}

/* Ids are compared and hashed as bytes, so nothing of before may be left behind the end. */
static void text_is_cut_at_its_length_and_filled_with_zeros(void **state)
{
	static const struct user_id zero;
	struct user_id id;

	(void)state;
	memset(&id, 0xee, sizeof id);
	assert_int_equal(user_id_parse("alice and more", 5, &id), 0);
	assert_string_equal(id.text, "alice");
	assert_memory_equal(id.text + 5, zero.text, sizeof id.text - 5);
}

static struct user_id id_of(const char *text)
{
	struct user_id id;

	assert_int_equal(user_id_parse(text, strlen(text), &id), 0);
	return id;
}

/* Changing one of these would lose the files of every user. */
static void folders_of_known_users_never_change(void **state)
{
	static const struct {
		const char *id;
		const char *folder;
	} known[] = {
		{ "a", "/d/users/ed/a" },
		{ "A", "/d/users/f5/A" },
		{ "0", "/d/users/3e/0" },
		{ "_", "/d/users/a1/_" },
		{ "@", "/d/users/69/@" },
		{ "-", "/d/users/88/-" },
		{ "alice", "/d/users/51/alice" },
		{ "bob", "/d/users/34/bob" },
		{ "42", "/d/users/62/42" },
		{ "user@example.com", "/d/users/89/user@example.com" },
	};
	char path[256];

	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		struct user_id id = id_of(known[i].id);
		assert_int_equal(user_path("/d", &id, "", path, sizeof path), 0);
		assert_string_equal(path, known[i].folder);
	}
	struct user_id alice = id_of("alice");
	assert_int_equal(user_path("/d", &alice, "db.sqlite-wal", path, sizeof path), 0);
	assert_string_equal(path, "/d/users/51/alice/db.sqlite-wal");
}

static void users_spread_over_all_folders(void **state)
{
	enum { USERS = 25600 };
	unsigned users_in[256] = { 0 };

	(void)state;
	for (int i = 0; i < USERS; i++) {
		char text[16], path[64];
		unsigned folder;

		(void)snprintf(text, sizeof text, "%d", i);
		struct user_id id = id_of(text);
		assert_int_equal(user_path("", &id, "", path, sizeof path), 0);
		assert_int_equal(sscanf(path, "/users/%2x/", &folder), 1);
		users_in[folder]++;
	}
	for (int i = 0; i < 256; i++)
		assert_in_range(users_in[i], 20, 300);
}

static void path_fits_to_the_last_byte_or_is_refused(void **state)
{
	static const char want[] = "/d/users/51/alice/lock";
	struct user_id alice = id_of("alice");
	char path[sizeof want];

	(void)state;
	assert_int_equal(user_path("/d", &alice, "lock", path, sizeof want), 0);
	assert_string_equal(path, want);
	for (size_t size = 0; size < sizeof want; size++) {
		memset(path, 0x55, sizeof path);
		assert_int_equal(user_path("/d", &alice, "lock", path, size), -1);
		for (size_t i = size; i < sizeof path; i++)
			assert_int_equal(path[i], 0x55);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_judged_as_the_header_says),
		cmocka_unit_test(good_ids_come_out_as_they_went_in),
		cmocka_unit_test(bad_ids_are_refused),
		cmocka_unit_test(id_has_64_characters_at_most),
		cmocka_unit_test(text_is_cut_at_its_length_and_filled_with_zeros),
		cmocka_unit_test(folders_of_known_users_never_change),
		cmocka_unit_test(users_spread_over_all_folders),
		cmocka_unit_test(path_fits_to_the_last_byte_or_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
