#include "db/sandbox.h"

#include "base/buf.h"
#include "base/clock.h"
#include "db/client.h"
#include "db/rules.h"

#include <sys/resource.h>
#include <sys/wait.h>

static const struct userdb_limits limits = {
	.max_db_bytes = 64 << 20,
	.max_result_bytes = 1 << 20,
	.statement_ms = 200,
	.lock_wait_ms = 50,
	.max_sql_bytes = 100000,
};

static int set_up(void **state)
{
	*state = client_new(&limits);
	return 0;
}

/* 0, or -1 with f->e; `first`, if not NULL, gets the first column of the last row. */
static int try(struct client *f, const char *sql, struct stmt_value *first)
{
	struct stmt *st = NULL;
	enum stmt_stepped stepped = STMT_FAILED;

	if (stmt_prepare_one(f->sandbox, sql, strlen(sql), &st, &f->e) < 0)
		return -1;
	do {
		stepped = stmt_step(st, &f->e);
		if (stepped == STMT_ROW && first != NULL)
			stmt_column(st, 0, first);
	} while (stepped == STMT_ROW);
	stmt_free(st);
	return stepped == STMT_DONE ? 0 : -1;
}

static void allow(struct client *f, const char *sql)
{
	if (try(f, sql, NULL) < 0)
		fail_msg("%s: %s", sql, f->e.message);
}

static void refuse(struct client *f, const char *sql, const char *code, const char *message)
{
	if (try(f, sql, NULL) == 0)
		fail_msg("%s: allowed", sql);
	if (strcmp(f->e.code, code) != 0 || strstr(f->e.message, message) == NULL)
		fail_msg("%s: got %s %s", sql, f->e.code, f->e.message);
}

static int64_t integer(struct client *f, const char *sql)
{
	struct stmt_value v = { .type = STMT_NULL };

	if (try(f, sql, &v) < 0)
		fail_msg("%s: %s", sql, f->e.message);
	assert_int_equal(v.type, STMT_INTEGER);
	return v.integer;
}

static void what_reaches_beyond_the_database_is_denied_by_name(void **state)
{
	static const struct {
		const char *sql;
		const char *message;
	} table[] = {
		{ "ATTACH '' AS x", "not allowed here: ATTACH" },
		{ "ATTACH ':memory:' AS x", "not allowed here: ATTACH" },
		{ "ATTACH 'file:/tmp/x?mode=rwc' AS x", "not allowed here: ATTACH" },
		{ "ATTACH DATABASE upper('x') AS x", "not allowed here: ATTACH" },
		{ "DETACH main", "not allowed here: DETACH" },
		{ "VACUUM INTO '/tmp/holdfast-must-not-exist'", "not allowed here: VACUUM INTO" },
		{ "SELECT load_extension('x')", "not allowed here: load_extension" },
		{ "SELECT LOAD_EXTENSION('x', 'y')", "not allowed here: load_extension" },
		{ "SELECT fts3_tokenizer('simple')", "not allowed here: fts3_tokenizer" },
		{ "SELECT sqlite_log(1, 'x')", "not allowed here: sqlite_log" },
	};
	struct client *f = *state;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		refuse(f, table[i].sql, "SQLITE_AUTH", table[i].message);
	assert_int_equal(access("/tmp/holdfast-must-not-exist", F_OK), -1);
	assert_false(sandbox_tainted(f->sandbox));
}

