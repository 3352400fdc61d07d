/*
 * WAL file, all numbers big-endian:
 *
 *	+--------------------+ 0
 *	| magic              |  377f0682; ...83 where checksums load big-endian
 *	| version            |  4: 3007000
 *	| page size          |  8
 *	| checkpoint number  | 12
 *	| salt               | 16, 8 bytes, new whenever the WAL starts over
 *	| checksum           | 24, 8 bytes, of bytes 0 to 23
 *	+--------------------+ 32
 *	| page number        |  frame 1
 *	| size after commit  |  4: 0 within a transaction
 *	| salt               |  8
 *	| checksum           | 16, goes on from the one before, over bytes 0 to 7
 *	| page               | 24      and the page
 *	+--------------------+ 32 + 24 + page size
 *	| frame 2 ...        |
 *
 * wal-index, region 0 of the shared memory, native words:
 *
 *	+--------------------+ 0
 *	| header             |  48 bytes, see below
 *	+--------------------+ 48
 *	| header again       |  written first; a reader takes this one last
 *	+--------------------+ 96
 *	| frames backfilled  |
 *
 * A writer publishes a commit by writing both headers.  What stands in the WAL
 * beyond the header's last frame is not there, however valid it looks: its
 * writer died before publishing it, and the next one overwrites it.
 */
#include "db/wal.h"

#include "base/log.h"
#include "db/position.h"

#include <endian.h>
#include <sqlite3.h>
#include <string.h>

enum {
	WAL_VERSION = 3007000,
	WAL_MAGIC = 0x377f0682,
	LOCK_BYTE = 0x40000000,
	PAGE_SIZE_AT = 16, /* in the database file */
	READS_UNTIL_SETTLED = 100,
};

enum index_word {
	INDEX_VERSION = 0,
	INDEX_FLAGS = 3, /* u8 initialised, u8, u16 page size */
	INDEX_LAST_FRAME = 4,
	INDEX_NPAGES = 5,
	INDEX_FRAME_SUM = 6,
	INDEX_SALT = 8,
	INDEX_SUM = 10,
	INDEX_WORDS = 12,
	INDEX_BACKFILLED = 2 * INDEX_WORDS,
	INDEX_REGION_LEN = 32768,
};

static uint32_t load32(const uint8_t *p, bool big)
{
	uint32_t word;

	memcpy(&word, p, sizeof word);
	return big ? be32toh(word) : le32toh(word);
}

static void add_to_sum(const uint8_t *p, size_t len, bool big, uint32_t sum[static 2])
{
	for (size_t i = 0; i < len; i += 8) {
		sum[0] += load32(p + i, big) + sum[1];
		sum[1] += load32(p + i + 4, big) + sum[0];
	}
}

static bool page_size_is_valid(uint32_t size)
{
	return size >= 512 && size <= 65536 && (size & (size - 1)) == 0;
}

bool wal_header_parse(const uint8_t bytes[static WAL_HEADER_LEN], struct wal_header *out)
{
	uint32_t magic = load32(bytes, true);
	uint32_t sum[2] = { 0, 0 };

	if ((magic & ~1U) != WAL_MAGIC || load32(bytes + 4, true) != WAL_VERSION)
		return false;
	out->big = magic & 1;
	out->page_size = load32(bytes + 8, true);
	memcpy(out->salt, bytes + 16, sizeof out->salt);
	out->sum[0] = load32(bytes + 24, true);
	out->sum[1] = load32(bytes + 28, true);
	add_to_sum(bytes, 24, out->big, sum);
	return page_size_is_valid(out->page_size) && sum[0] == out->sum[0] && sum[1] == out->sum[1];
}

void wal_frame_parse(const uint8_t bytes[static WAL_FRAME_LEN], struct wal_frame *out)
{
	out->pgno = load32(bytes, true);
	out->npages = load32(bytes + 4, true);
	memcpy(out->salt, bytes + 8, sizeof out->salt);
	out->sum[0] = load32(bytes + 16, true);
	out->sum[1] = load32(bytes + 20, true);
}

uint64_t wal_frame_offset(uint32_t frame, uint32_t page_size)
{
	return WAL_HEADER_LEN + (uint64_t)(frame - 1) * (page_size + WAL_FRAME_LEN);
}

uint32_t wal_lock_page(uint32_t page_size)
{
	return LOCK_BYTE / page_size + 1;
}

