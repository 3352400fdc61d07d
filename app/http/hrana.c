/*
 * A request is parsed, then checked as a whole, and only then does anything
 * run: what is malformed at its end has had no effect.
 */
#include "http/hrana.h"

#include "base/alloc.h"
#include "base/json_read.h"
#include "http/baton.h"
#include "http/hrana_request.h"
#include "http/hrana_steps.h"
#include "http/hrana_stmt.h"
#include "http/hrana_value.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHY_MAX = 200, CURSOR_MEMORY = 1 << 20 };

struct hrana {
	enum hrana_endpoint endpoint;
	struct json_doc *doc;
	const struct json *root;
	const struct json *baton; /* NULL: none */
	bool closes; /* its stream ends with it */
	size_t baton_at; /* in the response; 0: no place for one */
};

static struct json_doc *parse(const struct exchange *x, char why[static WHY_MAX])
{
	const struct buf *body = &x->request.body;
	const struct json_limits limits = {
		.max_len = body->len,
		.max_depth = 64,
		.max_values = 400000,
	};
	char reason[WHY_MAX - 32];

	struct json_doc *doc = json_parse(body->len > 0 ? body->data : "", body->len, &limits,
					  reason, sizeof reason);
	if (doc == NULL)
		(void)snprintf(why, WHY_MAX, "the body is not JSON: %s", reason);
	return doc;
}

static const char *check_pipeline(const struct json *root, const struct hrana_store *store)
{
	const struct json *requests = json_get(root, "requests");
	struct hrana_check c = { .store = *store };

	if (!json_is(requests, JSON_ARRAY))
		return "requests must be an array";
	for (const struct json *r = requests->first; r != NULL; r = r->next) {
		const char *why = hrana_request_check(&c, r);
		if (why != NULL)
			return why;
	}
	return NULL;
}

static const char *check_execute(const struct json *root, const struct hrana_store *store)
{
	return hrana_stmt_check(json_get(root, "stmt"), store);
}

static const char *check_batch(const struct json *root, const struct hrana_store *store)
{
	return hrana_steps_check(json_get(root, "batch"), store);
}

/*
 * The baton comes first and is known last: its place is held by as many
 * characters, or is null from the start where the request says `close`.
 */
static void hold_place_of_baton(struct hrana *h, struct hrana_stream *s)
{
	char place[BATON_LEN + 1];

	json_open_object(s->out);
	json_key(s->out, "baton");
	if (h->closes) {
		json_put_null(s->out);
	} else {
		memset(place, '-', BATON_LEN);
		place[BATON_LEN] = '\0';
		json_put_string(s->out, place);
		h->baton_at = s->body->len - BATON_LEN - 1;
	}
	json_key(s->out, "base_url");
	json_put_null(s->out);
}

static int run_pipeline(struct hrana *h, struct hrana_stream *s, struct sql_error *e)
{
	(void)e;
	hold_place_of_baton(h, s);
	json_key(s->out, "results");
	json_open_array(s->out);
	for (const struct json *r = json_get(h->root, "requests")->first; r != NULL && !s->blocked;
	     r = r->next)
		hrana_request_run(s, r);
	json_close_array(s->out);
	json_close_object(s->out);
	return 0;
}

static int run_cursor(struct hrana *h, struct hrana_stream *s, struct sql_error *e)
{
	(void)e;
	hold_place_of_baton(h, s);
	json_close_object(s->out);
	hrana_stream_end_line(s);
	s->head_len = s->body->len;
	hrana_steps_run_lines(s, json_get(h->root, "batch"));
	return 0;
}

static int run_execute(struct hrana *h, struct hrana_stream *s, struct sql_error *e)
{
	json_open_object(s->out);
	json_key(s->out, "result");
	if (hrana_stmt_run(s, json_get(h->root, "stmt"), e) < 0) {
		hrana_stream_failed(s, e);
		return -1;
	}
	json_close_object(s->out);
	return 0;
}

static int run_batch(struct hrana *h, struct hrana_stream *s, struct sql_error *e)
{
	(void)e;
	json_open_object(s->out);
	json_key(s->out, "result");
	hrana_steps_run(s, json_get(h->root, "batch"));
	json_close_object(s->out);
	return 0;
}

static bool pipeline_would_write(struct hrana_stream *s, const struct json *root)
{
	for (const struct json *r = json_get(root, "requests")->first; r != NULL; r = r->next)
		if (hrana_request_would_write(s, r))
			return true;
	return false;
}

static bool execute_would_write(struct hrana_stream *s, const struct json *root)
{
	return hrana_sql_would_write(s, json_get(root, "stmt"));
}

static bool batch_would_write(struct hrana_stream *s, const struct json *root)
{
	return hrana_steps_would_write(s, json_get(root, "batch"));
}

static const struct {
	bool streams; /* it may bring a baton and get one */
	const char *(*check)(const struct json *root, const struct hrana_store *store);
	/* -1: there is no result to put the error in. */
	int (*run)(struct hrana *h, struct hrana_stream *s, struct sql_error *e);
	bool (*would_write)(struct hrana_stream *s, const struct json *root);
} endpoints[] = {
	[HRANA_PIPELINE] = { true, check_pipeline, run_pipeline, pipeline_would_write },
	[HRANA_CURSOR] = { true, check_batch, run_cursor, batch_would_write },
	[HRANA_EXECUTE] = { false, check_execute, run_execute, execute_would_write },
	[HRANA_BATCH] = { false, check_batch, run_batch, batch_would_write },
};

