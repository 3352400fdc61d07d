/*
 * One thread, one epoll set, and a list of requests that wait.
 *
 * A request is served from its first byte to its last by one call of serve(),
 * or its handler says that it has to wait for the sync engine.  Then it is
 * parked: nothing of it has happened, its connection stays open, and whenever
 * the thread comes back from waiting (every PARKED_LOOK_MS at the latest) the
 * parked ones are looked at and those whose condition holds are served anew.
 * Those who wait for a user's open transaction are in line (http/turn.h)
 * instead, and those whose user has used more than its share are in the crowd
 * (http/share.h), mostly unread: the body stays with nginx.  One of each is served
 * between two other requests.
 *
 * A client that prefers to wait (http/prefer.h) gets the answer to its write, which
 * was served as any other, only when the store has it.
 *
 * Whoever has to wait before it is served is counted in the table, and refused
 * when too many of the same user wait already.
 *
 * The order at the end of a request matters.  X-Sync-Status is read at the
 * moment of writing; the sync engine is told of a commit when the answer is
 * out; and until then the table says whose request this worker runs, so that
 * its death in between leaves that user marked.
 *
 * What nginx has to pass: REQUEST_METHOD, SCRIPT_NAME (the path), QUERY_STRING,
 * CONTENT_LENGTH, the client's headers as HTTP_...; REMOTE_USER if it
 * authenticates; REQUEST_ID if its log and this one are to be compared.
 */
#include "http/server.h"

#include "http/auth.h"
#include "http/exchange.h"
#include "http/fcgi.h"
#include "http/prefer.h"
#include "http/route.h"
#include "http/user_route.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "state/slot.h"
#include "sync/account.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

enum {
	PARKED_LOOK_MS = 5,
	CROWD_LOOK_MS = 1,
	CROWD_WAIT_MS = 5 * 1000,
	STREAMS_LOOK_MS = 50, /* for those that have expired */
	TURN_RETRY_MS = 20, /* somebody who is no stream has the lock */
	BUSY_RETRY_S = 1,
	REQUEST_ID_LEN = PARCEL_ID_MAX, /* what the log keeps of one */
	IN_TURN_PER_USER = 256,
	IN_TURN = 512,
	IN_TURN_BYTES = 64 << 20,
	IN_CROWD = 256,
	LARGE_BODY = 128 << 10, /* takes milliseconds to parse */
	WAITING_BYTES = 64 << 20, /* of the parked and the crowd, each */
};

/* A request on its way. */
struct call {
	struct exchange x;
	struct fcgi_request *fcgi;
	struct route route;
	char id[REQUEST_ID_LEN + 1];
	struct parcel *parcel; /* what the request's texts are part of; NULL: of fcgi */
	TAILQ_ENTRY(call) link; /* while parked, in the crowd or held */
	bool unread; /* the body is still nginx's */
	bool unknown; /* the response says that nobody knows who asks */
	int waits_at; /* its place in the table; -1: it has not waited yet */
	struct turn_waiter in_turn;
};

TAILQ_HEAD(calls, call);

struct waiting {
	struct calls calls; /* in the order of their coming */
	unsigned n;
	size_t bytes;
};

struct server {
	struct fcgi *fcgi;
	struct table *table;
	unsigned worker;
	struct handover *handover;
	enum auth_mode auth;
	struct jwt_rules jwt; /* AUTH_JWT */
	int64_t max_body_bytes;
	int64_t max_file_bytes;
	struct service service;
	struct waiting parked;
	struct waiting crowd;
	struct waiting held; /* with their answers */
	unsigned max_parked;
	unsigned max_crowd;
	unsigned max_requests;
	int64_t looked_ms; /* when the parked ones were last looked at */
};

static struct streams *make_streams(const struct server *s, const struct server_config *c)
{
	const struct streams_config config = {
		.table = s->table,
		.worker = s->worker,
		.accounts = s->service.accounts,
		.turns = s->service.turns,
		.data = c->data,
		.max_wal_bytes = c->max_wal_bytes,
		.per_user = c->max_streams,
		.idle_ms = c->stream_idle_ms,
		.max_ms = c->stream_max_ms,
	};

