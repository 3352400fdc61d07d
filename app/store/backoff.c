#include "store/backoff.h"

/* `failures` doublings, or fewer when `max` is reached before. */
static int64_t doubled(int64_t value, unsigned failures, int64_t max)
{
	for (; failures > 0 && value < max; failures--) {
		if (value > max / 2)
			return max;
		value *= 2;
	}
	return value < max ? value : max;
}

/* A point in [0, range) without the 96 bits that range * random would need. */
static int64_t picked(int64_t range, uint32_t random)
{
	uint64_t high = (uint64_t)range >> 32;
	uint64_t low = (uint64_t)range & UINT32_MAX;

	return (int64_t)(high * random + (low * random >> 32));
}

int64_t backoff_wait_ms(const struct backoff *b, unsigned failures, int64_t asked_ms,
			uint32_t random)
{
	int64_t min = b->min_ms > 0 ? b->min_ms : 1;
	int64_t end = doubled(min, failures, b->max_ms);
	int64_t wait = end > min ? min + picked(end - min, random) : min;

	return wait > asked_ms ? wait : asked_ms;
}
