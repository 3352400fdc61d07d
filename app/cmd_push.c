/*
 * holdfast push [USER | --all] [--wait S]
 *
 * Pushes what is dirty with a worker's engine, in this process and on a table
 * of its own; so it works beside a running service and without one.  Who may
 * push a user is decided by the right to the user's files.  While somebody else
 * has it the engine looks again, and then finds nothing left to do, which is
 * as good, or pushes the rest.
 *
 * Each user gets one attempt.  The engine is given no more users than it has
 * transfers for: to wait in its queue for long would count as a failure.
 */
#include "cmd_push.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "state/slot.h"
#include "sync/account.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	WAIT_STANDARD_S = 30,
	WAIT_MAX_S = 86400,
	LOOK_MS = 5,
	WORKER = 0, /* which one we are in the table, where there is no other */
};

enum verdict {
	VERDICT_NONE, /* not yet */
	VERDICT_OK,
	VERDICT_DIRTY,
	VERDICT_FAILED,
	VERDICT_CONFLICT,
	VERDICT_ABSENT, /* no local database */
	VERDICT_COUNT,
};

/* A user that the engine is at. */
struct job {
	const struct user_id *id; /* NULL: free */
	struct slot *slot;
	uint32_t failures; /* before our attempt */
	int64_t until_ms; /* how long somebody else is waited for, monotonic */
};

struct push_all {
	struct table *table;
	struct accounts *accounts; /* to load slots with */
	struct sync *sync;
	int64_t wait_ms;
	struct job *jobs;
	unsigned njobs;
	size_t count[VERDICT_COUNT];
};

static enum verdict begin(struct push_all *p, const struct user_id *id, struct job *job)
{
	struct slot_view v;

	switch (account_slot(p->accounts, id, &job->slot)) {
	case ACCOUNT_OK:
		break;
	case ACCOUNT_NO_FILES:
	case ACCOUNT_BUSY:
	case ACCOUNT_FULL:
	case ACCOUNT_FAILED:
		(void)printf("failed %s (%s)\n", id->text, object_error_name[ERROR_DISK]);
		return VERDICT_FAILED;
	}
	slot_read(job->slot, &v);
	if (v.files != FILES_PRESENT)
		return VERDICT_ABSENT;
	job->id = id;
	job->failures = v.failures;
	job->until_ms = clock_mono_ms() + p->wait_ms;
	if (slot_is_dirty(&v) || v.failed_since_ms != 0)
		sync_look(p->sync, job->slot);
	else /* or the engine would ask the store what others have pushed */
		table_clear_due(p->table, job->slot);
	return VERDICT_NONE;
}

/* No attempt of ours was under way just before. */
static enum verdict judge(const struct job *job, const struct slot_view *v)
{
	const char *id = job->id->text;

	if (v->conflict && v->keep == KEEP_UNDECIDED) {
		(void)printf("conflict %s\n", id);
		return VERDICT_CONFLICT;
	}
	if (!v->conflict && !slot_is_dirty(v) && v->failed_since_ms == 0) {
		(void)printf("ok %s txid=%" PRIu64 "\n", id, v->txid);
		return VERDICT_OK;
	}
	if (v->failures > job->failures) {
		(void)printf("failed %s (%s)\n", id, object_error_name[v->error]);
		return VERDICT_FAILED;
	}
	if (clock_mono_ms() < job->until_ms)
		return VERDICT_NONE;
	(void)printf("dirty %s (somebody else is at it)\n", id);
	return VERDICT_DIRTY;
}

static enum verdict look_at(struct push_all *p, struct job *job)
{
	struct slot_view v;

	slot_read(job->slot, &v);
	if (v.pushing)
		return VERDICT_NONE;
	/* Once more: the attempt may have ended between the words of the first reading. */
	slot_read(job->slot, &v);
	enum verdict verdict = judge(job, &v);
	if (verdict != VERDICT_NONE) {
		/* One attempt was asked for, not those that would follow it. */
		table_clear_due(p->table, job->slot);
		job->id = NULL;
	}
	return verdict;
}

