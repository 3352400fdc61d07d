#include "cmd.h"

#include "base/file.h"
#include "config.h"
#include "state/node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* How long a running request of a worker may last after its master was killed. */
enum { ORPHANS_WAIT_MS = 5000 };

/* No copy of the memory, which holds keys, goes to disk or to another process. */
static int forbid_dumps(void)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0)
		return 0;
	log_error("serve.failed", "call=prctl error=\"%s\"", strerror(errno));
	return -1;
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

static int serve(struct config *c)
{
	struct worker_config worker = {
		.log = c->log,
		/* The rest is for closing down, before the master loses patience. */
		.drain_ms = c->pool.shutdown_ms - c->pool.shutdown_ms / 10,
		.server = &c->server,
		.sync = &c->sync,
	};
	struct node node = NODE_INIT;

	if (file_make_dirs(c->data, 0700) < 0)
		return -1;
	if (node_claim(c->data, ORPHANS_WAIT_MS + longest_request_ms(c), &node) < 0)
		return -1;
	c->sync.node = node.id;
	int result = master_run(&c->pool, &worker);
	node_release(&node);
	return result;
}

int cmd_serve(int argc, char **argv)
{
	struct config c;

	if (argc != 1)
		return cmd_usage(argv[0]);
	if (config_load(CONFIG_STORE | CONFIG_AUTH, &c) < 0)
		return CMD_USAGE;
	log_init(c.log, "master");
	umask(077);
	raise_descriptor_limit();
	int result = forbid_dumps() < 0 || serve(&c) < 0 ? CMD_FAILED : CMD_OK;
	config_release(&c);
	return result;
}
