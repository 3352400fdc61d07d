#include "sync/restore.h"

#include "base/alloc.h"
#include "base/file.h"
#include "fixture.h"
#include "ltx/encode.h"
#include "store/dir.h"
#include "sync/chain.h"

#include <inttypes.h>

enum { PAGES_MAX = 48 };

struct fixture {
	struct folder folder;
	char root[FOLDER_FILE_MAX]; /* of the store */
	char db[FOLDER_FILE_MAX]; /* what is restored */
	struct store *store;
	struct tasks *tasks;
	struct user_id user;
};

/* A database as it should be after some transaction. */
struct image {
	uint32_t page_size;
	uint32_t npages;
	uint8_t *bytes; /* room for PAGES_MAX */
};

static int set_up(void **state)
{
	static struct fixture f;
	static struct tasks tasks;
	char why[256];

	folder_init(&f.folder);
	folder_file(&f.folder, "store", f.root);
	folder_file(&f.folder, "db.sqlite.pull", f.db);
	f.store = dir_new(f.root, why, sizeof why);
	assert_non_null(f.store);
	assert_int_equal(user_id_parse("alice", 5, &f.user), 0);
	f.tasks = &tasks;
	tasks_init(f.tasks);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	store_free(f->store);
	folder_release(&f->folder);
	return 0;
}

static struct image image_new(uint32_t page_size)
{
	return (struct image){ page_size, 0, alloc_zeroed(PAGES_MAX, page_size) };
}

static uint8_t *page_of(const struct image *m, uint32_t pgno)
{
	return m->bytes + (size_t)(pgno - 1) * m->page_size;
}

/* Half of a page is noise, half of it the same byte. */
static void fill_page(const struct image *m, uint32_t pgno, uint32_t seed)
{
	uint8_t *page = page_of(m, pgno);
	uint32_t x = seed * 2654435761u + pgno * 40503u + 1;

	memset(page, (int)(seed + pgno) & 0xff, m->page_size);
	for (uint32_t i = 0; i < m->page_size / 2; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		page[i] = (uint8_t)x;
	}
}

static int add_to_buf(void *owner, const void *bytes, size_t len)
{
	buf_add(owner, bytes, len);
	return 0;
}

/* An LTX file with the pages of `m` that `wanted` says, all of them when NULL. */
static struct buf encode(const struct image *m, uint64_t min, uint64_t max, const bool *wanted)
{
	const struct ltx_header h = {
		.page_size = m->page_size,
		.commit = m->npages,
		.min_txid = min,
		.max_txid = max,
		.timestamp_ms = 1700000000000,
	};
	struct buf out = BUF_INIT;
	struct ltx_encoder *e = ltx_encoder_new(&h, add_to_buf, &out);

	assert_non_null(e);
	for (uint32_t pgno = 1; pgno <= m->npages; pgno++) {
		if (wanted == NULL || wanted[pgno - 1])
			assert_int_equal(ltx_encode_page(e, pgno, page_of(m, pgno)), 0);
	}
	assert_int_equal(ltx_encoder_finish(e), 0);
	ltx_encoder_free(e);
	return out;
}

static void path_of(const struct fixture *f, unsigned level, uint64_t min, uint64_t max,
		    char out[FOLDER_FILE_MAX])
{
	char name[128];

	(void)snprintf(name, sizeof name, "store/alice/%04x", level);
	folder_file(&f->folder, name, out);
	assert_int_equal(file_make_dirs(out, 0700), 0);
	(void)snprintf(name, sizeof name, "store/alice/%04x/%016" PRIx64 "-%016" PRIx64 ".ltx",
		       level, min, max);
	folder_file(&f->folder, name, out);
}

static void put_bytes(const char *path, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, bytes, len, 0), 0);
	assert_int_equal(close(fd), 0);
}

static void put_object(const struct fixture *f, unsigned level, uint64_t min, uint64_t max,
		       const struct buf *object)
{
	char path[FOLDER_FILE_MAX];

	path_of(f, level, min, max, path);
	put_bytes(path, object->data, object->len);
}

