/*
 * A user's spool: LTX files that hold what was committed during a long outage,
 * so that the WAL may start over.
 *
 *	<user>/spool/<number %016x>.ltx		pushed in the order of their numbers
 *
 * The record says which numbers count.  A file is whole and on disk before the
 * record speaks of it, and is removed after the record has forgotten it; files
 * beside those are left over from a crash and are removed.
 *
 * All calls are for the holder of RIGHT_PUSH.
 */
#ifndef SYNC_SPOOL_H
#define SYNC_SPOOL_H

#include "base/spill.h"
#include "db/capture.h"
#include "ltx/ltx.h"

#include <stdint.h>

/* `dir` is the spool's folder, made when it is missing.  -1: already logged. */
int spool_add(const char *dir, uint64_t number, struct capture *c, const struct ltx_header *header);
struct spill *spool_open(const char *dir, uint64_t number);
/* Removes every file that is not from `first` to `last`; 0, 0 for all. */
void spool_keep_only(const char *dir, uint64_t first, uint64_t last);
/* What all files take, 0 if there are none. */
uint64_t spool_bytes(const char *dir);

#endif
