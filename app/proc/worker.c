/*
 * A worker must not outlive its master: the kernel sends it TERM then.  It
 * finishes its requests and goes without pushing, because a new master waits
 * for it (state/node.h), and what is dirty is on disk for that one to find.
 */
#include "proc/worker.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { SHORT_DRAIN_MS = 2000 };

static volatile sig_atomic_t stopping;
static volatile sig_atomic_t replaced;
static _Atomic int64_t stopping_since_ms;

static void on_stop(int signal)
{
	if (signal == SIGUSR1)
		replaced = 1;
	if (!stopping)
		stopping_since_ms = clock_mono_ms();
	stopping = 1;
}

static void init_signals(void)
{
	struct sigaction stop = { .sa_handler = on_stop };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigemptyset(&stop.sa_mask);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGUSR1, &stop, NULL);
	/* A terminal sends these to all of us; the master decides what they mean. */
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

static int say_ready(const struct worker_birth *b)
{
	struct worker_message m = { b->place.worker, (int32_t)getpid() };

	if (write(b->ready, &m, sizeof m) == (ssize_t)sizeof m)
		return 0;
	log_error("worker.not_ready", "error=\"%s\"", strerror(errno));
	return -1;
}

static bool is_orphan(const struct worker_birth *b)
{
	return getppid() != b->master;
}

static int64_t drain_deadline(const struct worker_config *c, const struct worker_birth *b)
{
	int64_t drain_ms = c->drain_ms;

	if (is_orphan(b))
		drain_ms = 0;
	else if (replaced && drain_ms > SHORT_DRAIN_MS)
		drain_ms = SHORT_DRAIN_MS;
	return stopping_since_ms + drain_ms;
}

static void serve(const struct worker_config *c, const struct worker_birth *b, struct sync *sync,
		  struct server *server)
{
	sigset_t unblocked;

	sigemptyset(&unblocked);
	server_run(server, &stopping, &unblocked);
	if (!replaced)
		server_end_streams(server);
	/* Being replaced is no reason to answer a request that waits in another way. */
	server_finish(server, stopping_since_ms + (is_orphan(b) ? 0 : c->drain_ms));
	sync_drain(sync, drain_deadline(c, b));
}

enum worker_exit worker_main(const struct worker_config *c, const struct worker_birth *b)
{
	enum worker_exit result = WORKER_NO_SETUP;
	struct server *server = NULL;

	log_init(c->log, "worker");
	init_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || is_orphan(b))
		return WORKER_NO_SETUP;

	struct sync *sync = sync_start(b->table, b->place.worker, c->sync);
	if (sync == NULL)
		goto out;
	server = server_new(b->table, sync, &b->place, c->server);
	if (server == NULL || say_ready(b) < 0)
		goto out;
	serve(c, b, sync, server);
	result = WORKER_DONE;
out:
	server_free(server);
	sync_free(sync);
	return result;
}
