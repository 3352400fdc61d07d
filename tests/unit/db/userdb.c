#include "db/userdb.h"

#include "db/scratch.h"

#include <dirent.h>
#include <sys/stat.h>

static const struct userdb_limits limits = {
	.max_db_bytes = 40 * 4096,
	.max_result_bytes = 1 << 20,
	.statement_ms = 1000,
	.lock_wait_ms = 100,
	.max_sql_bytes = 1 << 20,
};

static struct userdb *open_client(const struct scratch *s)
{
	struct userdb *u = NULL;

	assert_int_equal(userdb_open(s->db, USERDB_CLIENT, &limits, &u), USERDB_OK);
	return u;
}

static int nentries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void created_database_is_empty_private_and_alone_in_its_folder(void **state)
{
	struct scratch *s = *state;

	mode_t before = umask(0);
	assert_int_equal(userdb_create(s->db), USERDB_OK);
	assert_int_equal(nentries(s->dir), 1);
	assert_int_equal(mode_of(s->db), 0600);

	struct userdb *u = scratch_open(s);
	assert_int_equal(number_of(u, "SELECT count(*) FROM sqlite_schema"), 0);
	assert_int_equal(number_of(u, "SELECT (SELECT * FROM pragma_journal_mode) = 'wal'"), 1);
	assert_int_equal(number_of(u, "SELECT * FROM pragma_page_size"), 4096);
	assert_int_equal(number_of(u, "SELECT * FROM pragma_page_count"), 1);
	run_sql(u, "CREATE TABLE t(a)");
	assert_int_equal(mode_of(s->wal), 0600);
	userdb_close(u);
	umask(before);
}

static void creating_again_keeps_what_is_there(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(userdb_create(s->db), USERDB_OK);
	struct userdb *u = scratch_open(s);
	run_sql(u, "CREATE TABLE t(a); INSERT INTO t VALUES(7)");
	userdb_close(u);
	assert_int_equal(userdb_create(s->db), USERDB_OK);
	u = scratch_open(s);
	assert_int_equal(number_of(u, "SELECT a FROM t"), 7);
	userdb_close(u);
}

static void create_without_its_folder_fails(void **state)
{
	struct scratch *s = *state;
	char path[160];

	(void)snprintf(path, sizeof path, "%s/none/db.sqlite", s->dir);
	assert_int_equal(userdb_create(path), USERDB_FAILED);
}

static void open_of_an_absent_file_is_absent_and_makes_nothing(void **state)
{
	struct scratch *s = *state;
	struct userdb *u = NULL;

	assert_int_equal(userdb_open(s->db, USERDB_INTERNAL, NULL, &u), USERDB_ABSENT);
	assert_null(u);
	assert_int_equal(nentries(s->dir), 0);
}

static void open_of_a_file_that_is_no_database_fails(void **state)
{
	struct scratch *s = *state;
	struct userdb *u = NULL;
	FILE *f = fopen(s->db, "w");

	assert_non_null(f);
	for (int i = 0; i < 4096; i++)
		assert_true(fputc('x', f) != EOF);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(userdb_open(s->db, USERDB_CLIENT, &limits, &u), USERDB_FAILED);
	assert_null(u);
}

