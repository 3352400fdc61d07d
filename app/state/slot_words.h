/*
 * How a slot lies in the shared table; private to app/state.
 *
 * Each field is one atomic word and is written by:
 *	key, id		inside table_change_begin()'s bracket
 *	committed	anybody; only grows
 *	wal_kib		anybody
 *	spool_kib	the holder of RIGHT_PUSH, of RIGHT_LOAD
 *	dirty_since_ms	anybody from 0; the holder of RIGHT_PUSH
 *	stored		the holder of RIGHT_PUSH; only grows, never above committed
 *	hurried, pull_wanted, keep, suspect, wal_long	anybody
 *	used_until_us	anybody, see slot_charge()
 *	writer		whoever holds SQLite's write lock; from itself to 0
 *	loaded		the holder of RIGHT_LOAD
 *	files		that one; the holder of RIGHT_FILES; anybody to FILES_ABSENT
 *	all others	the holder of RIGHT_PUSH
 *
 * A worker killed between two of its stores leaves a slot that is dirtier
 * than the truth, never cleaner: `stored` and the end of a failure are written
 * last.
 */
#ifndef STATE_SLOT_WORDS_H
#define STATE_SLOT_WORDS_H

#include <stdatomic.h>
#include <stdint.h>

struct slot {
	_Atomic uint64_t key;
	_Atomic uint64_t id[8];
	_Atomic uint64_t committed;
	_Atomic uint64_t stored;
	_Atomic uint64_t txid;
	_Atomic uint64_t owner; /* table_worker_mark() of the pusher, 0 for none */
	_Atomic uint64_t clear_at; /* see slot_push_clears() */
	_Atomic uint64_t writer; /* see slot_writer() */
	_Atomic int64_t lock_wanted_ms; /* see slot_wants_lock(): until then */
	_Atomic int64_t lock_again_ms; /* asking again before that is no use */
	_Atomic int64_t used_until_us; /* monotonic; see slot_charge() */
	_Atomic int64_t dirty_since_ms; /* of the first commit that is not stored */
	_Atomic int64_t failed_since_ms;
	_Atomic int64_t last_success_ms;
	_Atomic int64_t next_attempt_ms;
	_Atomic int64_t held_until_ms;
	_Atomic int64_t began_ms;
	_Atomic int64_t ended_ms;
	_Atomic int64_t pull_failed_ms;
	_Atomic uint32_t error;
	_Atomic uint32_t failures;
	_Atomic uint32_t ended;
	_Atomic uint32_t pull_error;
	_Atomic uint32_t pull_wanted;
	_Atomic uint32_t conflict;
	_Atomic uint32_t keep; /* enum slot_keep */
	_Atomic uint32_t files;
	_Atomic uint8_t loaded;
	_Atomic uint8_t checked; /* see slot_view */
	_Atomic uint8_t suspect;
	_Atomic uint8_t wal_long;
	_Atomic uint32_t last_took_ms;
	_Atomic uint32_t wal_kib; /* see slot_view */
	_Atomic uint32_t spool_kib;
};

#endif
