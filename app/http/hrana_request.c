#include "http/hrana_request.h"

#include "http/hrana_steps.h"
#include "http/hrana_stmt.h"
#include "http/hrana_value.h"

#include <assert.h>

/*
 * Each failed one takes up to a kilobyte of the answer, which the limit on
 * results does not count.
 */
enum { STEPS_MAX = 20000 };

static const char *check_close(struct hrana_check *c, const struct json *request)
{
	(void)request;
	c->closed = true;
	return NULL;
}

static int run_close(struct hrana_stream *s, const struct json *request, struct sql_error *e)
{
	(void)s;
	(void)request;
	(void)e;
	return 0;
}

static const char *check_execute(struct hrana_check *c, const struct json *request)
{
	return hrana_stmt_check(json_get(request, "stmt"), &c->store);
}

static int run_execute(struct hrana_stream *s, const struct json *request, struct sql_error *e)
{
	json_key(s->out, "result");
	return hrana_stmt_run(s, json_get(request, "stmt"), e);
}

static bool execute_would_write(struct hrana_stream *s, const struct json *request)
{
	return hrana_sql_would_write(s, json_get(request, "stmt"));
}

static const char *check_batch(struct hrana_check *c, const struct json *request)
{
	const struct json *batch = json_get(request, "batch");
	const char *why = hrana_steps_check(batch, &c->store);

	if (why == NULL)
		c->nsteps += hrana_steps_count(batch);
	return why;
}

static int run_batch(struct hrana_stream *s, const struct json *request, struct sql_error *e)
{
	(void)e;
	json_key(s->out, "result");
	hrana_steps_run(s, json_get(request, "batch"));
	return 0;
}

static bool batch_would_write(struct hrana_stream *s, const struct json *request)
{
	return hrana_steps_would_write(s, json_get(request, "batch"));
}

static const char *check_sql(struct hrana_check *c, const struct json *request)
{
	return hrana_sql_check(request, &c->store);
}

static int run_describe(struct hrana_stream *s, const struct json *request, struct sql_error *e)
{
	json_key(s->out, "result");
	return hrana_describe(s, request, e);
}

static int64_t sql_id_of(const struct json *request)
{
	int64_t id = 0;

	(void)json_int(json_get(request, "sql_id"), &id);
	return id;
}

static enum hrana_stored store_sql(struct hrana_store *store, const struct json *request)
{
	const struct json *sql = json_get(request, "sql");

	return hrana_store_put(store, sql_id_of(request),
			       (struct hrana_sql){ .text = sql->text, .len = sql->len });
}

static const char *check_sql_id(const struct json *request)
{
	int64_t ignored;

	return json_int(json_get(request, "sql_id"), &ignored) == 0 ? NULL
								    : "sql_id must be an integer";
}

/* What the store refuses is refused in its place; a use of it later is malformed. */
static const char *check_store_sql(struct hrana_check *c, const struct json *request)
{
	if (!json_is(json_get(request, "sql"), JSON_STRING))
		return "sql must be a string";
	const char *why = check_sql_id(request);
	if (why == NULL)
		(void)store_sql(&c->store, request);
	return why;
}

static int run_store_sql(struct hrana_stream *s, const struct json *request, struct sql_error *e)
{
	switch (store_sql(&s->store, request)) {
	case HRANA_STORED:
		return 0;
	case HRANA_STORE_FULL:
		sql_error_set(e, "SQL_STORE_TOO_MANY", "more than %d SQL texts are stored",
			      HRANA_STORE_MAX);
		return -1;
	case HRANA_STORE_TOO_LONG:
		sql_error_set(e, "SQL_STORE_TOO_LARGE",
			      "a stored SQL text may have %d bytes at most, all together %d",
			      HRANA_STORE_TEXT_MAX, HRANA_STORE_BYTES_MAX);
		return -1;
	}
	return -1;
}

