/*
 * A failure that may come again at once and a thousand times: it is told, but
 * not for every attempt.
 */
#ifndef STORE_COMPLAINT_H
#define STORE_COMPLAINT_H

#include <stdbool.h>
#include <stdint.h>

enum { COMPLAINT_EVERY_MS = 1000 };

/* Begins as zeroes. */
struct complaint {
	int64_t told_at_ms; /* 0: never yet */
	unsigned untold; /* since then */
};

/* One more at `now_ms`.  True: to be told, with the number of those that were not. */
bool complaint_is_due(struct complaint *c, int64_t now_ms, unsigned *untold);

#endif
