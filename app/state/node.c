/*
 * The file is 16 hex digits and a newline.  It is replaced never and made
 * once, by whoever holds flock on the data directory itself, so no two
 * starters see two files under its name.
 */
#include "state/node.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

enum { NODE_TEXT_LEN = 17, LOOK_AGAIN_MS = 20 };

static int failed(const char *call, const char *path)
{
	log_error("node.failed", "call=%s path=%s error=\"%s\"", call, path, strerror(errno));
	return -1;
}

static int damaged(const char *path)
{
	log_error("node.damaged", "path=%s", path);
	return -1;
}

static int node_path(const char *data, char *out, size_t size)
{
	if (snprintf(out, size, "%s/node", data) < (int)size)
		return 0;
	errno = ENAMETOOLONG;
	return failed("open", data);
}

static int parse_id(const char *text, size_t len, uint64_t *id)
{
	*id = 0;
	if (len != NODE_TEXT_LEN || text[NODE_TEXT_LEN - 1] != '\n')
		return -1;
	for (int i = 0; i < NODE_TEXT_LEN - 1; i++) {
		const char *digits = "0123456789abcdef";
		const char *digit = text[i] != '\0' ? strchr(digits, text[i]) : NULL;
		if (digit == NULL)
			return -1;
		*id = *id << 4 | (uint64_t)(digit - digits);
	}
	return *id != 0 ? 0 : -1;
}

static int random_id(uint64_t *id)
{
	do {
		if (getrandom(id, sizeof *id, 0) != (ssize_t)sizeof *id)
			return -1;
	} while (*id == 0);
	return 0;
}

/* The caller holds flock on the directory. */
static int make_absent(const char *path)
{
	char text[NODE_TEXT_LEN + 1];
	uint64_t id;

	if (access(path, F_OK) == 0)
		return 0;
	if (errno != ENOENT)
		return failed("access", path);
	if (random_id(&id) < 0)
		return failed("getrandom", path);
	(void)snprintf(text, sizeof text, "%016" PRIx64 "\n", id);
	return file_replace(path, text, NODE_TEXT_LEN, 0600);
}

static int make_once(const char *data, const char *path)
{
	int dir = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = -1;

	if (dir < 0)
		return failed("open", data);
	if (flock(dir, LOCK_EX) < 0)
		failed("flock", data);
	else
		result = make_absent(path);
	close(dir);
	return result;
}

/* Ends with the process, however that ends, and is not inherited. */
static int lock_for_process(int fd, const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_SETLK, &lock) == 0)
		return 0;
	if (errno != EACCES && errno != EAGAIN)
		return failed("fcntl", path);
	lock.l_type = F_WRLCK;
	if (fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		lock.l_pid = 0;
	log_error("node.in_use", "path=%s by_pid=%d", path, (int)lock.l_pid);
	return -1;
}

/* Ends with the last process that has the descriptor. */
static int lock_for_family(int fd, const char *path, int64_t wait_ms)
{
	int64_t until_ms = clock_mono_ms() + wait_ms;
	bool told = false;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return failed("flock", path);
		if (!told)
			log_warn("node.wait", "path=%s for=\"workers of a master that died\"",
				 path);
		told = true;
		if (clock_mono_ms() >= until_ms) {
			log_error("node.in_use", "path=%s by=\"workers of a master that died\"",
				  path);
			return -1;
		}
		/* The kernel tells nobody of a lock's end, and waiting in flock() has no limit. */
		(void)poll(NULL, 0, LOOK_AGAIN_MS);
	}
	return 0;
}

int node_claim(const char *data, int64_t wait_ms, struct node *out)
{
	char path[PATH_MAX], text[NODE_TEXT_LEN + 1];
	struct node node = NODE_INIT;

	if (node_path(data, path, sizeof path) < 0 || make_once(data, path) < 0)
		return -1;
	node.fd = open(path, O_RDWR | O_CLOEXEC);
	if (node.fd < 0)
		return failed("open", path);
	if (lock_for_process(node.fd, path) < 0 || lock_for_family(node.fd, path, wait_ms) < 0)
		goto fail;
	ssize_t len = pread(node.fd, text, sizeof text, 0);
	if (len < 0 || parse_id(text, (size_t)len, &node.id) < 0) {
		damaged(path);
		goto fail;
	}
	*out = node;
	return 0;
fail:
	node_release(&node);
	return -1;
}

void node_release(struct node *n)
{
	if (n->fd >= 0)
		close(n->fd);
	*n = (struct node)NODE_INIT;
}

enum node_result node_read(const char *data, uint64_t *id)
{
	char path[PATH_MAX];
	struct buf text = BUF_INIT;
	enum node_result result = NODE_FAILED;

	if (node_path(data, path, sizeof path) < 0)
		return NODE_FAILED;
	switch (file_read(path, NODE_TEXT_LEN, &text)) {
	case FILE_OK:
		result = parse_id(text.data, text.len, id) < 0 ? NODE_FAILED : NODE_OK;
		if (result == NODE_FAILED)
			damaged(path);
		break;
	case FILE_TOO_LONG:
		damaged(path);
		break;
	case FILE_ABSENT:
		result = NODE_ABSENT;
		break;
	case FILE_FAILED:
		break;
	}
	buf_release(&text);
	return result;
}

int node_make(const char *data, uint64_t *id)
{
	char path[PATH_MAX];

	if (node_path(data, path, sizeof path) < 0 || make_once(data, path) < 0)
		return -1;
	return node_read(data, id) == NODE_OK ? 0 : -1;
}
