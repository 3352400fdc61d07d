/*
 * JSON text, written with yajl at the end of a buf.
 *
 * Calls must nest as JSON does (asserted).  Text that is not valid UTF-8 has
 * U+FFFD in place of what is wrong; U+0000 is kept.  A double is written so
 * that it reads back to the same 64 bits; NaN and infinities become null.
 *
 *	json_writer_new(&buf)
 *	json_open_object(w) json_key(w, "a") json_put_int(w, 1) json_close_object(w)
 *	json_writer_free(w)
 *
 * A value that turns out to be impossible halfway can be taken back:
 *
 *	mark = json_mark(w)
 *	...			inside of what is open now; nothing of it is closed
 *	json_rewind(w, mark)	as if nothing had been written since
 */
#ifndef BASE_JSON_WRITE_H
#define BASE_JSON_WRITE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer;

enum json_place { JSON_IN_ARRAY, JSON_IN_OBJECT, JSON_AFTER_KEY };

struct json_mark {
	size_t len; /* of the buf */
	unsigned depth;
	enum json_place place;
	bool filled; /* the innermost container has members */
};

/* Appends to `out`, which must stay until json_writer_free(). */
struct json_writer *json_writer_new(struct buf *out);
void json_writer_free(struct json_writer *w);

void json_open_object(struct json_writer *w);
void json_close_object(struct json_writer *w);
void json_open_array(struct json_writer *w);
void json_close_array(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
void json_put_null(struct json_writer *w);
void json_put_bool(struct json_writer *w, bool value);
void json_put_int(struct json_writer *w, int64_t value);
void json_put_double(struct json_writer *w, double value);
void json_put_text(struct json_writer *w, const char *text, size_t len);
void json_put_string(struct json_writer *w, const char *text); /* NULL becomes null */

struct json_mark json_mark(const struct json_writer *w);
void json_rewind(struct json_writer *w, struct json_mark mark);

#endif
