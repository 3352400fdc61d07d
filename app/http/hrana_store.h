/*
 * SQL texts that a client stores once and then names by a number of its own.
 *
 * The texts stay the caller's; they must live as long as the store, or until
 * hrana_store_keep() has made copies of them.
 */
#ifndef HTTP_HRANA_STORE_H
#define HTTP_HRANA_STORE_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

enum {
	HRANA_STORE_MAX = 256,
	HRANA_STORE_TEXT_MAX = 64 * 1024,
	HRANA_STORE_BYTES_MAX = 1024 * 1024, /* all texts together */
};

struct hrana_sql {
	const char *text; /* followed by a NUL */
	size_t len;
};

struct hrana_store {
	size_t n;
	struct {
		int64_t id;
		struct hrana_sql sql;
	} entries[HRANA_STORE_MAX];
};

enum hrana_stored {
	HRANA_STORED, /* replacing what had that id */
	HRANA_STORE_FULL,
	HRANA_STORE_TOO_LONG,
};

enum hrana_stored hrana_store_put(struct hrana_store *s, int64_t id, struct hrana_sql sql);
/* An unknown id is as good as dropped. */
void hrana_store_drop(struct hrana_store *s, int64_t id);
/* The texts are copied to `texts`, whose old content, to which they may point, is released. */
void hrana_store_keep(struct hrana_store *s, struct buf *texts);
/* NULL: nothing has that id. */
const struct hrana_sql *hrana_store_get(const struct hrana_store *s, int64_t id);

#endif
