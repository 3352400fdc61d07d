#include "proc/notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

/* A service manager's end, which is never waited for: a datagram is there or was not sent. */
static int listen_at(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(a.sun_path, name, len);
	if (name[0] == '@')
		a.sun_path[0] = '\0';
	else
		len++;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, size), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}

static void expect_datagram(int fd, const char *want)
{
	char got[256] = "";

	assert_int_equal(recv(fd, got, sizeof got - 1, 0), (ssize_t)strlen(want));
	assert_string_equal(got, want);
}

static void state_reaches_a_socket_with_a_path(void **state)
{
	char dir[] = "/tmp/notify.XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/socket", dir);
	int fd = listen_at(path);
	notify_send("READY=1");
	expect_datagram(fd, "READY=1");
	close(fd);
	unlink(path);
	rmdir(dir);
}

static void state_reaches_an_abstract_socket(void **state)
{
	char name[64];

	(void)state;
	(void)snprintf(name, sizeof name, "@holdfast-test-%d", (int)getpid());
	int fd = listen_at(name);
	notify_send("RELOADING=1\nMONOTONIC_USEC=5");
	expect_datagram(fd, "RELOADING=1\nMONOTONIC_USEC=5");
	close(fd);
}

static void nobody_listening_has_no_consequence(void **state)
{
	static const char *const names[] = { "/nonexistent/socket", "relative", "@", "" };
	char too_long[200];

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		notify_send("READY=1");
	}
	memset(too_long, 'x', sizeof too_long - 1);
	too_long[0] = '/';
	too_long[sizeof too_long - 1] = '\0';
	setenv("NOTIFY_SOCKET", too_long, 1);
	notify_send("READY=1");
	unsetenv("NOTIFY_SOCKET");
	notify_send("READY=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_reaches_a_socket_with_a_path),
		cmocka_unit_test(state_reaches_an_abstract_socket),
		cmocka_unit_test(nobody_listening_has_no_consequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
