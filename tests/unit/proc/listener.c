#include "proc/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[32];
static char path[64];

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "/tmp/listener.XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/run/app.0.sock", dir);
	return listener_make_dir(path);
}

static int tear_down(void **state)
{
	char run[64];

	(void)state;
	unlink(path);
	(void)snprintf(run, sizeof run, "%s/run", dir);
	rmdir(run);
	return rmdir(dir);
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	return st.st_mode & 07777;
}

static int connect_to(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", name);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

static void number_takes_the_place_of_the_pattern(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(listener_path("/a.%d.s", 12, out, sizeof out), 0);
	assert_string_equal(out, "/a.12.s");
	assert_int_equal(listener_path("/a.s", 12, out, sizeof out), 0);
	assert_string_equal(out, "/a.s");
	assert_int_equal(listener_path("/a.longer.name.%d", 12, out, sizeof out), -1);
}

static void socket_is_for_owner_and_group_only_and_never_blocks(void **state)
{
	char run[64];

	(void)state;
	mode_t before = umask(0077);
	int fd = listener_open(path);
	assert_true(fd >= 0);
	assert_int_equal(umask(before), 0077);
	assert_int_equal(mode_of(path), 0660);
	(void)snprintf(run, sizeof run, "%s/run", dir);
	assert_int_equal(mode_of(run), 0750);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	listener_close(fd, path);
	assert_int_equal(access(path, F_OK), -1);
}

static void socket_left_by_a_program_that_is_gone_is_replaced(void **state)
{
	(void)state;
	int dead = listener_open(path);
	assert_true(dead >= 0);
	close(dead);
	assert_int_equal(connect_to(path), -1);
	int fd = listener_open(path);
	assert_true(fd >= 0);
	int client = connect_to(path);
	assert_true(client >= 0);
	close(client);
	listener_close(fd, path);
}

static void socket_that_somebody_listens_on_is_left_alone(void **state)
{
	(void)state;
	int other = listener_open(path);
	assert_true(other >= 0);
	assert_int_equal(listener_open(path), -1);
	int client = connect_to(path);
	assert_true(client >= 0);
	close(client);
	listener_close(other, path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(number_takes_the_place_of_the_pattern),
		TEST(socket_is_for_owner_and_group_only_and_never_blocks),
		TEST(socket_left_by_a_program_that_is_gone_is_replaced),
		TEST(socket_that_somebody_listens_on_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
