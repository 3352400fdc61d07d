#include "http/jwk.h"

#include "base/alloc.h"
#include "base/base64.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HS256_LEN = 32,
	ED25519_LEN = 64,
	ED25519_KEY_LEN = 32,
	P256_LEN = 32, /* of a coordinate, and of each half of a signature */
	ES256_LEN = 2 * P256_LEN,
	ES256_DER_MAX = 80,
	RSA_EXPONENT_MAX = 8,
};

const char *const jwk_algorithm_name[] = {
	[JWK_HS256] = "HS256",
	[JWK_EDDSA] = "EdDSA",
	[JWK_ES256] = "ES256",
	[JWK_RS256] = "RS256",
};

/* Exactly one of secret and pair is there, as the algorithm says. */
struct jwk {
	enum jwk_algorithm algorithm;
	bool can_sign;
	char kid[JWK_KID_MAX + 1];
	unsigned char *secret;
	size_t secret_len;
	EVP_PKEY *pair;
};

static void say(char *why, size_t why_size, const char *what)
{
	(void)snprintf(why, why_size, "%s", what);
}

static void wipe(struct buf *b)
{
	if (b->data != NULL)
		OPENSSL_cleanse(b->data, b->cap);
	buf_release(b);
}

void jwk_free(struct jwk *k)
{
	if (k == NULL)
		return;
	if (k->secret != NULL)
		OPENSSL_cleanse(k->secret, k->secret_len);
	free(k->secret);
	EVP_PKEY_free(k->pair);
	free(k);
}

enum jwk_algorithm jwk_algorithm(const struct jwk *k)
{
	return k->algorithm;
}

const char *jwk_kid(const struct jwk *k)
{
	return k->kid;
}

bool jwk_can_sign(const struct jwk *k)
{
	return k->can_sign;
}

void jwk_describe(const struct jwk *k, char out[static JWK_TYPE_MAX])
{
	switch (k->algorithm) {
	case JWK_HS256:
		(void)snprintf(out, JWK_TYPE_MAX, "secret");
		break;
	case JWK_EDDSA:
		(void)snprintf(out, JWK_TYPE_MAX, "Ed25519");
		break;
	case JWK_ES256:
		(void)snprintf(out, JWK_TYPE_MAX, "EC P-256");
		break;
	case JWK_RS256:
		(void)snprintf(out, JWK_TYPE_MAX, "RSA %d bits", EVP_PKEY_get_bits(k->pair));
		break;
	}
}

static struct jwk *make_secret(const char *bytes, size_t len, char *why, size_t why_size)
{
	if (len < JWK_SECRET_MIN) {
		say(why, why_size, "the secret is shorter than 32 bytes");
		return NULL;
	}
	struct jwk *k = alloc_zeroed(1, sizeof *k);
	k->algorithm = JWK_HS256;
	k->can_sign = true;
	k->secret = alloc_zeroed(1, len);
	k->secret_len = len;
	memcpy(k->secret, bytes, len);
	return k;
}

static bool is_p256(const EVP_PKEY *pair)
{
	char group[32];
	size_t len;

	return EVP_PKEY_get_group_name(pair, group, sizeof group, &len) == 1 &&
	       strcmp(group, SN_X9_62_prime256v1) == 0;
}

/* Which algorithm the key is for.  -1: for none of ours. */
static int find_algorithm(const EVP_PKEY *pair, enum jwk_algorithm *out, char *why, size_t why_size)
{
	int bits = EVP_PKEY_get_bits(pair);

	switch (EVP_PKEY_get_base_id(pair)) {
	case EVP_PKEY_ED25519:
		*out = JWK_EDDSA;
		return 0;
	case EVP_PKEY_EC:
		*out = JWK_ES256;
		if (is_p256(pair))
			return 0;
		say(why, why_size, "the curve of the EC key is not P-256");
		return -1;
	case EVP_PKEY_RSA:
		*out = JWK_RS256;
		if (bits >= JWK_RSA_BITS_MIN && bits <= JWK_RSA_BITS_MAX)
			return 0;
		(void)snprintf(why, why_size, "the RSA key has %d bits, not 2048 to 8192", bits);
		return -1;
	}
	say(why, why_size, "the key is not Ed25519, EC on P-256 or RSA");
	return -1;
}

