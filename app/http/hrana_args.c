#include "http/hrana_args.h"

#include "http/hrana_value.h"

enum {
	ARGS_MAX = 32766, /* SQLite's own limit */
	NAMED_ARGS_MAX = 2000, /* each is looked up among all parameters */
};

static const char *check_args(const struct json *args, struct buf *blob)
{
	struct stmt_value ignored;

	if (args == NULL)
		return NULL;
	if (!json_is(args, JSON_ARRAY))
		return "args must be an array";
	if (args->len > ARGS_MAX)
		return "too many args";
	for (const struct json *v = args->first; v != NULL; v = v->next)
		if (hrana_value_read(v, blob, &ignored) < 0)
			return "malformed value in args";
	return NULL;
}

static const char *check_named_args(const struct json *args, struct buf *blob)
{
	struct stmt_value ignored;

	if (args == NULL)
		return NULL;
	if (!json_is(args, JSON_ARRAY))
		return "named_args must be an array";
	if (args->len > NAMED_ARGS_MAX)
		return "too many named_args";
	for (const struct json *v = args->first; v != NULL; v = v->next) {
		if (!json_is(json_get(v, "name"), JSON_STRING))
			return "one of named_args has no name";
		if (hrana_value_read(json_get(v, "value"), blob, &ignored) < 0)
			return "malformed value in named_args";
	}
	return NULL;
}

const char *hrana_args_check(const struct json *stmt)
{
	struct buf blob = BUF_INIT;
	const char *why = check_args(hrana_get(stmt, "args"), &blob);

	if (why == NULL)
		why = check_named_args(hrana_get(stmt, "named_args"), &blob);
	buf_release(&blob);
	return why;
}

static size_t count(const struct json *list)
{
	return list != NULL ? list->len : 0;
}

static const struct json *first(const struct json *list)
{
	return list != NULL ? list->first : NULL;
}

int hrana_args_bind(const struct json *stmt, struct stmt *st, struct sql_error *e)
{
	const struct json *args = hrana_get(stmt, "args");
	const struct json *named = hrana_get(stmt, "named_args");
	struct buf blob = BUF_INIT;
	struct stmt_value value;
	int result = 0;

	if (count(args) > 0 && count(named) > 0) {
		sql_error_set(e, "ARGS_BOTH_POSITIONAL_AND_NAMED",
			      "arguments must be either positional or named");
		return -1;
	}
	for (const struct json *v = first(args); v != NULL && result == 0; v = v->next) {
		(void)hrana_value_read(v, &blob, &value);
		result = stmt_bind_next(st, &value, e);
	}
	for (const struct json *v = first(named); v != NULL && result == 0; v = v->next) {
		const struct json *name = json_get(v, "name");
		(void)hrana_value_read(json_get(v, "value"), &blob, &value);
		result = stmt_bind_name(st, name->text, name->len, &value, e);
	}
	buf_release(&blob);
	return result < 0 ? result : stmt_bind_end(st, e);
}
