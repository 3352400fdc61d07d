/*
 * A place in the WAL of one user: how far the remote copy reaches.
 *
 * Within one WAL it is the number of a frame that ends a commit; the salts say
 * which WAL that is, for they change whenever it starts over: the first grows by
 * one, the second is random.
 *
 * Our own connections never take a WAL away or cut it short, and never change
 * the database file without arming a position first.  Somebody else's tool does
 * both, and what it wrote may then be in no WAL any more.
 */
#ifndef DB_POSITION_H
#define DB_POSITION_H

#include <stdbool.h>
#include <stdint.h>

/* How far the remote copy reaches in the local WAL. */
struct wal_position {
	uint8_t salt[8]; /* both salts as they stand in the WAL header */
	uint32_t frame; /* the last frame covered; 0: no WAL, or none of it */
	uint32_t sum[2]; /* the running checksum of that frame */
	uint32_t page_size; /* 0: nothing was ever captured */
	uint32_t npages; /* size of the database there */
	/*
	 * A complete checkpoint was made here or was about to be: another salt
	 * means a new WAL after it, not a gap.
	 */
	bool armed;
	/* When the database file, which holds all of this, was last changed, wall clock; else 0. */
	int64_t file_ns;
};

/* The salts are those of the WAL that comes right after the one with `before`. */
bool wal_salt_follows(const uint8_t before[8], const uint8_t salt[8]);
/* When the file was last changed; -1: there is none, or it cannot be looked at. */
int64_t wal_file_ns(const char *db_path);

/*
 * From the files alone, without SQLite and without its locks: may the database
 * hold something after `at`?  true when in doubt.  For a sweep over many users
 * whose databases nobody has open.
 */
bool wal_may_reach_beyond(const char *db_path, const struct wal_position *at);

#endif
