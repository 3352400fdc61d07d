/*
 * Any bytes as a token.  The first one says in which form: as they are, or as
 * header and payload, with a zero byte between, whose signature is good.
 */
#include "base/base64.h"
#include "http/jws.h"
#include "http/jwt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {
	"0123456789abcdef0123456789abcdef",
	"-----BEGIN PUBLIC KEY-----\n"
	"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
	"-----END PUBLIC KEY-----\n",
	"-----BEGIN PUBLIC KEY-----\n"
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
	"6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
	"-----END PUBLIC KEY-----\n",
};

static struct jwks *make_keys(void)
{
	static struct jwks set;
	char why[128];

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct jwk *k = jwk_from_text(texts[i], strlen(texts[i]), why, sizeof why);
		if (k == NULL)
			abort();
		set.keys[set.count++] = k;
	}
	return &set;
}

static void add_signed(const struct jwk *key, const char *bytes, size_t len, struct buf *out)
{
	struct buf signature = BUF_INIT;
	size_t header_len = strnlen(bytes, len);

	base64_encode(BASE64_URL, bytes, header_len, out);
	buf_add_text(out, ".");
	if (header_len < len)
		base64_encode(BASE64_URL, bytes + header_len + 1, len - header_len - 1, out);
	if (jwk_sign(key, out->data, out->len, &signature) < 0)
		abort();
	buf_add_text(out, ".");
	base64_encode(BASE64_URL, signature.data, signature.len, out);
	buf_release(&signature);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct jwks *keys;
	struct buf token = BUF_INIT;
	struct jwt_claims claims = { 0 };

	if (len == 0)
		return 0;
	if (keys == NULL)
		keys = make_keys();
	const struct jwt_rules rules = {
		.keys = keys,
		.audience = data[0] & 2 ? "db" : NULL,
		.issuer = data[0] & 4 ? "id" : NULL,
		.leeway_s = 30,
	};
	if (data[0] & 1)
		add_signed(keys->keys[0], (const char *)data + 1, len - 1, &token);
	else
		buf_add(&token, data + 1, len - 1);
	enum jwt_result result = jwt_verify(&rules, token.data, token.len, 1700000000, &claims);
	/* Nobody can sign but by add_signed(). */
	assert(result == JWT_INVALID || (data[0] & 1) != 0);
	assert(result != JWT_OK || claims.user.text[0] != '\0');
	buf_release(&token);
	return 0;
}