static void pragmas_that_change_the_files_are_denied(void **state)
{
	static const char *const pragmas[] = {
		"PRAGMA journal_mode=DELETE",
		"PRAGMA journal_mode(OFF)",
		"PRAGMA synchronous=OFF",
		"PRAGMA main.synchronous=0",
		"PRAGMA page_size=512",
		"PRAGMA cache_size=1",
		"PRAGMA max_page_count=9",
		"PRAGMA encoding='UTF-16'",
		"PRAGMA locking_mode",
		"PRAGMA locking_mode=EXCLUSIVE",
		"PRAGMA wal_checkpoint",
		"PRAGMA wal_checkpoint(TRUNCATE)",
		"PRAGMA WAL_AutoCheckpoint=1",
		"PRAGMA wal_autocheckpoint",
		"PRAGMA mmap_size=100000",
		"PRAGMA temp_store=MEMORY",
		"PRAGMA temp_store_directory='/tmp'",
		"PRAGMA data_store_directory='/tmp'",
		"PRAGMA writable_schema=ON",
		"PRAGMA trusted_schema=ON",
		"PRAGMA query_only=OFF",
		"PRAGMA query_only",
		"PRAGMA cell_size_check=ON",
		"PRAGMA checkpoint_fullfsync=0",
		"PRAGMA fullfsync=0",
		"PRAGMA read_uncommitted=1",
		"PRAGMA ignore_check_constraints=1",
		"PRAGMA secure_delete=0",
		"PRAGMA shrink_memory",
		"PRAGMA soft_heap_limit=1",
		"PRAGMA hard_heap_limit=1",
		"PRAGMA threads=8",
		"PRAGMA busy_timeout=100000",
		"PRAGMA journal_size_limit=1",
		"PRAGMA schema_version=7",
		"PRAGMA database_list",
		"SELECT * FROM pragma_database_list",
		"PRAGMA no_such_pragma",
	};
	struct client *f = *state;

	for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++)
		refuse(f, pragmas[i], "SQLITE_AUTH", "not allowed here: ");
	refuse(f, "PRAGMA journal_mode=DELETE", "SQLITE_AUTH",
	       "not allowed here: setting PRAGMA journal_mode");
	assert_int_equal(number_of(f->db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"),
			 1);
	assert_int_equal(number_of(f->db, "SELECT * FROM pragma_synchronous"), 2);
}

static void pragmas_that_inform_are_allowed_and_leave_no_trace(void **state)
{
	static const char *const pragmas[] = {
		"PRAGMA table_info(t)",
		"PRAGMA table_xinfo('t')",
		"PRAGMA table_list",
		"PRAGMA index_list(t)",
		"PRAGMA index_info(i)",
		"PRAGMA index_xinfo(i)",
		"PRAGMA foreign_key_list(t)",
		"PRAGMA foreign_key_check",
		"PRAGMA foreign_key_check(t)",
		"PRAGMA integrity_check",
		"PRAGMA quick_check(5)",
		"PRAGMA user_version",
		"PRAGMA user_version=7",
		"PRAGMA application_id=8",
		"PRAGMA foreign_keys",
		"PRAGMA recursive_triggers",
		"PRAGMA encoding",
		"PRAGMA page_size",
		"PRAGMA page_count",
		"PRAGMA freelist_count",
		"PRAGMA max_page_count",
		"PRAGMA journal_mode",
		"PRAGMA synchronous",
		"PRAGMA cache_size",
		"PRAGMA auto_vacuum",
		"PRAGMA incremental_vacuum(1)",
		"PRAGMA optimize",
		"PRAGMA compile_options",
		"PRAGMA function_list",
		"PRAGMA collation_list",
		"PRAGMA data_version",
		"PRAGMA Main.User_Version",
		"PRAGMA defer_foreign_keys",
		"SELECT * FROM pragma_table_info('t')",
		"SELECT * FROM sqlite_schema AS s JOIN pragma_table_xinfo(s.name)",
	};
	struct client *f = *state;

	allow(f, "CREATE TABLE t(a)");
	allow(f, "CREATE INDEX i ON t(a)");
	for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++)
		allow(f, pragmas[i]);
	assert_int_equal(integer(f, "PRAGMA user_version"), 7);
	assert_int_equal(integer(f, "PRAGMA application_id"), 8);
	assert_false(sandbox_tainted(f->sandbox));
}

