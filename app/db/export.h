/*
 * A user's database as one file, of one moment, that opens anywhere by itself.
 */
#ifndef DB_EXPORT_H
#define DB_EXPORT_H

#include "db/userdb.h"

struct spill;

enum export_result {
	EXPORT_DONE,
	EXPORT_BUSY, /* another connection recovers the database, or the like: try again */
	EXPORT_LATE, /* not done at `until_ms` */
	EXPORT_NO_SPACE, /* for the file */
	EXPORT_FAILED, /* already logged */
};

/*
 * `u` is USERDB_CLIENT, between requests; `out` is empty.  A read transaction is
 * held while it copies, until `until_ms` of the monotonic clock at most.
 */
enum export_result export_copy(struct userdb *u, int64_t until_ms, struct spill *out);
/* How long the file would be now; 0: see EXPORT_BUSY. */
uint64_t export_len(struct userdb *u);

#endif
