#include "sync/account.h"

#include "base/file.h"
#include "db/capture.h"
#include "fixture.h"
#include "state/right.h"
#include "state/slot.h"
#include "sync/record.h"

#include <dirent.h>
#include <sched.h>
#include <sqlite3.h>

enum { MAX_OPEN = 4, NSLOTS = 32, PLACES = 64 };

struct fixture {
	struct folder folder;
	struct table *table;
	struct accounts *accounts;
};

static struct accounts *new_accounts(const struct fixture *f, unsigned max_open)
{
	const struct accounts_config c = {
		.data = f->folder.path,
		.role = USERDB_INTERNAL,
		.max_open = max_open,
	};

	return accounts_new(f->table, &c);
}

static int set_up(void **state)
{
	static struct fixture f;
	char path[FOLDER_FILE_MAX];

	folder_init(&f.folder);
	folder_file(&f.folder, "table", path);
	f.table = table_create(path, NSLOTS);
	assert_non_null(f.table);
	f.accounts = new_accounts(&f, MAX_OPEN);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	accounts_free(f->accounts);
	table_free(f->table);
	folder_release(&f->folder);
	return 0;
}

static struct user_id id_of(const char *text)
{
	struct user_id id;

	if (user_id_parse(text, strlen(text), &id) < 0)
		abort();
	return id;
}

static struct user_id numbered(const char *kind, unsigned n)
{
	char text[USER_ID_MAX];

	(void)snprintf(text, sizeof text, "%s-%u", kind, n);
	return id_of(text);
}

static void path_of(const struct fixture *f, const struct user_id *id, const char *name,
		    char out[FOLDER_FILE_MAX])
{
	assert_int_equal(user_path(f->folder.path, id, name, out, FOLDER_FILE_MAX), 0);
}

static void make_folder(const struct fixture *f, const struct user_id *id)
{
	char path[FOLDER_FILE_MAX];

	path_of(f, id, "", path);
	assert_int_equal(file_make_dirs(path, 0700), 0);
}

static void make_database(const struct fixture *f, const struct user_id *id)
{
	char path[FOLDER_FILE_MAX];

	make_folder(f, id);
	path_of(f, id, "db.sqlite", path);
	assert_int_equal(userdb_create(path), USERDB_OK);
}

static void write_record(const struct fixture *f, const struct user_id *id, const struct record *r)
{
	char path[FOLDER_FILE_MAX];

	path_of(f, id, "sync", path);
	assert_int_equal(record_write(path, r), 0);
}

/* A user whose empty database is in step with the store. */
static struct user_id make_user(const struct fixture *f, const char *text, uint64_t txid)
{
	struct record r = { .txid = txid, .position = { .page_size = 4096, .npages = 1 } };
	struct user_id id = id_of(text);
	char path[FOLDER_FILE_MAX];

	make_database(f, &id);
	path_of(f, &id, "db.sqlite", path);
	r.position.file_ns = wal_file_ns(path);
	write_record(f, &id, &r);
	return id;
}

