/*
 * Writing an LTX file, page by page, in memory that does not grow with it
 * but for the index (at most 20 bytes a page).
 *
 *	ltx_encoder_new()
 *	ltx_encode_page()	ascending page numbers up to `commit`, never the
 *				lock page; in a snapshot all others
 *	ltx_encoder_finish()	index and trailer
 *	ltx_encoder_free()
 */
#ifndef LTX_ENCODE_H
#define LTX_ENCODE_H

#include "ltx/ltx.h"

#include <stddef.h>

/*
 * Takes the bytes of the file in order.  0, or -1, which ends the encoding:
 * all that is left is ltx_encoder_free().
 */
typedef int ltx_sink(void *owner, const void *bytes, size_t len);

struct ltx_encoder;

/* The header is written at once; NULL when the sink refused it. */
struct ltx_encoder *ltx_encoder_new(const struct ltx_header *header, ltx_sink *sink, void *owner);
/* `page` is page_size bytes.  -1: the sink refused. */
int ltx_encode_page(struct ltx_encoder *e, uint32_t pgno, const uint8_t *page);
int ltx_encoder_finish(struct ltx_encoder *e);
void ltx_encoder_free(struct ltx_encoder *e);

#endif