/* Not a point off its curve, an even exponent, halves that do not go together, and the like. */
static bool is_sound(EVP_PKEY *pair, bool is_private)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
	bool sound =
		ctx != NULL && (is_private ? EVP_PKEY_check(ctx) : EVP_PKEY_public_check(ctx)) == 1;

	EVP_PKEY_CTX_free(ctx);
	return sound;
}

/* Takes `pair`, also when there is none or it is refused. */
static struct jwk *make_pair(EVP_PKEY *pair, bool is_private, char *why, size_t why_size)
{
	enum jwk_algorithm algorithm;

	if (pair == NULL) {
		say(why, why_size, "the key cannot be read");
		goto fail;
	}
	if (find_algorithm(pair, &algorithm, why, why_size) < 0)
		goto fail;
	if (!is_sound(pair, is_private)) {
		say(why, why_size, "the key is not sound");
		goto fail;
	}
	struct jwk *k = alloc_zeroed(1, sizeof *k);
	k->algorithm = algorithm;
	k->can_sign = is_private;
	k->pair = pair;
	return k;
fail:
	EVP_PKEY_free(pair);
	return NULL;
}

/* An encrypted key must not make a daemon ask for a password on the terminal. */
static int no_password(char *out, int size, int writing, void *arg)
{
	(void)out, (void)size, (void)writing, (void)arg;
	return -1;
}

static EVP_PKEY *read_pem(const char *text, size_t len, bool *is_private)
{
	BIO *bio = BIO_new_mem_buf(text, (int)len);

	if (bio == NULL)
		return NULL;
	EVP_PKEY *pair = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	*is_private = pair != NULL;
	if (pair == NULL) {
		(void)BIO_reset(bio);
		pair = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
	}
	BIO_free(bio);
	return pair;
}

static unsigned count_text(const char *text, size_t len, const char *what)
{
	const char *end = text + len;
	unsigned count = 0;

	while ((text = memmem(text, (size_t)(end - text), what, strlen(what))) != NULL) {
		text += strlen(what);
		count++;
	}
	return count;
}

static struct jwk *parse_pem(const char *text, size_t len, char *why, size_t why_size)
{
	bool is_private = false;

	/* Two lines of each: BEGIN and END. */
	if (count_text(text, len, "KEY-----") > 2) {
		say(why, why_size, "the PEM text holds more than one key; each needs its own file");
		return NULL;
	}
	EVP_PKEY *pair = read_pem(text, len, &is_private);
	if (pair == NULL) {
		say(why, why_size, "the PEM text holds no readable private or public key");
		return NULL;
	}
	return make_pair(pair, is_private, why, why_size);
}

/*
 * A key in a form that is not PEM would pass for a secret, and a public one
 * for a secret that everybody knows.
 */
static bool is_other_key_format(const char *text, size_t len)
{
	const unsigned char *bytes = (const unsigned char *)text;
	EVP_PKEY *pair = d2i_PUBKEY(NULL, &bytes, (long)len);

	if (pair == NULL) {
		bytes = (const unsigned char *)text;
		pair = d2i_AutoPrivateKey(NULL, &bytes, (long)len);
	}
	EVP_PKEY_free(pair);
	return pair != NULL || (len >= 4 && memcmp(text, "ssh-", 4) == 0);
}

static struct jwk *parse_secret(const char *text, size_t len, char *why, size_t why_size)
{
	if (is_other_key_format(text, len)) {
		say(why, why_size, "the key is neither PEM nor a secret");
		return NULL;
	}
	if (len > 0 && text[len - 1] == '\n')
		len--;
	return make_secret(text, len, why, why_size);
}

