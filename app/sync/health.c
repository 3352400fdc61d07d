#include "sync/health.h"

#include "base/log.h"

#include <inttypes.h>

enum { CREDITS_PER_SUCCESS = 2 };

void health_init(struct health *h, struct store_words *words)
{
	h->words = words;
	h->failed_users = 0;
}

void health_counted(struct health *h, unsigned failed_users)
{
	h->failed_users = failed_users;
}

bool health_is_crowd(const struct health *h)
{
	return h->failed_users > HEALTH_FEW;
}

bool health_is_down(const struct health *h)
{
	return h->words->down_since_ms != 0 && health_is_crowd(h);
}

bool health_frees(const struct health *h, int64_t began_ms)
{
	return began_ms < h->words->back_ms;
}

/*
 * A refusal counts: credentials that were revoked are an outage for everybody.
 * That a refused user is tried again slowly is between the user and the store.
 */
static bool is_about_the_store(enum object_error error)
{
	switch (error) {
	case ERROR_CONNECT:
	case ERROR_CERTIFICATE:
	case ERROR_TIMEOUT:
	case ERROR_BROKEN:
	case ERROR_THROTTLED:
	case ERROR_SERVER:
	case ERROR_CREDENTIALS:
	case ERROR_CLOCK:
	case ERROR_CONFIG:
		return true;
	case ERROR_NONE:
	case ERROR_DAMAGED:
	case ERROR_DISK:
	case ERROR_BUSY:
	case ERROR_CONFLICT:
	case ERROR_MISSING:
	case ERROR_COUNT:
		break;
	}
	return false;
}

void health_failed(struct health *h, enum object_error error, int64_t now_ms)
{
	struct store_words *w = h->words;
	int64_t not_down = 0;

	if (!is_about_the_store(error))
		return;
	w->credits = 0;
	uint32_t failures = atomic_fetch_add(&w->failures, 1) + 1;
	if (failures < HEALTH_OUTAGE_FAILURES || !health_is_crowd(h))
		return;
	if (atomic_compare_exchange_strong(&w->down_since_ms, &not_down, now_ms))
		log_warn("store.down", "failed_users=%u failures=%" PRIu32 " error=%s",
			 h->failed_users, failures, object_error_name[error]);
}

static void add_credits(struct store_words *w, uint32_t more)
{
	uint32_t had = w->credits, has;

	do
		has = had + more < HEALTH_CREDITS_MAX ? had + more : HEALTH_CREDITS_MAX;
	while (!atomic_compare_exchange_weak(&w->credits, &had, has));
}

/*
 * The end of the outage is written before the outage is taken back: whoever
 * dies in between leaves it to the next success to say so once more.
 */
void health_succeeded(struct health *h, int64_t now_ms)
{
	struct store_words *w = h->words;
	int64_t since = w->down_since_ms;

	w->success_ms = now_ms;
	w->failures = 0;
	add_credits(w, CREDITS_PER_SUCCESS);
	if (since == 0)
		return;
	w->back_ms = now_ms;
	if (atomic_compare_exchange_strong(&w->down_since_ms, &since, 0))
		log_info("store.back", "failed_users=%u down_ms=%" PRId64, h->failed_users,
			 now_ms - since);
}

bool health_allows_retry(struct health *h)
{
	uint32_t had = h->words->credits;

	if (!health_is_crowd(h))
		return true;
	do {
		if (had == 0)
			return false;
	} while (!atomic_compare_exchange_weak(&h->words->credits, &had, had - 1));
	return true;
}

void health_give_back(struct health *h)
{
	if (health_is_crowd(h))
		add_credits(h->words, 1);
}

/* One each `pause_ms`, and after a rest `burst` at once; the word is when none of them is owed. */
static bool passes(_Atomic int64_t *even_ms, int64_t pause_ms, int64_t burst, int64_t now_ms)
{
	int64_t seen = *even_ms;
	int64_t even = seen > now_ms ? seen : now_ms;

	return even + pause_ms <= now_ms + burst * pause_ms &&
	       atomic_compare_exchange_strong(even_ms, &seen, even + pause_ms);
}

bool health_allows_probe(struct health *h, int64_t now_ms)
{
	return passes(&h->words->probe_ms, HEALTH_PROBE_MS, 1, now_ms);
}

bool health_allows_hurry(struct health *h, int64_t now_ms)
{
	return passes(&h->words->hurry_ms, HEALTH_HURRY_MS, HEALTH_HURRY_BURST, now_ms);
}
