/*
 * What a user owes the store, as it is on disk: the record, the WAL behind it
 * and the spool; private to app/sync.
 *
 * For the holder of RIGHT_PUSH, who also sees to it that neither WAL nor spool
 * grow for ever:
 *
 *	backlog_open()
 *	backlog_read()		again before each use: the record as it is now
 *	... backlog.record is changed
 *	backlog_save()
 *	backlog_checkpoint()	nothing is left to be pushed
 *	backlog_shorten()	the WAL is too long: to the spool with it
 */
#ifndef SYNC_BACKLOG_H
#define SYNC_BACKLOG_H

#include "base/spill.h"
#include "sync/account.h"
#include "sync/record.h"
#include "sync/sync.h"

#include <limits.h>
#include <stdbool.h>

enum {
	BACKLOG_CHECKPOINT_FRAMES = 1000,
	/* From here on a user who never pauses is made to. */
	BACKLOG_BUSY_FRAMES = 4000,
};

struct backlog {
	const struct sync_config *config;
	struct account *account;
	struct record record;
	bool recorded; /* the record is what the disk says */
	char record_path[PATH_MAX];
	char db_path[PATH_MAX];
	char spool_dir[PATH_MAX];
};

/* -1: a path is too long; already logged. */
int backlog_open(struct backlog *b, const struct sync_config *c, struct account *a);
enum record_result backlog_read(struct backlog *b);
/* -1: already logged; what was there before still is. */
int backlog_save(const struct backlog *b);

/* When the record is at the end of a WAL that is long enough: the next writer starts it over. */
void backlog_checkpoint(struct backlog *b);
/*
 * The WAL goes to the spool, most of it while writers go on, so that it may
 * start over.  A spool that says less than the database itself is forgotten.
 */
void backlog_shorten(struct backlog *b);
/* The same, if the WAL is longer than it may be during an outage. */
void backlog_bound(struct backlog *b);

/* The spool's first file as transaction record.txid + 1.  NULL: it is lost; already logged. */
struct spill *backlog_spooled(const struct backlog *b, const char *spill_dir);
/* It is in the store.  -1: already logged. */
int backlog_spooled_stored(struct backlog *b);
/* Forgets spool and position: the next object will hold every page.  -1: already logged. */
int backlog_forget(struct backlog *b);

#endif
