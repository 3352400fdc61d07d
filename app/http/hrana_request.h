/*
 * One request of a pipeline.
 *
 * All of a pipeline are checked before the first one runs, against a store
 * that follows what they will store.
 */
#ifndef HTTP_HRANA_REQUEST_H
#define HTTP_HRANA_REQUEST_H

#include "base/json_read.h"
#include "http/hrana_stream.h"

#include <stdbool.h>

struct hrana_check {
	struct hrana_store store;
	size_t nsteps; /* requests and steps of batches so far */
	bool closed;
};

/* NULL, or what is wrong. */
const char *hrana_request_check(struct hrana_check *c, const struct json *request);
/* It was checked.  Appends its element of the results, which may be an error. */
void hrana_request_run(struct hrana_stream *s, const struct json *request);
bool hrana_request_would_write(struct hrana_stream *s, const struct json *request);

#endif
