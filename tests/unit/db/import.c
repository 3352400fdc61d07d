#include "db/import.h"

#include "db/client.h"
#include "db/export.h"

#include "base/clock.h"
#include "base/spill.h"

enum { VERSIONS_AT = 18 };

struct fixture {
	struct client *client;
	struct spill *file;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	client_set_up((void **)&f->client);
	client_run(f->client, "CREATE TABLE old(text)");
	f->file = spill_new(f->client->scratch.dir, 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	spill_free(f->file);
	client_tear_down((void **)&f->client);
	free(f);
	return 0;
}

/* A database that stock SQLite has made, in the spill. */
static void make_file(const struct fixture *f, const char *sql)
{
	struct sqlite3 *db = NULL;
	sqlite3_int64 len = 0;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	unsigned char *image = sqlite3_serialize(db, "main", &len, 0);
	assert_non_null(image);
	assert_int_equal(spill_cut(f->file, 0), 0);
	assert_int_equal(spill_add(f->file, image, (size_t)len), 0);
	sqlite3_free(image);
	sqlite3_close(db);
}

static void overwrite(const struct fixture *f, uint64_t offset, const char *bytes, size_t len)
{
	assert_int_equal(spill_write(f->file, offset, bytes, len), 0);
}

/* What is in the database of the client, by another connection. */
static void assert_tables(const struct fixture *f, const char *names)
{
	static const char sql[] = "SELECT group_concat(name) FROM sqlite_schema WHERE type='table'";
	struct userdb *u = scratch_open(&f->client->scratch);
	struct sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(userdb_sqlite(u), sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), names);
	sqlite3_finalize(st);
	userdb_close(u);
}

static void imported_file_is_one_commit_in_the_wal(void **state)
{
	static const char *const pragmas[] = {
		"PRAGMA page_size=4096", "PRAGMA page_size=512", "PRAGMA page_size=65536",
		"PRAGMA auto_vacuum=1",	 "PRAGMA auto_vacuum=0",
	};
	const struct fixture *f = *state;
	char sql[256];

	for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++) {
		uint64_t before = userdb_commits(f->client->db);
		(void)snprintf(sql, sizeof sql,
			       "%s; CREATE TABLE new(x); "
			       "INSERT INTO new SELECT randomblob(3000) FROM (VALUES(1),(2),(3))",
			       pragmas[i]);
		make_file(f, sql);
		overwrite(f, VERSIONS_AT, "\2\2", 2);
		assert_int_equal(import_check(f->client->db, f->file), IMPORT_DONE);
		assert_int_equal(userdb_commits(f->client->db), before);
		assert_int_equal(import_replace(f->client->db, f->file), IMPORT_DONE);
		assert_int_equal(userdb_commits(f->client->db), before + 1);
		assert_true(userdb_wal_bytes(f->client->db) > 0);
		assert_tables(f, "new");
		client_run(f->client, "INSERT INTO new VALUES (randomblob(30000))");
		client_run(f->client, "DELETE FROM new");
	}
}

static void what_is_no_sound_database_of_ours_is_refused_by_name(void **state)
{
	static const struct {
		const char *sql;
		uint64_t offset;
		const char *bytes;
		size_t len;
		enum import_result want;
	} cases[] = {
		{ "PRAGMA encoding='UTF-16le'; CREATE TABLE t(x)", 18, "\1", 1, IMPORT_ENCODING },
		{ "CREATE TABLE t(x)", 0, "X", 1, IMPORT_NO_DATABASE },
		{ "CREATE TABLE t(x)", 16, "\3\3", 2, IMPORT_NO_DATABASE },
		{ "CREATE TABLE t(x)", 19, "\3", 1, IMPORT_NO_DATABASE },
		{ "CREATE TABLE t(x)", 100, "\0", 1, IMPORT_DAMAGED },
		{ "CREATE TABLE t(x)", 4096, "\7", 1, IMPORT_DAMAGED },
		{ "CREATE TABLE t(x CHECK (x > 0)); PRAGMA ignore_check_constraints=1;"
		  "INSERT INTO t VALUES (-1)",
		  18, "\1", 1, IMPORT_DAMAGED },
		{ "CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(65 << 20))", 18, "\1", 1,
		  IMPORT_TOO_LARGE },
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		make_file(f, cases[i].sql);
		overwrite(f, cases[i].offset, cases[i].bytes, cases[i].len);
		enum import_result seen = import_check(f->client->db, f->file);
		if (seen != cases[i].want)
			fail_msg("case %zu: %d, want %d", i, seen, cases[i].want);
	}
	assert_int_equal(spill_cut(f->file, 99), 0);
	assert_int_equal(import_check(f->client->db, f->file), IMPORT_NO_DATABASE);
	assert_int_equal(spill_cut(f->file, 0), 0);
	assert_int_equal(import_check(f->client->db, f->file), IMPORT_NO_DATABASE);
	assert_tables(f, "old");
}

