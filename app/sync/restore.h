/*
 * A user's database out of the store, into a file.
 *
 * Lists the user's objects, chooses those that lead to the wanted transaction,
 * fetches them (a few at a time, in order), checks every byte and writes the
 * pages.  It runs on the loop of its thread, so a worker can restore beside its
 * pushes:
 *
 *	restore_start(), restore_start_at()
 *	store_run(), tasks_run()	until done() was called
 *	restore_free()		inside done() or later; before it: gives up
 *
 * The file is whole only after RESTORE_DONE; syncing and naming it is up to
 * the caller.
 */
#ifndef SYNC_RESTORE_H
#define SYNC_RESTORE_H

#include "base/tasks.h"
#include "state/user.h"
#include "store/object.h"

#include <stdbool.h>
#include <stdint.h>

enum restore_result {
	RESTORE_DONE,
	RESTORE_NO_USER, /* the store was asked and has no object of this user */
	RESTORE_UNREACHED, /* no answer, or refused: nothing is known */
	RESTORE_DAMAGED, /* objects that are missing, cut or changed */
	RESTORE_FAILED, /* the local file; already logged */
};

struct restored {
	enum restore_result result;
	enum object_error error;
	uint64_t txid; /* on RESTORE_DONE; on DAMAGED the last one seen */
	/*
	 * On DAMAGED, when the objects that are there do not lead to the wanted
	 * transaction: the first one that can be restored, 0 for none.
	 */
	uint64_t earliest;
	bool too_early; /* on DAMAGED: nothing was in the store at the time asked for */
	uint32_t page_size;
	uint32_t npages;
	uint64_t bytes; /* fetched so far */
	uint64_t bytes_all; /* to be fetched; 0 until known */
};

struct restore;
typedef void restore_done(struct restore *r, void *owner);

/* `txid` 0 for the latest.  `fd` is an empty file, the caller's, open for read and write. */
struct restore *restore_start(struct store *s, struct tasks *tasks, const struct user_id *user,
			      uint64_t txid, int fd, const char *spill_dir, restore_done *done,
			      void *owner);
/* The last transaction that was in the store at `wall_ms`, by the store's own clock. */
struct restore *restore_start_at(struct store *s, struct tasks *tasks, const struct user_id *user,
				 int64_t wall_ms, int fd, const char *spill_dir, restore_done *done,
				 void *owner);
const struct restored *restore_outcome(struct restore *r);
/* A restore that is under way must be freed before its store. */
void restore_free(struct restore *r);

#endif
