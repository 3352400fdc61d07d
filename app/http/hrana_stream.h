/*
 * A stream while one request runs on it: the connection, the texts that are
 * stored on it, and the answer that grows meanwhile.
 *
 *	hrana_stream_begin()
 *	... hrana_request_run(), hrana_stmt_run(), hrana_steps_run()
 *	hrana_stream_end()	whatever was left open is rolled back, or
 *	hrana_stream_leave()	stays open for the next request
 *
 * A request that meets SQLite's lock, or was stopped because others need the worker
 * (http/share.h), before it has had any effect that lasts need not fail: it is `blocked`, nothing more of it runs, and after
 * hrana_stream_end() it can be run anew from its start.
 */
#ifndef HTTP_HRANA_STREAM_H
#define HTTP_HRANA_STREAM_H

#include "base/json_write.h"
#include "base/spill.h"
#include "db/sandbox.h"
#include "db/stmt.h"
#include "http/exchange.h"
#include "http/hrana_store.h"

struct hrana_stream {
	struct sandbox *sandbox;
	struct userdb *db;
	struct json_writer *out; /* at the end of body */
	struct buf *body;
	size_t head_len; /* of the body: its first line, which stays in it */
	struct spill *lines; /* what followed it and was too much; NULL: no cursor */
	bool lines_lost; /* the spill could not take them */
	struct hrana_store store;
	bool may_block; /* to be set after hrana_stream_begin() */
	bool blocked;
	bool gave_way; /* blocked, and not for the lock */
	bool was_tainted;
	uint64_t commits_before;
};

/* The answer is written to x->response.body. */
void hrana_stream_begin(struct hrana_stream *s, struct exchange *x, struct userdb *db);
void hrana_stream_end(struct hrana_stream *s);
void hrana_stream_leave(struct hrana_stream *s);

/* Something is left for the next request: a transaction, stored texts, changed settings. */
bool hrana_stream_has_state(const struct hrana_stream *s);

/* To be told of every error of a statement: it decides whether the request is blocked. */
void hrana_stream_failed(struct hrana_stream *s, const struct sql_error *e);

/*
 * Whether the answer has room for `more` bytes.  -1: it would be larger than
 * all results of one request may be.
 */
int hrana_stream_room(const struct hrana_stream *s, size_t more, struct sql_error *e);

/* Of a cursor: the JSON value just written is a line.  Memory is kept within bounds. */
void hrana_stream_end_line(struct hrana_stream *s);

#endif