struct jwk *jwk_from_text(const char *text, size_t len, char *why, size_t why_size)
{
	if (count_text(text, len, "-----BEGIN") > 0)
		return parse_pem(text, len, why, why_size);
	return parse_secret(text, len, why, why_size);
}

/* ---- JWK */

static int decode_member(const struct json *v, const char *name, struct buf *out)
{
	const struct json *member = json_get(v, name);

	if (!json_is(member, JSON_STRING) || memchr(member->text, '=', member->len) != NULL)
		return -1;
	/* All of it at once: growing would leave copies of a secret behind. */
	buf_reserve(out, member->len + 1);
	return base64_decode(BASE64_URL, member->text, member->len, out);
}

static struct jwk *parse_oct(const struct json *v, char *why, size_t why_size)
{
	struct buf secret = BUF_INIT;
	struct jwk *k = NULL;

	if (decode_member(v, "k", &secret) < 0)
		say(why, why_size, "its k is not base64url");
	else
		k = make_secret(secret.data, secret.len, why, why_size);
	wipe(&secret);
	return k;
}

static struct jwk *parse_okp(const struct json *v, char *why, size_t why_size)
{
	struct buf x = BUF_INIT;
	struct jwk *k = NULL;

	if (!json_text_is(json_get(v, "crv"), "Ed25519"))
		say(why, why_size, "its crv is not Ed25519");
	else if (decode_member(v, "x", &x) < 0 || x.len != ED25519_KEY_LEN)
		say(why, why_size, "its x is not 32 bytes in base64url");
	else
		k = make_pair(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL,
							  (const unsigned char *)x.data, x.len),
			      false, why, why_size);
	buf_release(&x);
	return k;
}

static EVP_PKEY *public_from_params(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pair = NULL;

	if (ctx != NULL && params != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	return pair;
}

static struct jwk *parse_ec(const struct json *v, char *why, size_t why_size)
{
	struct buf point = BUF_INIT;
	struct jwk *k = NULL;
	char group[] = SN_X9_62_prime256v1;

	if (!json_text_is(json_get(v, "crv"), "P-256")) {
		say(why, why_size, "its crv is not P-256");
		goto out;
	}
	buf_add(&point, "\x04", 1); /* both coordinates follow */
	if (decode_member(v, "x", &point) < 0 || point.len != 1 + P256_LEN ||
	    decode_member(v, "y", &point) < 0 || point.len != 1 + 2 * P256_LEN) {
		say(why, why_size, "its x and y are not 32 bytes each in base64url");
		goto out;
	}
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data, point.len),
		OSSL_PARAM_construct_end(),
	};
	k = make_pair(public_from_params("EC", params), false, why, why_size);
out:
	buf_release(&point);
	return k;
}

static BIGNUM *read_number(const struct buf *b)
{
	return BN_bin2bn((const unsigned char *)b->data, (int)b->len, NULL);
}

