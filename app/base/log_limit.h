/*
 * Which lines are repeated so often that they are counted instead of written.
 *
 * The same event about the same subject is written LOG_LIMIT_LINES times in LOG_LIMIT_MS in each process; how
 * many more there were is known when that time is over.  So somebody whose disk
 * fails at every attempt does not bury the lines of the others.  The subject is the
 * line's `user=`, `path=` or `key=`, whichever comes first, or else whom the thread works
 * for; a line that has none is always written.
 *
 * Any thread may call these.
 */
#ifndef BASE_LOG_LIMIT_H
#define BASE_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum { LOG_LIMIT_LINES = 5, LOG_LIMIT_MS = 60 * 1000 };

struct log_limit_over {
	char event[40];
	char subject[160];
	uint64_t suppressed;
};

/*
 * Whether the line may be written.  `client` is whom the thread works for, or "";
 * `now_ms` of the monotonic clock, here and below.
 */
bool log_limit_passes(const char *event, const char *facts, const char *client, int64_t now_ms);
/* Of what was suppressed, the next whose time is over.  false: there is none. */
bool log_limit_next(int64_t now_ms, struct log_limit_over *out);

#endif
