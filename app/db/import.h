/*
 * A SQLite file from outside takes the place of what a user's database holds,
 * in one transaction of that database: readers see the old or the new, and the
 * WAL has all of it.
 *
 *	import_check()		once, before the lock is needed; may rewrite the file
 *	import_replace()	again and again, as long as it is IMPORT_BUSY
 *
 * Nothing of the file's SQL runs but what is needed to check and to rewrite it,
 * in a sandbox.
 */
#ifndef DB_IMPORT_H
#define DB_IMPORT_H

#include "db/userdb.h"

struct spill;

enum import_result {
	IMPORT_DONE,
	IMPORT_BUSY, /* somebody else has the write lock; nothing has happened */
	IMPORT_NO_DATABASE, /* the file is none, or an encrypted one */
	IMPORT_DAMAGED,
	IMPORT_ENCODING, /* its texts are not UTF-8 */
	IMPORT_TOO_LARGE, /* the database may not become so large */
	IMPORT_NO_SPACE, /* on the disk */
	IMPORT_LATE, /* it takes too long */
	IMPORT_FAILED, /* already logged */
};

/*
 * Both take a USERDB_CLIENT between requests, and change nothing of it unless
 * they are DONE.  A file whose pages have another size is written anew.
 */
enum import_result import_check(struct userdb *u, struct spill *file);
enum import_result import_replace(struct userdb *u, struct spill *file);

#endif
