#include "sync/kept.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_name(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	return digits > 0 && strlen(name) < sizeof((struct kept *)0)->name &&
	       strcmp(name + digits, ".sqlite") == 0;
}

int kept_new_path(const char *data, const struct user_id *user, char *out, size_t size)
{
	char dir[PATH_MAX];

	if (user_path(data, user, "kept", dir, sizeof dir) < 0 || file_make_dirs(dir, 0700) < 0)
		return -1;
	int len = snprintf(out, size, "%s/%" PRId64 ".sqlite", dir, clock_wall_ms());
	return len > 0 && (size_t)len < size ? 0 : -1;
}

static int by_name(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	return strcmp(x->name, y->name);
}

size_t kept_list(const char *data, const struct user_id *user, struct kept *out, size_t max)
{
	struct dirent *entry;
	char dir[PATH_MAX];
	struct stat st;
	size_t count = 0;

	DIR *d = user_path(data, user, "kept", dir, sizeof dir) < 0 ? NULL : opendir(dir);
	if (d == NULL)
		return 0;
	while (count < max && (entry = readdir(d)) != NULL) {
		if (!is_name(entry->d_name) || fstatat(dirfd(d), entry->d_name, &st, 0) < 0)
			continue;
		(void)snprintf(out[count].name, sizeof out[count].name, "%.31s", entry->d_name);
		out[count++].bytes = (uint64_t)st.st_size;
	}
	closedir(d);
	if (count > 0)
		qsort(out, count, sizeof *out, by_name);
	return count;
}

struct spill *kept_open(const char *data, const struct user_id *user, const char *name)
{
	char dir[PATH_MAX], path[PATH_MAX];

	if (!is_name(name) || user_path(data, user, "kept", dir, sizeof dir) < 0 ||
	    snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
		return NULL;
	return access(path, R_OK) == 0 ? spill_open(path) : NULL;
}
