/*
 * One thread, one epoll set, and a list of requests that wait.
 *
 * A request is served from its first byte to its last by one call of serve(),
 * or its handler says that it has to wait for the sync engine.  Then it is
 * parked: nothing of it has happened, its connection stays open, and whenever
 * the thread comes back from waiting (every PARKED_LOOK_MS at the latest) the
 * parked ones are looked at and those whose condition holds are served anew.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

enum {
	PARKED_LOOK_MS = 5,
	BUSY_RETRY_S = 1,
	REQUEST_ID_LEN = 15, /* what the log keeps of one */
};

/* A request on its way. */
struct call {
	struct exchange x;
	struct fcgi_request *fcgi;
	struct route route;
	char id[REQUEST_ID_LEN + 1];
	TAILQ_ENTRY(call) link; /* while parked */
};

TAILQ_HEAD(calls, call);

struct server {
	struct fcgi *fcgi;
	struct table *table;
	unsigned worker;
	enum auth_mode auth;
	struct jwt_key *key; /* AUTH_JWT */
	int64_t max_body_bytes;
	struct service service;
	struct calls parked; /* in the order of their parking */
	unsigned nparked;
	unsigned max_parked;
	int64_t looked_ms; /* when the parked ones were last looked at */
};

static int read_key(struct server *s, const struct server_config *c)
{
	char why[128];

	if (c->auth != AUTH_JWT)
		return 0;
	s->key = jwt_key_read(c->jwt_key_file, why, sizeof why);
	if (s->key == NULL) {
		log_error("jwt_key.refused", "path=%s why=\"%s\"", c->jwt_key_file, why);
		return -1;
	}
	return 0;
}

struct server *server_new(struct table *t, unsigned worker, struct sync *sync, int listener,
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
	s->worker = worker;
	s->auth = c->auth;
	s->max_body_bytes = c->max_body_bytes;
	s->max_parked = c->max_parked;
	s->service.sync = sync;
	s->service.data = c->data;
	s->service.retry_wait_ms = c->retry_wait_ms;
	TAILQ_INIT(&s->parked);
	if (read_key(s, c) < 0)
		goto fail;
	s->service.accounts = accounts_new(t, &files);
	if (s->service.accounts == NULL)
		goto fail;
	s->fcgi = fcgi_new(listener);
	if (s->fcgi == NULL)
		goto fail;
	return s;
fail:
	server_free(s);
	return NULL;
}

void server_free(struct server *s)
{
	if (s == NULL)
		return;
	assert(s->nparked == 0);
	fcgi_free(s->fcgi);
	accounts_free(s->service.accounts);
	jwt_key_free(s->key);
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
	buf_clear(&r->body);
	spill_free(r->file);
	r->file = NULL;
}

static struct call *call_new(struct fcgi_request *r)
{
	struct call *c = alloc_zeroed(1, sizeof *c);

	c->fcgi = r;
	c->x.arrived_ms = clock_mono_ms();
	read_request(r, &c->x.request);
	c->route = route_find(c->x.request.method, c->x.request.path);
	choose_id(fcgi_param(r, "REQUEST_ID"), c->id);
	reset_response(&c->x.response);
	return c;
}

static void call_free(struct call *c)
{
	buf_release(&c->x.request.body);
	buf_release(&c->x.response.body);
	spill_free(c->x.response.file);
	free(c);
}

static const char *user_name(const struct call *c)
{
	return c->x.user.text[0] != '\0' ? c->x.user.text : "-";
}

