/*
 * When to try again: exponential with full jitter, a pure function.
 */
#ifndef STORE_BACKOFF_H
#define STORE_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t min_ms;
	int64_t max_ms;
};

/*
 * The wait before attempt number `failures` + 1, when `failures` (>= 1) have
 * failed in a row: a point in [min_ms, min(max_ms, min_ms * 2^failures)) picked
 * by `random`, never less than `asked_ms`, which the store may have asked for.
 */
int64_t backoff_wait_ms(const struct backoff *b, unsigned failures, int64_t asked_ms,
			uint32_t random);

#endif
