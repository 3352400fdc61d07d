/*
 * One user's words in the shared table.
 *
 * Commits are counted, not flagged: `committed` grows with every commit and
 * `stored` says how many of them the store has, so a push that ends cannot
 * hide a commit that came meanwhile.  Whether a user is dirty is derived.
 *
 * The flag is more than the last error: once the store answers again it stays
 * until a push has covered everything that was committed at that moment.
 *
 * Who may call what:
 *	slot_load()			the holder of RIGHT_LOAD, once
 *	slot_commit()			anybody, after COMMIT and before the answer
 *	slot_push_...(), slot_want_lock()	the holder of RIGHT_PUSH
 *	slot_pull_...()			the holder of RIGHT_PUSH and RIGHT_FILES
 *	slot_hurry(), slot_read(), slot_suspect(), slot_wal_...(), slot_charge()	anybody
 */
#ifndef STATE_SLOT_H
#define STATE_SLOT_H

#include "state/table.h"

#include <stdbool.h>
#include <stdint.h>

enum slot_files {
	FILES_UNKNOWN, /* nobody has looked since the start */
	FILES_ABSENT, /* no local database: pull first */
	FILES_PRESENT,
};

/* Which side of a conflict its user keeps. */
enum slot_keep {
	KEEP_UNDECIDED,
	KEEP_REMOTE,
	KEEP_LOCAL,
};

struct slot_view { /* the words, each read once */
	uint64_t stored; /* how many commits are in the store */
	uint64_t committed; /* commits known here since the start */
	uint64_t txid; /* of the last object known to be in the store */
	enum slot_files files;
	bool conflict;
	enum slot_keep keep;
	bool pushing;
	uint64_t pusher; /* table_worker_mark() of who pushes */
	uint32_t error; /* of the last failed push; the caller's enum, 0 for none */
	uint32_t failures; /* in a row */
	int64_t dirty_since_ms; /* monotonic, nearly; 0: not dirty */
	int64_t failed_since_ms; /* wall clock; 0: not failed */
	int64_t last_success_ms; /* wall clock; 0: none since the start */
	uint32_t last_took_ms; /* how long that push took */
	int64_t next_attempt_ms; /* monotonic; 0: at once */
	int64_t held_until_ms; /* monotonic; before that no hurry helps */
	int64_t began_ms; /* monotonic; the latest attempt */
	int64_t ended_ms; /* monotonic; the latest attempt to end */
	uint32_t ended; /* counts attempts, pulls too, that came to an end */
	uint32_t pull_error; /* of the last pull; 0: it did not fail */
	int64_t pull_failed_ms; /* monotonic */
	bool pull_wanted;
	bool checked; /* the store has been asked whether another host went on */
	bool suspect; /* its objects are to be listed: some may be missing */
	bool wal_long; /* the WAL has outgrown its bound since the last attempt */
	uint64_t wal_bytes; /* since its last checkpoint, as the last commit left it */
	uint64_t spool_bytes; /* both are rounded up to KiB */
};

void slot_read(const struct slot *s, struct slot_view *out);
void slot_id(const struct slot *s, struct user_id *out);
static inline bool slot_is_dirty(const struct slot_view *v)
{
	return v->stored < v->committed;
}

/* What the disk says of a user. */
struct slot_saved {
	uint64_t txid;
	int64_t failed_since_ms;
	uint32_t error;
	enum slot_files files;
	bool dirty;
	bool conflict;
	uint64_t wal_bytes;
	uint64_t spool_bytes;
};
bool slot_is_loaded(const struct slot *s);
void slot_load(struct slot *s, const struct slot_saved *saved);

void slot_commit(struct slot *s);
uint64_t slot_committed(const struct slot *s);

/* `mark` is table_worker_mark().  Returns the commits that the push will cover. */
uint64_t slot_push_began(struct slot *s, uint64_t mark, int64_t mono_ms);
/*
 * Before the record of a successful push is written: whether it clears the
 * flag, given what it covers.
 */
bool slot_push_clears(struct slot *s, uint64_t covered);
void slot_push_stored(struct slot *s, uint64_t covered, uint64_t txid, uint32_t took_ms,
		      int64_t wall_ms);
/* `held` says that until next_attempt_ms not even a waiting user hurries it. */
void slot_push_failed(struct slot *s, uint32_t error, int64_t wall_ms, int64_t next_attempt_ms,
		      bool held);
/* The flag of an attempt that is still under way but has kept the user waiting. */
void slot_push_late(struct slot *s, uint32_t error, int64_t wall_ms);
/* Not a failure: the attempt could not be made right now. */
void slot_push_put_off(struct slot *s, int64_t next_attempt_ms);
void slot_push_conflict(struct slot *s, bool conflict);
/* The store holds what the record says and nothing behind it, or it was dealt with. */
void slot_push_checked(struct slot *s);
/* The WAL is within its bound again, or cannot be brought there. */
void slot_push_shortened(struct slot *s);
/* The decision; whoever next holds RIGHT_PUSH carries it out.  slot_push_conflict() ends it. */
void slot_keep(struct slot *s, enum slot_keep keep);
/* The commits of a database that was put aside will never be stored. */
void slot_push_abandoned(struct slot *s);
void slot_push_spool_is(struct slot *s, uint64_t bytes);
/* The last call of an attempt, whatever came of it. */
void slot_push_ended(struct slot *s, int64_t mono_ms);

/* Somebody has removed the database. */
void slot_files_lost(struct slot *s);
/* By whoever found no database, also if the slot knew of one: a pull may have died replacing it. */
void slot_pull_wanted(struct slot *s);
void slot_pull_failed(struct slot *s, uint32_t error, int64_t mono_ms);
void slot_pull_done(struct slot *s, uint64_t txid);
void slot_pull_ended(struct slot *s, int64_t mono_ms);

/* Whoever holds RIGHT_PUSH next looks whether all objects are there. */
void slot_suspect(struct slot *s);
void slot_wal_long(struct slot *s);
/* For who looks on: nothing is decided by it. */
void slot_wal_is(struct slot *s, uint64_t bytes);

/*
 * A worker has worked for the user for so long; how long one may go on now before
 * the user has used more than its share.  Not above 0: it has.  The share is a
 * quarter of a worker's time, of which SLOT_SPARE_US can be saved up; more than
 * that is remembered for SLOT_MEMORY_US at most.
 */
enum { SLOT_SHARE = 4, SLOT_SPARE_US = 50 * 1000, SLOT_MEMORY_US = 2 * 1000 * 1000 };
int64_t slot_charge(struct slot *s, int64_t used_us, int64_t now_us);

/*
 * The worker, as table_worker_mark() of it, in which a transaction that is open
 * between requests holds the database's write lock, or requests wait for it; 0:
 * none.  The worker may be dead meanwhile: see table_mark_lives().
 */
uint64_t slot_writer(const struct slot *s);
/* By the holder of the lock. */
void slot_set_writer(struct slot *s, uint64_t mark);
/* Nothing happens if the word has become another's. */
void slot_clear_writer(struct slot *s, uint64_t mark);

/*
 * A bracket of the holder of RIGHT_PUSH around waiting for the write lock while
 * there is a writer: those in line let it go first.  false: it was tried in vain
 * a moment ago.
 */
bool slot_want_lock(struct slot *s, int64_t now_ms);
void slot_lock_wanted(struct slot *s, bool got, int64_t now_ms);
bool slot_wants_lock(const struct slot *s, int64_t now_ms);

/* The next attempt at `mono_ms` at the latest, but never before held_until_ms. */
void slot_hurry(struct slot *s, int64_t mono_ms);

#endif
