/*
 * Where the users in the shared table stand, all together, for who looks on.
 *
 * A user is in the table who was active, or in doubt, since the start; whoever
 * is not has nothing to be told of.
 */
#ifndef SYNC_CENSUS_H
#define SYNC_CENSUS_H

#include "state/table.h"
#include "store/object.h"
#include "sync/sync.h"

#include <stdint.h>

struct census {
	uint64_t users[SYNC_STATUSES]; /* by enum sync_status */
	uint64_t flagged[ERROR_COUNT]; /* those that have failed, by their latest error */
	int64_t oldest_unsynced_ms; /* how long the oldest commit has waited for the store */
	int64_t oldest_failed_ms; /* how long a user has been failed; 0: none is */
	uint64_t wal_bytes; /* see slot_view */
	uint64_t spool_bytes;
};

/* Reads every slot in use: 65,536 take some milliseconds. */
void census_take(const struct table *t, struct census *out);

/* How long the slot's user has waited for the store, by both clocks; 0: does not wait. */
int64_t census_unsynced_ms(const struct slot_view *v, int64_t mono_ms, int64_t wall_ms);

#endif
