/*
 * Hrana over HTTP, the protocol of libSQL's clients, and its stateless
 * ancestor for curl.
 *
 *	POST /v2/pipeline, /v3/pipeline		hrana_pipeline()
 *	POST /v1/execute			hrana_execute()
 *	POST /v1/batch				hrana_batch()
 *
 * Sources: docs/HRANA_3_SPEC.md and docs/HTTP_V2_SPEC.md of
 * github.com/tursodatabase/libsql, and what its clients really send.
 *
 * A stream lives for one request: it is closed, and an open transaction rolled
 * back, before the response is written, and the baton is always null.
 */
#ifndef HTTP_HRANA_H
#define HTTP_HRANA_H

#include "http/exchange.h"

#include "db/userdb.h"

/*
 * One call serves one request on the open database: x->request.body is the
 * JSON text, the response is filled in.  The connection is left as it was
 * found: no transaction, no statement.  If it has to be closed all the same,
 * sandbox_tainted() says so.
 *
 * A failed statement is part of a 200, in its result or its step's error; only
 * hrana_execute(), which has no place for it, makes it the answer's: 400, or
 * 503 when the database is busy.  A malformed request is a 400 of which
 * nothing was executed.
 */
void hrana_pipeline(struct exchange *x, struct userdb *db);
void hrana_execute(struct exchange *x, struct userdb *db);
void hrana_batch(struct exchange *x, struct userdb *db);

/*
 * Whether a request (of any of the three) would write, as SQLite judges its
 * statements, without running anything.  A text that cannot be prepared (yet)
 * is no write unless one before it is.  Malformed requests are none.
 */
bool hrana_would_write(const struct exchange *x, struct userdb *db);

#endif
