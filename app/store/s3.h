/*
 * The store behind s3://: Cloudflare R2, or what speaks S3 as it does.
 */
#ifndef STORE_S3_H
#define STORE_S3_H

#include "store/object.h"

/*
 * `prefix` is "" or ends with '/'.  NULL with a sentence in `why` that names no
 * secret.  As to certificates and SIGPIPE see transfers_new().
 */
struct store *s3_new(const struct store_config *c, const char *bucket, const char *prefix,
		     char *why, size_t why_size);

#endif
