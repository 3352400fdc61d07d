/*
 * The sync engine of one worker: a thread that pushes what was committed and
 * pulls what is not here, all workers together as if they were one.
 *
 *	sync_start()		after the fork
 *	sync_commit()		COMMIT has returned, the answer is not yet written
 *	sync_look()		the answer is out: push now
 *	sync_status()		what the answer's header says
 *	sync_last_call()	at TERM: who waits for the next attempt gets it now
 *	sync_drain()		push what is dirty and begin nothing else
 *	sync_is_drained()
 *	sync_free()
 *
 * All but start and free only touch the shared table and wake the thread: they
 * never block and never fail.
 */
#ifndef SYNC_SYNC_H
#define SYNC_SYNC_H

#include "state/slot.h"
#include "state/table.h"
#include "store/backoff.h"
#include "store/object.h"

#include <stdint.h>

struct sync_config {
	const char *data; /* the data directory */
	uint64_t node; /* its random id */
	struct store_config store;
	struct backoff retry;
	unsigned max_open; /* databases open in the thread */
	enum slot_keep on_conflict; /* what is done without asking */
	int64_t max_wal_bytes; /* of one user during an outage; then it is spooled */
	int64_t retention_ms; /* how long what a newer object replaces stays in the store */
};

struct sync;

/* NULL: already logged. */
struct sync *sync_start(struct table *t, unsigned worker, const struct sync_config *c);
/*
 * Nobody's next attempt comes in time: it is made now, once, for those whose
 * latest was before `since_ms` (monotonic), unless the store asked for patience.
 */
void sync_last_call(struct sync *s, int64_t since_ms);
void sync_drain(struct sync *s);
/* Nothing that could be pushed now is left in the whole table. */
bool sync_is_drained(struct sync *s);
void sync_free(struct sync *s);

enum sync_status {
	SYNC_IN_STEP,
	SYNC_DIRTY, /* commits wait, their first attempt is on its way */
	SYNC_FAILED, /* the latest attempt failed and none has caught up since */
	SYNC_CONFLICT, /* the store holds history that is not ours */
};
enum { SYNC_STATUSES = SYNC_CONFLICT + 1 };
extern const char *const sync_status_name[]; /* ok, dirty, failed, conflict */
enum sync_status sync_status(const struct slot_view *v);

/* `wal_bytes` is the size of the WAL with this commit. */
void sync_commit(struct sync *s, struct slot *slot, int64_t wal_bytes);
void sync_look(struct sync *s, struct slot *slot);

/*
 * Try again after `delay_ms`, which lets those who ask at the same time share
 * one attempt, instead of at the next attempt's time, unless the store asked
 * for patience or refused us, or too many ask for that while it is down.
 * false: no attempt is under way or will be started by this; true:
 * slot_view.ended will move.
 */
bool sync_retry(struct sync *s, struct slot *slot, int64_t delay_ms);
/* Ends a conflict in favour of one side; slot_view.ended moves when that was tried. */
void sync_resolve(struct sync *s, struct slot *slot, enum slot_keep keep);
/* A pull of a user that has no local database; slot_view.ended moves when it is over. */
void sync_pull(struct sync *s, struct slot *slot);
/* Why a pull gave nothing a moment ago, and how long to be patient; ERROR_NONE: it did not fail. */
enum object_error sync_pull_error(const struct slot *slot, int64_t *patience_ms);

#endif