/* Unexecuted: whoever asked has hung up. */
static void drop(struct call *c)
{
	fcgi_drop(c->fcgi);
	log_info("request.dropped", "user=%s path=%s ms=%" PRId64, user_name(c), c->route.path,
		 clock_mono_ms() - c->x.arrived_ms);
	call_free(c);
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

static void finish(struct server *s, struct call *c)
{
	struct exchange *x = &c->x;
	const char *method = route_method_name(x->request.method);
	const struct fcgi_extra extra = {
		.sync_status = status_now(s, x),
		.allow = c->route.allow,
		.head_only = strcmp(x->request.method, "HEAD") == 0,
	};

	if (x->committed)
		FAULT("request.before_answer");
	size_t sent = fcgi_answer(c->fcgi, &x->response, &extra);
	if (x->committed) {
		FAULT("request.after_answer");
		sync_look(s->service.sync, x->slot);
	}
	table_worker_rests(s->table, s->worker);
	log_info("request.done", "user=%s method=%s path=%s status=%d ms=%" PRId64 " bytes=%zu",
		 user_name(c), method, c->route.path, (int)x->response.status,
		 clock_mono_ms() - x->arrived_ms, sent);
	call_free(c);
}

static void park(struct server *s, struct call *c)
{
	assert(s->nparked < s->max_parked);
	table_worker_rests(s->table, s->worker);
	c->x.wait.rounds++;
	TAILQ_INSERT_TAIL(&s->parked, c, link);
	s->nparked++;
}

static bool identify(const struct server *s, struct exchange *x)
{
	switch (s->auth) {
	case AUTH_JWT:
		return auth_by_token(s->key, clock_wall_ms() / 1000, x);
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
	if (fcgi_client_is_gone(c->fcgi)) {
		drop(c);
		return;
	}
	reset_response(&x->response);
	if (c->route.needs_user && !find_slot(s, x)) {
		finish(s, c);
		return;
	}
	if (x->slot != NULL)
		table_worker_serves(s->table, s->worker, x->slot);
	s->service.may_park = s->nparked < s->max_parked;
	switch (c->route.handler(&s->service, x)) {
	case SERVE_DONE:
		finish(s, c);
		break;
	case SERVE_PARK:
		park(s, c);
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
	else if (known)
		exchange_error(x, HTTP_BAD_REQUEST, "BODY_CUT", "the request body is not whole");
	finish(s, c);
}

static void serve(struct server *s, struct fcgi_request *r)
{
	struct call *c = call_new(r);
	enum fcgi_body body = fcgi_read_body(r, s->max_body_bytes, &c->x.request.body);

	log_request(c->id);
	if (body == FCGI_BODY_GONE)
		drop(c);
	else if (c->route.needs_user && !identify(s, &c->x))
		finish(s, c);
	else if (body != FCGI_BODY_WHOLE)
		refuse_body(s, c, body);
	else
		run(s, c);
	log_request("");
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

	if (TAILQ_EMPTY(&s->parked) || now_ms == s->looked_ms)
		return;
	s->looked_ms = now_ms;
	struct call *last = TAILQ_LAST(&s->parked, calls);
	for (c = TAILQ_FIRST(&s->parked); c != NULL; c = next) {
		next = c == last ? NULL : TAILQ_NEXT(c, link);
		if (!is_due(c, now_ms))
			continue;
		TAILQ_REMOVE(&s->parked, c, link);
		s->nparked--;
		run(s, c);
	}
	log_request("");
}

/* epoll_pwait() delivers nothing while connections are waiting: under load, for ever. */
static bool is_told_to_stop(const volatile sig_atomic_t *stopping, const sigset_t *unblocked)
{
	sigset_t before;

	pthread_sigmask(SIG_SETMASK, unblocked, &before);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return *stopping;
}

static void serve_until(struct server *s, const volatile sig_atomic_t *stopping,
			const sigset_t *unblocked)
{
	while (!is_told_to_stop(stopping, unblocked)) {
		int wait_ms = TAILQ_EMPTY(&s->parked) ? -1 : PARKED_LOOK_MS;
		struct fcgi_request *r = fcgi_next(s->fcgi, wait_ms, unblocked);
		if (r != NULL)
			serve(s, r);
		look_at_parked(s);
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

bool server_look(struct server *s)
{
	look_at_parked(s);
	return !TAILQ_EMPTY(&s->parked);
}

/* With no room for anybody who waits, their handlers say what they have to say now. */
void server_end(struct server *s)
{
	struct call *c;

	s->max_parked = 0;
	while ((c = TAILQ_FIRST(&s->parked)) != NULL) {
		TAILQ_REMOVE(&s->parked, c, link);
		s->nparked--;
		run(s, c);
	}
	log_request("");
}
