/*
 * One loop: do what the pool's policy wants, wait for a signal or a message,
 * tell the pool what happened.
 *
 * Signals are blocked for ever and read from a descriptor.  What a worker says
 * is a small message with its pid; it may be late, so the pool judges it.
 * Memory is allocated before the first fork only.
 */
#include "proc/master.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "proc/listener.h"
#include "proc/notify.h"
#include "proc/pool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct master {
	const struct pool_config *config;
	const struct worker_config *worker;
	struct table *table;
	struct pool *pool;
	struct handover *handover;
	struct baton_key batons;
	int *listeners; /* nsockets; -1 for those not open */
	uint64_t *answered; /* by worker number: requests before this process */
	int signals;
	int ready[2]; /* pipe of struct worker_message */
	bool stopping;
	bool told_ready; /* the service manager, since the start or the last reload */
};

static int failed(const char *call)
{
	log_error("master.failed", "call=%s error=\"%s\"", call, strerror(errno));
	return -1;
}

static int open_signals(struct master *m)
{
	sigset_t all, wanted;

	sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
		return failed("sigprocmask");
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGHUP);
	sigaddset(&wanted, SIGCHLD);
	m->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	return m->signals < 0 ? failed("signalfd") : 0;
}

static int open_listeners(struct master *m)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < m->config->nsockets; i++) {
		if (listener_path(m->config->socket, i, path, sizeof path) < 0) {
			errno = ENAMETOOLONG;
			return failed("bind");
		}
		m->listeners[i] = listener_open(path);
		if (m->listeners[i] < 0)
			return -1;
	}
	return 0;
}

static void close_listeners(struct master *m)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < m->config->nsockets; i++) {
		if (listener_path(m->config->socket, i, path, sizeof path) == 0)
			listener_close(m->listeners[i], path);
	}
}

static int set_up(struct master *m)
{
	const struct pool_config *c = m->config;

	assert(c->workers <= TABLE_WORKERS_MAX / 2 && c->nsockets > 0);
	m->pool = pool_new(c->workers, c->shutdown_ms);
	m->answered = alloc_zeroed(2 * (size_t)c->workers, sizeof *m->answered);
	m->listeners = alloc_zeroed(c->nsockets, sizeof *m->listeners);
	for (unsigned i = 0; i < c->nsockets; i++)
		m->listeners[i] = -1;
	if (open_signals(m) < 0 || baton_key_make(&m->batons) < 0)
		return -1;
	m->handover = handover_new(2 * c->workers);
	if (m->handover == NULL)
		return -1;
	if (pipe2(m->ready, O_CLOEXEC | O_NONBLOCK) < 0)
		return failed("pipe2");
	if (listener_make_dir(c->socket) < 0 || open_listeners(m) < 0)
		return -1;
	m->table = table_create(c->table, c->max_active_users);
	return m->table == NULL ? -1 : 0;
}

static void close_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void tear_down(struct master *m)
{
	table_free(m->table);
	handover_free(m->handover);
	explicit_bzero(&m->batons, sizeof m->batons);
	close_listeners(m);
	close_open(m->ready[0]);
	close_open(m->ready[1]);
	close_open(m->signals);
	free(m->listeners);
	free(m->answered);
	pool_free(m->pool);
}

static unsigned socket_of(const struct master *m, unsigned number)
{
	return number % m->config->workers % m->config->nsockets;
}

/* In the child: what is left is what a worker needs, and the claim on the data directory. */
static _Noreturn void become_worker(struct master *m, unsigned number, pid_t master)
{
	struct worker_birth birth = {
		.table = m->table,
		.place = {
			.worker = number,
			.listener = m->listeners[socket_of(m, number)],
			.handover = m->handover,
			.batons = &m->batons,
		},
		.ready = m->ready[1],
		.master = master,
	};

	close(m->signals);
	close(m->ready[0]);
	for (unsigned i = 0; i < m->config->nsockets; i++) {
		if (i != socket_of(m, number))
			close(m->listeners[i]);
	}
	_exit((int)worker_main(m->worker, &birth));
}

static uint64_t answered_by(const struct master *m, unsigned number)
{
	struct worker_word word;

	(void)table_worker_get(m->table, number, &word);
	return word.requests;
}

static void start_worker(struct master *m, unsigned number)
{
	pid_t master = getpid();

	m->answered[number] = answered_by(m, number);
	pid_t pid = fork();
	if (pid == 0)
		become_worker(m, number, master);
	if (pid < 0) {
		failed("fork");
		pool_not_started(m->pool, clock_mono_ms());
		return;
	}
	table_worker_born(m->table, number, (uint32_t)pid);
	pool_started(m->pool, number, pid);
	log_info("worker.start", "number=%u pid=%d socket=%u", number, (int)pid,
		 socket_of(m, number));
}