static EVP_PKEY *rsa_from_numbers(const struct buf *modulus, const struct buf *exponent)
{
	BIGNUM *n = read_number(modulus), *e = read_number(exponent);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;

	if (n != NULL && e != NULL && build != NULL &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY *pair = public_from_params("RSA", params);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
	return pair;
}

static struct jwk *parse_rsa(const struct json *v, char *why, size_t why_size)
{
	struct buf n = BUF_INIT, e = BUF_INIT;
	struct jwk *k = NULL;

	/* Some write a leading zero. */
	if (decode_member(v, "n", &n) < 0 || n.len == 0 || n.len > JWK_RSA_BITS_MAX / 8 + 1 ||
	    decode_member(v, "e", &e) < 0 || e.len == 0 || e.len > RSA_EXPONENT_MAX)
		say(why, why_size, "its n and e are no numbers of the right size in base64url");
	else
		k = make_pair(rsa_from_numbers(&n, &e), false, why, why_size);
	buf_release(&n);
	buf_release(&e);
	return k;
}

static bool has_text(const struct json *array, const char *text)
{
	if (!json_is(array, JSON_ARRAY))
		return false;
	for (const struct json *v = array->first; v != NULL; v = v->next) {
		if (json_text_is(v, text))
			return true;
	}
	return false;
}

/* What it may be used for is optional, twice. */
static bool is_for_signatures(const struct json *v)
{
	const struct json *use = json_get(v, "use"), *operations = json_get(v, "key_ops");

	return (use == NULL || json_text_is(use, "sig")) &&
	       (operations == NULL || has_text(operations, "verify") ||
		has_text(operations, "sign"));
}

static int read_kid(const struct json *kid, char out[static JWK_KID_MAX + 1])
{
	if (kid == NULL)
		return 0;
	if (!json_is(kid, JSON_STRING) || kid->len == 0 || kid->len > JWK_KID_MAX)
		return -1;
	for (size_t i = 0; i < kid->len; i++) {
		if (kid->text[i] < 0x20 || kid->text[i] > 0x7e)
			return -1;
	}
	memcpy(out, kid->text, kid->len + 1);
	return 0;
}

static struct jwk *parse_by_type(const struct json *v, char *why, size_t why_size)
{
	static const struct {
		const char *kty;
		struct jwk *(*parse)(const struct json *v, char *why, size_t why_size);
	} types[] = {
		{ "oct", parse_oct },
		{ "OKP", parse_okp },
		{ "EC", parse_ec },
		{ "RSA", parse_rsa },
	};

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		if (json_text_is(json_get(v, "kty"), types[i].kty))
			return types[i].parse(v, why, why_size);
	}
	say(why, why_size, "its kty is none of oct, OKP, EC and RSA");
	return NULL;
}

struct jwk *jwk_from_json(const struct json *v, char *why, size_t why_size)
{
	const struct json *algorithm = json_get(v, "alg");
	char kid[JWK_KID_MAX + 1] = "";

	if (!is_for_signatures(v)) {
		say(why, why_size, "its use or key_ops is not for signatures");
		return NULL;
	}
	if (read_kid(json_get(v, "kid"), kid) < 0) {
		say(why, why_size, "its kid is not 1 to 128 printable ASCII characters");
		return NULL;
	}
	struct jwk *k = parse_by_type(v, why, why_size);
	if (k == NULL)
		return NULL;
	if (algorithm != NULL && !json_text_is(algorithm, jwk_algorithm_name[k->algorithm])) {
		(void)snprintf(why, why_size, "its alg is not %s, as its kty would be for",
			       jwk_algorithm_name[k->algorithm]);
		jwk_free(k);
		return NULL;
	}
	memcpy(k->kid, kid, sizeof k->kid);
	return k;
}

/* ---- signatures */

static void hs256(const struct jwk *k, const char *text, size_t len,
		  unsigned char out[static HS256_LEN])
{
	unsigned out_len = HS256_LEN;

	if (HMAC(EVP_sha256(), k->secret, (int)k->secret_len, (const unsigned char *)text, len, out,
		 &out_len) == NULL)
		abort();
}

static bool hs256_fits(const struct jwk *k, const char *text, size_t len,
		       const struct buf *signature)
{
	unsigned char want[HS256_LEN];

	if (signature->len != sizeof want)
		return false;
	hs256(k, text, len, want);
	bool fits = CRYPTO_memcmp(want, signature->data, sizeof want) == 0;
	OPENSSL_cleanse(want, sizeof want);
	return fits;
}

/* Ed25519 has its digest built in; for RSA the padding is PKCS#1 v1.5. */
static const EVP_MD *digest_of(const struct jwk *k)
{
	return k->algorithm == JWK_EDDSA ? NULL : EVP_sha256();
}

static bool pair_fits(const struct jwk *k, const char *text, size_t len,
		      const unsigned char *signature, size_t signature_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool fits =
		ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, digest_of(k), NULL, k->pair) == 1 &&
		EVP_DigestVerify(ctx, signature, signature_len, (const unsigned char *)text, len) ==
			1;

	EVP_MD_CTX_free(ctx);
	return fits;
}

