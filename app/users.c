#include "users.h"

#include "base/alloc.h"
#include "base/file.h"
#include "state/node.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int users_parse(int argc, char **argv, bool all, struct users_wanted *out)
{
	*out = (struct users_wanted){ .all = argc == 0 };
	if (argc == 0)
		return 0;
	if (argc > 1 || all)
		return -1;
	if (user_id_parse(argv[0], strlen(argv[0]), &out->one) == 0)
		return 0;
	(void)fprintf(stderr, "holdfast: '%s' is not a user id\n", argv[0]);
	return -1;
}

static int complain(const char *what, const char *path)
{
	(void)fprintf(stderr, "holdfast: cannot %s '%s': %s\n", what, path, strerror(errno));
	return -1;
}

/* Whoever made this is who the service runs as. */
static int check_owner(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return complain("read", path);
	if (st.st_uid == geteuid())
		return 0;
	(void)fprintf(stderr,
		      "holdfast: '%s' belongs to uid %u: run this as the user of the service\n",
		      path, (unsigned)st.st_uid);
	return -1;
}

static int check_owner_of_node(const char *data)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/node", data) < (int)sizeof path)
		return check_owner(path);
	errno = ENAMETOOLONG;
	return complain("read", data);
}

static int find_node(const char *data, uint64_t *out)
{
	switch (node_read(data, out)) {
	case NODE_OK:
		return check_owner_of_node(data);
	case NODE_ABSENT:
		(void)fprintf(stderr, "holdfast: no service has been started in '%s' yet\n", data);
		break;
	case NODE_FAILED:
		break;
	}
	return -1;
}

int users_node(const char *data, uint64_t *out)
{
	switch (node_read(data, out)) {
	case NODE_OK:
		return check_owner_of_node(data);
	case NODE_ABSENT:
		if (file_make_dirs(data, 0700) < 0 || check_owner(data) < 0)
			return -1;
		return node_make(data, out);
	case NODE_FAILED:
		break;
	}
	return -1;
}

static void add(struct users *u, const struct user_id *id)
{
	if ((u->count & (u->count - 1)) == 0)
		u->ids = alloc_resized(u->ids, (u->count ? 2 * u->count : 1) * sizeof *u->ids);
	u->ids[u->count++] = *id;
}

static int add_folder(struct users *u, const char *path)
{
	struct dirent *entry;
	struct user_id id;
	DIR *dir = opendir(path);

	if (dir == NULL)
		return errno == ENOTDIR ? 0 : complain("read", path);
	errno = 0;
	while ((entry = readdir(dir)) != NULL) {
		if (user_id_parse(entry->d_name, strlen(entry->d_name), &id) == 0)
			add(u, &id);
		errno = 0;
	}
	int result = errno == 0 ? 0 : complain("read", path);
	closedir(dir);
	return result;
}

/* Who cannot be read is an error: a list that is cut would pass for all of them. */
static int add_all(struct users *u, const char *data)
{
	char path[PATH_MAX], inner[PATH_MAX];
	struct dirent *entry;
	int result = 0;

	(void)snprintf(path, sizeof path, "%s/users", data);
	DIR *dir = opendir(path);
	if (dir == NULL)
		return errno == ENOENT ? 0 : complain("read", path);
	errno = 0;
	while (result == 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.' &&
		    snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) < (int)sizeof inner)
			result = add_folder(u, inner);
		errno = 0;
	}
	if (result == 0 && errno != 0)
		result = complain("read", path);
	closedir(dir);
	return result;
}

static int by_id(const void *a, const void *b)
{
	const struct user_id *x = a, *y = b;

	return strcmp(x->text, y->text);
}

int users_find(const char *data, const struct users_wanted *wanted, struct users *out)
{
	*out = (struct users){ NULL, 0, 0 };
	if (find_node(data, &out->node) < 0)
		return -1;
	if (!wanted->all) {
		add(out, &wanted->one);
		return 0;
	}
	if (add_all(out, data) < 0) {
		users_release(out);
		return -1;
	}
	if (out->count > 0)
		qsort(out->ids, out->count, sizeof *out->ids, by_id);
	return 0;
}

void users_release(struct users *u)
{
	free(u->ids);
	*u = (struct users){ NULL, 0, 0 };
}

/* The table needs no name once it is there, and so leaves nothing behind. */
struct table *users_table(const struct users *u)
{
	const char *base = getenv("TMPDIR");
	char dir[PATH_MAX], path[PATH_MAX + 8];

	if (snprintf(dir, sizeof dir, "%s/holdfast-table.XXXXXX", base ? base : "/tmp") >=
		    (int)sizeof dir ||
	    mkdtemp(dir) == NULL) {
		(void)fprintf(stderr, "holdfast: cannot make a folder in '%s': %s\n",
			      base ? base : "/tmp", strerror(errno));
		return NULL;
	}
	(void)snprintf(path, sizeof path, "%s/table", dir);
	struct table *t = table_create(path, (uint32_t)u->count);
	(void)unlink(path);
	(void)rmdir(dir);
	if (t == NULL)
		return NULL;
	table_worker_born(t, 0, (uint32_t)getpid());
	/* Only the users that were asked for. */
	table_sweep_done(t);
	return t;
}