static void what_sqlite_does_inside_the_database_is_allowed(void **state)
{
	static const char *const statements[] = {
		"CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)",
		"CREATE VIEW v AS SELECT a FROM t",
		"CREATE VIRTUAL TABLE f USING fts5(a, content='t', content_rowid='id')",
		"CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO f(a) VALUES (new.a); END",
		"INSERT INTO t(a) VALUES ('some words'), ('more words')",
		"SELECT * FROM f WHERE f MATCH 'words'",
		"CREATE VIRTUAL TABLE r USING rtree(id, x, y)",
		"INSERT INTO r VALUES (1, 0, 1)",
		"SELECT json_extract('{\"a\":1}', '$.a') FROM json_each('[1]')",
		"ALTER TABLE t ADD COLUMN b",
		"ALTER TABLE t RENAME COLUMN b TO c",
		"ALTER TABLE t DROP COLUMN c",
		"ALTER TABLE t RENAME TO u",
		"ALTER TABLE u RENAME TO t",
		"CREATE TABLE copy AS SELECT * FROM t",
		"ANALYZE",
		"REINDEX",
		"VACUUM",
		"DROP TABLE copy",
		"SAVEPOINT s",
		"ROLLBACK TO s",
		"RELEASE s",
	};
	struct client *f = *state;

	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
		allow(f, statements[i]);
	assert_int_equal(integer(f, "SELECT count(*) FROM f WHERE f MATCH 'words'"), 2);
	assert_false(sandbox_tainted(f->sandbox));
	refuse(f, "DELETE FROM f_data", "SQLITE_UNKNOWN", "may not be modified");
	refuse(f, "UPDATE sqlite_schema SET sql = 'x'", "SQLITE_UNKNOWN", "may not be modified");
}

static void settings_and_temp_objects_taint_once_they_run(void **state)
{
	static const char *const statements[] = {
		"PRAGMA foreign_keys=OFF",
		"PRAGMA recursive_triggers=ON",
		"PRAGMA case_sensitive_like=1",
		"PRAGMA defer_foreign_keys(1)",
		"PRAGMA auto_vacuum=2",
		"PRAGMA temp.user_version=3",
		"CREATE TEMP TABLE x(a)",
		"CREATE TABLE temp.x(a)",
		"CREATE TEMP VIEW y AS SELECT 1",
		"CREATE VIRTUAL TABLE temp.z USING fts5(a)",
		"CREATE TEMP TRIGGER w AFTER INSERT ON t BEGIN SELECT 1; END",
	};

	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
		struct stmt *st = NULL;
		assert_int_equal(set_up(state), 0);
		struct client *f = *state;
		allow(f, "CREATE TABLE t(a)");
		assert_int_equal(stmt_prepare_one(f->sandbox, statements[i], strlen(statements[i]),
						  &st, &f->e),
				 0);
		if (sandbox_tainted(f->sandbox))
			fail_msg("%s taints while it is prepared", statements[i]);
		stmt_free(st);
		allow(f, statements[i]);
		if (!sandbox_tainted(f->sandbox))
			fail_msg("%s does not taint", statements[i]);
		assert_int_equal(client_tear_down(state), 0);
	}
}

static void setting_takes_effect_when_it_runs_and_not_before(void **state)
{
	static const char off[] = "PRAGMA foreign_keys=OFF";
	struct client *f = *state;
	struct stmt *st = NULL;

	assert_int_equal(stmt_prepare_one(f->sandbox, off, sizeof off - 1, &st, &f->e), 0);
	assert_int_equal(integer(f, "PRAGMA foreign_keys"), 1);
	assert_int_equal(stmt_step(st, &f->e), STMT_DONE);
	assert_int_equal(integer(f, "PRAGMA foreign_keys"), 0);
	stmt_free(st);
	allow(f, "PRAGMA case_sensitive_like=ON");
	assert_int_equal(integer(f, "SELECT 'a' LIKE 'A'"), 0);
}

static void open_transaction_ends_with_the_request(void **state)
{
	struct client *f = *state;

	allow(f, "CREATE TABLE t(a)");
	sandbox_begin_request(f->sandbox, true);
	allow(f, "BEGIN");
	allow(f, "INSERT INTO t VALUES (1)");
	assert_true(sandbox_in_transaction(f->sandbox));
	sandbox_end_request(f->sandbox);
	assert_false(sandbox_in_transaction(f->sandbox));
	assert_int_equal(integer(f, "SELECT count(*) FROM t"), 0);
	assert_int_equal(integer(f, "SELECT last_insert_rowid()"), 0);
	assert_false(sandbox_tainted(f->sandbox));
}

