/*
 * The table every process shares: one slot per active user.
 *
 * It says how far each user's commits and pushes have come, whether the last
 * push failed and when the next attempt is due, so that any worker can tell
 * any user the truth and any pusher can take over from one that died.  The
 * truth that survives a reboot is on disk; this is what is known of it now.
 *
 *	table_create()		master, before the first fork
 *	table_adopt()		a master that goes on in the place of another program
 *	table_find(), table_add()
 *	slot_...()		one user's words, in state/slot.h
 *	table_store()		what all workers together know of the store
 *	table_metrics()		what they have done
 *	table_map_readonly()	another program: `holdfast status`
 *
 * Nothing here blocks and nothing needs repair: every field is one atomic
 * word.  Rights to a user's files are in state/right.h; a slot that nobody has
 * a right to may be given to another user when the table is full, so whoever
 * uses a slot holds a right and then asks slot_is_of() once more.
 */
#ifndef STATE_TABLE_H
#define STATE_TABLE_H

#include "state/metrics.h"
#include "state/user.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct table;
struct slot;

enum { TABLE_WORKERS_MAX = 256, TABLE_STREAMS_MAX = 64, TABLE_WAITING_MAX = 1024 };

/*
 * `path` is created anew and replaced if there; it is locked as long as the
 * master and its children live.  NULL: already logged.
 */
struct table *table_create(const char *path, uint32_t nslots);
/* The descriptor that holds the lock; it stays the table's. */
int table_fd(const struct table *t);
/* From then on `fd` is the table's.  NULL: its layout is another, `fd` stays the caller's. */
struct table *table_adopt(int fd);
/* NULL: no such table, or the program that made it is gone. */
const struct table *table_map_readonly(const char *path);
void table_free(const struct table *t);

/* Costs no system call; NULL: not there. */
struct slot *table_find(const struct table *t, const struct user_id *id);

enum table_result {
	TABLE_FOUND,
	TABLE_ADDED,
	TABLE_FULL,
};
enum table_result table_add(struct table *t, const struct user_id *id, struct slot **out);

/*
 * Slots are made and change hands only inside this bracket, which one thread
 * of all processes is in at a time, and which ends with the process.
 *
 *	table_change_begin()	may wait, rarely for longer than microseconds;
 *				-1: already logged
 *	table_find()		once more: somebody may have been faster
 *	table_place()		a free slot for `id`, NULL: the table is full
 *	table_candidate()	if there was none: the n-th that could be replaced
 *	table_replace()		by whoever holds both rights of its present user
 *				exclusively, or when that user has no folder
 *	table_change_end()
 */
int table_change_begin(const struct table *t);
struct slot *table_place(struct table *t, const struct user_id *id);
struct slot *table_candidate(const struct table *t, const struct user_id *id, unsigned n);
bool table_replace(struct table *t, struct slot *s, const struct user_id *old,
		   const struct user_id *id);
void table_change_end(int change);

/* In order of their places; from NULL to NULL.  Slots that nobody used are not touched. */
const struct slot *table_next(const struct table *t, const struct slot *after);

/* Whether whoever said that it pushes this slot's user is still alive. */
bool table_pusher_lives(const struct table *t, const struct slot *s);
/* What slot_push_began() takes: this worker, in this life. */
uint64_t table_worker_mark(const struct table *t, unsigned worker);

/* Slots that a pusher should look at: set after the change that makes it so. */
void table_set_due(struct table *t, const struct slot *s);
void table_clear_due(struct table *t, const struct slot *s);
/* The first due slot at or after place `*place`, which moves behind it; NULL: no more. */
struct slot *table_next_due(struct table *t, uint32_t *place);

/*
 * Workers.  A worker says whose request it runs, so that whoever finds it dead
 * knows which user may have a commit that nobody counted.
 */
