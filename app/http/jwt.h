/*
 * JSON Web Tokens (RFC 7519), verified and made with one configured key.
 *
 * The key's type decides the algorithm, never the token: a raw secret means
 * HS256, an Ed25519 key EdDSA.  "none" does not exist here.
 *
 *	jwt_key_read()	once, at the start
 *	jwt_verify()	per request
 *	jwt_sign()	`holdfast token`, when the key can sign
 *	jwt_key_free()	wipes it
 */
#ifndef HTTP_JWT_H
#define HTTP_JWT_H

#include "base/buf.h"
#include "state/user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JWT_SECRET_MIN = 32, JWT_TOKEN_MAX = 8192 };

struct jwt_key;

/*
 * `path` holds a PEM public or private key, or a raw secret of at least 32
 * bytes (a final newline does not count).  NULL: `why` says what is wrong.
 */
struct jwt_key *jwt_key_read(const char *path, char *why, size_t why_size);
void jwt_key_free(struct jwt_key *k);

enum jwt_result {
	JWT_OK,
	JWT_EXPIRED,
	JWT_INVALID, /* everything else; on purpose not told apart */
};

struct jwt_claims {
	struct user_id user; /* sub */
	bool read_only; /* a: "ro" */
	int64_t expires_s; /* exp, since the Unix epoch; required */
};

/* `now_s` since the Unix epoch; nbf is honoured; 30 s of clock skew are allowed for. */
enum jwt_result jwt_verify(const struct jwt_key *k, const char *token, size_t len, int64_t now_s,
			   struct jwt_claims *out);
/* Appends a token.  -1: the key can only verify. */
int jwt_sign(const struct jwt_key *k, const struct jwt_claims *claims, int64_t now_s,
	     struct buf *out);

#endif
