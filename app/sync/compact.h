/*
 * Few objects in the place of many, and the removal of what nobody needs any
 * more; private to app/sync, on the engine's thread.
 *
 *	snapshot	all pages, when the pushes since the last one outweigh it
 *	merge		the pages of 256 pushes, or of 256 merges of them, when
 *			a snapshot would weigh too much
 *
 * A snapshot is of the very moment that a push reaches, through a connection of
 * its own, so it neither waits for a pause nor makes anybody wait.  A merge is
 * made of the objects in the store alone.  Both end with a listing, by which
 * objects are removed that only lead to states older than the retention.
 *
 * The holder of RIGHT_COMPACT does it; nothing depends on its success.
 *
 *	compact_claim()		before a push captures: NULL mostly
 *	compact_force()		the same, due or not: the store is owed a snapshot
 *	compact_db()		the push captures through this
 *	compact_start()		what was captured is in the store: the rest goes
 *				on by itself
 *	compact_free()		it is not; and for NULL
 *
 *	compact_merge()		after a push, if a merge is due
 */
#ifndef SYNC_COMPACT_H
#define SYNC_COMPACT_H

#include "sync/engine.h"
#include "sync/record.h"

struct capture;
struct compact;

struct compact *compact_claim(struct sync *s, const struct user_id *id, const struct record *r);
struct compact *compact_force(struct sync *s, const struct user_id *id);
struct userdb *compact_db(struct compact *c);
/* `capture` is of compact_db(); it passes over, like `c`.  `r` says that it is stored. */
void compact_start(struct compact *c, struct capture *capture, const struct record *r);
void compact_free(struct compact *c);

void compact_merge(struct sync *s, const struct user_id *id, const struct record *r);

#endif
