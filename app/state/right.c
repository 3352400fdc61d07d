/*
 * RIGHT_PUSH is flock() on the whole file, the others are open-file-description
 * locks on bytes of it; the two kinds do not see each other.  Both go when the
 * last descriptor of the open file does, so with the process at the latest:
 *
 *	flock		RIGHT_PUSH
 *	byte 0		RIGHT_FILES (write), RIGHT_FILES_SHARED (read)
 *	byte 1		RIGHT_LOAD
 *	byte 2		RIGHT_COMPACT
 */
#include "state/right.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int right_open(const char *lock_path)
{
	int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 && errno != ENOENT)
		log_error("right.failed", "call=open path=%s error=\"%s\"", lock_path,
			  strerror(errno));
	return fd;
}

static struct flock range_of(enum right right, short type)
{
	struct flock range = { .l_type = type, .l_whence = SEEK_SET, .l_len = 1 };

	if (right == RIGHT_LOAD)
		range.l_start = 1;
	else if (right == RIGHT_COMPACT)
		range.l_start = 2;
	return range;
}

static bool lock_range(int fd, enum right right, short type, int command)
{
	struct flock range = range_of(right, type);
	int rc;

	do
		rc = fcntl(fd, command, &range);
	while (rc < 0 && errno == EINTR);
	return rc == 0;
}

bool right_claim(int fd, enum right right)
{
	switch (right) {
	case RIGHT_PUSH:
		return flock(fd, LOCK_EX | LOCK_NB) == 0;
	case RIGHT_FILES:
	case RIGHT_COMPACT:
		return lock_range(fd, right, F_WRLCK, F_OFD_SETLK);
	case RIGHT_FILES_SHARED:
		return lock_range(fd, right, F_RDLCK, F_OFD_SETLK);
	case RIGHT_LOAD:
		return lock_range(fd, right, F_WRLCK, F_OFD_SETLKW);
	}
	return false;
}

void right_release(int fd, enum right right)
{
	if (right == RIGHT_PUSH)
		flock(fd, LOCK_UN);
	else
		lock_range(fd, right, F_UNLCK, F_OFD_SETLK);
}