/* Until there is nothing to do; how long that may last. */
static int64_t take_steps(struct master *m)
{
	for (;;) {
		struct pool_step step = pool_next(m->pool, clock_mono_ms());
		switch (step.action) {
		case POOL_WAIT:
			return step.wait_ms;
		case POOL_START:
			start_worker(m, step.number);
			break;
		case POOL_ASK:
			kill(step.pid, m->stopping ? SIGTERM : SIGUSR1);
			break;
		case POOL_KILL:
			log_warn("worker.kill", "number=%u pid=%d", step.number, (int)step.pid);
			kill(step.pid, SIGKILL);
			break;
		}
	}
}

static void log_end(const struct master *m, pid_t pid, int status, unsigned number,
		    enum pool_end end)
{
	enum log_level level = end == POOL_END_ASKED ? LOG_LEVEL_INFO : LOG_LEVEL_WARN;
	uint64_t requests = answered_by(m, number) - m->answered[number];

	if (WIFSIGNALED(status))
		log_event(level, "worker.end", "number=%u pid=%d signal=%d requests=%" PRIu64,
			  number, (int)pid, WTERMSIG(status), requests);
	else
		log_event(level, "worker.end", "number=%u pid=%d exit=%d requests=%" PRIu64, number,
			  (int)pid, WEXITSTATUS(status), requests);
	if (end == POOL_END_NO_SUCCESSOR)
		log_error("master.reload_given_up", "number=%u", number);
}

static bool has_served(const struct master *m, pid_t pid)
{
	struct worker_word word;

	for (unsigned number = 0; number < 2 * m->config->workers; number++) {
		if (table_worker_get(m->table, number, &word) && word.pid == (uint32_t)pid)
			return word.requests > m->answered[number];
	}
	return false;
}

static void reap(struct master *m)
{
	unsigned number = 0;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		bool served = has_served(m, pid);
		enum pool_end end = pool_ended(m->pool, pid, served, clock_mono_ms(), &number);
		if (end == POOL_END_UNKNOWN)
			continue;
		log_end(m, pid, status, number, end);
		table_worker_died(m->table, number);
		handover_discard(m->handover, number);
	}
}

static void stop(struct master *m)
{
	if (m->stopping)
		return;
	log_info("master.stop", "workers=%u", pool_alive(m->pool));
	notify_send("STOPPING=1");
	m->stopping = true;
	pool_stop(m->pool);
}

static void reload(struct master *m)
{
	char state[64];

	if (m->stopping)
		return;
	log_info("master.reload", "workers=%u", m->config->workers);
	(void)snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		       clock_mono_ms() * 1000);
	notify_send(state);
	m->told_ready = false;
	pool_reload(m->pool);
}

static void hear_signals(struct master *m)
{
	struct signalfd_siginfo signal;

	while (read(m->signals, &signal, sizeof signal) == (ssize_t)sizeof signal) {
		if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT)
			stop(m);
		else if (signal.ssi_signo == SIGHUP)
			reload(m);
	}
}

static void hear_workers(struct master *m)
{
	struct worker_message message;

	while (read(m->ready[0], &message, sizeof message) == (ssize_t)sizeof message)
		pool_ready(m->pool, message.number, (pid_t)message.pid);
}

static void tell_ready(struct master *m)
{
	if (m->told_ready || m->stopping || !pool_complete(m->pool) || pool_reloading(m->pool))
		return;
	m->told_ready = true;
	log_info("master.ready", "workers=%u sockets=%u", m->config->workers, m->config->nsockets);
	notify_send("READY=1");
}

static int wait_for_event(const struct master *m, int64_t wait_ms)
{
	struct pollfd fds[] = {
		{ .fd = m->signals, .events = POLLIN },
		{ .fd = m->ready[0], .events = POLLIN },
	};

	if (poll(fds, 2, wait_ms > INT_MAX ? INT_MAX : (int)wait_ms) < 0 && errno != EINTR)
		return failed("poll");
	return 0;
}

static int supervise(struct master *m)
{
	for (;;) {
		int64_t wait_ms = take_steps(m);
		tell_ready(m);
		if (m->stopping && pool_alive(m->pool) == 0)
			return 0;
		if (pool_hopeless(m->pool)) {
			log_error("master.hopeless", "reason=\"no worker could start\"");
			return -1;
		}
		if (wait_for_event(m, wait_ms) < 0)
			return -1;
		hear_workers(m);
		hear_signals(m);
		reap(m);
	}
}

int master_run(const struct pool_config *c, const struct worker_config *worker)
{
	struct master m = {
		.config = c,
		.worker = worker,
		.signals = -1,
		.ready = { -1, -1 },
	};

	log_init(worker->log, "master");
	int result = set_up(&m);
	if (result == 0)
		result = supervise(&m);
	tear_down(&m);
	return result;
}