static void run_sql(struct userdb *u, const char *sql)
{
	char *message = NULL;

	if (sqlite3_exec(userdb_sqlite(u), sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
}

static int64_t number_of(struct userdb *u, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	assert_int_equal(sqlite3_prepare_v2(userdb_sqlite(u), sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

static struct account *open_account(const struct fixture *f, const struct user_id *id)
{
	struct account *a = NULL;

	assert_int_equal(account_open(f->accounts, id, &a), ACCOUNT_OK);
	assert_non_null(a);
	return a;
}

static struct slot_view view_of(const struct fixture *f, const struct user_id *id)
{
	struct slot_view v;
	struct slot *s;

	assert_int_equal(account_slot(f->accounts, id, &s), ACCOUNT_OK);
	assert_true(slot_is_of(s, id));
	assert_true(slot_is_loaded(s));
	slot_read(s, &v);
	return v;
}

static bool is_due(const struct fixture *f, const struct user_id *id)
{
	const struct slot *s;
	uint32_t place = 0;

	while ((s = table_next_due(f->table, &place)) != NULL) {
		if (slot_is_of(s, id))
			return true;
	}
	return false;
}

/* Descriptors of this process whose path ends like that. */
static unsigned count_open(const char *name)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *e;
	unsigned n = 0;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		char target[PATH_MAX];
		ssize_t len = readlinkat(dirfd(dir), e->d_name, target, sizeof target);
		size_t end = strlen(name);

		if (len > (ssize_t)end && memcmp(target + len - end, name, end) == 0)
			n++;
	}
	closedir(dir);
	return n;
}

static void user_without_a_folder_or_a_database_has_no_files(void **state)
{
	const struct fixture *f = *state;
	struct user_id nobody = id_of("nobody"), bare = id_of("bare");
	struct account *a = NULL;

	assert_int_equal(account_open(f->accounts, &nobody, &a), ACCOUNT_NO_FILES);
	assert_int_equal(view_of(f, &nobody).files, FILES_ABSENT);
	make_folder(f, &bare);
	assert_int_equal(account_open(f->accounts, &bare, &a), ACCOUNT_NO_FILES);
	struct slot_view v = view_of(f, &bare);
	assert_int_equal(v.files, FILES_ABSENT);
	assert_false(slot_is_dirty(&v));
	assert_false(is_due(f, &nobody));
	assert_false(is_due(f, &bare));
	assert_int_equal(count_open("/lock"), 0);

	/* Once the files are there, they are used. */
	make_database(f, &bare);
	account_close(f->accounts, open_account(f, &bare), true);
}

static void record_without_a_database_says_nothing(void **state)
{
	const struct record r = { .txid = 9, .failed_since_ms = 5, .error = ERROR_TIMEOUT };
	const struct fixture *f = *state;
	struct user_id alice = id_of("alice");

	make_folder(f, &alice);
	write_record(f, &alice, &r);
	struct slot_view v = view_of(f, &alice);
	assert_int_equal(v.files, FILES_ABSENT);
	assert_false(slot_is_dirty(&v));
	assert_int_equal(v.failed_since_ms, 0);
}

static void user_in_step_loads_clean(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 17);

	struct slot_view v = view_of(f, &alice);
	assert_false(slot_is_dirty(&v));
	assert_int_equal(v.txid, 17);
	assert_int_equal(v.files, FILES_PRESENT);
	assert_int_equal(v.failed_since_ms, 0);
	/* Due all the same: nobody has asked the store in this run whether another host went on. */
	assert_false(v.checked);
	assert_true(is_due(f, &alice));
}

static void commit_that_nobody_counted_loads_dirty_and_due(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 17);
	char path[FOLDER_FILE_MAX];
	struct userdb *u;

	path_of(f, &alice, "db.sqlite", path);
	assert_int_equal(userdb_open(path, USERDB_INTERNAL, NULL, &u), USERDB_OK);
	run_sql(u, "CREATE TABLE t(a)");
	userdb_close(u);
	struct slot_view v = view_of(f, &alice);
	assert_true(slot_is_dirty(&v));
	assert_int_equal(v.txid, 17);
	assert_true(is_due(f, &alice));
}

static void commit_that_the_record_covers_loads_clean(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 17);
	struct record r = { .txid = 18 };
	char path[FOLDER_FILE_MAX];
	struct userdb *u;

	path_of(f, &alice, "db.sqlite", path);
	assert_int_equal(userdb_open(path, USERDB_INTERNAL, NULL, &u), USERDB_OK);
	run_sql(u, "CREATE TABLE t(a)");
	assert_int_equal(wal_present(u, &r.position), CAPTURE_PAGES);
	userdb_close(u);
	write_record(f, &alice, &r);
	struct slot_view v = view_of(f, &alice);
	assert_false(slot_is_dirty(&v));
	assert_int_equal(v.txid, 18);
}

