/*
 * The file checksum covers the pages as they are uncompressed, so it is kept
 * beside the bytes that go out and not derived from them.
 */
#include "ltx/encode.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "ltx/crc64.h"
#include "ltx/wire.h"

#include <assert.h>
#include <lz4frame.h>
#include <stdlib.h>

struct ltx_encoder {
	struct ltx_header header;
	ltx_sink *sink;
	void *owner;
	uint64_t written;
	uint64_t crc;
	uint32_t last_pgno;
	uint32_t npages;
	struct buf index;
	size_t frame_max;
	uint8_t entry[]; /* a page header and up to frame_max bytes */
};

/*
 * The readers of ltx 0.5.2 and later insist on the content checksum, the ones
 * before it know no other encoding than frames.
 */
static const LZ4F_preferences_t page_frame = {
	.frameInfo = {
		.blockSizeID = LZ4F_max64KB,
		.blockMode = LZ4F_blockIndependent,
		.contentChecksumFlag = LZ4F_contentChecksumEnabled,
	},
};

static int emit(struct ltx_encoder *e, const void *bytes, size_t len)
{
	e->written += len;
	return e->sink(e->owner, bytes, len);
}

static int emit_hashed(struct ltx_encoder *e, const void *bytes, size_t len)
{
	e->crc = crc64_update(e->crc, bytes, len);
	return emit(e, bytes, len);
}

static int emit_header(struct ltx_encoder *e)
{
	uint8_t bytes[LTX_HEADER_LEN];

	ltx_header_write(&e->header, bytes);
	return emit_hashed(e, bytes, sizeof bytes);
}

struct ltx_encoder *ltx_encoder_new(const struct ltx_header *header, ltx_sink *sink, void *owner)
{
	size_t frame_max = LZ4F_compressFrameBound(header->page_size, &page_frame);
	struct ltx_encoder *e = alloc_zeroed(1, sizeof *e + WIRE_PAGE_HEADER_LEN + frame_max);

	e->header = *header;
	e->sink = sink;
	e->owner = owner;
	e->frame_max = frame_max;
	if (emit_header(e) == 0)
		return e;
	ltx_encoder_free(e);
	return NULL;
}

void ltx_encoder_free(struct ltx_encoder *e)
{
	if (e == NULL)
		return;
	buf_release(&e->index);
	free(e);
}

static void add_to_index(struct ltx_encoder *e, uint32_t pgno, uint64_t len)
{
	uint8_t entry[WIRE_INDEX_ENTRY_MAX];

	size_t entry_len = wire_put_index_entry(entry, pgno, e->written, len);
	buf_add(&e->index, entry, entry_len);
}

int ltx_encode_page(struct ltx_encoder *e, uint32_t pgno, const uint8_t *page)
{
	const uint32_t page_size = e->header.page_size;
	uint8_t *frame = e->entry + WIRE_PAGE_HEADER_LEN;

	assert(pgno > e->last_pgno && pgno <= e->header.commit);
	assert(pgno != ltx_lock_page(page_size));
	e->last_pgno = pgno;
	e->npages++;

	size_t len = LZ4F_compressFrame(frame, e->frame_max, page, page_size, &page_frame);
	assert(!LZ4F_isError(len));
	wire_put_u32(e->entry, pgno);
	e->crc = crc64_update(e->crc, e->entry, WIRE_PAGE_HEADER_LEN);
	e->crc = crc64_update(e->crc, page, page_size);
	add_to_index(e, pgno, WIRE_PAGE_HEADER_LEN + len);
	return emit(e, e->entry, WIRE_PAGE_HEADER_LEN + len);
}

static int emit_index(struct ltx_encoder *e)
{
	uint8_t len[8];

	buf_add(&e->index, "", 1);
	wire_put_u64(len, e->index.len);
	buf_add(&e->index, len, sizeof len);
	return emit_hashed(e, e->index.data, e->index.len);
}

static int emit_trailer(struct ltx_encoder *e)
{
	uint8_t trailer[WIRE_TRAILER_LEN] = { 0 };

	e->crc = crc64_update(e->crc, trailer, 8);
	wire_put_u64(trailer + 8, e->crc | WIRE_CHECKSUM);
	return emit(e, trailer, sizeof trailer);
}

int ltx_encoder_finish(struct ltx_encoder *e)
{
	static const uint8_t end_of_pages[WIRE_PAGE_HEADER_LEN];

	assert(!ltx_is_snapshot(&e->header) || e->npages == ltx_snapshot_pages(&e->header));
	if (emit_hashed(e, end_of_pages, sizeof end_of_pages) < 0 || emit_index(e) < 0)
		return -1;
	return emit_trailer(e);
}