/* From r and s, of fixed length, to the DER that OpenSSL wants.  0: impossible. */
static size_t es256_to_der(const struct buf *signature, unsigned char out[static ES256_DER_MAX])
{
	const unsigned char *bytes = (const unsigned char *)signature->data;
	BIGNUM *r = BN_bin2bn(bytes, P256_LEN, NULL);
	BIGNUM *s = BN_bin2bn(bytes + P256_LEN, P256_LEN, NULL);
	ECDSA_SIG *both = ECDSA_SIG_new();
	int len = 0;

	if (r == NULL || s == NULL || both == NULL || ECDSA_SIG_set0(both, r, s) != 1) {
		BN_free(r);
		BN_free(s);
	} else if (i2d_ECDSA_SIG(both, NULL) <= ES256_DER_MAX) {
		len = i2d_ECDSA_SIG(both, &out);
	}
	ECDSA_SIG_free(both);
	return len > 0 ? (size_t)len : 0;
}

static bool es256_fits(const struct jwk *k, const char *text, size_t len,
		       const struct buf *signature)
{
	unsigned char der[ES256_DER_MAX];

	if (signature->len != ES256_LEN)
		return false;
	size_t der_len = es256_to_der(signature, der);
	return der_len > 0 && pair_fits(k, text, len, der, der_len);
}

bool jwk_verify(const struct jwk *k, const char *text, size_t len, const struct buf *signature)
{
	const unsigned char *bytes = (const unsigned char *)signature->data;

	switch (k->algorithm) {
	case JWK_HS256:
		return hs256_fits(k, text, len, signature);
	case JWK_EDDSA:
		return signature->len == ED25519_LEN &&
		       pair_fits(k, text, len, bytes, signature->len);
	case JWK_ES256:
		return es256_fits(k, text, len, signature);
	case JWK_RS256:
		return signature->len == (size_t)EVP_PKEY_get_size(k->pair) &&
		       pair_fits(k, text, len, bytes, signature->len);
	}
	abort();
}

/* How many bytes; 0: OpenSSL says no. */
static size_t pair_sign(const struct jwk *k, const char *text, size_t len,
			unsigned char out[static JWK_SIGNATURE_MAX])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t out_len = JWK_SIGNATURE_MAX;
	bool made = ctx != NULL &&
		    EVP_DigestSignInit(ctx, NULL, digest_of(k), NULL, k->pair) == 1 &&
		    EVP_DigestSign(ctx, out, &out_len, (const unsigned char *)text, len) == 1;

	EVP_MD_CTX_free(ctx);
	return made ? out_len : 0;
}

/* From DER to r and s. */
static size_t es256_from_der(unsigned char *bytes, size_t len)
{
	const unsigned char *der = bytes;
	ECDSA_SIG *both = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool made = both != NULL &&
		    BN_bn2binpad(ECDSA_SIG_get0_r(both), bytes, P256_LEN) == P256_LEN &&
		    BN_bn2binpad(ECDSA_SIG_get0_s(both), bytes + P256_LEN, P256_LEN) == P256_LEN;

	ECDSA_SIG_free(both);
	return made ? ES256_LEN : 0;
}

int jwk_sign(const struct jwk *k, const char *text, size_t len, struct buf *signature)
{
	unsigned char bytes[JWK_SIGNATURE_MAX] = { 0 };
	size_t made = 0;

	if (!k->can_sign)
		return -1;
	switch (k->algorithm) {
	case JWK_HS256:
		hs256(k, text, len, bytes);
		made = HS256_LEN;
		break;
	case JWK_ES256:
		made = pair_sign(k, text, len, bytes);
		made = made > 0 ? es256_from_der(bytes, made) : 0;
		break;
	case JWK_EDDSA:
	case JWK_RS256:
		made = pair_sign(k, text, len, bytes);
		break;
	}
	if (made == 0)
		return -1;
	buf_add(signature, bytes, made);
	return 0;
}
