/*
 * Bytes that are read any number of times: in memory while they are few, in an
 * unlinked file when they are many.
 *
 * An LTX object has no bound that a client could not move, so it is built and
 * fetched in one of these.
 *
 *	spill_new()
 *	spill_add()	any number of times
 *	spill_write(), spill_cut()	where it is a file that is worked on
 *	spill_read()	any number of times
 *	spill_free()
 */
#ifndef BASE_SPILL_H
#define BASE_SPILL_H

#include <stddef.h>
#include <stdint.h>

struct spill;

/* `dir` (copied) gets the file once more than `memory_max` bytes were added. */
struct spill *spill_new(const char *dir, size_t memory_max);
/* What a file holds, to be read only; it may lose its name meanwhile.  NULL: already logged. */
struct spill *spill_open(const char *path);
void spill_free(struct spill *s);
/* -1: the file could not be written; already logged. */
int spill_add(struct spill *s, const void *bytes, size_t len);
/* Anywhere, over what is there or behind its end: what lies between is zeros.  -1 as above. */
int spill_write(struct spill *s, uint64_t offset, const void *bytes, size_t len);
/* Makes it shorter.  -1 as above. */
int spill_cut(struct spill *s, uint64_t len);
/* How many bytes were read, less than `len` only at the end; -1 as above. */
int64_t spill_read(const struct spill *s, uint64_t offset, void *out, size_t len);
uint64_t spill_len(const struct spill *s);

/* For whoever wants the bytes one after the other: 0, or -1 if `len` are not there. */
struct spill_cursor {
	const struct spill *spill;
	uint64_t at;
};
int spill_read_on(void *cursor, void *out, size_t len);

#endif
