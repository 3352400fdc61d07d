/*
 * A moment as people and logs write it: 2026-08-22T10:11:12Z of RFC 3339, with
 * a fraction and an offset if wanted, or 2026-08-22 10:11:12 for UTC.
 */
#ifndef BASE_RFC3339_H
#define BASE_RFC3339_H

#include <stdint.h>

/* Milliseconds since the Unix epoch.  -1: not such a moment, or none of the calendar. */
int rfc3339_parse(const char *text, int64_t *out);

#endif
