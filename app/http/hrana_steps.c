#include "http/hrana_steps.h"

#include "base/alloc.h"
#include "http/hrana_cond.h"
#include "http/hrana_stmt.h"
#include "http/hrana_value.h"

#include <stdlib.h>

static const struct json *steps_of(const struct json *batch)
{
	return json_get(batch, "steps");
}

size_t hrana_steps_count(const struct json *batch)
{
	return steps_of(batch)->len;
}

static const char *check_step(const struct json *step, size_t number,
			      const struct hrana_store *store)
{
	const struct json *cond = hrana_get(step, "condition");
	const char *why = cond != NULL ? hrana_cond_check(cond, number) : NULL;

	return why != NULL ? why : hrana_stmt_check(json_get(step, "stmt"), store);
}

const char *hrana_steps_check(const struct json *batch, const struct hrana_store *store)
{
	const struct json *steps = steps_of(batch);
	size_t number = 0;

	if (!json_is(steps, JSON_ARRAY))
		return "batch must be an object with an array steps";
	for (const struct json *step = steps->first; step != NULL; step = step->next) {
		const char *why = check_step(step, number++, store);
		if (why != NULL)
			return why;
	}
	return NULL;
}

static bool is_due(const struct hrana_stream *s, const struct json *step, const bool *succeeded)
{
	const struct json *cond = hrana_get(step, "condition");
	struct hrana_progress p = {
		.succeeded = succeeded,
		.autocommit = !sandbox_in_transaction(s->sandbox),
	};

	return cond == NULL || hrana_cond_holds(cond, &p);
}

/* NULL: no error.  It is kept until the results are written, which come first. */
static struct sql_error *run_step(struct hrana_stream *s, const struct json *step)
{
	struct json_mark mark = json_mark(s->out);
	struct sql_error e;

	if (hrana_stmt_run(s, json_get(step, "stmt"), &e) == 0)
		return NULL;
	hrana_stream_failed(s, &e);
	json_rewind(s->out, mark);
	json_put_null(s->out);
	struct sql_error *kept = alloc_zeroed(1, sizeof *kept);
	*kept = e;
	return kept;
}

static void put_errors(struct json_writer *w, struct sql_error *const *errors, size_t n)
{
	json_key(w, "step_errors");
	json_open_array(w);
	for (size_t i = 0; i < n; i++) {
		if (errors[i] != NULL)
			hrana_error_put(w, errors[i]);
		else
			json_put_null(w);
	}
	json_close_array(w);
}

void hrana_steps_run(struct hrana_stream *s, const struct json *batch)
{
	size_t n = hrana_steps_count(batch), i = 0;
	struct sql_error **errors = alloc_zeroed(n, sizeof(struct sql_error *));
	bool *succeeded = alloc_zeroed(n, sizeof *succeeded);

	json_open_object(s->out);
	json_key(s->out, "step_results");
	json_open_array(s->out);
	for (const struct json *step = steps_of(batch)->first; step != NULL && !s->blocked;
	     step = step->next) {
		if (is_due(s, step, succeeded)) {
			errors[i] = run_step(s, step);
			succeeded[i] = errors[i] == NULL;
		} else {
			json_put_null(s->out);
		}
		i++;
	}
	json_close_array(s->out);
	put_errors(s->out, errors, n);
	json_close_object(s->out);
	for (i = 0; i < n; i++)
		free(errors[i]);
	free(errors);
	free(succeeded);
}

static void put_step_error(struct hrana_stream *s, size_t step, const struct sql_error *e)
{
	json_open_object(s->out);
	json_key(s->out, "type");
	json_put_string(s->out, "step_error");
	json_key(s->out, "step");
	json_put_int(s->out, (int64_t)step);
	json_key(s->out, "error");
	hrana_error_put(s->out, e);
	json_close_object(s->out);
	hrana_stream_end_line(s);
}

void hrana_steps_run_lines(struct hrana_stream *s, const struct json *batch)
{
	size_t n = hrana_steps_count(batch), i = 0;
	bool *succeeded = alloc_zeroed(n, sizeof *succeeded);
	struct sql_error e;

	for (const struct json *step = steps_of(batch)->first; step != NULL && !s->blocked;
	     step = step->next, i++) {
		if (!is_due(s, step, succeeded))
			continue;
		succeeded[i] = hrana_stmt_run_lines(s, json_get(step, "stmt"), i, &e) == 0;
		if (succeeded[i])
			continue;
		hrana_stream_failed(s, &e);
		put_step_error(s, i, &e);
	}
	free(succeeded);
}

bool hrana_steps_would_write(struct hrana_stream *s, const struct json *batch)
{
	for (const struct json *step = steps_of(batch)->first; step != NULL; step = step->next)
		if (hrana_sql_would_write(s, json_get(step, "stmt")))
			return true;
	return false;
}
