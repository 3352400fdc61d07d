#include "db/sql_function.h"

#include "base/clock.h"
#include "db/client.h"
#include "db/heap.h"

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
		"12345", "3.5", "34",  "'3'",	"'cab'", "zeroblob(3)", "x'000061'", "' a '",
	};
	static const size_t n = sizeof values / sizeof *values;
	struct sqlite3 *plain = NULL, *ours = NULL;
	static const int64_t forever = 0;
	char sql[400];

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &plain), SQLITE_OK);
	assert_int_equal(sqlite3_open(":memory:", &ours), SQLITE_OK);
	sql_function_register(ours, &forever);
	for (size_t i = 0; i < n * n * n; i++) {
		const char *a = values[i % n], *b = values[i / n % n], *c = values[i / n / n];
		(void)snprintf(
			sql, sizeof sql,
			"SELECT quote(instr(%s,%s)) || quote(replace(%s,%s,%s)) || quote(trim(%s))"
			"|| quote(trim(%s,%s)) || quote(ltrim(%s,%s)) || quote(rtrim(%s,%s))",
			a, b, a, b, c, a, a, b, a, b, a, b);
		char *want = answer(plain, sql), *got = answer(ours, sql);
		if (strcmp(want, got) != 0)
			fail_msg("%s: got %s, want %s", sql, got, want);
		sqlite3_free(want);
		sqlite3_free(got);
	}
	sqlite3_close(plain);
	sqlite3_close(ours);
}

static void formats_are_those_of_sqlite(void **state)
{
	static const char *const expressions[] = {
		"printf()",
		"printf(NULL)",
		"printf('%d %s %c', 1, 'two', 'three')",
		"printf('%.3c|%-5.2c|%5c', 'a', 'é', 'b')",
		"printf('%.*c|%*d|%-*s', 4, 'x', 6, 7, 8, 'y')",
		"printf('%.*c', -3, 'x')",
		"printf('%%%n%c%q%Q%w', 'a', 'it''s', NULL, '\"')",
		"printf('%,d %+d %08.3f %!.20g %e', 1234567, 5, 3.14159, 0.1, 1e300)",
		"printf('%lld %x %o %p', 1, 255, 8, 16)",
		"printf('%k %d', 1, 2)",
		"printf('%')",
		"printf('%.')",
		"printf('%.5')",
		"printf('%s')",
		"format('%5.2c!', 'z')",
		"printf(x'256400', 3)",
		"json_patch('{\"a\":1}', '{\"b\":[2]}')",
		"json_patch('{\"a\":1}', '{\"a\":null}')",
		"json_patch('[1]', NULL)",
		"json_patch('1', '{}')",
		"json_array(json_patch('{}', '{\"a\":{}}'))",
		"typeof(json_patch('{}', '7'))",
	};
	static const int64_t forever = 0;
	struct sqlite3 *plain = NULL, *ours = NULL;
	char sql[200];

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &plain), SQLITE_OK);
	assert_int_equal(sqlite3_open(":memory:", &ours), SQLITE_OK);
	sql_function_register(ours, &forever);
	for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
		(void)snprintf(sql, sizeof sql, "SELECT %s", expressions[i]);
		char *want = answer(plain, sql), *got = answer(ours, sql);
		if (strcmp(want, got) != 0)
			fail_msg("%s: got %s, want %s", sql, got, want);
		sqlite3_free(want);
		sqlite3_free(got);
	}
	assert_int_equal(sqlite3_exec(ours, "SELECT json_patch('{', '{}')", NULL, NULL, NULL),
			 SQLITE_ERROR);
	assert_string_equal(sqlite3_errmsg(ours), "malformed JSON");
	sqlite3_close(plain);
	sqlite3_close(ours);
}

static void expect_ended(struct client *c, const char *sql, const char *code)
{
	int64_t began_ms = clock_mono_ms();
	struct stmt *st = client_prepare(c, sql);

	assert_int_equal(stmt_step(st, &c->e), STMT_FAILED);
	stmt_free(st);
	if (strcmp(c->e.code, code) != 0)
		fail_msg("%s: got %s %s", sql, c->e.code, c->e.message);
	if (clock_mono_ms() - began_ms > 10000)
		fail_msg("%s took %lld ms", sql, (long long)(clock_mono_ms() - began_ms));
	client_run(c, "SELECT 1");
}

static void what_takes_too_long_for_its_size_is_refused(void **state)
{
	struct client *c = *state;

	expect_ended(c, "SELECT printf('%.*c', 2000000000, 'x')", "SQLITE_TOOBIG");
	expect_ended(c, "SELECT printf('%.2000000000c', 'x')", "SQLITE_TOOBIG");
	expect_ended(c, "SELECT printf('%.*c', -2000000000, 'x')", "SQLITE_TOOBIG");
	expect_ended(c, "SELECT printf(replace(hex(zeroblob(2000)), '00', '%.900000c'), 1)",
		     "SQLITE_TOOBIG");
	expect_ended(c,
		     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 60000),"
		     "j(a, b) AS (SELECT json_group_object('k' || i, 1),"
		     "json_group_object('x' || i, 1) FROM n) SELECT json_patch(a, b) FROM j",
		     "SQLITE_TOOBIG");
}

/* The time limit is a second; each of these takes SQLite between ten and minutes. */
static void what_sqlite_cannot_interrupt_ends_in_time(void **state)
{
	struct client *c = *state;

	expect_ended(c, "SELECT trim(printf('%.1000000c', 'a'), printf('%.500000c', 'b') || 'a')",
		     "SQLITE_INTERRUPT");
	expect_ended(c, "SELECT rtrim(printf('%.1000000c', 'a'), printf('%.500000c', 'b') || 'a')",
		     "SQLITE_INTERRUPT");
	client_run(c, "CREATE VIRTUAL TABLE f USING fts5(a)");
	expect_ended(c, "SELECT * FROM f('a' || replace(hex(zeroblob(160000)), '00', ' OR a'))",
		     "SQLITE_INTERRUPT");
	expect_ended(c,
		     "SELECT * FROM f WHERE f MATCH 'a' || replace(hex(zeroblob(160000)), '00',"
		     "' OR a')",
		     "SQLITE_INTERRUPT");
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
		client_prepare(c, "SELECT replace(hex(zeroblob(10000)), '0', hex(zeroblob(50)))");

	assert_int_equal(stmt_step(st, &c->e), STMT_FAILED);
	if (strcmp(c->e.code, "SQLITE_TOOBIG") != 0)
		fail_msg("got %s %s", c->e.code, c->e.message);
	stmt_free(st);
	client_run(c, "SELECT 1");
}

/* Of those that must not end for another reason. */
static int set_up_patient(void **state)
{
	static const struct userdb_limits patient = {
		.max_db_bytes = 64 << 20,
		.max_result_bytes = 1 << 20,
		.statement_ms = 20000,
		.lock_wait_ms = 20,
		.max_sql_bytes = 100000,
	};

	*state = client_new(&patient);
	return 0;
}

int main(void)
{
	heap_init();
	const struct CMUnitTest tests[] = {
#define PATIENT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_patient, client_tear_down)
#define TEST(name) cmocka_unit_test_setup_teardown(name, client_set_up, client_tear_down)
		cmocka_unit_test(answers_are_those_of_sqlite),
		cmocka_unit_test(formats_are_those_of_sqlite),
		PATIENT_TEST(what_takes_too_long_for_its_size_is_refused),
		TEST(what_sqlite_cannot_interrupt_ends_in_time),
		TEST(time_grows_with_the_length_only),
		PATIENT_TEST(result_that_is_too_long_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
