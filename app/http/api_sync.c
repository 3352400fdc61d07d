/*
 * GET /v1/sync: how far the store is behind, and why.  Both look at the disk,
 * too, where somebody with another tool may have written.
 * POST /v1/sync: push now; success is said only once everything that was
 * committed when the request came is in the store.
 * POST /v1/sync/resolve: {"keep":"remote"} or {"keep":"local"} ends a conflict.
 */
#include "base/clock.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "http/user_route.h"
#include "state/slot.h"
#include "store/object.h"
#include "sync/kept.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Below nginx's fastcgi_read_timeout, above the time in which a silent store is given up. */
enum {
	SYNC_WAIT_MS = 10 * 1000,
	KEPT_MAX = 100,
	GATHER_MS = 100, /* five impatient clicks are one attempt */
};

static void put_time(struct json_writer *w, const char *key, int64_t wall_ms)
{
	char text[32];
	struct tm utc;
	time_t seconds = (time_t)(wall_ms / 1000);

	json_key(w, key);
	if (wall_ms == 0) {
		json_put_null(w);
		return;
	}
	gmtime_r(&seconds, &utc);
	size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
	(void)snprintf(text + len, sizeof text - len, ".%03dZ", (int)(wall_ms % 1000));
	json_put_string(w, text);
}

static void put_next_attempt(struct json_writer *w, const struct slot_view *v)
{
	int64_t left = v->next_attempt_ms - clock_mono_ms();

	json_key(w, "next_attempt_ms");
	if (sync_status(v) != SYNC_FAILED)
		json_put_null(w);
	else
		json_put_int(w, left > 0 && !v->pushing ? left : 0);
}

static void put_kept(struct json_writer *w, const char *data, const struct user_id *user)
{
	struct kept kept[KEPT_MAX];
	size_t count = kept_list(data, user, kept, KEPT_MAX);

	json_key(w, "kept");
	json_open_array(w);
	for (size_t i = 0; i < count; i++) {
		json_open_object(w);
		json_key(w, "name");
		json_put_string(w, kept[i].name);
		json_key(w, "bytes");
		json_put_int(w, (int64_t)kept[i].bytes);
		json_close_object(w);
	}
	json_close_array(w);
}

static void put_status(const struct service *s, struct exchange *x)
{
	struct json_writer *w;
	struct slot_view v;

	slot_read(x->slot, &v);
	buf_clear(&x->response.body);
	w = json_writer_new(&x->response.body);
	json_open_object(w);
	json_key(w, "status");
	json_put_string(w, sync_status_name[sync_status(&v)]);
	json_key(w, "pending_commits");
	json_put_int(w, (int64_t)(v.committed - v.stored));
	json_key(w, "local_commits");
	json_put_int(w, (int64_t)v.committed);
	json_key(w, "remote_commits");
	json_put_int(w, (int64_t)v.stored);
	json_key(w, "remote_txid");
	json_put_int(w, (int64_t)v.txid);
	json_key(w, "last_error");
	json_put_string(w, v.error ? object_error_name[v.error] : NULL);
	json_key(w, "failed_attempts");
	json_put_int(w, v.failures);
	put_time(w, "failed_since", v.failed_since_ms);
	put_next_attempt(w, &v);
	put_time(w, "last_success", v.last_success_ms);
	json_key(w, "last_push_ms");
	if (v.last_success_ms == 0)
		json_put_null(w);
	else
		json_put_int(w, v.last_took_ms);
	put_kept(w, s->data, &x->user);
	json_close_object(w);
	json_writer_free(w);
}

static void look_at_disk(struct service *s, struct exchange *x)
{
	if (account_was_written(s->accounts, &x->user, x->slot))
		sync_look(s->sync, x->slot);
}

enum served serve_sync_get(struct service *s, struct exchange *x)
{
	look_at_disk(s, x);
	put_status(s, x);
	return SERVE_DONE;
}

static enum served refuse(struct exchange *x, enum http_status status, const char *code,
			  const char *what)
{
	exchange_error(x, status, code, "%s", what);
	if (status == HTTP_UNAVAILABLE)
		x->response.retry_after_s = 1;
	return SERVE_DONE;
}

static enum served failed(struct exchange *x, const struct slot_view *v)
{
	exchange_error(x, HTTP_UNAVAILABLE, "SYNC_FAILED",
		       "%llu commits are not in the store yet (%s); they are safe here and will be "
		       "sent as soon as it answers",
		       (unsigned long long)(v->committed - v->stored), object_error_name[v->error]);
	x->response.retry_after_s = 1;
	return SERVE_DONE;
}

