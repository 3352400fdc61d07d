/*
 * What an answer of an S3 store, or the lack of one, means to the caller: the
 * only place where HTTP becomes an object_result.
 */
#ifndef STORE_OUTCOME_H
#define STORE_OUTCOME_H

#include "store/backend.h"
#include "store/transfer.h"

struct outcome_facts {
	enum object_verb verb;
	enum transfer_end end;
	bool begun; /* a byte of the request may have left */
	int status; /* 0 for none */
	const char *code; /* <Code> of an error document, or "" */
	bool told_when; /* Retry-After was sent */
};

struct outcome outcome_of(const struct outcome_facts *f);

#endif
