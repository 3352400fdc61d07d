/*
 * Base64 (RFC 4648), strict: no white space, no bits left over, nothing after
 * the padding.  Both alphabets: standard for blobs, URL-safe for tokens.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

#include <stddef.h>

enum base64_alphabet { BASE64_STANDARD, BASE64_URL };

/* Appends, without padding. */
void base64_encode(enum base64_alphabet a, const void *bytes, size_t len, struct buf *out);
/* Appends; padding may be there or not.  -1: not base64, and nothing was appended. */
int base64_decode(enum base64_alphabet a, const char *text, size_t len, struct buf *out);

#endif
