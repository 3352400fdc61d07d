/*
 * A capture as an LTX object: built in memory or, when it is large, in an
 * unlinked file; or as a file of the spool.
 */
#ifndef SYNC_OUTGOING_H
#define SYNC_OUTGOING_H

#include "base/spill.h"
#include "db/capture.h"
#include "ltx/encode.h"

#include <stdint.h>

/* The header of an object that makes `txid` from this capture. */
void outgoing_header(const struct capture *c, uint64_t txid, uint64_t node, struct ltx_header *out);
/* Takes every page of the capture.  -1: already logged. */
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
