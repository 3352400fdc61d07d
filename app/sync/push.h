/*
 * A push under way; private to app/sync, on the engine's thread.
 *
 *	push.c		claims the right, captures, puts, records, goes round again
 *	inquiry.c	asks the store, where only the store knows how to go on
 *
 * Whoever calls one of these functions has nothing more to do with the push:
 * it goes on from there, or has ended and is gone.
 */
#ifndef SYNC_PUSH_H
#define SYNC_PUSH_H

#include "ltx/ltx.h"
#include "sync/backlog.h"
#include "sync/engine.h"
#include "sync/outgoing.h"

#include <limits.h>

struct compact;

struct push {
	struct sync *sync;
	struct account *account;
	struct slot *slot;
	struct backlog backlog;
	struct record *record; /* the backlog's */
	bool keeps_local; /* whatever history the store has, ours goes on top */
	uint64_t covered; /* commits that this round stores */
	struct wal_position position; /* what this round reaches */
	uint8_t header[LTX_HEADER_LEN]; /* of the object that this round puts */
	bool mends; /* a snapshot is owed, due or not */
	struct compact *compact; /* writes a snapshot of what this round reaches, or NULL */
	struct capture *capture; /* while it is encoded */
	struct outgoing *outgoing;
	struct task task;
	struct spill *body;
	bool spooled; /* it is the spool's first file, not a capture */
	int64_t round_ms; /* when the round began, monotonic */
	enum object_error put_error; /* of a put whose outcome is asked for */
	struct object_request request;
	char user_dir[PATH_MAX];
};

/* NULL: another worker is at it, or it cannot be done now. */
struct push *push_claim(struct sync *s, struct slot *slot);
/* From the record on: what is dirty now. */
void push_round(struct push *p);
/* The spool, or else what the WAL holds after the record. */
void push_backlog(struct push *p);
void push_captured(struct push *p);
/* The object that was put is in the store. */
void push_put_stored(struct push *p);
void push_failed(struct push *p, enum object_error error, enum object_result result,
		 int64_t asked_ms);
/* `key` holds somebody else's history. */
void push_conflict(struct push *p, const char *key);
void push_end(struct push *p);

/* A request of the push's own; the key and the rest are set, then it is started. */
void push_request(struct push *p, enum object_verb verb, void (*done)(struct object_request *));

/* Was it stored?  `why` is what the put ended with. */
void inquiry_outcome(struct push *p, enum object_error why);
/* There is no record: how far does the store reach? */
void inquiry_last(struct push *p);
/* Are all objects there?  If not, a snapshot makes up for them. */
void inquiry_gap(struct push *p);

#endif
