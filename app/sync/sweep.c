/*
 * After a start the shared table is empty, and only the disk knows which users
 * have commits that are not in the store.  The sweep walks over all of them,
 * reads record and WAL header, and puts those in doubt into the table.
 */
#include "sync/engine.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "sync/record.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { USERS_PER_STEP = 64 };

struct sweep {
	struct sync *sync;
	DIR *outer; /* <data>/users */
	DIR *inner; /* <data>/users/<2 hex> */
	uint64_t users;
	uint64_t dirty;
	bool table_full;
	int64_t began_ms;
	char path[PATH_MAX]; /* of outer */
};

struct sweep *sweep_new(struct sync *s)
{
	struct sweep *w = alloc_zeroed(1, sizeof *w);

	w->sync = s;
	w->began_ms = clock_mono_ms();
	(void)snprintf(w->path, sizeof w->path, "%s/users", s->config.data);
	w->outer = opendir(w->path);
	if (w->outer == NULL && errno != ENOENT)
		log_error("sweep.failed", "call=opendir path=%s error=\"%s\"", w->path,
			  strerror(errno));
	return w;
}

void sweep_free(struct sweep *w)
{
	if (w == NULL)
		return;
	if (w->inner != NULL)
		closedir(w->inner);
	if (w->outer != NULL)
		closedir(w->outer);
	free(w);
}

static bool in_doubt(const struct sweep *w, const struct user_id *id)
{
	const char *data = w->sync->config.data;
	char db[PATH_MAX], path[PATH_MAX];
	struct record record = { 0 };

	if (user_path(data, id, "db.sqlite", db, sizeof db) < 0 ||
	    user_path(data, id, "sync", path, sizeof path) < 0)
		return false;
	if (access(db, F_OK) < 0)
		return false;
	if (record_read(path, &record) != RECORD_OK || record.failed_since_ms != 0 ||
	    record.spool_first != 0)
		return true;
	return wal_may_reach_beyond(db, &record.position);
}

static void look_at(struct sweep *w, const char *name)
{
	struct user_id id;
	struct slot *slot;

	if (user_id_parse(name, strlen(name), &id) < 0)
		return;
	w->users++;
	if (!in_doubt(w, &id))
		return;
	w->dirty++;
	/* Loading the slot finds the same and sets it due. */
	if (account_slot(w->sync->accounts, &id, &slot) == ACCOUNT_FULL)
		w->table_full = true;
}

static bool next_folder(struct sweep *w)
{
	struct dirent *entry;
	char path[PATH_MAX];

	while (w->outer != NULL && (entry = readdir(w->outer)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof path, "%s/%s", w->path, entry->d_name) >=
		    (int)sizeof path)
			continue;
		w->inner = opendir(path);
		if (w->inner != NULL)
			return true;
		log_error("sweep.failed", "call=opendir path=%s error=\"%s\"", path,
			  strerror(errno));
	}
	return false;
}

static bool over(struct sweep *w)
{
	log_info("sweep.done", "users=%" PRIu64 " in_doubt=%" PRIu64 " ms=%" PRId64, w->users,
		 w->dirty, clock_mono_ms() - w->began_ms);
	if (!w->table_full)
		return true;
	/* Those that found no place are looked for again; pushes make room meanwhile. */
	w->table_full = false;
	w->users = 0;
	w->dirty = 0;
	rewinddir(w->outer);
	return false;
}

bool sweep_step(struct sweep *w)
{
	for (int n = 0; n < USERS_PER_STEP; n++) {
		struct dirent *entry = w->inner ? readdir(w->inner) : NULL;

		if (entry != NULL) {
			look_at(w, entry->d_name);
			continue;
		}
		if (w->inner != NULL)
			closedir(w->inner);
		w->inner = NULL;
		if (!next_folder(w))
			return over(w);
	}
	return false;
}
