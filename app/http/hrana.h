/*
 * Hrana over HTTP, the protocol of libSQL's clients, and its stateless
 * ancestor for curl.
 *
 *	POST /v2/pipeline, /v3/pipeline		HRANA_PIPELINE
 *	POST /v3/cursor				HRANA_CURSOR
 *	POST /v1/execute, /v1/batch		HRANA_EXECUTE, HRANA_BATCH: no stream
 *
 * Sources: docs/HRANA_3_SPEC.md and docs/HTTP_V2_SPEC.md of
 * github.com/tursodatabase/libsql, and what its clients really send.
 *
 *	hrana_new()		the text is JSON
 *	hrana_baton()		which stream it goes on with, if it does
 *	hrana_check()		it is right, given what is stored on that stream
 *	hrana_would_write()
 *	hrana_run()		the response is written, and says how the stream is left
 *	hrana_put_baton()	into the response, if the stream lives on
 *	hrana_free()
 *
 * A failed statement is part of a 200, in its result or its step's error; only
 * HRANA_EXECUTE, which has no place for it, makes it the answer's: 400, or 503
 * when the database is busy.  A malformed request is a 400 of which nothing
 * was executed.
 */
#ifndef HTTP_HRANA_H
#define HTTP_HRANA_H

#include "http/exchange.h"
#include "http/hrana_store.h"

#include "db/userdb.h"

enum hrana_endpoint { HRANA_PIPELINE, HRANA_CURSOR, HRANA_EXECUTE, HRANA_BATCH };

struct hrana;

/* Of x->request.body, which stays.  NULL: the response says what is wrong with it. */
struct hrana *hrana_new(enum hrana_endpoint endpoint, struct exchange *x);
void hrana_free(struct hrana *h);

/* NULL: a new stream. */
const char *hrana_baton(const struct hrana *h, size_t *len);
/* false: the response says what is wrong.  `store` may be NULL: nothing is stored. */
bool hrana_check(struct hrana *h, struct exchange *x, const struct hrana_store *store);

/*
 * Whether it would write, as SQLite judges its statements, without running
 * anything.  A text that cannot be prepared (yet) is no write unless one
 * before it is.
 */
bool hrana_would_write(const struct hrana *h, const struct exchange *x, struct userdb *db,
		       const struct hrana_store *store);

struct hrana_place {
	struct userdb *db;
	struct hrana_store *store; /* of the stream; afterwards, texts may be the request's */
	const char *spill_dir; /* for long answers of a cursor */
	bool may_block; /* see HRANA_BLOCKED */
};

enum hrana_left {
	HRANA_CLOSED, /* nothing is left on the connection; no baton */
	HRANA_STATELESS, /* nothing is left, and a baton is wanted */
	HRANA_STATEFUL, /* the connection and the store have to be kept; a baton is wanted */
	HRANA_BLOCKED, /* somebody has the lock: nothing has happened, the response is void */
	HRANA_GAVE_WAY, /* the same, because others need the worker */
};
/*
 * The response may be an error also when something was executed; then the
 * stream is closed.  Whether a connection that is not kept has to be closed is
 * told by userdb_is_clean().
 */
enum hrana_left hrana_run(struct hrana *h, struct exchange *x, const struct hrana_place *place);
/* `baton` has BATON_LEN characters. */
void hrana_put_baton(const struct hrana *h, struct exchange *x, const char *baton);

#endif
