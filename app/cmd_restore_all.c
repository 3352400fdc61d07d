/*
 * holdfast restore --all [--store URL]
 *
 * Pulls every user of whom the store has a folder and this disk has no
 * database, with a worker's engine, in this process and on a table of its own.
 * So each of them is afterwards as a first access would have left it, a
 * service that runs beside this has no harm from it, and what was interrupted
 * goes on where it was: a database has its name only when it is whole.
 *
 * The store is asked for its users before anything is made here.  One whose
 * folder holds no object fails; no empty database is made.
 *
 * A store or a disk that fails everybody is not tried with all of them.
 */
#include "cmd_restore_all.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "state/slot.h"
#include "store/backoff.h"
#include "store/object.h"
#include "sync/account.h"
#include "users.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	WORKER = 0, /* which one we are in the table, where there is no other */
	TRIES = 3,
	/* So many users in a row: it is not they who are the reason. */
	FAILURES_MAX = 8,
	LOOK_MS = 5,
	PROGRESS_MS = 100,
	PROGRESS_WIDTH = 40,
};

enum verdict {
	VERDICT_NONE, /* not yet */
	VERDICT_OK,
	VERDICT_HERE, /* there was a local database before */
	VERDICT_FAILED,
	VERDICT_COUNT,
};

/* A user that the engine is at. */
struct job {
	const struct user_id *id; /* NULL: free */
	struct slot *slot;
	unsigned failures;
	int64_t retry_ms; /* monotonic; 0: an attempt is under way */
};

struct progress {
	bool bar; /* on stderr */
	bool brief; /* and it stands for the lines of those who are fine */
	int64_t shown_ms;
};

struct restore_all {
	const char *data;
	const struct backoff *retry;
	struct table *table;
	struct accounts *accounts; /* to load slots with */
	struct sync *sync;
	struct users users;
	size_t next;
	struct job *jobs;
	unsigned njobs;
	size_t count[VERDICT_COUNT];
	uint64_t bytes; /* of the databases that have come */
	unsigned failures; /* of users in a row, not for what is wrong with their objects */
	enum object_error error; /* the latest of these */
	struct progress progress;
};

/* Whether it may go well in a moment. */
static bool is_passing(enum object_error error)
{
	switch (error) {
	case ERROR_CONNECT:
	case ERROR_TIMEOUT:
	case ERROR_BROKEN:
	case ERROR_THROTTLED:
	case ERROR_SERVER:
	case ERROR_DAMAGED:
	case ERROR_BUSY:
		return true;
	case ERROR_NONE:
	case ERROR_CREDENTIALS:
	case ERROR_CLOCK:
	case ERROR_CONFIG:
	case ERROR_DISK:
	case ERROR_CONFLICT:
	case ERROR_MISSING:
	case ERROR_CERTIFICATE:
	case ERROR_COUNT:
		return false;
	}
	return false;
}

static int64_t wait_before_retry(const struct backoff *retry, unsigned failures)
{
	uint32_t random;

	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		random = 0;
	return backoff_wait_ms(retry, failures, 0, random);
}

static void pause_ms(int64_t ms)
{
	const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
}

static void show_progress(struct restore_all *p)
{
	size_t done = p->count[VERDICT_OK] + p->count[VERDICT_HERE] + p->count[VERDICT_FAILED];
	int filled = (int)(done * PROGRESS_WIDTH / p->users.count);
	int64_t now = clock_mono_ms();

	if (!p->progress.bar || (done < p->users.count && now < p->progress.shown_ms + PROGRESS_MS))
		return;
	p->progress.shown_ms = now;
	(void)fprintf(stderr, "\r[%.*s%*s] %zu of %zu users  %" PRIu64 " MB", filled,
		      "########################################", PROGRESS_WIDTH - filled, "", done,
		      p->users.count, p->bytes / 1000000);
}

/* The next line takes the place of the bar. */
static void clear_progress(const struct restore_all *p)
{
	if (p->progress.bar)
		(void)fputs("\r\033[K", stderr);
}

static enum verdict failed(struct restore_all *p, const struct user_id *id, enum object_error error)
{
	clear_progress(p);
	(void)printf("failed %s (%s)\n", id->text, object_error_name[error]);
	if (error != ERROR_DAMAGED && error != ERROR_MISSING) {
		p->failures++;
		p->error = error;
	}
	return VERDICT_FAILED;
}

