/*
 * Who asks: from a token the client sends, or from what nginx has found out.
 *
 * Both set x->user and x->read_only.  false: nobody is known, and the response
 * is a 401 that says that there is no token, that it has expired, or that it is
 * not valid, and never why.
 */
#ifndef HTTP_AUTH_H
#define HTTP_AUTH_H

#include "http/exchange.h"
#include "http/jwt.h"

#include <stdbool.h>
#include <stdint.h>

/* `now_s` since the Unix epoch. */
bool auth_by_token(const struct jwt_rules *rules, int64_t now_s, struct exchange *x);
bool auth_by_remote_user(struct exchange *x);

#endif
