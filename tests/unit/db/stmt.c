#include "db/stmt.h"

#include "db/client.h"

static void text_that_is_not_one_statement_is_refused(void **state)
{
	static const struct {
		const char *sql;
		const char *code;
	} table[] = {
		{ "", "SQL_NO_STATEMENT" },
		{ " \t\n", "SQL_NO_STATEMENT" },
		{ ";;", "SQL_NO_STATEMENT" },
		{ "-- x", "SQL_NO_STATEMENT" },
		{ "/* x", "SQL_NO_STATEMENT" },
		{ "SELECT 1;SELECT 2", "SQL_MANY_STATEMENTS" },
		{ "SELECT 1; x", "SQL_MANY_STATEMENTS" },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		client_expect_refused(*state, table[i].sql, strlen(table[i].sql), table[i].code);
}

static void nul_in_the_text_is_refused_wherever_it_is(void **state)
{
	static const struct {
		const char *sql;
		size_t len;
	} table[] = {
		{ "SELECT 1\0", 9 },	 { "SELECT 1\0; DROP TABLE t", 24 },
		{ "\0SELECT 1", 9 },	 { "SELECT 'a\0b'", 12 },
		{ "SELECT 1 --\0", 12 },
	};
	struct client *f = *state;
	struct sql_error e;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		client_expect_refused(f, table[i].sql, table[i].len, "SQL_PARSE_ERROR");

	struct stmt *st;
	size_t used;
	static const char two[] = "SELECT 1;\0SELECT 2";
	assert_int_equal(stmt_prepare_next(f->sandbox, two, sizeof two - 1, &used, &st, &e),
			 STMT_READY);
	stmt_free(st);
	assert_int_equal(
		stmt_prepare_next(f->sandbox, two + used, sizeof two - 1 - used, &used, &st, &e),
		STMT_REFUSED);
	assert_string_equal(e.code, "SQL_PARSE_ERROR");
}

static void one_statement_may_be_followed_by_nothing(void **state)
{
	static const char *const texts[] = {
		"SELECT 1",
		"SELECT 1;",
		" ; SELECT 1 ; ; ",
		"SELECT 1; -- x",
		"SELECT 1; /* x */ --",
		"-- x\nSELECT 1\n",
		"SELECT 1;/*",
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		stmt_free(client_prepare(*state, texts[i]));
}

static void longer_text_is_gone_through_one_by_one(void **state)
{
	static const char sql[] = "CREATE TABLE t(a);; INSERT INTO t VALUES (1); -- x\nPRAGMA "
				  "foreign_keys=OFF; BEGIN READONLY; SELECT a FROM t /* end */ ";
	struct client *f = *state;
	size_t at = 0, used, n = 0;
	struct stmt *st;

	while (stmt_prepare_next(f->sandbox, sql + at, sizeof sql - 1 - at, &used, &st, &f->e) ==
	       STMT_READY) {
		while (stmt_step(st, &f->e) == STMT_ROW)
			;
		stmt_free(st);
		at += used;
		n++;
	}
	assert_int_equal(n, 5);
	assert_int_equal(at + used, sizeof sql - 1);
	assert_true(sandbox_in_transaction(f->sandbox));
	assert_int_equal(number_of(f->db, "SELECT a FROM t"), 1);
	assert_int_equal(number_of(f->db, "PRAGMA foreign_keys"), 0);
}

static void begin_readonly_is_begin(void **state)
{
	static const char *const texts[] = { "BEGIN READONLY", " begin\n ReadOnly ;",
					     "BEGIN TRANSACTION READONLY" };
	struct client *f = *state;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		client_run(f, texts[i]);
		assert_true(sandbox_in_transaction(f->sandbox));
		client_run(f, "ROLLBACK");
	}
	client_expect_refused(f, "BEGIN READONLYX", 15, "SQL_PARSE_ERROR");
	client_expect_refused(f, "BEGIN READONLY x", 16, "SQL_PARSE_ERROR");
	client_expect_refused(f, "BEGIN READONLY; SELECT 1", 24, "SQL_MANY_STATEMENTS");
}

static void values_of_all_types_come_back(void **state)
{
	static const struct stmt_value values[] = {
		{ .type = STMT_NULL },
		{ .type = STMT_INTEGER, .integer = INT64_MIN },
		{ .type = STMT_INTEGER, .integer = INT64_MAX },
		{ .type = STMT_REAL, .real = 5e-324 },
		{ .type = STMT_TEXT, .bytes = "a\0b", .len = 3 },
		{ .type = STMT_TEXT, .bytes = NULL, .len = 0 },
		{ .type = STMT_BLOB, .bytes = "\0\xff", .len = 2 },
		{ .type = STMT_BLOB, .bytes = NULL, .len = 0 },
	};
	struct client *f = *state;

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct stmt *st = client_prepare(f, "SELECT ?");
		struct stmt_value back;
		assert_int_equal(stmt_bind_next(st, &values[i], &f->e), 0);
		assert_int_equal(stmt_bind_end(st, &f->e), 0);
		assert_int_equal(stmt_step(st, &f->e), STMT_ROW);
		stmt_column(st, 0, &back);
		assert_int_equal(back.type, values[i].type);
		assert_true(back.integer == values[i].integer);
		assert_memory_equal(&back.real, &values[i].real, sizeof back.real);
		assert_int_equal(back.len, values[i].len);
		if (back.len > 0)
			assert_memory_equal(back.bytes, values[i].bytes, back.len);
		assert_int_equal(stmt_step(st, &f->e), STMT_DONE);
		stmt_free(st);
	}
}

