#include "http/stream.h"

#include "base/alloc.h"
#include "base/log.h"
#include "db/sandbox.h"
#include "state/slot.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>

struct open_stream {
	struct stream stream; /* first: a stream is its open_stream */
	TAILQ_ENTRY(open_stream) link;
	struct buf texts; /* of the store */
	int place; /* in the shared table */
	int64_t opened_ms;
	int64_t used_ms;
	bool writes; /* holds the write lock */
};

TAILQ_HEAD(open_streams, open_stream);

struct streams {
	struct streams_config config;
	uint64_t mark;
	uint64_t last_id;
	struct open_streams open;
};

struct streams *streams_new(const struct streams_config *c)
{
	struct streams *all = alloc_zeroed(1, sizeof *all);

	all->config = *c;
	all->mark = table_worker_mark(c->table, c->worker);
	TAILQ_INIT(&all->open);
	return all;
}

void streams_free(struct streams *all)
{
	if (all == NULL)
		return;
	streams_close_all(all);
	free(all);
}

void streams_settle(struct streams *all, const struct user_id *user, struct slot *slot)
{
	if (!turn_is_busy(all->config.turns, user) && slot_is_of(slot, user))
		slot_clear_writer(slot, all->mark);
}

/* Before the answer is out: whoever hears of the open transaction finds the word set. */
static void note_lock(struct streams *all, struct open_stream *o)
{
	const struct account *a = o->stream.account;
	bool writes = sandbox_lock(userdb_sandbox(a->db)) == SANDBOX_WRITES;

	if (writes) {
		slot_set_writer(a->slot, all->mark);
		turn_hold(all->config.turns, &a->id);
	} else if (o->writes) {
		turn_let_go(all->config.turns, &a->id);
		streams_settle(all, &a->id, a->slot);
	}
	o->writes = writes;
}

struct stream *stream_open(struct streams *all, struct account *a, const struct hrana_store *store,
			   int64_t now_ms)
{
	const struct streams_config *c = &all->config;

	if (table_streams(c->table, a->slot) >= c->per_user)
		return NULL;
	int place = table_stream_open(c->table, c->worker, a->slot);
	if (place < 0)
		return NULL;
	struct open_stream *o = alloc_zeroed(1, sizeof *o);
	o->place = place;
	o->opened_ms = now_ms;
	o->stream.id = ++all->last_id;
	o->stream.account = a;
	o->stream.store = *store;
	account_detach(c->accounts, a);
	TAILQ_INSERT_TAIL(&all->open, o, link);
	stream_keep(all, &o->stream, now_ms);
	return &o->stream;
}

struct stream *stream_find(struct streams *all, const struct user_id *user, uint64_t id)
{
	struct open_stream *o = TAILQ_FIRST(&all->open);

	while (o != NULL &&
	       (o->stream.id != id || strcmp(o->stream.account->id.text, user->text) != 0))
		o = TAILQ_NEXT(o, link);
	return o != NULL ? &o->stream : NULL;
}

void stream_keep(struct streams *all, struct stream *s, int64_t now_ms)
{
	struct open_stream *o = (struct open_stream *)s;

	s->request++;
	o->used_ms = now_ms;
	hrana_store_keep(&s->store, &o->texts);
	note_lock(all, o);
}

void stream_close(struct streams *all, struct stream *s)
{
	struct open_stream *o = (struct open_stream *)s;
	struct account *a = s->account;

	sandbox_end_request(userdb_sandbox(a->db));
	note_lock(all, o);
	TAILQ_REMOVE(&all->open, o, link);
	table_stream_close(all->config.table, all->config.worker, o->place);
	account_close(all->config.accounts, a, userdb_is_clean(a->db));
	buf_release(&o->texts);
	free(o);
}

/* A snapshot keeps the WAL from starting over; one after the other would do so for ever. */
static bool pins_long_wal(const struct streams *all, const struct account *a)
{
	char path[PATH_MAX];
	struct stat st;

	return sandbox_lock(userdb_sandbox(a->db)) == SANDBOX_READS &&
	       user_path(all->config.data, &a->id, "db.sqlite-wal", path, sizeof path) == 0 &&
	       stat(path, &st) == 0 && st.st_size > all->config.max_wal_bytes;
}

/* NULL: it may stay. */
static const char *reason_to_end(const struct streams *all, const struct open_stream *o,
				 int64_t now_ms)
{
	struct slot_view v;

	if (now_ms - o->used_ms >= all->config.idle_ms)
		return "idle";
	if (now_ms - o->opened_ms >= all->config.max_ms)
		return "too_long";
	slot_read(o->stream.account->slot, &v);
	if (v.keep == KEEP_REMOTE)
		return "replaced";
	return pins_long_wal(all, o->stream.account) ? "long_wal" : NULL;
}

void streams_expire(struct streams *all, int64_t now_ms)
{
	struct open_stream *o, *next;

	for (o = TAILQ_FIRST(&all->open); o != NULL; o = next) {
		const char *reason = reason_to_end(all, o, now_ms);
		next = TAILQ_NEXT(o, link);
		if (reason == NULL)
			continue;
		log_info("stream.expired", "user=%s reason=%s ms=%" PRId64,
			 o->stream.account->id.text, reason, now_ms - o->opened_ms);
		stream_close(all, &o->stream);
	}
}

void streams_close_all(struct streams *all)
{
	struct open_stream *o, *next;

	for (o = TAILQ_FIRST(&all->open); o != NULL; o = next) {
		next = TAILQ_NEXT(o, link);
		stream_close(all, &o->stream);
	}
}

bool streams_any(const struct streams *all)
{
	return !TAILQ_EMPTY(&all->open);
}
