#include "http/jwt.h"

#include "http/jws.h"

#include "base/json_read.h"
#include "base/json_write.h"

/* NumericDate (RFC 7519, 2): seconds, possibly with a fraction, which is cut. */
static int read_time(const struct json *v, int64_t *out)
{
	static const double limit = 9007199254740992.0;
	double seconds;

	if (json_int(v, out) == 0)
		return 0;
	if (json_double(v, &seconds) < 0 || !(seconds > -limit && seconds < limit))
		return -1;
	*out = (int64_t)seconds;
	return 0;
}

static int read_user(const struct json *v, struct user_id *out)
{
	if (!json_is(v, JSON_STRING))
		return -1;
	return user_id_parse(v->text, v->len, out);
}

/* The only restriction that exists; one that is not known is not ignored. */
static int read_access(const struct json *v, bool *read_only)
{
	*read_only = json_text_is(v, "ro");
	return v == NULL || *read_only ? 0 : -1;
}

static bool is_too_early(const struct json *nbf, int64_t at_s)
{
	int64_t from_s;

	if (nbf == NULL)
		return false;
	return read_time(nbf, &from_s) < 0 || from_s > at_s;
}

/* One string, or several in an array, for `aud` may be both. */
static bool names(const struct json *claim, const char *wanted)
{
	if (!json_is(claim, JSON_ARRAY))
		return json_text_is(claim, wanted);
	for (const struct json *v = claim->first; v != NULL; v = v->next) {
		if (json_text_is(v, wanted))
			return true;
	}
	return false;
}

static bool is_for_us(const struct jwt_rules *rules, const struct json *claims)
{
	return (rules->audience == NULL || names(json_get(claims, "aud"), rules->audience)) &&
	       (rules->issuer == NULL || json_text_is(json_get(claims, "iss"), rules->issuer));
}

static enum jwt_result judge_claims(const struct jwt_rules *rules, const struct json *claims,
				    int64_t now_s, struct jwt_claims *out)
{
	if (read_user(json_get(claims, "sub"), &out->user) < 0 ||
	    read_access(json_get(claims, "a"), &out->read_only) < 0 ||
	    read_time(json_get(claims, "exp"), &out->expires_s) < 0 ||
	    is_too_early(json_get(claims, "nbf"), now_s + rules->leeway_s) ||
	    !is_for_us(rules, claims))
		return JWT_INVALID;
	return out->expires_s <= now_s - rules->leeway_s ? JWT_EXPIRED : JWT_OK;
}

enum jwt_result jwt_verify(const struct jwt_rules *rules, const char *token, size_t len,
			   int64_t now_s, struct jwt_claims *out)
{
	const struct json_limits limits = {
		.max_len = JWT_TOKEN_MAX,
		.max_depth = 16,
		.max_values = 512,
	};
	enum jwt_result result = JWT_INVALID;
	struct buf payload = BUF_INIT;
	struct json_doc *doc = NULL;
	char why[128];

	if (len > JWT_TOKEN_MAX || jws_verify(rules->keys, token, len, &payload) < 0 ||
	    payload.len == 0)
		goto out;
	doc = json_parse(payload.data, payload.len, &limits, why, sizeof why);
	if (doc != NULL)
		result = judge_claims(rules, json_root(doc), now_s, out);
out:
	json_free(doc);
	buf_release(&payload);
	return result;
}

static const struct jwk *find_signer(const struct jwks *set)
{
	for (unsigned i = 0; i < set->count; i++) {
		if (jwk_can_sign(set->keys[i]))
			return set->keys[i];
	}
	return NULL;
}

static void put_text(struct json_writer *w, const char *key, const char *text)
{
	if (text == NULL)
		return;
	json_key(w, key);
	json_put_string(w, text);
}

int jwt_sign(const struct jwt_rules *rules, const struct jwt_claims *claims, int64_t now_s,
	     struct buf *out)
{
	const struct jwk *key = find_signer(rules->keys);
	struct buf payload = BUF_INIT;

	if (key == NULL)
		return -1;
	struct json_writer *w = json_writer_new(&payload);
	json_open_object(w);
	put_text(w, "sub", claims->user.text);
	json_key(w, "iat");
	json_put_int(w, now_s);
	json_key(w, "exp");
	json_put_int(w, claims->expires_s);
	put_text(w, "iss", rules->issuer);
	put_text(w, "aud", rules->audience);
	put_text(w, "a", claims->read_only ? "ro" : NULL);
	json_close_object(w);
	json_writer_free(w);
	int result = jws_sign(key, payload.data, payload.len, out);
	buf_release(&payload);
	return result;
}
