/*
 *	+------------------+ 0
 *	| kind             |  1 byte: 0 free, 1 bound
 *	| reserved         |  1 byte: 0
 *	| worker           |  2 bytes
 *	| run              |  4 bytes
 *	| epoch            |  4 bytes
 *	| request          |  4 bytes
 *	| stream           |  8 bytes
 *	+------------------+ 24
 *	| HMAC-SHA256      |  its first 24 bytes, of the above and the user's id
 *	+------------------+ 48, which is 64 in base64
 *
 * Numbers lie as the machine has them: a baton never leaves it and comes back
 * to another one of use.
 */
#include "http/baton.h"

#include "base/base64.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SHA256_LEN = 32, MAC_LEN = 24 };

struct signed_part {
	uint8_t kind;
	uint8_t reserved;
	uint16_t worker;
	uint32_t run;
	uint32_t epoch;
	uint32_t request;
	uint64_t stream;
};

struct packed {
	struct signed_part part;
	unsigned char mac[MAC_LEN];
};

_Static_assert(sizeof(struct packed) * 4 / 3 == BATON_LEN, "the text has no padding");

int baton_key_make(struct baton_key *out)
{
	if (getrandom(out, sizeof *out, 0) == (ssize_t)sizeof *out) {
		out->run |= 1;
		return 0;
	}
	log_error("baton.failed", "call=getrandom error=\"%s\"", strerror(errno));
	return -1;
}

/* The user's id is as long as its text, and the rest has one length: nothing is ambiguous. */
static void sign(const struct baton_key *key, const struct user_id *user,
		 const struct signed_part *part, unsigned char out[static SHA256_LEN])
{
	unsigned char text[sizeof *part + sizeof user->text];
	size_t user_len = strlen(user->text);
	unsigned out_len = SHA256_LEN;

	memcpy(text, part, sizeof *part);
	memcpy(text + sizeof *part, user->text, user_len);
	if (HMAC(EVP_sha256(), key->secret, BATON_SECRET, text, sizeof *part + user_len, out,
		 &out_len) == NULL)
		abort();
}

void baton_write(const struct baton_key *key, const struct user_id *user, const struct baton *b,
		 char out[static BATON_LEN + 1])
{
	struct packed packed = { .part = { .run = key->run } };
	unsigned char mac[SHA256_LEN];
	struct buf text = BUF_INIT;

	if (b->bound) {
		packed.part.kind = 1;
		packed.part.worker = b->worker;
		packed.part.epoch = b->epoch;
		packed.part.request = b->request;
		packed.part.stream = b->stream;
	}
	sign(key, user, &packed.part, mac);
	memcpy(packed.mac, mac, sizeof packed.mac);
	base64_encode(BASE64_URL, &packed, sizeof packed, &text);
	assert(text.len == BATON_LEN);
	memcpy(out, text.data, BATON_LEN + 1);
	buf_release(&text);
}

static int unpack(const char *text, size_t len, struct packed *out)
{
	struct buf bytes = BUF_INIT;
	int result = -1;

	/* A text with padding is as long and holds less. */
	if (len == BATON_LEN && base64_decode(BASE64_URL, text, len, &bytes) == 0 &&
	    bytes.len == sizeof *out) {
		memcpy(out, bytes.data, sizeof *out);
		result = 0;
	}
	buf_release(&bytes);
	return result;
}

enum baton_result baton_read(const struct baton_key *key, const struct user_id *user,
			     const char *text, size_t len, struct baton *out)
{
	unsigned char mac[SHA256_LEN];
	struct packed packed;

	if (unpack(text, len, &packed) < 0)
		return BATON_FORGED;
	if (packed.part.run != key->run)
		return BATON_EXPIRED;
	sign(key, user, &packed.part, mac);
	if (CRYPTO_memcmp(mac, packed.mac, sizeof packed.mac) != 0)
		return BATON_FORGED;
	*out = (struct baton){
		.bound = packed.part.kind == 1,
		.worker = packed.part.worker,
		.epoch = packed.part.epoch,
		.stream = packed.part.stream,
		.request = packed.part.request,
	};
	return BATON_OK;
}
