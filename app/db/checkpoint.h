/*
 * The checkpoint that lets the WAL start over.
 *
 * Only the holder of the user's push right makes one, and only when everything
 * in the WAL is stored elsewhere, because the next writer overwrites it.
 */
#ifndef DB_CHECKPOINT_H
#define DB_CHECKPOINT_H

#include "db/position.h"
#include "db/userdb.h"

enum checkpoint_result {
	CHECKPOINT_DONE, /* the next writer starts the WAL over */
	CHECKPOINT_LATER, /* something was added, a reader or a writer is in the way */
	CHECKPOINT_FAILED, /* already logged */
};

/*
 * Copies the WAL into the database file, if `at` is still its end.  arm() is
 * called just before and must store that at->armed is now true; -1 from it ends
 * with CHECKPOINT_FAILED.  The user's writers go on meanwhile; what they add is
 * not copied, and the result then is CHECKPOINT_LATER.
 *
 * `u` is USERDB_INTERNAL, without a transaction, and has `path` open.  With
 * nothing in the WAL there is nothing to do, and arm() is not called.
 */
enum checkpoint_result wal_checkpoint(struct userdb *u, const char *path,
				      const struct wal_position *at, int (*arm)(void *owner),
				      void *owner);

/*
 * For a user who never pauses, so that no position is the end for long enough.
 * secure() is called instead of arm(), with a connection to capture the rest
 * through; after 0 from it everything in the WAL must be safe elsewhere and the
 * position there armed.  It is called once while writers go on and once more,
 * for what they added, while they wait: no network in there.
 */
enum checkpoint_result wal_checkpoint_busy(struct userdb *u, const char *path,
					   int (*secure)(void *owner, struct userdb *reader),
					   void *owner);

#endif
