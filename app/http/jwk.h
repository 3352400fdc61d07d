/*
 * One key for tokens: a secret, or a public or private key.
 *
 * The key's type is its algorithm, and there is no way to use it with another
 * one, so a public key can never be taken for a shared secret:
 *
 *	secret of at least 32 bytes	HS256
 *	Ed25519				EdDSA (RFC 8037)
 *	EC on P-256			ES256, signatures are r and s, 32 bytes each
 *	RSA of 2048 to 8192 bits	RS256
 *
 *	jwk_from_text() or jwk_from_json()	NULL, and `why` without any of the key
 *	jwk_verify(), jwk_sign()
 *	jwk_free()				wipes it
 */
#ifndef HTTP_JWK_H
#define HTTP_JWK_H

#include "base/buf.h"
#include "base/json_read.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	JWK_SECRET_MIN = 32,
	JWK_RSA_BITS_MIN = 2048,
	JWK_RSA_BITS_MAX = 8192,
	JWK_KID_MAX = 128,
	JWK_SIGNATURE_MAX = JWK_RSA_BITS_MAX / 8,
	JWK_TYPE_MAX = 32,
};

enum jwk_algorithm {
	JWK_HS256,
	JWK_EDDSA,
	JWK_ES256,
	JWK_RS256,
};

/* As in a token's `alg`. */
extern const char *const jwk_algorithm_name[];

struct jwk;

/* PEM of one key, or else a secret; a final newline does not count.  It is copied. */
struct jwk *jwk_from_text(const char *text, size_t len, char *why, size_t why_size);
/*
 * A member of a JWKS (RFC 7517): `kty` oct, or the public half of OKP, EC and
 * RSA; whatever it says of its use has to allow signatures.
 */
struct jwk *jwk_from_json(const struct json *v, char *why, size_t why_size);
void jwk_free(struct jwk *k);

enum jwk_algorithm jwk_algorithm(const struct jwk *k);
const char *jwk_kid(const struct jwk *k); /* printable; "" if it has none */
bool jwk_can_sign(const struct jwk *k);
/* "RSA 2048 bits", for a person. */
void jwk_describe(const struct jwk *k, char out[static JWK_TYPE_MAX]);

/* Whether the key's holder has made the signature. */
bool jwk_verify(const struct jwk *k, const char *text, size_t len, const struct buf *signature);
/* Appends a signature.  -1: the key can only verify. */
int jwk_sign(const struct jwk *k, const char *text, size_t len, struct buf *signature);

#endif
