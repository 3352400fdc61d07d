/*
 * One loop: do what the pool's policy wants, wait for a signal or a message,
 * tell the pool what happened.
 *
 * Signals are blocked for ever and read from a descriptor.  What a worker says
 * is a small message with its pid; it may be late, so the pool judges it.
 * Memory is allocated before the first fork only.
 *
 * A reload goes
 *
 *	HUP -> a trial of the new program runs -> it has passed -> exec
 *
 * and in the new program either
 *
 *	the table is adopted -> workers are replaced one by one
 *
 * or, when the table's layout or size or the number of workers is another:
 *
 *	a fresh table -> the old workers finish and go -> new ones start
 *
 * Two tables must not be in use for the same users at the same time.  Requests
 * wait meanwhile in the backlog of the sockets.
 */
#include "proc/master.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "proc/cage_files.h"
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

enum { TRIAL_MS = 5000 };

/* Of the program at our path. */
struct trial {
	pid_t pid; /* 0: none runs */
	int file; /* what it is told; -1 */
	int64_t until_ms;
	bool passed;
};

struct master {
	const struct pool_config *config;
	const struct worker_config *worker;
	const struct master_self *self;
	struct table *table;
	struct pool *pool;
	struct handover *handovers;
	struct baton_key batons;
	int *listeners; /* nsockets; -1 for those not open */
	uint64_t answered[TABLE_WORKERS_MAX]; /* by number: requests before this process */
	struct trial trial;
	struct takeover takeover; /* only while it is made */
	int signals;
	int watch; /* of the files that workers may read */
	int ready[2]; /* pipe of struct worker_message */
	bool stopping;
	bool reload_wanted; /* since the latest trial began */
	bool emptying; /* `pool` is that of the program before and comes to its end */
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

static int make_handovers(struct master *m)
{
	m->handovers = handover_new(2 * m->config->workers);
	return m->handovers == NULL ? -1 : baton_key_make(&m->batons);
}

/* With the same sockets and key, streams of the workers that are replaced go on. */
static int adopt_handovers(struct master *m, const struct takeover *t)
{
	if (m->emptying) {
		handover_free(handover_adopt(t->handovers, 2 * t->workers));
		return make_handovers(m);
	}
	m->handovers = handover_adopt(t->handovers, 2 * t->workers);
	m->batons = t->batons;
	return 0;
}

static struct table *make_table(const struct pool_config *c)
{
	struct table *t = table_create(c->table, c->max_active_users);

	if (t != NULL)
		table_metrics(t)->started_ms = clock_wall_ms();
	return t;
}

static int start_afresh(struct master *m)
{
	const struct pool_config *c = m->config;

	m->pool = pool_new(c->workers, c->shutdown_ms);
	if (make_handovers(m) < 0)
		return -1;
	if (pipe2(m->ready, O_CLOEXEC | O_NONBLOCK) < 0)
		return failed("pipe2");
	if (listener_make_dir(c->socket) < 0 || open_listeners(m) < 0)
		return -1;
	m->table = make_table(c);
	return m->table == NULL ? -1 : 0;
}

static void adopt_workers(struct master *m, const struct takeover *t)
{
	m->pool = pool_new(t->workers, m->config->shutdown_ms);
	for (unsigned number = 0; number < 2 * t->workers; number++) {
		pool_adopt(m->pool, number, &t->worker[number]);
		if (!m->emptying)
			m->answered[number] = t->answered[number];
	}
	if (m->emptying)
		pool_stop(m->pool);
	else
		pool_reload(m->pool);
}

static int take_over(struct master *m, const struct takeover *t)
{
	const struct pool_config *c = m->config;

	for (unsigned i = 0; i < c->nsockets; i++)
		m->listeners[i] = t->listener[i];
	m->ready[0] = t->ready[0];
	m->ready[1] = t->ready[1];
	if (t->workers == c->workers && t->max_active_users == c->max_active_users)
		m->table = table_adopt(t->table_fd);
	m->emptying = m->table == NULL;
	if (m->emptying) {
		close(t->table_fd);
		m->table = make_table(c);
	}
	if (m->table == NULL || adopt_handovers(m, t) < 0)
		return -1;
	adopt_workers(m, t);
	metrics_count(table_metrics(m->table), METRICS_RELOADS);
	log_info("master.takeover", "workers=%u table=%s", pool_alive(m->pool),
		 m->emptying ? "fresh" : "adopted");
	return 0;
}

static int set_up(struct master *m)
{
	const struct pool_config *c = m->config;

	assert(c->workers <= TABLE_WORKERS_MAX / 2 && c->nsockets > 0 &&
	       c->nsockets <= TAKEOVER_SOCKETS_MAX);
	m->listeners = alloc_zeroed(c->nsockets, sizeof *m->listeners);
	for (unsigned i = 0; i < c->nsockets; i++)
		m->listeners[i] = -1;
	/* Without it somebody has to say HUP when /etc/resolv.conf is another file. */
	m->watch = cage_files_watch();
	if (open_signals(m) < 0)
		return -1;
	return m->self->before != NULL ? take_over(m, m->self->before) : start_afresh(m);
}

static void close_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void tear_down(struct master *m)
{
	table_free(m->table);
	handover_free(m->handovers);
	explicit_bzero(&m->batons, sizeof m->batons);
	close_listeners(m);
	close_open(m->ready[0]);
	close_open(m->ready[1]);
	close_open(m->signals);
	close_open(m->watch);
	close_open(m->trial.file);
	free(m->listeners);
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
			.socket = socket_of(m, number),
			.listener = m->listeners[socket_of(m, number)],
			.handover = m->handovers,
			.batons = &m->batons,
		},
		.ready = m->ready[1],
		.master = master,
	};

	close(m->signals);
	close(m->watch);
	close(m->ready[0]);
	close_open(m->trial.file);
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

