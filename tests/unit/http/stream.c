#include "http/stream.h"

#include "db/sandbox.h"
#include "base/file.h"
#include "db/stmt.h"
#include "fixture.h"
#include "state/right.h"
#include "state/slot.h"

enum { WORKER = 1, PER_USER = 2, IDLE_MS = 100, MAX_MS = 250, NOW = 5000, WAL_BYTES = 40000 };

struct fixture {
	struct folder folder;
	struct table *table;
	struct accounts *accounts;
	struct turns *turns;
	struct streams *streams;
	struct user_id alice, bob;
};

static void make_user(struct fixture *f, const char *name, struct user_id *id)
{
	char path[FOLDER_FILE_MAX];

	assert_int_equal(user_id_parse(name, strlen(name), id), 0);
	assert_int_equal(user_path(f->folder.path, id, "", path, sizeof path), 0);
	assert_int_equal(file_make_dirs(path, 0700), 0);
	assert_int_equal(user_path(f->folder.path, id, "lock", path, sizeof path), 0);
	int lock = right_open(path);
	assert_true(lock >= 0);
	close(lock);
	assert_int_equal(user_path(f->folder.path, id, "db.sqlite", path, sizeof path), 0);
	assert_int_equal(userdb_create(path), USERDB_OK);
}

static int set_up(void **state)
{
	static const struct turn_limits line = { 10, 10, 1000 };
	static struct fixture f;
	char path[FOLDER_FILE_MAX];

	folder_init(&f.folder);
	folder_file(&f.folder, "table", path);
	f.table = table_create(path, 32);
	assert_non_null(f.table);
	table_worker_born(f.table, WORKER, 77);
	const struct accounts_config files = {
		.data = f.folder.path,
		.role = USERDB_CLIENT,
		.limits = { .max_db_bytes = 1 << 24,
			    .max_result_bytes = 1 << 20,
			    .statement_ms = 1000,
			    .max_sql_bytes = 10000 },
		.max_open = 8,
	};
	f.accounts = accounts_new(f.table, &files);
	f.turns = turns_new(&line);
	const struct streams_config config = {
		.table = f.table,
		.worker = WORKER,
		.accounts = f.accounts,
		.turns = f.turns,
		.data = f.folder.path,
		.max_wal_bytes = WAL_BYTES,
		.per_user = PER_USER,
		.idle_ms = IDLE_MS,
		.max_ms = MAX_MS,
	};
	f.streams = streams_new(&config);
	make_user(&f, "alice", &f.alice);
	make_user(&f, "bob", &f.bob);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	streams_free(f->streams);
	turns_free(f->turns);
	accounts_free(f->accounts);
	table_free(f->table);
	folder_release(&f->folder);
	return 0;
}

static struct account *open_account(struct fixture *f, const struct user_id *id)
{
	struct account *a = NULL;

	assert_int_equal(account_open(f->accounts, id, &a), ACCOUNT_OK);
	return a;
}

static void run(struct account *a, const char *sql)
{
	struct sql_error e;
	struct stmt *st;

	assert_int_equal(stmt_prepare_one(userdb_sandbox(a->db), sql, strlen(sql), &st, &e), 0);
	assert_int_equal(stmt_bind_end(st, &e), 0);
	while (stmt_step(st, &e) == STMT_ROW)
		;
	stmt_free(st);
}

/* As a request would that ended with this. */
static struct stream *open_with(struct fixture *f, const struct user_id *id, const char *sql)
{
	struct hrana_store store = { .n = 0 };
	struct account *a = open_account(f, id);

	run(a, sql);
	struct stream *s = stream_open(f->streams, a, &store, NOW);
	if (s == NULL) {
		sandbox_end_request(userdb_sandbox(a->db));
		account_close(f->accounts, a, true);
	}
	return s;
}