static void refuse_malformed(struct exchange *x, const char *why)
{
	exchange_error(x, HTTP_BAD_REQUEST, "MALFORMED_REQUEST", "%s", why);
}

struct hrana *hrana_new(enum hrana_endpoint endpoint, struct exchange *x)
{
	char why[WHY_MAX];
	struct json_doc *doc = parse(x, why);

	if (doc == NULL) {
		refuse_malformed(x, why);
		return NULL;
	}
	struct hrana *h = alloc_zeroed(1, sizeof *h);
	h->endpoint = endpoint;
	h->doc = doc;
	h->root = json_root(doc);
	h->baton = endpoints[endpoint].streams ? hrana_get(h->root, "baton") : NULL;
	if (h->baton == NULL || json_is(h->baton, JSON_STRING))
		return h;
	refuse_malformed(x, "baton must be a string");
	hrana_free(h);
	return NULL;
}

void hrana_free(struct hrana *h)
{
	if (h == NULL)
		return;
	json_free(h->doc);
	free(h);
}

const char *hrana_baton(const struct hrana *h, size_t *len)
{
	if (h->baton == NULL)
		return NULL;
	*len = h->baton->len;
	return h->baton->text;
}

static const struct hrana_store *or_empty(const struct hrana_store *store)
{
	static const struct hrana_store empty;

	return store != NULL ? store : &empty;
}

/* It is the last request of a pipeline, if any. */
static bool says_close(const struct hrana *h)
{
	const struct json *last = NULL;

	if (h->endpoint != HRANA_PIPELINE)
		return !endpoints[h->endpoint].streams;
	for (const struct json *r = json_get(h->root, "requests")->first; r != NULL; r = r->next)
		last = r;
	return json_text_is(json_get(last, "type"), "close");
}

bool hrana_check(struct hrana *h, struct exchange *x, const struct hrana_store *store)
{
	const char *wrong = endpoints[h->endpoint].check(h->root, or_empty(store));

	if (wrong != NULL) {
		refuse_malformed(x, wrong);
		return false;
	}
	h->closes = says_close(h);
	return true;
}

bool hrana_would_write(const struct hrana *h, const struct exchange *x, struct userdb *db,
		       const struct hrana_store *store)
{
	struct hrana_stream stream = {
		.sandbox = userdb_sandbox(db),
		.db = db,
		.store = *or_empty(store),
	};

	sandbox_begin_request(stream.sandbox, !x->read_only);
	bool writes = endpoints[h->endpoint].would_write(&stream, h->root);
	sandbox_leave_request(stream.sandbox);
	return writes;
}

/* Where there is no result to put it in, a failed statement is a failed request. */
static void refuse(struct exchange *x, const struct sql_error *e)
{
	enum http_status status = HTTP_BAD_REQUEST;

	if (strcmp(e->code, "SQLITE_BUSY") == 0)
		status = HTTP_UNAVAILABLE;
	else if (strcmp(e->code, "SQLITE_FULL") == 0)
		status = HTTP_NO_SPACE;
	exchange_error(x, status, e->code, "%s", e->message);
	if (status == HTTP_UNAVAILABLE)
		x->response.retry_after_s = 1;
}

/* What is left in memory follows what is in the file. */
static void finish_lines(struct hrana_stream *s, struct exchange *x)
{
	if (spill_len(s->lines) > 0 &&
	    spill_add(s->lines, s->body->data + s->head_len, s->body->len - s->head_len) < 0)
		s->lines_lost = true;
	if (s->lines_lost) {
		spill_free(s->lines);
		exchange_error(x, HTTP_INTERNAL_ERROR, "INTERNAL", "no room for the answer");
	} else if (spill_len(s->lines) > 0) {
		s->body->len = s->head_len;
		x->response.file = s->lines;
	} else {
		spill_free(s->lines);
	}
}

static enum hrana_left leave(struct hrana *h, struct hrana_stream *s)
{
	enum hrana_left left = HRANA_STATELESS;

	if (h->closes || s->lines_lost)
		left = HRANA_CLOSED;
	else if (hrana_stream_has_state(s))
		left = HRANA_STATEFUL;
	if (s->blocked)
		left = s->gave_way ? HRANA_GAVE_WAY : HRANA_BLOCKED;
	if (left == HRANA_STATEFUL)
		hrana_stream_leave(s);
	else
		hrana_stream_end(s);
	return left;
}

enum hrana_left hrana_run(struct hrana *h, struct exchange *x, const struct hrana_place *place)
{
	struct hrana_stream s;
	struct sql_error e;

	hrana_stream_begin(&s, x, place->db);
	s.store = *place->store;
	s.may_block = place->may_block;
	if (h->endpoint == HRANA_CURSOR)
		s.lines = spill_new(place->spill_dir, CURSOR_MEMORY);
	if (endpoints[h->endpoint].run(h, &s, &e) < 0)
		refuse(x, &e);
	if (s.lines != NULL)
		finish_lines(&s, x);
	enum hrana_left left = leave(h, &s);
	if (!s.blocked)
		*place->store = s.store;
	return left;
}

void hrana_put_baton(const struct hrana *h, struct exchange *x, const char *baton)
{
	assert(h->baton_at > 0 && strlen(baton) == BATON_LEN);
	memcpy(x->response.body.data + h->baton_at, baton, BATON_LEN);
}
