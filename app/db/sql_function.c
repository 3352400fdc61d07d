#include "db/sql_function.h"

#include "base/clock.h"

#include <assert.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum {
	COMPARES_A_LOOK = 1 << 16, /* at the clock */
	PATCH_WORK_MAX = INT_MAX, /* bytes of one times bytes of the other: a second or two */
	ARGS_MAX = 127, /* SQLite's own limit */
};

struct bytes {
	const char *at;
	size_t len;
};

/* Before its length is asked for, a value is converted. */
static struct bytes text_of(sqlite3_value *value)
{
	const char *at = (const char *)sqlite3_value_text(value);

	return (struct bytes){ at, (size_t)sqlite3_value_bytes(value) };
}

static struct bytes blob_of(sqlite3_value *value)
{
	const char *at = sqlite3_value_blob(value);

	return (struct bytes){ at != NULL ? at : "", (size_t)sqlite3_value_bytes(value) };
}

static const char *find(struct bytes in, struct bytes what)
{
	return memmem(in.at, in.len, what.at, what.len);
}

static sqlite3_int64 count_characters(const char *from, const char *to)
{
	sqlite3_int64 n = 0;

	for (; from < to; from++)
		n += ((unsigned char)*from & 0xc0) != 0x80;
	return n;
}

static bool is_null(sqlite3_value *value)
{
	return sqlite3_value_type(value) == SQLITE_NULL;
}

static void instr(sqlite3_context *c, int n, sqlite3_value **arg)
{
	(void)n;
	if (is_null(arg[0]) || is_null(arg[1]))
		return;
	bool blobs = sqlite3_value_type(arg[0]) == SQLITE_BLOB &&
		     sqlite3_value_type(arg[1]) == SQLITE_BLOB;
	struct bytes in = blobs ? blob_of(arg[0]) : text_of(arg[0]);
	struct bytes what = blobs ? blob_of(arg[1]) : text_of(arg[1]);
	if (in.at == NULL || what.at == NULL) {
		sqlite3_result_error_nomem(c);
		return;
	}
	const char *hit = find(in, what);
	if (hit == NULL)
		sqlite3_result_int(c, 0);
	else if (blobs)
		sqlite3_result_int64(c, hit - in.at + 1);
	else
		sqlite3_result_int64(c, count_characters(in.at, hit) + 1);
}

static void put_replaced(sqlite3_str *out, struct bytes in, struct bytes what, struct bytes by)
{
	const char *end = in.at + in.len, *hit;

	while (sqlite3_str_errcode(out) == SQLITE_OK && (hit = find(in, what)) != NULL) {
		sqlite3_str_append(out, in.at, (int)(hit - in.at));
		sqlite3_str_append(out, by.at, (int)by.len);
		in.at = hit + what.len;
		in.len = (size_t)(end - in.at);
	}
	sqlite3_str_append(out, in.at, (int)in.len);
}

static void result_str(sqlite3_context *c, sqlite3_str *out)
{
	int rc = sqlite3_str_errcode(out);
	int len = sqlite3_str_length(out);
	char *text = sqlite3_str_finish(out);

	if (rc != SQLITE_OK) {
		sqlite3_free(text);
		sqlite3_result_error_code(c, rc);
	} else if (text == NULL) {
		sqlite3_result_text(c, "", 0, SQLITE_STATIC);
	} else {
		sqlite3_result_text(c, text, len, sqlite3_free);
	}
}

static void replace(sqlite3_context *c, int n, sqlite3_value **arg)
{
	(void)n;
	if (is_null(arg[0]) || is_null(arg[1]))
		return;
	struct bytes in = text_of(arg[0]), what = text_of(arg[1]);
	if (what.at != NULL && what.at[0] == '\0') {
		sqlite3_result_value(c, arg[0]);
		return;
	}
	if (is_null(arg[2]))
		return;
	struct bytes by = text_of(arg[2]);
	if (in.at == NULL || what.at == NULL || by.at == NULL) {
		sqlite3_result_error_nomem(c);
		return;
	}
	sqlite3_str *out = sqlite3_str_new(sqlite3_context_db_handle(c));
	put_replaced(out, in, what, by);
	result_str(c, out);
}

static bool is_late(sqlite3_context *c)
{
	const int64_t *until_ms = sqlite3_user_data(c);

	return *until_ms != 0 && clock_mono_ms() >= *until_ms;
}

/* As SQLite has it: a first byte and whatever could go on with it. */
static size_t character_len(const char *at, const char *end)
{
	const char *next = at + 1;

	if ((unsigned char)*at >= 0xc0)
		while (next < end && ((unsigned char)*next & 0xc0) == 0x80)
			next++;
	return (size_t)(next - at);
}

enum side { LEFT = 1, RIGHT = 2 };

