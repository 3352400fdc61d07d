#include "sync/outgoing.h"

#include "base/clock.h"
#include "base/log.h"
#include "ltx/decode.h"

#include <string.h>

void outgoing_header(const struct capture *c, uint64_t txid, uint64_t node, struct ltx_header *out)
{
	const struct wal_position *end = capture_position(c);
	struct wal_extent extent = capture_extent(c);

	*out = (struct ltx_header){
		.page_size = end->page_size,
		.commit = end->npages,
		.min_txid = txid,
		.max_txid = txid,
		.timestamp_ms = clock_wall_ms(),
		.wal_offset = extent.offset,
		.wal_len = extent.len,
		.node = node,
	};
	if (extent.len > 0)
		memcpy(out->wal_salt, end->salt, sizeof out->wal_salt);
}

static int encode_pages(struct capture *c, struct ltx_encoder *e)
{
	const uint8_t *page;
	uint32_t pgno;

	for (;;) {
		switch (capture_next_page(c, &pgno, &page)) {
		case CAPTURE_PAGE:
			if (ltx_encode_page(e, pgno, page) < 0)
				return -1;
			break;
		case CAPTURE_LAST:
			return ltx_encoder_finish(e);
		case CAPTURE_PAGE_FAILED:
			return -1;
		}
	}
}

int outgoing_encode(struct capture *c, const struct ltx_header *header, ltx_sink *sink, void *owner)
{
	struct ltx_encoder *e = ltx_encoder_new(header, sink, owner);
	int rc = e == NULL ? -1 : encode_pages(c, e);

	ltx_encoder_free(e);
	return rc;
}

static int copy_pages(struct ltx_decoder *d, struct ltx_encoder *e)
{
	const uint8_t *page;
	uint32_t pgno;

	for (;;) {
		switch (ltx_decode_page(d, &pgno, &page)) {
		case LTX_PAGE:
			if (ltx_encode_page(e, pgno, page) < 0)
				return -1;
			break;
		case LTX_END:
			return ltx_encoder_finish(e);
		case LTX_DAMAGED:
			log_error("spool.damaged", "why=\"%s\"", ltx_decoder_error(d));
			return -1;
		}
	}
}

int outgoing_renumber(const struct spill *from, uint64_t txid, ltx_sink *sink, void *owner)
{
	struct spill_cursor cursor = { from, 0 };
	struct ltx_decoder *d = ltx_decoder_new(spill_read_on, &cursor, spill_len(from));
	const struct ltx_header *old = ltx_decoder_header(d);
	struct ltx_encoder *e = NULL;
	int rc = -1;

	if (old == NULL) {
		log_error("spool.damaged", "why=\"%s\"", ltx_decoder_error(d));
		goto out;
	}
	struct ltx_header h = *old;
	h.min_txid = txid;
	h.max_txid = txid;
	e = ltx_encoder_new(&h, sink, owner);
	rc = e == NULL ? -1 : copy_pages(d, e);
out:
	ltx_encoder_free(e);
	ltx_decoder_free(d);
	return rc;
}

int outgoing_to_spill(void *owner, const void *bytes, size_t len)
{
	return spill_add(owner, bytes, len);
}
