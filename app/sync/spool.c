#include "sync/spool.h"

#include "base/file.h"
#include "base/log.h"
#include "sync/outgoing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NUMBER_DIGITS = 16 };

static int failed(const char *call, const char *path)
{
	log_error("spool.failed", "call=%s path=%s error=\"%s\"", call, path, strerror(errno));
	return -1;
}

static int path_of(const char *dir, uint64_t number, const char *ending, char out[static PATH_MAX])
{
	if (snprintf(out, PATH_MAX, "%s/%016" PRIx64 "%s", dir, number, ending) < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return failed("open", dir);
}

static int write_to_file(void *owner, const void *bytes, size_t len)
{
	return fwrite(bytes, 1, len, owner) == len ? 0 : -1;
}

static int write_object(const char *path, struct capture *c, const struct ltx_header *header)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (file == NULL) {
		failed("open", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	int rc = outgoing_encode(c, header, write_to_file, file);
	if (rc == 0 && (fflush(file) != 0 || fsync(fd) < 0))
		rc = -1;
	if (rc < 0)
		failed("write", path);
	if (fclose(file) != 0 && rc == 0)
		rc = failed("close", path);
	return rc;
}

int spool_add(const char *dir, uint64_t number, struct capture *c, const struct ltx_header *header)
{
	char beside[PATH_MAX], path[PATH_MAX];

	if (file_make_dirs(dir, 0700) < 0 || path_of(dir, number, ".new", beside) < 0 ||
	    path_of(dir, number, ".ltx", path) < 0)
		return -1;
	if (write_object(beside, c, header) < 0 || rename(beside, path) < 0) {
		unlink(beside);
		return -1;
	}
	return file_sync_parent(path);
}

struct spill *spool_open(const char *dir, uint64_t number)
{
	char path[PATH_MAX];

	return path_of(dir, number, ".ltx", path) < 0 ? NULL : spill_open(path);
}

/* Exactly the name that spool_open() would use: strtoull() takes signs and blanks, too. */
static bool is_kept(const char *name, uint64_t first, uint64_t last)
{
	size_t digits = strspn(name, "0123456789abcdef");

	if (first == 0 || digits != NUMBER_DIGITS || strcmp(name + digits, ".ltx") != 0)
		return false;
	uint64_t number = strtoull(name, NULL, 16);
	return number >= first && number <= last;
}

void spool_keep_only(const char *dir, uint64_t first, uint64_t last)
{
	struct dirent *entry;
	DIR *d = opendir(dir);

	if (d == NULL)
		return;
	while ((entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.' || is_kept(entry->d_name, first, last))
			continue;
		if (unlinkat(dirfd(d), entry->d_name, 0) < 0)
			failed("unlink", entry->d_name);
	}
	closedir(d);
}

uint64_t spool_bytes(const char *dir)
{
	struct dirent *entry;
	struct stat st;
	uint64_t bytes = 0;
	DIR *d = opendir(dir);

	if (d == NULL)
		return 0;
	while ((entry = readdir(d)) != NULL) {
		if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_size;
	}
	closedir(d);
	return bytes;
}
