/*
 * The XML of S3: the pages of a ListObjectsV2 and the document of an error.
 *
 *	listing_new()
 *	listing_feed()		any number of times
 *	listing_end_page()	LISTING_MORE: ask for listing_token(), feed that
 *	listing_take()		after LISTING_COMPLETE
 *	listing_free()
 *
 * Nothing that comes is trusted.  A key that was not asked for, keys that do
 * not ascend, a folder where keys were asked for or the other way round, a page that does not say whether it is the last, one that is cut:
 * all of it is LISTING_DAMAGED, because who takes half a list for a whole one
 * takes a user's history for shorter than it is.
 */
#ifndef STORE_LISTING_H
#define STORE_LISTING_H

#include "store/object.h"

enum listing_page {
	LISTING_MORE,
	LISTING_COMPLETE,
	LISTING_DAMAGED,
};

enum { LISTING_CODE_SIZE = 64 };

struct listing;

/* All keys must begin with `prefix` and then `asked`; they lose `prefix`. */
struct listing *listing_new(const char *prefix, const char *asked);
/* The same for the folders below `asked`; objects that lie beside them are left out. */
struct listing *listing_new_of_folders(const char *prefix, const char *asked);
void listing_free(struct listing *l);
/* -1: damaged, and listing_end_page() will say so. */
int listing_feed(struct listing *l, const void *bytes, size_t len);
enum listing_page listing_end_page(struct listing *l);
/* Borrowed until the next listing_feed(). */
const char *listing_token(const struct listing *l);
/* What all pages held; the caller releases it. */
struct object_listing listing_take(struct listing *l);

/* The <Code> of a whole error document; "" when it is none or an odd one. */
void listing_error_code(const void *xml, size_t len, char out[static LISTING_CODE_SIZE]);

#endif
