#include "base/spill.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct spill {
	char *dir;
	size_t memory_max;
	struct buf memory; /* all of it while fd is -1, else empty */
	int fd;
	uint64_t len;
};

struct spill *spill_new(const char *dir, size_t memory_max)
{
	struct spill *s = alloc_zeroed(1, sizeof *s);

	s->dir = alloc_string(dir);
	s->memory_max = memory_max;
	s->fd = -1;
	return s;
}

struct spill *spill_open(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fstat(fd, &st) < 0) {
		log_error("spill.failed", "call=open path=%s error=\"%s\"", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	struct spill *s = spill_new(path, 0);
	s->fd = fd;
	s->len = (uint64_t)st.st_size;
	return s;
}

void spill_free(struct spill *s)
{
	if (s == NULL)
		return;
	if (s->fd >= 0)
		close(s->fd);
	buf_release(&s->memory);
	free(s->dir);
	free(s);
}

static int failed(const struct spill *s, const char *what)
{
	log_error("spill.failed", "call=%s dir=%s error=\"%s\"", what, s->dir, strerror(errno));
	return -1;
}

static int move_to_file(struct spill *s)
{
	int fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return failed(s, "open");
	if (file_write_all(fd, s->memory.data, s->memory.len, 0) < 0) {
		failed(s, "write");
		close(fd);
		return -1;
	}
	s->fd = fd;
	buf_release(&s->memory);
	return 0;
}

int spill_add(struct spill *s, const void *bytes, size_t len)
{
	if (s->fd < 0 && s->len + len > s->memory_max && move_to_file(s) < 0)
		return -1;
	if (s->fd < 0)
		buf_add(&s->memory, bytes, len);
	else if (file_write_all(s->fd, bytes, len, s->len) < 0)
		return failed(s, "write");
	s->len += len;
	return 0;
}

int spill_write(struct spill *s, uint64_t offset, const void *bytes, size_t len)
{
	if (s->fd < 0 && move_to_file(s) < 0)
		return -1;
	if (file_write_all(s->fd, bytes, len, offset) < 0)
		return failed(s, "write");
	if (offset + len > s->len)
		s->len = offset + len;
	return 0;
}

int spill_cut(struct spill *s, uint64_t len)
{
	if (len >= s->len)
		return 0;
	if (s->fd < 0 && move_to_file(s) < 0)
		return -1;
	if (ftruncate(s->fd, (off_t)len) < 0)
		return failed(s, "ftruncate");
	s->len = len;
	return 0;
}

int64_t spill_read(const struct spill *s, uint64_t offset, void *out, size_t len)
{
	if (offset >= s->len)
		return 0;
	if (len > s->len - offset)
		len = (size_t)(s->len - offset);
	if (s->fd < 0) {
		memcpy(out, s->memory.data + offset, len);
		return (int64_t)len;
	}
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(s->fd, (char *)out + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failed(s, "read");
		done += (size_t)n;
	}
	return (int64_t)len;
}

uint64_t spill_len(const struct spill *s)
{
	return s->len;
}

int spill_read_on(void *cursor, void *out, size_t len)
{
	struct spill_cursor *c = cursor;

	if (spill_read(c->spill, c->at, out, len) != (int64_t)len)
		return -1;
	c->at += len;
	return 0;
}