static void open_of_a_database_in_exclusive_use_is_busy(void **state)
{
	struct scratch *s = *state;
	struct userdb *u = NULL;
	struct sqlite3 *tool = NULL;

	assert_int_equal(userdb_create(s->db), USERDB_OK);
	assert_int_equal(sqlite3_open(s->db, &tool), SQLITE_OK);
	assert_int_equal(sqlite3_exec(tool, "PRAGMA locking_mode=EXCLUSIVE; BEGIN IMMEDIATE", NULL,
				      NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(userdb_open(s->db, USERDB_INTERNAL, NULL, &u), USERDB_BUSY);
	assert_null(u);
	assert_int_equal(sqlite3_close(tool), SQLITE_OK);
	assert_int_equal(userdb_open(s->db, USERDB_INTERNAL, NULL, &u), USERDB_OK);
	userdb_close(u);
}

static void connection_has_the_settings_that_the_promises_rest_on(void **state)
{
	struct scratch *s = *state;
	int no_checkpoint = 0;

	assert_int_equal(userdb_create(s->db), USERDB_OK);
	struct userdb *u = open_client(s);
	assert_int_equal(number_of(u, "SELECT * FROM pragma_synchronous"), 2);
	assert_int_equal(number_of(u, "SELECT * FROM pragma_foreign_keys"), 1);
	assert_int_equal(number_of(u, "SELECT * FROM pragma_max_page_count"), 40);
	assert_int_equal(number_of(u, "SELECT * FROM pragma_cache_size"), -1024);
	sqlite3_db_config(userdb_sqlite(u), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, -1, &no_checkpoint);
	assert_int_equal(no_checkpoint, 1);
	assert_non_null(userdb_sandbox(u));
	userdb_close(u);

	u = scratch_open(s);
	assert_null(userdb_sandbox(u));
	userdb_close(u);
}

static void file_in_another_journal_mode_is_put_back_into_wal_mode(void **state)
{
	struct scratch *s = *state;

	foreign_run(s, "PRAGMA journal_mode=DELETE; CREATE TABLE t(a); INSERT INTO t VALUES(3)");
	struct userdb *u = open_client(s);
	assert_int_equal(number_of(u, "SELECT a FROM t"), 3);
	run_sql(u, "INSERT INTO t VALUES(4)");
	assert_int_equal(userdb_commits(u), 1);
	userdb_close(u);
	assert_true(access(s->wal, F_OK) == 0);
}

static void wal_is_never_checkpointed_by_writing_or_closing(void **state)
{
	struct scratch *s = *state;
	struct stat before, after, wal;

	assert_int_equal(userdb_create(s->db), USERDB_OK);
	assert_int_equal(stat(s->db, &before), 0);
	struct userdb *u = scratch_open(s);
	run_sql(u, "CREATE TABLE t(a)");
	for (int i = 0; i < 1100; i++)
		run_sql(u, "INSERT INTO t VALUES(randomblob(3000))");
	userdb_close(u);
	assert_int_equal(stat(s->db, &after), 0);
	assert_int_equal(stat(s->wal, &wal), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_true(wal.st_size > 1100 * 4096);
}

static void only_commits_that_add_to_the_wal_are_counted(void **state)
{
	static const struct {
		const char *sql;
		unsigned added;
	} cases[] = {
		{ "CREATE TABLE t(a PRIMARY KEY)", 1 },
		{ "INSERT INTO t VALUES(1)", 1 },
		{ "BEGIN; INSERT INTO t VALUES(2); INSERT INTO t VALUES(3); COMMIT", 1 },
		{ "BEGIN; INSERT INTO t VALUES(4); ROLLBACK", 0 },
		{ "BEGIN IMMEDIATE; COMMIT", 0 },
		{ "BEGIN; SELECT * FROM t; COMMIT", 0 },
		{ "UPDATE t SET a = 9 WHERE a = 77", 0 },
		{ "DELETE FROM t WHERE a = 77", 0 },
		{ "INSERT OR IGNORE INTO t VALUES(1)", 0 },
		{ "CREATE TABLE IF NOT EXISTS t(a)", 0 },
		{ "SELECT * FROM t", 0 },
		{ "CREATE TEMP TABLE x(a); INSERT INTO x VALUES(1)", 0 },
		{ "SAVEPOINT p; INSERT INTO t VALUES(5); RELEASE p", 1 },
		/* The page is written as it was before: SQLite's answer counts. */
		{ "SAVEPOINT p; INSERT INTO t VALUES(6); ROLLBACK TO p; RELEASE p", 1 },
		{ "DELETE FROM t", 1 },
	};
	struct scratch *s = *state;

	assert_int_equal(userdb_create(s->db), USERDB_OK);
	struct userdb *u = scratch_open(s);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint64_t before = userdb_commits(u);
		run_sql(u, cases[i].sql);
		if (userdb_commits(u) - before != cases[i].added)
			fail_msg("%s: got %d, want %u", cases[i].sql,
				 (int)(userdb_commits(u) - before), cases[i].added);
	}
	userdb_close(u);
}

static void database_does_not_grow_beyond_its_limit(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(userdb_create(s->db), USERDB_OK);
	struct userdb *u = open_client(s);
	run_sql(u, "CREATE TABLE t(a); INSERT INTO t VALUES(zeroblob(100000))");
	int rc = sqlite3_exec(userdb_sqlite(u), "INSERT INTO t VALUES(zeroblob(100000))", NULL,
			      NULL, NULL);
	assert_int_equal(rc, SQLITE_FULL);
	assert_int_equal(number_of(u, "SELECT count(*) FROM t"), 1);
	userdb_close(u);
}

static void closing_rolls_an_open_transaction_back(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(userdb_create(s->db), USERDB_OK);
	struct userdb *u = open_client(s);
	run_sql(u, "CREATE TABLE t(a); BEGIN; INSERT INTO t VALUES(1)");
	userdb_close(u);
	u = open_client(s);
	assert_int_equal(number_of(u, "SELECT count(*) FROM t"), 0);
	run_sql(u, "INSERT INTO t VALUES(1)");
	userdb_close(u);
}

static void closing_nothing_is_allowed(void **state)
{
	(void)state;
	userdb_close(NULL);
}

static int set_up(void **state)
{
	static struct scratch s;

	scratch_init(&s);
	*state = &s;
	return 0;
}

static int tear_down(void **state)
{
	scratch_release(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void connection_of_our_own_runs_nothing_of_the_users_schema(void **state)
{
	struct scratch *s = *state;

	assert_int_equal(userdb_create(s->db), USERDB_OK);
	foreign_run(s, "PRAGMA journal_mode=WAL; CREATE TABLE t(a); CREATE TABLE log(a);"
		       "CREATE VIEW v AS SELECT 1 FROM log;"
		       "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1); END");
	struct userdb *u = scratch_open(s);
	run_sql(u, "INSERT INTO t VALUES (1)");
	assert_int_equal(number_of(u, "SELECT count(*) FROM log"), 0);
	assert_int_equal(sqlite3_exec(userdb_sqlite(u), "SELECT * FROM v", NULL, NULL, NULL),
			 SQLITE_ERROR);
	assert_int_equal(number_of(u, "PRAGMA trusted_schema"), 0);
	assert_int_equal(number_of(u, "PRAGMA cell_size_check"), 1);
	userdb_close(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(created_database_is_empty_private_and_alone_in_its_folder),
		TEST(creating_again_keeps_what_is_there),
		TEST(create_without_its_folder_fails),
		TEST(open_of_an_absent_file_is_absent_and_makes_nothing),
		TEST(open_of_a_file_that_is_no_database_fails),
		TEST(open_of_a_database_in_exclusive_use_is_busy),
		TEST(connection_has_the_settings_that_the_promises_rest_on),
		TEST(file_in_another_journal_mode_is_put_back_into_wal_mode),
		TEST(wal_is_never_checkpointed_by_writing_or_closing),
		TEST(only_commits_that_add_to_the_wal_are_counted),
		TEST(database_does_not_grow_beyond_its_limit),
		TEST(closing_rolls_an_open_transaction_back),
		TEST(closing_nothing_is_allowed),
		TEST(connection_of_our_own_runs_nothing_of_the_users_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
