/*
 * The keys that are configured: several at once, so that tokens of the old
 * one are good while the new one is being introduced.
 *
 * A file holds one PEM key, or a JWKS (RFC 7517; a single JWK will do), or else
 * a secret.  In a JWKS, keys that are of no use here are passed over, as others
 * may need them; a file without any that is of use is an error.
 *
 *	jwks_read()	once, at the start; workers inherit them
 *	jwks_free()	wipes them
 */
#ifndef HTTP_JWKS_H
#define HTTP_JWKS_H

#include "http/jwk.h"

#include <stddef.h>

/* Also how many signatures are checked for one token at most. */
enum { JWKS_MAX = 16, JWKS_WHY_MAX = 512 };

struct jwks {
	struct jwk *keys[JWKS_MAX];
	unsigned count; /* at least one */
};

struct jwks_found {
	const char *path;
	const struct jwk *key; /* NULL: passed over */
	const char *kid; /* printable; "" for none */
	const char *why; /* it is passed over */
};

/*
 * `paths` are separated by ':'.  `found`, which may be NULL, is told of each
 * key.  NULL: `why` says what is wrong.
 */
struct jwks *jwks_read(const char *paths, void (*found)(const struct jwks_found *f),
		       char why[static JWKS_WHY_MAX]);
void jwks_free(struct jwks *set);

#endif
