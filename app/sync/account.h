/*
 * One user's open files in one thread: lock, database handle, table slot;
 * and the bounded cache of those that were used last.
 *
 *	accounts_new()		once per thread
 *	account_slot()		whose request is it: the slot, loaded from disk
 *	account_open()		RIGHT_FILES_SHARED is held from here
 *	account_close()		to here; the handle stays open in the cache
 *	accounts_free()
 *
 * Opening a database costs 10 times a query, so handles are kept; the least
 * recently used one is closed when there are more than `max_open`.
 */
#ifndef SYNC_ACCOUNT_H
#define SYNC_ACCOUNT_H

#include "db/userdb.h"
#include "state/table.h"
#include "state/user.h"

enum account_result {
	ACCOUNT_OK,
	ACCOUNT_NO_FILES, /* no local database: ask for a pull and wait */
	ACCOUNT_BUSY, /* its files are being replaced this moment: come again */
	ACCOUNT_FULL, /* no slot left in the table */
	ACCOUNT_FAILED, /* already logged */
};

struct account {
	struct user_id id;
	struct slot *slot;
	int lock;
	struct userdb *db;
};

struct accounts_config {
	const char *data;
	enum userdb_role role;
	struct userdb_limits limits;
	unsigned max_open;
};

struct accounts;

struct accounts *accounts_new(struct table *t, const struct accounts_config *c);
void accounts_free(struct accounts *all);

/*
 * Finds or makes the slot and fills it from disk the first time.  OK, FULL or
 * FAILED.  Until account_open() the slot may change hands: see slot_is_of().
 */
enum account_result account_slot(struct accounts *all, const struct user_id *id, struct slot **out);
/*
 * Compares a slot that is in step with the disk: somebody else's tool may have
 * written to the database.  That counts as a commit; true: there is one.  A
 * commit of ours that is just being counted may be taken for such a one, and
 * costs a push that finds nothing.
 */
bool account_was_written(struct accounts *all, const struct user_id *id, struct slot *slot);
enum account_result account_open(struct accounts *all, const struct user_id *id,
				 struct account **out);
/*
 * The open account is no longer the user's one of this thread: account_open()
 * opens another one beside it.  Both are closed with account_close().
 */
void account_detach(struct accounts *all, struct account *a);
/* `reusable` false: the handle is closed, not cached. */
void account_close(struct accounts *all, struct account *a, bool reusable);

#endif
