/*
 * The signature around a token: JSON Web Signature (RFC 7515) in its compact
 * form.
 *
 * What the header says is a question, not an answer: `alg` has to be the
 * algorithm of a key that is there, and only keys that have it are tried, with
 * it.  A `kid` leaves those out that have another one.  `crit` is refused,
 * since no extension is known.  What is inside the payload is the business of
 * http/jwt.h.
 */
#ifndef HTTP_JWS_H
#define HTTP_JWS_H

#include "base/buf.h"
#include "http/jwks.h"

#include <stddef.h>

/*
 * -1: not a token, or not signed with any of these; `payload` is unchanged.
 * 0: appended to `payload` is what the holder of the key has signed.
 */
int jws_verify(const struct jwks *set, const char *token, size_t len, struct buf *payload);
/* Appends a token, with the key's kid if it has one.  -1: the key can only verify. */
int jws_sign(const struct jwk *key, const char *payload, size_t len, struct buf *out);

#endif
