/*
 * yajl calls back for each thing it finds; the tree grows in one arena, whose
 * chunks are freed one after the other.  Neither the one nor the other goes
 * deeper into the stack for a deeper text.
 *
 * What yajl lets pass is checked before it sees the text: the UTF-8 as a
 * whole (it accepts overlong forms), and \u escapes that are half of a
 * surrogate pair (it makes '?' or invalid UTF-8 of them).
 */
#include "base/json_read.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <yajl/yajl_parse.h>

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_LEN = 16 * 1024 };

struct chunk {
	struct chunk *next;
	size_t used;
	size_t cap;
	_Alignas(max_align_t) char bytes[];
};

struct json_doc {
	struct chunk *chunks; /* the first one is being filled */
	struct json *root;
};

struct level {
	struct json *container;
	struct json *last; /* member so far */
};

struct parse {
	struct json_doc *doc;
	const struct json_limits *limits;
	struct level *open; /* limits->max_depth of them */
	unsigned depth;
	size_t nvalues;
	const char *key; /* of the next member; NULL in an array */
	size_t key_len;
	const char *refused; /* by a limit; NULL: yajl knows the reason */
};

static struct chunk *add_chunk(struct json_doc *doc, size_t cap)
{
	struct chunk *c = alloc_resized(NULL, sizeof *c + cap);

	*c = (struct chunk){ .cap = cap };
	c->next = doc->chunks;
	doc->chunks = c;
	return c;
}

/* A long one gets a chunk of its own, behind the one that still has room. */
static void *arena_alloc(struct json_doc *doc, size_t len, size_t align)
{
	struct chunk *c = doc->chunks;
	size_t start = (c->used + align - 1) / align * align;

	if (start <= c->cap && len <= c->cap - start) {
		c->used = start + len;
		return c->bytes + start;
	}
	bool own = len > CHUNK_LEN / 4;
	struct chunk *fresh = add_chunk(doc, own ? len : CHUNK_LEN);
	fresh->used = len;
	if (own) {
		doc->chunks = c;
		fresh->next = c->next;
		c->next = fresh;
	}
	return fresh->bytes;
}

