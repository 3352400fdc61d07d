/*
 * Bytes that grow at the end.
 *
 * Start with BUF_INIT, end with buf_release(), after which it is empty and
 * may be used again.  data[len] is always a NUL that does not count, once
 * anything was added, so text can be handed on as a string.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>

struct buf {
	char *data;
	size_t len;
	size_t cap;
};

#define BUF_INIT                                                                                   \
	{                                                                                          \
		NULL, 0, 0                                                                         \
	}

void buf_release(struct buf *b);
/* Empty, with its memory kept for the next use. */
void buf_clear(struct buf *b);
/* Room for `more` bytes; they may then be written at data + len. */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_add_text(struct buf *b, const char *text);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