static void lost_or_damaged_record_loads_dirty_and_due(void **state)
{
	const struct fixture *f = *state;
	struct user_id lost = make_user(f, "lost", 17), damaged = make_user(f, "damaged", 17);
	char path[FOLDER_FILE_MAX];

	path_of(f, &lost, "sync", path);
	assert_int_equal(unlink(path), 0);
	path_of(f, &damaged, "sync", path);
	assert_int_equal(truncate(path, 40), 0);
	struct slot_view v = view_of(f, &lost);
	assert_true(slot_is_dirty(&v));
	assert_int_equal(v.files, FILES_PRESENT);
	v = view_of(f, &damaged);
	assert_true(slot_is_dirty(&v));
	assert_true(is_due(f, &lost));
	assert_true(is_due(f, &damaged));
}

static void failure_in_the_record_loads_failed_dirty_and_due(void **state)
{
	const struct record r = {
		.txid = 17,
		.position = { .page_size = 4096, .npages = 1 },
		.failed_since_ms = 1700000000000,
		.error = ERROR_THROTTLED,
	};
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 17);

	write_record(f, &alice, &r);
	struct slot_view v = view_of(f, &alice);
	assert_true(slot_is_dirty(&v));
	assert_int_equal(v.failed_since_ms, 1700000000000);
	assert_int_equal(v.error, ERROR_THROTTLED);
	assert_true(is_due(f, &alice));
}

static void unreadable_record_fails_and_is_tried_again(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 17);
	char path[FOLDER_FILE_MAX];
	struct account *a = NULL;
	struct slot *s;

	path_of(f, &alice, "sync", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(account_slot(f->accounts, &alice, &s), ACCOUNT_FAILED);
	assert_int_equal(account_open(f->accounts, &alice, &a), ACCOUNT_FAILED);
	assert_int_equal(rmdir(path), 0);
	assert_true(view_of(f, &alice).files == FILES_PRESENT);
}

static void disk_is_read_once_for_each_user(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 17);
	char path[FOLDER_FILE_MAX];
	struct slot *s;

	assert_int_equal(account_slot(f->accounts, &alice, &s), ACCOUNT_OK);
	slot_commit(s);
	path_of(f, &alice, "sync", path);
	assert_int_equal(unlink(path), 0);
	struct slot_view v = view_of(f, &alice);
	assert_int_equal(v.committed, 1);
	assert_int_equal(v.txid, 17);
}

static void handle_is_kept_between_two_requests(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 1);

	struct account *a = open_account(f, &alice);
	struct userdb *before = a->db;
	assert_string_equal(a->id.text, "alice");
	assert_true(slot_is_of(a->slot, &alice));
	run_sql(a->db, "CREATE TEMP TABLE mine(a)");
	account_close(f->accounts, a, true);
	a = open_account(f, &alice);
	assert_ptr_equal(a->db, before);
	assert_int_equal(number_of(a->db, "SELECT count(*) FROM temp.mine"), 0);
	account_close(f->accounts, a, false);
	assert_int_equal(count_open("/db.sqlite"), 0);
	assert_int_equal(count_open("/lock"), 0);
	a = open_account(f, &alice);
	assert_int_equal(number_of(a->db, "SELECT count(*) FROM sqlite_temp_schema"), 0);
	account_close(f->accounts, a, true);
}

static void shared_right_is_held_from_open_to_close(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 1);
	char path[FOLDER_FILE_MAX];
	struct account *a;

	path_of(f, &alice, "lock", path);
	int lock = right_open(path);
	for (int reusable = 0; reusable < 2; reusable++) {
		a = open_account(f, &alice);
		assert_false(right_claim(lock, RIGHT_FILES));
		assert_true(right_claim(lock, RIGHT_FILES_SHARED));
		right_release(lock, RIGHT_FILES_SHARED);
		account_close(f->accounts, a, reusable);
		assert_true(right_claim(lock, RIGHT_FILES));
		assert_int_equal(account_open(f->accounts, &alice, &a), ACCOUNT_BUSY);
		right_release(lock, RIGHT_FILES);
	}
	close(lock);
}