/* true: a place is free and may be used at once. */
static bool move_job(struct push_all *p, struct job *job, const struct users *users, size_t *next)
{
	enum verdict verdict;

	if (job->id != NULL)
		verdict = look_at(p, job);
	else if (*next < users->count)
		verdict = begin(p, &users->ids[(*next)++], job);
	else
		return false;
	p->count[verdict]++;
	return verdict != VERDICT_NONE;
}

static void run(struct push_all *p, const struct users *users)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000 * 1000 };
	bool moved, open;
	size_t next = 0;

	do {
		moved = false;
		open = false;
		for (unsigned i = 0; i < p->njobs; i++) {
			while (move_job(p, &p->jobs[i], users, &next))
				moved = true;
			open |= p->jobs[i].id != NULL;
		}
		(void)fflush(stdout);
		if (!moved && open)
			nanosleep(&pause, NULL);
	} while (open);
}

static int report(const struct push_all *p, const struct users_wanted *wanted)
{
	size_t users = 0;

	for (int i = VERDICT_OK; i < VERDICT_ABSENT; i++)
		users += p->count[i];
	if (wanted->all)
		(void)printf("%zu users: %zu ok, %zu dirty, %zu failed, %zu conflict\n", users,
			     p->count[VERDICT_OK], p->count[VERDICT_DIRTY],
			     p->count[VERDICT_FAILED], p->count[VERDICT_CONFLICT]);
	else if (users == 0)
		(void)fprintf(stderr, "holdfast: user '%s' has no local database\n",
			      wanted->one.text);
	return p->count[VERDICT_OK] == users && (users > 0 || wanted->all) ? CMD_OK : CMD_FAILED;
}

int push_users(struct config *c, const struct users_wanted *wanted, int64_t wait_ms)
{
	const struct accounts_config accounts = {
		.data = c->data,
		.role = USERDB_INTERNAL,
		.max_open = 1,
	};
	struct push_all p = { .wait_ms = wait_ms };
	struct users users;
	int result = CMD_FAILED;

	if (users_find(c->data, wanted, &users) < 0)
		return CMD_FAILED;
	c->sync.node = users.node;
	p.njobs = (unsigned)c->sync.store.limits.max_transfers;
	p.jobs = alloc_zeroed(p.njobs, sizeof *p.jobs);
	p.table = users_table(&users);
	if (p.table != NULL) {
		p.accounts = accounts_new(p.table, &accounts);
		p.sync = sync_start(p.table, WORKER, &c->sync);
	}
	if (p.sync != NULL) {
		run(&p, &users);
		result = report(&p, wanted);
	}
	sync_free(p.sync);
	accounts_free(p.accounts);
	table_free(p.table);
	free(p.jobs);
	users_release(&users);
	return result;
}

static int parse_wait(const char *text, int64_t *wait_ms)
{
	char *end;

	errno = 0;
	long s = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || s < 1 || s > WAIT_MAX_S) {
		(void)fprintf(stderr, "holdfast: --wait '%s' is not 1 to %d seconds\n", text,
			      WAIT_MAX_S);
		return -1;
	}
	*wait_ms = (int64_t)s * 1000;
	return 0;
}

int cmd_push(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "wait", required_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 },
	};
	int64_t wait_ms = INT64_C(1000) * WAIT_STANDARD_S;
	struct users_wanted wanted;
	struct config config;
	bool all = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'a')
			all = true;
		else if (option != 'w' || parse_wait(optarg, &wait_ms) < 0)
			return cmd_usage(argv[0]);
	}
	if (users_parse(argc - optind, argv + optind, all, &wanted) < 0)
		return cmd_usage(argv[0]);
	if (config_load(CONFIG_STORE, &config) < 0)
		return CMD_USAGE;
	log_init(LOG_LEVEL_ERROR, argv[0]);
	umask(077);
	int result = push_users(&config, &wanted, wait_ms);
	config_release(&config);
	return result;
}