static enum wal_result failed(const struct wal *w, const char *call, int rc)
{
	log_error("wal.failed", "call=%s path=%s code=%d error=\"%s\"", call,
		  sqlite3_db_filename(w->db, "main"), rc, sqlite3_errstr(rc));
	return WAL_FAILED;
}

static enum wal_result run(struct wal *w, const char *sql)
{
	int rc = sqlite3_exec(w->db, sql, NULL, NULL, NULL);

	switch (rc & 0xff) {
	case SQLITE_OK:
		return WAL_OK;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return WAL_BUSY;
	default:
		return failed(w, "begin", rc);
	}
}

enum wal_result wal_begin(struct userdb *u, enum wal_lock lock, struct wal *out)
{
	*out = (struct wal){ .db = userdb_sqlite(u) };

	enum wal_result result = run(out, lock == WAL_WRITE ? "BEGIN IMMEDIATE" : "BEGIN");
	/* BEGIN alone locks nothing; this reads page 1 and needs no schema. */
	if (result == WAL_OK)
		result = run(out, "PRAGMA user_version");
	if (result != WAL_OK)
		return result;
	sqlite3_file_control(out->db, "main", SQLITE_FCNTL_FILE_POINTER, &out->db_file);
	sqlite3_file_control(out->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &out->wal_file);
	if (out->db_file == NULL || out->db_file->pMethods == NULL || out->wal_file == NULL ||
	    out->wal_file->pMethods == NULL)
		return failed(out, "handles", SQLITE_MISUSE);
	return WAL_OK;
}

void wal_end(struct wal *w)
{
	if (w->db == NULL || sqlite3_get_autocommit(w->db))
		return;
	/* Nothing was written, so there is nothing in it that could fail. */
	sqlite3_exec(w->db, "ROLLBACK", NULL, NULL, NULL);
}

static void load_words(const volatile uint32_t *from, uint32_t to[static INDEX_WORDS])
{
	for (int i = 0; i < INDEX_WORDS; i++)
		to[i] = from[i];
}

static bool index_is_valid(const uint32_t words[static INDEX_WORDS])
{
	uint32_t sum[2] = { 0, 0 };

	for (int i = 0; i < INDEX_SUM; i += 2) {
		sum[0] += words[i] + sum[1];
		sum[1] += words[i + 1] + sum[0];
	}
	const uint8_t *flags = (const uint8_t *)&words[INDEX_FLAGS];
	return words[INDEX_VERSION] == WAL_VERSION && flags[0] != 0 && sum[0] == words[INDEX_SUM] &&
	       sum[1] == words[INDEX_SUM + 1];
}

/*
 * Both copies, and what was backfilled while they stood there.  A writer that
 * died between the two leaves them unequal until the next transaction begins.
 */
static bool load_index(struct wal *w, const volatile uint32_t *shm,
		       uint32_t words[static INDEX_WORDS], uint32_t *backfilled)
{
	uint32_t again[INDEX_WORDS];

	for (int i = 0; i < READS_UNTIL_SETTLED; i++) {
		load_words(shm, words);
		w->db_file->pMethods->xShmBarrier(w->db_file);
		*backfilled = shm[INDEX_BACKFILLED];
		w->db_file->pMethods->xShmBarrier(w->db_file);
		load_words(shm + INDEX_WORDS, again);
		if (memcmp(words, again, sizeof again) == 0 && index_is_valid(words))
			return true;
	}
	return false;
}

static enum wal_result read_bytes(struct wal *w, struct sqlite3_file *file, void *out, size_t len,
				  uint64_t offset)
{
	int rc = file->pMethods->xRead(file, out, (int)len, (sqlite3_int64)offset);

	if (rc == SQLITE_IOERR_SHORT_READ)
		return WAL_MISFIT;
	return rc == SQLITE_OK ? WAL_OK : failed(w, "read", rc);
}

/* With nothing in the WAL the index knows nothing of the database. */
static enum wal_result measure_file(struct wal *w, struct wal_index *out)
{
	sqlite3_int64 len = 0;
	uint8_t size[2];

