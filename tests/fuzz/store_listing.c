/*
 * Any bytes as the pages of a listing, of keys and of folders, and as the document of an error.  The
 * first byte says how large the pieces are in which they come; a NUL, which no
 * XML can hold, ends a page.
 */
#include "base/buf.h"
#include "store/listing.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "backup/";
static const char asked[] = "alice/";

static enum listing_page feed_page(struct listing *l, const uint8_t *page, size_t len, size_t piece)
{
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		(void)listing_feed(l, page + at, n);
	}
	return listing_end_page(l);
}

/* The result of the last page that was asked for, and in `tokens` what was asked with. */
static enum listing_page feed(struct listing *l, const uint8_t *text, size_t len, size_t piece,
			      struct buf *tokens)
{
	enum listing_page result = LISTING_MORE;

	while (result == LISTING_MORE) {
		const uint8_t *end = len > 0 ? memchr(text, '\0', len) : NULL;
		size_t n = end != NULL ? (size_t)(end - text) : len;

		result = feed_page(l, text, n, piece);
		if (result == LISTING_MORE) {
			assert(listing_token(l)[0] != '\0');
			buf_addf(tokens, "%s\n", listing_token(l));
		}
		text += end != NULL ? n + 1 : n;
		len -= end != NULL ? n + 1 : n;
	}
	return result;
}

typedef struct listing *begin_function(const char *prefix, const char *asked);

static bool is_folder(const struct object_entry *e)
{
	const char *slash = strchr(e->key + strlen(asked), '/');

	return slash != NULL && slash[1] == '\0' && e->size == 0 && e->modified_ms == 0;
}

static void expect_sound(const struct object_listing *found, size_t len, bool of_folders)
{
	size_t total = 0;

	for (size_t i = 0; i < found->count; i++) {
		const struct object_entry *e = &found->entries[i];

		assert(memchr(e->key, '\0', sizeof e->key) != NULL);
		assert(strncmp(e->key, asked, strlen(asked)) == 0);
		assert(i == 0 || strcmp(found->entries[i - 1].key, e->key) < 0);
		assert(!of_folders || is_folder(e));
		total += strlen(prefix) + strlen(e->key);
	}
	assert(total <= len);
}

static void expect_same(const struct object_listing *a, const struct object_listing *b)
{
	assert(a->count == b->count);
	for (size_t i = 0; i < a->count; i++) {
		assert(strcmp(a->entries[i].key, b->entries[i].key) == 0);
		assert(a->entries[i].size == b->entries[i].size);
		assert(a->entries[i].modified_ms == b->entries[i].modified_ms);
	}
}

static void read_listing(const uint8_t *text, size_t len, size_t piece, begin_function *begin)
{
	struct listing *whole = begin(prefix, asked), *pieces = begin(prefix, asked);
	struct buf tokens = BUF_INIT, tokens_again = BUF_INIT;

	enum listing_page result = feed(whole, text, len, len + 1, &tokens);
	assert(feed(pieces, text, len, piece, &tokens_again) == result);
	assert(tokens.len == tokens_again.len);
	assert(tokens.len == 0 || memcmp(tokens.data, tokens_again.data, tokens.len) == 0);
	if (result == LISTING_COMPLETE) {
		struct object_listing found = listing_take(whole), again = listing_take(pieces);

		expect_sound(&found, len, begin == listing_new_of_folders);
		expect_same(&found, &again);
		object_listing_release(&found);
		object_listing_release(&again);
	}
	listing_free(whole);
	listing_free(pieces);
	buf_release(&tokens);
	buf_release(&tokens_again);
}

static void read_error(const uint8_t *text, size_t len)
{
	char code[LISTING_CODE_SIZE];

	listing_error_code(text, len, code);
	assert(memchr(code, '\0', sizeof code) != NULL);
	assert(strspn(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") ==
	       strlen(code));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	read_listing(data + 1, len - 1, (size_t)data[0] + 1, listing_new);
	read_listing(data + 1, len - 1, (size_t)data[0] + 1, listing_new_of_folders);
	read_error(data + 1, len - 1);
	return 0;
}
