/*
 * holdfast restore USER -o FILE [--txid N | --at TIME] [--store URL]
 * holdfast restore --all [--store URL]		see cmd_restore_all.h
 *
 * Works beside a running service and without one: it only reads the store.
 * The file appears under its name when every byte of it was checked.
 *
 * TIME is compared with the store's own clock, which may not be that of this
 * machine: what was in the store then is what comes back.
 */
#include "cmd_restore_all.h"

#include "base/file.h"
#include "base/rfc3339.h"
#include "sync/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROGRESS_MS = 100, PROGRESS_WIDTH = 40 };

struct wanted {
	bool all; /* and then nothing of the rest */
	struct user_id user;
	const char *file;
	uint64_t txid; /* 0: the latest */
	const char *at; /* NULL: see txid */
	int64_t at_ms;
};

static int complain(const char *what, const char *path)
{
	fprintf(stderr, "cannot %s '%s': %s\n", what, path, strerror(errno));
	return CMD_FAILED;
}

static int parse_txid(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno != 0 || *end != '\0' || text[0] == '-' || *out == 0 ? -1 : 0;
}

static int parse_time(const char *text, struct wanted *out)
{
	out->at = text;
	if (rfc3339_parse(text, &out->at_ms) == 0)
		return 0;
	fprintf(stderr, "'%s' is no time like 2026-08-22T10:11:12Z or '2026-08-22 10:11:12'\n",
		text);
	return -1;
}

static int parse(int argc, char **argv, struct wanted *out)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "txid", required_argument, NULL, 't' },
		{ "at", required_argument, NULL, 'a' },
		{ "all", no_argument, NULL, 'A' },
		{ "store", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (option == 'o')
			out->file = optarg;
		else if (option == 't' && parse_txid(optarg, &out->txid) == 0)
			continue;
		else if (option == 'a' && parse_time(optarg, out) == 0)
			continue;
		else if (option == 'A')
			out->all = true;
		else if (option == 's' && setenv("HOLDFAST_STORE", optarg, 1) == 0)
			continue;
		else
			return -1;
	}
	if (out->all)
		return optind == argc && out->file == NULL && out->txid == 0 && out->at == NULL
			       ? 0
			       : -1;
	if (optind != argc - 1 || out->file == NULL || (out->txid != 0 && out->at != NULL))
		return -1;
	return user_id_parse(argv[optind], strlen(argv[optind]), &out->user);
}

static void show_progress(const struct restored *r)
{
	uint64_t tenths = r->bytes_all ? r->bytes * 1000 / r->bytes_all : 0;
	int filled = (int)(tenths * PROGRESS_WIDTH / 1000);

	fprintf(stderr, "\r[%.*s%*s] %3" PRIu64 " %%  %" PRIu64 " MB", filled,
		"########################################", PROGRESS_WIDTH - filled, "",
		tenths / 10, r->bytes / 1000000);
}

static void note_end(struct restore *r, void *owner)
{
	(void)r;
	*(bool *)owner = true;
}

static struct restore *start(struct store *store, struct tasks *tasks, const struct wanted *w,
			     int fd, const char *spill_dir, bool *ended)
{
	if (w->at != NULL)
		return restore_start_at(store, tasks, &w->user, w->at_ms, fd, spill_dir, note_end,
					ended);
	return restore_start(store, tasks, &w->user, w->txid, fd, spill_dir, note_end, ended);
}

static struct restored fetch(struct store *store, const struct wanted *w, int fd,
			     const char *spill_dir)
{
	bool ended = false, shown = isatty(STDERR_FILENO) != 0;
	struct tasks tasks;

	tasks_init(&tasks);
	struct restore *r = start(store, &tasks, w, fd, spill_dir, &ended);

	while (!ended) {
		store_run(store, tasks_run(&tasks) ? 0 : PROGRESS_MS);
		if (shown)
			show_progress(restore_outcome(r));
	}
	if (shown)
		fputc('\n', stderr);
	struct restored result = *restore_outcome(r);
	restore_free(r);
	return result;
}