	return streams_new(&config);
}

static struct turns *make_turns(void)
{
	const struct turn_limits limits = {
		.per_user = IN_TURN_PER_USER,
		.all = IN_TURN,
		.bytes = IN_TURN_BYTES,
	};

	return turns_new(&limits);
}

static struct share *make_share(const struct server *s, const struct server_config *c)
{
	const struct share_config config = {
		.table = s->table,
		.worker = s->worker,
		.max_greedy = c->max_greedy,
		.may_yield = c->may_yield,
	};

	return share_new(&config);
}

struct server *server_new(struct table *t, struct sync *sync, const struct server_place *place,
			  const struct server_config *c)
{
	const struct accounts_config files = {
		.data = c->data,
		.role = USERDB_CLIENT,
		.limits = c->limits,
		.max_open = c->max_open,
	};
	struct server *s = alloc_zeroed(1, sizeof *s);

	s->table = t;
	s->worker = place->worker;
	s->handover = place->handover;
	s->auth = c->auth;
	s->jwt = c->jwt;
	s->max_body_bytes = c->max_body_bytes;
	s->max_file_bytes = c->max_file_bytes;
	s->max_parked = c->max_parked;
	s->max_crowd = IN_CROWD;
	s->max_requests = c->max_requests;
	s->service.table = t;
	s->service.worker = place->worker;
	s->service.sync = sync;
	s->service.batons = place->batons;
	s->service.data = c->data;
	s->service.migrations = c->migrations;
	s->service.retry_wait_ms = c->retry_wait_ms;
	s->service.lock_wait_ms = c->limits.lock_wait_ms;
	TAILQ_INIT(&s->parked.calls);
	TAILQ_INIT(&s->crowd.calls);
	TAILQ_INIT(&s->held.calls);
	s->service.accounts = accounts_new(t, &files);
	if (s->service.accounts == NULL)
		goto fail;
	s->service.turns = make_turns();
	s->service.share = make_share(s, c);
	s->service.streams = make_streams(s, c);
	s->fcgi = fcgi_new(place->listener);
	if (s->fcgi == NULL || fcgi_watch(s->fcgi, handover_fd(s->handover, s->worker)) < 0)
		goto fail;
	table_worker_joins(t, s->worker, place->batons->run, place->socket);
	return s;
fail:
	server_free(s);
	return NULL;
}

void server_free(struct server *s)
{
	if (s == NULL)
		return;
	assert(s->parked.n == 0 && s->crowd.n == 0 && s->held.n == 0);
	fcgi_free(s->fcgi);
	streams_free(s->service.streams);
	share_free(s->service.share);
	turns_free(s->service.turns);
	accounts_free(s->service.accounts);
	free(s);
}