/* How long the character of `set` is with which the text begins or ends, 0 if with none. */
static size_t match_one(struct bytes in, struct bytes set, enum side side, unsigned *ncompares)
{
	const char *end = set.at + set.len;

	for (const char *c = set.at; c < end; ++*ncompares) {
		size_t len = character_len(c, end);
		const char *there = side == LEFT ? in.at : in.at + in.len - len;
		if (len <= in.len && memcmp(there, c, len) == 0)
			return len;
		c += len;
	}
	return 0;
}

/* -1: no time left. */
static int trim_side(sqlite3_context *c, struct bytes *in, struct bytes set, enum side side)
{
	unsigned ncompares = 0;
	size_t len;

	while (in->len > 0 && (len = match_one(*in, set, side, &ncompares)) > 0) {
		if (side == LEFT)
			in->at += len;
		in->len -= len;
		if (ncompares < COMPARES_A_LOOK)
			continue;
		if (is_late(c))
			return -1;
		ncompares = 0;
	}
	return 0;
}

static void trim_sides(sqlite3_context *c, int n, sqlite3_value **arg, unsigned sides)
{
	struct bytes set = { " ", 1 };

	if (is_null(arg[0]) || (n == 2 && is_null(arg[1])))
		return;
	struct bytes in = text_of(arg[0]);
	if (n == 2)
		set = text_of(arg[1]);
	if (in.at == NULL || set.at == NULL) {
		sqlite3_result_error_nomem(c);
		return;
	}
	set.len = strnlen(set.at, set.len);
	if (((sides & LEFT) && trim_side(c, &in, set, LEFT) < 0) ||
	    ((sides & RIGHT) && trim_side(c, &in, set, RIGHT) < 0))
		sqlite3_result_error_code(c, SQLITE_INTERRUPT);
	else
		sqlite3_result_text(c, in.at, (int)in.len, SQLITE_TRANSIENT);
}

static void trim(sqlite3_context *c, int n, sqlite3_value **arg)
{
	trim_sides(c, n, arg, LEFT | RIGHT);
}

static void ltrim(sqlite3_context *c, int n, sqlite3_value **arg)
{
	trim_sides(c, n, arg, LEFT);
}

static void rtrim(sqlite3_context *c, int n, sqlite3_value **arg)
{
	trim_sides(c, n, arg, RIGHT);
}

/*
 * What only has to be checked before it runs is SQLite's own all the same, on a
 * connection to nothing, one for each thread: there the names are not replaced.
 */
enum original { PRINTF, JSON_PATCH, JSONB_PATCH, NORIGINALS };

static const char *const original_name[] = {
	[PRINTF] = "printf",
	[JSON_PATCH] = "json_patch",
	[JSONB_PATCH] = "jsonb_patch",
};