static void detached_handle_leaves_the_user_another_one_and_holds_the_right(void **state)
{
	const struct fixture *f = *state;
	struct user_id id = make_user(f, "alice", 1);
	struct account *kept = open_account(f, &id);
	char path[FOLDER_FILE_MAX];

	path_of(f, &id, "lock", path);
	int lock = right_open(path);
	account_detach(f->accounts, kept);
	struct account *other = open_account(f, &id);
	assert_ptr_not_equal(other, kept);
	run_sql(kept->db, "BEGIN; SELECT * FROM sqlite_schema");
	account_close(f->accounts, other, true);
	assert_false(right_claim(lock, RIGHT_FILES));
	run_sql(kept->db, "COMMIT");
	/* There is another one by now, so it is not needed any more. */
	account_close(f->accounts, kept, true);
	assert_true(right_claim(lock, RIGHT_FILES));
	right_release(lock, RIGHT_FILES);
	assert_ptr_equal(open_account(f, &id), other);
	account_close(f->accounts, other, false);
	assert_int_equal(count_open("/db.sqlite"), 0);
	close(lock);
}

static void detached_handle_comes_back_if_there_is_no_other(void **state)
{
	const struct fixture *f = *state;
	struct user_id id = make_user(f, "alice", 1);
	struct account *a = open_account(f, &id);

	account_detach(f->accounts, a);
	account_close(f->accounts, a, true);
	assert_ptr_equal(open_account(f, &id), a);
	account_detach(f->accounts, a);
	account_close(f->accounts, a, false);
	assert_int_equal(count_open("/db.sqlite"), 0);
}

static void least_recently_used_handle_is_closed_first(void **state)
{
	const struct fixture *f = *state;
	struct user_id ids[MAX_OPEN + 2];

	for (unsigned i = 0; i < MAX_OPEN + 2; i++) {
		struct user_id id = numbered("user", i);
		ids[i] = make_user(f, id.text, 1);
	}
	for (unsigned i = 0; i < MAX_OPEN; i++)
		account_close(f->accounts, open_account(f, &ids[i]), true);
	struct account *a = open_account(f, &ids[0]);
	run_sql(a->db, "CREATE TEMP TABLE kept(a)");
	account_close(f->accounts, a, true);

	/* Two more push out 1 and 2, not 0. */
	for (unsigned i = MAX_OPEN; i < MAX_OPEN + 2; i++) {
		account_close(f->accounts, open_account(f, &ids[i]), true);
		assert_int_equal(count_open("/db.sqlite"), MAX_OPEN);
		assert_int_equal(count_open("/lock"), MAX_OPEN);
	}
	assert_int_equal(count_open("user-1/db.sqlite"), 0);
	assert_int_equal(count_open("user-2/db.sqlite"), 0);
	a = open_account(f, &ids[0]);
	assert_int_equal(number_of(a->db, "SELECT count(*) FROM temp.kept"), 0);
	account_close(f->accounts, a, true);
}

static void handles_in_use_are_never_closed_for_others(void **state)
{
	const struct fixture *f = *state;
	struct account *open[MAX_OPEN + 2];

	for (unsigned i = 0; i < MAX_OPEN + 2; i++) {
		struct user_id id = numbered("user", i);
		id = make_user(f, id.text, 1);
		open[i] = open_account(f, &id);
	}
	assert_int_equal(count_open("/db.sqlite"), MAX_OPEN + 2);
	for (unsigned i = 0; i < MAX_OPEN + 2; i++) {
		assert_int_equal(number_of(open[i]->db, "SELECT count(*) FROM sqlite_schema"), 0);
		account_close(f->accounts, open[i], true);
	}
	struct user_id next = make_user(f, "next", 1);
	account_close(f->accounts, open_account(f, &next), true);
	assert_int_equal(count_open("/db.sqlite"), MAX_OPEN);
}

