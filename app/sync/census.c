#include "sync/census.h"

#include "base/clock.h"

/* The wall clock may have been set back since. */
static int64_t age(int64_t since_ms, int64_t now_ms)
{
	return since_ms == 0 || since_ms > now_ms ? 0 : now_ms - since_ms;
}

static int64_t greater(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* A restart forgets when the commit was, but not since when it has failed. */
int64_t census_unsynced_ms(const struct slot_view *v, int64_t mono_ms, int64_t wall_ms)
{
	int64_t dirty_ms = slot_is_dirty(v) ? age(v->dirty_since_ms, mono_ms) : 0;

	return greater(dirty_ms, age(v->failed_since_ms, wall_ms));
}

static void count(struct census *c, const struct slot_view *v, int64_t mono_ms, int64_t wall_ms)
{
	enum sync_status status = sync_status(v);

	c->users[status]++;
	if (status == SYNC_FAILED) {
		c->flagged[v->error < ERROR_COUNT ? v->error : ERROR_NONE]++;
		c->oldest_failed_ms =
			greater(c->oldest_failed_ms, age(v->failed_since_ms, wall_ms));
	}
	c->oldest_unsynced_ms =
		greater(c->oldest_unsynced_ms, census_unsynced_ms(v, mono_ms, wall_ms));
	c->wal_bytes += v->wal_bytes;
	c->spool_bytes += v->spool_bytes;
}

void census_take(const struct table *t, struct census *out)
{
	int64_t mono_ms = clock_mono_ms(), wall_ms = clock_wall_ms();
	struct slot_view v;

	*out = (struct census){ .oldest_failed_ms = 0 };
	for (const struct slot *s = table_next(t, NULL); s != NULL; s = table_next(t, s)) {
		slot_read(s, &v);
		count(out, &v, mono_ms, wall_ms);
	}
}
