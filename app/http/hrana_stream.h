/*
 * A stream: one connection for the statements of one request, the texts that
 * were stored on it, and the answer that grows meanwhile.
 *
 *	hrana_stream_begin()
 *	... hrana_request_run(), hrana_stmt_run(), hrana_steps_run()
 *	hrana_stream_end()	whatever was left open is rolled back
 */
#ifndef HTTP_HRANA_STREAM_H
#define HTTP_HRANA_STREAM_H

#include "base/json_write.h"
#include "db/sandbox.h"
#include "db/stmt.h"
#include "http/exchange.h"
#include "http/hrana_store.h"

struct hrana_stream {
	struct sandbox *sandbox;
	struct json_writer *out; /* at the end of body */
	struct buf *body;
	struct hrana_store store;
};

/* The answer is written to x->response.body. */
void hrana_stream_begin(struct hrana_stream *s, struct exchange *x, struct userdb *db);
void hrana_stream_end(struct hrana_stream *s);

/*
 * Whether the answer has room for `more` bytes.  -1: it would be larger than
 * all results of one request may be.
 */
int hrana_stream_room(const struct hrana_stream *s, size_t more, struct sql_error *e);

#endif
