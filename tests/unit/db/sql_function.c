#include "db/sql_function.h"

#include "base/clock.h"
#include "db/client.h"

/* A plain SQLite, whose answers are right. */
static char *answer(struct sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	char *text = sqlite3_mprintf("%d %s", sqlite3_column_type(stmt, 0),
				     sqlite3_column_text(stmt, 0));
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	return text;
}

static void answers_are_those_of_sqlite(void **state)
{
	static const char *const values[] = {
		"NULL",	 "''",	"'a'", "'aa'",	"'aaa'", "'abcabc'",	"'bc'",	     "'häßé€𝄞'",
		"'é€'",	 "'𝄞'", "x''", "x'61'", "x'c3'", "x'c3a9'",	"x'616100'", "char(0,97)",
		"12345", "3.5", "34",  "'3'",	"'cab'", "zeroblob(3)", "x'000061'",
	};
	static const size_t n = sizeof values / sizeof *values;
	struct sqlite3 *plain = NULL, *ours = NULL;
	char sql[200];

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &plain), SQLITE_OK);
	assert_int_equal(sqlite3_open(":memory:", &ours), SQLITE_OK);
	sql_function_register(ours);
	for (size_t i = 0; i < n * n * n; i++) {
		const char *a = values[i % n], *b = values[i / n % n], *c = values[i / n / n];
		(void)snprintf(sql, sizeof sql,
			       "SELECT quote(instr(%s,%s)) || quote(replace(%s,%s,%s))", a, b, a, b,
			       c);
		char *want = answer(plain, sql), *got = answer(ours, sql);
		if (strcmp(want, got) != 0)
			fail_msg("%s: got %s, want %s", sql, got, want);
		sqlite3_free(want);
		sqlite3_free(got);
	}
	sqlite3_close(plain);
	sqlite3_close(ours);
}

static void time_grows_with_the_length_only(void **state)
{
	struct client *c = *state;
	int64_t began_ms = clock_mono_ms();

	/* SQLite's own take seconds for each of these. */
	client_run(c, "SELECT instr(printf('%.1000000c', 'a'), printf('%.500000c', 'a') || 'b')");
	client_run(c, "SELECT length(replace(printf('%.1000000c', 'a'),"
		      "printf('%.250000c', 'a') || 'b', ''))");
	assert_in_range(clock_mono_ms() - began_ms, 0, 1000);
}

static void result_that_is_too_long_is_an_error(void **state)
{
	struct client *c = *state;
	struct stmt *st =
		client_prepare(c, "SELECT replace(hex(zeroblob(100000)), '0', '0123456789')");

	assert_int_equal(stmt_step(st, &c->e), STMT_FAILED);
	assert_string_equal(c->e.code, "SQLITE_TOOBIG");
	stmt_free(st);
	client_run(c, "SELECT 1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, client_set_up, client_tear_down)
		cmocka_unit_test(answers_are_those_of_sqlite),
		TEST(time_grows_with_the_length_only),
		TEST(result_that_is_too_long_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