/* See proc/worker.h. */
static int farewell(const struct master *m)
{
	if (m->stopping)
		return SIGTERM;
	return m->emptying ? SIGUSR2 : SIGUSR1;
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
			worker_ask(step.pid, farewell(m));
			break;
		case POOL_KILL:
			log_warn("worker.kill", "number=%u pid=%d", step.number, (int)step.pid);
			kill(step.pid, SIGKILL);
			break;
		}
	}
}

static void log_worker_end(const struct master *m, pid_t pid, int status, unsigned number,
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

static void forget_trial(struct master *m)
{
	close_open(m->trial.file);
	m->trial.file = -1;
}

static void refuse_reload(struct master *m, const char *why)
{
	log_error("master.reload_refused", "program=%s why=\"%s\"", m->self->program, why);
	metrics_count(table_metrics(m->table), METRICS_RELOADS_REFUSED);
	forget_trial(m);
}

static void describe(const struct master *m, struct takeover *t)
{
	const struct pool_config *c = m->config;

	*t = (struct takeover){
		.node = m->self->node->id,
		.workers = c->workers,
		.max_active_users = c->max_active_users,
		.nsockets = c->nsockets,
		.node_fd = m->self->node->fd,
		.table_fd = table_fd(m->table),
		.ready = { m->ready[0], m->ready[1] },
		.batons = m->batons,
	};
	handover_give(m->handovers, t->handovers);
	for (unsigned number = 0; number < 2 * c->workers; number++) {
		pool_give(m->pool, number, &t->worker[number]);
		t->answered[number] = m->answered[number];
	}
	for (unsigned i = 0; i < c->nsockets; i++)
		t->listener[i] = m->listeners[i];
	(void)snprintf(t->data, sizeof t->data, "%s", m->worker->sync->data);
	(void)snprintf(t->socket, sizeof t->socket, "%s", c->socket);
}

static void begin_trial(struct master *m)
{
	struct trial *trial = &m->trial;

	m->reload_wanted = false;
	describe(m, &m->takeover);
	trial->file = takeover_new_file();
	if (trial->file < 0 || takeover_write(trial->file, &m->takeover) < 0) {
		refuse_reload(m, "no memory file for what it has to know");
		return;
	}
	pid_t pid = takeover_try(m->self->program, trial->file);
	if (pid < 0) {
		refuse_reload(m, "it cannot be tried");
		return;
	}
	trial->pid = pid;
	trial->until_ms = clock_mono_ms() + TRIAL_MS;
}

static void end_trial(struct master *m, int status)
{
	m->trial.pid = 0;
	/* Told so again, the program may have changed since the trial of it began. */
	if (m->reload_wanted || m->stopping)
		forget_trial(m);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		m->trial.passed = true;
	else if (WIFSIGNALED(status))
		refuse_reload(m, "its trial was killed");
	else
		refuse_reload(m, "its trial failed");
}

static void kill_late_trial(struct master *m)
{
	if (m->trial.pid == 0 || clock_mono_ms() < m->trial.until_ms)
		return;
	log_warn("trial.kill", "pid=%d", (int)m->trial.pid);
	kill(m->trial.pid, SIGKILL);
	m->trial.until_ms = INT64_MAX;
}

static void move_reload(struct master *m)
{
	kill_late_trial(m);
	if (m->trial.passed) {
		m->trial.passed = false;
		describe(m, &m->takeover);
		takeover_exec(m->self->program, m->trial.file, &m->takeover);
		refuse_reload(m, "it cannot be executed");
	}
	if (m->reload_wanted && m->trial.pid == 0 && !m->emptying && !m->stopping)
		begin_trial(m);
}

static void reap(struct master *m)
{
	unsigned number = 0;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->trial.pid) {
			end_trial(m, status);
			continue;
		}
		bool served = has_served(m, pid);
		enum pool_end end = pool_ended(m->pool, pid, served, clock_mono_ms(), &number);
		if (end == POOL_END_UNKNOWN)
			continue;
		log_worker_end(m, pid, status, number, end);
		if (end != POOL_END_ASKED)
			metrics_count(table_metrics(m->table), METRICS_DEATHS);
		table_worker_died(m->table, number);
		/* Workers of another number took theirs along. */
		if (!m->emptying)
			handover_discard(m->handovers, number);
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
	log_info("master.reload", "program=%s", m->self->program);
	/* systemd ignores a time before the one at which it sent the signal. */
	(void)snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
		       clock_mono_us());
	notify_send(state);
	m->told_ready = false;
	m->reload_wanted = true;
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

