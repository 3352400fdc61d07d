/*
 * Any bytes as an LTX file.  The first one says how far the size that the store
 * reported is off, the second which byte is damaged of a file that is taken:
 * what is then still taken has the same pages.
 */
#include "ltx/decode.h"

#include "ltx/encode.h"
#include "ltx_repair.h"

#include <assert.h>

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

static int keep(void *owner, const void *bytes, size_t len)
{
	buf_add(owner, bytes, len);
	return 0;
}

/* What is in a file: its header, and of the pages a checksum. */
struct content {
	struct ltx_header header;
	uint64_t pages;
};

/* With `copy`, which gets the same content once more as we would write it. */
static enum ltx_result decode(struct input in, size_t more, struct content *out, struct buf *copy)
{
	struct ltx_decoder *d = ltx_decoder_new(take, &in, in.len + more);
	const struct ltx_header *h = ltx_decoder_header(d);
	struct ltx_encoder *e = h != NULL && copy != NULL ? ltx_encoder_new(h, keep, copy) : NULL;
	enum ltx_result result;
	uint32_t last = 0, pgno = 0;
	const uint8_t *page = NULL;

	*out = (struct content){ 0 };
	while ((result = ltx_decode_page(d, &pgno, &page)) == LTX_PAGE) {
		assert(h != NULL && pgno > last && pgno <= h->commit);
		out->pages = crc64_update(out->pages, &pgno, sizeof pgno);
		out->pages = crc64_update(out->pages, page, h->page_size);
		if (e != NULL)
			assert(ltx_encode_page(e, pgno, page) == 0);
		last = pgno;
	}
	assert((result == LTX_DAMAGED) == (ltx_decoder_error(d) != NULL));
	assert(result == LTX_DAMAGED || in.len == 0);
	if (result == LTX_END) {
		out->header = *h;
		if (e != NULL)
			assert(ltx_encoder_finish(e) == 0);
	}
	ltx_encoder_free(e);
	ltx_decoder_free(d);
	return result;
}

static void expect_same(const struct content *a, const struct content *b)
{
	uint8_t header[LTX_HEADER_LEN], other[LTX_HEADER_LEN];

	ltx_header_write(&a->header, header);
	ltx_header_write(&b->header, other);
	assert(memcmp(header, other, sizeof header) == 0);
	assert(a->pages == b->pages);
}

static void expect_copy(const struct content *content, const struct buf *copy)
{
	const struct input in = { (const uint8_t *)copy->data, copy->len };
	struct content again;

	assert(decode(in, 0, &again, NULL) == LTX_END);
	expect_same(content, &again);
}

static void damage(const struct content *content, struct input in, uint8_t where)
{
	struct buf bytes = BUF_INIT;
	struct content again;

	buf_add(&bytes, in.data, in.len);
	bytes.data[(in.len - 1) * where / UINT8_MAX] ^= 1;
	in.data = (const uint8_t *)bytes.data;
	if (decode(in, 0, &again, NULL) == LTX_END)
		expect_same(content, &again);
	buf_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf copy = BUF_INIT;
	struct content content;

	if (len < 3)
		return 0;
	const struct input in = { data + 2, len - 2 };
	if (decode(in, data[0], &content, &copy) == LTX_END) {
		expect_copy(&content, &copy);
		damage(&content, in, data[1]);
	}
	buf_release(&copy);
	return 0;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed)
{
	len = LLVMFuzzerMutate(data, len, max);
	if (len > 2 && seed % 8 != 0)
		len = 2 + ltx_repair(data + 2, len - 2, max - 2);
	return len;
}