/* Otherwise a burst leaves more open than was allowed, for as long as nobody new comes. */
static void cache_is_within_its_bound_when_all_are_closed_again(void **state)
{
	const struct fixture *f = *state;
	struct account *open[MAX_OPEN + 2];

	for (unsigned i = 0; i < MAX_OPEN + 2; i++) {
		struct user_id id = numbered("user", i);
		id = make_user(f, id.text, 1);
		open[i] = open_account(f, &id);
	}
	for (unsigned i = 0; i < MAX_OPEN + 2; i++)
		account_close(f->accounts, open[i], true);
	assert_int_equal(count_open("/db.sqlite"), MAX_OPEN);
}

static void put_in_place(const struct fixture *f, const struct user_id *from,
			 const struct user_id *to)
{
	static const char *const aside[] = { "db.sqlite-wal", "db.sqlite-shm" };
	char path[FOLDER_FILE_MAX], other[FOLDER_FILE_MAX];

	for (int i = 0; i < 2; i++) {
		path_of(f, to, aside[i], path);
		path_of(f, to, i ? "shm.orphan" : "wal.orphan", other);
		assert_int_equal(rename(path, other), 0);
		path_of(f, from, aside[i], other);
		assert_int_equal(rename(other, path), 0);
	}
	path_of(f, from, "db.sqlite", other);
	path_of(f, to, "db.sqlite", path);
	assert_int_equal(rename(other, path), 0);
}

static void database_that_was_replaced_is_opened_anew(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 1), other = make_user(f, "other", 1);

	struct account *a = open_account(f, &alice);
	run_sql(a->db, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
	account_close(f->accounts, a, true);
	a = open_account(f, &other);
	run_sql(a->db, "CREATE TABLE t(a); INSERT INTO t VALUES(2)");
	account_close(f->accounts, a, false);
	put_in_place(f, &other, &alice);
	a = open_account(f, &alice);
	assert_int_equal(number_of(a->db, "SELECT a FROM t"), 2);
	account_close(f->accounts, a, true);
	assert_int_equal(count_open("/db.sqlite (deleted)"), 0);
	assert_int_equal(count_open("/db.sqlite"), 1);
}

static void database_that_went_away_is_not_served_from_the_cache(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 1);
	char path[FOLDER_FILE_MAX];
	struct account *a;

	account_close(f->accounts, open_account(f, &alice), true);
	path_of(f, &alice, "db.sqlite", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(account_open(f->accounts, &alice, &a), ACCOUNT_NO_FILES);
	assert_int_equal(count_open("/lock"), 0);
}

/* Dirty users in every place that is still free. */
static void fill_with_dirty_users(const struct fixture *f)
{
	struct slot *s;

	for (unsigned n = 0;; n++) {
		struct user_id id = numbered("dirty", n);
		if (table_add(f->table, &id, &s) == TABLE_FULL)
			return;
		slot_commit(s);
		table_set_due(f->table, s);
	}
}

static void table_full_of_dirty_users_is_full(void **state)
{
	const struct fixture *f = *state;
	struct user_id newcomer = make_user(f, "newcomer", 1);
	struct account *a = NULL;
	struct slot *s;

	fill_with_dirty_users(f);
	assert_int_equal(account_slot(f->accounts, &newcomer, &s), ACCOUNT_FULL);
	assert_int_equal(account_open(f->accounts, &newcomer, &a), ACCOUNT_FULL);
}

static void slot_of_a_clean_user_is_taken_over(void **state)
{
	const struct fixture *f = *state;
	struct user_id clean = make_user(f, "clean", 17), newcomer = make_user(f, "newcomer", 5);
	struct slot *s;

	assert_false(view_of(f, &clean).failed_since_ms);
	fill_with_dirty_users(f);
	struct account *a = open_account(f, &newcomer);
	assert_int_equal(view_of(f, &newcomer).txid, 5);
	account_close(f->accounts, a, true);
	assert_null(table_find(f->table, &clean));
	/* And back: what is known of the clean one is on disk. */
	assert_int_equal(account_slot(f->accounts, &clean, &s), ACCOUNT_OK);
	assert_int_equal(view_of(f, &clean).txid, 17);
	assert_null(table_find(f->table, &newcomer));
}

