/*
 * Memory does not depend on the file.  What the index has to say follows from
 * the pages, so its checksum is computed while they pass and compared with
 * that of the index in the file; only its length is known to be right before
 * it is read.  `size` is the sum of all parts or the file is refused, so
 * nothing can hide behind the trailer.
 *
 * Every refusal is final: once `error` is set, nothing more is read.
 */
#include "ltx/decode.h"

#include "base/alloc.h"
#include "base/log.h"
#include "ltx/crc64.h"
#include "ltx/wire.h"

#include <assert.h>
#include <lz4.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

enum {
	FLAG_BLOCK = 1, /* u32 length and an LZ4 block instead of a frame */
	BLOCK_MAX = LZ4_COMPRESSBOUND(LTX_PAGE_MAX),
	FRAME_HEADER_MAX = LZ4F_HEADER_SIZE_MAX,
	WINDOW = 2 * LTX_PAGE_MAX,
};

_Static_assert(WINDOW >= BLOCK_MAX, "a block is decompressed in one piece");

struct ltx_decoder {
	struct ltx_header header;
	const char *error;
	bool ended;

	ltx_source *source;
	void *owner;
	uint64_t unread; /* bytes of the file that the source still has */
	uint64_t position; /* in the file, of window[start] */
	size_t start, end; /* of what is in the window and not used yet */

	LZ4F_dctx *frame;
	uint64_t crc; /* of the file so far */
	uint64_t index_crc; /* of what the index has to be so far */
	uint64_t index_len;
	uint32_t last_pgno;
	uint32_t npages;

	uint8_t page[LTX_PAGE_MAX + 1]; /* one more byte shows a page that is too long */
	uint8_t window[WINDOW];
};

static int refuse(struct ltx_decoder *d, const char *why)
{
	d->error = why;
	return -1;
}

/* At least `len` bytes in the window. */
static int need(struct ltx_decoder *d, size_t len)
{
	size_t have = d->end - d->start;

	assert(len <= WINDOW);
	if (have >= len)
		return 0;
	memmove(d->window, d->window + d->start, have);
	size_t more = WINDOW - have < d->unread ? WINDOW - have : (size_t)d->unread;
	d->start = 0;
	d->end = have;
	if (have + more < len)
		return refuse(d, "it ends early");
	if (d->source(d->owner, d->window + have, more) < 0)
		return refuse(d, "it cannot be read to its end");
	d->unread -= more;
	d->end += more;
	return 0;
}

static const uint8_t *at(const struct ltx_decoder *d)
{
	return d->window + d->start;
}

static void skip(struct ltx_decoder *d, size_t len)
{
	d->start += len;
	d->position += len;
}

static void skip_hashed(struct ltx_decoder *d, size_t len)
{
	d->crc = crc64_update(d->crc, at(d), len);
	skip(d, len);
}

/* Apart from the rest, so that who wants only the header fetches only that. */
static int read_header(struct ltx_decoder *d, uint64_t size)
{
	uint8_t bytes[LTX_HEADER_LEN];

	if (size < sizeof bytes || d->source(d->owner, bytes, sizeof bytes) < 0)
		return refuse(d, "it is shorter than a header");
	if (ltx_header_read(bytes, &d->header) < 0)
		return refuse(d, "it has no valid LTX header");
	d->crc = crc64_update(0, bytes, sizeof bytes);
	d->position = sizeof bytes;
	d->unread = size - sizeof bytes;
	return 0;
}

/* As with alloc_zeroed(): it is there or the process ends. */
static LZ4F_dctx *frame_reader(void)
{
	LZ4F_dctx *frame = NULL;

	if (LZ4F_isError(LZ4F_createDecompressionContext(&frame, LZ4F_VERSION))) {
		log_error("memory.exhausted", "for=lz4");
		abort();
	}
	return frame;
}

struct ltx_decoder *ltx_decoder_new(ltx_source *source, void *owner, uint64_t size)
{
	struct ltx_decoder *d = alloc_zeroed(1, sizeof *d);

	d->source = source;
	d->owner = owner;
	d->frame = frame_reader();
	(void)read_header(d, size);
	return d;
}

void ltx_decoder_free(struct ltx_decoder *d)
{
	if (d == NULL)
		return;
	(void)LZ4F_freeDecompressionContext(d->frame);
	free(d);
}

const struct ltx_header *ltx_decoder_header(const struct ltx_decoder *d)
{
	return d->position == 0 ? NULL : &d->header;
}

const char *ltx_decoder_error(const struct ltx_decoder *d)
{
	return d->error;
}

static int read_block(struct ltx_decoder *d)
{
	if (need(d, 4) < 0)
		return -1;
	uint32_t len = wire_get_u32(at(d));
	skip_hashed(d, 4);
	if (len > BLOCK_MAX)
		return refuse(d, "a block is longer than a page can get");
	if (need(d, len) < 0)
		return -1;
	int n = LZ4_decompress_safe((const char *)at(d), (char *)d->page, (int)len, sizeof d->page);
	skip(d, len);
	if (n < 0 || (uint32_t)n != d->header.page_size)
		return refuse(d, "a block is not one page");
	return 0;
}