	int rc = w->db_file->pMethods->xFileSize(w->db_file, &len);
	if (rc != SQLITE_OK)
		return failed(w, "size", rc);
	enum wal_result result = read_bytes(w, w->db_file, size, sizeof size, PAGE_SIZE_AT);
	if (result == WAL_FAILED)
		return result;
	out->page_size = (uint32_t)size[0] << 8 | size[1];
	if (out->page_size == 1)
		out->page_size = 65536;
	if (result != WAL_OK || !page_size_is_valid(out->page_size))
		return failed(w, "size", SQLITE_NOTADB);
	out->npages = (uint32_t)((len + out->page_size - 1) / out->page_size);
	rc = w->wal_file->pMethods->xFileSize(w->wal_file, &len);
	if (rc != SQLITE_OK)
		return failed(w, "size", rc);
	out->wal_is_cut = len == 0;
	return WAL_OK;
}

enum wal_result wal_read_index(struct wal *w, struct wal_index *out)
{
	uint32_t words[INDEX_WORDS];
	uint32_t backfilled;
	void volatile *shm = NULL;
	uint16_t size;

	memset(out, 0, sizeof *out);
	int rc = w->db_file->pMethods->xShmMap(w->db_file, 0, INDEX_REGION_LEN, 0, &shm);
	if (rc != SQLITE_OK || shm == NULL)
		return failed(w, "map", rc);
	if (!load_index(w, shm, words, &backfilled))
		return WAL_MISFIT;

	out->file_ns = wal_file_ns(sqlite3_db_filename(w->db, "main"));
	out->last_frame = words[INDEX_LAST_FRAME];
	if (out->last_frame == 0) {
		out->in_file = true;
		return measure_file(w, out);
	}
	/* Equal, as SQLite's readers ask; more is what a dying writer left behind. */
	out->in_file = backfilled == out->last_frame;
	out->npages = words[INDEX_NPAGES];
	memcpy(out->sum, &words[INDEX_FRAME_SUM], sizeof out->sum);
	memcpy(out->salt, &words[INDEX_SALT], sizeof out->salt);
	memcpy(&size, (const uint8_t *)&words[INDEX_FLAGS] + 2, sizeof size);
	out->page_size = size == 1 ? 65536 : size;
	if (!page_size_is_valid(out->page_size))
		return failed(w, "index", SQLITE_CORRUPT);
	return WAL_OK;
}

enum wal_result wal_read_header(struct wal *w, struct wal_header *out)
{
	uint8_t bytes[WAL_HEADER_LEN];

	enum wal_result result = read_bytes(w, w->wal_file, bytes, sizeof bytes, 0);
	if (result == WAL_OK && !wal_header_parse(bytes, out))
		result = WAL_MISFIT;
	return result;
}

enum wal_result wal_read_frame(struct wal *w, uint32_t frame, uint32_t page_size,
			       struct wal_frame *out)
{
	uint8_t bytes[WAL_FRAME_LEN];

	enum wal_result result =
		read_bytes(w, w->wal_file, bytes, sizeof bytes, wal_frame_offset(frame, page_size));
	if (result == WAL_OK)
		wal_frame_parse(bytes, out);
	return result;
}

enum wal_result wal_next_frame(struct wal *w, const struct wal_header *h, uint32_t frame,
			       uint32_t sum[static 2], uint8_t *space, struct wal_frame *out)
{
	enum wal_result result = read_bytes(w, w->wal_file, space, WAL_FRAME_LEN + h->page_size,
					    wal_frame_offset(frame, h->page_size));
	if (result != WAL_OK)
		return result;
	wal_frame_parse(space, out);
	add_to_sum(space, 8, h->big, sum);
	add_to_sum(space + WAL_FRAME_LEN, h->page_size, h->big, sum);
	if (out->pgno == 0 || memcmp(out->salt, h->salt, sizeof out->salt) != 0 ||
	    out->sum[0] != sum[0] || out->sum[1] != sum[1])
		return WAL_MISFIT;
	return WAL_OK;
}

enum wal_result wal_read_page(struct wal *w, uint32_t frame, uint32_t page_size, uint8_t *page)
{
	return read_bytes(w, w->wal_file, page, page_size,
			  wal_frame_offset(frame, page_size) + WAL_FRAME_LEN);
}

enum wal_result wal_read_file_page(struct wal *w, uint32_t pgno, uint32_t page_size, uint8_t *page)
{
	enum wal_result result =
		read_bytes(w, w->db_file, page, page_size, (uint64_t)(pgno - 1) * page_size);

	/* A short read has filled the rest with zeros. */
	return result == WAL_MISFIT ? WAL_OK : result;
}
