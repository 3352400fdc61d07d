#include "base/file.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char *what, const char *path)
{
	log_error("file.failed", "call=%s path=%s error=\"%s\"", what, path, strerror(errno));
	return -1;
}

enum file_result file_read(const char *path, size_t max, struct buf *out)
{
	enum file_result result = FILE_FAILED;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return FILE_ABSENT;
		failed("open", path);
		return FILE_FAILED;
	}
	buf_clear(out);
	for (;;) {
		buf_reserve(out, 4096);
		ssize_t n = read(fd, out->data + out->len, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			failed("read", path);
			goto out;
		}
		if (n == 0)
			break;
		out->len += (size_t)n;
		if (out->len > max) {
			result = FILE_TOO_LONG;
			goto out;
		}
	}
	buf_add(out, "", 0);
	result = FILE_OK;
out:
	close(fd);
	return result;
}

int file_write_all(int fd, const void *bytes, size_t len, uint64_t offset)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int file_replace(const char *path, const void *bytes, size_t len, mode_t mode)
{
	char beside[PATH_MAX];

	if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside) {
		errno = ENAMETOOLONG;
		return failed("open", path);
	}
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return failed("open", beside);
	if (file_write_all(fd, bytes, len, 0) < 0 || fsync(fd) < 0) {
		failed("write", beside);
		close(fd);
		unlink(beside);
		return -1;
	}
	if (close(fd) < 0 || rename(beside, path) < 0) {
		failed("rename", path);
		unlink(beside);
		return -1;
	}
	return file_sync_parent(path);
}

static int make_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return failed("mkdir", path);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	errno = ENOTDIR;
	return failed("mkdir", path);
}

int file_make_dirs(const char *path, mode_t mode)
{
	char part[PATH_MAX];

	if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) {
		errno = ENAMETOOLONG;
		return failed("mkdir", path);
	}
	for (char *slash = part + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (make_dir(part, mode) < 0)
			return -1;
		*slash = '/';
	}
	return make_dir(part, mode);
}

int file_sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return failed("open", path);
	if (fsync(fd) < 0) {
		failed("fsync", path);
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

int file_sync_parent(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return file_sync_dir(".");
	int len = slash == path ? 1 : (int)(slash - path);
	if (snprintf(dir, sizeof dir, "%.*s", len, path) >= (int)sizeof dir) {
		errno = ENAMETOOLONG;
		return failed("open", path);
	}
	return file_sync_dir(dir);
}
