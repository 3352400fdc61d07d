/*
 * HTTP requests by libcurl, many at once, each watched for silence.
 *
 *	transfers_new()
 *	transfer_new(), transfer_add_header(), transfer_start()
 *	transfers_run()		again and again; events come from here only
 *	transfer_free()		from its ended() on, or to give it up; not in receive()
 *	transfers_free()	after the last of them
 *
 * One struct transfers belongs to one thread (transfers_wake() apart).  What
 * the bytes mean is not known here.
 */
#ifndef STORE_TRANSFER_H
#define STORE_TRANSFER_H

#include "base/spill.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transfers;
struct transfer;

/* How one ended, whatever the status. */
enum transfer_end {
	END_WHOLE, /* a complete answer */
	END_CONNECT, /* no address, no connection, no TLS */
	END_CERTIFICATE, /* whoever answers cannot show that it is the server */
	END_TIMEOUT,
	END_BROKEN, /* lost in the middle, or not HTTP */
	END_DISK, /* our body could not be read, or the answer not kept */
	END_DAMAGED, /* complete, but not what such an answer must be */
};

struct transfer_events {
	/* Bytes of an answer's body.  false: that was enough, and `end` is how it ends. */
	bool (*receive)(void *owner, const char *bytes, size_t len, enum transfer_end *end);
	/* The last event.  New ones may be started; of the others none may be freed. */
	void (*ended)(void *owner, enum transfer_end end);
};

/*
 * Both times are above 0: for a connection, and with no byte moving in either
 * direction.  Certificates are verified against the system's authorities, or
 * only against those in the file that the environment variable SSL_CERT_FILE names.
 * Where SIGPIPE would end the process it is ignored from now on: OpenSSL writes
 * to sockets without asking for EPIPE.
 */
struct transfers *transfers_new(int64_t connect_ms, int64_t silence_ms);
void transfers_free(struct transfers *ts);
/* Waits `wait_ms` at most for something to happen, and not at all after an ended(). */
void transfers_run(struct transfers *ts, int64_t wait_ms);
/* Ends a transfers_run() that waits.  From any thread. */
void transfers_wake(struct transfers *ts);
/* Of those that are not freed yet: how many, and the owner of any, NULL without one. */
int transfers_count(const struct transfers *ts);
void *transfers_any(const struct transfers *ts);

/* `events` stay as long as the transfer. */
struct transfer *transfer_new(struct transfers *ts, const struct transfer_events *events,
			      void *owner);
void transfer_add_header(struct transfer *t, const char *name, const char *value);
/* `body`: NULL for none; it stays the caller's, unchanged until ended(). */
void transfer_start(struct transfer *t, const char *method, const char *url,
		    const struct spill *body);
void transfer_free(struct transfer *t);

/* In receive() and ended(): */
int transfer_status(const struct transfer *t); /* 0: none */
const char *transfer_header(const struct transfer *t, const char *name); /* NULL: none */
int64_t transfer_len(const struct transfer *t); /* of the body, as announced; -1: was not */
int64_t transfer_retry_after_s(const struct transfer *t); /* 0: not asked for */
bool transfer_has_begun(const struct transfer *t); /* a byte of the request may have left */
int transfer_curl_code(const struct transfer *t); /* libcurl's own word for the end */

#endif
