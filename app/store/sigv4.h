/*
 * AWS Signature Version 4, for requests whose body is hashed beforehand.
 *
 * The caller describes a request in parts and unencoded; what comes back is
 * encoded once, and the same bytes must go to the network:
 *
 *	sigv4_date(), sigv4_hash_...()
 *	sigv4_sign()
 *	send:	<method> <target>
 *		Host: <host>
 *		x-amz-date: <date>
 *		x-amz-content-sha256: <payload_hash>
 *		each of `headers`
 *		Authorization: <authorization>
 *	sigv4_signature_release()
 */
#ifndef STORE_SIGV4_H
#define STORE_SIGV4_H

#include "base/buf.h"
#include "base/spill.h"

#include <stdint.h>

enum {
	SIGV4_DATE_SIZE = 17, /* 20260101T000000Z */
	SIGV4_HASH_SIZE = 65, /* lower case hex of a SHA-256 */
	SIGV4_PAIRS_MAX = 8, /* query pairs, and headers, of one request */
};

struct sigv4_pair {
	const char *name;
	const char *value;
};

struct sigv4_key {
	const char *access;
	const char *secret;
	const char *region;
};

struct sigv4_request {
	const char *method;
	const char *host; /* lower case; with the port unless it is the default one */
	const char *path; /* begins with '/' */
	const struct sigv4_pair *query;
	size_t nquery;
	const struct sigv4_pair *headers; /* without the three named above */
	size_t nheaders;
	const char *date;
	const char *payload_hash;
};

struct sigv4_signature {
	struct buf target; /* path and query */
	struct buf authorization; /* never to be logged */
};

#define SIGV4_SIGNATURE_INIT                                                                       \
	{                                                                                          \
		BUF_INIT, BUF_INIT                                                                 \
	}

void sigv4_date(int64_t wall_ms, char out[static SIGV4_DATE_SIZE]);
void sigv4_hash_bytes(const void *bytes, size_t len, char out[static SIGV4_HASH_SIZE]);
/* -1: it could not be read; already logged. */
int sigv4_hash_spill(struct spill *s, char out[static SIGV4_HASH_SIZE]);
/* -1: a header is repeated or would break its line. */
int sigv4_sign(const struct sigv4_key *key, const struct sigv4_request *r,
	       struct sigv4_signature *out);
void sigv4_signature_release(struct sigv4_signature *s);

#endif
