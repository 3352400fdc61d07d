#include "http/user_route.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "db/migrations.h"
#include "db/sandbox.h"
#include "http/hrana.h"
#include "state/slot.h"

#include <inttypes.h>

enum {
	BUSY_STEP_MS = 20, /* files that are being replaced: look again */
	FILES_WAIT_MS = 12 * 1000, /* below nginx's fastcgi_read_timeout */
	LOCK_PATIENCE_MS = 100, /* asleep, for what is gone in milliseconds */
	LOCK_RETRY_PATIENCE_MS = 5, /* the same of a request that has waited before */
	STREAM_STEP_MS = 5, /* a stream that waits for another worker's */
	HOPS_MAX = 8, /* for the lock, from worker to worker */
};

bool attempt_ended(const struct exchange *x)
{
	struct slot_view v;

	slot_read(x->slot, &v);
	return v.ended != x->wait.seen;
}

static bool attempt_ended_or_files_came(const struct exchange *x)
{
	struct slot_view v;

	slot_read(x->slot, &v);
	return v.ended != x->wait.seen || v.files == FILES_PRESENT;
}

static bool never(const struct exchange *x)
{
	(void)x;
	return false;
}

static enum served unavailable(struct exchange *x, const char *code, int64_t wait_ms,
			       const char *what)
{
	exchange_error(x, HTTP_UNAVAILABLE, code, "%s", what);
	x->response.retry_after_s = (int)(wait_ms / 1000) + 1;
	return SERVE_DONE;
}

/* Nothing of this user is here, and only the store can say whether that means a new user. */
static enum served wait_for_files(struct service *s, struct exchange *x)
{
	int64_t patience_ms = 0;
	enum object_error error = sync_pull_error(x->slot, &patience_ms);
	struct slot_view v;

	if (error == ERROR_DAMAGED)
		return unavailable(x, "STORE_DAMAGED", patience_ms,
				   "the stored copy of this database cannot be read");
	if (error == ERROR_DISK)
		return unavailable(x, "DISK_FAILED", patience_ms,
				   "this database cannot be put on the server's disk");
	if (error != ERROR_NONE)
		return unavailable(x, "STORE_UNREACHABLE", patience_ms,
				   "this database is not here yet and the store does not answer");
	int64_t until = x->arrived_ms + FILES_WAIT_MS;
	if (!s->may_park || clock_mono_ms() >= until)
		return unavailable(x, "BUSY", 0, "this database is being fetched");
	slot_read(x->slot, &v);
	x->wait.seen = v.ended;
	x->wait.ready = attempt_ended_or_files_came;
	x->wait.until_ms = until;
	sync_pull(s->sync, x->slot);
	return SERVE_PARK;
}

enum served user_route_wait_a_moment(struct service *s, struct exchange *x)
{
	int64_t now = clock_mono_ms();

	if (!s->may_park || now >= x->arrived_ms + FILES_WAIT_MS)
		return unavailable(x, "BUSY", 0, "this database is being replaced");
	x->wait.ready = never;
	x->wait.until_ms = now + BUSY_STEP_MS;
	return SERVE_PARK;
}

struct job {
	struct service *s;
	struct exchange *x;
	struct hrana *hrana;
	struct userdb *db;
	struct stream *stream; /* NULL: a new one */
	bool may_stop; /* see HRANA_GAVE_WAY */
	uint64_t commits_before;
};

static const struct hrana_store *stored(const struct job *j)
{
	return j->stream != NULL ? &j->stream->store : NULL;
}

static bool would_write(const struct job *j)
{
	return hrana_would_write(j->hrana, j->x, j->db, stored(j));
}

static enum sandbox_lock lock_of(const struct job *j)
{
	return sandbox_lock(userdb_sandbox(j->db));
}

/*
 * A flagged user's write starts a retry and gives it a moment, so that the
 * user hears of the store's return with the first answer after it.  Not when
 * an attempt has been silent for longer than that already, and not while it
 * holds a lock that others may wait for.
 */
