/*
 * A place that keeps objects under keys: an S3 bucket or a folder.
 *
 * One struct store belongs to one thread (store_wake() apart).  Requests are
 * started, run side by side, and each is finished by a call of its done():
 *
 *	store_new()
 *	store_start()	as often as wanted, from inside done() too
 *	store_run()	again and again; done() is called from here only
 *	store_drop()	forgets one that is under way
 *	store_free()	forgets all that are;
 *			until then its requests must exist
 *
 * Keys are relative to the store's own prefix.  An object is written once:
 * creating one that exists is OBJECT_TAKEN and changes nothing.
 */
#ifndef STORE_OBJECT_H
#define STORE_OBJECT_H

#include "base/buf.h"
#include "base/spill.h"

#include <stdbool.h>
#include <stdint.h>

enum { OBJECT_KEY_MAX = 512 };

/* Named for what the caller does next. */
enum object_result {
	OBJECT_OK,
	OBJECT_ABSENT, /* get, list: a real "no such object"; list: no object at all */
	OBJECT_TAKEN, /* create: the key exists, written by whomever */
	OBJECT_UNKNOWN, /* create: stored or not; ask, never guess.  get, list: no answer */
	OBJECT_TRY_LATER, /* refused or not reached before anything happened */
	OBJECT_REFUSED, /* credentials, bucket, configuration: trying soon is no use */
	OBJECT_DAMAGED, /* an answer that is not one: broken XML, wrong length */
};

/* Stable reason codes, shown to users and operators; OBJECT_ERROR_NAME has their text. */
enum object_error {
	ERROR_NONE,
	ERROR_CONNECT, /* "connect": refused, unreachable, no address, no TLS */
	ERROR_TIMEOUT, /* "timeout": silent or too slow */
	ERROR_BROKEN, /* "broken": connection lost in the middle, not HTTP */
	ERROR_THROTTLED, /* "throttled": 429, 503 */
	ERROR_SERVER, /* "server": other 5xx */
	ERROR_CREDENTIALS, /* "credentials": 401, 403 */
	ERROR_CLOCK, /* "clock": RequestTimeTooSkewed */
	ERROR_CONFIG, /* "config": no such bucket, other 4xx */
	ERROR_DAMAGED, /* "damaged": bytes that are not what they should be */
	ERROR_DISK, /* "disk": a local file could not be read or written */
	ERROR_BUSY, /* "busy": no transfer was free in time */
	ERROR_CONFLICT, /* "conflict": somebody else's history */
	ERROR_MISSING, /* "missing": objects that were there are gone */
	ERROR_CERTIFICATE, /* "certificate": TLS says that this is not the store */
	ERROR_COUNT
};
extern const char *const object_error_name[ERROR_COUNT];

enum object_verb {
	OBJECT_CREATE, /* body -> key, unless it exists */
	OBJECT_GET, /* key -> answer; with range_len the first bytes only */
	OBJECT_LIST, /* keys, or folders, that start with `key`, ascending -> listing */
	OBJECT_DELETE, /* key; OBJECT_OK when it was not there */
	OBJECT_PROBE_PUT, /* for `check --store`: an unconditional create */
};

struct object_entry {
	char key[OBJECT_KEY_MAX]; /* relative to the store's prefix */
	uint64_t size;
	int64_t modified_ms; /* wall clock of the store, 0 if not told */
};

struct object_listing {
	struct object_entry *entries;
	size_t count;
};

struct object_request {
	enum object_verb verb;
	char key[OBJECT_KEY_MAX];
	struct spill *body; /* create: stays the caller's, unchanged until done() */
	struct spill *answer; /* get: the caller's; empty at the start */
	uint64_t range_len; /* get: 0 for all */
	/*
	 * list: each folder that is next below `key`, '/' at its end, and nothing else: no
	 * size, no time, no object.  A folder is what keys with a further '/' have in common;
	 * the folder store shows one that is empty, too.
	 */
	bool folders;
	void (*done)(struct object_request *r);
	void *owner; /* for done() */

	/* What came of it, valid in done(): */
	enum object_result result;
	enum object_error error;
	int status; /* of HTTP, 0 for none */
	int64_t retry_after_ms; /* what the store asked for, 0 if nothing */
	struct object_listing listing; /* list: the receiver releases it */

	void *transfer; /* the store's own, NULL when not under way */
};

/* How long the s3 store waits; unused by folders. */
struct store_limits {
	int64_t connect_ms; /* for a connection */
	int64_t silence_ms; /* with no byte moving in either direction */
	int max_transfers; /* at once; more wait in order */
};

struct store_config {
	char *url; /* s3://bucket/prefix or file:/path */
	char *endpoint; /* s3: https, or http to a loopback address; may have a path */
	char *region; /* s3 */
	char *access_key; /* s3 */
	char *secret_key; /* s3 */
	char *spill_dir; /* for bodies that do not fit memory */
	struct store_limits limits;
};

struct store;

/* Where a store in file: keeps its objects; NULL for others. */
const char *store_folder(const struct store_config *c);

/* NULL with a sentence in `why` when the configuration cannot work. */
struct store *store_new(const struct store_config *c, char *why, size_t why_size);
void store_free(struct store *s);
void store_start(struct store *s, struct object_request *r);
/*
 * Move what is under way and finish what is ready, waiting at most `wait_ms`
 * for something to happen.
 */
void store_run(struct store *s, int64_t wait_ms);
/* Forget one that is under way: done() is not called.  Nothing, if it is not. */
void store_drop(struct store *s, struct object_request *r);
/* Ends a store_run() that waits.  From any thread. */
void store_wake(struct store *s);
/* Start one request and run until it is done: for commands, not for workers. */
enum object_result store_do(struct store *s, struct object_request *r);
void object_listing_release(struct object_listing *l);

#endif