/* The transaction `txid`: `npages` pages afterwards, every `step`-th of the old ones new. */
static void push(const struct fixture *f, struct image *m, uint64_t txid, uint32_t npages,
		 uint32_t step)
{
	bool wanted[PAGES_MAX];

	assert_true(npages <= PAGES_MAX);
	for (uint32_t pgno = 1; pgno <= npages; pgno++) {
		wanted[pgno - 1] = txid == 1 || pgno > m->npages || pgno % step == 0;
		if (wanted[pgno - 1])
			fill_page(m, pgno, (uint32_t)txid);
	}
	m->npages = npages;
	struct buf object = encode(m, txid, txid, wanted);
	put_object(f, CHAIN_PUSH_LEVEL, txid, txid, &object);
	buf_release(&object);
}

static void push_snapshot(const struct fixture *f, const struct image *m, uint64_t txid)
{
	struct buf object = encode(m, 1, txid, NULL);

	put_object(f, CHAIN_SNAPSHOT_LEVEL, 1, txid, &object);
	buf_release(&object);
}

/* One restore and how often done() was called. */
struct run {
	struct restore *restore;
	struct restored got;
	unsigned ended;
	int fd;
	bool frees; /* inside done() */
};

static void take_outcome(struct restore *r, void *owner)
{
	struct run *run = owner;

	run->ended++;
	run->got = *restore_outcome(r);
	if (run->frees) {
		restore_free(r);
		run->restore = NULL;
	}
}

static void run_begin(const struct fixture *f, uint64_t txid, struct run *run)
{
	run->ended = 0;
	run->fd = open(f->db, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(run->fd >= 0);
	run->restore = restore_start(f->store, f->tasks, &f->user, txid, run->fd, f->folder.path,
				     take_outcome, run);
}

/* What is under way in a folder is done in one turn; what that starts, in the next. */
static void run_on(const struct fixture *f, unsigned turns)
{
	while (turns-- > 0) {
		store_run(f->store, 0);
		tasks_run(f->tasks);
	}
}

static struct restored run_to_its_end(const struct fixture *f, struct run *run)
{
	for (int turns = 0; run->ended == 0 && turns < 1000; turns++)
		run_on(f, 1);
	run_on(f, 20);
	assert_int_equal(run->ended, 1);
	restore_free(run->restore);
	close(run->fd);
	return run->got;
}

static struct restored restore(const struct fixture *f, uint64_t txid)
{
	struct run run = { 0 };

	run_begin(f, txid, &run);
	return run_to_its_end(f, &run);
}

static struct restored restore_at(const struct fixture *f, int64_t wall_ms)
{
	struct run run = { .fd = open(f->db, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) };

	assert_true(run.fd >= 0);
	run.restore = restore_start_at(f->store, f->tasks, &f->user, wall_ms, run.fd,
				       f->folder.path, take_outcome, &run);
	return run_to_its_end(f, &run);
}

/* The store's time of an object. */
static void date_object(const struct fixture *f, unsigned level, uint64_t min, uint64_t max,
			int64_t wall_ms)
{
	const struct timespec when = { .tv_sec = wall_ms / 1000,
				       .tv_nsec = wall_ms % 1000 * 1000000 };
	char path[FOLDER_FILE_MAX];

	path_of(f, level, min, max, path);
	assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){ when, when }, 0), 0);
}

static void expect_image(const struct fixture *f, const struct restored *got,
			 const struct image *want)
{
	struct buf bytes = BUF_INIT;

	assert_int_equal(got->result, RESTORE_DONE);
	assert_int_equal(got->error, ERROR_NONE);
	assert_int_equal(got->page_size, want->page_size);
	assert_int_equal(got->npages, want->npages);
	assert_int_equal(got->bytes, got->bytes_all);
	assert_int_equal(file_read(f->db, 1 << 24, &bytes), FILE_OK);
	assert_int_equal(bytes.len, (size_t)want->page_size * want->npages);
	for (uint32_t pgno = 1; pgno <= want->npages; pgno++) {
		if (memcmp(bytes.data + (size_t)(pgno - 1) * want->page_size, page_of(want, pgno),
			   want->page_size) != 0)
			fail_msg("page %u of %u differs", pgno, want->npages);
	}
	buf_release(&bytes);
}