static void say_damaged(const struct wanted *w, const struct restored *r)
{
	if (r->too_early)
		fprintf(stderr, "cannot restore user '%s': the store has nothing of %s or before",
			w->user.text, w->at);
	else if (r->earliest != 0)
		fprintf(stderr, "cannot restore user '%s': the store cannot lead there any more",
			w->user.text);
	else
		fprintf(stderr, "cannot restore user '%s': objects are missing or damaged",
			w->user.text);
	if (r->earliest != 0)
		fprintf(stderr, "; the earliest transaction that it can restore is %" PRIu64,
			r->earliest);
	fputc('\n', stderr);
}

static int report(const struct wanted *w, const struct restored *r)
{
	switch (r->result) {
	case RESTORE_DONE:
		printf("%s: transaction %" PRIu64 ", %" PRIu32 " pages of %" PRIu32 " bytes\n",
		       w->file, r->txid, r->npages, r->page_size);
		return CMD_OK;
	case RESTORE_NO_USER:
		fprintf(stderr, "the store has nothing of user '%s'\n", w->user.text);
		break;
	case RESTORE_UNREACHED:
		fprintf(stderr, "the store does not answer: %s\n", object_error_name[r->error]);
		break;
	case RESTORE_DAMAGED:
		say_damaged(w, r);
		break;
	case RESTORE_FAILED:
		fprintf(stderr, "cannot write beside '%s'\n", w->file);
		break;
	}
	return CMD_FAILED;
}

static int keep(int fd, const char *beside, const char *file)
{
	if (fsync(fd) < 0)
		return complain("write", beside);
	if (rename(beside, file) < 0)
		return complain("rename to", file);
	return file_sync_parent(file) < 0 ? CMD_FAILED : CMD_OK;
}

static int restore_to(struct store *store, const struct wanted *w, const char *spill_dir)
{
	char beside[PATH_MAX];
	int status = CMD_FAILED;

	if (snprintf(beside, sizeof beside, "%s.part", w->file) >= (int)sizeof beside) {
		errno = ENAMETOOLONG;
		return complain("open", w->file);
	}
	int fd = open(beside, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return complain("open", beside);
	struct restored r = fetch(store, w, fd, spill_dir);
	if (r.result == RESTORE_DONE)
		status = keep(fd, beside, w->file);
	if (status != CMD_OK)
		unlink(beside);
	close(fd);
	return r.result == RESTORE_DONE && status != CMD_OK ? status : report(w, &r);
}

static int restore_one(struct config *c, const struct wanted *w)
{
	char why[256], spill_dir[PATH_MAX];

	/* Beside the result, so that it needs no data directory. */
	const char *slash = strrchr(w->file, '/');
	(void)snprintf(spill_dir, sizeof spill_dir, "%.*s", slash ? (int)(slash - w->file) + 1 : 1,
		       slash ? w->file : ".");
	free(c->sync.store.spill_dir);
	c->sync.store.spill_dir = spill_dir;
	struct store *store = store_new(&c->sync.store, why, sizeof why);
	int status = CMD_FAILED;
	if (store == NULL)
		fprintf(stderr, "cannot use the store: %s\n", why);
	else
		status = restore_to(store, w, spill_dir);
	store_free(store);
	c->sync.store.spill_dir = NULL;
	return status;
}

int cmd_restore(int argc, char **argv)
{
	struct wanted wanted = { .file = NULL };
	struct config config;
	int status;

	if (parse(argc, argv, &wanted) < 0)
		return cmd_usage(argv[0]);
	if (config_load(CONFIG_STORE, &config) < 0)
		return CMD_USAGE;
	if (wanted.all) {
		log_init(LOG_LEVEL_ERROR, argv[0]);
		umask(077);
		status = restore_all(&config);
	} else {
		status = restore_one(&config, &wanted);
	}
	config_release(&config);
	return status;
}
