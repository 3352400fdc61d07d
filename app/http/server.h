/*
 * The request thread of a worker: accepts FastCGI connections, serves one
 * request after the other, and keeps those that have to wait without waiting
 * for them itself.
 *
 *	accept -> read whole -> who is it -> route -> answer
 *	       -> what was committed is handed to the sync engine
 *
 * A request can also come from another worker, read and authenticated, or go
 * to another one: see http/handover.h.
 *
 * Signals are blocked except while it waits for the next connection: libfcgi
 * cuts bodies and answers short at a signal.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "db/userdb.h"
#include "http/baton.h"
#include "http/handover.h"
#include "http/jwt.h"
#include "state/table.h"
#include "sync/sync.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum auth_mode {
	AUTH_JWT,
	AUTH_REMOTE_USER,
};

struct server_config {
	const char *data;
	enum auth_mode auth;
	struct jwt_rules jwt; /* AUTH_JWT; the keys stay the caller's */
	struct userdb_limits limits;
	bool may_yield; /* share_may_yield() */
	const struct migrations *migrations; /* the caller's; NULL: none */
	int64_t max_body_bytes;
	int64_t max_file_bytes; /* a body that is a file */
	int64_t retry_wait_ms;
	unsigned max_open; /* databases open in the request thread */
	unsigned max_parked; /* requests that wait at once; more are not let wait */
	int64_t max_wal_bytes; /* of one user; see http/stream.h */
	unsigned max_streams; /* with state, open at once, of one user */
	unsigned max_requests; /* that wait, of one user in all workers */
	unsigned max_greedy; /* see http/share.h */
	int64_t stream_idle_ms;
	int64_t stream_max_ms;
};

/* What the master has made before the fork; all of it stays the caller's. */
struct server_place {
	unsigned worker;
	unsigned socket; /* its number */
	int listener;
	struct handover *handover;
	const struct baton_key *batons;
};

struct server;

/* NULL: already logged. */
struct server *server_new(struct table *t, struct sync *sync, const struct server_place *place,
			  const struct server_config *c);
/*
 * Serves until *stopping is set by a signal handler, then finishes what was
 * accepted but for those who wait.  `unblocked` is the signal mask for the time
 * it waits.
 */
void server_run(struct server *s, const volatile sig_atomic_t *stopping, const sigset_t *unblocked);
/* Afterwards, if no worker is left that could hand over a request for an open stream. */
void server_end_streams(struct server *s);
/*
 * Afterwards, with signals blocked: answers those whose wait is over, and what
 * is handed over for its open streams.  Whether there still are any of both.
 */
bool server_look(struct server *s);
/* Whoever still waits is answered without, and the streams end. */
void server_end(struct server *s);
void server_free(struct server *s);

#endif
