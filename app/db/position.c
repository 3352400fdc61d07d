#include "db/position.h"

#include "db/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The WAL itself carries no locks, so it may be opened and closed here. */
static bool read_at(int fd, void *out, size_t len, uint64_t offset)
{
	ssize_t n;

	do
		n = pread(fd, out, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}

/* Without a WAL nothing is new, unless one should be here. */
static bool lost_its_wal(const struct wal_position *at)
{
	return at->frame > 0 && !at->armed;
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
	if (st.st_size <= WAL_HEADER_LEN)
		return lost_its_wal(at);
	if (!read_at(fd, bytes, sizeof bytes, 0) || !wal_header_parse(bytes, &h) ||
	    h.page_size != at->page_size)
		return true;
	if (at->frame == 0)
		return frame_is_there(fd, &h, 1);
	if (memcmp(h.salt, at->salt, sizeof h.salt) != 0)
		return !at->armed || frame_is_there(fd, &h, 1);
	if (!frame_is_there(fd, &h, at->frame))
		return true;
	return at->frame == UINT32_MAX || frame_is_there(fd, &h, at->frame + 1);
}

bool wal_may_reach_beyond(const char *wal_path, const struct wal_position *at)
{
	if (at->page_size == 0)
		return true;
	int fd = open(wal_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno != ENOENT || lost_its_wal(at);
	bool beyond = reaches_beyond(fd, at);
	close(fd);
	return beyond;
}
