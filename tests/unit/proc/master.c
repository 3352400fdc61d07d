/*
 * A real master with one real worker, as its service manager hears of it.  The
 * program that it tries at a reload is a script, so none takes over here.
 */
#include "proc/master.h"

#include "base/clock.h"
#include "fixture.h"

#include <inttypes.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { PATIENCE_MS = 20000 };

struct world {
	struct folder folder;
	char data[FOLDER_FILE_MAX], socket[FOLDER_FILE_MAX], table[FOLDER_FILE_MAX];
	char program[FOLDER_FILE_MAX], tried[FOLDER_FILE_MAX], log[FOLDER_FILE_MAX];
	char store[FOLDER_FILE_MAX + 8];
	int manager; /* our end of NOTIFY_SOCKET */
	pid_t master;
};

static int run_master(void *owner)
{
	struct world *w = owner;
	const struct pool_config pool = {
		.socket = w->socket,
		.nsockets = 1,
		.workers = 1,
		.table = w->table,
		.max_active_users = 64,
		.shutdown_ms = PATIENCE_MS,
	};
	const struct server_config server = {
		.data = w->data,
		.auth = AUTH_REMOTE_USER,
		.max_open = 1,
		.max_parked = 1,
		.max_requests = 1,
		.max_greedy = 1,
	};
	const struct sync_config sync = {
		.data = w->data,
		.store = { .url = w->store, .limits = { .max_transfers = 1 } },
		.max_open = 1,
	};
	const struct worker_config worker = { LOG_LEVEL_INFO, PATIENCE_MS, &server, &sync };
	struct node node = NODE_INIT;
	int log = open(w->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (log < 0 || dup2(log, STDERR_FILENO) < 0 || node_claim(w->data, 0, &node) < 0)
		return 1;
	const struct master_self self = { w->program, &node, NULL };
	return master_run(&pool, &worker, &self) == 0 ? 0 : 2;
}

static void expect_told(const struct world *w, const char *want)
{
	char got[256] = "";
	struct pollfd p = { .fd = w->manager, .events = POLLIN };

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_true(recv(w->manager, got, sizeof got - 1, 0) > 0);
	assert_string_equal(got, want);
}

static int set_up(void **state)
{
	static struct world w;
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	w = (struct world){ .manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) };
	folder_init(&w.folder);
	folder_file(&w.folder, "data", w.data);
	folder_file(&w.folder, "socket", w.socket);
	folder_file(&w.folder, "table", w.table);
	folder_file(&w.folder, "program", w.program);
	folder_file(&w.folder, "tried", w.tried);
	folder_file(&w.folder, "log", w.log);
	(void)snprintf(w.store, sizeof w.store, "file:%s", w.data);
	assert_int_equal(mkdir(w.data, 0700), 0);
	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s/manager", w.folder.path);
	assert_int_equal(bind(w.manager, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", a.sun_path, 1), 0);
	w.master = start_child(run_master, &w);
	expect_told(&w, "READY=1");
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	/* Once more, if the test has failed before that. */
	kill(w->master, SIGTERM);
	expect_child_succeeds(w->master);
	close(w->manager);
	folder_release(&w->folder);
	return 0;
}

static void stop(const struct world *w)
{
	assert_int_equal(kill(w->master, SIGTERM), 0);
	expect_told(w, "STOPPING=1");
}

/* What is tried at a reload: says in a line of `tried` that it runs, and goes on with `text`. */
static void install_script(const struct world *w, const char *text)
{
	FILE *script = fopen(w->program, "we");

	assert_non_null(script);
	assert_true(fprintf(script, "#!/bin/sh\necho >>%s\n%s\n", w->tried, text) > 0);
	assert_int_equal(fchmod(fileno(script), 0700), 0);
	assert_int_equal(fclose(script), 0);
}

static void wait_until_tried(const struct world *w, off_t times)
{
	int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
	struct stat st = { 0 };

	while ((stat(w->tried, &st) < 0 || st.st_size < times) && clock_mono_ms() < until_ms)
		poll(NULL, 0, 2);
	assert_int_equal(st.st_size, times);
}

static int64_t hear_reloading(const struct world *w)
{
	static const char begin[] = "RELOADING=1\nMONOTONIC_USEC=";
	char got[256] = "";
	struct pollfd p = { .fd = w->manager, .events = POLLIN };

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	assert_true(recv(w->manager, got, sizeof got - 1, 0) > 0);
	assert_memory_equal(got, begin, sizeof begin - 1);
	return strtoll(got + sizeof begin - 1, NULL, 10);
}

static unsigned refusals(const struct world *w)
{
	char line[1024];
	unsigned n = 0;
	FILE *log = fopen(w->log, "re");

	assert_non_null(log);
	while (fgets(line, sizeof line, log) != NULL)
		n += strstr(line, " master.reload_refused ") != NULL;
	assert_int_equal(fclose(log), 0);
	return n;
}

static void refused_reload_is_told_with_a_time_and_is_over(void **state)
{
	const struct world *w = *state;

	/* Often enough to meet every part of a millisecond. */
	for (unsigned i = 1; i <= 10; i++) {
		int64_t before_us = clock_mono_us();
		assert_int_equal(kill(w->master, SIGHUP), 0);
		int64_t told_us = hear_reloading(w);
		assert_in_range(told_us, before_us, clock_mono_us());
		expect_told(w, "READY=1");
		assert_int_equal(refusals(w), i);
	}
	stop(w);
}

static void reload_during_a_trial_makes_another_trial_and_one_refusal(void **state)
{
	const struct world *w = *state;
	char wait[2 * FOLDER_FILE_MAX], go[FOLDER_FILE_MAX];

	folder_file(&w->folder, "go", go);
	(void)snprintf(wait, sizeof wait, "until [ -e %s ]; do sleep 0.01; done\nexit 1", go);
	install_script(w, wait);
	kill(w->master, SIGHUP);
	hear_reloading(w);
	wait_until_tried(w, 1);
	kill(w->master, SIGHUP);
	hear_reloading(w);
	assert_int_equal(mkdir(go, 0700), 0);
	expect_told(w, "READY=1");
	wait_until_tried(w, 2);
	assert_int_equal(refusals(w), 1);
	stop(w);
}

static void stopping_does_not_wait_for_a_trial(void **state)
{
	const struct world *w = *state;
	int64_t began_ms;

	install_script(w, "exec sleep 1000");
	kill(w->master, SIGHUP);
	hear_reloading(w);
	wait_until_tried(w, 1);
	began_ms = clock_mono_ms();
	stop(w);
	kill(w->master, SIGHUP);
	assert_int_equal(waitid(P_PID, (id_t)w->master, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_true(clock_mono_ms() - began_ms < 4000);
	assert_int_equal(refusals(w), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refused_reload_is_told_with_a_time_and_is_over),
		TEST(reload_during_a_trial_makes_another_trial_and_one_refusal),
		TEST(stopping_does_not_wait_for_a_trial),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