static const char *arena_text(struct json_doc *doc, const void *bytes, size_t len)
{
	char *copy = arena_alloc(doc, len + 1, 1);

	if (len > 0)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

static int refuse(struct parse *p, const char *why)
{
	p->refused = why;
	return 0;
}

static void append(struct parse *p, struct json *v)
{
	if (p->depth == 0) {
		p->doc->root = v;
		return;
	}
	struct level *in = &p->open[p->depth - 1];
	if (in->last == NULL)
		in->container->first = v;
	else
		in->last->next = v;
	in->last = v;
	in->container->len++;
}

/* NULL: one value too many. */
static struct json *add_value(struct parse *p, enum json_type type)
{
	if (p->nvalues == p->limits->max_values) {
		refuse(p, "too many values");
		return NULL;
	}
	p->nvalues++;
	struct json *v = arena_alloc(p->doc, sizeof *v, _Alignof(struct json));
	*v = (struct json){ .type = type, .key = p->key, .key_len = p->key_len };
	p->key = NULL;
	p->key_len = 0;
	append(p, v);
	return v;
}

static int on_null(void *ctx)
{
	return add_value(ctx, JSON_NULL) != NULL;
}

static int on_bool(void *ctx, int value)
{
	struct json *v = add_value(ctx, JSON_BOOL);

	if (v == NULL)
		return 0;
	v->boolean = value != 0;
	return 1;
}

static int add_scalar(struct parse *p, enum json_type type, const void *bytes, size_t len)
{
	struct json *v = add_value(p, type);

	if (v == NULL)
		return 0;
	v->text = arena_text(p->doc, bytes, len);
	v->len = len;
	return 1;
}

static int on_number(void *ctx, const char *text, size_t len)
{
	return add_scalar(ctx, JSON_NUMBER, text, len);
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
	return add_scalar(ctx, JSON_STRING, text, len);
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
	struct parse *p = ctx;

	p->key = arena_text(p->doc, text, len);
	p->key_len = len;
	return 1;
}

static int open_container(struct parse *p, enum json_type type)
{
	if (p->depth == p->limits->max_depth)
		return refuse(p, "nested too deeply");
	struct json *v = add_value(p, type);
	if (v == NULL)
		return 0;
	p->open[p->depth++] = (struct level){ .container = v, .last = NULL };
	return 1;
}

static int on_open_object(void *ctx)
{
	return open_container(ctx, JSON_OBJECT);
}

static int on_open_array(void *ctx)
{
	return open_container(ctx, JSON_ARRAY);
}

static int on_close(void *ctx)
{
	struct parse *p = ctx;

	p->depth--;
	return 1;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The code unit of a \uXXXX at the start, -1 if there is none. */
static int escaped_unit(const char *text, size_t len)
{
	int unit = 0;

	if (len < 6 || text[0] != '\\' || text[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		int digit = hex_value(text[i]);
		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

static bool is_high_surrogate(int unit)
{
	return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low_surrogate(int unit)
{
	return unit >= 0xDC00 && unit <= 0xDFFF;
}

/*
 * Length of the escape at the start, 0 if it is half a pair.  Backslashes
 * outside of strings and other malformed escapes are left to yajl.
 */
static size_t escape_len(const char *text, size_t len)
{
	int unit = escaped_unit(text, len);

	if (unit < 0)
		return len < 2 ? len : 2;
	if (is_low_surrogate(unit))
		return 0;
	if (!is_high_surrogate(unit))
		return 6;
	return is_low_surrogate(escaped_unit(text + 6, len - 6)) ? 12 : 0;
}

/* Where half a surrogate pair stands; `len` if there is none. */
static size_t find_half_pair(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		const char *backslash = memchr(text + at, '\\', len - at);
		if (backslash == NULL)
			return len;
		at = (size_t)(backslash - text);
		size_t n = escape_len(backslash, len - at);
		if (n == 0)
			return at;
		at += n;
	}
	return len;
}

static int check_text(const char *text, size_t len, const struct json_limits *limits, char *why,
		      size_t why_size)
{
	if (len > limits->max_len) {
		(void)snprintf(why, why_size, "longer than %zu bytes", limits->max_len);
		return -1;
	}
	size_t valid = utf8_valid_prefix(text, len);
	if (valid < len) {
		(void)snprintf(why, why_size, "invalid UTF-8 at byte %zu", valid);
		return -1;
	}
	valid = find_half_pair(text, len);
	if (valid < len) {
		(void)snprintf(why, why_size, "half a surrogate pair at byte %zu", valid);
		return -1;
	}
	return 0;
}

static void *parse_malloc(void *unused, size_t len)
{
	(void)unused;
	return alloc_resized(NULL, len);
}

static void *parse_realloc(void *unused, void *old, size_t len)
{
	(void)unused;
	return alloc_resized(old, len);
}

static void parse_free(void *unused, void *old)
{
	(void)unused;
	free(old);
}

/* Without the text, yajl's reason holds only words of its own. */
static void explain(const struct parse *p, yajl_handle yajl, size_t at, char *why, size_t why_size)
{
	unsigned char *reason = NULL;
	const char *words = p->refused;

	if (words == NULL) {
		reason = yajl_get_error(yajl, 0, NULL, 0);
		words = (const char *)reason;
	}
	(void)snprintf(why, why_size, "%.*s at byte %zu", (int)strcspn(words, "\n"), words, at);
	if (reason != NULL)
		yajl_free_error(yajl, reason);
}

static int run_parser(struct parse *p, const char *text, size_t len, char *why, size_t why_size)
{
	static const yajl_alloc_funcs memory = { parse_malloc, parse_realloc, parse_free, NULL };
	static const yajl_callbacks on = {
		.yajl_null = on_null,
		.yajl_boolean = on_bool,
		.yajl_number = on_number,
		.yajl_string = on_string,
		.yajl_start_map = on_open_object,
		.yajl_map_key = on_key,
		.yajl_end_map = on_close,
		.yajl_start_array = on_open_array,
		.yajl_end_array = on_close,
	};
	yajl_alloc_funcs funcs = memory;
	yajl_handle yajl = yajl_alloc(&on, &funcs, p);

	assert(yajl != NULL);
	yajl_config(yajl, yajl_dont_validate_strings, 1);
	yajl_status status = yajl_parse(yajl, (const unsigned char *)text, len);
	/* Completing parses one more space, and counts from there. */
	size_t at = yajl_get_bytes_consumed(yajl);
	if (status == yajl_status_ok)
		status = yajl_complete_parse(yajl);
	if (status != yajl_status_ok)
		explain(p, yajl, at, why, why_size);
	yajl_free(yajl);
	return status == yajl_status_ok ? 0 : -1;
}

struct json_doc *json_parse(const char *text, size_t len, const struct json_limits *limits,
			    char *why, size_t why_size)
{
	struct parse p = { .limits = limits };

	if (check_text(text, len, limits, why, why_size) < 0)
		return NULL;
	p.doc = alloc_zeroed(1, sizeof *p.doc);
	add_chunk(p.doc, CHUNK_LEN);
	p.open = alloc_zeroed(limits->max_depth, sizeof *p.open);
	int result = run_parser(&p, text, len, why, why_size);
	free(p.open);
	if (result == 0)
		return p.doc;
	json_free(p.doc);
	return NULL;
}

void json_free(struct json_doc *doc)
{
	if (doc == NULL)
		return;
	while (doc->chunks != NULL) {
		struct chunk *next = doc->chunks->next;
		free(doc->chunks);
		doc->chunks = next;
	}
	free(doc);
}

void json_wipe_free(struct json_doc *doc)
{
	for (struct chunk *c = doc != NULL ? doc->chunks : NULL; c != NULL; c = c->next)
		explicit_bzero(c->bytes, c->used);
	json_free(doc);
}

const struct json *json_root(const struct json_doc *doc)
{
	return doc->root;
}

const struct json *json_get(const struct json *v, const char *key)
{
	const struct json *found = NULL;
	size_t len = strlen(key);

	if (!json_is(v, JSON_OBJECT))
		return NULL;
	for (const struct json *m = v->first; m != NULL; m = m->next)
		if (m->key_len == len && memcmp(m->key, key, len) == 0)
			found = m;
	return found;
}

bool json_is(const struct json *v, enum json_type type)
{
	return v != NULL && v->type == type;
}

bool json_text_is(const struct json *v, const char *text)
{
	size_t len = strlen(text);

	return json_is(v, JSON_STRING) && v->len == len && memcmp(v->text, text, len) == 0;
}

int json_int(const struct json *v, int64_t *out)
{
	if (!json_is(v, JSON_NUMBER) || strspn(v->text, "-0123456789") != v->len)
		return -1;
	errno = 0;
	long long value = strtoll(v->text, NULL, 10);
	if (errno != 0)
		return -1;
	*out = value;
	return 0;
}

int json_double(const struct json *v, double *out)
{
	if (!json_is(v, JSON_NUMBER))
		return -1;
	double value = strtod(v->text, NULL);
	if (!isfinite(value))
		return -1;
	*out = value;
	return 0;
}
