/*
 * Any bytes as JSON: what is accepted is within the limits and, written again, read
 * again, the same.
 */
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/utf8.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 16, VALUES_MAX = 200, LEN_MAX = 4096 };

static const struct json_limits limits = { LEN_MAX, DEPTH_MAX, VALUES_MAX };

static void check_text(const char *text, size_t len)
{
	assert(text[len] == '\0');
	assert(utf8_valid_prefix(text, len) == len);
}

static void write_number(struct json_writer *w, const struct json *v)
{
	int64_t whole;
	double real;

	assert(strlen(v->text) == v->len);
	if (json_int(v, &whole) == 0)
		json_put_int(w, whole);
	else if (json_double(v, &real) == 0)
		json_put_double(w, real);
	else
		json_put_string(w, v->text);
}

/* A key may hold U+0000, which the writer's keys cannot: it is written up to there. */
static size_t write_value(struct json_writer *w, const struct json *v, unsigned depth)
{
	bool keyed = json_is(v, JSON_OBJECT);
	size_t nvalues = 1, nmembers = 0;

	assert(depth <= DEPTH_MAX);
	switch (v->type) {
	case JSON_NULL:
		json_put_null(w);
		return 1;
	case JSON_BOOL:
		json_put_bool(w, v->boolean);
		return 1;
	case JSON_NUMBER:
		write_number(w, v);
		return 1;
	case JSON_STRING:
		check_text(v->text, v->len);
		json_put_text(w, v->text, v->len);
		return 1;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	keyed ? json_open_object(w) : json_open_array(w);
	for (const struct json *m = v->first; m != NULL; m = m->next, nmembers++) {
		assert((m->key != NULL) == keyed);
		if (keyed) {
			check_text(m->key, m->key_len);
			json_key(w, m->key);
		}
		nvalues += write_value(w, m, depth + 1);
	}
	keyed ? json_close_object(w) : json_close_array(w);
	assert(nmembers == v->len);
	return nvalues;
}

static void check_number(const struct json *a, const struct json *b)
{
	int64_t m, n;
	double x, y;

	if (json_int(a, &m) == 0) {
		assert(json_int(b, &n) == 0 && m == n);
	} else if (json_double(a, &x) == 0) {
		assert(json_double(b, &y) == 0 && x == y && signbit(x) == signbit(y));
	} else {
		assert(json_text_is(b, a->text));
	}
}

static void check_same(const struct json *a, const struct json *b)
{
	if (json_is(a, JSON_NUMBER)) {
		check_number(a, b);
		return;
	}
	assert(a->type == b->type && a->boolean == b->boolean && a->len == b->len);
	if (json_is(a, JSON_STRING))
		assert(memcmp(a->text, b->text, a->len) == 0);
	const struct json *n = b->first;
	for (const struct json *m = a->first; m != NULL; m = m->next, n = n->next) {
		if (m->key != NULL)
			assert(strcmp(m->key, n->key) == 0);
		check_same(m, n);
	}
	assert(n == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct json_limits roomy = { 16 * LEN_MAX, DEPTH_MAX, VALUES_MAX };
	char why[128] = "";
	struct buf text = BUF_INIT;
	struct json_doc *doc = json_parse((const char *)data, len, &limits, why, sizeof why);

	if (doc == NULL) {
		assert(why[0] != '\0');
		return 0;
	}
	assert(len <= LEN_MAX && utf8_valid_prefix((const char *)data, len) == len);
	struct json_writer *w = json_writer_new(&text);
	assert(write_value(w, json_root(doc), 0) <= VALUES_MAX);
	json_writer_free(w);
	struct json_doc *again = json_parse(text.data, text.len, &roomy, why, sizeof why);
	assert(again != NULL);
	check_same(json_root(doc), json_root(again));
	json_free(again);
	json_wipe_free(doc);
	buf_release(&text);
	return 0;
}