static sqlite3_stmt *prepare_original(enum original which, int n)
{
	static _Thread_local struct sqlite3 *nothing;
	sqlite3_stmt *stmt = NULL;

	if (nothing == NULL &&
	    sqlite3_open_v2(":memory:", &nothing, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		sqlite3_close(nothing);
		nothing = NULL;
		return NULL;
	}
	sqlite3_str *sql = sqlite3_str_new(nothing);
	sqlite3_str_appendf(sql, "SELECT %s(", original_name[which]);
	for (int i = 0; i < n; i++)
		sqlite3_str_appendall(sql, i == 0 ? "?" : ",?");
	sqlite3_str_appendall(sql, ")");
	char *text = sqlite3_str_finish(sql);
	if (text != NULL)
		(void)sqlite3_prepare_v3(nothing, text, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
	sqlite3_free(text);
	return stmt;
}

static int run_original(sqlite3_stmt *stmt, int n, sqlite3_value **arg)
{
	int rc = SQLITE_OK;

	for (int i = 0; i < n && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_value(stmt, i + 1, arg[i]);
	return rc == SQLITE_OK ? sqlite3_step(stmt) : rc;
}

static void call_original(sqlite3_context *c, enum original which, int n, sqlite3_value **arg)
{
	static _Thread_local sqlite3_stmt *prepared[NORIGINALS][ARGS_MAX + 1];
	sqlite3_stmt **stmt = &prepared[which][n];

	if (*stmt == NULL)
		*stmt = prepare_original(which, n);
	if (*stmt == NULL) {
		sqlite3_result_error_nomem(c);
		return;
	}
	struct sqlite3 *nothing = sqlite3_db_handle(*stmt);
	sqlite3_limit(nothing, SQLITE_LIMIT_LENGTH,
		      sqlite3_limit(sqlite3_context_db_handle(c), SQLITE_LIMIT_LENGTH, -1));
	int rc = run_original(*stmt, n, arg);
	if (rc == SQLITE_ROW) {
		sqlite3_result_value(c, sqlite3_column_value(*stmt, 0));
	} else {
		sqlite3_result_error(c, sqlite3_errmsg(nothing), -1);
		sqlite3_result_error_code(c, rc);
	}
	sqlite3_reset(*stmt);
	sqlite3_clear_bindings(*stmt);
}

/* Of one conversion: `at` is behind the %, and then behind the conversion's letter. */
struct conversion {
	const char *at;
	int arg; /* the next one */
	int64_t precision;
	char letter;
};

static int64_t number_at(struct conversion *v, int n, sqlite3_value **arg)
{
	int64_t number = 0;

	if (*v->at == '*') {
		v->at++;
		return v->arg < n ? sqlite3_value_int(arg[v->arg++]) : 0;
	}
	for (; *v->at >= '0' && *v->at <= '9'; v->at++)
		if (number < INT_MAX)
			number = number * 10 + *v->at - '0';
	return number;
}

static void read_conversion(struct conversion *v, int n, sqlite3_value **arg)
{
	v->precision = 0;
	v->at += strspn(v->at, "-+ #!0,");
	(void)number_at(v, n, arg);
	if (*v->at == '.') {
		v->at++;
		v->precision = number_at(v, n, arg);
	}
	v->at += strspn(v->at, "l");
	v->letter = *v->at;
	if (v->letter == '\0')
		return;
	v->at++;
	if (strchr("%n", v->letter) == NULL)
		v->arg++;
}

/* %.9c repeats a character, one at a time, and goes on where the result is too long already. */
static bool repeats_too_much(const char *format, int n, sqlite3_value **arg, int64_t most)
{
	struct conversion v = { .at = format, .arg = 1 };
	int64_t total = 0;

	while ((v.at = strchr(v.at, '%')) != NULL) {
		v.at++;
		read_conversion(&v, n, arg);
		if (v.letter == 'c' && v.precision < 0)
			v.precision = -v.precision;
		if (v.letter == 'c')
			total += v.precision;
		if (total > most)
			return true;
	}
	return false;
}

static void print_formatted(sqlite3_context *c, int n, sqlite3_value **arg)
{
	int most = sqlite3_limit(sqlite3_context_db_handle(c), SQLITE_LIMIT_LENGTH, -1);
	const char *format = n > 0 ? text_of(arg[0]).at : NULL;

	if (format != NULL && repeats_too_much(format, n, arg, most))
		sqlite3_result_error_toobig(c);
	else
		call_original(c, PRINTF, n, arg);
}

static void patch(sqlite3_context *c, enum original which, sqlite3_value **arg)
{
	int64_t work = (int64_t)sqlite3_value_bytes(arg[0]) * sqlite3_value_bytes(arg[1]);

	if (work > PATCH_WORK_MAX)
		sqlite3_result_error_toobig(c);
	else
		call_original(c, which, 2, arg);
}

/* The answer is JSON to a function that takes it, and not a text. */
static void json_patch(sqlite3_context *c, int n, sqlite3_value **arg)
{
	(void)n;
	patch(c, JSON_PATCH, arg);
	sqlite3_result_subtype(c, 'J');
}

static void jsonb_patch(sqlite3_context *c, int n, sqlite3_value **arg)
{
	(void)n;
	patch(c, JSONB_PATCH, arg);
}

#ifdef SQLITE_RESULT_SUBTYPE
enum { RESULT_SUBTYPE = SQLITE_RESULT_SUBTYPE };
#else
enum { RESULT_SUBTYPE = 0 };
#endif

enum { JSONB_SINCE = 3045000 }; /* of SQLite's versions */

void sql_function_register(struct sqlite3 *db, const int64_t *until_ms)
{
	static const struct {
		const char *name;
		int nargs;
		int flags;
		int since;
		void (*run)(sqlite3_context *c, int n, sqlite3_value **arg);
	} functions[] = {
		{ "instr", 2, 0, 0, instr },
		{ "replace", 3, 0, 0, replace },
		{ "trim", 1, 0, 0, trim },
		{ "trim", 2, 0, 0, trim },
		{ "ltrim", 1, 0, 0, ltrim },
		{ "ltrim", 2, 0, 0, ltrim },
		{ "rtrim", 1, 0, 0, rtrim },
		{ "rtrim", 2, 0, 0, rtrim },
		{ "printf", -1, 0, 0, print_formatted },
		{ "format", -1, 0, 0, print_formatted },
		{ "json_patch", 2, RESULT_SUBTYPE, 0, json_patch },
		{ "jsonb_patch", 2, 0, JSONB_SINCE, jsonb_patch },
	};
	static const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;

	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		if (sqlite3_libversion_number() < functions[i].since)
			continue;
		int rc = sqlite3_create_function(
			db, functions[i].name, functions[i].nargs, flags | functions[i].flags,
			(void *)(uintptr_t)until_ms, functions[i].run, NULL, NULL);
		assert(rc == SQLITE_OK);
		(void)rc;
	}
}
