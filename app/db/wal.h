/*
 * The bytes of a WAL and of its index, read through the handles of an open
 * database and inside a transaction on it.
 *
 *	wal_begin()		a transaction is open, so the index is valid
 *	wal_read_index()	where the last commit is
 *	wal_read_header()	where the checksums start
 *	wal_next_frame()	ascending, each verified against the one before
 *	wal_read_page(), wal_read_file_page()
 *	wal_end()		always
 */
#ifndef DB_WAL_H
#define DB_WAL_H

#include "db/userdb.h"

#include <stddef.h>
#include <stdint.h>

struct sqlite3_file;

enum {
	WAL_HEADER_LEN = 32,
	WAL_FRAME_LEN = 24, /* before the page */
	WAL_SALT_LEN = 8,
};

struct wal_header {
	uint8_t salt[WAL_SALT_LEN];
	uint32_t page_size;
	uint32_t sum[2]; /* what the checksum of frame 1 goes on from */
	bool big; /* how checksums load their words */
};

struct wal_frame {
	uint8_t salt[WAL_SALT_LEN];
	uint32_t pgno;
	uint32_t npages; /* of the database after this commit; 0: not a commit */
	uint32_t sum[2]; /* of everything up to this frame */
};

/* False: not a WAL header, or one that was never written to its end. */
bool wal_header_parse(const uint8_t bytes[static WAL_HEADER_LEN], struct wal_header *out);
void wal_frame_parse(const uint8_t bytes[static WAL_FRAME_LEN], struct wal_frame *out);
/* Frames count from 1. */
uint64_t wal_frame_offset(uint32_t frame, uint32_t page_size);
/* The page at the 1 GB mark, which holds locks and never content. */
uint32_t wal_lock_page(uint32_t page_size);

/* Filled by wal_begin(); nobody else looks inside. */
struct wal {
	struct sqlite3 *db;
	struct sqlite3_file *db_file;
	struct sqlite3_file *wal_file;
};

enum wal_lock {
	WAL_READ,
	WAL_WRITE, /* nobody commits until wal_end() */
};

enum wal_result {
	WAL_OK,
	WAL_BUSY,
	WAL_MISFIT, /* the WAL started over meanwhile, or is damaged: begin again */
	WAL_FAILED, /* already logged */
};

/* What the wal-index says of the last commit. */
struct wal_index {
	uint8_t salt[WAL_SALT_LEN];
	uint32_t last_frame; /* 0: nothing is in the WAL; salt and sum are then zero */
	uint32_t sum[2]; /* of that frame */
	uint32_t page_size;
	uint32_t npages; /* size of the database */
	int64_t file_ns; /* when the database file was last changed, wall clock */
	bool wal_is_cut; /* nothing is in the WAL, and not one byte is where it was */
	/*
	 * Every frame has been copied to the database file.  The next writer
	 * may then start the WAL over in spite of our transaction, but the
	 * file does not change before that ends.  While this is false, frames
	 * up to last_frame stay where they are.
	 */
	bool in_file;
};

/* `u` has no transaction open.  wal_end() also when the result is not WAL_OK. */
enum wal_result wal_begin(struct userdb *u, enum wal_lock lock, struct wal *out);
void wal_end(struct wal *w);

enum wal_result wal_read_index(struct wal *w, struct wal_index *out);
enum wal_result wal_read_header(struct wal *w, struct wal_header *out);
/* Only the 24 bytes before the page; their checksum is not verified. */
enum wal_result wal_read_frame(struct wal *w, uint32_t frame, uint32_t page_size,
			       struct wal_frame *out);
/*
 * `sum` is that of the frame before and becomes that of this one.  `space` is
 * WAL_FRAME_LEN + page_size bytes.
 */
enum wal_result wal_next_frame(struct wal *w, const struct wal_header *h, uint32_t frame,
			       uint32_t sum[static 2], uint8_t *space, struct wal_frame *out);
enum wal_result wal_read_page(struct wal *w, uint32_t frame, uint32_t page_size, uint8_t *page);
/* A page that the file does not have is zeros. */
enum wal_result wal_read_file_page(struct wal *w, uint32_t pgno, uint32_t page_size, uint8_t *page);

#endif
