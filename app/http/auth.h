/*
 * Who asks: from a token the client sends, or from what nginx has found out.
 *
 * Both set x->user and x->read_only.  false: nobody is known, and the response
 * is a 401 that says no more than that, or that the token has expired.
 */
#ifndef HTTP_AUTH_H
#define HTTP_AUTH_H

#include "http/exchange.h"
#include "http/jwt.h"

#include <stdbool.h>
#include <stdint.h>

/* `now_s` since the Unix epoch. */
bool auth_by_token(const struct jwt_key *key, int64_t now_s, struct exchange *x);
bool auth_by_remote_user(struct exchange *x);

#endif
