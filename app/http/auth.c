#include "http/auth.h"

#include <string.h>
#include <strings.h>

static bool refuse(struct exchange *x, const char *code, const char *message)
{
	exchange_error(x, HTTP_UNAUTHORIZED, code, "%s", message);
	x->response.challenge = "Bearer";
	return false;
}

/* RFC 6750, 3.1: for a token that came, and only for one. */
static bool refuse_token(struct exchange *x, const char *code, const char *message)
{
	refuse(x, code, message);
	x->response.challenge = "Bearer error=\"invalid_token\"";
	return false;
}

/* NULL: there is no header, or it is of another scheme. */
static const char *bearer_token(const char *authorization)
{
	static const char scheme[] = "Bearer ";

	if (authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
		return NULL;
	const char *token = authorization + sizeof scheme - 1;
	return token + strspn(token, " ");
}

bool auth_by_token(const struct jwt_rules *rules, int64_t now_s, struct exchange *x)
{
	const char *token = bearer_token(x->request.authorization);
	struct jwt_claims claims;

	if (token == NULL)
		return refuse(x, "UNAUTHORIZED", "a bearer token is required");
	switch (jwt_verify(rules, token, strlen(token), now_s, &claims)) {
	case JWT_OK:
		break;
	case JWT_EXPIRED:
		return refuse_token(x, "TOKEN_EXPIRED", "the token has expired");
	case JWT_INVALID:
		return refuse_token(x, "TOKEN_INVALID", "the token is not valid");
	}
	x->user = claims.user;
	x->read_only = claims.read_only;
	return true;
}

bool auth_by_remote_user(struct exchange *x)
{
	const char *name = x->request.remote_user;

	if (name == NULL || user_id_parse(name, strlen(name), &x->user) < 0)
		return refuse(x, "UNAUTHORIZED", "no user is logged in");
	x->read_only = false;
	return true;
}