static void without_writes_nothing_is_written_by_any_way(void **state)
{
	static const char *const statements[] = {
		"INSERT INTO t VALUES (2)",
		"DELETE FROM t",
		"UPDATE t SET a = 3",
		"CREATE TABLE u(a)",
		"CREATE TEMP TABLE u(a)",
		"DROP TABLE t",
		"BEGIN IMMEDIATE",
		"VACUUM",
		"ANALYZE",
		"PRAGMA user_version=9",
		"PRAGMA auto_vacuum=1",
		"PRAGMA incremental_vacuum",
		"PRAGMA optimize",
		"SELECT optimize(f) FROM f",
		"INSERT INTO f(f) VALUES ('optimize')",
		"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x RETURNING a",
	};
	struct client *f = *state;

	allow(f, "CREATE TABLE t(a)");
	allow(f, "INSERT INTO t VALUES (1)");
	allow(f, "CREATE VIRTUAL TABLE f USING fts4(a)");
	allow(f, "INSERT INTO f VALUES ('one')");
	allow(f, "INSERT INTO f VALUES ('two')");
	uint64_t ncommits = userdb_commits(f->db);
	sandbox_allow_writes(f->sandbox, false);
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
		refuse(f, statements[i], "SQLITE_READONLY", "the token allows reading only");
	refuse(f, "PRAGMA query_only=0", "SQLITE_AUTH", "not allowed here");
	allow(f, "EXPLAIN DELETE FROM t");
	allow(f, "BEGIN");
	assert_int_equal(integer(f, "SELECT count(*) FROM t"), 1);
	allow(f, "COMMIT");
	assert_int_equal(userdb_commits(f->db), ncommits);

	sandbox_allow_writes(f->sandbox, true);
	allow(f, "INSERT INTO t VALUES (2)");
	assert_false(sandbox_tainted(f->sandbox));
}

#define ENDLESS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "

static void statement_beyond_its_time_is_interrupted(void **state)
{
	struct client *f = *state;

	allow(f, "CREATE TABLE t(a)");
	refuse(f, ENDLESS "SELECT count(*) FROM n", "SQLITE_INTERRUPT",
	       "statement took longer than 200 ms");
	refuse(f, ENDLESS "INSERT INTO t SELECT i FROM n", "SQLITE_INTERRUPT",
	       "statement took longer than 200 ms");
	assert_int_equal(integer(f, "SELECT count(*) FROM t"), 0);
}

static void statements_of_one_request_share_a_time(void **state)
{
	struct client *f = *state;
	int ninterrupted = 0;

	sandbox_begin_request(f->sandbox, true);
	while (ninterrupted < 20 && try(f, "SELECT 1", NULL) == 0) {
		refuse(f, ENDLESS "SELECT count(*) FROM n", "SQLITE_INTERRUPT", "took");
		ninterrupted++;
	}
	assert_in_range(ninterrupted, 3, 6);
	assert_string_equal(f->e.message, "the statements of one request took too long together");
	assert_string_equal(f->e.code, "SQLITE_INTERRUPT");
	sandbox_end_request(f->sandbox);
	allow(f, "SELECT 1");
}

static void waiting_for_the_lock_is_not_the_statements_time(void **state)
{
	static const struct userdb_limits hurried = {
		.max_db_bytes = 1 << 20,
		.max_result_bytes = 1 << 20,
		.statement_ms = 1,
		.lock_wait_ms = 100,
		.max_sql_bytes = 1000,
	};
	struct client *f = *state;
	struct userdb *waiting = NULL;
	struct sql_error e;
	struct stmt *st = NULL;

	allow(f, "CREATE TABLE t(a)");
	allow(f, "BEGIN IMMEDIATE");
	assert_int_equal(userdb_open(f->scratch.db, USERDB_CLIENT, &hurried, &waiting), USERDB_OK);
	assert_int_equal(stmt_prepare_one(userdb_sandbox(waiting), "DELETE FROM t", 13, &st, &e),
			 0);
	assert_int_equal(stmt_step(st, &e), STMT_FAILED);
	assert_string_equal(e.code, "SQLITE_BUSY");
	stmt_free(st);
	userdb_close(waiting);
}