static bool waits_for_retry(const struct job *j)
{
	struct service *s = j->s;
	struct exchange *x = j->x;
	struct slot_view v;

	slot_read(x->slot, &v);
	if (sync_status(&v) != SYNC_FAILED || x->wait.retried || lock_of(j) != SANDBOX_UNLOCKED ||
	    !would_write(j))
		return false;
	x->wait.retried = true;
	if (v.pushing && clock_mono_ms() - v.began_ms > s->retry_wait_ms)
		return false;
	if (!sync_retry(s->sync, x->slot, 0) || !s->may_park)
		return false;
	x->wait.seen = v.ended;
	x->wait.ready = attempt_ended;
	x->wait.until_ms = clock_mono_ms() + s->retry_wait_ms;
	return true;
}

/* What an open transaction has written counts, too: its COMMIT must not come through. */
static bool is_refused_for_conflict(const struct job *j)
{
	struct slot_view v;

	slot_read(j->x->slot, &v);
	if (sync_status(&v) != SYNC_CONFLICT || (lock_of(j) != SANDBOX_WRITES && !would_write(j)))
		return false;
	exchange_error(j->x, HTTP_CONFLICT, "SYNC_CONFLICT",
		       "another host has written to this database; writing is off until that is "
		       "resolved");
	return true;
}

/* It has waited for the lock as long as it may: now SQLite has the say. */
static bool is_late(const struct job *j)
{
	return clock_mono_ms() - j->x->arrived_ms >= j->s->lock_wait_ms;
}

static uint64_t mark_of(const struct service *s)
{
	return table_worker_mark(s->table, s->worker);
}

/*
 * The mark of the worker that has an open write transaction of this user or a
 * line for it; or 0.  One that nothing can be handed to is a holder like any.
 */
static uint64_t living_writer(const struct service *s, const struct exchange *x)
{
	uint64_t writer = slot_writer(x->slot);

	if (!table_mark_lives(s->table, writer) ||
	    !table_worker_is_in(s->table, table_mark_worker(writer), s->batons->run))
		return 0;
	return writer != mark_of(s) || turn_is_busy(s->turns, &x->user) ? writer : 0;
}

/* For userdb_set_patience(): an idle stream goes when its client likes, so nobody sleeps for it. */
static bool stream_has_lock(void *job)
{
	const struct job *j = job;

	return living_writer(j->s, j->x) != 0;
}

/* The lock is somebody else's, and nothing of the request has happened. */
static enum served wait_for_lock(const struct job *j)
{
	uint64_t writer = living_writer(j->s, j->x);
	struct wait *wait = &j->x->wait;

	if (writer == mark_of(j->s))
		return SERVE_IN_TURN;
	if (writer != 0 && j->stream == NULL && wait->hops < HOPS_MAX) {
		wait->worker = table_mark_worker(writer);
		return SERVE_HAND_OVER;
	}
	if (!j->s->may_park)
		return unavailable(j->x, "BUSY", 0, "too many requests wait");
	wait->ready = never;
	wait->until_ms = clock_mono_ms() + (j->stream != NULL ? STREAM_STEP_MS : BUSY_STEP_MS);
	return SERVE_PARK;
}

/*
 * Only a request that may write and has nothing open yet gets in line: one that
 * reads disturbs nobody, and one in a transaction would make others wait for
 * whom it waits itself.  Whose turn it is lets a checkpoint go first, or the WAL
 * would grow as long as there is a line.
 */
static bool has_to_wait_its_turn(const struct job *j)
{
	uint64_t writer = living_writer(j->s, j->x);
	bool first = writer == mark_of(j->s) && j->x->wait.its_turn &&
		     !slot_wants_lock(j->x->slot, clock_mono_ms());

	if (writer == 0 || first || is_late(j))
		return false;
	return lock_of(j) == SANDBOX_UNLOCKED && would_write(j);
}

