/*
 * holdfast verify [USER | --all]
 *
 * Whether the store would give back what is here, byte for byte.  Works beside
 * a running service and without one.
 *
 *	image	a checksum of every page here, at a moment when the record says
 *		that this is transaction N of the store
 *	restore	N into a file without a name
 *	compare	page by page
 *
 * Only the first of these holds up the user's pushes.
 */
#include "cmd.h"

#include "base/clock.h"
#include "config.h"
#include "sync/image.h"
#include "sync/restore.h"
#include "users.h"

#include <errno.h>
#include <fcntl.h>
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
	WAIT_MS = 10000, /* for a push to end, or for one that is due */
	LOOK_MS = 20,
	TURN_MS = 100,
};

enum verdict {
	VERDICT_OK,
	VERDICT_DIFFERS,
	VERDICT_DIRTY,
	VERDICT_FAILED,
	VERDICT_UNREACHED, /* the store: it would be so for everybody */
	VERDICT_ABSENT,
	VERDICT_COUNT,
};

struct verify {
	const char *data;
	struct store *store;
	bool served; /* a service is there, which pushes what is dirty */
};

/* What is dirty stays so, if nobody is there to push it. */
static enum image_result take_patiently(const struct verify *v, const struct user_id *id,
					struct image *out)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000 * 1000 };
	int64_t until = clock_mono_ms() + WAIT_MS;

	for (;;) {
		enum image_result result = image_take(v->data, id, out);
		bool may_pass = result == IMAGE_BUSY || (result == IMAGE_DIRTY && v->served);
		if (!may_pass || clock_mono_ms() >= until)
			return result;
		nanosleep(&pause, NULL);
	}
}

static void note_end(struct restore *r, void *owner)
{
	(void)r;
	*(bool *)owner = true;
}

static struct restored restore_into(const struct verify *v, const struct user_id *id, uint64_t txid,
				    int fd)
{
	bool ended = false;
	struct tasks tasks;

	tasks_init(&tasks);
	struct restore *r =
		restore_start(v->store, &tasks, id, txid, fd, v->data, note_end, &ended);

	while (!ended)
		store_run(v->store, tasks_run(&tasks) ? 0 : TURN_MS);
	struct restored result = *restore_outcome(r);
	restore_free(r);
	return result;
}

static int open_unnamed(const char *dir)
{
	char path[PATH_MAX];
	int fd = -1;

	if (snprintf(path, sizeof path, "%s/verify.XXXXXX", dir) < (int)sizeof path)
		fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		(void)unlink(path);
	return fd;
}

/* One line for each user; what follows the page says which side has it. */
static enum verdict say_differs(const struct user_id *id, uint64_t txid, uint32_t pgno,
				const char *where, const char *more)
{
	(void)printf("differs %s txid=%" PRIu64 " page=%" PRIu32 " %s%s\n", id->text, txid, pgno,
		     where, more);
	return VERDICT_DIFFERS;
}

static enum verdict compare(const struct user_id *id, const struct image *here,
			    const struct restored *there, int fd)
{
	const char *where = "differs between the store and here";
	char more[128];

	if (there->page_size != here->page_size) {
		(void)snprintf(more, sizeof more,
			       ": pages of %" PRIu32 " bytes in the store, of %" PRIu32 " here",
			       there->page_size, here->page_size);
		return say_differs(id, here->txid, 1, where, more);
	}
	struct image_difference d = image_compare(here, there->npages, fd);
	if (d.count == 0) {
		(void)printf("ok %s txid=%" PRIu64 " pages=%" PRIu32 "\n", id->text, here->txid,
			     here->npages);
		return VERDICT_OK;
	}
	if (d.first > here->npages)
		where = "is only in the store";
	else if (d.first > there->npages)
		where = "is only here";
	(void)snprintf(more, sizeof more,
		       ": the first of %" PRIu32 "; pages in the store: %" PRIu32
		       ", here: %" PRIu32,
		       d.count, there->npages, here->npages);
	return say_differs(id, here->txid, d.first, where, more);
}

/* An account that nobody has written to: there must be nothing to compare with. */
static enum verdict judge_unwritten(const struct user_id *id, const struct restored *there)
{
	if (there->result == RESTORE_DONE)
		return say_differs(id, 0, 1, "is only in the store", "");
	(void)printf("ok %s txid=0 pages=0\n", id->text);
	return VERDICT_OK;
}

static enum verdict say_damaged(const struct user_id *id, uint64_t txid, uint64_t earliest)
{
	(void)printf("failed %s txid=%" PRIu64 ": objects are missing or damaged", id->text, txid);
	if (earliest > txid)
		(void)printf("; the earliest that can be restored is %" PRIu64, earliest);
	(void)printf("\n");
	return VERDICT_FAILED;
}

