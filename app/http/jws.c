#include "http/jws.h"

#include "base/base64.h"
#include "base/json_read.h"
#include "base/json_write.h"

#include <stdbool.h>
#include <string.h>

enum { HEADER_MAX = 2048 };

/* The three parts, borrowed from the token. */
struct parts {
	const char *header;
	size_t header_len;
	const char *payload;
	size_t payload_len;
	const char *signature;
	size_t signature_len;
	size_t signed_len; /* header, dot and payload */
};

static int split(const char *token, size_t len, struct parts *p)
{
	const char *end = token + len;
	const char *dot1 = memchr(token, '.', len);

	if (dot1 == NULL)
		return -1;
	const char *dot2 = memchr(dot1 + 1, '.', (size_t)(end - dot1 - 1));
	if (dot2 == NULL)
		return -1;
	*p = (struct parts){
		.header = token,
		.header_len = (size_t)(dot1 - token),
		.payload = dot1 + 1,
		.payload_len = (size_t)(dot2 - dot1 - 1),
		.signature = dot2 + 1,
		.signature_len = (size_t)(end - dot2 - 1),
		.signed_len = (size_t)(dot2 - token),
	};
	return 0;
}

/* NULL: not a header. */
static struct json_doc *parse_header(const struct parts *p)
{
	const struct json_limits limits = {
		.max_len = HEADER_MAX,
		.max_depth = 4,
		.max_values = 64,
	};
	struct buf text = BUF_INIT;
	struct json_doc *doc = NULL;
	char why[128];

	if (p->header_len <= HEADER_MAX * 4 / 3 &&
	    base64_decode(BASE64_URL, p->header, p->header_len, &text) == 0 && text.len > 0)
		doc = json_parse(text.data, text.len, &limits, why, sizeof why);
	buf_release(&text);
	return doc;
}

/* What comes from the header has no say in how the key is used. */
static bool may_be_of(const struct jwk *key, const struct json *header)
{
	const struct json *kid = json_get(header, "kid");
	const char *own = jwk_kid(key);

	return json_text_is(json_get(header, "alg"), jwk_algorithm_name[jwk_algorithm(key)]) &&
	       (kid == NULL || own[0] == '\0' || json_text_is(kid, own));
}

static bool is_signed(const struct jwks *set, const struct json *header, const char *token,
		      const struct parts *p)
{
	const struct json *kid = json_get(header, "kid");
	struct buf signature = BUF_INIT;
	bool fits = false;

	if (json_get(header, "crit") == NULL && (kid == NULL || json_is(kid, JSON_STRING)) &&
	    base64_decode(BASE64_URL, p->signature, p->signature_len, &signature) == 0) {
		for (unsigned i = 0; i < set->count && !fits; i++)
			fits = may_be_of(set->keys[i], header) &&
			       jwk_verify(set->keys[i], token, p->signed_len, &signature);
	}
	buf_release(&signature);
	return fits;
}

int jws_verify(const struct jwks *set, const char *token, size_t len, struct buf *payload)
{
	struct parts p;

	/* Padding is legal base64 but not in a token: one token, one spelling. */
	if (memchr(token, '=', len) != NULL || split(token, len, &p) < 0)
		return -1;
	struct json_doc *header = parse_header(&p);
	bool fits = header != NULL && is_signed(set, json_root(header), token, &p);
	json_free(header);
	return fits ? base64_decode(BASE64_URL, p.payload, p.payload_len, payload) : -1;
}

static void encode_header(const struct jwk *key, struct buf *out)
{
	struct buf header = BUF_INIT;
	struct json_writer *w = json_writer_new(&header);

	json_open_object(w);
	json_key(w, "alg");
	json_put_string(w, jwk_algorithm_name[jwk_algorithm(key)]);
	json_key(w, "typ");
	json_put_string(w, "JWT");
	if (jwk_kid(key)[0] != '\0') {
		json_key(w, "kid");
		json_put_string(w, jwk_kid(key));
	}
	json_close_object(w);
	json_writer_free(w);
	base64_encode(BASE64_URL, header.data, header.len, out);
	buf_release(&header);
}

int jws_sign(const struct jwk *key, const char *payload, size_t len, struct buf *out)
{
	struct buf token = BUF_INIT, signature = BUF_INIT;

	encode_header(key, &token);
	buf_add_text(&token, ".");
	base64_encode(BASE64_URL, payload, len, &token);
	int result = jwk_sign(key, token.data, token.len, &signature);
	if (result == 0) {
		buf_add_text(&token, ".");
		base64_encode(BASE64_URL, signature.data, signature.len, &token);
		buf_add(out, token.data, token.len);
	}
	buf_release(&signature);
	buf_release(&token);
	return result;
}
