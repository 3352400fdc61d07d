#include "http/hrana_stmt.h"

#include "http/hrana_args.h"
#include "http/hrana_value.h"

/* Of {"sql":…} or {"sql_id":…}; NULL text: neither, or nothing is stored there. */
static struct hrana_sql find_sql(const struct json *holder, const struct hrana_store *store)
{
	const struct json *sql = hrana_get(holder, "sql");
	const struct hrana_sql *stored = NULL;
	int64_t id;

	if (json_is(sql, JSON_STRING))
		return (struct hrana_sql){ .text = sql->text, .len = sql->len };
	if (json_int(hrana_get(holder, "sql_id"), &id) == 0)
		stored = hrana_store_get(store, id);
	return stored != NULL ? *stored : (struct hrana_sql){ .text = NULL };
}

const char *hrana_sql_check(const struct json *holder, const struct hrana_store *store)
{
	const struct json *sql = hrana_get(holder, "sql");
	const struct json *id = hrana_get(holder, "sql_id");
	int64_t ignored;

	if (sql != NULL && id != NULL)
		return "sql and sql_id exclude each other";
	if (sql != NULL)
		return json_is(sql, JSON_STRING) ? NULL : "sql must be a string";
	if (id == NULL)
		return "sql or sql_id is missing";
	if (json_int(id, &ignored) < 0)
		return "sql_id must be an integer";
	return find_sql(holder, store).text != NULL ? NULL : "nothing is stored under that sql_id";
}

const char *hrana_stmt_check(const struct json *stmt, const struct hrana_store *store)
{
	if (!json_is(stmt, JSON_OBJECT))
		return "stmt must be an object";
	const struct json *want_rows = hrana_get(stmt, "want_rows");
	if (want_rows != NULL && !json_is(want_rows, JSON_BOOL))
		return "want_rows must be a boolean";
	const char *why = hrana_sql_check(stmt, store);
	return why != NULL ? why : hrana_args_check(stmt);
}

static int prepare(struct hrana_stream *s, const struct json *holder, struct stmt **out,
		   struct sql_error *e)
{
	struct hrana_sql sql = find_sql(holder, &s->store);

	return stmt_prepare_one(s->sandbox, sql.text, sql.len, out, e);
}

static void put_columns(struct json_writer *w, const struct stmt *st)
{
	int n = stmt_column_count(st);

	json_key(w, "cols");
	json_open_array(w);
	for (int i = 0; i < n; i++) {
		json_open_object(w);
		json_key(w, "name");
		json_put_string(w, stmt_column_name(st, i));
		json_key(w, "decltype");
		json_put_string(w, stmt_column_decltype(st, i));
		json_close_object(w);
	}
	json_close_array(w);
}

static int put_row(struct hrana_stream *s, const struct stmt *st, struct sql_error *e)
{
	int n = stmt_column_count(st);

	json_open_array(s->out);
	for (int i = 0; i < n; i++) {
		struct stmt_value value;
		stmt_column(st, i, &value);
		if (hrana_stream_room(s, value.len, e) < 0)
			return -1;
		hrana_value_put(s->out, &value);
	}
	json_close_array(s->out);
	return hrana_stream_room(s, 0, e);
}

/*
 * The first step comes before the columns, because it may find a newer schema.
 * A statement without columns never fails for want of room: it is done by then.
 */
static int put_rows(struct hrana_stream *s, struct stmt *st, bool want_rows, struct sql_error *e)
{
	enum stmt_stepped stepped = stmt_step(st, e);

	if (stepped == STMT_FAILED)
		return -1;
	put_columns(s->out, st);
	int room = stmt_column_count(st) > 0 ? hrana_stream_room(s, 0, e) : 0;
	json_key(s->out, "rows");
	json_open_array(s->out);
	while (stepped == STMT_ROW && room == 0) {
		room = want_rows ? put_row(s, st, e) : 0;
		if (room == 0)
			stepped = stmt_step(st, e);
	}
	if (stepped == STMT_ROW) {
		stmt_abort(st);
		return -1;
	}
	json_close_array(s->out);
	return stepped == STMT_DONE && room == 0 ? 0 : -1;
}

static void put_change(struct json_writer *w, const struct stmt_effect *effect)
{
	json_key(w, "affected_row_count");
	json_put_int(w, effect->affected);
	json_key(w, "last_insert_rowid");
	if (effect->has_rowid)
		hrana_integer_put(w, effect->last_rowid);
	else
		json_put_null(w);
}

static void put_effect(struct json_writer *w, const struct stmt *st)
{
	struct stmt_effect effect;

	stmt_effect(st, &effect);
	put_change(w, &effect);
	json_key(w, "rows_read");
	json_put_int(w, (int64_t)effect.rows_read);
	json_key(w, "rows_written");
	json_put_int(w, (int64_t)effect.rows_written);
	json_key(w, "query_duration_ms");
	json_put_double(w, effect.ms);
}

static bool wants_rows(const struct json *stmt)
{
	const struct json *v = hrana_get(stmt, "want_rows");

	return v == NULL || v->boolean;
}

