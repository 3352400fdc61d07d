/*
 * JSON Web Tokens (RFC 7519): what one has to say to be believed, and what it
 * then says.
 */
#ifndef HTTP_JWT_H
#define HTTP_JWT_H

#include "base/buf.h"
#include "http/jwks.h"
#include "state/user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JWT_TOKEN_MAX = 8192 };

struct jwt_rules {
	const struct jwks *keys;
	const char *audience; /* NULL: `aud` is not looked at */
	const char *issuer; /* NULL: `iss` is not looked at */
	int64_t leeway_s; /* how far the signer's clock may be off, for exp and nbf */
};

enum jwt_result {
	JWT_OK,
	JWT_EXPIRED, /* and good in every other respect */
	JWT_INVALID, /* everything else; on purpose not told apart */
};

struct jwt_claims {
	struct user_id user; /* sub */
	bool read_only; /* a: "ro" */
	int64_t expires_s; /* exp, since the Unix epoch; required */
};

/* `now_s` since the Unix epoch. */
enum jwt_result jwt_verify(const struct jwt_rules *rules, const char *token, size_t len,
			   int64_t now_s, struct jwt_claims *out);
/*
 * Appends a token that these rules accept, made with the first key that can
 * sign.  -1: none can.
 */
int jwt_sign(const struct jwt_rules *rules, const struct jwt_claims *claims, int64_t now_s,
	     struct buf *out);

#endif