/* Binds integers 1, 2, ... under the names, or in order where a name is "". */
static const char *bind_code(struct client *f, const char *sql, const char *const *names)
{
	struct stmt *st = client_prepare(f, sql);
	struct stmt_value v = { .type = STMT_INTEGER };
	int result = 0;

	f->e.code = "";
	for (; *names != NULL && result == 0; names++) {
		v.integer++;
		result = **names == '\0' ? stmt_bind_next(st, &v, &f->e)
					 : stmt_bind_name(st, *names, strlen(*names), &v, &f->e);
	}
	if (result == 0)
		result = stmt_bind_end(st, &f->e);
	stmt_free(st);
	return result == 0 ? "" : f->e.code;
}

static void arguments_must_fit_exactly(void **state)
{
	static const struct {
		const char *sql;
		const char *names[5];
		const char *code;
	} table[] = {
		{ "SELECT 1", { NULL }, "" },
		{ "SELECT 1", { "", NULL }, "ARGS_INVALID" },
		{ "SELECT ?", { NULL }, "ARGS_INVALID" },
		{ "SELECT ?", { "", NULL }, "" },
		{ "SELECT ?", { "", "", NULL }, "ARGS_INVALID" },
		{ "SELECT ?, ?", { "", NULL }, "ARGS_INVALID" },
		{ "SELECT ?1, ?4", { "", "", "", "", NULL }, "" },
		{ "SELECT ?1, ?4", { "", "", "", NULL }, "ARGS_INVALID" },
		{ "SELECT :a", { "a", NULL }, "" },
		{ "SELECT :a", { ":a", NULL }, "" },
		{ "SELECT @a", { "a", NULL }, "" },
		{ "SELECT $a", { "$a", NULL }, "" },
		{ "SELECT $a", { "a", "other", NULL }, "" },
		{ "SELECT :a, @a, $a", { "a", NULL }, "" },
		{ "SELECT :a", { "@a", NULL }, "ARGS_INVALID" },
		{ "SELECT :a", { "b", NULL }, "ARGS_INVALID" },
		{ "SELECT :a, :b", { "a", NULL }, "ARGS_INVALID" },
		{ "SELECT :a, :b, :a", { "a", "b", NULL }, "" },
		{ "SELECT ?1", { "?1", NULL }, "" },
		{ "SELECT ?", { "a", NULL }, "ARGS_INVALID" },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		const char *code = bind_code(*state, table[i].sql, table[i].names);
		if (strcmp(code, table[i].code) != 0)
			fail_msg("%s (row %zu): got \"%s\"", table[i].sql, i, code);
	}
}