static void slot_of_a_user_who_is_being_served_is_not_taken_over(void **state)
{
	static const enum right rights[] = { RIGHT_FILES_SHARED, RIGHT_FILES, RIGHT_PUSH };
	const struct fixture *f = *state;
	struct user_id clean = make_user(f, "clean", 17), newcomer = make_user(f, "newcomer", 5);
	char path[FOLDER_FILE_MAX];
	struct slot *s;

	view_of(f, &clean);
	fill_with_dirty_users(f);
	path_of(f, &clean, "lock", path);
	int lock = right_open(path);
	for (int i = 0; i < 3; i++) {
		assert_true(right_claim(lock, rights[i]));
		assert_int_equal(account_slot(f->accounts, &newcomer, &s), ACCOUNT_FULL);
		assert_non_null(table_find(f->table, &clean));
		right_release(lock, rights[i]);
	}
	assert_int_equal(account_slot(f->accounts, &newcomer, &s), ACCOUNT_OK);
	close(lock);
}

static void slots_of_users_without_a_folder_are_taken_over(void **state)
{
	const struct fixture *f = *state;
	struct user_id newcomer = make_user(f, "newcomer", 5);
	struct slot *s;

	for (unsigned n = 0; n < PLACES; n++) {
		struct user_id id = numbered("nobody", n);
		assert_int_equal(account_slot(f->accounts, &id, &s), ACCOUNT_OK);
	}
	assert_int_equal(account_slot(f->accounts, &newcomer, &s), ACCOUNT_OK);
}

/*
 * A worker died between COMMIT and the count of it, and the master has not
 * yet noticed: the table says clean, the disk does not.
 */
static void slot_of_a_user_with_an_uncounted_commit_is_not_lost(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = make_user(f, "alice", 17), newcomer = make_user(f, "newcomer", 5);
	struct slot *s;

	struct account *a = open_account(f, &alice);
	run_sql(a->db, "CREATE TABLE t(a)");
	account_close(f->accounts, a, false);
	fill_with_dirty_users(f);
	if (account_slot(f->accounts, &newcomer, &s) == ACCOUNT_OK)
		assert_non_null(table_find(f->table, &alice));
	assert_true(is_due(f, &alice));
}

struct asker {
	const struct fixture *f;
	struct user_id id;
};

static int ask_for_slot(void *owner)
{
	const struct asker *a = owner;
	struct slot *s;

	return account_slot(a->f->accounts, &a->id, &s) == ACCOUNT_OK ? 0 : 1;
}

static int ask_to_open(void *owner)
{
	const struct asker *a = owner;
	struct account *open;

	switch (account_open(a->f->accounts, &a->id, &open)) {
	case ACCOUNT_OK:
		return slot_is_of(open->slot, &a->id) && slot_is_loaded(open->slot) ? 0 : 1;
	case ACCOUNT_BUSY:
		return 0;
	case ACCOUNT_NO_FILES:
	case ACCOUNT_FULL:
	case ACCOUNT_FAILED:
		break;
	}
	return 2;
}

