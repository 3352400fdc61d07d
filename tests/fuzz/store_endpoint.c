/* Any text as the address of a store: what is taken has no surprise in it. */
#include "base/buf.h"
#include "store/endpoint.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static void expect_plain(const struct endpoint *e)
{
	static const char host_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789-._:[]";

	assert(e->host[0] != '\0' && strspn(e->host, host_chars) == strlen(e->host));
	assert(e->path[0] == '\0' || e->path[0] == '/');
	assert(e->path[0] == '\0' || e->path[strlen(e->path) - 1] != '/');
}

static void expect_encrypted_or_local(const struct endpoint *e)
{
	if (strncmp(e->origin, "https://", 8) == 0) {
		assert(strcmp(e->origin + 8, e->host) == 0);
		return;
	}
	assert(strncmp(e->origin, "http://", 7) == 0 && strcmp(e->origin + 7, e->host) == 0);
	assert(strncmp(e->host, "localhost", 9) == 0 || strncmp(e->host, "127.", 4) == 0 ||
	       strncmp(e->host, "[::1]", 5) == 0);
}

/* Written with escapes, a name may turn out to be a number, which is an address. */
static void expect_same_again(const struct endpoint *e)
{
	struct endpoint again = ENDPOINT_INIT;

	assert(endpoint_init(&again, e->origin) == NULL);
	assert(strcmp(again.host, e->host) == 0 && strcmp(again.origin, e->origin) == 0);
	endpoint_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct endpoint e = ENDPOINT_INIT;
	struct buf address = BUF_INIT;

	buf_add(&address, data, len);
	const char *wrong = endpoint_init(&e, address.data);
	if (wrong == NULL) {
		expect_plain(&e);
		expect_encrypted_or_local(&e);
		if (memchr(data, '%', len) == NULL)
			expect_same_again(&e);
		endpoint_release(&e);
	} else {
		assert(e.host == NULL && e.origin == NULL && e.path == NULL);
	}
	buf_release(&address);
	return 0;
}
