/*
 * Snapshots, and the removal of what they make superfluous; private to
 * app/sync, on the engine's thread.
 *
 * A restore applies the newest snapshot and every push after it.  When those
 * pushes weigh as much as a snapshot, a new one is written, so that uploads
 * stay within twice the changes and a restore does not grow for ever.  Objects
 * that only lead to states older than the retention are then removed, oldest
 * first, once a listing shows the snapshot that replaces them.
 *
 * It holds RIGHT_PUSH while it reads the database, not while it uploads, and
 * whatever fails is tried again after a later push: nothing depends on it.
 */
#ifndef SYNC_COMPACT_H
#define SYNC_COMPACT_H

#include "sync/engine.h"
#include "sync/record.h"

bool compact_is_due(const struct record *r);
void compact_start(struct sync *s, struct slot *slot);

/*
 * Which objects may go: those that no state since `cutoff_ms` needs.  The keys
 * are left in the listing, first `count` of it; returns count.
 */
size_t compact_choose(struct object_listing *listing, int64_t cutoff_ms);

#endif
