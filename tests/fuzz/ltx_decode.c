/*
 * Any bytes as an LTX file: the first one says how far the size that the store
 * reported is off.
 */
#include "ltx/decode.h"

#include <assert.h>
#include <string.h>

struct input {
	const uint8_t *data;
	size_t len;
};

static int take(void *owner, void *out, size_t len)
{
	struct input *in = owner;

	if (len > in->len)
		return -1;
	memcpy(out, in->data, len);
	in->data += len;
	in->len -= len;
	return 0;
}

static unsigned sum(const uint8_t *page, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += page[i];
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	struct input in = { .data = data + 1, .len = len - 1 };
	struct ltx_decoder *d = ltx_decoder_new(take, &in, in.len + data[0]);
	const struct ltx_header *h = ltx_decoder_header(d);
	enum ltx_result result;
	const uint8_t *page;
	uint32_t last = 0, pgno;
	volatile unsigned touched = 0;

	while ((result = ltx_decode_page(d, &pgno, &page)) == LTX_PAGE) {
		assert(pgno > last && pgno <= h->commit);
		touched += sum(page, h->page_size);
		last = pgno;
	}
	assert((result == LTX_DAMAGED) == (ltx_decoder_error(d) != NULL));
	assert(result == LTX_DAMAGED || in.len == 0);
	ltx_decoder_free(d);
	(void)touched;
	return 0;
}
