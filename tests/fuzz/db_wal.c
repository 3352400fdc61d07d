/*
 * Any bytes as the WAL of a database: what is captured is what SQLite, which
 * recovers it first, reads; and what a simple reading of the WAL says.  And
 * what is captured from an earlier commit on leads from there to the same.
 *
 *	u8	which database the WAL lies beside
 *	u8	the earlier commit
 *	the WAL
 *
 * The files lie in memory, in a folder of this process that it removes.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "db/capture.h"
#include "db/userdb.h"
#include "db/wal.h"
#include "quiet.h"
#include "wal_repair.h"

#include <assert.h>
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD_LEN = 2, BASES = 3, PAGES_MAX = 4096, COMMITS_MAX = 64 };

static const uint32_t base_page_size[BASES] = { 512, 1024, 4096 };

static char folder[] = "/dev/shm/fuzz-db_wal-XXXXXX";
static char db_path[PATH_MAX], wal_path[PATH_MAX], shm_path[PATH_MAX];
static struct buf bases[BASES];

static void remove_folder(void)
{
	unlink(db_path);
	unlink(wal_path);
	unlink(shm_path);
	rmdir(folder);
}

static void put_file(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert(fd >= 0 && file_write_all(fd, bytes, len, 0) == 0 && close(fd) == 0);
}

static void make_base(uint32_t page_size, struct buf *out)
{
	char sql[256];
	sqlite3 *db;

	(void)snprintf(sql, sizeof sql,
		       "PRAGMA page_size=%u; PRAGMA journal_mode=WAL;"
		       "CREATE TABLE t(a, b); CREATE INDEX i ON t(a);"
		       "INSERT INTO t VALUES (1, 'one'), (2, zeroblob(300));",
		       page_size);
	assert(sqlite3_open(db_path, &db) == SQLITE_OK);
	assert(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
	assert(sqlite3_close(db) == SQLITE_OK);
	assert(file_read(db_path, 1 << 20, out) == FILE_OK);
	unlink(db_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	assert(mkdtemp(folder) != NULL);
	(void)snprintf(db_path, sizeof db_path, "%s/db.sqlite", folder);
	(void)snprintf(wal_path, sizeof wal_path, "%s-wal", db_path);
	(void)snprintf(shm_path, sizeof shm_path, "%s-shm", db_path);
	atexit(remove_folder);
	for (int i = 0; i < BASES; i++)
		make_base(base_page_size[i], &bases[i]);
	return 0;
}

/* The WAL as its own header and checksums tell it. */
struct reading {
	bool big;
	uint32_t page_size; /* 0: it is none */
	uint8_t salt[WAL_SALT_LEN];
	uint32_t commits[COMMITS_MAX]; /* the frames that end one, the last ones */
	uint32_t npages[COMMITS_MAX];
	unsigned count;
};

static void add_commit(struct reading *r, uint32_t frame, uint32_t npages)
{
	if (r->count == COMMITS_MAX) {
		memmove(r->commits, r->commits + 1, sizeof r->commits - sizeof r->commits[0]);
		memmove(r->npages, r->npages + 1, sizeof r->npages - sizeof r->npages[0]);
		r->count--;
	}
	r->commits[r->count] = frame;
	r->npages[r->count++] = npages;
}

static void read_wal(const uint8_t *wal, size_t len, struct reading *r)
{
	uint32_t sum[2] = { 0, 0 };

	memset(r, 0, sizeof *r);
	if (len < WAL_HEADER_LEN || (wal_load(wal, true) & ~1U) != 0x377f0682)
		return;
	r->big = wal[3] & 1;
	uint32_t size = wal_load(wal + 8, true);
	wal_sum(wal, 24, r->big, sum);
	if (wal_load(wal + 4, true) != 3007000 || size < 512 || size > 65536 ||
	    (size & (size - 1)) != 0 || sum[0] != wal_load(wal + 24, true) ||
	    sum[1] != wal_load(wal + 28, true))
		return;
	r->page_size = size;
	memcpy(r->salt, wal + 16, sizeof r->salt);
	for (uint32_t frame = 1; wal_frame_offset(frame + 1, size) <= len; frame++) {
		const uint8_t *f = wal + wal_frame_offset(frame, size);

		wal_sum(f, 8, r->big, sum);
		wal_sum(f + WAL_FRAME_LEN, size, r->big, sum);
		if (memcmp(f + 8, r->salt, sizeof r->salt) != 0 || wal_load(f, true) == 0 ||
		    sum[0] != wal_load(f + 16, true) || sum[1] != wal_load(f + 20, true))
			return;
		if (wal_load(f + 4, true) != 0)
			add_commit(r, frame, wal_load(f + 4, true));
	}
}