/* nginx's id, as far as it is one, or else an own: never what a client could choose. */
static void choose_id(const char *given, char id[static REQUEST_ID_LEN + 1])
{
	uint64_t random = 0;

	if (given != NULL) {
		(void)snprintf(id, REQUEST_ID_LEN + 1, "%s", given);
		if (strspn(id, "0123456789abcdefABCDEF") == strlen(id))
			return;
	}
	if (getrandom(&random, sizeof random, 0) < 0)
		random = (uint64_t)clock_wall_ms();
	(void)snprintf(id, REQUEST_ID_LEN + 1, "%012" PRIx64, random >> 16);
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

/*
 * HTTP_REMOTE_USER, a header that any client can send, is another parameter
 * than REMOTE_USER.
 */
static void read_request(const struct fcgi_request *r, struct request *out)
{
	out->method = or_empty(fcgi_param(r, "REQUEST_METHOD"));
	out->path = or_empty(fcgi_param(r, "SCRIPT_NAME"));
	out->query = or_empty(fcgi_param(r, "QUERY_STRING"));
	out->authorization = fcgi_param(r, "HTTP_AUTHORIZATION");
	out->remote_user = fcgi_param(r, "REMOTE_USER");
	out->prefer = fcgi_param(r, "HTTP_PREFER");
	out->origin = fcgi_param(r, "HTTP_ORIGIN");
}

static void reset_response(struct response *r)
{
	r->status = HTTP_OK;
	r->content_type = "application/json";
	r->retry_after_s = 0;
	r->challenge = NULL;
	buf_clear(&r->body);
	spill_free(r->file);
	r->file = NULL;
	r->unmade = 0;
	r->file_name[0] = '\0';
}

static struct call *call_new(struct fcgi_request *r)
{
	struct call *c = alloc_zeroed(1, sizeof *c);

	c->fcgi = r;
	c->waits_at = -1;
	c->x.arrived_us = clock_mono_us();
	c->x.arrived_ms = c->x.arrived_us / 1000;
	read_request(r, &c->x.request);
	c->route = route_find(c->x.request.method, c->x.request.path);
	choose_id(fcgi_param(r, "REQUEST_ID"), c->id);
	reset_response(&c->x.response);
	return c;
}

/* As another worker has read it. */
static struct call *call_of_parcel(const struct parcel *p)
{
	struct call *c = alloc_zeroed(1, sizeof *c);
	struct exchange *x = &c->x;

	c->parcel = alloc_zeroed(1, sizeof *p);
	*c->parcel = *p;
	c->waits_at = -1;
	c->fcgi = fcgi_adopt(p->connection, p->fcgi_id);
	memcpy(c->id, p->id, sizeof c->id);
	x->request = (struct request){
		.method = "POST",
		.path = c->parcel->path,
		.query = "",
		.prefer = p->prefer[0] != '\0' ? c->parcel->prefer : NULL,
		.body = p->body,
	};
	x->user = p->user;
	x->read_only = p->read_only;
	x->arrived_ms = p->arrived_ms;
	x->arrived_us = p->arrived_ms * 1000;
	x->wait.retried = p->retried;
	x->wait.hops = p->hops;
	c->route = route_find(x->request.method, x->request.path);
	reset_response(&x->response);
	return c;
}

static void waits_no_more(struct server *s, struct call *c)
{
	if (c->waits_at >= 0)
		table_wait_end(s->table, s->worker, c->waits_at);
	c->waits_at = -1;
}

static void call_free(struct server *s, struct call *c)
{
	waits_no_more(s, c);
	free(c->parcel);
	buf_release(&c->x.request.body);
	spill_free(c->x.request.file);
	buf_release(&c->x.response.body);
	spill_free(c->x.response.file);
	free(c);
}

static const char *user_name(const struct call *c)
{
	return c->x.user.text[0] != '\0' ? c->x.user.text : "-";
}

/* Unexecuted: whoever asked has hung up. */
static void drop(struct server *s, struct call *c)
{
	fcgi_drop(c->fcgi);
	metrics_count(table_metrics(s->table), METRICS_DROPPED);
	log_info("request.dropped", "user=%s path=%s ms=%" PRId64, user_name(c), c->route.path,
		 clock_mono_ms() - c->x.arrived_ms);
	call_free(s, c);
}

/*
 * NULL: no header.  The slot may have been given to another user since, which
 * happens to users that are in step only; whoever came back has a new one.
 */
static const char *status_now(const struct server *s, const struct exchange *x)
{
	const struct slot *slot = x->slot;
	struct slot_view view;

	for (int tries = 0; slot != NULL && tries < 2; tries++) {
		slot_read(slot, &view);
		if (slot_is_of(slot, &x->user)) {
			switch (sync_status(&view)) {
			case SYNC_IN_STEP:
			case SYNC_DIRTY:
				return NULL;
			case SYNC_FAILED:
				return "failed";
			case SYNC_CONFLICT:
				return "conflict";
			}
		}
		slot = table_find(s->table, &x->user);
	}
	return NULL;
}

static void answer(struct server *s, struct call *c, const struct fcgi_extra *extra)
{
	struct exchange *x = &c->x;
	const char *method = route_method_name(x->request.method);

	/* Before the answer: whoever has that finds it counted, by whichever worker. */
	metrics_request(table_metrics(s->table), c->route.class, (int)x->response.status,
			clock_mono_us() - x->arrived_us);
	if (x->committed)
		FAULT("request.before_answer");
	size_t sent = fcgi_answer(c->fcgi, &x->response, extra);
	if (x->committed) {
		FAULT("request.after_answer");
		sync_look(s->service.sync, x->slot);
	}
	table_worker_rests(s->table, s->worker);
	log_info("request.done", "user=%s method=%s path=%s status=%d ms=%" PRId64 " bytes=%zu",
		 user_name(c), method, c->route.path, (int)x->response.status,
		 clock_mono_ms() - x->arrived_ms, sent);
	call_free(s, c);
}

static void finish(struct server *s, struct call *c)
{
	const struct exchange *x = &c->x;
	const struct fcgi_extra extra = {
		.sync_status = status_now(s, x),
		.allow = c->route.allow,
		.head_only = strcmp(x->request.method, "HEAD") == 0,
	};

	answer(s, c, &extra);
}

static void refuse_busy(struct server *s, struct call *c)
{
	exchange_error(&c->x, HTTP_UNAVAILABLE, "BUSY", "too many requests wait");
	c->x.response.retry_after_s = BUSY_RETRY_S;
	finish(s, c);
}

/*
 * Nothing of the request has happened.  false: it may not wait, and is answered.
 * Whoever waits again has been counted.
 */
static bool counts_as_waiting(struct server *s, struct call *c)
{
	struct exchange *x = &c->x;

	if (c->waits_at >= 0)
		return true;
	if (!x->wait.in_stream && table_waiting(s->table, &x->user) >= s->max_requests) {
		exchange_error(x, HTTP_TOO_MANY, "TOO_MANY_REQUESTS",
			       "too many requests of this user wait");
		x->response.retry_after_s = BUSY_RETRY_S;
		finish(s, c);
		return false;
	}
	int place = table_wait_begin(s->table, s->worker, &x->user);
	if (place < 0) {
		refuse_busy(s, c);
		return false;
	}
	c->waits_at = place;
	return true;
}

static size_t bytes_of(const struct call *c)
{
	return sizeof *c + c->x.request.body.cap + c->x.response.body.cap;
}

static bool has_room(const struct waiting *w, unsigned max)
{
	return w->n < max && w->bytes < WAITING_BYTES;
}

/* Of the crowd, for the socket's other workers. */
static void tell_who_waits(struct server *s)
{
	const struct call *first = TAILQ_FIRST(&s->crowd.calls);

	table_worker_waits(s->table, s->worker, first != NULL ? first->x.arrived_ms : 0);
}

static void set_aside(struct server *s, struct waiting *w, struct call *c)
{
	if (!counts_as_waiting(s, c))
		return;
	table_worker_rests(s->table, s->worker);
	c->x.wait.rounds++;
	TAILQ_INSERT_TAIL(&w->calls, c, link);
	w->n++;
	w->bytes += bytes_of(c);
	tell_who_waits(s);
}

static void take_back(struct waiting *w, struct call *c)
{
	TAILQ_REMOVE(&w->calls, c, link);
	w->n--;
	w->bytes -= bytes_of(c);
}

/*
 * What the client prefers to wait for is pushed as if it had its answer.  Who is
 * held was served, and is not counted with those who wait for that.
 */
static bool hold(struct server *s, struct call *c)
{
	struct exchange *x = &c->x;
	int64_t wait_ms = x->committed ? prefer_wait_ms(x->request.prefer) : 0;

	if (wait_ms == 0 || !has_room(&s->held, s->max_parked))
		return false;
	x->wait.goal = slot_committed(x->slot);
	x->wait.until_ms = clock_mono_ms() + wait_ms;
	x->committed = false;
	sync_look(s->service.sync, x->slot);
	table_worker_rests(s->table, s->worker);
	waits_no_more(s, c);
	buf_release(&x->request.body);
	TAILQ_INSERT_TAIL(&s->held.calls, c, link);
	s->held.n++;
	s->held.bytes += bytes_of(c);
	return true;
}

/* A slot is given to another user only when everything is stored. */
static bool is_stored(const struct exchange *x)
{
	struct slot_view v;

	slot_read(x->slot, &v);
	return !slot_is_of(x->slot, &x->user) || v.stored >= x->wait.goal;
}

static bool is_in_conflict(const struct exchange *x)
{
	struct slot_view v;

	slot_read(x->slot, &v);
	return v.conflict;
}

/*
 * That the store has not got it in time is told on this answer, even while the
 * first attempt is still on its way.
 */
static void release(struct server *s, struct call *c)
{
	bool stored = is_stored(&c->x);
	const char *status = status_now(s, &c->x);
	const struct fcgi_extra extra = {
		.sync_status = stored || status != NULL ? status : "failed",
		.preference = stored ? "wait" : NULL,
	};

	take_back(&s->held, c);
	log_request(c->id);
	answer(s, c, &extra);
}

static void look_at_held(struct server *s, int64_t now_ms)
{
	struct call *c, *next;

	for (c = TAILQ_FIRST(&s->held.calls); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (now_ms >= c->x.wait.until_ms || is_stored(&c->x) || is_in_conflict(&c->x) ||
		    fcgi_client_is_gone(c->fcgi))
			release(s, c);
	}
}

static void get_in_line(struct server *s, struct call *c)
{
	struct exchange *x = &c->x;

	c->in_turn.not_before_ms = x->wait.its_turn ? clock_mono_ms() + TURN_RETRY_MS : 0;
	x->wait.its_turn = false;
	c->in_turn.arrived_ms = x->arrived_ms;
	c->in_turn.bytes = bytes_of(c);
	if (!counts_as_waiting(s, c))
		return;
	if (!turn_wait(s->service.turns, &x->user, &c->in_turn)) {
		refuse_busy(s, c);
		return;
	}
	table_worker_rests(s->table, s->worker);
	x->wait.rounds++;
}

static void copy_text(char *out, size_t size, const char *text)
{
	(void)snprintf(out, size, "%s", or_empty(text));
}

/*
 * A worker may die between the question whether it lives and the sending.  It
 * is marked dead before the master discards what waits for it: either the
 * master finds this one, too, or we find the mark.
 */
static void hand_over(struct server *s, struct call *c)
{
	struct exchange *x = &c->x;
	unsigned to = x->wait.worker;
	struct worker_word word;
	struct parcel p = {
		.user = x->user,
		.read_only = x->read_only,
		.retried = x->wait.retried,
		.arrived_ms = x->arrived_ms,
		.hops = x->wait.hops + 1,
		.body = x->request.body,
	};

	copy_text(p.path, sizeof p.path, c->route.path);
	copy_text(p.prefer, sizeof p.prefer, x->request.prefer);
	memcpy(p.id, c->id, sizeof p.id);
	p.connection = fcgi_connection(c->fcgi, &p.fcgi_id);
	if (handover_send(s->handover, to, &p) < 0) {
		refuse_busy(s, c);
		return;
	}
	fcgi_drop(c->fcgi);
	if (!table_worker_get(s->table, to, &word))
		handover_discard(s->handover, to);
	log_debug("request.handed_over", "user=%s worker=%u", user_name(c), to);
	table_worker_rests(s->table, s->worker);
	call_free(s, c);
}

static bool identify(const struct server *s, struct exchange *x)
{
	switch (s->auth) {
	case AUTH_JWT:
		return auth_by_token(&s->jwt, clock_wall_ms() / 1000, x);
	case AUTH_REMOTE_USER:
		return auth_by_remote_user(x);
	}
	abort();
}

/* false: the response says why there is none. */
static bool find_slot(const struct server *s, struct exchange *x)
{
	switch (account_slot(s->service.accounts, &x->user, &x->slot)) {
	case ACCOUNT_OK:
		return true;
	case ACCOUNT_FULL:
	case ACCOUNT_BUSY:
		exchange_error(x, HTTP_UNAVAILABLE, "BUSY", "too many users at once, try again");
		x->response.retry_after_s = BUSY_RETRY_S;
		break;
	case ACCOUNT_NO_FILES:
	case ACCOUNT_FAILED:
		exchange_error(x, HTTP_INTERNAL_ERROR, "INTERNAL",
			       "the user's files are not readable");
		break;
	}
	x->slot = NULL;
	return false;
}

/*
 * What every run of a handler needs, the first and those after a wait: a
 * client that is still there, and the user's slot of this moment.
 */
static void run(struct server *s, struct call *c)
{
	struct exchange *x = &c->x;

	log_request(c->id);
	log_client(x->user.text);
	if (fcgi_client_is_gone(c->fcgi)) {
		drop(s, c);
		return;
	}
	reset_response(&x->response);
	if (c->route.needs_user && !find_slot(s, x)) {
		finish(s, c);
		return;
	}
	if (x->slot != NULL) {
		table_worker_serves(s->table, s->worker, x->slot);
		share_serve(s->service.share, x->slot);
		share_work(s->service.share);
	}
	s->service.may_park = has_room(&s->parked, s->max_parked);
	s->service.may_crowd = has_room(&s->crowd, s->max_crowd);
	switch (c->route.handler(&s->service, x)) {
	case SERVE_DONE:
		if (!hold(s, c))
			finish(s, c);
		break;
	case SERVE_PARK:
		set_aside(s, &s->parked, c);
		break;
	case SERVE_IN_TURN:
		get_in_line(s, c);
		break;
	case SERVE_IN_CROWD:
		x->wait.until_ms = x->arrived_ms + CROWD_WAIT_MS;
		set_aside(s, &s->crowd, c);
		break;
	case SERVE_HAND_OVER:
		hand_over(s, c);
		break;
	}
}

/* Carries the user's status as any other answer. */
static void refuse_body(struct server *s, struct call *c, enum fcgi_body body)
{
	struct exchange *x = &c->x;
	bool known = !c->route.needs_user || find_slot(s, x);

	if (known && body == FCGI_BODY_TOO_LARGE)
		exchange_error(x, HTTP_TOO_LARGE, "BODY_TOO_LARGE",
			       "the request body is too large");
	else if (known && body == FCGI_BODY_NO_SPACE)
		exchange_error(x, HTTP_NO_SPACE, "SQLITE_FULL",
			       "the server's disk has no room for the file");
	else if (known)
		exchange_error(x, HTTP_BAD_REQUEST, "BODY_CUT", "the request body is not whole");
	finish(s, c);
}

/* A file of somebody whom nobody knows is not written to the disk. */
static enum fcgi_body read_body(struct server *s, struct call *c)
{
	struct request *r = &c->x.request;

	if (!c->route.takes_file)
		return fcgi_read_body(c->fcgi, s->max_body_bytes, &r->body);
	if (!c->unknown)
		r->file = spill_new(s->service.data, 0);
	return fcgi_read_file(c->fcgi, s->max_file_bytes, r->file);
}

/* nginx takes an answer only after it has got rid of the body. */
static void read_and_run(struct server *s, struct call *c)
{
	share_work(s->service.share);
	enum fcgi_body body = read_body(s, c);

	log_request(c->id);
	c->unread = false;
	(void)share_look(s->service.share);
	if (c->x.request.body.len > LARGE_BODY)
		share_yield(s->service.share);
	if (body == FCGI_BODY_GONE)
		drop(s, c);
	else if (c->unknown)
		finish(s, c);
	else if (body != FCGI_BODY_WHOLE)
		refuse_body(s, c, body);
	else
		run(s, c);
}

/*
 * Its user has used more than its share, and others of that kind occupy as many
 * workers as they may: true, it is in the crowd.  Where it cannot wait, or has
 * for long enough, its handler refuses it, or lets it through if it is of an open
 * stream, of which there are few.
 */
static bool joins_crowd(struct server *s, struct call *c)
{
	struct exchange *x = &c->x;

	if (s->crowd.n == 0 && share_may_run(s->service.share, x->arrived_ms))
		return false;
	if (s->crowd.n > 0 && !share_is_exceeded(s->service.share))
		return false;
	x->wait.in_vain = !has_room(&s->crowd, s->max_crowd) ||
			  table_waiting(s->table, &x->user) >= s->max_requests;
	if (x->wait.in_vain)
		return false;
	x->wait.until_ms = x->arrived_ms + CROWD_WAIT_MS;
	set_aside(s, &s->crowd, c);
	return true;
}

static void serve(struct server *s, struct fcgi_request *r)
{
	struct call *c = call_new(r);
	struct exchange *x = &c->x;

	log_request(c->id);
	share_begin(s->service.share);
	c->unread = true;
	c->unknown = c->route.needs_user && !identify(s, x);
	if (c->route.needs_user && !c->unknown)
		x->slot = table_find(s->table, &x->user);
	if (x->slot != NULL) {
		share_serve(s->service.share, x->slot);
		if (c->route.whole_database)
			share_exceed(s->service.share);
	}
	if (!joins_crowd(s, c))
		read_and_run(s, c);
	share_end(s->service.share);
	log_request("");
}

/* Of one that has waited. */
static void serve_again(struct server *s, struct call *c)
{
	share_begin(s->service.share);
	run(s, c);
	share_end(s->service.share);
}

/* A slot that is somebody else's by now never says what the request waits for. */
static bool is_due(const struct call *c, int64_t now_ms)
{
	const struct exchange *x = &c->x;

	return now_ms >= x->wait.until_ms || x->wait.ready(x) ||
	       (x->slot != NULL && !slot_is_of(x->slot, &x->user)) || fcgi_client_is_gone(c->fcgi);
}

/*
 * Once a millisecond at most, or many that wait would slow down every request
 * that does not.  Whoever parks again goes to the end and is not met twice.
 */
static void look_at_parked(struct server *s)
{
	int64_t now_ms = clock_mono_ms();
	struct call *c, *next;

	if (s->parked.n == 0 || now_ms == s->looked_ms)
		return;
	s->looked_ms = now_ms;
	struct call *last = TAILQ_LAST(&s->parked.calls, calls);
	for (c = TAILQ_FIRST(&s->parked.calls); c != NULL; c = next) {
		next = c == last ? NULL : TAILQ_NEXT(c, link);
		if (!is_due(c, now_ms))
			continue;
		take_back(&s->parked, c);
		serve_again(s, c);
	}
	log_request("");
}

static struct call *call_in_turn(struct turn_waiter *w)
{
	return (struct call *)((char *)w - offsetof(struct call, in_turn));
}

static void take_turn(struct server *s, struct call *c)
{
	struct user_id user = c->x.user;
	struct slot *slot;

	c->x.wait.its_turn = true;
	serve_again(s, c);
	log_request("");
	if (account_slot(s->service.accounts, &user, &slot) == ACCOUNT_OK)
		streams_settle(s->service.streams, &user, slot);
}

/* false: nobody in line may go on. */
static bool take_next_turn(struct server *s)
{
	int64_t now_ms = clock_mono_ms();
	struct turn_waiter *next =
		turn_next(s->service.turns, now_ms, now_ms - s->service.lock_wait_ms);

	if (next != NULL)
		take_turn(s, call_in_turn(next));
	return next != NULL;
}

static void go_on(struct server *s, struct call *c)
{
	if (c->unread)
		read_and_run(s, c);
	else
		run(s, c);
}

/* Whose user has used least: it may be within its share again. */
static struct call *next_of_crowd(const struct server *s)
{
	struct call *next = TAILQ_FIRST(&s->crowd.calls);
	int64_t now_us = clock_mono_us(), most_us = slot_charge(next->x.slot, 0, now_us);

	for (struct call *c = TAILQ_NEXT(next, link); c != NULL; c = TAILQ_NEXT(c, link)) {
		int64_t budget_us = slot_charge(c->x.slot, 0, now_us);
		if (budget_us <= most_us)
			continue;
		most_us = budget_us;
		next = c;
	}
	return next;
}

static bool leaves_crowd(struct server *s, struct call *c)
{
	share_serve(s->service.share, c->x.slot);
	if (c->route.whole_database)
		share_exceed(s->service.share);
	if (!share_may_run(s->service.share, c->x.arrived_ms))
		return false;
	take_back(&s->crowd, c);
	return true;
}

/* false: nobody in the crowd may go on. */
static bool take_one_of_crowd(struct server *s)
{
	struct call *c = TAILQ_FIRST(&s->crowd.calls);
	bool leaves = true;

	if (c == NULL)
		return false;
	share_begin(s->service.share);
	if (clock_mono_ms() >= c->x.wait.until_ms) {
		c->x.wait.in_vain = true;
		take_back(&s->crowd, c);
	} else {
		c = next_of_crowd(s);
		leaves = leaves_crowd(s, c);
	}
	if (leaves) {
		tell_who_waits(s);
		go_on(s, c);
	}
	share_end(s->service.share);
	log_request("");
	return leaves;
}

static void serve_handed_over(struct server *s, struct call *c)
{
	share_begin(s->service.share);
	c->x.slot = table_find(s->table, &c->x.user);
	if (c->x.slot != NULL)
		share_serve(s->service.share, c->x.slot);
	if (!joins_crowd(s, c))
		run(s, c);
	share_end(s->service.share);
}

/* false: none has come. */
static bool take_handed_over(struct server *s)
{
	struct parcel p;

	if (!handover_receive(s->handover, s->worker, &p))
		return false;
	serve_handed_over(s, call_of_parcel(&p));
	log_request("");
	return true;
}

/* epoll_pwait() delivers nothing while connections are waiting: under load, for ever. */
static bool is_told_to_stop(const volatile sig_atomic_t *stopping, const sigset_t *unblocked)
{
	sigset_t before;

	pthread_sigmask(SIG_SETMASK, unblocked, &before);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return *stopping;
}

/* Of those who wait, in one way or another; true: come back at once. */
static bool look_after_waiting(struct server *s)
{
	streams_expire(s->service.streams, clock_mono_ms());
	look_at_parked(s);
	look_at_held(s, clock_mono_ms());
	bool turned = take_next_turn(s);
	return take_one_of_crowd(s) || turned;
}

static int longest_wait(const struct server *s)
{
	if (s->crowd.n > 0)
		return CROWD_LOOK_MS;
	if (s->parked.n > 0 || s->held.n > 0 || turn_anybody_waits(s->service.turns))
		return PARKED_LOOK_MS;
	return streams_any(s->service.streams) ? STREAMS_LOOK_MS : -1;
}

static void serve_until(struct server *s, const volatile sig_atomic_t *stopping,
			const sigset_t *unblocked)
{
	bool at_once = false;

	while (!is_told_to_stop(stopping, unblocked)) {
		int wait_ms = at_once ? 0 : longest_wait(s);
		struct fcgi_request *r = fcgi_next(s->fcgi, wait_ms, unblocked);
		if (r != NULL)
			serve(s, r);
		else
			take_handed_over(s);
		at_once = look_after_waiting(s);
	}
}

void server_run(struct server *s, const volatile sig_atomic_t *stopping, const sigset_t *unblocked)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	serve_until(s, stopping, unblocked);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void server_end_streams(struct server *s)
{
	s->service.ends = true;
	streams_close_all(s->service.streams);
}

static bool has_work(const struct server *s)
{
	return s->parked.n > 0 || s->crowd.n > 0 || s->held.n > 0 ||
	       turn_anybody_waits(s->service.turns) || streams_any(s->service.streams);
}

bool server_look(struct server *s)
{
	s->service.leaves = true;
	table_worker_leaves(s->table, s->worker);
	while (take_handed_over(s))
		;
	while (look_after_waiting(s))
		;
	return has_work(s);
}

static void run_all(struct server *s, struct waiting *w)
{
	struct call *c, *next;

	for (c = TAILQ_FIRST(&w->calls); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		take_back(w, c);
		c->x.wait.in_vain = w == &s->crowd;
		share_begin(s->service.share);
		go_on(s, c);
		share_end(s->service.share);
	}
}

/* With no room for anybody who waits, their handlers say what they have to say now. */
void server_end(struct server *s)
{
	struct turn_waiter *w;

	s->max_parked = 0;
	s->max_crowd = 0;
	server_end_streams(s);
	while (take_handed_over(s))
		;
	while ((w = turn_dismiss(s->service.turns)) != NULL)
		take_turn(s, call_in_turn(w));
	run_all(s, &s->parked);
	run_all(s, &s->crowd);
	look_at_held(s, INT64_MAX);
	log_request("");
}
