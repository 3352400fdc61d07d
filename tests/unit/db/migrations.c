#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "db/client.h"
#include "db/migrations.h"

/* A database of a program with migrations, and a folder for them. */
struct fixture {
	struct client *client;
	char dir[128];
};

static int set_up(void **state)
{
	static const struct userdb_limits limits = {
		.max_db_bytes = 64 << 20,
		.max_result_bytes = 1 << 20,
		.statement_ms = 1000,
		.lock_wait_ms = 20,
		.max_sql_bytes = 100000,
		.has_migrations = true,
	};
	struct fixture *f = calloc(1, sizeof *f);

	f->client = client_new(&limits);
	(void)snprintf(f->dir, sizeof f->dir, "%s/migrations", f->client->scratch.dir);
	assert_int_equal(mkdir(f->dir, 0700), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	void *client = f->client;

	client_tear_down(&client);
	free(f);
	return 0;
}

static void add(struct fixture *f, const char *name, const char *sql)
{
	char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(sql, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static struct migrations *read_them(const struct fixture *f)
{
	char why[MIGRATIONS_WHY_MAX];
	struct migrations *m = migrations_read(f->dir, why);

	if (m == NULL)
		fail_msg("%s", why);
	return m;
}

static enum migrations_result run(struct fixture *f, struct migrations_outcome *o)
{
	struct migrations *m = read_them(f);
	enum migrations_result result = migrations_run(m, f->client->db, o);

	migrations_free(m);
	return result;
}

static int64_t number(struct fixture *f, const char *sql)
{
	struct stmt_value v;
	struct stmt *st;

	sandbox_begin_request(f->client->sandbox, true);
	st = client_prepare(f->client, sql);
	assert_int_equal(stmt_step(st, &f->client->e), STMT_ROW);
	stmt_column(st, 0, &v);
	stmt_free(st);
	sandbox_end_request(f->client->sandbox);
	return v.integer;
}

static void database_gets_what_it_has_not_had(void **state)
{
	struct fixture *f = *state;
	struct migrations_outcome o;

	add(f, "0001-note.sql", "CREATE TABLE note(text); -- first\n");
	add(f, "2.sql", "CREATE TABLE tag(text); INSERT INTO tag VALUES ('a'), ('b')");
	add(f, "README", "no SQL");
	assert_int_equal(run(f, &o), MIGRATIONS_DONE);
	assert_int_equal(o.from, 0);
	assert_int_equal(o.to, 2);
	assert_int_equal(number(f, "PRAGMA user_version"), 2);
	assert_int_equal(number(f, "SELECT count(*) FROM tag"), 2);

	assert_int_equal(run(f, &o), MIGRATIONS_CURRENT);
	add(f, "0003.sql", "ALTER TABLE note ADD COLUMN at;\nUPDATE tag SET text = 'c';\n");
	uint64_t before = userdb_commits(f->client->db);
	assert_int_equal(run(f, &o), MIGRATIONS_DONE);
	assert_int_equal(o.from, 2);
	assert_int_equal(userdb_commits(f->client->db), before + 1);
	assert_int_equal(number(f, "SELECT count(*) FROM tag WHERE text = 'c'"), 2);
}

static void failed_migration_leaves_the_version_before(void **state)
{
	struct fixture *f = *state;
	struct migrations_outcome o;

	add(f, "1.sql", "CREATE TABLE note(text)");
	assert_int_equal(run(f, &o), MIGRATIONS_DONE);
	add(f, "2.sql", "CREATE TABLE tag(text)");
	add(f, "3.sql", "INSERT INTO nowhere VALUES (1)");
	assert_int_equal(run(f, &o), MIGRATIONS_FAILED);
	assert_int_equal(o.from, 1);
	assert_int_equal(o.failed, 3);
	assert_non_null(strstr(o.error.message, "nowhere"));
	assert_int_equal(number(f, "PRAGMA user_version"), 1);
	assert_int_equal(number(f, "SELECT count(*) FROM sqlite_schema"), 1);

	add(f, "3.sql", "INSERT INTO tag VALUES (1)");
	assert_int_equal(run(f, &o), MIGRATIONS_DONE);
	assert_int_equal(number(f, "SELECT count(*) FROM tag"), 1);
}

static void migration_has_the_rights_of_a_user_and_one_transaction(void **state)
{
	struct fixture *f = *state;
	static const char *const denied[] = {
		"COMMIT; CREATE TABLE a(x)",
		"CREATE TABLE a(x); ROLLBACK; CREATE TABLE b(x)",
		"END",
		"BEGIN",
		"ATTACH '/tmp/x' AS x",
		"PRAGMA journal_mode=DELETE",
		"PRAGMA user_version=9",
		"CREATE TABLE a(x); VACUUM INTO '/tmp/x'",
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) "
		"FROM c",
	};
	struct migrations_outcome o;

	for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) {
		add(f, "1.sql", denied[i]);
		assert_int_equal(run(f, &o), MIGRATIONS_FAILED);
		assert_int_equal(o.failed, 1);
		assert_int_equal(number(f, "SELECT count(*) FROM sqlite_schema"), 0);
		assert_int_equal(number(f, "PRAGMA user_version"), 0);
	}
}

static void table_may_be_made_anew_but_leaves_nobody_without_a_parent(void **state)
{
	struct fixture *f = *state;
	struct migrations_outcome o;

	add(f, "1.sql",
	    "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p(id));"
	    "INSERT INTO p VALUES (1); INSERT INTO c VALUES (1)");
	assert_int_equal(run(f, &o), MIGRATIONS_DONE);
	add(f, "2.sql",
	    "CREATE TABLE q(id INTEGER PRIMARY KEY, x); INSERT INTO q SELECT id, 0 FROM p;"
	    "DROP TABLE p; ALTER TABLE q RENAME TO p");
	assert_int_equal(run(f, &o), MIGRATIONS_DONE);
	assert_int_equal(number(f, "SELECT count(*) FROM c"), 1);

	add(f, "3.sql", "DELETE FROM p");
	assert_int_equal(run(f, &o), MIGRATIONS_FAILED);
	assert_string_equal(o.error.code, "SQLITE_CONSTRAINT");
	assert_int_equal(number(f, "SELECT count(*) FROM p"), 1);
	assert_int_equal(number(f, "PRAGMA foreign_keys"), 1);
}

static void locked_database_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct migrations_outcome o;
	struct userdb *other = scratch_open(&f->client->scratch);

	add(f, "1.sql", "CREATE TABLE note(text)");
	run_sql(other, "BEGIN IMMEDIATE");
	userdb_set_patience(f->client->db, 5, NULL, NULL);
	assert_int_equal(run(f, &o), MIGRATIONS_BUSY);
	run_sql(other, "ROLLBACK");
	assert_int_equal(run(f, &o), MIGRATIONS_DONE);
	userdb_close(other);
}

static void folder_that_is_not_in_order_is_refused(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *name;
		const char *why;
	} cases[] = {
		{ "3.sql", "no number 2" },
		{ "0001-again.sql", "number of another" },
		{ "x.sql", "does not begin with a number" },
		{ "0.sql", "does not begin with a number" },
		{ "10000.sql", "does not begin with a number" },
	};
	char why[MIGRATIONS_WHY_MAX], path[256];

	assert_null(migrations_read("/nowhere/at/all", why));
	assert_non_null(strstr(why, "/nowhere/at/all"));
	add(f, "1.sql", "");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		add(f, cases[i].name, "");
		assert_null(migrations_read(f->dir, why));
		if (strstr(why, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].name, why);
		(void)snprintf(path, sizeof path, "%s/%s", f->dir, cases[i].name);
		assert_int_equal(unlink(path), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(database_gets_what_it_has_not_had, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(failed_migration_leaves_the_version_before, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			migration_has_the_rights_of_a_user_and_one_transaction, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			table_may_be_made_anew_but_leaves_nobody_without_a_parent, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(locked_database_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(folder_that_is_not_in_order_is_refused, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