/* Whoever has waited finds no room again only when the worker ends. */
static bool wait_is_over(const struct service *s, const struct exchange *x)
{
	return clock_mono_ms() >= x->arrived_ms + SYNC_WAIT_MS ||
	       (x->wait.rounds > 0 && !s->may_park);
}

/* wait.goal is what was committed when the request came; it is set with the first call. */
enum served serve_sync_post(struct service *s, struct exchange *x)
{
	struct slot_view v;

	if (x->wait.rounds == 0)
		look_at_disk(s, x);
	slot_read(x->slot, &v);
	if (x->wait.rounds == 0)
		x->wait.goal = v.committed;
	if (v.conflict)
		return refuse(x, HTTP_CONFLICT, "SYNC_CONFLICT",
			      "another host has written to this database");
	if (v.stored >= x->wait.goal && v.failed_since_ms == 0) {
		put_status(s, x);
		return SERVE_DONE;
	}
	/* An attempt ended meanwhile and this is what came of it. */
	if (x->wait.rounds > 0 && v.failed_since_ms != 0 && v.ended != x->wait.seen)
		return failed(x, &v);
	if (wait_is_over(s, x))
		return failed(x, &v);
	if (!s->may_park)
		return refuse(x, HTTP_UNAVAILABLE, "BUSY", "too many requests are waiting");
	if (!sync_retry(s->sync, x->slot, GATHER_MS))
		return failed(x, &v);
	x->wait.seen = v.ended;
	x->wait.ready = attempt_ended;
	x->wait.until_ms = x->arrived_ms + SYNC_WAIT_MS;
	return SERVE_PARK;
}

enum served serve_kept(struct service *s, struct exchange *x)
{
	const char *slash = strrchr(x->request.path, '/');

	if (is_refused_in_vain(x))
		return SERVE_DONE;
	x->response.file = kept_open(s->data, &x->user, slash + 1);
	if (x->response.file == NULL)
		return refuse(x, HTTP_NOT_FOUND, "NOT_FOUND", "no such database was kept");
	x->response.content_type = "application/vnd.sqlite3";
	return SERVE_DONE;
}

static enum slot_keep read_choice(const struct exchange *x)
{
	static const struct json_limits limits = { 1024, 4, 16 };
	const struct buf *body = &x->request.body;
	enum slot_keep keep = KEEP_UNDECIDED;
	char why[128];

	struct json_doc *doc = json_parse(body->data, body->len, &limits, why, sizeof why);
	if (doc == NULL)
		return KEEP_UNDECIDED;
	const struct json *choice = json_get(json_root(doc), "keep");
	if (json_text_is(choice, "remote"))
		keep = KEEP_REMOTE;
	else if (json_text_is(choice, "local"))
		keep = KEEP_LOCAL;
	json_free(doc);
	return keep;
}

enum served serve_sync_resolve(struct service *s, struct exchange *x)
{
	enum slot_keep keep = read_choice(x);
	struct slot_view v;

	slot_read(x->slot, &v);
	if (x->read_only)
		return refuse(x, HTTP_FORBIDDEN, "READ_ONLY", "the token allows reading only");
	if (keep == KEEP_UNDECIDED)
		return refuse(x, HTTP_BAD_REQUEST, "MALFORMED_REQUEST",
			      "the body is {\"keep\":\"remote\"} or {\"keep\":\"local\"}");
	if (!v.conflict && x->wait.rounds == 0)
		return refuse(x, HTTP_CONFLICT, "NO_CONFLICT", "there is nothing to resolve");
	if (!v.conflict && v.ended != x->wait.seen) {
		put_status(s, x);
		return SERVE_DONE;
	}
	if (x->wait.rounds > 0 && v.ended != x->wait.seen)
		return failed(x, &v);
	if (wait_is_over(s, x))
		return failed(x, &v);
	if (!s->may_park)
		return refuse(x, HTTP_UNAVAILABLE, "BUSY", "too many requests are waiting");
	x->wait.seen = v.ended;
	x->wait.ready = attempt_ended;
	x->wait.until_ms = x->arrived_ms + SYNC_WAIT_MS;
	sync_resolve(s->sync, x->slot, keep);
	return SERVE_PARK;
}
