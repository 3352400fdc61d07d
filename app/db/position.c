#include "db/position.h"

#include "db/wal.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool wal_salt_follows(const uint8_t before[8], const uint8_t salt[8])
{
	uint32_t old, new;

	memcpy(&old, before, sizeof old);
	memcpy(&new, salt, sizeof new);
	return be32toh(new) == be32toh(old) + 1;
}

int64_t wal_file_ns(const char *db_path)
{
	struct stat st;

	if (stat(db_path, &st) < 0)
		return -1;
	return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

/* The WAL itself carries no locks, so it may be opened and closed here. */
static bool read_at(int fd, void *out, size_t len, uint64_t offset)
{
	ssize_t n;

	do
		n = pread(fd, out, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}

static bool frame_is_there(int fd, const struct wal_header *h, uint32_t frame)
{
	uint8_t bytes[WAL_FRAME_LEN];
	struct wal_frame f;

	if (!read_at(fd, bytes, sizeof bytes, wal_frame_offset(frame, h->page_size)))
		return false;
	wal_frame_parse(bytes, &f);
	return memcmp(f.salt, h->salt, sizeof f.salt) == 0;
}

static bool reaches_beyond(int fd, const struct wal_position *at)
{
	uint8_t bytes[WAL_HEADER_LEN];
	struct wal_header h;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return true;
	/* Without a WAL nothing is new, unless one should be here. */
	if (st.st_size <= WAL_HEADER_LEN)
		return at->frame > 0;
	if (!read_at(fd, bytes, sizeof bytes, 0) || !wal_header_parse(bytes, &h) ||
	    h.page_size != at->page_size)
		return true;
	if (at->frame == 0)
		return frame_is_there(fd, &h, 1);
	if (memcmp(h.salt, at->salt, sizeof h.salt) != 0)
		return !at->armed || !wal_salt_follows(at->salt, h.salt) ||
		       frame_is_there(fd, &h, 1);
	if (!frame_is_there(fd, &h, at->frame))
		return true;
	return at->frame == UINT32_MAX || frame_is_there(fd, &h, at->frame + 1);
}

bool wal_may_reach_beyond(const char *db_path, const struct wal_position *at)
{
	char path[PATH_MAX];

	if (at->page_size == 0 || (at->frame == 0 && at->file_ns != wal_file_ns(db_path)))
		return true;
	if (snprintf(path, sizeof path, "%s-wal", db_path) >= (int)sizeof path)
		return true;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno != ENOENT || at->frame > 0;
	bool beyond = reaches_beyond(fd, at);
	close(fd);
	return beyond;
}
