#include "sync/outgoing.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/tasks.h"
#include "ltx/decode.h"

#include <stdlib.h>
#include <string.h>

enum {
	SPILL_MEMORY = 1 << 20,
	PAGES_BETWEEN_LOOKS = 16, /* at the clock */
};

struct outgoing {
	outgoing_source *source;
	void *owner;
	struct ltx_encoder *encoder; /* NULL: the spill refused the header */
	struct spill *body;
};

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

static enum capture_page from_capture(void *owner, uint32_t *pgno, const uint8_t **page)
{
	return capture_next_page(owner, pgno, page);
}

struct outgoing *outgoing_new(outgoing_source *source, void *owner, const struct ltx_header *header,
			      const char *spill_dir)
{
	struct outgoing *o = alloc_zeroed(1, sizeof *o);

	o->source = source;
	o->owner = owner;
	o->body = spill_new(spill_dir, SPILL_MEMORY);
	o->encoder = ltx_encoder_new(header, outgoing_to_spill, o->body);
	return o;
}

struct outgoing *outgoing_of_capture(struct capture *c, const struct ltx_header *header,
				     const char *spill_dir)
{
	return outgoing_new(from_capture, c, header, spill_dir);
}

void outgoing_free(struct outgoing *o)
{
	if (o == NULL)
		return;
	ltx_encoder_free(o->encoder);
	spill_free(o->body);
	free(o);
}

struct spill *outgoing_body(struct outgoing *o)
{
	struct spill *body = o->body;

	o->body = NULL;
	return body;
}

static enum outgoing_result encode_page(outgoing_source *source, void *owner, struct ltx_encoder *e)
{
	const uint8_t *page;
	uint32_t pgno;

	switch (source(owner, &pgno, &page)) {
	case CAPTURE_PAGE:
		return ltx_encode_page(e, pgno, page) < 0 ? OUTGOING_FAILED : OUTGOING_MORE;
	case CAPTURE_LAST:
		return ltx_encoder_finish(e) < 0 ? OUTGOING_FAILED : OUTGOING_READY;
	case CAPTURE_PAGE_FAILED:
		break;
	}
	return OUTGOING_FAILED;
}

enum outgoing_result outgoing_step(struct outgoing *o)
{
	const int64_t until = clock_mono_ms() + TASK_STEP_MS;
	enum outgoing_result result = o->encoder == NULL ? OUTGOING_FAILED : OUTGOING_MORE;

	for (unsigned n = 1; result == OUTGOING_MORE; n++) {
		if (n % PAGES_BETWEEN_LOOKS == 0 && clock_mono_ms() >= until)
			break;
		result = encode_page(o->source, o->owner, o->encoder);
	}
	return result;
}

int outgoing_encode(struct capture *c, const struct ltx_header *header, ltx_sink *sink, void *owner)
{
	struct ltx_encoder *e = ltx_encoder_new(header, sink, owner);
	enum outgoing_result result = e == NULL ? OUTGOING_FAILED : OUTGOING_MORE;

	while (result == OUTGOING_MORE)
		result = encode_page(from_capture, c, e);
	ltx_encoder_free(e);
	return result == OUTGOING_READY ? 0 : -1;
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