bool is_refused_in_vain(struct exchange *x)
{
	if (!x->wait.in_vain)
		return false;
	exchange_error(x, HTTP_TOO_MANY, "TOO_MANY_REQUESTS",
		       "this user has used more than its share and has to wait");
	x->response.retry_after_s = 1;
	return true;
}

static void set_patience(struct job *j)
{
	int64_t wait_ms = LOCK_PATIENCE_MS;

	if (is_late(j))
		wait_ms = 0;
	else if (j->x->wait.rounds > 0)
		wait_ms = LOCK_RETRY_PATIENCE_MS;
	userdb_set_patience(j->db, wait_ms, stream_has_lock, j);
}

static void forget_patience(struct job *j)
{
	userdb_set_patience(j->db, LOCK_PATIENCE_MS, NULL, NULL);
}

static void count_commit(const struct job *j)
{
	sync_commit(j->s->sync, j->x->slot, userdb_wal_bytes(j->db));
}

static enum served refuse_unmigrated(const struct job *j, const struct migrations_outcome *m)
{
	log_error("migration.failed", "user=%s version=%u number=%u code=%s error=\"%s\"",
		  j->x->user.text, m->from, m->failed, m->error.code, m->error.message);
	exchange_error(j->x, HTTP_INTERNAL_ERROR, "MIGRATION_FAILED",
		       "migration %u failed and was undone: the database is at version %u",
		       m->failed, m->from);
	return SERVE_DONE;
}

/*
 * Whatever a request is, it meets the schema that its application was made for, even
 * if another worker has just imported a database that has an older one.
 * Not in a conflict: what is written then may have to be given up.
 */
static bool is_migrated(struct job *j, enum served *served)
{
	const struct migrations *all = j->s->migrations;
	struct migrations_outcome outcome;
	struct slot_view v;

	slot_read(j->x->slot, &v);
	if (all == NULL || v.conflict)
		return true;
	set_patience(j);
	enum migrations_result result = migrations_run(all, j->db, &outcome);
	forget_patience(j);
	switch (result) {
	case MIGRATIONS_DONE:
		log_info("migration.done", "user=%s from=%u to=%u", j->x->user.text, outcome.from,
			 outcome.to);
		count_commit(j);
		sync_look(j->s->sync, j->x->slot);
		break;
	case MIGRATIONS_CURRENT:
		break;
	case MIGRATIONS_BUSY:
		*served = is_late(j) ? unavailable(j->x, "BUSY", 0, "the database is locked")
				     : wait_for_lock(j);
		return false;
	case MIGRATIONS_FAILED:
		*served = refuse_unmigrated(j, &outcome);
		return false;
	}
	return true;
}

/* For sandbox_set_look().  What has had an effect, or its turn, goes on. */
static bool gives_way(void *job)
{
	const struct job *j = job;

	return share_look(j->s->share) && j->may_stop && j->s->may_crowd && !j->x->wait.its_turn &&
	       userdb_commits(j->db) == j->commits_before &&
	       !sandbox_tainted(userdb_sandbox(j->db));
}

static enum hrana_left run(struct job *j, struct hrana_store *store)
{
	const struct hrana_place place = {
		.db = j->db,
		.store = store,
		.spill_dir = j->s->data,
		.may_block = !is_late(j) && !sandbox_in_transaction(userdb_sandbox(j->db)),
	};

	j->may_stop = place.may_block;
	j->commits_before = userdb_commits(j->db);
	set_patience(j);
	sandbox_set_look(userdb_sandbox(j->db), gives_way, j);
	FAULT("request.before_commit");
	enum hrana_left left = hrana_run(j->hrana, j->x, &place);
	sandbox_set_look(userdb_sandbox(j->db), NULL, NULL);
	forget_patience(j);
	if (userdb_commits(j->db) == j->commits_before)
		return left;
	FAULT("request.after_commit");
	count_commit(j);
	j->x->committed = true;
	return left;
}

