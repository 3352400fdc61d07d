/*
 * The objects of one user: their names, and which of them restore to a
 * transaction.
 *
 *	<user>/<level %04x>/<min txid %016x>-<max txid %016x>.ltx
 *
 * This is Litestream 0.5's replica layout and its rule of choice, so that a
 * restore of ours and one of Litestream's read the same objects.  Level 0
 * holds pushes, one transaction id each; level 9 snapshots, from 1 to theirs.
 */
#ifndef SYNC_CHAIN_H
#define SYNC_CHAIN_H

#include "state/user.h"
#include "store/object.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHAIN_PUSH_LEVEL = 0, CHAIN_SNAPSHOT_LEVEL = 9 };

/* The prefix of all keys of a user. */
void chain_prefix(const struct user_id *user, char out[static OBJECT_KEY_MAX]);
/* The key of the object at `level` that makes these transactions. */
void chain_key(const struct user_id *user, unsigned level, uint64_t min_txid, uint64_t max_txid,
	       char out[static OBJECT_KEY_MAX]);
/* The key of the push that makes transaction `txid`. */
void chain_push_key(const struct user_id *user, uint64_t txid, char out[static OBJECT_KEY_MAX]);

struct chain_link {
	uint64_t min_txid;
	uint64_t max_txid;
	unsigned level;
	uint64_t size;
	int64_t modified_ms; /* by the store's clock, 0 if not told */
	char key[OBJECT_KEY_MAX];
};

/* false: the name is none of ours. */
bool chain_parse(const struct object_entry *entry, struct chain_link *out);

struct chain {
	struct chain_link *links; /* to be applied in this order */
	size_t count;
};

enum chain_result {
	CHAIN_OK,
	CHAIN_EMPTY, /* not one object with an LTX name */
	CHAIN_BROKEN, /* objects, but none of the wanted states can be made of them */
};

/*
 * Which of the listed objects lead to `txid`, 0 for the latest there is.  Names
 * that are none of ours are passed over.  Released with chain_release() when
 * CHAIN_OK.
 */
enum chain_result chain_choose(const struct object_listing *listing, uint64_t txid,
			       struct chain *out);
void chain_release(struct chain *c);

bool chain_has(const struct chain *c, const char *key);
/*
 * The first `count` links after each other that are of one level below
 * `below`, released like a chain; false: there are not so many.
 */
bool chain_run(const struct chain *c, size_t count, unsigned below, struct chain *out);
/* The last transaction that is not in a push of its own; 0: there is none. */
uint64_t chain_merged_until(const struct chain *c);

/* The object that reaches furthest; false: not one of them has an LTX name. */
bool chain_last(const struct object_listing *listing, struct chain_link *out);

/*
 * The last transaction that was in the store at `wall_ms`: the highest of the
 * objects that are not younger, by the store's own clock.  0: there is none.
 * Retention may since have deleted what leads to it; chain_choose() says so.
 */
uint64_t chain_txid_at(const struct object_listing *listing, int64_t wall_ms);
/* The first transaction that can still be restored; 0: there is none. */
uint64_t chain_earliest(const struct object_listing *listing);

#endif
