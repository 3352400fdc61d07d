/*
 * What every route that works on a user's database goes through: the files
 * are here or are pulled first, a flagged user's write waits for a retry, a
 * conflict refuses writes, and a commit is counted before it is answered.
 */
#ifndef HTTP_USER_ROUTE_H
#define HTTP_USER_ROUTE_H

#include "http/baton.h"
#include "http/exchange.h"
#include "http/share.h"
#include "http/stream.h"
#include "http/turn.h"
#include "sync/account.h"
#include "sync/census.h"
#include "sync/sync.h"

/* Of the worker, the same for all requests. */
struct service {
	struct table *table;
	unsigned worker;
	struct sync *sync;
	struct accounts *accounts;
	struct streams *streams;
	struct share *share;
	struct turns *turns;
	const struct baton_key *batons;
	const char *data; /* the data directory */
	const struct migrations *migrations; /* NULL: none */
	int64_t retry_wait_ms;
	int64_t lock_wait_ms;
	struct census census; /* what the latest scrape has found */
	int64_t census_ms; /* when that was, monotonic; 0: never */
	bool may_park; /* room for another waiting request; kept by the server */
	bool may_crowd; /* the same for SERVE_IN_CROWD */
	bool leaves; /* what is new is for other workers; kept by the server */
	bool ends; /* no streams are opened any more; kept by the server */
};

/*
 * The user's database, to be closed with account_close().  false: `served` says what
 * becomes of the request instead; it waits for the files, or has its answer.
 */
bool user_route_open(struct service *s, struct exchange *x, struct account **out,
		     enum served *served);
/* Nothing has happened; BUSY_STEP_MS later it is served anew. */
enum served user_route_wait_a_moment(struct service *s, struct exchange *x);

/* For exchange.wait.ready: slot_view.ended is no longer what wait.seen says. */
bool attempt_ended(const struct exchange *x);

/* true: the response says that the request has waited in vain. */
bool is_refused_in_vain(struct exchange *x);

typedef enum served route_handler(struct service *s, struct exchange *x);

route_handler serve_pipeline; /* POST /v2/pipeline, /v3/pipeline */
route_handler serve_cursor; /* POST /v3/cursor */
route_handler serve_execute; /* POST /v1/execute */
route_handler serve_batch; /* POST /v1/batch */
route_handler serve_sync_get; /* GET /v1/sync, in api_sync.c */
route_handler serve_sync_post; /* POST /v1/sync */
route_handler serve_kept; /* GET /v1/sync/kept/<name> */
route_handler serve_sync_resolve; /* POST /v1/sync/resolve */
route_handler serve_export; /* GET /v1/export, in api_export.c */
route_handler serve_import; /* PUT /v1/import, in api_import.c */

#endif
