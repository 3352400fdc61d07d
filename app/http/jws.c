#include "http/jws.h"

#include "base/alloc.h"
#include "base/base64.h"
#include "base/json_read.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	HS256_LEN = 32,
	ED25519_LEN = 64,
	SIGNATURE_MAX = 64,
};

enum algorithm {
	ALGORITHM_HS256,
	ALGORITHM_EDDSA,
};

static const char *const algorithm_name[] = {
	[ALGORITHM_HS256] = "HS256",
	[ALGORITHM_EDDSA] = "EdDSA",
};

/* Exactly one of secret and pair is there, as the algorithm says. */
struct jws_key {
	enum algorithm algorithm;
	bool can_sign;
	unsigned char *secret;
	size_t secret_len;
	EVP_PKEY *pair;
};

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

static struct jws_key *parse_pem(const char *text, size_t len, char *why, size_t why_size)
{
	bool is_private = false;
	EVP_PKEY *pair = read_pem(text, len, &is_private);

	if (pair == NULL) {
		(void)snprintf(why, why_size,
			       "the PEM text holds no readable private or public key");
		return NULL;
	}
	if (EVP_PKEY_get_base_id(pair) != EVP_PKEY_ED25519) {
		(void)snprintf(why, why_size, "the PEM key is not an Ed25519 key");
		EVP_PKEY_free(pair);
		return NULL;
	}
	struct jws_key *k = alloc_zeroed(1, sizeof *k);
	k->algorithm = ALGORITHM_EDDSA;
	k->can_sign = is_private;
	k->pair = pair;
	return k;
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

static struct jws_key *parse_secret(const char *text, size_t len, char *why, size_t why_size)
{
	if (is_other_key_format(text, len)) {
		(void)snprintf(why, why_size, "the key is neither PEM nor a secret");
		return NULL;
	}
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len < JWS_SECRET_MIN) {
		(void)snprintf(why, why_size, "the secret is shorter than 32 bytes");
		return NULL;
	}
	struct jws_key *k = alloc_zeroed(1, sizeof *k);
	k->algorithm = ALGORITHM_HS256;
	k->can_sign = true;
	k->secret = alloc_zeroed(1, len);
	k->secret_len = len;
	memcpy(k->secret, text, len);
	return k;
}

struct jws_key *jws_key_parse(const char *text, size_t len, char *why, size_t why_size)
{
	static const char pem_mark[] = "-----BEGIN";

	if (memmem(text, len, pem_mark, sizeof pem_mark - 1) != NULL)
		return parse_pem(text, len, why, why_size);
	return parse_secret(text, len, why, why_size);
}

void jws_key_free(struct jws_key *k)
{
	if (k == NULL)
		return;
	if (k->secret != NULL)
		OPENSSL_cleanse(k->secret, k->secret_len);
	free(k->secret);
	EVP_PKEY_free(k->pair);
	free(k);
}

static void hs256(const struct jws_key *k, const char *text, size_t len,
		  unsigned char out[static HS256_LEN])
{
	unsigned out_len = HS256_LEN;

	if (HMAC(EVP_sha256(), k->secret, (int)k->secret_len, (const unsigned char *)text, len, out,
		 &out_len) == NULL)
		abort();
}

static bool hs256_fits(const struct jws_key *k, const char *text, size_t len,
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

static bool eddsa_fits(const struct jws_key *k, const char *text, size_t len,
		       const struct buf *signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool fits = ctx != NULL && signature->len == ED25519_LEN &&
		    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k->pair) == 1 &&
		    EVP_DigestVerify(ctx, (const unsigned char *)signature->data, signature->len,
				     (const unsigned char *)text, len) == 1;

	EVP_MD_CTX_free(ctx);
	return fits;
}

static bool signature_fits(const struct jws_key *k, const char *token, const struct parts *p)
{
	struct buf signature = BUF_INIT;
	bool fits = false;

	if (base64_decode(BASE64_URL, p->signature, p->signature_len, &signature) == 0) {
		switch (k->algorithm) {
		case ALGORITHM_HS256:
			fits = hs256_fits(k, token, p->signed_len, &signature);
			break;
		case ALGORITHM_EDDSA:
			fits = eddsa_fits(k, token, p->signed_len, &signature);
			break;
		}
	}
	buf_release(&signature);
	return fits;
}

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

/* `crit` lists extensions that must be understood; none is. */
static bool header_fits(const struct jws_key *k, const struct parts *p)
{
	const struct json_limits limits = { .max_len = 4096, .max_depth = 8, .max_values = 128 };
	struct buf text = BUF_INIT;
	struct json_doc *doc = NULL;
	bool fits = false;
	char why[128];

	if (base64_decode(BASE64_URL, p->header, p->header_len, &text) < 0 || text.len == 0)
		goto out;
	doc = json_parse(text.data, text.len, &limits, why, sizeof why);
	if (doc == NULL)
		goto out;
	const struct json *header = json_root(doc);
	fits = json_text_is(json_get(header, "alg"), algorithm_name[k->algorithm]) &&
	       json_get(header, "crit") == NULL;
out:
	json_free(doc);
	buf_release(&text);
	return fits;
}

/* The signature comes first: nothing that a stranger wrote is parsed. */
int jws_verify(const struct jws_key *k, const char *token, size_t len, struct buf *payload)
{
	struct parts p;

	/* Padding is legal base64 but not in a token: one token, one spelling. */
	if (memchr(token, '=', len) != NULL || split(token, len, &p) < 0)
		return -1;
	if (!signature_fits(k, token, &p) || !header_fits(k, &p))
		return -1;
	return base64_decode(BASE64_URL, p.payload, p.payload_len, payload);
}

static int eddsa(const struct jws_key *k, const char *text, size_t len,
		 unsigned char out[static ED25519_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t out_len = ED25519_LEN;
	int ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pair) == 1 &&
		 EVP_DigestSign(ctx, out, &out_len, (const unsigned char *)text, len) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -1;
}

int jws_sign(const struct jws_key *k, const char *payload, size_t len, struct buf *out)
{
	unsigned char signature[SIGNATURE_MAX];
	size_t signature_len = 0;
	struct buf token = BUF_INIT;
	struct buf header = BUF_INIT;
	int result = -1;

	if (!k->can_sign)
		return -1;
	buf_addf(&header, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", algorithm_name[k->algorithm]);
	base64_encode(BASE64_URL, header.data, header.len, &token);
	buf_add_text(&token, ".");
	base64_encode(BASE64_URL, payload, len, &token);
	switch (k->algorithm) {
	case ALGORITHM_HS256:
		hs256(k, token.data, token.len, signature);
		signature_len = HS256_LEN;
		break;
	case ALGORITHM_EDDSA:
		if (eddsa(k, token.data, token.len, signature) < 0)
			goto out;
		signature_len = ED25519_LEN;
		break;
	}
	buf_add_text(&token, ".");
	base64_encode(BASE64_URL, signature, signature_len, &token);
	buf_add(out, token.data, token.len);
	result = 0;
out:
	buf_release(&token);
	buf_release(&header);
	return result;
}
