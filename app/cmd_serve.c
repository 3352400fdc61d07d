/*
 * holdfast serve
 *
 * Two options are for the master itself, which gives them to the program that
 * is to go on in its place: see proc/takeover.h.
 */
#include "cmd.h"

#include "base/file.h"
#include "config.h"
#include "db/migrations.h"
#include "http/jwks.h"
#include "http/share.h"
#include "proc/cage_calls.h"
#include "proc/cage_files.h"
#include "state/node.h"
#include "store/object.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a running request of a worker may last after its master was killed. */
enum { ORPHANS_WAIT_MS = 5000 };

enum serve_mode {
	SERVE_AFRESH,
	SERVE_TAKEOVER, /* in this process another program was the master */
	SERVE_TRIAL, /* only find out whether SERVE_TAKEOVER would work */
};

/*
 * No copy of the memory, which holds keys, goes to disk or to another process,
 * and no program that is executed gets more rights than this one.
 */
static int give_up_rights(void)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0 &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return 0;
	log_error("serve.failed", "call=prctl error=\"%s\"", strerror(errno));
	return -1;
}

/* A filter stays over an exec; one more at each reload would be too many in the end. */
static int enter_cage(enum serve_mode mode)
{
	if (mode == SERVE_TRIAL || (mode == SERVE_TAKEOVER && cage_calls_are_limited()))
		return 0;
	if (cage_files_version() == 0)
		log_warn("cage.files_open", "why=\"this kernel has no Landlock, or an old one\"");
	return cage_calls_limit_master();
}

/* Cached handles want many descriptors; fewer is slower, not wrong. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("serve.descriptors", "error=\"%s\"", strerror(errno));
}

static int64_t longest_request_ms(const struct config *c)
{
	return c->server.limits.statement_ms + c->server.limits.lock_wait_ms;
}

static int run_master(struct config *c, const struct node *node, const struct takeover *before)
{
	char program[PATH_MAX];
	struct worker_config worker = {
		.log = c->log,
		/* The rest is for closing down, before the master loses patience. */
		.drain_ms = c->pool.shutdown_ms - c->pool.shutdown_ms / 10,
		.server = &c->server,
		.sync = &c->sync,
	};
	const struct master_self self = { program, node, before };

	/* Workers may use what is there when they begin. */
	const char *folder = store_folder(&c->sync.store);

	if (folder != NULL && file_make_dirs(folder, 0700) < 0)
		return -1;
	if (takeover_program(program, sizeof program) < 0)
		return -1;
	c->sync.node = node->id;
	c->server.may_yield = share_may_yield();
	if (!c->server.may_yield)
		log_info("serve.no_yield", "why=\"RLIMIT_NICE is below 20\"");
	return master_run(&c->pool, &worker, &self);
}

static int serve_afresh(struct config *c)
{
	struct node node = NODE_INIT;

	if (file_make_dirs(c->data, 0700) < 0)
		return -1;
	if (node_claim(c->data, ORPHANS_WAIT_MS + longest_request_ms(c), &node) < 0)
		return -1;
	int result = run_master(c, &node, NULL);
	node_release(&node);
	return result;
}

static int read_takeover(const struct config *c, int fd, struct takeover *out)
{
	if (takeover_read(fd, out) < 0)
		return -1;
	return takeover_fits(out, c->pool.socket, c->pool.nsockets, c->data) ? 0 : -1;
}

/* Should this fail, the workers go with this process, and a service manager starts anew. */
static int serve_on(struct config *c, int fd)
{
	struct takeover before;

	if (read_takeover(c, fd, &before) < 0)
		return -1;
	takeover_inherit(&before);
	close(fd);
	struct node node = { before.node, before.node_fd };
	int result = run_master(c, &node, &before);
	node_release(&node);
	return result;
}

static int try_store(const struct config *c)
{
	char why[256];
	struct store *store = store_new(&c->sync.store, why, sizeof why);

	if (store == NULL) {
		log_error("store.failed", "why=\"%s\"", why);
		return -1;
	}
	store_free(store);
	return 0;
}

