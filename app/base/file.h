/*
 * Small files that must be whole: read at once, replaced atomically.
 *
 * What fails is logged here, with the path; what a file is not, by the caller.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"

#include <stdint.h>
#include <sys/types.h>

enum file_result {
	FILE_OK,
	FILE_ABSENT,
	FILE_TOO_LONG, /* more than `max` bytes */
	FILE_FAILED, /* already logged */
};

enum file_result file_read(const char *path, size_t max, struct buf *out);
/*
 * After 0 the new content survives a power cut; after -1 the old one is still
 * there.  Writers of one path must exclude each other.
 */
int file_replace(const char *path, const void *bytes, size_t len, mode_t mode);
int file_write_all(int fd, const void *bytes, size_t len, uint64_t offset);
int file_make_dirs(const char *path, mode_t mode);
/* Makes creations, renames and removals in a directory survive a power cut. */
int file_sync_dir(const char *path);
int file_sync_parent(const char *path);

#endif