static void sizes_are_limited(void **state)
{
	struct client *f = *state;
	struct buf sql = BUF_INIT;

	refuse(f, "SELECT length(zeroblob(2000000))", "SQLITE_TOOBIG", "too big");
	buf_addf(&sql, "SELECT %0100000d", 1);
	refuse(f, sql.data, "SQLITE_TOOBIG", "too big");
	buf_clear(&sql);
	buf_add_text(&sql, "SELECT 1");
	for (int i = 0; i < 1100; i++)
		buf_add_text(&sql, "+1");
	refuse(f, sql.data, "SQLITE_UNKNOWN", "Expression tree is too large");
	buf_release(&sql);
	refuse(f, "SELECT ?32767", "SQL_INPUT_ERROR", "variable number");
}

static void depth_and_number_are_limited(void **state)
{
	struct client *f = *state;
	struct buf sql = BUF_INIT;

	buf_add_text(&sql, "SELECT 1");
	for (int i = 0; i < 500; i++)
		buf_add_text(&sql, " UNION ALL SELECT 1");
	refuse(f, sql.data, "SQLITE_UNKNOWN", "too many terms in compound SELECT");
	buf_clear(&sql);
	buf_add_text(&sql, "SELECT max(1");
	for (int i = 0; i < 100; i++)
		buf_add_text(&sql, ",1");
	buf_add_text(&sql, ")");
	refuse(f, sql.data, "SQL_INPUT_ERROR", "too many arguments on function max");
	buf_clear(&sql);
	buf_add_text(&sql, "SELECT 1");
	for (int i = 0; i < 2000; i++)
		buf_add_text(&sql, ",1");
	refuse(f, sql.data, "SQLITE_UNKNOWN", "too many columns in result set");
	buf_release(&sql);

	allow(f, "CREATE TABLE t(a)");
	allow(f, "CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO t VALUES (new.a + 1); END");
	allow(f, "PRAGMA recursive_triggers = ON");
	refuse(f, "INSERT INTO t VALUES (1)", "SQLITE_UNKNOWN", "too many levels of trigger");
	assert_int_equal(integer(f, "SELECT count(*) FROM t"), 0);
	refuse(f, "SELECT 'a' LIKE hex(zeroblob(51))", "SQLITE_UNKNOWN", "pattern too complex");
	refuse(f, "SELECT 'a' GLOB hex(zeroblob(51))", "SQLITE_UNKNOWN", "pattern too complex");
	allow(f, "SELECT 'a' LIKE hex(zeroblob(50))");
}

static struct client *reopen(void **state, const struct userdb_limits *others)
{
	struct client *f = *state;

	userdb_close(f->db);
	assert_int_equal(userdb_open(f->scratch.db, USERDB_CLIENT, others, &f->db), USERDB_OK);
	f->sandbox = userdb_sandbox(f->db);
	return f;
}

static void memory_of_a_statement_is_limited(void **state)
{
	static const struct userdb_limits patient = {
		.max_db_bytes = 64 << 20,
		.max_result_bytes = 1 << 20,
		.statement_ms = 10000,
		.lock_wait_ms = 50,
		.max_sql_bytes = 100000,
	};
	struct client *f = reopen(state, &patient);
	struct buf sql = BUF_INIT;

	refuse(f,
	       ENDLESS "SELECT group_concat(hex(zeroblob(9999))) FROM (SELECT i FROM n LIMIT 200)",
	       "SQLITE_TOOBIG", "too big");
	refuse(f,
	       ENDLESS
	       "SELECT json_group_array(hex(zeroblob(9999))) FROM (SELECT i FROM n LIMIT 200)",
	       "SQLITE_TOOBIG", "too big");
	buf_add_text(&sql, "SELECT hex(zeroblob(500000 + random() % 9))");
	for (int i = 0; i < 100; i++)
		buf_add_text(&sql, ", hex(zeroblob(500000 + random() % 9))");
	refuse(f, sql.data, "SQLITE_NOMEM",
	       "the statement takes more than 74503168 bytes of memory");
	buf_release(&sql);
	assert_false(sandbox_tainted(f->sandbox));
	allow(f, "CREATE TABLE t(a)");
	allow(f, "INSERT INTO t VALUES (1)");
	assert_int_equal(integer(f, "SELECT count(*) FROM t"), 1);
}