static const char *check_close_sql(struct hrana_check *c, const struct json *request)
{
	const char *why = check_sql_id(request);

	if (why == NULL)
		hrana_store_drop(&c->store, sql_id_of(request));
	return why;
}

static int run_close_sql(struct hrana_stream *s, const struct json *request, struct sql_error *e)
{
	(void)e;
	hrana_store_drop(&s->store, sql_id_of(request));
	return 0;
}

static const char *check_nothing(struct hrana_check *c, const struct json *request)
{
	(void)c;
	(void)request;
	return NULL;
}

static int run_get_autocommit(struct hrana_stream *s, const struct json *request,
			      struct sql_error *e)
{
	(void)request;
	(void)e;
	json_key(s->out, "is_autocommit");
	json_put_bool(s->out, !sandbox_in_transaction(s->sandbox));
	return 0;
}

/* The stored texts have to be followed, too. */
static bool follow_store_sql(struct hrana_stream *s, const struct json *request)
{
	(void)store_sql(&s->store, request);
	return false;
}

static bool follow_close_sql(struct hrana_stream *s, const struct json *request)
{
	hrana_store_drop(&s->store, sql_id_of(request));
	return false;
}

struct kind {
	const char *name;
	const char *(*check)(struct hrana_check *c, const struct json *request);
	/* Appends members to the response; -1: the error. */
	int (*run)(struct hrana_stream *s, const struct json *request, struct sql_error *e);
	bool (*would_write)(struct hrana_stream *s, const struct json *request);
};

static const struct kind *kind_of(const struct json *request)
{
	static const struct kind kinds[] = {
		{ "close", check_close, run_close, NULL },
		{ "execute", check_execute, run_execute, execute_would_write },
		{ "batch", check_batch, run_batch, batch_would_write },
		{ "sequence", check_sql, hrana_sequence, hrana_sql_would_write },
		{ "describe", check_sql, run_describe, NULL },
		{ "store_sql", check_store_sql, run_store_sql, follow_store_sql },
		{ "close_sql", check_close_sql, run_close_sql, follow_close_sql },
		{ "get_autocommit", check_nothing, run_get_autocommit, NULL },
	};
	const struct json *type = json_get(request, "type");

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (json_text_is(type, kinds[i].name))
			return &kinds[i];
	return NULL;
}

const char *hrana_request_check(struct hrana_check *c, const struct json *request)
{
	const struct kind *kind = kind_of(request);

	if (kind == NULL)
		return "a request of unknown type";
	if (c->closed)
		return "close must be the last request";
	c->nsteps++;
	const char *why = kind->check(c, request);
	if (why == NULL && c->nsteps > STEPS_MAX)
		why = "too many statements";
	return why;
}

static void put_error(struct json_writer *w, const struct sql_error *e)
{
	json_open_object(w);
	json_key(w, "type");
	json_put_string(w, "error");
	json_key(w, "error");
	hrana_error_put(w, e);
	json_close_object(w);
}

void hrana_request_run(struct hrana_stream *s, const struct json *request)
{
	const struct kind *kind = kind_of(request);
	struct json_mark mark = json_mark(s->out);
	struct sql_error e;

	assert(kind != NULL);
	json_open_object(s->out);
	json_key(s->out, "type");
	json_put_string(s->out, "ok");
	json_key(s->out, "response");
	json_open_object(s->out);
	json_key(s->out, "type");
	json_put_string(s->out, kind->name);
	if (kind->run(s, request, &e) < 0) {
		hrana_stream_failed(s, &e);
		json_rewind(s->out, mark);
		put_error(s->out, &e);
		return;
	}
	json_close_object(s->out);
	json_close_object(s->out);
}

bool hrana_request_would_write(struct hrana_stream *s, const struct json *request)
{
	const struct kind *kind = kind_of(request);

	assert(kind != NULL);
	return kind->would_write != NULL && kind->would_write(s, request);
}
