/*
 * The signature around a token: JSON Web Signature (RFC 7515) in its compact
 * form, with HS256 or EdDSA over Ed25519 (RFC 8037).
 *
 * The key knows its algorithm and a token that names another one is refused,
 * so a public key can never be taken for a shared secret.  What is inside the
 * payload is the business of http/jwt.h.
 */
#ifndef HTTP_JWS_H
#define HTTP_JWS_H

#include "base/buf.h"

#include <stddef.h>

enum { JWS_SECRET_MIN = 32 };

struct jws_key;

/*
 * `text` is what a key file holds: PEM (private or public Ed25519), or else a
 * secret.  It is copied; wiping it is the caller's.  NULL: `why` says what is
 * wrong, without quoting the text.
 */
struct jws_key *jws_key_parse(const char *text, size_t len, char *why, size_t why_size);
void jws_key_free(struct jws_key *k);

/*
 * -1: not a token, or not signed with this key; `payload` is unchanged.  0:
 * appended to `payload` is what the holder of the key has signed.
 */
int jws_verify(const struct jws_key *k, const char *token, size_t len, struct buf *payload);
/* Appends a token.  -1: the key can only verify. */
int jws_sign(const struct jws_key *k, const char *payload, size_t len, struct buf *out);

#endif
