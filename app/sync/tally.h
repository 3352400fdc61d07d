/*
 * What compaction has done for a user, in the file `tally` beside the record:
 * how much has to be pushed before it does more.
 *
 * Written by the holder of RIGHT_COMPACT.  One that is missing or damaged costs
 * a snapshot that would not have been needed yet, nothing else.
 */
#ifndef SYNC_TALLY_H
#define SYNC_TALLY_H

#include "sync/record.h"

#include <stdint.h>

struct tally {
	uint64_t reach; /* transactions up to here are in few objects */
	uint64_t snapshot_bytes; /* size of the last snapshot; 0: none is known */
	uint32_t snapshot_pages; /* and of the database that it holds */
	uint64_t pushed_bytes; /* record.pushed_bytes as it was then */
	uint64_t merged_bytes; /* uploaded by merges since */
	int64_t not_before_ms; /* wall clock; the last attempt failed */
};

void tally_read(const char *path, struct tally *out);
/* -1: already logged. */
int tally_write(const char *path, const struct tally *t);

enum tally_due {
	TALLY_NOTHING,
	TALLY_SNAPSHOT, /* all pages are to be written as one object */
	TALLY_MERGE, /* many pushes are to be written as one object */
};

/*
 * Uploads stay within twice the pushes while they are large enough to need no
 * merges, within 2.25 times always; a restore applies at most five times the
 * database, in a bounded number of objects.
 */
enum tally_due tally_due(const struct tally *t, const struct record *r, int64_t wall_ms);

#endif