static void no_flipped_bit_does_harm(void **state)
{
	const struct fixture *f = *state;
	unsigned refused = 0;

	for (unsigned i = 0; i < 400; i++) {
		uint64_t at = (uint64_t)i * 7919 % (3 * 4096);
		unsigned char byte;
		make_file(f, "CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE); INSERT INTO t "
			     "VALUES (1,'one'),(2,'two'); CREATE VIEW v AS SELECT * FROM t");
		assert_int_equal(spill_read(f->file, at, &byte, 1), 1);
		byte ^= (unsigned char)(1U << i % 8);
		assert_int_equal(spill_write(f->file, at, &byte, 1), 0);
		if (import_check(f->client->db, f->file) != IMPORT_DONE) {
			refused++;
			continue;
		}
		assert_int_equal(import_replace(f->client->db, f->file), IMPORT_DONE);
	}
	assert_in_range(refused, 10, 399);
	make_file(f, "CREATE TABLE last(x)");
	assert_int_equal(import_check(f->client->db, f->file), IMPORT_DONE);
	assert_int_equal(import_replace(f->client->db, f->file), IMPORT_DONE);
	assert_tables(f, "last");
}

static void locked_database_is_left_alone_until_the_lock_is_free(void **state)
{
	const struct fixture *f = *state;
	struct userdb *other = scratch_open(&f->client->scratch);
	struct sqlite3 *db = userdb_sqlite(other);

	make_file(f, "CREATE TABLE new(x)");
	assert_int_equal(import_check(f->client->db, f->file), IMPORT_DONE);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(import_replace(f->client->db, f->file), IMPORT_BUSY);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_tables(f, "old");
	assert_int_equal(import_replace(f->client->db, f->file), IMPORT_DONE);
	assert_tables(f, "new");
	userdb_close(other);
}

static void export_is_what_an_import_takes(void **state)
{
	const struct fixture *f = *state;
	unsigned char versions[2];

	client_run(f->client, "INSERT INTO old VALUES ('kept')");
	assert_int_equal(export_copy(f->client->db, clock_mono_ms() + 10000, f->file), EXPORT_DONE);
	assert_int_equal(spill_len(f->file), export_len(f->client->db));
	assert_int_equal(spill_read(f->file, VERSIONS_AT, versions, 2), 2);
	assert_memory_equal(versions, "\1\1", 2);
	client_run(f->client, "DROP TABLE old");
	assert_int_equal(import_check(f->client->db, f->file), IMPORT_DONE);
	assert_int_equal(import_replace(f->client->db, f->file), IMPORT_DONE);
	assert_int_equal(client_run(f->client, "DELETE FROM old WHERE text = 'kept'").affected, 1);
}

static void export_beyond_its_time_ends(void **state)
{
	const struct fixture *f = *state;

	client_run(f->client, "INSERT INTO old VALUES (zeroblob(900000))");
	client_run(f->client,
		   "INSERT INTO old SELECT zeroblob(900000) FROM json_each('[1,2,3,4,5,6,7]')");
	assert_int_equal(export_copy(f->client->db, 0, f->file), EXPORT_LATE);
	client_run(f->client, "DELETE FROM old");
}

static void disk_without_room_is_told(void **state)
{
	const struct fixture *f = *state;
	struct spill *nowhere = spill_new("/nonexistent", 0);

	assert_int_equal(export_copy(f->client->db, clock_mono_ms() + 10000, nowhere),
			 EXPORT_NO_SPACE);
	spill_free(nowhere);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(imported_file_is_one_commit_in_the_wal, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_no_sound_database_of_ours_is_refused_by_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_flipped_bit_does_harm, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			locked_database_is_left_alone_until_the_lock_is_free, set_up, tear_down),
		cmocka_unit_test_setup_teardown(export_is_what_an_import_takes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(export_beyond_its_time_ends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(disk_without_room_is_told, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
