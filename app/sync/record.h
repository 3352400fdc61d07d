/*
 * What a user's `sync` file says: how far the store reaches, which files of the
 * spool come next, and what both together correspond to in the local WAL.
 *
 * The file is replaced atomically and carries a checksum.  It is written only
 * by the holder of RIGHT_PUSH, after the object it speaks of is in the store,
 * so it may lag behind the store by one object (a crash in between), never run
 * ahead of it.
 */
#ifndef SYNC_RECORD_H
#define SYNC_RECORD_H

#include "db/capture.h"
#include "store/object.h"

#include <stdint.h>

struct record {
	uint64_t txid; /* of the last object in the store, 0: none */
	struct wal_position position; /* what that object and the spool reach */
	uint64_t spool_first; /* numbers of the files in the spool; 0: none */
	uint64_t spool_last;
	uint64_t pushed_bytes; /* of all pushes there ever were */
	bool gap; /* objects are missing in the store: it is owed a snapshot */
	int64_t failed_since_ms; /* wall clock; 0: not failed */
	enum object_error error; /* of the failure */
};

enum record_result {
	RECORD_OK,
	RECORD_MISSING, /* never written, or not readable any more: ask the store */
	RECORD_FAILED, /* the disk; already logged */
};

/* `out` is all zeros, a record that says nothing, if it is not RECORD_OK. */
enum record_result record_read(const char *path, struct record *out);
/* -1: already logged; what was there before still is. */
int record_write(const char *path, const struct record *r);

#endif