static void name_with_a_nul_is_nobodys(void **state)
{
	struct client *f = *state;
	struct stmt *st = client_prepare(f, "SELECT :a");
	const struct stmt_value v = { .type = STMT_NULL };

	assert_int_equal(stmt_bind_name(st, "a\0", 2, &v, &f->e), 0);
	assert_int_equal(stmt_bind_end(st, &f->e), -1);
	stmt_free(st);
}

static void effects_are_those_of_the_statement(void **state)
{
	static const struct {
		const char *sql;
		int64_t affected;
		int64_t written;
		int64_t rowid; /* 0: none */
	} table[] = {
		{ "CREATE TABLE t(id INTEGER PRIMARY KEY, a)", 0, 0, 0 },
		{ "CREATE TABLE log(a)", 0, 0, 0 },
		{ "INSERT INTO t(a) VALUES (1), (2), (3)", 3, 3, 3 },
		{ "SELECT * FROM t", 0, 0, 0 },
		{ "CREATE TABLE u AS SELECT * FROM t", 0, 0, 0 },
		{ "UPDATE t SET a = 0 WHERE id > 1", 2, 2, 3 },
		{ "UPDATE t SET a = 0 WHERE id > 9", 0, 0, 3 },
		{ "DELETE FROM t WHERE id = 1", 1, 1, 3 },
		{ "BEGIN", 0, 0, 0 },
		{ "INSERT INTO t(id) VALUES (10)", 1, 1, 10 },
		{ "COMMIT", 0, 0, 0 },
		{ "CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1), (2); END",
		  0, 0, 0 },
		{ "INSERT INTO t(id) VALUES (20)", 1, 3, 20 },
		{ "INSERT INTO t(id) VALUES (21), (22) RETURNING id", 2, 6, 22 },
		{ "INSERT OR IGNORE INTO t(id) VALUES (22)", 0, 0, 22 },
		{ "EXPLAIN INSERT INTO t(id) VALUES (30)", 0, 0, 0 },
		{ "ALTER TABLE t ADD COLUMN b", 0, 0, 0 },
		{ "DROP TABLE u", 0, 0, 0 },
		{ "PRAGMA user_version=3", 0, 0, 0 },
		{ "PRAGMA foreign_keys=OFF", 0, 0, 0 },
		{ "ANALYZE", 0, 0, 0 },
		{ "VACUUM", 0, 0, 0 },
		{ "DELETE FROM t", 6, 6, 22 },
	};
	struct client *f = *state;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct stmt_effect e = client_run(f, table[i].sql);
		/* VACUUM may leave any value in the connection. */
		bool rowid_fits = e.has_rowid == (table[i].rowid != 0) &&
				  (!e.has_rowid || e.last_rowid == table[i].rowid ||
				   i == sizeof table / sizeof *table - 1);
		if (e.affected != table[i].affected ||
		    (int64_t)e.rows_written != table[i].written || !rowid_fits)
			fail_msg("%s: got %lld affected, %llu written, rowid %lld", table[i].sql,
				 (long long)e.affected, (unsigned long long)e.rows_written,
				 (long long)(e.has_rowid ? e.last_rowid : 0));
		assert_true(e.ms >= 0);
	}
	assert_int_equal(client_run(f, "SELECT 1 UNION SELECT 2").rows_read, 2);
}

static void aborted_write_has_no_effect(void **state)
{
	struct client *f = *state;

	client_run(f, "CREATE TABLE t(a)");
	struct stmt *st = client_prepare(f, "INSERT INTO t VALUES (1), (2) RETURNING a");
	assert_int_equal(stmt_step(st, &f->e), STMT_ROW);
	stmt_abort(st);
	stmt_free(st);
	assert_int_equal(number_of(f->db, "SELECT count(*) FROM t"), 0);
	assert_int_equal(client_run(f, "INSERT INTO t VALUES (3)").affected, 1);
}

