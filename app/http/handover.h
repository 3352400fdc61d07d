/*
 * Requests that pass from one worker to another: the connection to nginx, and
 * what was read from it.
 *
 *	handover_new()		by the master, before the first fork
 *	handover_fd()		a worker waits for its own, number by number
 *	handover_send()		never blocks
 *	handover_receive()	never blocks
 *	handover_discard()	what is on its way to a worker that is dead
 *	handover_free()
 *
 * Every process has both ends of every worker's socket, so nothing is lost with
 * a worker.  What waits for a dead one has to be discarded by somebody, or
 * nginx would wait until its patience ends: by the master, after it has marked
 * the worker dead, and by a sender that finds this mark after sending.
 */
#ifndef HTTP_HANDOVER_H
#define HTTP_HANDOVER_H

#include "base/buf.h"
#include "state/user.h"

#include <stdbool.h>
#include <stdint.h>

struct handover;

/* For workers 0 to n - 1.  NULL: already logged. */
struct handover *handover_new(unsigned n);
void handover_free(struct handover *h);

/* Both ends of a worker's socket. */
struct handover_ends {
	int in, out;
};
/* To another program in the same process, and there. */
void handover_give(const struct handover *h, struct handover_ends *out);
struct handover *handover_adopt(const struct handover_ends *ends, unsigned n);

int handover_fd(const struct handover *h, unsigned worker);

enum { PARCEL_ID_MAX = 15, PARCEL_PATH_MAX = 63, PARCEL_PREFER_MAX = 63 };

/* A request on its way: everything of it that is needed from now on. */
struct parcel {
	int connection;
	unsigned fcgi_id; /* of the request on its connection */
	char id[PARCEL_ID_MAX + 1]; /* for the log */
	char path[PARCEL_PATH_MAX + 1];
	char prefer[PARCEL_PREFER_MAX + 1]; /* "": none */
	struct user_id user;
	bool read_only;
	bool retried; /* see struct wait */
	int64_t arrived_ms;
	uint32_t hops; /* how often it was handed over before */
	struct buf body;
};

/*
 * -1: its socket is full, or there is no descriptor or memory left; the parcel
 * is as it was.  0: it is on its way, and the caller's copy of the connection
 * and the body are still the caller's, to close and release.
 */
int handover_send(struct handover *h, unsigned worker, const struct parcel *p);
/* false: there is none.  The connection and the body are the caller's. */
bool handover_receive(struct handover *h, unsigned worker, struct parcel *out);
void handover_discard(struct handover *h, unsigned worker);

#endif