static bool has_given_up(const struct restore_all *p)
{
	return p->failures >= FAILURES_MAX;
}

/* The size of the user's database, 0 if there is none.  -1: that cannot be found out. */
static int find_database(const struct restore_all *p, const struct user_id *id, uint64_t *bytes)
{
	char path[PATH_MAX];
	struct stat st;

	*bytes = 0;
	if (user_path(p->data, id, "db.sqlite", path, sizeof path) < 0)
		return -1;
	if (stat(path, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	*bytes = (uint64_t)st.st_size;
	return 1;
}

static enum verdict begin(struct restore_all *p, const struct user_id *id, struct job *job)
{
	uint64_t bytes;
	int found = find_database(p, id, &bytes);

	if (found > 0) {
		if (!p->progress.brief)
			(void)printf("here %s\n", id->text);
		return VERDICT_HERE;
	}
	if (found < 0)
		return failed(p, id, ERROR_DISK);
	switch (account_slot(p->accounts, id, &job->slot)) {
	case ACCOUNT_OK:
		break;
	case ACCOUNT_NO_FILES:
	case ACCOUNT_BUSY:
	case ACCOUNT_FULL:
	case ACCOUNT_FAILED:
		return failed(p, id, ERROR_DISK);
	}
	job->id = id;
	job->failures = 0;
	job->retry_ms = 0;
	sync_pull(p->sync, job->slot);
	return VERDICT_NONE;
}

static enum verdict restored(struct restore_all *p, const struct job *job,
			     const struct slot_view *v)
{
	uint64_t bytes;

	(void)find_database(p, job->id, &bytes);
	p->bytes += bytes;
	p->failures = 0;
	if (!p->progress.brief)
		(void)printf("ok %s txid=%" PRIu64 "\n", job->id->text, v->txid);
	return VERDICT_OK;
}

/* The attempt has ended. */
static enum verdict judge(struct restore_all *p, struct job *job, const struct slot_view *v)
{
	enum object_error error = (enum object_error)v->pull_error;

	if (v->files == FILES_PRESENT)
		return restored(p, job, v);
	if (!is_passing(error) || ++job->failures == TRIES || has_given_up(p))
		return failed(p, job->id, error);
	job->retry_ms = clock_mono_ms() + wait_before_retry(p->retry, job->failures);
	return VERDICT_NONE;
}

static enum verdict look_at(struct restore_all *p, struct job *job)
{
	struct slot_view v;

	slot_read(job->slot, &v);
	if (job->retry_ms != 0 && has_given_up(p))
		return failed(p, job->id, (enum object_error)v.pull_error);
	if (job->retry_ms > clock_mono_ms())
		return VERDICT_NONE;
	if (job->retry_ms != 0) {
		job->retry_ms = 0;
		sync_pull(p->sync, job->slot);
		return VERDICT_NONE;
	}
	if (v.pushing || v.pull_wanted)
		return VERDICT_NONE;
	/* Once more: the attempt may have ended between the words of the first reading. */
	slot_read(job->slot, &v);
	return judge(p, job, &v);
}

/* true: a place is free and may be used at once. */
static bool move_job(struct restore_all *p, struct job *job)
{
	enum verdict verdict;

	if (job->id != NULL) {
		verdict = look_at(p, job);
		if (verdict != VERDICT_NONE)
			job->id = NULL;
	} else if (p->next < p->users.count && !has_given_up(p)) {
		verdict = begin(p, &p->users.ids[p->next++], job);
	} else {
		return false;
	}
	p->count[verdict]++;
	return verdict != VERDICT_NONE;
}

static void run(struct restore_all *p)
{
	bool moved, open;

	do {
		moved = false;
		open = false;
		for (unsigned i = 0; i < p->njobs; i++) {
			while (move_job(p, &p->jobs[i]))
				moved = true;
			open |= p->jobs[i].id != NULL;
		}
		(void)fflush(stdout);
		show_progress(p);
		if (!moved && open)
			pause_ms(LOOK_MS);
	} while (open);
}

static int report(const struct restore_all *p)
{
	size_t left = p->users.count - p->next;

	if (p->progress.bar)
		(void)fputc('\n', stderr);
	if (left > 0)
		(void)fprintf(stderr,
			      "holdfast: given up after %u failures in a row (%s), %zu users are "
			      "left; run this again\n",
			      p->failures, object_error_name[p->error], left);
	(void)printf("%zu users: %zu ok, %zu here, %zu failed\n", p->next, p->count[VERDICT_OK],
		     p->count[VERDICT_HERE], p->count[VERDICT_FAILED]);
	return p->count[VERDICT_FAILED] == 0 && left == 0 ? CMD_OK : CMD_FAILED;
}

/* The name is the store's: it may hold anything that a terminal would obey. */
static void say_passed_over(const char *name)
{
	(void)fputs("holdfast: passed over, for it is no user id: '", stderr);
	for (; *name != '\0'; name++)
		(void)fputc(*name >= ' ' && *name <= '~' ? *name : '?', stderr);
	(void)fputs("' in the store\n", stderr);
}

static void take_users(const struct object_listing *l, struct users *out)
{
	out->ids = alloc_zeroed(l->count, sizeof *out->ids);
	for (size_t i = 0; i < l->count; i++) {
		const char *folder = l->entries[i].key;

		if (user_id_parse(folder, strlen(folder) - 1, &out->ids[out->count]) == 0)
			out->count++;
		else
			say_passed_over(folder);
	}
}

static enum object_result list_folders(struct store *store, const struct backoff *retry,
				       struct object_request *list)
{
	unsigned failures = 0;

	for (;;) {
		*list = (struct object_request){ .verb = OBJECT_LIST, .folders = true };
		enum object_result result = store_do(store, list);

		if (!is_passing(list->error) || ++failures == TRIES)
			return result;
		pause_ms(wait_before_retry(retry, failures));
	}
}

/* -1: already said. */
static int find_users(const struct config *c, struct users *out)
{
	struct object_request list;
	char why[256];
	struct store *store = store_new(&c->sync.store, why, sizeof why);

	if (store == NULL) {
		(void)fprintf(stderr, "holdfast: cannot use the store: %s\n", why);
		return -1;
	}
	switch (list_folders(store, &c->sync.retry, &list)) {
	case OBJECT_OK:
		take_users(&list.listing, out);
		break;
	case OBJECT_ABSENT:
		break;
	case OBJECT_TAKEN:
	case OBJECT_UNKNOWN:
	case OBJECT_TRY_LATER:
	case OBJECT_REFUSED:
	case OBJECT_DAMAGED:
		(void)fprintf(stderr, "holdfast: cannot list the users of the store: %s\n",
			      object_error_name[list.error]);
		store_free(store);
		return -1;
	}
	object_listing_release(&list.listing);
	store_free(store);
	if (out->count > 0)
		return 0;
	(void)fprintf(stderr, "holdfast: the store '%s' has no users\n", c->sync.store.url);
	return -1;
}

int restore_all(struct config *c)
{
	const struct accounts_config accounts = {
		.data = c->data,
		.role = USERDB_INTERNAL,
		.max_open = 1,
	};
	struct restore_all p = { .data = c->data, .retry = &c->sync.retry };
	int result = CMD_FAILED;

	p.progress.bar = isatty(STDERR_FILENO) != 0;
	p.progress.brief = p.progress.bar && isatty(STDOUT_FILENO) != 0;
	if (find_users(c, &p.users) < 0 || users_node(c->data, &c->sync.node) < 0)
		goto out;
	c->sync.only_known = true;
	p.njobs = (unsigned)c->sync.store.limits.max_transfers;
	p.jobs = alloc_zeroed(p.njobs, sizeof *p.jobs);
	p.table = users_table(&p.users);
	if (p.table != NULL) {
		p.accounts = accounts_new(p.table, &accounts);
		p.sync = sync_start(p.table, WORKER, &c->sync);
	}
	if (p.sync != NULL) {
		run(&p);
		result = report(&p);
	}
out:
	sync_free(p.sync);
	accounts_free(p.accounts);
	table_free(p.table);
	free(p.jobs);
	users_release(&p.users);
	return result;
}
