/*
 * A JSON text as a tree, parsed with yajl and never recursively.
 *
 * Size, depth and the number of values are limited while parsing, so what a
 * client can make us allocate is known before: at most about 80 bytes a value
 * beside the text itself.  Text is UTF-8 (checked, half a surrogate pair is
 * refused) and may hold U+0000: always use the length.  Integers and floats
 * keep their source text as well.
 *
 *	json_parse()	the document, or NULL and a reason
 *	json_get(), json_is(), json_int() ...
 *	json_free()	every value is gone with it
 */
#ifndef BASE_JSON_READ_H
#define BASE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json {
	enum json_type type;
	bool boolean;
	const char *text; /* string: its bytes, NUL-terminated; number: as written */
	size_t len; /* of text; array and object: number of members */
	const char *key; /* as a member of an object */
	size_t key_len;
	const struct json *first; /* array and object: members, linked by next */
	const struct json *next;
};

struct json_limits {
	size_t max_len;
	unsigned max_depth;
	size_t max_values;
};

struct json_doc;

/* NULL: `why` says what is wrong and where, without quoting the text. */
struct json_doc *json_parse(const char *text, size_t len, const struct json_limits *limits,
			    char *why, size_t why_size);
void json_free(struct json_doc *doc);
void json_wipe_free(struct json_doc *doc); /* of one with secrets in it */
const struct json *json_root(const struct json_doc *doc);

/* The member of that name (the last one, if repeated); NULL when `v` is no object or has none. */
const struct json *json_get(const struct json *v, const char *key);
bool json_is(const struct json *v, enum json_type type); /* false for NULL */
bool json_text_is(const struct json *v, const char *text); /* a string equal to text */
/* -1: not a number, not written as a whole one (no fraction, no exponent), or out of range. */
int json_int(const struct json *v, int64_t *out);
/* -1: not a number, or too large for a double. */
int json_double(const struct json *v, double *out);

#endif
