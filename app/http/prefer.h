/*
 * What a client prefers: `Prefer: wait=N` (RFC 7240), a write's answer is to be
 * held until the store has it, N seconds at most.
 *
 * Other preferences are no business of ours, and neither is a header that is
 * malformed: a preference may always be ignored.
 */
#ifndef HTTP_PREFER_H
#define HTTP_PREFER_H

#include <stdint.h>

/* Below nginx's fastcgi_read_timeout. */
enum { PREFER_WAIT_MAX_MS = 12 * 1000 };

/* 0: not at all.  `header` may be NULL. */
int64_t prefer_wait_ms(const char *header);

#endif
