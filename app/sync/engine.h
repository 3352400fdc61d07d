/*
 * Inside the sync engine; private to app/sync.  Everything here runs on the
 * engine's own thread.
 */
#ifndef SYNC_ENGINE_H
#define SYNC_ENGINE_H

#include "base/tasks.h"
#include "sync/account.h"
#include "sync/health.h"
#include "sync/sync.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum engine_mode { ENGINE_RUNS, ENGINE_DRAINS, ENGINE_STOPS };

struct sync {
	struct table *table;
	unsigned worker;
	uint64_t mark; /* table_worker_mark() of this process */
	struct sync_config config; /* its strings are the caller's */
	struct store *store;
	struct tasks tasks;
	struct accounts *accounts;
	unsigned pushes; /* under way */
	unsigned max_pushes;
	unsigned pulls;
	unsigned max_pulls;
	unsigned compacts;
	uint32_t scan_from; /* place in the table where the next scan begins */
	uint32_t probe_from; /* and where the search for the next probe does */
	struct health health; /* push_start()'s pushes tell it what came of them */
	_Atomic(struct slot *) hurried; /* whose retry a request waits for, see sync_retry() */
	struct sweep *sweep; /* NULL when it is not ours to do, or done */
	_Atomic int mode;
	pthread_t thread;
};

/*
 * Start a push or a pull of this slot's user, unless another worker is at it.
 * It ends by itself; what came of it is in the slot.
 */
void push_start(struct sync *s, struct slot *slot);
/* The failure of a push for which there has been no room for too long. */
void push_give_up(struct sync *s, struct slot *slot);
/* No attempt: the WAL of a user whose attempts fail has outgrown its bound. */
void push_shorten(struct sync *s, struct slot *slot);
void pull_start(struct sync *s, struct slot *slot);

/*
 * The first look at a clean user after a start: has another host gone on from
 * where we are?  If it has, the database is brought up to it.
 */
void push_check(struct sync *s, struct slot *slot);
void pull_forward(struct sync *s, struct slot *slot);

/* The end of a conflict, as its user decided. */
void push_keep_local(struct sync *s, struct slot *slot);
void pull_keep_remote(struct sync *s, struct slot *slot);

/*
 * The sweep: finds the users that are dirty on disk after a start.  A step
 * looks at a bounded number of them; true: it has seen all.
 */
struct sweep;
struct sweep *sweep_new(struct sync *s);
bool sweep_step(struct sweep *w);
void sweep_free(struct sweep *w);

#endif