/* There are always more bytes after a frame than its header can have. */
static int read_frame_header(struct ltx_decoder *d)
{
	LZ4F_frameInfo_t info;
	size_t len = FRAME_HEADER_MAX;

	if (need(d, FRAME_HEADER_MAX) < 0)
		return -1;
	if (LZ4F_isError(LZ4F_getFrameInfo(d->frame, &info, at(d), &len)))
		return refuse(d, "a page does not begin with an LZ4 frame");
	skip(d, len);
	if (info.frameType != LZ4F_frame || info.contentChecksumFlag == LZ4F_noContentChecksum)
		return refuse(d, "a frame has no content checksum");
	return 0;
}

static int read_frame(struct ltx_decoder *d)
{
	size_t produced = 0, more;

	if (read_frame_header(d) < 0)
		return -1;
	do {
		if (need(d, 1) < 0)
			return -1;
		size_t in = d->end - d->start;
		size_t out = d->header.page_size + 1 - produced;
		more = LZ4F_decompress(d->frame, d->page + produced, &out, at(d), &in, NULL);
		if (LZ4F_isError(more))
			return refuse(d, "a frame is damaged");
		skip(d, in);
		produced += out;
	} while (more != 0 && produced <= d->header.page_size);
	if (produced != d->header.page_size)
		return refuse(d, "a frame is not one page");
	return 0;
}

static void expect_in_index(struct ltx_decoder *d, const void *bytes, size_t len)
{
	d->index_crc = crc64_update(d->index_crc, bytes, len);
	d->index_len += len;
}

static int read_page(struct ltx_decoder *d, uint32_t pgno, uint32_t flags, uint64_t offset)
{
	uint8_t entry[WIRE_INDEX_ENTRY_MAX];

	if (pgno <= d->last_pgno)
		return refuse(d, "page numbers do not ascend");
	if (pgno > d->header.commit)
		return refuse(d, "a page lies beyond the end of the database");
	if (pgno == ltx_lock_page(d->header.page_size))
		return refuse(d, "it holds the lock page");
	if (flags != 0 && flags != FLAG_BLOCK)
		return refuse(d, "a page has an unknown encoding");
	if ((flags == FLAG_BLOCK ? read_block(d) : read_frame(d)) < 0)
		return -1;
	d->crc = crc64_update(d->crc, d->page, d->header.page_size);
	d->last_pgno = pgno;
	d->npages++;
	size_t entry_len = wire_put_index_entry(entry, pgno, offset, d->position - offset);
	expect_in_index(d, entry, entry_len);
	return 0;
}

/* The file has exactly the bytes left that index and trailer take. */
static int check_rest(struct ltx_decoder *d)
{
	expect_in_index(d, "", 1);
	uint64_t rest = d->end - d->start + d->unread;
	if (rest != d->index_len + 8 + WIRE_TRAILER_LEN)
		return refuse(d, "its size does not fit its pages");
	return 0;
}

static int read_index(struct ltx_decoder *d)
{
	uint64_t crc = 0;

	for (uint64_t left = d->index_len; left > 0;) {
		if (need(d, 1) < 0)
			return -1;
		size_t len = d->end - d->start < left ? d->end - d->start : (size_t)left;
		crc = crc64_update(crc, at(d), len);
		skip_hashed(d, len);
		left -= len;
	}
	if (need(d, 8) < 0)
		return -1;
	uint64_t len = wire_get_u64(at(d));
	skip_hashed(d, 8);
	if (crc != d->index_crc || len != d->index_len)
		return refuse(d, "its index does not fit its pages");
	return 0;
}

static int read_trailer(struct ltx_decoder *d)
{
	if (need(d, WIRE_TRAILER_LEN) < 0)
		return -1;
	if (wire_get_u64(at(d)) != 0)
		return refuse(d, "it has a database checksum, which its header denies");
	skip_hashed(d, 8);
	if (wire_get_u64(at(d)) != (d->crc | WIRE_CHECKSUM))
		return refuse(d, "its checksum does not fit");
	return 0;
}

static int read_end(struct ltx_decoder *d)
{
	if (ltx_is_snapshot(&d->header) && d->npages != ltx_snapshot_pages(&d->header))
		return refuse(d, "pages are missing from a snapshot");
	if (check_rest(d) < 0 || read_index(d) < 0 || read_trailer(d) < 0)
		return -1;
	d->ended = true;
	return 0;
}

enum ltx_result ltx_decode_page(struct ltx_decoder *d, uint32_t *pgno, const uint8_t **page)
{
	uint64_t offset = d->position;

	if (d->error != NULL)
		return LTX_DAMAGED;
	if (d->ended)
		return LTX_END;
	if (need(d, WIRE_PAGE_HEADER_LEN) < 0)
		return LTX_DAMAGED;
	uint32_t number = wire_get_u32(at(d));
	uint32_t flags = wire_get_u16(at(d) + 4);
	skip_hashed(d, WIRE_PAGE_HEADER_LEN);
	if (number == 0 && flags == 0)
		return read_end(d) < 0 ? LTX_DAMAGED : LTX_END;
	if (read_page(d, number, flags, offset) < 0)
		return LTX_DAMAGED;
	*pgno = number;
	*page = d->page;
	return LTX_PAGE;
}
