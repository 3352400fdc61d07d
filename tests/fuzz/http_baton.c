/*
 * Batons: one that was not written here for this user is never accepted, whatever it is
 * made of; one that was, is what it was made of.
 *
 * The input is what a baton holds, then a text, then where and how to change a real one.
 */
#include "http/baton.h"

#include "base/base64.h"

#include <assert.h>
#include <string.h>

static const struct baton_key key = { .run = 7, .secret = "0123456789abcdef0123456789abcde" };
static const struct baton_key next_run = { .run = 9, .secret = "0123456789abcdef0123456789abcde" };
static const struct user_id alice = { "alice" }, bob = { "alic" };

static void check_same(const struct baton *a, const struct baton *b)
{
	assert(a->bound == b->bound);
	assert(!a->bound || (a->worker == b->worker && a->epoch == b->epoch &&
			     a->stream == b->stream && a->request == b->request));
}

static void check_own(const struct baton *b, const char text[static BATON_LEN + 1])
{
	struct baton read = { .bound = false };

	assert(strlen(text) == BATON_LEN);
	assert(baton_read(&key, &alice, text, BATON_LEN, &read) == BATON_OK);
	check_same(b, &read);
	assert(baton_read(&key, &bob, text, BATON_LEN, &read) == BATON_FORGED);
	assert(baton_read(&next_run, &alice, text, BATON_LEN, &read) == BATON_EXPIRED);
	assert(baton_read(&key, &alice, text, BATON_LEN - 1, &read) == BATON_FORGED);
}

/* Each text of 64 characters means other bytes, so any change is one of what is signed. */
static void check_changed(const char text[static BATON_LEN + 1], size_t at, char c)
{
	char changed[BATON_LEN + 1];
	struct baton read;

	memcpy(changed, text, sizeof changed);
	changed[at] = c;
	enum baton_result result = baton_read(&key, &alice, changed, BATON_LEN, &read);
	assert((result == BATON_OK) == (text[at] == c));
}

/* Nobody finds a signature of 24 bytes by chance. */
static void check_foreign(const char *text, size_t len)
{
	struct baton read;

	assert(baton_read(&key, &alice, text, len, &read) != BATON_OK);
}

/* The bytes as they would lie in a baton, so that they get as far as the signature. */
static void check_packed(const uint8_t *bytes, size_t len)
{
	struct buf text = BUF_INIT;

	base64_encode(BASE64_URL, bytes, len, &text);
	check_foreign(text.data, text.len);
	buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct baton b = { .bound = false };
	uint8_t head[24] = { 0 };
	char text[BATON_LEN + 1];

	memcpy(head, data, len < sizeof head ? len : sizeof head);
	b.bound = head[0] & 1;
	memcpy(&b.worker, head + 2, sizeof b.worker);
	memcpy(&b.epoch, head + 4, sizeof b.epoch);
	memcpy(&b.request, head + 8, sizeof b.request);
	memcpy(&b.stream, head + 12, sizeof b.stream);
	baton_write(&key, &alice, &b, text);
	check_own(&b, text);
	check_changed(text, head[20] % BATON_LEN, (char)head[21]);
	check_foreign((const char *)data, len);
	check_packed(data, len);
	return 0;
}