static void aborted_read_leaves_the_transaction_alone(void **state)
{
	struct client *f = *state;

	client_run(f, "CREATE TABLE t(a)");
	client_run(f, "BEGIN");
	client_run(f, "INSERT INTO t VALUES (1), (2)");
	struct stmt *st = client_prepare(f, "SELECT * FROM t");
	assert_int_equal(stmt_step(st, &f->e), STMT_ROW);
	stmt_abort(st);
	stmt_free(st);
	assert_true(sandbox_in_transaction(f->sandbox));
	client_run(f, "COMMIT");
	assert_int_equal(number_of(f->db, "SELECT count(*) FROM t"), 2);
}

static void columns_follow_a_schema_that_changed_after_preparing(void **state)
{
	struct client *f = *state;
	struct userdb *other = scratch_open(&f->scratch);

	client_run(f, "CREATE TABLE t(a INT)");
	client_run(f, "INSERT INTO t VALUES (1)");
	struct stmt *st = client_prepare(f, "SELECT *, a + 1 FROM t");
	run_sql(other, "ALTER TABLE t ADD COLUMN b TEXT");
	assert_int_equal(stmt_step(st, &f->e), STMT_ROW);
	assert_int_equal(stmt_column_count(st), 3);
	assert_string_equal(stmt_column_name(st, 1), "b");
	assert_string_equal(stmt_column_decltype(st, 0), "INT");
	assert_null(stmt_column_decltype(st, 2));
	stmt_free(st);
	userdb_close(other);
}

static void failed_write_to_a_full_text_table_keeps_no_snapshot(void **state)
{
	struct client *f = *state;
	struct userdb *other = scratch_open(&f->scratch);

	client_run(f, "CREATE VIRTUAL TABLE page USING fts5(body)");
	client_run(f, "CREATE TABLE t(a)");
	struct stmt *st =
		client_prepare(f, "INSERT INTO page SELECT iif(value = 3, json('{'), value) "
				  "FROM json_each('[1,2,3]')");
	assert_int_equal(stmt_step(st, &f->e), STMT_FAILED);
	stmt_free(st);
	run_sql(other, "INSERT INTO t VALUES (1)");
	assert_int_equal(client_run(f, "DELETE FROM t").affected, 1);
	assert_false(sandbox_tainted(f->sandbox));
	userdb_close(other);
}

static void statement_describes_itself(void **state)
{
	struct client *f = *state;
	struct stmt *st = client_prepare(f, "SELECT ?1, :a, ?4, @b");

	assert_int_equal(stmt_param_count(st), 5);
	assert_string_equal(stmt_param_name(st, 1), "?1");
	assert_string_equal(stmt_param_name(st, 2), ":a");
	assert_null(stmt_param_name(st, 3));
	assert_string_equal(stmt_param_name(st, 4), "?4");
	assert_string_equal(stmt_param_name(st, 5), "@b");
	assert_true(stmt_is_readonly(st));
	assert_false(stmt_is_explain(st));
	stmt_free(st);

	st = client_prepare(f, "EXPLAIN QUERY PLAN SELECT 1");
	assert_true(stmt_is_explain(st));
	stmt_free(st);
	st = client_prepare(f, "CREATE TABLE t(a)");
	assert_false(stmt_is_readonly(st));
	stmt_free(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, client_set_up, client_tear_down)
		TEST(text_that_is_not_one_statement_is_refused),
		TEST(nul_in_the_text_is_refused_wherever_it_is),
		TEST(one_statement_may_be_followed_by_nothing),
		TEST(longer_text_is_gone_through_one_by_one),
		TEST(begin_readonly_is_begin),
		TEST(values_of_all_types_come_back),
		TEST(arguments_must_fit_exactly),
		TEST(name_with_a_nul_is_nobodys),
		TEST(effects_are_those_of_the_statement),
		TEST(aborted_write_has_no_effect),
		TEST(aborted_read_leaves_the_transaction_alone),
		TEST(columns_follow_a_schema_that_changed_after_preparing),
		TEST(failed_write_to_a_full_text_table_keeps_no_snapshot),
		TEST(statement_describes_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
