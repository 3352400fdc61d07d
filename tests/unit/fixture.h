/*
 * What tests of several folders need: a folder of their own, children that
 * are killed at a known place, and stderr out of the way.
 *
 * A child never asserts: a failed assertion would go on with the next test in
 * the child.  It returns 0, or where it went wrong, and the parent asserts.
 */
#ifndef UNIT_FIXTURE_H
#define UNIT_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { FOLDER_PATH_MAX = 64, FOLDER_FILE_MAX = 256 };

struct folder {
	char path[FOLDER_PATH_MAX];
};

static inline void folder_init(struct folder *f)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)snprintf(f->path, sizeof f->path, "%s/holdfast-unit-XXXXXX", base);
	assert_non_null(mkdtemp(f->path));
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void remove_tree(const char *path)
{
	assert_int_equal(nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void folder_release(struct folder *f)
{
	remove_tree(f->path);
}

/* The path of `name` in the folder. */
static inline void folder_file(const struct folder *f, const char *name, char out[FOLDER_FILE_MAX])
{
	assert_true(snprintf(out, FOLDER_FILE_MAX, "%s/%s", f->path, name) < FOLDER_FILE_MAX);
}

/* For tests that need nothing but a folder. */
static inline int set_up_folder(void **state)
{
	static struct folder f;

	folder_init(&f);
	*state = &f;
	return 0;
}

static inline int tear_down_folder(void **state)
{
	folder_release(*state);
	return 0;
}

#define test_in_folder(test) cmocka_unit_test_setup_teardown(test, set_up_folder, tear_down_folder)

/* Runs `run` in a child that does not outlive the test. */
static inline pid_t start_child(int (*run)(void *), void *owner)
{
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(run(owner));
}

static inline void expect_child_succeeds(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("child: got wait status 0x%x, want 0", (unsigned)status);
}

/*
 * Returns when a child has come to the end of `reach` and stays there, with
 * all that it holds, until kill_child().
 */
static inline pid_t start_child_that_stays(int (*reach)(void *), void *owner)
{
	int ready[2];
	char byte = 0;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		if (reach(owner) != 0 || write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static inline void kill_child(pid_t pid)
{
	int status = 0;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

/* Several children that begin at the same moment. */
struct children {
	pid_t pids[16];
	unsigned count;
	int gate[2];
};

static inline void children_init(struct children *c)
{
	c->count = 0;
	assert_int_equal(pipe2(c->gate, O_CLOEXEC), 0);
}

static inline void children_add(struct children *c, int (*run)(void *), void *owner)
{
	char byte;

	assert_true(c->count < sizeof c->pids / sizeof c->pids[0]);
	pid_t pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid > 0) {
		c->pids[c->count++] = pid;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(c->gate[1]);
	_exit(read(c->gate[0], &byte, 1) == 0 ? run(owner) : 255);
}

static inline void children_go(struct children *c)
{
	close(c->gate[0]);
	close(c->gate[1]);
}

static inline void children_succeed(struct children *c)
{
	for (unsigned i = 0; i < c->count; i++)
		expect_child_succeeds(c->pids[i]);
}

/* Sends stderr elsewhere; returns what restore_stderr() takes. */
static inline int redirect_stderr(int to)
{
	int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	assert_int_not_equal(before, -1);
	assert_int_equal(dup2(to, STDERR_FILENO), STDERR_FILENO);
	return before;
}

/* For a test that makes thousands of lines on purpose; assert nothing meanwhile. */
static inline int silence_stderr(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_int_not_equal(null, -1);
	int before = redirect_stderr(null);
	close(null);
	return before;
}

static inline void restore_stderr(int before)
{
	assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
	close(before);
}

#endif
