/*
 * A worker must not outlive its master: the kernel sends it TERM then.  It
 * finishes the request it runs, answers at once who waits and goes without
 * pushing, because a new master waits for it (state/node.h), and what is dirty
 * is on disk for that one to find.  Waiting would be in vain, too: nobody says
 * any more that a worker whose push it waits for has died.
 */
#include "proc/worker.h"

#include "base/clock.h"
#include "proc/cage_calls.h"
#include "proc/cage_files.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { SHORT_DRAIN_MS = 2000, LOOK_AGAIN_MS = 5 };

static volatile sig_atomic_t stopping; /* by this signal */
static _Atomic int64_t stopping_since_ms;

static void on_stop(int signal, siginfo_t *info, void *context)
{
	(void)context;
	if (!stopping && info->si_code == SI_QUEUE)
		stopping_since_ms = (int64_t)(intptr_t)info->si_value.sival_ptr;
	else if (!stopping)
		stopping_since_ms = clock_mono_ms();
	stopping = signal;
}

/* A request that runs keeps the signal waiting; the deadline is not moved by that. */
void worker_ask(pid_t pid, int signal)
{
	const union sigval since = { .sival_ptr = (void *)(intptr_t)clock_mono_ms() };

	/* Fails only for a process that is gone, of which the caller will hear. */
	(void)sigqueue(pid, signal, since);
}

static void init_signals(void)
{
	struct sigaction stop = { .sa_sigaction = on_stop, .sa_flags = SA_SIGINFO };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigemptyset(&stop.sa_mask);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGUSR1, &stop, NULL);
	sigaction(SIGUSR2, &stop, NULL);
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

static int64_t shortly_ms(const struct worker_config *c)
{
	return c->drain_ms < SHORT_DRAIN_MS ? c->drain_ms : SHORT_DRAIN_MS;
}

/* The master may die in the middle of it: these are asked again and again. */
static bool may_wait(const struct worker_config *c, const struct worker_birth *b)
{
	int64_t wait_ms = stopping == SIGUSR2 ? shortly_ms(c) : c->drain_ms;

	return !is_orphan(b) && clock_mono_ms() < stopping_since_ms + wait_ms;
}

static bool may_push(const struct worker_config *c, const struct worker_birth *b)
{
	int64_t push_ms = stopping == SIGTERM ? c->drain_ms : shortly_ms(c);

	return !is_orphan(b) && clock_mono_ms() < stopping_since_ms + push_ms;
}

static void serve(const struct worker_config *c, const struct worker_birth *b, struct sync *sync,
		  struct server *server)
{
	sigset_t unblocked;

	sigemptyset(&unblocked);
	server_run(server, &stopping, &unblocked);
	if (stopping == SIGTERM && !is_orphan(b))
		sync_last_call(sync, stopping_since_ms);
	if (stopping == SIGTERM)
		server_end_streams(server);
	while (server_look(server) && may_wait(c, b))
		poll(NULL, 0, LOOK_AGAIN_MS);
	server_end(server);
	sync_drain(sync);
	while (!sync_is_drained(sync) && may_push(c, b))
		poll(NULL, 0, LOOK_AGAIN_MS);
}

/* Before there is a second thread, which would be left out of it. */
static int enter_cage(const struct worker_config *c, const struct worker_birth *b)
{
	const struct cage_places places = {
		.data = c->sync->data,
		.store = store_folder(&c->sync->store),
		.table = table_fd(b->table),
	};

	return cage_files_limit(&places) < 0 ? -1 : cage_calls_limit_worker();
}

enum worker_exit worker_main(const struct worker_config *c, const struct worker_birth *b)
{
	enum worker_exit result = WORKER_NO_SETUP;
	struct server *server = NULL;

	log_init(c->log, "worker");
	init_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || is_orphan(b) || enter_cage(c, b) < 0)
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
	log_end();
	return result;
}
