#include "http/baton.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct baton_key key;
static struct user_id alice, bob;

static int set_up(void **state)
{
	(void)state;
	if (user_id_parse("alice", 5, &alice) < 0 || user_id_parse("bob", 3, &bob) < 0)
		return -1;
	return baton_key_make(&key);
}

static const struct baton bound = {
	.bound = true,
	.worker = 7,
	.epoch = 0x80000001,
	.stream = UINT64_C(0x123456789abcdef0),
	.request = 3,
};

static enum baton_result read_it(const struct user_id *user, const char *text, struct baton *out)
{
	return baton_read(&key, user, text, strlen(text), out);
}

static void bound_baton_is_read_as_it_was_written(void **state)
{
	char text[BATON_LEN + 1];
	struct baton b;

	(void)state;
	baton_write(&key, &alice, &bound, text);
	assert_int_equal(strlen(text), BATON_LEN);
	assert_int_equal(read_it(&alice, text, &b), BATON_OK);
	assert_true(b.bound);
	assert_int_equal(b.worker, bound.worker);
	assert_int_equal(b.epoch, bound.epoch);
	assert_true(b.stream == bound.stream);
	assert_int_equal(b.request, bound.request);
}

static void free_baton_is_read_as_free(void **state)
{
	char text[BATON_LEN + 1];
	struct baton b = { .bound = true };

	(void)state;
	baton_write(&key, &alice, &(struct baton){ .bound = false }, text);
	assert_int_equal(read_it(&alice, text, &b), BATON_OK);
	assert_false(b.bound);
}

static void baton_of_another_user_is_forged(void **state)
{
	char text[BATON_LEN + 1];
	struct baton b;

	(void)state;
	baton_write(&key, &alice, &bound, text);
	assert_int_equal(read_it(&bob, text, &b), BATON_FORGED);
}

static void baton_with_any_changed_character_is_not_read(void **state)
{
	char text[BATON_LEN + 1];
	struct baton b;

	(void)state;
	baton_write(&key, &alice, &bound, text);
	for (int i = 0; i < BATON_LEN; i++) {
		char before = text[i];
		text[i] = before == 'A' ? 'B' : 'A';
		assert_int_not_equal(read_it(&alice, text, &b), BATON_OK);
		text[i] = before;
	}
	assert_int_equal(read_it(&alice, text, &b), BATON_OK);
}

static void what_is_no_baton_is_forged(void **state)
{
	static const char *const texts[] = {
		"",
		"x",
		"!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};
	struct baton b;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(read_it(&alice, texts[i], &b), BATON_FORGED);
}

static void baton_of_another_run_is_expired(void **state)
{
	char text[BATON_LEN + 1];
	struct baton_key other = key;
	struct baton b;

	(void)state;
	other.run ^= 1;
	baton_write(&other, &alice, &bound, text);
	assert_int_equal(read_it(&alice, text, &b), BATON_EXPIRED);
}

static void baton_of_another_secret_is_forged(void **state)
{
	char text[BATON_LEN + 1];
	struct baton_key other = key;
	struct baton b;

	(void)state;
	other.secret[0] ^= 1;
	baton_write(&other, &alice, &bound, text);
	assert_int_equal(read_it(&alice, text, &b), BATON_FORGED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bound_baton_is_read_as_it_was_written),
		cmocka_unit_test(free_baton_is_read_as_free),
		cmocka_unit_test(baton_of_another_user_is_forged),
		cmocka_unit_test(baton_with_any_changed_character_is_not_read),
		cmocka_unit_test(what_is_no_baton_is_forged),
		cmocka_unit_test(baton_of_another_run_is_expired),
		cmocka_unit_test(baton_of_another_secret_is_forged),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
