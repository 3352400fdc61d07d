#include "http/user_route.h"

#include "base/clock.h"
#include "base/fault.h"
#include "http/hrana.h"
#include "state/slot.h"

#include <inttypes.h>

enum {
	BUSY_STEP_MS = 20, /* files that are being replaced: look again */
	FILES_WAIT_MS = 12 * 1000, /* below nginx's fastcgi_read_timeout */
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

static enum served wait_a_moment(struct service *s, struct exchange *x)
{
	int64_t now = clock_mono_ms();

	if (!s->may_park || now >= x->arrived_ms + FILES_WAIT_MS)
		return unavailable(x, "BUSY", 0, "this database is being replaced");
	x->wait.ready = never;
	x->wait.until_ms = now + BUSY_STEP_MS;
	return SERVE_PARK;
}

/*
 * A flagged user's write starts a retry and gives it a moment, so that the
 * user hears of the store's return with the first answer after it.  Not when
 * an attempt has been silent for longer than that already.
 */
static bool waits_for_retry(struct service *s, struct exchange *x, struct userdb *db)
{
	struct slot_view v;

	slot_read(x->slot, &v);
	if (sync_status(&v) != SYNC_FAILED || x->wait.retried || !hrana_would_write(x, db))
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

static bool is_refused_for_conflict(struct exchange *x, struct userdb *db)
{
	struct slot_view v;

	slot_read(x->slot, &v);
	if (sync_status(&v) != SYNC_CONFLICT || !hrana_would_write(x, db))
		return false;
	exchange_error(x, HTTP_CONFLICT, "SYNC_CONFLICT",
		       "another host has written to this database; writing is off until that is "
		       "resolved");
	return true;
}

typedef void work_on_database(struct exchange *x, struct userdb *db);

static void run(struct service *s, struct exchange *x, struct userdb *db, work_on_database *work)
{
	uint64_t before = userdb_commits(db);

	FAULT("request.before_commit");
	work(x, db);
	if (userdb_commits(db) == before)
		return;
	FAULT("request.after_commit");
	sync_commit(s->sync, x->slot, userdb_wal_bytes(db));
	x->committed = true;
}

static enum served with_database(struct service *s, struct exchange *x, work_on_database *work)
{
	enum served served = SERVE_DONE;
	struct account *account;

	switch (account_open(s->accounts, &x->user, &account)) {
	case ACCOUNT_OK:
		break;
	case ACCOUNT_NO_FILES:
		return wait_for_files(s, x);
	case ACCOUNT_BUSY:
		return wait_a_moment(s, x);
	case ACCOUNT_FULL:
		return unavailable(x, "BUSY", 0, "too many users are active");
	case ACCOUNT_FAILED:
		exchange_error(x, HTTP_INTERNAL_ERROR, "INTERNAL", "the database cannot be opened");
		return SERVE_DONE;
	}
	if (account->slot != x->slot) {
		/* It changed hands since the server looked: let it look again. */
		account_close(s->accounts, account, true);
		return wait_a_moment(s, x);
	}
	if (waits_for_retry(s, x, account->db))
		served = SERVE_PARK;
	else if (!is_refused_for_conflict(x, account->db))
		run(s, x, account->db, work);
	account_close(s->accounts, account, userdb_is_clean(account->db));
	return served;
}

enum served serve_pipeline(struct service *s, struct exchange *x)
{
	return with_database(s, x, hrana_pipeline);
}

enum served serve_execute(struct service *s, struct exchange *x)
{
	return with_database(s, x, hrana_execute);
}

enum served serve_batch(struct service *s, struct exchange *x)
{
	return with_database(s, x, hrana_batch);
}
