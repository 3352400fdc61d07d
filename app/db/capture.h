/*
 * What was committed since a position, read from the WAL.
 *
 * This rests on rules that were found by breaking them: a capture reads up to
 * mxFrame of the wal-index and never beyond (a writer killed at the wrong
 * instant leaves a valid-looking commit that does not exist); the files are
 * read through SQLite's own handles only; nobody but the holder of the user's
 * push right captures or checkpoints.
 *
 *	capture_begin()		-> CAPTURE_PAGES: a read transaction is open
 *	capture_next_page()	ascending, until CAPTURE_LAST
 *	capture_widen()		the same moment once more, but all pages
 *	capture_end()		always; the capture is gone
 *	... upload; then the position may be stored
 *	wal_checkpoint()	of checkpoint.h, when that position is still the end
 */
#ifndef DB_CAPTURE_H
#define DB_CAPTURE_H

#include "db/position.h"
#include "db/userdb.h"

#include <stddef.h>
#include <stdint.h>

/* The stretch of the WAL that a capture covers, for the LTX header; 0, 0: none. */
struct wal_extent {
	uint64_t offset;
	uint64_t len; /* offset + len is the end of capture_position()->frame */
};

enum capture_result {
	CAPTURE_PAGES, /* something to push; see capture_whole() */
	CAPTURE_NOTHING, /* the position is the last commit */
	CAPTURE_LATER, /* a writer was faster every time; try again */
	CAPTURE_FAILED, /* I/O or a damaged database; already logged */
};

struct capture;

/*
 * With from->page_size 0, or when `from` does not lead to the present WAL
 * without a gap, all pages of the database are captured; capture_whole() says
 * so, and `capture_gap()` whether that was because of a gap.  `u` is
 * USERDB_INTERNAL and must not have a transaction open.  Not freed before
 * capture_end().
 */
enum capture_result capture_begin(struct userdb *u, const struct wal_position *from,
				  struct capture **out);
bool capture_whole(const struct capture *c);
bool capture_gap(const struct capture *c);
/*
 * The position that holds once all of this is stored.  It is armed only if the
 * whole WAL was in the database file already (a checkpoint was complete, and
 * the next writer starts a new WAL with no gap).
 */
const struct wal_position *capture_position(const struct capture *c);
struct wal_extent capture_extent(const struct capture *c);

enum capture_page {
	CAPTURE_PAGE,
	CAPTURE_LAST, /* there are no more */
	CAPTURE_PAGE_FAILED, /* already logged */
};
/* `page` (of capture_position()->page_size bytes) is valid until the next call. */
enum capture_page capture_next_page(struct capture *c, uint32_t *pgno, const uint8_t **page);
/*
 * From here on it is a whole capture of the same position, from its first page.
 * -1: already logged.
 */
int capture_widen(struct capture *c);
void capture_end(struct capture *c);

/*
 * The present end of the WAL: what an attempt of the past may be compared
 * with.  CAPTURE_PAGES: `out` is set, its frame is 0 when the WAL is empty.
 */
enum capture_result wal_present(struct userdb *u, struct wal_position *out);

/*
 * Whether frame `frame` of the present WAL, which has these salts, exists at or
 * before its last commit, is a commit itself, and if so the position there
 * (CAPTURE_PAGES).  This is how a position is found again from an object's
 * header.  CAPTURE_NOTHING: there is no such frame.
 */
enum capture_result wal_position_at(struct userdb *u, const uint8_t salt[8], uint32_t frame,
				    struct wal_position *out);

#endif
