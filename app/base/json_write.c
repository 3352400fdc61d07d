/*
 * yajl writes; this keeps a stack of what is open beside it, because yajl can
 * neither be asked for its state nor be set back.  json_rewind() starts yajl
 * anew and repeats, muted, just enough for it to be in the same place: each
 * container that is open, with one member if it has any.
 */
#include "base/json_write.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <yajl/yajl_gen.h>

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 }; /* yajl's own is 128 */

struct frame {
	enum json_place place;
	bool filled;
};

struct json_writer {
	struct buf *out;
	yajl_gen gen;
	bool muted;
	unsigned depth;
	struct frame open[DEPTH_MAX];
};

static void print(void *owner, const char *text, size_t len)
{
	struct json_writer *w = owner;

	if (!w->muted)
		buf_add(w->out, text, len);
}

static void *gen_malloc(void *unused, size_t len)
{
	(void)unused;
	return alloc_resized(NULL, len);
}

static void *gen_realloc(void *unused, void *old, size_t len)
{
	(void)unused;
	return alloc_resized(old, len);
}

static void gen_free(void *unused, void *old)
{
	(void)unused;
	free(old);
}

struct json_writer *json_writer_new(struct buf *out)
{
	static const yajl_alloc_funcs memory = { gen_malloc, gen_realloc, gen_free, NULL };
	struct json_writer *w = alloc_zeroed(1, sizeof *w);

	w->out = out;
	w->gen = yajl_gen_alloc(&memory);
	assert(w->gen != NULL);
	yajl_gen_config(w->gen, yajl_gen_print_callback, print, w);
	return w;
}

void json_writer_free(struct json_writer *w)
{
	if (w == NULL)
		return;
	yajl_gen_free(w->gen);
	free(w);
}

static void written(yajl_gen_status status)
{
	assert(status == yajl_gen_status_ok);
	(void)status;
}

/* A value is about to be written where one may stand. */
static void fill(struct json_writer *w)
{
	if (w->depth == 0)
		return;
	struct frame *top = &w->open[w->depth - 1];
	assert(top->place != JSON_IN_OBJECT);
	if (top->place == JSON_AFTER_KEY)
		top->place = JSON_IN_OBJECT;
	top->filled = true;
}

static void push(struct json_writer *w, enum json_place place)
{
	fill(w);
	assert(w->depth < DEPTH_MAX);
	w->open[w->depth++] = (struct frame){ .place = place, .filled = false };
}

static void pop(struct json_writer *w, enum json_place place)
{
	assert(w->depth > 0 && w->open[w->depth - 1].place == place);
	(void)place;
	w->depth--;
}

void json_open_object(struct json_writer *w)
{
	push(w, JSON_IN_OBJECT);
	written(yajl_gen_map_open(w->gen));
}

void json_close_object(struct json_writer *w)
{
	pop(w, JSON_IN_OBJECT);
	written(yajl_gen_map_close(w->gen));
}

void json_open_array(struct json_writer *w)
{
	push(w, JSON_IN_ARRAY);
	written(yajl_gen_array_open(w->gen));
}

void json_close_array(struct json_writer *w)
{
	pop(w, JSON_IN_ARRAY);
	written(yajl_gen_array_close(w->gen));
}

static void put_valid_text(struct json_writer *w, const char *text, size_t len)
{
	written(yajl_gen_string(w->gen, (const unsigned char *)text, len));
}

void json_key(struct json_writer *w, const char *key)
{
	assert(w->depth > 0 && w->open[w->depth - 1].place == JSON_IN_OBJECT);
	w->open[w->depth - 1].place = JSON_AFTER_KEY;
	put_valid_text(w, key, strlen(key));
}

void json_put_null(struct json_writer *w)
{
	fill(w);
	written(yajl_gen_null(w->gen));
}

void json_put_bool(struct json_writer *w, bool value)
{
	fill(w);
	written(yajl_gen_bool(w->gen, value));
}

void json_put_int(struct json_writer *w, int64_t value)
{
	fill(w);
	written(yajl_gen_integer(w->gen, value));
}

/* 15 digits are enough for most that people write, 17 for all. */
static int shortest(double value, char *out, size_t size)
{
	int len = 0;

	for (int digits = 15; digits <= 17; digits++) {
		len = snprintf(out, size, "%.*g", digits, value);
		if (strtod(out, NULL) == value)
			break;
	}
	if (strpbrk(out, ".e") == NULL)
		len += snprintf(out + len, size - (size_t)len, ".0");
	return len;
}

void json_put_double(struct json_writer *w, double value)
{
	char text[40];

	if (!isfinite(value)) {
		json_put_null(w);
		return;
	}
	fill(w);
	int len = shortest(value, text, sizeof text);
	written(yajl_gen_number(w->gen, text, (size_t)len));
}

static void put_repaired_text(struct json_writer *w, const char *text, size_t len)
{
	struct buf repaired = BUF_INIT;

	while (len > 0) {
		size_t valid = utf8_valid_prefix(text, len);
		buf_add(&repaired, text, valid);
		if (valid == len)
			break;
		buf_add_text(&repaired, "\xEF\xBF\xBD");
		text += valid + 1;
		len -= valid + 1;
	}
	put_valid_text(w, repaired.data, repaired.len);
	buf_release(&repaired);
}

void json_put_text(struct json_writer *w, const char *text, size_t len)
{
	fill(w);
	if (utf8_valid_prefix(text, len) == len)
		put_valid_text(w, text, len);
	else
		put_repaired_text(w, text, len);
}

void json_put_string(struct json_writer *w, const char *text)
{
	if (text == NULL)
		json_put_null(w);
	else
		json_put_text(w, text, strlen(text));
}

struct json_mark json_mark(const struct json_writer *w)
{
	struct json_mark mark = { .len = w->out->len, .depth = w->depth };

	if (w->depth > 0) {
		mark.place = w->open[w->depth - 1].place;
		mark.filled = w->open[w->depth - 1].filled;
	}
	return mark;
}

static void repeat_frame(struct json_writer *w, struct frame f)
{
	bool object = f.place != JSON_IN_ARRAY;

	written(object ? yajl_gen_map_open(w->gen) : yajl_gen_array_open(w->gen));
	if (f.filled && object)
		put_valid_text(w, "", 0);
	if (f.filled)
		written(yajl_gen_null(w->gen));
	if (f.place == JSON_AFTER_KEY)
		put_valid_text(w, "", 0);
}

/*
 * A frame with another one open inside counts as filled by it, which is not
 * there yet when it is repeated: for an object that takes its key, and an
 * array may have one member too many, which changes nothing but a comma that
 * is muted.
 */
static void repeat_open(struct json_writer *w)
{
	for (unsigned i = 0; i < w->depth; i++) {
		struct frame f = w->open[i];
		if (i + 1 < w->depth && f.place == JSON_IN_OBJECT)
			f.place = JSON_AFTER_KEY;
		repeat_frame(w, f);
	}
}

void json_rewind(struct json_writer *w, struct json_mark mark)
{
	assert(mark.depth <= w->depth && mark.len <= w->out->len);
	w->depth = mark.depth;
	if (w->depth > 0)
		w->open[w->depth - 1] = (struct frame){ mark.place, mark.filled };
	yajl_gen_reset(w->gen, NULL);
	w->muted = true;
	repeat_open(w);
	w->muted = false;
	w->out->len = mark.len;
	if (w->out->data != NULL)
		w->out->data[mark.len] = '\0';
}
