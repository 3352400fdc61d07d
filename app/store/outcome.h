/*
 * What an answer of an S3 store, or the lack of one, means to the caller: the
 * only place where HTTP becomes an object_result.
 */
#ifndef STORE_OUTCOME_H
#define STORE_OUTCOME_H

#include "store/backend.h"

/* How a transfer ended, whatever the status. */
enum outcome_end {
	END_WHOLE, /* a complete answer */
	END_CONNECT, /* no address, no connection, no TLS */
	END_TIMEOUT,
	END_BROKEN, /* lost in the middle, or not HTTP */
	END_DISK, /* our body could not be read, or the answer not kept */
	END_DAMAGED, /* complete, but not what such an answer must be */
};

struct outcome_facts {
	enum object_verb verb;
	enum outcome_end end;
	bool begun; /* a byte of the request may have left */
	int status; /* 0 for none */
	const char *code; /* <Code> of an error document, or "" */
	bool told_when; /* Retry-After was sent */
};

struct outcome outcome_of(const struct outcome_facts *f);

#endif
