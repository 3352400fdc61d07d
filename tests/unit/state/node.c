#include "state/node.h"

#include "base/file.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[32];
static char path[64];

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/node.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/node", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

/* In a process of its own, because a process does not exclude itself. */
static int claim_elsewhere(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct node n = NODE_INIT;
		_exit(node_claim(dir, 0, &n) == 0 ? 0 : 7);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void first_claim_makes_an_id_that_stays(void **state)
{
	struct node n = NODE_INIT;
	struct stat st;
	uint64_t id = 0;

	(void)state;
	assert_int_equal(node_read(dir, &id), NODE_ABSENT);
	assert_int_equal(node_claim(dir, 0, &n), 0);
	uint64_t first = n.id;
	assert_true(first != 0);
	node_release(&n);
	assert_int_equal(node_claim(dir, 0, &n), 0);
	assert_true(n.id == first);
	node_release(&n);
	assert_int_equal(node_read(dir, &id), NODE_OK);
	assert_true(id == first);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void id_that_is_made_is_the_one_that_a_start_claims(void **state)
{
	struct node n = NODE_INIT;
	uint64_t made = 0, again = 0;

	(void)state;
	assert_int_equal(node_make(dir, &made), 0);
	assert_true(made != 0);
	assert_int_equal(node_make(dir, &again), 0);
	assert_true(again == made);
	assert_int_equal(claim_elsewhere(), 0);
	assert_int_equal(node_claim(dir, 0, &n), 0);
	assert_true(n.id == made);
	node_release(&n);
	assert_int_equal(node_make("/tmp/node.XXXXXX/absent", &made), -1);
}

static void second_master_is_refused_while_the_first_lives(void **state)
{
	struct node n = NODE_INIT;

	(void)state;
	assert_int_equal(node_claim(dir, 0, &n), 0);
	assert_int_equal(claim_elsewhere(), 7);
	node_release(&n);
	assert_int_equal(claim_elsewhere(), 0);
}

/* A master whose worker lives until our end of the pipe is closed. */
static pid_t start_master_with_worker(int go[2])
{
	int ready[2];
	char byte;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct node n = NODE_INIT;
		if (node_claim(dir, 0, &n) < 0)
			_exit(7);
		if (fork() == 0) {
			close(go[1]);
			if (write(ready[1], "r", 1) == 1 && read(go[0], &byte, 1) == 0)
				_exit(0);
			_exit(7);
		}
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void new_master_waits_for_the_workers_of_one_that_was_killed(void **state)
{
	int go[2];

	(void)state;
	assert_int_equal(pipe(go), 0);
	pid_t master = start_master_with_worker(go);
	kill(master, SIGKILL);
	assert_int_equal(waitpid(master, NULL, 0), master);
	assert_int_equal(claim_elsewhere(), 7);

	/* The worker goes as soon as the end of the pipe that this process has is closed. */
	struct node n = NODE_INIT;
	close(go[1]);
	close(go[0]);
	assert_int_equal(node_claim(dir, 20000, &n), 0);
	node_release(&n);
}

static void file_that_is_no_id_is_refused_and_left_alone(void **state)
{
	static const char *const bad[] = { "", "0123456789abcdef", "0123456789abcdeF\n",
					   "0000000000000000\n", "0123456789abcdef\n\n" };
	struct node n = NODE_INIT;
	struct buf text = BUF_INIT;
	uint64_t id;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(file_replace(path, bad[i], strlen(bad[i]), 0600), 0);
		assert_int_equal(node_claim(dir, 0, &n), -1);
		assert_int_equal(node_read(dir, &id), NODE_FAILED);
		assert_int_equal(file_read(path, 100, &text), FILE_OK);
		assert_string_equal(text.data, bad[i]);
	}
	buf_release(&text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_claim_makes_an_id_that_stays),
		TEST(id_that_is_made_is_the_one_that_a_start_claims),
		TEST(second_master_is_refused_while_the_first_lives),
		TEST(new_master_waits_for_the_workers_of_one_that_was_killed),
		TEST(file_that_is_no_id_is_refused_and_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