static void expect_result(const struct fixture *f, uint64_t txid, enum restore_result result,
			  enum object_error error)
{
	struct restored got = restore(f, txid);

	if (got.result != result || got.error != error)
		fail_msg("got result %d error %d, want %d %d", (int)got.result, (int)got.error,
			 (int)result, (int)error);
}

static void remove_all_objects(const struct fixture *f)
{
	char path[FOLDER_FILE_MAX];

	folder_file(&f->folder, "store/alice", path);
	remove_tree(path);
}

/* The sizes of a database in pages after each of its transactions. */
static const uint32_t history[] = { 5, 9, 9, 3, 3, 7, 1, 12, 12 };

enum { HISTORY = sizeof history / sizeof history[0] };

static void database_that_grew_and_shrank_is_restored_to_every_transaction(void **state)
{
	const struct fixture *f = *state;

	for (uint32_t page_size = LTX_PAGE_MIN; page_size <= LTX_PAGE_MAX; page_size *= 2) {
		struct image m = image_new(page_size);

		for (uint64_t txid = 1; txid <= HISTORY; txid++) {
			push(f, &m, txid, history[txid - 1], 2);
			struct restored got = restore(f, 0);
			expect_image(f, &got, &m);
			assert_int_equal(got.txid, txid);
		}
		/* Earlier ones are the same whatever has come since. */
		struct image old = image_new(page_size);
		for (uint64_t txid = 1; txid <= HISTORY; txid++) {
			push(f, &old, txid, history[txid - 1], 2);
			struct restored got = restore(f, txid);
			expect_image(f, &got, &old);
			assert_int_equal(got.txid, txid);
		}
		free(m.bytes);
		free(old.bytes);
		remove_all_objects(f);
	}
}

static void snapshot_is_the_base_of_what_follows(void **state)
{
	const struct fixture *f = *state;
	struct image m = image_new(1024);
	char path[FOLDER_FILE_MAX];

	for (uint64_t txid = 1; txid <= 4; txid++)
		push(f, &m, txid, (uint32_t)txid * 3, 2);
	push_snapshot(f, &m, 4);
	/* A push below the snapshot is no longer needed, nor fetched. */
	path_of(f, CHAIN_PUSH_LEVEL, 2, 2, path);
	put_bytes(path, "damaged", 7);
	for (uint64_t txid = 5; txid <= 6; txid++)
		push(f, &m, txid, 8, 3);
	struct restored got = restore(f, 0);
	expect_image(f, &got, &m);
	assert_int_equal(got.txid, 6);
	expect_result(f, 3, RESTORE_DAMAGED, ERROR_DAMAGED);
	free(m.bytes);
}

static void more_objects_than_are_fetched_at_once_are_applied_in_order(void **state)
{
	const struct fixture *f = *state;
	struct image m = image_new(512);

	for (uint64_t txid = 1; txid <= 100; txid++)
		push(f, &m, txid, 1 + (uint32_t)(txid * 7 % 20), 1 + (uint32_t)txid % 3);
	struct restored got = restore(f, 0);
	expect_image(f, &got, &m);
	assert_int_equal(got.txid, 100);
	free(m.bytes);
}

static void objects_larger_than_memory_allows_are_restored(void **state)
{
	const struct fixture *f = *state;
	struct image m = image_new(65536);

	push(f, &m, 1, PAGES_MAX, 1);
	push(f, &m, 2, PAGES_MAX, 1);
	struct restored got = restore(f, 0);
	expect_image(f, &got, &m);
	assert_true(got.bytes > 2 << 20);
	free(m.bytes);
}

