#include "http/jwt.h"

#include "http/jws.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/json_read.h"
#include "base/json_write.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	KEY_FILE_MAX = 65536,
	CLOCK_SKEW_S = 30,
};

_Static_assert((int)JWS_SECRET_MIN == (int)JWT_SECRET_MIN, "one rule for secrets");

struct jwt_key {
	struct jws_key *jws;
};

static void wipe(struct buf *b)
{
	if (b->data != NULL)
		OPENSSL_cleanse(b->data, b->cap);
	buf_release(b);
}

struct jwt_key *jwt_key_read(const char *path, char *why, size_t why_size)
{
	struct jwt_key *k = NULL;
	struct jws_key *jws = NULL;
	struct buf text = BUF_INIT;

	/* All of it at once: growing would leave copies of a secret behind. */
	buf_reserve(&text, 2 * KEY_FILE_MAX);
	switch (file_read(path, KEY_FILE_MAX, &text)) {
	case FILE_OK:
		jws = jws_key_parse(text.data, text.len, why, why_size);
		break;
	case FILE_ABSENT:
		(void)snprintf(why, why_size, "there is no such file");
		break;
	case FILE_TOO_LONG:
		(void)snprintf(why, why_size, "the file is too long to be a key");
		break;
	case FILE_FAILED:
		(void)snprintf(why, why_size, "the file cannot be read");
		break;
	}
	if (jws != NULL) {
		k = alloc_zeroed(1, sizeof *k);
		k->jws = jws;
	}
	wipe(&text);
	return k;
}

void jwt_key_free(struct jwt_key *k)
{
	if (k == NULL)
		return;
	jws_key_free(k->jws);
	free(k);
}

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

static bool is_too_early(const struct json *nbf, int64_t now_s)
{
	int64_t from_s;

	if (nbf == NULL)
		return false;
	return read_time(nbf, &from_s) < 0 || from_s > now_s + CLOCK_SKEW_S;
}

static enum jwt_result judge_claims(const struct json *claims, int64_t now_s,
				    struct jwt_claims *out)
{
	if (read_user(json_get(claims, "sub"), &out->user) < 0 ||
	    read_access(json_get(claims, "a"), &out->read_only) < 0 ||
	    read_time(json_get(claims, "exp"), &out->expires_s) < 0 ||
	    is_too_early(json_get(claims, "nbf"), now_s))
		return JWT_INVALID;
	return out->expires_s <= now_s - CLOCK_SKEW_S ? JWT_EXPIRED : JWT_OK;
}

enum jwt_result jwt_verify(const struct jwt_key *k, const char *token, size_t len, int64_t now_s,
			   struct jwt_claims *out)
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

	if (len > JWT_TOKEN_MAX || jws_verify(k->jws, token, len, &payload) < 0 || payload.len == 0)
		goto out;
	doc = json_parse(payload.data, payload.len, &limits, why, sizeof why);
	if (doc != NULL)
		result = judge_claims(json_root(doc), now_s, out);
out:
	json_free(doc);
	buf_release(&payload);
	return result;
}

int jwt_sign(const struct jwt_key *k, const struct jwt_claims *claims, int64_t now_s,
	     struct buf *out)
{
	struct buf payload = BUF_INIT;
	struct json_writer *w = json_writer_new(&payload);

	json_open_object(w);
	json_key(w, "sub");
	json_put_string(w, claims->user.text);
	json_key(w, "iat");
	json_put_int(w, now_s);
	json_key(w, "exp");
	json_put_int(w, claims->expires_s);
	if (claims->read_only) {
		json_key(w, "a");
		json_put_string(w, "ro");
	}
	json_close_object(w);
	json_writer_free(w);

	int result = jws_sign(k->jws, payload.data, payload.len, out);
	buf_release(&payload);
	return result;
}