static void give_baton(const struct job *j)
{
	struct baton b = { .bound = j->stream != NULL };
	char text[BATON_LEN + 1];

	if (b.bound) {
		b.worker = (uint16_t)j->s->worker;
		b.epoch = table_mark_epoch(mark_of(j->s));
		b.stream = j->stream->id;
		b.request = j->stream->request;
	}
	baton_write(j->s->batons, &j->x->user, &b, text);
	hrana_put_baton(j->hrana, j->x, text);
}

/* A worker that is being replaced opens no new streams, so that it comes to an end. */
static bool is_for_another(const struct job *j)
{
	int other = j->s->leaves ? table_worker_staying(j->s->table, j->s->batons->run) : -1;

	if (other < 0 || j->x->wait.hops >= HOPS_MAX)
		return false;
	j->x->wait.worker = (unsigned)other;
	return true;
}

static void refuse_stream(const struct job *j)
{
	if (j->s->ends) {
		unavailable(j->x, "BUSY", 0, "the server is stopping");
		return;
	}
	exchange_error(j->x, HTTP_TOO_MANY, "TOO_MANY_STREAMS",
		       "too many streams of this user are open; the transaction was rolled back");
	j->x->response.retry_after_s = 1;
}

/* The account is closed, or has become the stream's. */
static enum served run_new(struct job *j, struct account *account)
{
	struct hrana_store store = { .n = 0 };
	enum served served = SERVE_DONE;

	switch (run(j, &store)) {
	case HRANA_CLOSED:
		break;
	case HRANA_STATELESS:
		give_baton(j);
		break;
	case HRANA_STATEFUL:
		if (!j->s->ends)
			j->stream = stream_open(j->s->streams, account, &store, clock_mono_ms());
		if (j->stream != NULL) {
			give_baton(j);
			return served;
		}
		sandbox_end_request(userdb_sandbox(j->db));
		refuse_stream(j);
		break;
	case HRANA_BLOCKED:
		served = wait_for_lock(j);
		break;
	case HRANA_GAVE_WAY:
		served = SERVE_IN_CROWD;
		break;
	}
	account_close(j->s->accounts, account, userdb_is_clean(j->db));
	return served;
}

static enum served open_account(struct service *s, struct exchange *x, struct account **out)
{
	switch (account_open(s->accounts, &x->user, out)) {
	case ACCOUNT_OK:
		break;
	case ACCOUNT_NO_FILES:
		return wait_for_files(s, x);
	case ACCOUNT_BUSY:
		return user_route_wait_a_moment(s, x);
	case ACCOUNT_FULL:
		return unavailable(x, "BUSY", 0, "too many users are active");
	case ACCOUNT_FAILED:
		exchange_error(x, HTTP_INTERNAL_ERROR, "INTERNAL", "the database cannot be opened");
		return SERVE_DONE;
	}
	if ((*out)->slot == x->slot)
		return SERVE_DONE;
	/* It changed hands since the server looked: let it look again. */
	account_close(s->accounts, *out, true);
	*out = NULL;
	return user_route_wait_a_moment(s, x);
}

bool user_route_open(struct service *s, struct exchange *x, struct account **out,
		     enum served *served)
{
	*out = NULL;
	*served = open_account(s, x, out);
	return *out != NULL;
}

static enum served on_new_stream(struct service *s, struct exchange *x, struct hrana *h)
{
	struct job j = { .s = s, .x = x, .hrana = h };
	enum served served = SERVE_DONE;
	struct account *account;

	if (!hrana_check(h, x, NULL) || is_refused_in_vain(x))
		return SERVE_DONE;
	if (!user_route_open(s, x, &account, &served))
		return served;
	j.db = account->db;
	if (!is_migrated(&j, &served))
		;
	else if (waits_for_retry(&j))
		served = SERVE_PARK;
	else if (is_refused_for_conflict(&j))
		served = SERVE_DONE;
	else if (has_to_wait_its_turn(&j))
		served = wait_for_lock(&j);
	else if (is_for_another(&j))
		served = SERVE_HAND_OVER;
	else
		return run_new(&j, account);
	account_close(s->accounts, account, userdb_is_clean(account->db));
	return served;
}

