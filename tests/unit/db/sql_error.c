#include "db/sql_error.h"

#include "db/client.h"

static void constraint_errors_have_extended_codes(void **state)
{
	static const struct {
		const char *sql;
		const char *extended;
		const char *message;
	} table[] = {
		{ "INSERT INTO t(id) VALUES (1)", "SQLITE_CONSTRAINT_PRIMARYKEY",
		  "SQLite error: UNIQUE constraint failed: t.id" },
		{ "INSERT INTO t(u) VALUES (1)", "SQLITE_CONSTRAINT_UNIQUE",
		  "SQLite error: UNIQUE constraint failed: t.u" },
		{ "INSERT INTO t(n) VALUES (NULL)", "SQLITE_CONSTRAINT_NOTNULL",
		  "SQLite error: NOT NULL constraint failed: t.n" },
		{ "INSERT INTO t(c) VALUES (0)", "SQLITE_CONSTRAINT_CHECK",
		  "SQLite error: CHECK constraint failed: c > 0" },
		{ "INSERT INTO t(p) VALUES (99)", "SQLITE_CONSTRAINT_FOREIGNKEY",
		  "SQLite error: FOREIGN KEY constraint failed" },
		{ "DELETE FROM t", "SQLITE_CONSTRAINT_TRIGGER", "SQLite error: never" },
	};
	struct client *f = *state;

	client_run(f, "CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, n NOT NULL DEFAULT 1, "
		      "c CHECK(c > 0), p REFERENCES t(id))");
	client_run(f,
		   "CREATE TRIGGER d BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, 'never'); END");
	client_run(f, "INSERT INTO t(id, u) VALUES (1, 1)");
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct stmt *st = client_prepare(f, table[i].sql);
		assert_int_equal(stmt_step(st, &f->e), STMT_FAILED);
		assert_string_equal(f->e.code, "SQLITE_CONSTRAINT");
		assert_string_equal(f->e.extended_code, table[i].extended);
		assert_string_equal(f->e.message, table[i].message);
		stmt_free(st);
	}
}

static void other_failures_have_base_codes(void **state)
{
	struct client *f = *state;
	struct userdb *other = scratch_open(&f->scratch);

	client_run(f, "CREATE TABLE t(id INTEGER PRIMARY KEY)");
	run_sql(other, "BEGIN IMMEDIATE");
	struct stmt *st = client_prepare(f, "DELETE FROM t");
	assert_int_equal(stmt_step(st, &f->e), STMT_FAILED);
	assert_string_equal(f->e.code, "SQLITE_BUSY");
	assert_null(f->e.extended_code);
	stmt_free(st);
	userdb_close(other);

	st = client_prepare(f, "INSERT INTO t VALUES ('x')");
	assert_int_equal(stmt_step(st, &f->e), STMT_FAILED);
	assert_string_equal(f->e.code, "SQLITE_MISMATCH");
	stmt_free(st);

	st = client_prepare(f, "COMMIT");
	assert_int_equal(stmt_step(st, &f->e), STMT_FAILED);
	assert_string_equal(f->e.code, "SQLITE_UNKNOWN");
	assert_string_equal(f->e.message, "SQLite error: cannot commit - no transaction is active");
	stmt_free(st);
}

/* What SQLite says of a text decides, since its code is the same for all of these. */
static void text_that_is_wrong_is_told_from_one_that_means_nothing(void **state)
{
	static const struct {
		const char *sql;
		const char *code;
	} table[] = {
		{ "SELEC 1", "SQL_PARSE_ERROR" },
		{ "SELECT (1", "SQL_PARSE_ERROR" },
		{ "SELECT 'x", "SQL_PARSE_ERROR" },
		{ "SELECT missing", "SQL_INPUT_ERROR" },
		{ "SELECT missing(1)", "SQL_INPUT_ERROR" },
		{ "SELECT * FROM missing", "SQLITE_UNKNOWN" },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		client_expect_refused(*state, table[i].sql, strlen(table[i].sql), table[i].code);
}

static void write_of_a_reader_is_refused_before_and_while_it_runs(void **state)
{
	struct client *c = *state;

	client_run(c, "CREATE TABLE t(a)");
	struct stmt *st = client_prepare(c, "INSERT INTO t VALUES (1)");
	sandbox_allow_writes(c->sandbox, false);
	client_expect_refused(c, "DELETE FROM t", 13, "SQLITE_READONLY");
	assert_string_equal(c->e.message, "the token allows reading only");
	assert_int_equal(stmt_step(st, &c->e), STMT_FAILED);
	assert_string_equal(c->e.code, "SQLITE_READONLY");
	assert_string_equal(c->e.message, "the token allows reading only");
	stmt_free(st);
}

static void connection_with_a_damaged_file_is_not_kept(void **state)
{
	struct client *c = *state;

	client_run(c, "CREATE TABLE t(a)");
	assert_false(sandbox_tainted(c->sandbox));
	foreign_run(&c->scratch, "PRAGMA writable_schema = ON;"
				 "UPDATE sqlite_schema SET rootpage = 99;"
				 "PRAGMA schema_version = 1000");
	struct stmt *st = client_prepare(c, "SELECT a FROM t");
	assert_int_equal(stmt_step(st, &c->e), STMT_FAILED);
	assert_string_equal(c->e.code, "SQLITE_CORRUPT");
	stmt_free(st);
	assert_true(sandbox_tainted(c->sandbox));
}

static void message_that_is_too_long_is_cut(void **state)
{
	struct sql_error e;

	(void)state;
	sql_error_set(&e, "ARGS_INVALID", "%01000d", 7);
	assert_int_equal(strlen(e.message), sizeof e.message - 1);
	assert_null(e.extended_code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, client_set_up, client_tear_down)
		TEST(constraint_errors_have_extended_codes),
		TEST(other_failures_have_base_codes),
		TEST(text_that_is_wrong_is_told_from_one_that_means_nothing),
		TEST(write_of_a_reader_is_refused_before_and_while_it_runs),
		TEST(connection_with_a_damaged_file_is_not_kept),
		TEST(message_that_is_too_long_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