/* What they can do is decided at their start. */
static void hear_of_files(struct master *m)
{
	if (!cage_files_replaced(m->watch) || m->stopping || m->emptying)
		return;
	log_info("master.files_replaced",
		 "why=\"workers can read the new ones only from their start\"");
	pool_reload(m->pool);
}

static bool is_reloading(const struct master *m)
{
	return m->reload_wanted || m->trial.pid != 0 || m->trial.passed || m->emptying ||
	       pool_reloading(m->pool);
}

static void tell_ready(struct master *m)
{
	if (m->told_ready || m->stopping || is_reloading(m) || !pool_complete(m->pool))
		return;
	m->told_ready = true;
	log_info("master.ready", "workers=%u sockets=%u", m->config->workers, m->config->nsockets);
	notify_send("READY=1");
}

/* The last worker of the program before is gone: now those of this one may start. */
static void begin_anew(struct master *m)
{
	m->emptying = false;
	pool_free(m->pool);
	m->pool = pool_new(m->config->workers, m->config->shutdown_ms);
}

/* wait_ms -1: only for an event. */
static int64_t until_trial_is_late(const struct master *m, int64_t wait_ms)
{
	if (m->trial.pid == 0)
		return wait_ms;
	int64_t left_ms = m->trial.until_ms - clock_mono_ms();
	if (left_ms < 0)
		left_ms = 0;
	return wait_ms < 0 || left_ms < wait_ms ? left_ms : wait_ms;
}

static int wait_for_event(const struct master *m, int64_t wait_ms)
{
	struct pollfd fds[] = {
		{ .fd = m->signals, .events = POLLIN },
		{ .fd = m->ready[0], .events = POLLIN },
		{ .fd = m->watch, .events = POLLIN },
	};

	if (poll(fds, sizeof fds / sizeof fds[0], wait_ms > INT_MAX ? INT_MAX : (int)wait_ms) < 0 &&
	    errno != EINTR)
		return failed("poll");
	return 0;
}

static int supervise(struct master *m)
{
	for (;;) {
		int64_t wait_ms = until_trial_is_late(m, take_steps(m));
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
		hear_of_files(m);
		reap(m);
		if (m->emptying && !m->stopping && pool_alive(m->pool) == 0)
			begin_anew(m);
		move_reload(m);
	}
}

int master_run(const struct pool_config *c, const struct worker_config *worker,
	       const struct master_self *self)
{
	struct master m = {
		.config = c,
		.worker = worker,
		.self = self,
		.signals = -1,
		.watch = -1,
		.ready = { -1, -1 },
		.trial = { .file = -1 },
	};

	log_init(worker->log, "master");
	int result = set_up(&m);
	if (result == 0)
		result = supervise(&m);
	tear_down(&m);
	return result;
}
