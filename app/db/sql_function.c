#include "db/sql_function.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

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

void sql_function_register(struct sqlite3 *db)
{
	static const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
	int rc = sqlite3_create_function(db, "instr", 2, flags, NULL, instr, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_create_function(db, "replace", 3, flags, NULL, replace, NULL, NULL);
	assert(rc == SQLITE_OK);
	(void)rc;
}