static void temporary_files_are_limited(void **state)
{
	static const struct userdb_limits patient = {
		.max_db_bytes = 1 << 20,
		.max_result_bytes = 1 << 20,
		.statement_ms = 20000,
		.lock_wait_ms = 100,
		.max_sql_bytes = 1000,
	};
	static const char full[] = "more than 2097152 bytes of temporary files";
	struct client *f = reopen(state, &patient);

	refuse(f, ENDLESS "SELECT i, hex(zeroblob(100)) FROM n ORDER BY 2", "SQLITE_FULL", full);
	refuse(f, ENDLESS "SELECT DISTINCT hex(zeroblob(100)) || i FROM n LIMIT -1 OFFSET 1000000",
	       "SQLITE_FULL", full);
	refuse(f, "CREATE TEMP TABLE x AS " ENDLESS "SELECT hex(zeroblob(100)) FROM n",
	       "SQLITE_FULL", full);
	assert_int_equal(integer(f, ENDLESS "SELECT count(*) FROM (SELECT i FROM n LIMIT 9)"), 9);
	/* What a TEMP table holds counts as long as it is there. */
	allow(f, "CREATE TEMP TABLE x AS SELECT zeroblob(900000) AS a");
	allow(f, "INSERT INTO x VALUES (zeroblob(900000))");
	refuse(f, "INSERT INTO x VALUES (zeroblob(900000))", "SQLITE_FULL", full);
	assert_true(sandbox_tainted(f->sandbox));
	/* For another connection of the same user, too. */
	struct client second = *f;
	assert_int_equal(userdb_open(f->scratch.db, USERDB_CLIENT, &patient, &second.db),
			 USERDB_OK);
	second.sandbox = userdb_sandbox(second.db);
	refuse(&second,
	       "CREATE TEMP TABLE y AS SELECT zeroblob(900000) UNION ALL SELECT zeroblob(900000)",
	       "SQLITE_FULL", full);
	userdb_close(second.db);
	reopen(state, &patient);
	/* A sort that fits, and VACUUM of a full database. */
	allow(f, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) "
		 "SELECT i FROM n ORDER BY -i");
	allow(f, "CREATE TABLE t AS SELECT zeroblob(900000) AS a");
	allow(f, "VACUUM");
	refuse(f, "INSERT INTO t SELECT a FROM t", "SQLITE_FULL", "database or disk is full");
}

static void large_schema_is_not_kept_between_requests(void **state)
{
	static const struct userdb_limits patient = {
		.max_db_bytes = 64 << 20,
		.max_result_bytes = 1 << 20,
		.statement_ms = 20000,
		.lock_wait_ms = 100,
		.max_sql_bytes = 1 << 20,
	};
	struct client *f = reopen(state, &patient);
	struct buf sql = BUF_INIT;

	buf_reserve(&sql, 1 << 20);
	for (int i = 0; i < 10; i++) {
		sandbox_begin_request(f->sandbox, true);
		buf_clear(&sql);
		buf_addf(&sql, "CREATE TABLE t%d(a CHECK (a <> '%01000000d'))", i, 0);
		allow(f, sql.data);
		sandbox_end_request(f->sandbox);
		assert_true(i > 0 || !sandbox_tainted(f->sandbox));
	}
	assert_true(sandbox_tainted(f->sandbox));
	buf_release(&sql);
	allow(f, "INSERT INTO t9 VALUES (1)");
}

static void request_that_nothing_can_interrupt_ends_the_process(void **state)
{
	static const struct userdb_limits hurried = {
		.max_db_bytes = 1 << 20,
		.max_result_bytes = 16 << 20,
		.statement_ms = 300,
		.lock_wait_ms = 10,
		.max_sql_bytes = 1000,
	};
	struct client *f = *state;
	struct buf stuck = BUF_INIT;
	int64_t began_ms = clock_mono_ms();
	int status;

	/* One call of some seconds. */
	buf_add_text(&stuck, "SELECT hex(zeroblob(8000000)) GLOB '*");
	for (int i = 0; i < 24; i++)
		buf_add_text(&stuck, "[^b]");
	buf_add_text(&stuck, "b'");
	pid_t pid = fork();
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };
		struct userdb *u = NULL;
		struct stmt *st = NULL;
		struct sql_error e;
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		if (userdb_open(f->scratch.db, USERDB_CLIENT, &hurried, &u) != USERDB_OK)
			_exit(1);
		sandbox_begin_request(userdb_sandbox(u), false);
		if (stmt_prepare_one(userdb_sandbox(u), stuck.data, stuck.len, &st, &e) == 0)
			(void)stmt_step(st, &e);
		_exit(2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_in_range(clock_mono_ms() - began_ms, 2000, 12000);
	buf_release(&stuck);
	/* Between two requests of a stream nobody is in a hurry. */
	sandbox_begin_request(f->sandbox, true);
	sandbox_leave_request(f->sandbox);
}

