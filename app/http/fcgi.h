/*
 * FastCGI (version 1) towards nginx: one request per connection.
 *
 *	fcgi_new()		after the fork
 *	fcgi_next()		waits for a request; signals may come here only
 *	fcgi_param(), fcgi_read_body()
 *	fcgi_answer() or fcgi_drop(), some time later; other requests may be
 *				taken and answered meanwhile; or
 *	fcgi_connection()	fcgi_adopt() in the process that answers, and
 *				fcgi_drop() here
 *	fcgi_free()
 *
 * nginx must be told `fastcgi_keep_conn on`, so that it can tell an answer
 * that was cut short from a complete one, and no `keepalive` in the upstream:
 * the connection is closed here, at once, when the answer is out.
 *
 * Whoever can write to the socket is trusted not to send parameters of
 * gigabytes: it is a Unix socket with mode 0660.
 */
#ifndef HTTP_FCGI_H
#define HTTP_FCGI_H

#include "http/exchange.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fcgi;
struct fcgi_request;

/* `listener` stays the caller's and is made non-blocking.  NULL: already logged. */
struct fcgi *fcgi_new(int listener);
void fcgi_free(struct fcgi *f);

/*
 * The next request, its parameters read; NULL when there is none after
 * `wait_ms` (-1: no limit) or a signal came.  `unblocked` is the signal mask
 * of the wait; the caller has blocked them otherwise.
 */
struct fcgi_request *fcgi_next(struct fcgi *f, int wait_ms, const sigset_t *unblocked);
/* From now on fcgi_next() returns NULL, too, when there is something to read from `fd`.  0 or -1. */
int fcgi_watch(struct fcgi *f, int fd);

/*
 * A request that was read can be answered by another process: its connection
 * and its number go there, and here it is dropped.  An adopted one has no
 * parameters and no body.
 */
int fcgi_connection(const struct fcgi_request *r, unsigned *id);
struct fcgi_request *fcgi_adopt(int fd, unsigned id);

/* NULL when it is not there or empty.  Valid until the request is answered or dropped. */
const char *fcgi_param(const struct fcgi_request *r, const char *name);

enum fcgi_body {
	FCGI_BODY_WHOLE,
	FCGI_BODY_TOO_LARGE, /* more than `max`, or announced to be */
	FCGI_BODY_CUT, /* its length is not CONTENT_LENGTH */
	FCGI_BODY_GONE, /* the connection broke: nobody to answer to */
	FCGI_BODY_NO_SPACE, /* the file could not be written; already logged */
};
/* Once per request.  `out` holds the body when it is WHOLE, else nothing of use. */
enum fcgi_body fcgi_read_body(struct fcgi_request *r, int64_t max, struct buf *out);
/* The same for a body that is too large for memory.  `out` NULL: it is not wanted. */
enum fcgi_body fcgi_read_file(struct fcgi_request *r, int64_t max, struct spill *out);

/* nginx never says so, it hangs up. */
bool fcgi_client_is_gone(const struct fcgi_request *r);

/* What the response's own fields do not say.  Literals, NULL for none. */
struct fcgi_extra {
	const char *sync_status; /* X-Sync-Status */
	const char *preference; /* Preference-Applied */
	const char *allow; /* Allow */
	bool head_only; /* of a HEAD: the length is told, the body is not sent */
};

/* Sends the response and ends the request.  Returns the body bytes sent. */
size_t fcgi_answer(struct fcgi_request *r, const struct response *response,
		   const struct fcgi_extra *extra);
/* Ends the request without an answer. */
void fcgi_drop(struct fcgi_request *r);

#endif