struct worker_word {
	uint32_t epoch; /* +1 for every process that had this place */
	uint32_t pid;
	uint64_t requests;
};
void table_worker_born(struct table *t, unsigned worker, uint32_t pid); /* by the master */
/* By the master, once the process is gone: what it may have left is due. */
void table_worker_died(struct table *t, unsigned worker);
void table_worker_serves(struct table *t, unsigned worker, const struct slot *s);
void table_worker_rests(struct table *t, unsigned worker);
bool table_worker_get(const struct table *t, unsigned worker, struct worker_word *out);

/* What a worker's sync engine has under way, for who looks on; gone with the worker. */
struct table_busy {
	uint64_t pushes;
	uint64_t pulls;
	uint64_t compactions;
};
void table_worker_is_busy(struct table *t, unsigned worker, const struct table_busy *b);
/* Of all workers. */
void table_busy(const struct table *t, struct table_busy *out);
/*
 * By the worker itself: requests can be handed to it by workers of the same
 * `party` (not 0), because they have their sockets from the same master, of
 * which `socket` is the one it listens on; and later, that it finishes what it has and takes nothing new.
 */
void table_worker_joins(struct table *t, unsigned worker, uint32_t party, unsigned socket);
void table_worker_leaves(struct table *t, unsigned worker);
bool table_worker_is_in(const struct table *t, unsigned worker, uint32_t party);
/* One that does not leave.  -1: there is none. */
int table_worker_staying(const struct table *t, uint32_t party);

/* Whether the worker that has this mark is still the same process. */
bool table_mark_lives(const struct table *t, uint64_t mark);
uint64_t table_mark(unsigned worker, uint32_t epoch);
unsigned table_mark_worker(uint64_t mark);
uint32_t table_mark_epoch(uint64_t mark);

/*
 * The open streams of all workers, at most TABLE_STREAMS_MAX in each, so that
 * their number per user is known.  A worker writes its own; they are gone with
 * it.
 */
int table_stream_open(struct table *t, unsigned worker, const struct slot *s); /* -1: no room */
void table_stream_close(struct table *t, unsigned worker, int place);
unsigned table_streams(const struct table *t, const struct slot *s);

/*
 * In the same way, the requests that wait.  They are counted for the user and
 * not for the slot, which may change hands meanwhile.
 */
int table_wait_begin(struct table *t, unsigned worker, const struct user_id *id); /* -1: no room */
void table_wait_end(struct table *t, unsigned worker, int place);
unsigned table_waiting(const struct table *t, const struct user_id *id);

/*
 * By the worker itself: it works for a user who has used more than its share
 * (http/share.h); the oldest such request that waits here came at `since_ms`,
 * 0 if none does.  And what others of the same socket say.
 */
void table_worker_is_greedy(struct table *t, unsigned worker, bool greedy);
void table_worker_waits(struct table *t, unsigned worker, int64_t since_ms);
unsigned table_others_greedy(const struct table *t, unsigned worker);
int64_t table_others_wait_since(const struct table *t, unsigned worker); /* 0: nobody */

/*
 * How the store is doing, as all workers together have seen it.  Times are
 * monotonic milliseconds, 0 for never.  Written by the sync engines without a
 * right, each word for itself: what a worker leaves half done when it dies is
 * an estimate that the next answer of the store corrects.
 */
struct store_words {
	_Atomic int64_t success_ms; /* the last success */
	_Atomic int64_t down_since_ms; /* 0: it is not down */
	_Atomic int64_t back_ms; /* the first success after it was last down */
	_Atomic int64_t probe_ms; /* the next probe not before */
	_Atomic int64_t hurry_ms; /* hurried attempts are used up to this moment */
	_Atomic uint32_t failures; /* in a row, whoever's */
	_Atomic uint32_t credits; /* retries that recent successes allow */
	_Atomic uint64_t gaps; /* users whose objects were found to be missing */
};
struct store_words *table_store(const struct table *t);
struct metrics *table_metrics(const struct table *t);

/* The sweep over the disk after a start: exactly one worker at a time does it. */
bool table_claim_sweep(struct table *t, unsigned worker);
void table_sweep_done(struct table *t);

bool slot_is_of(const struct slot *s, const struct user_id *id);

#endif
