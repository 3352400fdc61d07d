/*
 * Any bytes as the wal-index, the WAL and the database file behind the handles of
 * SQLite, and any position: a capture ends, stays within what the index says, and
 * never takes a frame that does not fit.
 *
 *	position	8 salt, u32 frame, 2 * u32 sum, u32 pages, u8 page size, u8 armed
 *	wal-index	48 bytes, u32 frames backfilled
 *	u16		length of the database file, which follows
 *	the WAL
 */
#include "db/userdb.h"
#include "db/wal.h"

static struct sqlite3 *memory;

#define userdb_sqlite(u) ((void)(u), memory)
#define wal_begin begin_on_bytes
enum wal_result begin_on_bytes(struct userdb *u, enum wal_lock lock, struct wal *out);
#include "../../app/db/capture.c"
#undef wal_begin

#include "quiet.h"
#include "wal_repair.h"

#include <assert.h>

enum {
	POSITION_LEN = 26,
	INDEX_WORDS = 12,
	INDEX_LEN = 4 * INDEX_WORDS,
	HEAD_LEN = POSITION_LEN + INDEX_LEN + 4 + 2,
	PAGES_SEEN_MAX = 2000,
};

struct bytes {
	struct sqlite3_file base;
	const uint8_t *data;
	size_t len;
};

static struct bytes db_bytes, wal_bytes;
static uint32_t shm[32768 / 4];

