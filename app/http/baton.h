/*
 * Batons: what a client shows to go on with its stream.
 *
 * A free one stands for a stream without state and is good in every worker,
 * any number of times.  A bound one names a stream in a worker's memory and
 * the request that is next.  Both are signed, for one user and one run of the
 * program: nobody else can use, change or make one.
 *
 *	baton_key_make()	by the master, before the first fork
 *	baton_write()
 *	baton_read()
 */
#ifndef HTTP_BATON_H
#define HTTP_BATON_H

#include "state/user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BATON_LEN = 64, /* of the text, always */
	BATON_SECRET = 32,
};

struct baton_key {
	uint32_t run; /* not 0, not secret: which run of the program a baton is from */
	unsigned char secret[BATON_SECRET];
};

/* -1: already logged. */
int baton_key_make(struct baton_key *out);

struct baton {
	bool bound; /* the rest has a meaning then only */
	uint16_t worker;
	uint32_t epoch; /* of the worker */
	uint64_t stream;
	uint32_t request; /* of the stream: the number of the one that may bring this baton */
};

void baton_write(const struct baton_key *key, const struct user_id *user, const struct baton *b,
		 char out[static BATON_LEN + 1]);

enum baton_result {
	BATON_OK,
	BATON_EXPIRED, /* of another run */
	BATON_FORGED, /* or damaged, or somebody else's */
};
enum baton_result baton_read(const struct baton_key *key, const struct user_id *user,
			     const char *text, size_t len, struct baton *out);

#endif