static void statement_in_a_function_of_a_column_ends_in_time(void **state)
{
	static const char *const slow[] = {
		"SELECT count(*) FROM t WHERE a LIKE '%' || hex(zeroblob(48)) || 'b'",
		"SELECT count(*) FROM t WHERE a GLOB '*' || hex(zeroblob(48)) || 'b'",
		"SELECT count(*) FROM t WHERE instr(a, hex(zeroblob(200000)) || 'b')",
		"SELECT count(*) FROM t WHERE replace(a, hex(zeroblob(200000)) || 'b', '') = ''",
		"SELECT count(*) FROM t WHERE json_valid('[' || a || ']')",
	};
	struct client *f = *state;

	allow(f, "CREATE TABLE t(a)");
	for (int i = 0; i < 5; i++)
		allow(f, ENDLESS "INSERT INTO t SELECT hex(zeroblob(45000)) FROM n LIMIT 30");
	for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
		int64_t began_ms = clock_mono_ms();
		if (try(f, slow[i], NULL) < 0)
			assert_string_equal(f->e.code, "SQLITE_INTERRUPT");
		int64_t ms = clock_mono_ms() - began_ms;
		if (ms > 3000)
			fail_msg("%s: %d ms", slow[i], (int)ms);
	}
	allow(f, "SELECT 1");
}

static void virtual_tables_that_were_not_chosen_are_gone(void **state)
{
	static const char *const tables[] = {
		"dbstat", "sqlite_stmt", "sqlite_dbpage", "bytecode('SELECT 1')", "sqlite_dbdata",
	};
	struct client *f = *state;
	char sql[100];

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		(void)snprintf(sql, sizeof sql, "SELECT * FROM %s", tables[i]);
		refuse(f, sql, "SQLITE_UNKNOWN", "no such table");
	}
	refuse(f, "CREATE VIRTUAL TABLE s USING dbstat", "SQLITE_UNKNOWN", "no such module");
	refuse(f, "CREATE VIRTUAL TABLE c USING csv(filename='/etc/passwd')", "SQLITE_UNKNOWN",
	       "no such module");
	allow(f, "CREATE TABLE dbstat(a)");
	allow(f, "SELECT * FROM dbstat");
}

static void schema_of_a_user_runs_with_the_users_rights(void **state)
{
	static const char *const planted[] = {
		"CREATE VIEW v AS SELECT sqlite_log(1, 'x')",
		"CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT sqlite_log(1, 'x'); END",
	};
	struct client *f = *state;

	allow(f, "CREATE TABLE t(a)");
	for (size_t i = 0; i < sizeof planted / sizeof *planted; i++)
		allow(f, planted[i]);
	refuse(f, "SELECT * FROM v", "SQLITE_AUTH", "not allowed here: sqlite_log");
	refuse(f, "INSERT INTO t VALUES (1)", "SQLITE_AUTH", "not allowed here: sqlite_log");
	refuse(f, "CREATE TABLE u(a, b AS (sqlite_log(1, a)))", "SQLITE_AUTH", "sqlite_log");
	refuse(f, "CREATE INDEX i ON t(sqlite_log(1, a))", "SQLITE_AUTH", "sqlite_log");
	refuse(f, "CREATE TABLE u(a DEFAULT (sqlite_log(1, 'x')), CHECK (sqlite_log(1, a)))",
	       "SQLITE_AUTH", "sqlite_log");
}