static void write_lock_of_a_stream_is_known_until_it_is_released(void **state)
{
	struct fixture *f = *state;
	struct stream *s = open_with(f, &f->alice, "BEGIN IMMEDIATE");
	const struct slot *slot = s->account->slot;
	uint64_t mark = table_worker_mark(f->table, WORKER);

	assert_true(slot_writer(slot) == mark);
	assert_true(turn_is_busy(f->turns, &f->alice));
	run(s->account, "COMMIT");
	run(s->account, "BEGIN");
	stream_keep(f->streams, s, NOW);
	assert_true(slot_writer(slot) == 0);
	assert_false(turn_is_busy(f->turns, &f->alice));
	run(s->account, "CREATE TABLE t(a)");
	stream_keep(f->streams, s, NOW);
	assert_true(slot_writer(slot) == mark);
	stream_close(f->streams, s);
	assert_true(slot_writer(slot) == 0);
	assert_false(turn_is_busy(f->turns, &f->alice));
}

static void word_stays_while_somebody_waits_in_line(void **state)
{
	struct fixture *f = *state;
	struct turn_waiter w = { .arrived_ms = NOW };
	struct stream *s = open_with(f, &f->alice, "BEGIN IMMEDIATE");
	struct slot *slot = s->account->slot;

	assert_true(turn_wait(f->turns, &f->alice, &w));
	stream_close(f->streams, s);
	assert_true(slot_writer(slot) == table_worker_mark(f->table, WORKER));
	assert_ptr_equal(turn_next(f->turns, NOW, 0), &w);
	streams_settle(f->streams, &f->alice, slot);
	assert_true(slot_writer(slot) == 0);
}

static void closing_rolls_back_and_the_next_request_sees_nothing(void **state)
{
	struct fixture *f = *state;
	struct stream *s = open_with(f, &f->alice, "BEGIN IMMEDIATE");

	run(s->account, "CREATE TABLE t(a)");
	struct account *beside = open_account(f, &f->alice);
	assert_ptr_not_equal(beside, s->account);
	assert_int_equal(sandbox_lock(userdb_sandbox(beside->db)), SANDBOX_UNLOCKED);
	account_close(f->accounts, beside, true);
	stream_close(f->streams, s);
	struct account *a = open_account(f, &f->alice);
	run(a, "CREATE TABLE t(a)");
	assert_int_equal(userdb_commits(a->db), 1);
	account_close(f->accounts, a, true);
}

static void stream_is_found_by_its_user_and_number_only(void **state)
{
	struct fixture *f = *state;
	struct stream *s = open_with(f, &f->alice, "BEGIN");
	uint64_t id = s->id;

	assert_ptr_equal(stream_find(f->streams, &f->alice, id), s);
	assert_null(stream_find(f->streams, &f->bob, id));
	assert_null(stream_find(f->streams, &f->alice, id + 1));
	stream_close(f->streams, s);
	assert_null(stream_find(f->streams, &f->alice, id));
	s = open_with(f, &f->alice, "BEGIN");
	assert_true(s->id != id);
}

static void idle_streams_end_and_used_ones_at_their_limit(void **state)
{
	struct fixture *f = *state;
	uint64_t idle = open_with(f, &f->alice, "BEGIN")->id;
	struct stream *used = open_with(f, &f->bob, "BEGIN");
	uint64_t used_id = used->id;

	streams_expire(f->streams, NOW + IDLE_MS - 1);
	assert_non_null(stream_find(f->streams, &f->alice, idle));
	stream_keep(f->streams, used, NOW + IDLE_MS - 1);
	streams_expire(f->streams, NOW + IDLE_MS);
	assert_null(stream_find(f->streams, &f->alice, idle));
	assert_ptr_equal(stream_find(f->streams, &f->bob, used_id), used);
	stream_keep(f->streams, used, NOW + MAX_MS - 1);
	streams_expire(f->streams, NOW + MAX_MS - 1);
	assert_ptr_equal(stream_find(f->streams, &f->bob, used_id), used);
	streams_expire(f->streams, NOW + MAX_MS);
	assert_null(stream_find(f->streams, &f->bob, used_id));
	assert_false(streams_any(f->streams));
}