/* All that a worker of this program could stumble over at its start. */
static int try_takeover(const struct config *c, int fd)
{
	struct takeover before;

	return read_takeover(c, fd, &before) < 0 ? -1 : try_store(c);
}

static int parse_descriptor(const char *text)
{
	char *end;
	unsigned long fd = strtoul(text, &end, 10);

	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && fd <= INT_MAX ? (int)fd : -1;
}

static int parse_arguments(int argc, char **argv, enum serve_mode *mode, int *fd)
{
	static const char *const option[] = {
		[SERVE_TAKEOVER] = "--takeover=",
		[SERVE_TRIAL] = "--try-takeover=",
	};

	*mode = SERVE_AFRESH;
	if (argc == 1)
		return 0;
	for (int i = SERVE_TAKEOVER; argc == 2 && i <= SERVE_TRIAL; i++) {
		size_t len = strlen(option[i]);
		if (strncmp(argv[1], option[i], len) != 0)
			continue;
		*mode = (enum serve_mode)i;
		*fd = parse_descriptor(argv[1] + len);
		return *fd < 0 ? -1 : 0;
	}
	return -1;
}

static void log_skipped(const struct jwks_found *f)
{
	if (f->key == NULL)
		log_warn("jwt_key.skipped", "path=%s kid=\"%s\" why=\"%s\"", f->path, f->kid,
			 f->why);
}

/* Before the first fork: all workers have the same ones, whatever becomes of the files. */
static int read_keys(const struct config *c, struct jwks **out)
{
	char why[JWKS_WHY_MAX];

	*out = NULL;
	if (c->server.auth != AUTH_JWT)
		return 0;
	*out = jwks_read(c->jwt_key_files, log_skipped, why);
	if (*out != NULL)
		return 0;
	log_error("jwt_key.refused", "why=\"%s\"", why);
	return -1;
}

/* For the same reason. */
static int read_migrations(const struct config *c, struct migrations **out)
{
	char why[MIGRATIONS_WHY_MAX];

	*out = NULL;
	if (c->migrations == NULL)
		return 0;
	*out = migrations_read(c->migrations, why);
	if (*out != NULL)
		return 0;
	log_error("migrations.refused", "why=\"%s\"", why);
	return -1;
}

static int run(struct config *c, enum serve_mode mode, int fd)
{
	if (geteuid() == 0 && mode == SERVE_AFRESH)
		log_warn("serve.root", "why=\"it needs no rights: run it as a user of its own\"");
	switch (mode) {
	case SERVE_AFRESH:
		return serve_afresh(c);
	case SERVE_TAKEOVER:
		return serve_on(c, fd);
	case SERVE_TRIAL:
		return try_takeover(c, fd);
	}
	abort();
}

static int serve(struct config *c, enum serve_mode mode, int fd)
{
	struct migrations *migrations = NULL;
	struct jwks *keys = NULL;
	int result = -1;

	raise_descriptor_limit();
	if (give_up_rights() == 0 && enter_cage(mode) == 0 && read_keys(c, &keys) == 0 &&
	    read_migrations(c, &migrations) == 0) {
		c->server.jwt.keys = keys;
		c->server.migrations = migrations;
		result = run(c, mode, fd);
	}
	migrations_free(migrations);
	jwks_free(keys);
	return result;
}

int cmd_serve(int argc, char **argv)
{
	enum serve_mode mode;
	struct config c;
	int fd = -1;

	if (parse_arguments(argc, argv, &mode, &fd) < 0)
		return cmd_usage(argv[0]);
	if (config_load(CONFIG_STORE | CONFIG_AUTH, &c) < 0)
		return CMD_USAGE;
	log_init(c.log, mode == SERVE_TRIAL ? "trial" : "master");
	umask(077);
	int result = serve(&c, mode, fd) < 0 ? CMD_FAILED : CMD_OK;
	config_release(&c);
	return result;
}
