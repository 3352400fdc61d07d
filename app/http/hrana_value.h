/*
 * SQL values in JSON: {"type":"integer","value":"12"} and its siblings.
 *
 * Integers are strings, because JSON's readers keep 53 bits of a number; blobs
 * are base64, padded or not on the way in, never on the way out.
 */
#ifndef HTTP_HRANA_VALUE_H
#define HTTP_HRANA_VALUE_H

#include "base/buf.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "db/stmt.h"

/* A member; an explicit null is as good as none. */
const struct json *hrana_get(const struct json *object, const char *key);

/*
 * -1: malformed.  What `out` points to is part of `v` or, for a blob, in
 * `blob`, whose old content is dropped.
 */
int hrana_value_read(const struct json *v, struct buf *blob, struct stmt_value *out);
void hrana_value_put(struct json_writer *w, const struct stmt_value *v);
/* The string alone, "12". */
void hrana_integer_put(struct json_writer *w, int64_t value);

/* {"message":…,"code":…,"extended_code":…} */
void hrana_error_put(struct json_writer *w, const struct sql_error *e);

#endif
