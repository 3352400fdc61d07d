#include "http/hrana_value.h"

#include "base/base64.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct json *hrana_get(const struct json *object, const char *key)
{
	const struct json *v = json_get(object, key);

	return json_is(v, JSON_NULL) ? NULL : v;
}

static int read_null(const struct json *v, struct buf *blob, struct stmt_value *out)
{
	(void)v;
	(void)blob;
	out->type = STMT_NULL;
	return 0;
}

static int read_integer(const struct json *v, struct buf *blob, struct stmt_value *out)
{
	const struct json *value = json_get(v, "value");

	(void)blob;
	if (!json_is(value, JSON_STRING))
		return -1;
	const char *digits = value->text + (value->text[0] == '-');
	size_t ndigits = strspn(digits, "0123456789");
	if (ndigits == 0 || digits + ndigits != value->text + value->len)
		return -1;
	errno = 0;
	out->integer = strtoll(value->text, NULL, 10);
	out->type = STMT_INTEGER;
	return errno == 0 ? 0 : -1;
}

static int read_float(const struct json *v, struct buf *blob, struct stmt_value *out)
{
	(void)blob;
	out->type = STMT_REAL;
	return json_double(json_get(v, "value"), &out->real);
}

static int read_text(const struct json *v, struct buf *blob, struct stmt_value *out)
{
	const struct json *value = json_get(v, "value");

	(void)blob;
	if (!json_is(value, JSON_STRING))
		return -1;
	out->type = STMT_TEXT;
	out->bytes = value->text;
	out->len = value->len;
	return 0;
}

static int read_blob(const struct json *v, struct buf *blob, struct stmt_value *out)
{
	const struct json *base64 = json_get(v, "base64");

	if (!json_is(base64, JSON_STRING))
		return -1;
	buf_clear(blob);
	if (base64_decode(BASE64_STANDARD, base64->text, base64->len, blob) < 0)
		return -1;
	out->type = STMT_BLOB;
	out->bytes = blob->data;
	out->len = blob->len;
	return 0;
}

int hrana_value_read(const struct json *v, struct buf *blob, struct stmt_value *out)
{
	static const struct {
		const char *name;
		int (*read)(const struct json *v, struct buf *blob, struct stmt_value *out);
	} types[] = {
		{ "null", read_null }, { "integer", read_integer }, { "float", read_float },
		{ "text", read_text }, { "blob", read_blob },
	};
	const struct json *type = json_get(v, "type");

	*out = (struct stmt_value){ .type = STMT_NULL };
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (json_text_is(type, types[i].name))
			return types[i].read(v, blob, out);
	return -1;
}

void hrana_integer_put(struct json_writer *w, int64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%" PRId64, value);
	json_put_string(w, text);
}

static void put_blob(struct json_writer *w, const struct stmt_value *v)
{
	struct buf text = BUF_INIT;

	base64_encode(BASE64_STANDARD, v->bytes, v->len, &text);
	json_put_text(w, text.data, text.len);
	buf_release(&text);
}

void hrana_value_put(struct json_writer *w, const struct stmt_value *v)
{
	static const char *const names[] = {
		[STMT_NULL] = "null", [STMT_INTEGER] = "integer", [STMT_REAL] = "float",
		[STMT_TEXT] = "text", [STMT_BLOB] = "blob",
	};

	json_open_object(w);
	json_key(w, "type");
	json_put_string(w, names[v->type]);
	switch (v->type) {
	case STMT_NULL:
		break;
	case STMT_INTEGER:
		json_key(w, "value");
		hrana_integer_put(w, v->integer);
		break;
	case STMT_REAL:
		json_key(w, "value");
		json_put_double(w, v->real);
		break;
	case STMT_TEXT:
		json_key(w, "value");
		json_put_text(w, v->bytes, v->len);
		break;
	case STMT_BLOB:
		json_key(w, "base64");
		put_blob(w, v);
		break;
	}
	json_close_object(w);
}

void hrana_error_put(struct json_writer *w, const struct sql_error *e)
{
	json_open_object(w);
	json_key(w, "message");
	json_put_string(w, e->message);
	json_key(w, "code");
	json_put_string(w, e->code);
	if (e->extended_code != NULL) {
		json_key(w, "extended_code");
		json_put_string(w, e->extended_code);
	}
	json_close_object(w);
}