static enum served end_stream(const struct job *j)
{
	stream_close(j->s->streams, j->stream);
	return SERVE_DONE;
}

static enum served on_open_stream(struct service *s, struct exchange *x, struct hrana *h,
				  struct stream *stream)
{
	struct job j = {
		.s = s,
		.x = x,
		.hrana = h,
		.stream = stream,
		.db = stream->account->db,
	};

	x->wait.in_stream = true;
	if (!hrana_check(h, x, &stream->store))
		return end_stream(&j);
	if (waits_for_retry(&j))
		return SERVE_PARK;
	if (is_refused_for_conflict(&j))
		return end_stream(&j);
	if (has_to_wait_its_turn(&j))
		return wait_for_lock(&j);
	switch (run(&j, &stream->store)) {
	case HRANA_CLOSED:
		return end_stream(&j);
	case HRANA_STATELESS:
		end_stream(&j);
		j.stream = NULL;
		break;
	case HRANA_STATEFUL:
		stream_keep(s->streams, stream, clock_mono_ms());
		break;
	case HRANA_BLOCKED:
		return wait_for_lock(&j);
	case HRANA_GAVE_WAY:
		return SERVE_IN_CROWD;
	}
	give_baton(&j);
	return SERVE_DONE;
}

static enum served refuse_baton(struct exchange *x, const char *code, const char *message)
{
	exchange_error(x, HTTP_BAD_REQUEST, code, "%s", message);
	return SERVE_DONE;
}

static enum served refuse_expired(struct exchange *x)
{
	return refuse_baton(x, "STREAM_EXPIRED", "The stream has expired due to inactivity");
}

static enum served go_on(struct service *s, struct exchange *x, struct hrana *h,
			 const struct baton *b)
{
	uint64_t owner = table_mark(b->worker, b->epoch);

	if (!table_mark_lives(s->table, owner))
		return refuse_expired(x);
	if (owner != mark_of(s)) {
		x->wait.worker = b->worker;
		return SERVE_HAND_OVER;
	}
	struct stream *stream = stream_find(s->streams, &x->user, b->stream);
	if (stream == NULL)
		return refuse_expired(x);
	if (stream->request != b->request)
		return refuse_baton(x, "BATON_REUSED", "the baton was used before");
	return on_open_stream(s, x, h, stream);
}

static enum served find_stream(struct service *s, struct exchange *x, struct hrana *h)
{
	struct baton b = { .bound = false };
	size_t len = 0;
	const char *text = hrana_baton(h, &len);

	if (text == NULL)
		return on_new_stream(s, x, h);
	switch (baton_read(s->batons, &x->user, text, len, &b)) {
	case BATON_OK:
		return b.bound ? go_on(s, x, h, &b) : on_new_stream(s, x, h);
	case BATON_EXPIRED:
		return refuse_expired(x);
	case BATON_FORGED:
		break;
	}
	return refuse_baton(x, "BATON_INVALID", "the baton is not one of yours");
}

static enum served serve(struct service *s, struct exchange *x, enum hrana_endpoint endpoint)
{
	struct hrana *h = hrana_new(endpoint, x);

	if (h == NULL)
		return SERVE_DONE;
	enum served served = find_stream(s, x, h);
	hrana_free(h);
	return served;
}

enum served serve_pipeline(struct service *s, struct exchange *x)
{
	return serve(s, x, HRANA_PIPELINE);
}

enum served serve_cursor(struct service *s, struct exchange *x)
{
	return serve(s, x, HRANA_CURSOR);
}

enum served serve_execute(struct service *s, struct exchange *x)
{
	return serve(s, x, HRANA_EXECUTE);
}

enum served serve_batch(struct service *s, struct exchange *x)
{
	return serve(s, x, HRANA_BATCH);
}