static void quota_of_the_database_is_kept(void **state)
{
	static const struct userdb_limits small = {
		.max_db_bytes = 10 * 4096,
		.max_result_bytes = 1 << 20,
		.statement_ms = 1000,
		.lock_wait_ms = 100,
		.max_sql_bytes = 1000,
	};
	struct client *f = reopen(state, &small);

	allow(f, "CREATE TABLE t(a)");
	refuse(f, "INSERT INTO t VALUES (zeroblob(50000))", "SQLITE_FULL", "full");
	allow(f, "INSERT INTO t VALUES (zeroblob(5000))");
}

static bool stop_at_once(void *owner)
{
	(void)owner;
	return true;
}

/* SQLite asks whether to go on after a commit, too, and would say that it was interrupted. */
static void only_what_reads_is_stopped_to_be_run_again(void **state)
{
	struct client *c = *state;

	sandbox_begin_request(c->sandbox, true);
	client_run(c, "CREATE TABLE t(x)");
	sandbox_set_look(c->sandbox, stop_at_once, NULL);
	for (int i = 0; i < 300; i++)
		client_run(c,
			   "INSERT INTO t SELECT value FROM json_each('[1,2,3,4,5,6,7,8,9,10]')");
	assert_false(sandbox_gave_way(c->sandbox));
	struct stmt *st = client_prepare(c, "SELECT count(*) FROM t a, t b, t c");
	assert_int_equal(stmt_step(st, &c->e), STMT_FAILED);
	assert_true(sandbox_gave_way(c->sandbox));
	stmt_free(st);
	sandbox_set_look(c->sandbox, NULL, NULL);
	sandbox_end_request(c->sandbox);
	assert_int_equal(integer(c, "SELECT count(*) FROM t"), 3000);
}

static void write_that_failed_for_its_time_is_not_there(void **state)
{
	static const struct userdb_limits hasty = {
		.max_db_bytes = 64 << 20,
		.max_result_bytes = 1 << 20,
		.statement_ms = 1,
		.lock_wait_ms = 20,
		.max_sql_bytes = 100000,
	};
	static const char insert[] =
		"INSERT INTO t SELECT 1 FROM (WITH RECURSIVE n(i) AS "
		"(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1400) SELECT max(i) FROM n)";
	struct client *c = client_new(&hasty);
	int64_t written = 0;

	(void)state;
	foreign_run(&c->scratch, "CREATE TABLE t(x)");
	for (int i = 0; i < 400; i++) {
		struct stmt *st = NULL;
		if (stmt_prepare_one(c->sandbox, insert, strlen(insert), &st, &c->e) < 0)
			continue;
		written += stmt_step(st, &c->e) == STMT_DONE;
		stmt_free(st);
	}
	userdb_close(c->db);
	struct userdb *after = scratch_open(&c->scratch);
	assert_int_equal(number_of(after, "SELECT count(*) FROM t"), written);
	userdb_close(after);
	scratch_release(&c->scratch);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, client_tear_down)
		TEST(what_reaches_beyond_the_database_is_denied_by_name),
		TEST(pragmas_that_change_the_files_are_denied),
		TEST(pragmas_that_inform_are_allowed_and_leave_no_trace),
		TEST(what_sqlite_does_inside_the_database_is_allowed),
		cmocka_unit_test(settings_and_temp_objects_taint_once_they_run),
		TEST(setting_takes_effect_when_it_runs_and_not_before),
		TEST(open_transaction_ends_with_the_request),
		TEST(without_writes_nothing_is_written_by_any_way),
		TEST(statement_beyond_its_time_is_interrupted),
		TEST(statements_of_one_request_share_a_time),
		TEST(waiting_for_the_lock_is_not_the_statements_time),
		TEST(sizes_are_limited),
		TEST(depth_and_number_are_limited),
		TEST(memory_of_a_statement_is_limited),
		TEST(temporary_files_are_limited),
		TEST(large_schema_is_not_kept_between_requests),
		TEST(request_that_nothing_can_interrupt_ends_the_process),
		TEST(statement_in_a_function_of_a_column_ends_in_time),
		TEST(virtual_tables_that_were_not_chosen_are_gone),
		TEST(schema_of_a_user_runs_with_the_users_rights),
		TEST(quota_of_the_database_is_kept),
		TEST(only_what_reads_is_stopped_to_be_run_again),
		cmocka_unit_test(write_that_failed_for_its_time_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