struct image {
	uint32_t page_size, npages;
	uint8_t *bytes;
};

static void put_page(struct image *m, uint32_t pgno, const uint8_t *page)
{
	if (pgno <= m->npages)
		memcpy(m->bytes + (size_t)(pgno - 1) * m->page_size, page, m->page_size);
}

static struct image image_new(const struct buf *base, uint32_t page_size, uint32_t npages)
{
	struct image m = { page_size, npages, alloc_zeroed(npages, page_size) };
	size_t len = (size_t)npages * page_size;

	memcpy(m.bytes, base->data, base->len < len ? base->len : len);
	return m;
}

/* The database after the commit that ends with frame `last`. */
static struct image image_at(const struct buf *base, const uint8_t *wal, uint32_t page_size,
			     uint32_t last, uint32_t npages)
{
	struct image m = image_new(base, page_size, npages);

	for (uint32_t frame = 1; frame <= last; frame++) {
		const uint8_t *f = wal + wal_frame_offset(frame, page_size);
		put_page(&m, wal_load(f, true), f + WAL_FRAME_LEN);
	}
	return m;
}

static void expect_same(const struct image *got, const struct image *want)
{
	assert(got->page_size == want->page_size && got->npages == want->npages);
	assert(memcmp(got->bytes, want->bytes, (size_t)got->npages * got->page_size) == 0);
}

/*
 * The count of pages in page 1 may be less than the WAL's.  If the size of a
 * page there is another one, then this is the WAL of another database, and
 * SQLite reads neither of them.
 */
static void expect_as_sqlite(struct userdb *u, const struct image *m)
{
	sqlite3_int64 len = 0;

	if (((uint32_t)m->bytes[16] << 8 | m->bytes[17]) !=
	    (m->page_size & 0xffff) + (m->page_size >> 16))
		return;
	unsigned char *bytes = sqlite3_serialize(userdb_sqlite(u), "main", &len, 0);

	if (bytes == NULL)
		return;
	assert((size_t)len <= (size_t)m->npages * m->page_size);
	assert(memcmp(bytes, m->bytes, (size_t)len) == 0);
	sqlite3_free(bytes);
}

/* The pages of a capture onto what `m` was at its position. */
static bool take_pages(struct capture *c, struct image *m)
{
	const struct wal_position *end = capture_position(c);
	struct image now = { end->page_size, end->npages,
			     alloc_zeroed(end->npages, end->page_size) };
	size_t before = (size_t)m->npages * m->page_size,
	       after = (size_t)now.npages * now.page_size;
	enum capture_page result;
	uint32_t pgno, last = 0, nnew = 0;
	const uint8_t *page;

	if (m->page_size == now.page_size)
		memcpy(now.bytes, m->bytes, before < after ? before : after);
	while ((result = capture_next_page(c, &pgno, &page)) == CAPTURE_PAGE) {
		assert(pgno > last && pgno <= now.npages);
		put_page(&now, pgno, page);
		last = pgno;
		nnew += pgno > m->npages || capture_whole(c) ? 1 : 0;
	}
	/* The growth is all there: who reads the object insists on it. */
	if (result == CAPTURE_LAST && !capture_whole(c) && now.npages > m->npages)
		assert(nnew == now.npages - m->npages);
	if (result == CAPTURE_LAST && capture_whole(c))
		assert(nnew == now.npages);
	free(m->bytes);
	*m = now;
	return result == CAPTURE_LAST;
}

static void capture_all(struct userdb *u, const struct reading *r, const struct image *want)
{
	static const struct wal_position nowhere = { .page_size = 0 };
	struct image m = { 0 };
	struct capture *c;

	switch (capture_begin(u, &nowhere, &c)) {
	case CAPTURE_PAGES:
		break;
	case CAPTURE_NOTHING:
		abort();
	case CAPTURE_LATER:
	case CAPTURE_FAILED:
		return; /* page 1 is that of no database */
	}
	const struct wal_position *end = capture_position(c);
	assert(capture_whole(c) && !capture_gap(c));
	assert(end->frame == (r->count > 0 ? r->commits[r->count - 1] : 0));
	assert(end->frame == 0 || memcmp(end->salt, r->salt, sizeof r->salt) == 0);
	assert(take_pages(c, &m));
	expect_same(&m, want);
	expect_as_sqlite(u, want);
	free(m.bytes);
	capture_end(c);
}