static void stream_in_the_way_of_a_pull_ends_and_frees_the_files(void **state)
{
	struct fixture *f = *state;
	struct stream *s = open_with(f, &f->alice, "BEGIN");
	struct slot *slot = s->account->slot;
	char path[FOLDER_FILE_MAX];

	assert_int_equal(user_path(f->folder.path, &f->alice, "lock", path, sizeof path), 0);
	int lock = right_open(path);
	assert_false(right_claim(lock, RIGHT_FILES));
	slot_keep(slot, KEEP_REMOTE);
	streams_expire(f->streams, NOW);
	assert_false(streams_any(f->streams));
	assert_true(right_claim(lock, RIGHT_FILES));
	close(lock);
}

static void reading_stream_ends_when_the_wal_gets_long(void **state)
{
	struct fixture *f = *state;
	struct stream *writes = open_with(f, &f->alice, "BEGIN IMMEDIATE");

	run(writes->account, "CREATE TABLE t(a)");
	run(writes->account, "COMMIT");
	run(writes->account, "BEGIN IMMEDIATE");
	stream_keep(f->streams, writes, NOW);
	struct stream *reads = open_with(f, &f->alice, "BEGIN");
	run(reads->account, "SELECT * FROM t");
	uint64_t reading = reads->id, writing = writes->id;
	streams_expire(f->streams, NOW);
	assert_non_null(stream_find(f->streams, &f->alice, reading));
	run(writes->account, "INSERT INTO t VALUES (zeroblob(100000))");
	run(writes->account, "COMMIT");
	run(writes->account, "BEGIN IMMEDIATE");
	streams_expire(f->streams, NOW);
	assert_null(stream_find(f->streams, &f->alice, reading));
	assert_non_null(stream_find(f->streams, &f->alice, writing));
}

static void no_user_has_more_than_the_limit_in_all_workers(void **state)
{
	struct fixture *f = *state;
	struct stream *s = open_with(f, &f->alice, "BEGIN");

	assert_non_null(s);
	int elsewhere = table_stream_open(f->table, WORKER, s->account->slot);
	assert_true(elsewhere >= 0);
	assert_null(open_with(f, &f->alice, "BEGIN"));
	assert_non_null(open_with(f, &f->bob, "BEGIN"));
	table_stream_close(f->table, WORKER, elsewhere);
	assert_non_null(open_with(f, &f->alice, "BEGIN"));
	stream_close(f->streams, s);
	assert_non_null(open_with(f, &f->alice, "BEGIN"));
}

static void stored_texts_outlive_the_request_that_brought_them(void **state)
{
	struct fixture *f = *state;
	struct hrana_store store = { .n = 0 };
	char text[] = "SELECT 1", other[] = "SELECT 22";
	struct account *a = open_account(f, &f->alice);

	assert_int_equal(hrana_store_put(&store, 7, (struct hrana_sql){ text, strlen(text) }),
			 HRANA_STORED);
	struct stream *s = stream_open(f->streams, a, &store, NOW);
	memset(text, 'x', strlen(text));
	assert_string_equal(hrana_store_get(&s->store, 7)->text, "SELECT 1");
	assert_int_equal(hrana_store_put(&s->store, 8, (struct hrana_sql){ other, strlen(other) }),
			 HRANA_STORED);
	stream_keep(f->streams, s, NOW);
	memset(other, 'x', strlen(other));
	assert_string_equal(hrana_store_get(&s->store, 7)->text, "SELECT 1");
	assert_string_equal(hrana_store_get(&s->store, 8)->text, "SELECT 22");
	hrana_store_drop(&s->store, 7);
	stream_keep(f->streams, s, NOW);
	assert_null(hrana_store_get(&s->store, 7));
	assert_string_equal(hrana_store_get(&s->store, 8)->text, "SELECT 22");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(write_lock_of_a_stream_is_known_until_it_is_released),
		TEST(word_stays_while_somebody_waits_in_line),
		TEST(closing_rolls_back_and_the_next_request_sees_nothing),
		TEST(stream_is_found_by_its_user_and_number_only),
		TEST(idle_streams_end_and_used_ones_at_their_limit),
		TEST(stream_in_the_way_of_a_pull_ends_and_frees_the_files),
		TEST(reading_stream_ends_when_the_wal_gets_long),
		TEST(no_user_has_more_than_the_limit_in_all_workers),
		TEST(stored_texts_outlive_the_request_that_brought_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
