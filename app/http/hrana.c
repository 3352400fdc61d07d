/*
 * A request is parsed, then checked as a whole, and only then does anything
 * run: what is malformed at its end has had no effect.
 */
#include "http/hrana.h"

#include "base/json_read.h"
#include "http/hrana_request.h"
#include "http/hrana_steps.h"
#include "http/hrana_stmt.h"
#include "http/hrana_value.h"

#include <stdio.h>
#include <string.h>

enum { WHY_MAX = 200 };

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

static const char *check_pipeline(const struct json *root)
{
	const struct json *requests = json_get(root, "requests");
	const struct json *baton = hrana_get(root, "baton");
	struct hrana_check c = { .nsteps = 0 };

	if (!json_is(requests, JSON_ARRAY))
		return "requests must be an array";
	if (baton != NULL && !json_is(baton, JSON_STRING))
		return "baton must be a string";
	for (const struct json *r = requests->first; r != NULL; r = r->next) {
		const char *why = hrana_request_check(&c, r);
		if (why != NULL)
			return why;
	}
	return NULL;
}

static const char *check_execute(const struct json *root)
{
	static const struct hrana_store empty;

	return hrana_stmt_check(json_get(root, "stmt"), &empty);
}

static const char *check_batch(const struct json *root)
{
	static const struct hrana_store empty;

	return hrana_steps_check(json_get(root, "batch"), &empty);
}

/* NULL: the answer says why. */
static struct json_doc *read_request(struct exchange *x, const char *(*check)(const struct json *))
{
	char why[WHY_MAX];
	struct json_doc *doc = parse(x, why);

	if (doc == NULL) {
		exchange_error(x, HTTP_BAD_REQUEST, "MALFORMED_REQUEST", "%s", why);
		return NULL;
	}
	const char *wrong = check(json_root(doc));
	if (wrong == NULL)
		return doc;
	exchange_error(x, HTTP_BAD_REQUEST, "MALFORMED_REQUEST", "%s", wrong);
	json_free(doc);
	return NULL;
}

static int run_pipeline(struct hrana_stream *s, const struct json *root, struct sql_error *e)
{
	if (hrana_get(root, "baton") != NULL) {
		sql_error_set(e, "STREAM_EXPIRED", "The stream has expired due to inactivity");
		return -1;
	}
	json_open_object(s->out);
	json_key(s->out, "baton");
	json_put_null(s->out);
	json_key(s->out, "base_url");
	json_put_null(s->out);
	json_key(s->out, "results");
	json_open_array(s->out);
	for (const struct json *r = json_get(root, "requests")->first; r != NULL; r = r->next)
		hrana_request_run(s, r);
	json_close_array(s->out);
	json_close_object(s->out);
	return 0;
}

static int run_execute(struct hrana_stream *s, const struct json *root, struct sql_error *e)
{
	json_open_object(s->out);
	json_key(s->out, "result");
	if (hrana_stmt_run(s, json_get(root, "stmt"), e) < 0)
		return -1;
	json_close_object(s->out);
	return 0;
}

static int run_batch(struct hrana_stream *s, const struct json *root, struct sql_error *e)
{
	(void)e;
	json_open_object(s->out);
	json_key(s->out, "result");
	hrana_steps_run(s, json_get(root, "batch"));
	json_close_object(s->out);
	return 0;
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

static void serve(struct exchange *x, struct userdb *db, const char *(*check)(const struct json *),
		  int (*run)(struct hrana_stream *, const struct json *, struct sql_error *))
{
	struct json_doc *doc = read_request(x, check);
	struct hrana_stream stream;
	struct sql_error e;

	if (doc == NULL)
		return;
	hrana_stream_begin(&stream, x, db);
	int result = run(&stream, json_root(doc), &e);
	hrana_stream_end(&stream);
	if (result < 0)
		refuse(x, &e);
	json_free(doc);
}

void hrana_pipeline(struct exchange *x, struct userdb *db)
{
	serve(x, db, check_pipeline, run_pipeline);
}

void hrana_execute(struct exchange *x, struct userdb *db)
{
	serve(x, db, check_execute, run_execute);
}

void hrana_batch(struct exchange *x, struct userdb *db)
{
	serve(x, db, check_batch, run_batch);
}

static bool pipeline_would_write(struct hrana_stream *s, const struct json *root)
{
	for (const struct json *r = json_get(root, "requests")->first; r != NULL; r = r->next)
		if (hrana_request_would_write(s, r))
			return true;
	return false;
}

/* A body may be good for more than one of the endpoints: any that writes counts. */
static bool root_would_write(struct hrana_stream *s, const struct json *root)
{
	return (check_pipeline(root) == NULL && pipeline_would_write(s, root)) ||
	       (check_execute(root) == NULL && hrana_sql_would_write(s, json_get(root, "stmt"))) ||
	       (check_batch(root) == NULL && hrana_steps_would_write(s, json_get(root, "batch")));
}

bool hrana_would_write(const struct exchange *x, struct userdb *db)
{
	struct hrana_stream stream = { .sandbox = userdb_sandbox(db) };
	char why[WHY_MAX];
	struct json_doc *doc = parse(x, why);

	if (doc == NULL)
		return false;
	sandbox_begin_request(stream.sandbox, !x->read_only);
	bool writes = root_would_write(&stream, json_root(doc));
	sandbox_end_request(stream.sandbox);
	json_free(doc);
	return writes;
}