/* The only thing that a child waits for in these tests is a right. */
static void wait_until_it_sleeps(pid_t pid)
{
	char path[64], line[512], state = 0;

	(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	while (state != 'S') {
		FILE *stat = fopen(path, "re");

		assert_non_null(stat);
		const char *got = fgets(line, sizeof line, stat);
		(void)fclose(stat);
		assert_non_null(got);
		const char *after_name = strrchr(line, ')');
		assert_non_null(after_name);
		state = after_name[2];
		assert_int_not_equal(state, 'Z');
		sched_yield();
	}
}

static void replace(const struct fixture *f, struct slot *s, const struct user_id *old,
		    const struct user_id *id)
{
	int change = table_change_begin(f->table);

	assert_true(change >= 0);
	assert_true(table_replace(f->table, s, old, id));
	table_change_end(change);
}

/*
 * While one waits to load the slot, another loads it and a third takes it over:
 * its words are the newcomer's by then, and what the disk says of the old user
 * would be taken for the truth about the newcomer.
 */
static void slot_that_changed_hands_meanwhile_is_not_loaded_from_its_old_user(void **state)
{
	static int (*const asks[])(void *) = { ask_for_slot, ask_to_open };
	const struct slot_saved saved = { .txid = 17, .files = FILES_PRESENT };
	const struct fixture *f = *state;
	struct user_id newcomer = make_user(f, "newcomer", 5), old = make_user(f, "old-0", 17);
	char path[FOLDER_FILE_MAX];
	struct slot *s;

	assert_int_equal(table_add(f->table, &old, &s), TABLE_ADDED);
	/* Every place is one where a newcomer is looked for. */
	fill_with_dirty_users(f);
	for (unsigned i = 0; i < 2; i++) {
		struct asker asker = { f, old };

		path_of(f, &old, "lock", path);
		int lock = right_open(path);
		assert_true(right_claim(lock, RIGHT_LOAD));
		pid_t child = start_child(asks[i], &asker);
		wait_until_it_sleeps(child);
		slot_load(s, &saved);
		replace(f, s, &old, &newcomer);
		/* The child has the descriptor, too: closing ours releases nothing. */
		right_release(lock, RIGHT_LOAD);
		close(lock);
		expect_child_succeeds(child);
		assert_int_equal(view_of(f, &newcomer).txid, 5);
		assert_ptr_equal(table_find(f->table, &newcomer), s);
		old = make_user(f, "old-1", 17);
		replace(f, s, &newcomer, &old);
	}
}

enum { CROWD = 90, CROWD_PROCESSES = 8, CROWD_TURNS = 10000 };

/* Nobody has another slot for this user as long as it is open here. */
static int look_at_own_slot(const struct fixture *f, const struct account *a, unsigned n)
{
	struct slot_view v;

	if (!slot_is_of(a->slot, &a->id))
		return 2;
	if (table_find(f->table, &a->id) != a->slot)
		return 3;
	if (!slot_is_loaded(a->slot))
		return 4;
	slot_read(a->slot, &v);
	if (v.txid != n + 1 || v.files != FILES_PRESENT)
		return 5;
	return slot_is_dirty(&v) ? 6 : 0;
}

/* 0, or what was wrong; `served` counts those who got in. */
static int visit(const struct fixture *f, struct accounts *all, unsigned n, unsigned *served)
{
	struct user_id id = numbered("crowd", n);
	struct account *a;

	switch (account_open(all, &id, &a)) {
	case ACCOUNT_OK:
		break;
	case ACCOUNT_BUSY:
	case ACCOUNT_FULL:
		return 0;
	case ACCOUNT_NO_FILES:
	case ACCOUNT_FAILED:
		return 1;
	}
	int wrong = look_at_own_slot(f, a, n);
	sched_yield();
	if (wrong == 0)
		wrong = look_at_own_slot(f, a, n);
	account_close(all, a, true);
	*served += 1;
	return wrong;
}

struct visitor {
	const struct fixture *f;
	unsigned seed;
};

static int visit_again_and_again(void *owner)
{
	const struct visitor *v = owner;
	struct accounts *all = new_accounts(v->f, CROWD);
	unsigned x = v->seed, served = 0;
	int wrong = 0;

	for (int turn = 0; turn < CROWD_TURNS && wrong == 0; turn++) {
		x = x * 1103515245u + 12345u;
		wrong = visit(v->f, all, (x >> 16) % CROWD, &served);
	}
	accounts_free(all);
	return wrong != 0 || served > CROWD ? wrong : 7;
}

static void crowd_that_does_not_fit_the_table_never_gets_anothers_slot(void **state)
{
	const struct fixture *f = *state;
	struct visitor visitors[CROWD_PROCESSES];
	struct children c;

	for (unsigned n = 0; n < CROWD; n++) {
		struct user_id id = numbered("crowd", n);
		make_user(f, id.text, n + 1);
	}
	children_init(&c);
	for (unsigned i = 0; i < CROWD_PROCESSES; i++) {
		visitors[i] = (struct visitor){ f, i * 7919 + 1 };
		children_add(&c, visit_again_and_again, &visitors[i]);
	}
	int before = silence_stderr();
	children_go(&c);
	int status[CROWD_PROCESSES];
	for (unsigned i = 0; i < CROWD_PROCESSES; i++)
		waitpid(c.pids[i], &status[i], 0);
	restore_stderr(before);
	for (unsigned i = 0; i < CROWD_PROCESSES; i++)
		assert_int_equal(status[i], 0);
	/* Whoever has a slot has one, with its own words or none yet. */
	for (const struct slot *s = NULL; (s = table_next(f->table, s)) != NULL;) {
		struct slot_view v;
		struct user_id id;

		slot_id(s, &id);
		assert_ptr_equal(table_find(f->table, &id), s);
		slot_read(s, &v);
		if (slot_is_loaded(s))
			assert_int_equal(v.txid, atoi(id.text + strlen("crowd-")) + 1);
	}
}

enum { NEWCOMERS = 30, ASKERS = 8 };

static void newcomer_whom_many_ask_for_takes_over_one_slot(void **state)
{
	struct fixture *f = *state;

	for (unsigned n = 0; n < PLACES; n++) {
		struct user_id id = numbered("clean", n);
		make_user(f, id.text, 1);
		view_of(f, &id);
	}
	for (unsigned n = 0; n < NEWCOMERS; n++) {
		struct asker asker = { f, numbered("newcomer", n) };
		struct children c;
		unsigned slots = 0;

		make_user(f, asker.id.text, 1);
		children_init(&c);
		for (unsigned i = 0; i < ASKERS; i++)
			children_add(&c, ask_for_slot, &asker);
		children_go(&c);
		children_succeed(&c);
		for (const struct slot *s = NULL; (s = table_next(f->table, s)) != NULL;)
			slots += slot_is_of(s, &asker.id);
		assert_int_equal(slots, 1);
	}
}

#define test_with_accounts(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_with_accounts(user_without_a_folder_or_a_database_has_no_files),
		test_with_accounts(record_without_a_database_says_nothing),
		test_with_accounts(user_in_step_loads_clean),
		test_with_accounts(commit_that_nobody_counted_loads_dirty_and_due),
		test_with_accounts(commit_that_the_record_covers_loads_clean),
		test_with_accounts(lost_or_damaged_record_loads_dirty_and_due),
		test_with_accounts(failure_in_the_record_loads_failed_dirty_and_due),
		test_with_accounts(unreadable_record_fails_and_is_tried_again),
		test_with_accounts(disk_is_read_once_for_each_user),
		test_with_accounts(handle_is_kept_between_two_requests),
		test_with_accounts(shared_right_is_held_from_open_to_close),
		test_with_accounts(detached_handle_leaves_the_user_another_one_and_holds_the_right),
		test_with_accounts(detached_handle_comes_back_if_there_is_no_other),
		test_with_accounts(least_recently_used_handle_is_closed_first),
		test_with_accounts(handles_in_use_are_never_closed_for_others),
		test_with_accounts(cache_is_within_its_bound_when_all_are_closed_again),
		test_with_accounts(database_that_was_replaced_is_opened_anew),
		test_with_accounts(database_that_went_away_is_not_served_from_the_cache),
		test_with_accounts(table_full_of_dirty_users_is_full),
		test_with_accounts(slot_of_a_clean_user_is_taken_over),
		test_with_accounts(slot_of_a_user_who_is_being_served_is_not_taken_over),
		test_with_accounts(slots_of_users_without_a_folder_are_taken_over),
		test_with_accounts(slot_of_a_user_with_an_uncounted_commit_is_not_lost),
		test_with_accounts(
			slot_that_changed_hands_meanwhile_is_not_loaded_from_its_old_user),
		test_with_accounts(newcomer_whom_many_ask_for_takes_over_one_slot),
		test_with_accounts(crowd_that_does_not_fit_the_table_never_gets_anothers_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
