/*
 * Reading an LTX file, page by page, believing nothing.
 *
 * The bytes come from a store that may be damaged or hostile: every length,
 * order, flag and checksum is checked, the index against the pages too.
 * Pages handed out before LTX_END are not yet proven: whoever applies them
 * must be able to throw the result away.
 *
 *	ltx_decoder_new()
 *	ltx_decode_page()	until it does not say LTX_PAGE
 *	ltx_decoder_free()
 */
#ifndef LTX_DECODE_H
#define LTX_DECODE_H

#include "ltx/ltx.h"

#include <stddef.h>

/*
 * Fills `out` with the next `len` bytes of the file.  0, or -1: end or error.
 * It is asked for the header first, then for large pieces, never for more
 * than `size` in all.
 */
typedef int ltx_source(void *owner, void *out, size_t len);

enum ltx_result {
	LTX_PAGE,
	LTX_END, /* all checksums fit */
	LTX_DAMAGED, /* see ltx_decoder_error() */
};

struct ltx_decoder;

/* Both page encodings of ltx 0.5 are read.  `size` is that of the file. */
struct ltx_decoder *ltx_decoder_new(ltx_source *source, void *owner, uint64_t size);
void ltx_decoder_free(struct ltx_decoder *d);
/* NULL: not an LTX file. */
const struct ltx_header *ltx_decoder_header(const struct ltx_decoder *d);
/* On LTX_PAGE, *page is page_size bytes that are valid until the next call. */
enum ltx_result ltx_decode_page(struct ltx_decoder *d, uint32_t *pgno, const uint8_t **page);
/* What was wrong, in a few words, after LTX_DAMAGED or a NULL header. */
const char *ltx_decoder_error(const struct ltx_decoder *d);

#endif