static void user_without_objects_is_no_user(void **state)
{
	const struct fixture *f = *state;
	char path[FOLDER_FILE_MAX];
	struct stat st;

	expect_result(f, 0, RESTORE_NO_USER, ERROR_NONE);
	/* Objects of somebody whose id begins like ours. */
	folder_file(&f->folder, "store/alice2/0000", path);
	assert_int_equal(file_make_dirs(path, 0700), 0);
	folder_file(&f->folder, "store/alice2/0000/0000000000000001-0000000000000001.ltx", path);
	put_bytes(path, "x", 1);
	expect_result(f, 0, RESTORE_NO_USER, ERROR_NONE);
	expect_result(f, 7, RESTORE_NO_USER, ERROR_NONE);
	assert_int_equal(stat(f->db, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void store_that_is_gone_is_not_an_absent_user(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(rmdir(f->root), 0);
	expect_result(f, 0, RESTORE_UNREACHED, ERROR_CONFIG);
}

static void transaction_that_is_not_there_is_damage(void **state)
{
	const struct fixture *f = *state;
	struct image m = image_new(512);

	push(f, &m, 1, 2, 1);
	push(f, &m, 2, 2, 1);
	expect_result(f, 3, RESTORE_DAMAGED, ERROR_DAMAGED);
	expect_result(f, UINT64_MAX, RESTORE_DAMAGED, ERROR_DAMAGED);
	free(m.bytes);
}

enum { DAY_MS = 86400000 };

static void time_restores_the_last_transaction_that_was_stored_by_then(void **state)
{
	const struct fixture *f = *state;
	struct image m = image_new(512), old = image_new(512);

	for (uint64_t txid = 1; txid <= 5; txid++) {
		push(f, &m, txid, (uint32_t)txid + 2, 2);
		date_object(f, CHAIN_PUSH_LEVEL, txid, txid, (int64_t)txid * DAY_MS);
	}
	push_snapshot(f, &m, 5);
	date_object(f, CHAIN_SNAPSHOT_LEVEL, 1, 5, INT64_C(6) * DAY_MS);
	for (uint64_t txid = 1; txid <= 5; txid++) {
		push(f, &old, txid, (uint32_t)txid + 2, 2);
		date_object(f, CHAIN_PUSH_LEVEL, txid, txid, (int64_t)txid * DAY_MS);
		struct restored got = restore_at(f, (int64_t)txid * DAY_MS + DAY_MS - 1);
		expect_image(f, &got, &old);
		assert_int_equal(got.txid, txid);
	}
	free(m.bytes);
	free(old.bytes);
}

static void time_before_the_first_object_is_told_with_the_earliest_transaction(void **state)
{
	const struct fixture *f = *state;
	struct image m = image_new(512);

	assert_int_equal(restore_at(f, DAY_MS).result, RESTORE_NO_USER);
	push(f, &m, 1, 3, 2);
	date_object(f, CHAIN_PUSH_LEVEL, 1, 1, DAY_MS);
	static const int64_t early[] = { DAY_MS - 1, 0, -1, INT64_MIN };
	for (size_t i = 0; i < sizeof early / sizeof early[0]; i++) {
		struct restored got = restore_at(f, early[i]);
		assert_int_equal(got.result, RESTORE_DAMAGED);
		assert_true(got.too_early);
		assert_int_equal(got.earliest, 1);
	}
	free(m.bytes);
}

static void what_retention_deleted_is_told_with_the_earliest_transaction(void **state)
{
	const struct fixture *f = *state;
	struct image m = image_new(512);
	char path[FOLDER_FILE_MAX];

	for (uint64_t txid = 1; txid <= 6; txid++) {
		push(f, &m, txid, 4, 2);
		date_object(f, CHAIN_PUSH_LEVEL, txid, txid, (int64_t)txid * DAY_MS);
		if (txid == 4)
			push_snapshot(f, &m, 4);
	}
	date_object(f, CHAIN_SNAPSHOT_LEVEL, 1, 4, INT64_C(4) * DAY_MS);
	for (uint64_t txid = 1; txid <= 2; txid++) {
		path_of(f, CHAIN_PUSH_LEVEL, txid, txid, path);
		assert_int_equal(unlink(path), 0);
	}
	/* 3 is still there and of no use. */
	struct restored got = restore_at(f, INT64_C(3) * DAY_MS);
	assert_int_equal(got.result, RESTORE_DAMAGED);
	assert_false(got.too_early);
	assert_int_equal(got.earliest, 4);
	got = restore(f, 2);
	assert_int_equal(got.result, RESTORE_DAMAGED);
	assert_int_equal(got.earliest, 4);
	got = restore_at(f, INT64_C(2) * DAY_MS);
	assert_true(got.too_early);
	assert_int_equal(got.earliest, 4);
	got = restore_at(f, INT64_C(6) * DAY_MS);
	expect_image(f, &got, &m);
	assert_int_equal(got.txid, 6);
	assert_int_equal(got.earliest, 0);
	free(m.bytes);
}

static void push_history(const struct fixture *f, uint64_t count)
{
	struct image m = image_new(512);

	for (uint64_t txid = 1; txid <= count; txid++)
		push(f, &m, txid, 4, 2);
	free(m.bytes);
}

static void missing_object_is_damage(void **state)
{
	const struct fixture *f = *state;
	char path[FOLDER_FILE_MAX];

	push_history(f, 4);
	path_of(f, CHAIN_PUSH_LEVEL, 3, 3, path);
	assert_int_equal(unlink(path), 0);
	expect_result(f, 0, RESTORE_DAMAGED, ERROR_DAMAGED);
	path_of(f, CHAIN_PUSH_LEVEL, 1, 1, path);
	assert_int_equal(unlink(path), 0);
	expect_result(f, 0, RESTORE_DAMAGED, ERROR_DAMAGED);
	expect_result(f, 2, RESTORE_DAMAGED, ERROR_DAMAGED);
}

/* Whatever its place: the first, one of the first window, one of the next. */
static void object_that_goes_after_it_was_listed_is_damage(void **state)
{
	static const uint64_t gone[] = { 1, 2, 8, 9, 20 };
	const struct fixture *f = *state;

	for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
		char path[FOLDER_FILE_MAX];
		struct run run = { 0 };

		push_history(f, 20);
		run_begin(f, 0, &run);
		run_on(f, 1);
		path_of(f, CHAIN_PUSH_LEVEL, gone[i], gone[i], path);
		assert_int_equal(unlink(path), 0);
		run_on(f, 40);
		assert_int_equal(run.ended, 1);
		assert_int_equal(run.got.result, RESTORE_DAMAGED);
		assert_int_equal(run.got.error, ERROR_DAMAGED);
		restore_free(run.restore);
		close(run.fd);
	}
}

static void expect_damage_of(const struct fixture *f, uint64_t txid, const struct buf *bytes,
			     const char *what, size_t at)
{
	char path[FOLDER_FILE_MAX];

	path_of(f, CHAIN_PUSH_LEVEL, txid, txid, path);
	put_bytes(path, bytes->data, bytes->len);
	int before = silence_stderr();
	struct restored got = restore(f, 0);
	restore_stderr(before);
	if (got.result != RESTORE_DAMAGED || got.error != ERROR_DAMAGED)
		fail_msg("%s at %zu of object %" PRIu64 ": got result %d error %d", what, at, txid,
			 (int)got.result, (int)got.error);
}

static void object_with_any_damage_is_never_restored(void **state)
{
	const struct fixture *f = *state;

	push_history(f, 3);
	for (uint64_t txid = 1; txid <= 3; txid++) {
		char path[FOLDER_FILE_MAX];
		struct buf whole = BUF_INIT;

		path_of(f, CHAIN_PUSH_LEVEL, txid, txid, path);
		assert_int_equal(file_read(path, 1 << 20, &whole), FILE_OK);
		for (size_t at = 0; at < whole.len; at += 3) {
			whole.data[at] ^= 0x10;
			expect_damage_of(f, txid, &whole, "a changed byte", at);
			whole.data[at] ^= 0x10;
		}
		size_t len = whole.len;
		for (whole.len = 0; whole.len < len; whole.len += 37)
			expect_damage_of(f, txid, &whole, "a cut", whole.len);
		whole.len = len;
		buf_add(&whole, "", 1);
		expect_damage_of(f, txid, &whole, "one byte more", len);
		put_bytes(path, whole.data, len);
		buf_release(&whole);
		expect_result(f, 0, RESTORE_DONE, ERROR_NONE);
	}
}

static void object_under_the_name_of_another_is_damage(void **state)
{
	const struct fixture *f = *state;
	struct image m = image_new(512);

	push_history(f, 3);
	m.npages = 4;
	struct buf second = encode(&m, 2, 2, NULL), both = encode(&m, 2, 3, NULL);
	struct buf snapshot = encode(&m, 1, 3, NULL);
	expect_damage_of(f, 3, &second, "the header of 2", 0);
	expect_damage_of(f, 3, &both, "the header of 2-3", 0);
	expect_damage_of(f, 3, &snapshot, "the header of 1-3", 0);
	buf_release(&second);
	buf_release(&both);
	buf_release(&snapshot);
	free(m.bytes);
}

static void page_size_that_changes_with_every_page_is_restored(void **state)
{
	const struct fixture *f = *state;
	static const bool page_2[PAGES_MAX] = { false, true };
	struct image m = image_new(1024);
	struct buf whole, next;
	char path[FOLDER_FILE_MAX];

	push_history(f, 2);
	m.npages = 3;
	whole = encode(&m, 3, 3, NULL);
	path_of(f, CHAIN_PUSH_LEVEL, 3, 3, path);
	put_bytes(path, whole.data, whole.len);
	fill_page(&m, 2, 7);
	next = encode(&m, 4, 4, page_2);
	path_of(f, CHAIN_PUSH_LEVEL, 4, 4, path);
	put_bytes(path, next.data, next.len);
	struct restored got = restore(f, 0);
	expect_image(f, &got, &m);
	assert_int_equal(got.txid, 4);
	buf_release(&whole);
	buf_release(&next);
	free(m.bytes);
}

static void page_size_that_changes_with_some_pages_is_damage(void **state)
{
	static const bool all_but_3[PAGES_MAX] = { true, true, false, true };
	const struct fixture *f = *state;
	struct image m = image_new(1024);

	push_history(f, 3);
	m.npages = 4;
	struct buf other = encode(&m, 3, 3, all_but_3);
	expect_damage_of(f, 3, &other, "another page size", 0);
	buf_release(&other);
	free(m.bytes);
}

/* Zeros in their place would look like a database. */
static void growth_without_all_of_its_pages_is_damage(void **state)
{
	static const struct {
		uint32_t npages;
		bool wanted[PAGES_MAX];
	} rows[] = {
		{ 5, { true } },
		{ 6, { true, [5] = true } },
		{ 7, { true, [4] = true, [6] = true } },
		{ 7, { true, [4] = true, [5] = true } },
	};
	const struct fixture *f = *state;
	struct image m = image_new(512);

	push_history(f, 3);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		m.npages = rows[i].npages;
		struct buf object = encode(&m, 3, 3, rows[i].wanted);
		expect_damage_of(f, 3, &object, "growth", i);
		buf_release(&object);
	}
	free(m.bytes);
}

static void file_that_cannot_be_written_is_no_fault_of_the_store(void **state)
{
	const struct fixture *f = *state;
	struct run run = { 0 };

	push_history(f, 3);
	put_bytes(f->db, "", 0);
	int fd = open(f->db, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	run.restore = restore_start(f->store, f->tasks, &f->user, 0, fd, f->folder.path,
				    take_outcome, &run);
	run_on(f, 20);
	assert_int_equal(run.ended, 1);
	assert_int_equal(run.got.result, RESTORE_FAILED);
	assert_int_equal(run.got.error, ERROR_DISK);
	restore_free(run.restore);
	close(fd);
}

static void restore_freed_under_way_never_calls_back(void **state)
{
	const struct fixture *f = *state;
	unsigned turns = 0, ended = 0;

	push_history(f, 30);
	for (; ended == 0; turns++) {
		struct run run = { 0 };

		run_begin(f, 0, &run);
		run_on(f, turns);
		ended = run.ended;
		restore_free(run.restore);
		run_on(f, 20);
		assert_int_equal(run.ended, ended);
		close(run.fd);
	}
	/* Freed before the listing, before, among and after the objects. */
	assert_true(turns > 3);
	restore_free(NULL);
}

static void restore_freed_just_before_its_store_leaves_nothing_behind(void **state)
{
	struct fixture *f = *state;
	char why[256];

	push_history(f, 30);
	for (unsigned turns = 0; turns < 4; turns++) {
		struct run run = { 0 };

		run_begin(f, 0, &run);
		run_on(f, turns);
		assert_int_equal(run.ended, 0);
		restore_free(run.restore);
		store_free(f->store);
		f->store = dir_new(f->root, why, sizeof why);
		assert_non_null(f->store);
		close(run.fd);
	}
}

static void restore_may_be_freed_inside_done(void **state)
{
	const struct fixture *f = *state;
	char path[FOLDER_FILE_MAX];

	/* No user, success, damage while others are under way. */
	for (int round = 0; round < 3; round++) {
		static const enum restore_result want[] = { RESTORE_NO_USER, RESTORE_DONE,
							    RESTORE_DAMAGED };
		struct run run = { .frees = true };

		if (round == 1)
			push_history(f, 20);
		if (round == 2) {
			path_of(f, CHAIN_PUSH_LEVEL, 2, 2, path);
			put_bytes(path, "damaged", 7);
		}
		run_begin(f, 0, &run);
		run_on(f, 60);
		assert_int_equal(run.ended, 1);
		assert_int_equal(run.got.result, want[round]);
		close(run.fd);
	}
}

static void restores_run_side_by_side(void **state)
{
	const struct fixture *f = *state;
	struct image m = image_new(512);
	struct run runs[4];

	for (uint64_t txid = 1; txid <= 20; txid++)
		push(f, &m, txid, 6, 2);
	for (size_t i = 0; i < 4; i++) {
		char path[FOLDER_FILE_MAX];

		(void)snprintf(path, sizeof path, "%s/db.%zu", f->folder.path, i);
		runs[i] = (struct run){ .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) };
		assert_true(runs[i].fd >= 0);
		runs[i].restore = restore_start(f->store, f->tasks, &f->user, 0, runs[i].fd,
						f->folder.path, take_outcome, &runs[i]);
	}
	run_on(f, 60);
	for (size_t i = 0; i < 4; i++) {
		uint8_t got[6 * 512];

		assert_int_equal(runs[i].ended, 1);
		assert_int_equal(runs[i].got.result, RESTORE_DONE);
		assert_int_equal(pread(runs[i].fd, got, sizeof got, 0), sizeof got);
		assert_memory_equal(got, m.bytes, sizeof got);
		restore_free(runs[i].restore);
		close(runs[i].fd);
	}
	free(m.bytes);
}

#define test_with_store(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_with_store(database_that_grew_and_shrank_is_restored_to_every_transaction),
		test_with_store(snapshot_is_the_base_of_what_follows),
		test_with_store(more_objects_than_are_fetched_at_once_are_applied_in_order),
		test_with_store(objects_larger_than_memory_allows_are_restored),
		test_with_store(user_without_objects_is_no_user),
		test_with_store(store_that_is_gone_is_not_an_absent_user),
		test_with_store(transaction_that_is_not_there_is_damage),
		test_with_store(time_restores_the_last_transaction_that_was_stored_by_then),
		test_with_store(time_before_the_first_object_is_told_with_the_earliest_transaction),
		test_with_store(what_retention_deleted_is_told_with_the_earliest_transaction),
		test_with_store(missing_object_is_damage),
		test_with_store(object_that_goes_after_it_was_listed_is_damage),
		test_with_store(object_with_any_damage_is_never_restored),
		test_with_store(object_under_the_name_of_another_is_damage),
		test_with_store(page_size_that_changes_with_every_page_is_restored),
		test_with_store(page_size_that_changes_with_some_pages_is_damage),
		test_with_store(growth_without_all_of_its_pages_is_damage),
		test_with_store(file_that_cannot_be_written_is_no_fault_of_the_store),
		test_with_store(restore_freed_under_way_never_calls_back),
		test_with_store(restore_freed_just_before_its_store_leaves_nothing_behind),
		test_with_store(restore_may_be_freed_inside_done),
		test_with_store(restores_run_side_by_side),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