static enum verdict judge(const struct user_id *id, const struct image *here,
			  const struct restored *there, int fd)
{
	switch (there->result) {
	case RESTORE_DONE:
		return here->txid == 0 ? judge_unwritten(id, there) : compare(id, here, there, fd);
	case RESTORE_NO_USER:
		return here->txid == 0 ? judge_unwritten(id, there)
				       : say_differs(id, here->txid, 1, "is only here",
						     ": the store has nothing of this user");
	case RESTORE_DAMAGED:
		return say_damaged(id, here->txid, there->earliest);
	case RESTORE_UNREACHED:
		(void)printf("failed %s: the store does not answer (%s)\n", id->text,
			     object_error_name[there->error]);
		return VERDICT_UNREACHED;
	case RESTORE_FAILED:
		(void)printf("failed %s: the temporary file cannot be written\n", id->text);
		return VERDICT_FAILED;
	}
	return VERDICT_FAILED;
}

static enum verdict compare_with_store(const struct verify *v, const struct user_id *id,
				       const struct image *here)
{
	int fd = open_unnamed(v->data);

	if (fd < 0) {
		(void)printf("failed %s: no temporary file in '%s': %s\n", id->text, v->data,
			     strerror(errno));
		return VERDICT_FAILED;
	}
	struct restored there = restore_into(v, id, here->txid, fd);
	enum verdict verdict = judge(id, here, &there, fd);
	close(fd);
	return verdict;
}

static enum verdict verify_user(const struct verify *v, const struct user_id *id)
{
	enum verdict verdict;
	struct image here;

	switch (take_patiently(v, id, &here)) {
	case IMAGE_TAKEN:
		verdict = compare_with_store(v, id, &here);
		image_release(&here);
		return verdict;
	case IMAGE_ABSENT:
		return VERDICT_ABSENT;
	case IMAGE_DIRTY:
		(void)printf("dirty %s: not compared\n", id->text);
		return VERDICT_DIRTY;
	case IMAGE_BUSY:
		(void)printf("dirty %s: not compared, somebody pushes or pulls it\n", id->text);
		return VERDICT_DIRTY;
	case IMAGE_FAILED:
		break;
	}
	(void)printf("failed %s: the local database cannot be read\n", id->text);
	return VERDICT_FAILED;
}

static int verify_named(const struct verify *v, const struct user_id *id)
{
	enum verdict verdict = verify_user(v, id);

	if (verdict == VERDICT_ABSENT)
		(void)fprintf(stderr, "holdfast: user '%s' has no local database\n", id->text);
	return verdict == VERDICT_OK ? CMD_OK : CMD_FAILED;
}

/* Each user would wait in vain for a store that has not answered one of them. */
static int verify_all(const struct verify *v, const struct users *users)
{
	size_t count[VERDICT_COUNT] = { 0 }, done = 0;
	enum verdict verdict = VERDICT_OK;

	while (done < users->count && verdict != VERDICT_UNREACHED) {
		verdict = verify_user(v, &users->ids[done++]);
		count[verdict]++;
		(void)fflush(stdout);
	}
	size_t left = users->count - done, wanted = users->count - count[VERDICT_ABSENT];
	(void)printf("%zu users: %zu ok, %zu differ, %zu dirty, %zu failed, %zu not looked at\n",
		     wanted, count[VERDICT_OK], count[VERDICT_DIFFERS], count[VERDICT_DIRTY],
		     count[VERDICT_FAILED] + count[VERDICT_UNREACHED], left);
	return count[VERDICT_OK] == wanted ? CMD_OK : CMD_FAILED;
}

static bool service_runs(const char *table)
{
	const struct table *t = table_map_readonly(table);

	table_free(t);
	return t != NULL;
}

static int verify(const struct config *c, const struct users_wanted *wanted)
{
	struct verify v = { .data = c->data, .served = service_runs(c->table) };
	struct users users;
	char why[256];
	int result = CMD_FAILED;

	if (users_find(c->data, wanted, &users) < 0)
		return CMD_FAILED;
	v.store = store_new(&c->sync.store, why, sizeof why);
	if (v.store == NULL)
		(void)fprintf(stderr, "holdfast: cannot use the store: %s\n", why);
	else
		result = wanted->all ? verify_all(&v, &users) : verify_named(&v, &wanted->one);
	store_free(v.store);
	users_release(&users);
	return result;
}

int cmd_verify(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	struct users_wanted wanted;
	struct config config;
	bool all = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'a')
			return cmd_usage(argv[0]);
		all = true;
	}
	if (users_parse(argc - optind, argv + optind, all, &wanted) < 0)
		return cmd_usage(argv[0]);
	if (config_load(CONFIG_STORE, &config) < 0)
		return CMD_USAGE;
	log_init(LOG_LEVEL_ERROR, argv[0]);
	umask(077);
	int result = verify(&config, &wanted);
	config_release(&config);
	return result;
}