int hrana_stmt_run(struct hrana_stream *s, const struct json *stmt, struct sql_error *e)
{
	struct stmt *st = NULL;
	int result = -1;

	if (prepare(s, stmt, &st, e) < 0 || hrana_args_bind(stmt, st, e) < 0)
		goto out;
	json_open_object(s->out);
	if (put_rows(s, st, wants_rows(stmt), e) < 0)
		goto out;
	put_effect(s->out, st);
	json_close_object(s->out);
	result = 0;
out:
	stmt_free(st);
	return result;
}

static void open_line(struct json_writer *w, const char *type)
{
	json_open_object(w);
	json_key(w, "type");
	json_put_string(w, type);
}

static void close_line(struct hrana_stream *s)
{
	json_close_object(s->out);
	hrana_stream_end_line(s);
}

static int put_row_line(struct hrana_stream *s, const struct stmt *st, struct sql_error *e)
{
	struct json_mark mark = json_mark(s->out);

	open_line(s->out, "row");
	json_key(s->out, "row");
	if (put_row(s, st, e) < 0) {
		json_rewind(s->out, mark);
		return -1;
	}
	close_line(s);
	return 0;
}

static int put_lines(struct hrana_stream *s, struct stmt *st, size_t step, bool want_rows,
		     struct sql_error *e)
{
	enum stmt_stepped stepped = stmt_step(st, e);
	struct stmt_effect effect;

	if (stepped == STMT_FAILED)
		return -1;
	open_line(s->out, "step_begin");
	json_key(s->out, "step");
	json_put_int(s->out, (int64_t)step);
	put_columns(s->out, st);
	close_line(s);
	while (stepped == STMT_ROW) {
		if (want_rows && put_row_line(s, st, e) < 0) {
			stmt_abort(st);
			return -1;
		}
		stepped = stmt_step(st, e);
	}
	if (stepped == STMT_FAILED)
		return -1;
	stmt_effect(st, &effect);
	open_line(s->out, "step_end");
	put_change(s->out, &effect);
	close_line(s);
	return 0;
}

int hrana_stmt_run_lines(struct hrana_stream *s, const struct json *stmt, size_t step,
			 struct sql_error *e)
{
	struct stmt *st = NULL;
	int result = -1;

	if (prepare(s, stmt, &st, e) == 0 && hrana_args_bind(stmt, st, e) == 0)
		result = put_lines(s, st, step, wants_rows(stmt), e);
	stmt_free(st);
	return result;
}

static void put_params(struct json_writer *w, const struct stmt *st)
{
	json_key(w, "params");
	json_open_array(w);
	for (int i = 1; i <= stmt_param_count(st); i++) {
		json_open_object(w);
		json_key(w, "name");
		json_put_string(w, stmt_param_name(st, i));
		json_close_object(w);
	}
	json_close_array(w);
}

int hrana_describe(struct hrana_stream *s, const struct json *holder, struct sql_error *e)
{
	struct stmt *st = NULL;

	if (prepare(s, holder, &st, e) < 0)
		return -1;
	json_open_object(s->out);
	put_params(s->out, st);
	put_columns(s->out, st);
	json_key(s->out, "is_explain");
	json_put_bool(s->out, stmt_is_explain(st));
	json_key(s->out, "is_readonly");
	json_put_bool(s->out, stmt_is_readonly(st));
	json_close_object(s->out);
	stmt_free(st);
	return hrana_stream_room(s, 0, e);
}

static int run_to_the_end(struct stmt *st, struct sql_error *e)
{
	enum stmt_stepped stepped;

	if (stmt_bind_end(st, e) < 0)
		return -1;
	do {
		stepped = stmt_step(st, e);
	} while (stepped == STMT_ROW);
	return stepped == STMT_DONE ? 0 : -1;
}

/* The next statement of `rest`, which begins behind it from now on. */
static enum stmt_prepared prepare_next(struct hrana_stream *s, struct hrana_sql *rest,
				       struct stmt **out, struct sql_error *e)
{
	size_t used;
	enum stmt_prepared prepared =
		stmt_prepare_next(s->sandbox, rest->text, rest->len, &used, out, e);

	rest->text += used;
	rest->len -= used;
	return prepared;
}

int hrana_sequence(struct hrana_stream *s, const struct json *holder, struct sql_error *e)
{
	struct hrana_sql rest = find_sql(holder, &s->store);

	for (;;) {
		struct stmt *st;
		switch (prepare_next(s, &rest, &st, e)) {
		case STMT_READY:
			break;
		case STMT_EMPTY:
			return 0;
		case STMT_REFUSED:
			return -1;
		}
		int result = run_to_the_end(st, e);
		stmt_free(st);
		if (result < 0)
			return -1;
	}
}

bool hrana_sql_would_write(struct hrana_stream *s, const struct json *holder)
{
	struct hrana_sql rest = find_sql(holder, &s->store);
	struct sql_error ignored;
	bool writes = false;
	struct stmt *st;

	while (!writes && prepare_next(s, &rest, &st, &ignored) == STMT_READY) {
		writes = stmt_may_write(st);
		stmt_free(st);
	}
	return writes;
}
