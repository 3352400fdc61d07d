/*
 * An object on its way out: pages encoded as LTX, in memory or, when there are
 * many, in an unlinked file.
 *
 *	outgoing_header()
 *	outgoing_new(), outgoing_of_capture()
 *	outgoing_step()		until it is not OUTGOING_MORE; each is a slice
 *	outgoing_body()
 *	outgoing_free()
 */
#ifndef SYNC_OUTGOING_H
#define SYNC_OUTGOING_H

#include "base/spill.h"
#include "db/capture.h"
#include "ltx/encode.h"

#include <stdint.h>

struct outgoing;

enum outgoing_result {
	OUTGOING_MORE,
	OUTGOING_READY,
	OUTGOING_FAILED, /* already logged */
};

/* The next page, as capture_next_page() gives it. */
typedef enum capture_page outgoing_source(void *owner, uint32_t *pgno, const uint8_t **page);

/* The header of an object that makes `txid` from this capture. */
void outgoing_header(const struct capture *c, uint64_t txid, uint64_t node, struct ltx_header *out);

struct outgoing *outgoing_new(outgoing_source *source, void *owner, const struct ltx_header *header,
			      const char *spill_dir);
/* `c` stays the caller's. */
struct outgoing *outgoing_of_capture(struct capture *c, const struct ltx_header *header,
				     const char *spill_dir);
enum outgoing_result outgoing_step(struct outgoing *o);
/* After OUTGOING_READY; the caller's from here on. */
struct spill *outgoing_body(struct outgoing *o);
void outgoing_free(struct outgoing *o);

/* All of a capture at once, to any sink.  -1: already logged. */
int outgoing_encode(struct capture *c, const struct ltx_header *header, ltx_sink *sink,
		    void *owner);
/*
 * The same object under another transaction id: what was spooled may find its
 * number taken by an earlier attempt of ours.  -1: damaged or disk; logged.
 */
int outgoing_renumber(const struct spill *from, uint64_t txid, ltx_sink *sink, void *owner);

/* An ltx_sink whose owner is a struct spill. */
int outgoing_to_spill(void *owner, const void *bytes, size_t len);

#endif
