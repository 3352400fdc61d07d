#include "proc/listener.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 512 };

static int failed(const char *call, const char *path)
{
	log_error("listener.failed", "call=%s path=%s error=\"%s\"", call, path, strerror(errno));
	return -1;
}

int listener_path(const char *pattern, unsigned number, char *out, size_t size)
{
	const char *place = strstr(pattern, "%d");
	int len;

	if (place == NULL)
		len = snprintf(out, size, "%s", pattern);
	else
		len = snprintf(out, size, "%.*s%u%s", (int)(place - pattern), pattern, number,
			       place + 2);
	return len >= 0 && (size_t)len < size ? 0 : -1;
}

int listener_make_dir(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (slash == NULL || slash == path || (size_t)(slash - path) >= sizeof dir)
		return 0;
	(void)snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
	mode_t before = umask(027);
	int result = file_make_dirs(dir, 0750);
	umask(before);
	return result;
}

static int make_address(const char *path, const char *suffix, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int len = snprintf(out->sun_path, sizeof out->sun_path, "%s%s", path, suffix);
	if (len >= 0 && (size_t)len < sizeof out->sun_path)
		return 0;
	errno = ENAMETOOLONG;
	return failed("bind", path);
}

/* A socket file outlives its program; whether one listens shows in connecting only. */
static bool in_use(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return false;
	bool listens = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
		       errno == EAGAIN;
	close(fd);
	return listens;
}

static int bind_beside(int fd, const struct sockaddr_un *beside)
{
	if (unlink(beside->sun_path) < 0 && errno != ENOENT)
		return failed("unlink", beside->sun_path);
	mode_t before = umask(0117);
	int result = bind(fd, (const struct sockaddr *)beside, sizeof *beside);
	umask(before);
	return result < 0 ? failed("bind", beside->sun_path) : 0;
}

int listener_open(const char *path)
{
	struct sockaddr_un address, beside;

	if (make_address(path, "", &address) < 0 || make_address(path, ".new", &beside) < 0)
		return -1;
	if (in_use(&address)) {
		log_error("listener.in_use", "path=%s", path);
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return failed("socket", path);
	if (bind_beside(fd, &beside) < 0)
		goto fail;
	if (listen(fd, BACKLOG) < 0) {
		failed("listen", path);
		goto fail;
	}
	if (rename(beside.sun_path, path) < 0) {
		failed("rename", path);
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return -1;
}

void listener_close(int fd, const char *path)
{
	if (fd < 0)
		return;
	close(fd);
	(void)unlink(path);
}