static void capture_from(struct userdb *u, const struct wal_position *from, struct image *before,
			 const struct image *want, bool is_end)
{
	struct capture *c;

	switch (capture_begin(u, from, &c)) {
	case CAPTURE_PAGES:
		assert(!capture_gap(c) && !is_end);
		assert(take_pages(c, before));
		expect_same(before, want);
		break;
	case CAPTURE_NOTHING:
		assert(is_end);
		break;
	case CAPTURE_LATER:
	case CAPTURE_FAILED:
		/* Nothing has changed since all of it could be captured. */
		abort();
	}
	capture_end(c);
}

static void capture_rest(struct userdb *u, const struct buf *base, const uint8_t *wal,
			 const struct reading *r, uint8_t which, const struct image *want)
{
	struct wal_position at;
	unsigned i = which % r->count;

	if (r->npages[i] > PAGES_MAX)
		return;
	switch (wal_position_at(u, r->salt, r->commits[i], &at)) {
	case CAPTURE_PAGES:
		break;
	case CAPTURE_NOTHING:
		abort();
	case CAPTURE_LATER:
	case CAPTURE_FAILED:
		return;
	}
	assert(at.frame == r->commits[i] && at.npages == r->npages[i]);
	struct image before = image_at(base, wal, r->page_size, at.frame, at.npages);
	capture_from(u, &at, &before, want, i + 1 == r->count);
	free(before.bytes);
}

static void use(const struct buf *base, const uint8_t *wal, const struct reading *r, uint8_t which)
{
	struct userdb *u = NULL;
	struct image want;

	if (r->count > 0)
		want = image_at(base, wal, r->page_size, r->commits[r->count - 1],
				r->npages[r->count - 1]);
	else
		want = image_new(
			base, wal_load((const uint8_t *)base->data + 14, true) & 0xffff,
			(uint32_t)base->len /
				(wal_load((const uint8_t *)base->data + 14, true) & 0xffff));
	if (userdb_open(db_path, USERDB_INTERNAL, NULL, &u) == USERDB_OK) {
		capture_all(u, r, &want);
		if (r->count > 0)
			capture_rest(u, base, wal, r, which, &want);
		userdb_close(u);
	}
	free(want.bytes);
}

/* In another journal mode it is opened with changes: nothing to compare. */
static bool is_in_wal_mode(const struct buf *base, const uint8_t *wal, const struct reading *r)
{
	struct image m = image_at(base, wal, r->page_size, r->commits[r->count - 1], 1);
	bool is = m.bytes[18] == 2 && m.bytes[19] == 2;

	free(m.bytes);
	return is;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reading r;

	if (len < HEAD_LEN)
		return 0;
	const struct buf *base = &bases[data[0] % BASES];
	const uint8_t *wal = data + HEAD_LEN;
	read_wal(wal, len - HEAD_LEN, &r);
	if (r.count > 0 && (r.npages[r.count - 1] > PAGES_MAX || !is_in_wal_mode(base, wal, &r)))
		return 0;
	put_file(db_path, base->data, base->len);
	put_file(wal_path, wal, len - HEAD_LEN);
	unlink(shm_path);
	use(base, wal, &r, data[1]);
	return 0;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max);

/* Another page in a frame, another end of a commit, a frame once more. */
static size_t change_frame(uint8_t *wal, size_t len, size_t max, unsigned seed)
{
	size_t size = len < WAL_HEADER_LEN ? 0 : wal_load(wal + 8, true) + WAL_FRAME_LEN;

	if (size < WAL_FRAME_LEN + 8 || size > 65536 || len < WAL_HEADER_LEN + size)
		return len;
	size_t count = (len - WAL_HEADER_LEN) / size;
	uint8_t *f = wal + WAL_HEADER_LEN + seed % count * size;
	switch (seed >> 8 & 3) {
	case 0:
		wal_store(f, seed >> 12 & 15);
		return len;
	case 1:
		wal_store(f + 4, seed >> 10 & 1 ? seed >> 12 & 15 : 0);
		return len;
	default:
		if (max - len < size)
			return len;
		memmove(f + size, f, len - (size_t)(f - wal));
		return len + size;
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed)
{
	static const unsigned all = UINT_MAX;

	if (seed % 2 == 0 && len > HEAD_LEN)
		len = HEAD_LEN +
		      change_frame(data + HEAD_LEN, len - HEAD_LEN, max - HEAD_LEN, seed / 2);
	else
		len = LLVMFuzzerMutate(data, len, max);
	if (len > HEAD_LEN && seed % 16 != 1)
		wal_repair(data + HEAD_LEN, len - HEAD_LEN, seed % 16 == 3 ? seed >> 8 & 15 : all);
	return len;
}