static int read_bytes(sqlite3_file *file, void *out, int len, sqlite3_int64 offset)
{
	const struct bytes *b = (const struct bytes *)file;
	size_t n = (uint64_t)offset < b->len ? b->len - (size_t)offset : 0;

	assert(len >= 0 && offset >= 0);
	n = n < (size_t)len ? n : (size_t)len;
	memset(out, 0, (size_t)len);
	if (n > 0)
		memcpy(out, b->data + offset, n);
	return n == (size_t)len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int size_of(sqlite3_file *file, sqlite3_int64 *len)
{
	*len = (sqlite3_int64)((const struct bytes *)file)->len;
	return SQLITE_OK;
}

static int map(sqlite3_file *file, int region, int len, int extend, void volatile **out)
{
	(void)file;
	assert(region == 0 && len == (int)sizeof shm && !extend);
	*out = shm;
	return SQLITE_OK;
}

static void barrier(sqlite3_file *file)
{
	(void)file;
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xRead = read_bytes,
	.xFileSize = size_of,
	.xShmMap = map,
	.xShmBarrier = barrier,
};

enum wal_result begin_on_bytes(struct userdb *u, enum wal_lock lock, struct wal *out)
{
	(void)u;
	(void)lock;
	*out = (struct wal){ memory, &db_bytes.base, &wal_bytes.base };
	return WAL_OK;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return sqlite3_open(":memory:", &memory) == SQLITE_OK ? 0 : 1;
}

static void expect_pages(struct capture *c, const struct wal_position *from)
{
	const uint32_t page_size = capture_position(c)->page_size;
	uint32_t pgno, last = 0;
	const uint8_t *page;

	for (unsigned n = 0; n < PAGES_SEEN_MAX; n++) {
		enum capture_page result = capture_next_page(c, &pgno, &page);
		if (result == CAPTURE_LAST)
			assert(last > 0 || capture_position(c)->npages == 0 ||
			       capture_position(c)->npages <= from->npages);
		if (result != CAPTURE_PAGE)
			return;
		assert(pgno > last && pgno <= capture_position(c)->npages);
		assert(pgno != wal_lock_page(page_size));
		last = pgno;
	}
}

static void expect_sound(struct capture *c, const struct wal_position *from)
{
	const struct wal_position *end = capture_position(c);
	const struct wal_extent e = capture_extent(c);

	assert(end->page_size >= 512 && end->page_size <= 65536);
	assert(c->nchanged <= wal_bytes.len / end->page_size + 1);
	/* All of what it says to cover was there to be read. */
	assert(e.offset + e.len <= wal_bytes.len);
	assert(end->frame == 0 || e.len > 0);
	expect_pages(c, from);
	if (capture_widen(c) == 0) {
		assert(capture_whole(c));
		expect_pages(c, from);
	}
}

static struct wal_position position_in(const uint8_t *data)
{
	struct wal_position at = { .page_size = (512U << (data[24] & 7)), .armed = data[25] & 1 };

	memcpy(at.salt, data, sizeof at.salt);
	memcpy(&at.frame, data + 8, 4);
	memcpy(at.sum, data + 12, 8);
	memcpy(&at.npages, data + 20, 4);
	if (data[25] & 2)
		at.file_ns = -1;
	if (data[25] & 4)
		at.page_size = 0;
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct wal_position found;
	struct capture *c;

	if (len < HEAD_LEN)
		return 0;
	const struct wal_position from = position_in(data);
	memcpy(shm, data + POSITION_LEN, INDEX_LEN);
	memcpy(shm + INDEX_WORDS, data + POSITION_LEN, INDEX_LEN);
	memcpy(shm + 2 * INDEX_WORDS, data + POSITION_LEN + INDEX_LEN, 4);
	size_t db_len = (size_t)data[HEAD_LEN - 2] << 8 | data[HEAD_LEN - 1];
	db_len = db_len < len - HEAD_LEN ? db_len : len - HEAD_LEN;
	db_bytes = (struct bytes){ { &methods }, data + HEAD_LEN, db_len };
	wal_bytes =
		(struct bytes){ { &methods }, data + HEAD_LEN + db_len, len - HEAD_LEN - db_len };
	if (capture_begin(NULL, &from, &c) == CAPTURE_PAGES) {
		expect_sound(c, &from);
		capture_end(c);
	}
	if (wal_position_at(NULL, from.salt, from.frame, &found) == CAPTURE_PAGES)
		assert(found.frame == from.frame && found.frame > 0);
	return 0;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max);

/* The running checksum after `frame`, and how many pages its commit has. */
static bool find_frame(const uint8_t *wal, size_t len, uint32_t frame, uint32_t sum[2],
		       uint32_t *npages)
{
	uint32_t page_size = len >= WAL_HEADER_LEN ? wal_load(wal + 8, true) : 0;

	if (frame == 0 || page_size < 512 || page_size > 65536 ||
	    wal_frame_offset(frame + 1, page_size) > len)
		return false;
	const uint8_t *f = wal + wal_frame_offset(frame, page_size);
	sum[0] = wal_load(f + 16, true);
	sum[1] = wal_load(f + 20, true);
	*npages = wal_load(f + 4, true);
	return true;
}

static void repair_index(uint8_t *index, const uint8_t *wal, size_t len)
{
	uint32_t words[INDEX_LEN / 4], sum[2] = { 0, 0 };

	memcpy(words, index, INDEX_LEN);
	words[0] = 3007000;
	words[3] |= 1;
	if (find_frame(wal, len, words[4], &words[6], &words[5])) {
		uint16_t size = (uint16_t)(wal_load(wal + 8, true) % 65535);
		memcpy((uint8_t *)&words[3] + 2, &size, sizeof size);
		memcpy(&words[8], wal + 16, WAL_SALT_LEN);
	}
	for (int i = 0; i < 10; i += 2) {
		sum[0] += words[i] + sum[1];
		sum[1] += words[i + 1] + sum[0];
	}
	memcpy(&words[10], sum, sizeof sum);
	memcpy(index, words, INDEX_LEN);
}

static void repair_position(uint8_t *at, const uint8_t *wal, size_t len)
{
	uint32_t frame, sum[2], npages;

	memcpy(&frame, at + 8, sizeof frame);
	if (!find_frame(wal, len, frame, sum, &npages))
		return;
	memcpy(at, wal + 16, WAL_SALT_LEN);
	memcpy(at + 12, sum, sizeof sum);
	if (npages != 0)
		memcpy(at + 20, &npages, sizeof npages);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed)
{
	len = LLVMFuzzerMutate(data, len, max);
	if (len < HEAD_LEN)
		return len;
	size_t db_len = (size_t)data[HEAD_LEN - 2] << 8 | data[HEAD_LEN - 1];
	if (db_len > len - HEAD_LEN)
		return len;
	uint8_t *wal = data + HEAD_LEN + db_len;
	len -= HEAD_LEN + db_len;
	if (seed % 8 != 0)
		wal_repair(wal, len, UINT32_MAX);
	if (seed / 8 % 8 != 0)
		repair_index(data + POSITION_LEN, wal, len);
	if (seed / 64 % 8 != 0)
		repair_position(data, wal, len);
	return HEAD_LEN + db_len + len;
}
