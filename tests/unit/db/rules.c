#include "db/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <sqlite3.h>

/* Of the library at hand: a newer one makes a decision necessary. */
static void expect_named(const char *question, bool (*is_named)(const char *name), int at_least)
{
	struct sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	int nmissing = 0, nseen = 0;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, question, -1, &stmt, NULL), SQLITE_OK);
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(stmt, 0);
		nseen++;
		if (is_named(name))
			continue;
		nmissing++;
		print_error("nobody has decided about %s\n", name);
	}
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_in_range(nseen, at_least, 10000);
	assert_int_equal(nmissing, 0);
}

static void every_pragma_of_this_sqlite_is_decided(void **state)
{
	(void)state;
	expect_named("SELECT name FROM pragma_pragma_list", rules_name_pragma, 50);
}

static void every_function_of_this_sqlite_is_decided(void **state)
{
	(void)state;
	expect_named("SELECT DISTINCT name FROM pragma_function_list", rules_name_function, 80);
}

static void every_module_of_this_sqlite_is_decided(void **state)
{
	(void)state;
	expect_named("SELECT DISTINCT name FROM pragma_module_list", rules_name_module, 5);
}

static void what_is_not_named_is_denied(void **state)
{
	(void)state;
	assert_int_equal(rules_pragma("no_such"), PRAGMA_DENIED);
	assert_int_equal(rules_function("no_such"), FUNCTION_DENIED);
	assert_false(rules_name_pragma("no_such"));
	assert_false(rules_name_function("no_such"));
	assert_false(rules_name_module("no_such"));
	assert_false(rules_name_module("pragma_no_such"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pragma_of_this_sqlite_is_decided),
		cmocka_unit_test(every_function_of_this_sqlite_is_decided),
		cmocka_unit_test(every_module_of_this_sqlite_is_decided),
		cmocka_unit_test(what_is_not_named_is_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
