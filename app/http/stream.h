/*
 * The streams with state that live in this worker: each keeps a connection to
 * its user's database, with RIGHT_FILES_SHARED, between requests.
 *
 *	streams_new()
 *	stream_open()		a request has left state behind
 *	stream_find()		the next one brings its baton
 *	stream_keep()		and has been served
 *	stream_close()		rolls back what is open
 *	streams_expire()	those whose time is up, now and then
 *	streams_free()
 *
 * A stream that holds the user's write lock between requests says so in the
 * slot and in the worker's turns, so that other writers get in line here; the
 * functions above keep both true.
 */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include "http/hrana_store.h"
#include "http/turn.h"
#include "state/table.h"
#include "sync/account.h"

#include <stdbool.h>
#include <stdint.h>

struct streams;

struct stream {
	uint64_t id; /* of this worker's life */
	uint32_t request; /* the number of the next one */
	struct account *account;
	struct hrana_store store;
};

struct streams_config {
	struct table *table;
	unsigned worker;
	struct accounts *accounts;
	struct turns *turns;
	const char *data; /* the data directory */
	int64_t max_wal_bytes; /* a longer one ends transactions that only read */
	unsigned per_user; /* open ones in all workers */
	int64_t idle_ms;
	int64_t max_ms;
};

struct streams *streams_new(const struct streams_config *c);
void streams_free(struct streams *all);

/*
 * `a` is open, with what the request left on its connection; it becomes the
 * stream's.  Texts of `store` are copied.  NULL: this user, or this worker, has
 * as many as it may.
 */
struct stream *stream_open(struct streams *all, struct account *a, const struct hrana_store *store,
			   int64_t now_ms);
/* NULL: there is none, any more, of that user. */
struct stream *stream_find(struct streams *all, const struct user_id *user, uint64_t id);
/* After each further request that it survives: texts of its store are copied. */
void stream_keep(struct streams *all, struct stream *s, int64_t now_ms);
void stream_close(struct streams *all, struct stream *s);

/* Closes those that were idle or open for too long, or stand in the way of a pull. */
void streams_expire(struct streams *all, int64_t now_ms);
void streams_close_all(struct streams *all);
bool streams_any(const struct streams *all);

/* Of the turns: nobody here holds the user's lock any more or waits for it. */
void streams_settle(struct streams *all, const struct user_id *user, struct slot *slot);

#endif
