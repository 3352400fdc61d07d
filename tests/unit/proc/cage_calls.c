/* Filters are for ever: each case is a child of its own. */
#include "proc/cage_calls.h"

#include "fixture.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>

struct attempt {
	const char *what;
	int (*limit)(void);
	int (*run)(void); /* 0: as it must be */
};

static int run_attempt(const struct attempt *a)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_GET_SECCOMP) != 0 || a->limit() < 0 || !cage_calls_are_limited())
		return 100;
	return a->run();
}

static int wait_status_of(const struct attempt *a)
{
	int status = 0;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0)
		_exit(run_attempt(a));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int executes(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static int executes_by_descriptor(void)
{
	char *argv[] = { NULL };

	return (int)syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, argv, 0);
}

static int traces(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int reads_its_parent(void)
{
	return (int)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static int mounts(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL);
}

static int makes_a_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static int loads_bpf(void)
{
	return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int asks_for_keys(void)
{
	return (int)syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static int becomes_somebody(void)
{
	return setuid(getuid());
}

static int loads_a_module(void)
{
	return (int)syscall(SYS_finit_module, -1, "", 0);
}

static void what_only_an_intruder_calls_ends_the_process(void **state)
{
	static const struct attempt attempts[] = {
		{ "execve", cage_calls_limit_worker, executes },
		{ "execveat", cage_calls_limit_worker, executes_by_descriptor },
		{ "ptrace", cage_calls_limit_worker, traces },
		{ "process_vm_readv", cage_calls_limit_worker, reads_its_parent },
		{ "mount", cage_calls_limit_worker, mounts },
		{ "unshare", cage_calls_limit_worker, makes_a_namespace },
		{ "bpf", cage_calls_limit_worker, loads_bpf },
		{ "keyctl", cage_calls_limit_worker, asks_for_keys },
		{ "setuid", cage_calls_limit_worker, becomes_somebody },
		{ "finit_module", cage_calls_limit_worker, loads_a_module },
#ifndef SANITIZED
		{ "ptrace, master", cage_calls_limit_master, traces },
#endif
		{ "mount, master", cage_calls_limit_master, mounts },
		{ "unshare, master", cage_calls_limit_master, makes_a_namespace },
		{ "bpf, master", cage_calls_limit_master, loads_bpf },
	};

	(void)state;
	for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
		int status = wait_status_of(&attempts[i]);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: got wait status 0x%x, want death by SIGSYS", attempts[i].what,
				 (unsigned)status);
	}
}

/* What does not exist for us. */
static bool is_unknown(long result)
{
	return result == -1 && errno == ENOSYS;
}

static int opens_other_sockets(void)
{
	return is_unknown(socket(AF_PACKET, SOCK_RAW, 0)) &&
			       is_unknown(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)) &&
			       is_unknown(socket(AF_VSOCK, SOCK_STREAM, 0)) &&
			       is_unknown(socket(AF_ALG, SOCK_SEQPACKET, 0)) &&
			       is_unknown(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT))
		       ? 0
		       : 1;
}

static int opens_our_sockets(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 &&
			       socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP) >= 0 &&
			       socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) >= 0
		       ? 0
		       : 1;
}

static int forks(void)
{
	return is_unknown(fork()) ? 0 : 1;
}

static int listens(void)
{
	return is_unknown(listen(socket(AF_INET, SOCK_STREAM, 0), 1)) ? 0 : 1;
}

static int makes_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED || !is_unknown(mprotect(page, 4096, PROT_READ | PROT_EXEC)))
		return 1;
	page = mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED && errno == ENOSYS ? 0 : 2;
}

static int signals_others(void)
{
	return is_unknown(kill(getppid(), 0)) && is_unknown(kill(-1, 0)) && kill(getpid(), 0) == 0
		       ? 0
		       : 1;
}

static int calls_what_no_kernel_has(void)
{
	return is_unknown(syscall(100000)) ? 0 : 1;
}

static int resolves(void)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;

	if (getaddrinfo("localhost", "443", &hints, &found) != 0 || found == NULL)
		return 1;
	freeaddrinfo(found);
	return getaddrinfo("holdfast.invalid", "443", &hints, &found) != 0 ? 0 : 2;
}

static void *set_flag(void *flag)
{
	*(bool *)flag = true;
	return NULL;
}

static int has_threads(void)
{
	bool flag = false;
	pthread_t thread;

	if (pthread_create(&thread, NULL, set_flag, &flag) != 0 || pthread_join(thread, NULL) != 0)
		return 1;
	return flag ? 0 : 2;
}

static int executes_true(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(executes());
	return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
}

static void the_rest_is_there_or_does_not_exist(void **state)
{
	static const struct attempt attempts[] = {
		{ "other sockets", cage_calls_limit_worker, opens_other_sockets },
		{ "our sockets", cage_calls_limit_worker, opens_our_sockets },
		{ "fork", cage_calls_limit_worker, forks },
		{ "listen", cage_calls_limit_worker, listens },
		{ "new code", cage_calls_limit_worker, makes_code },
#ifndef FAULTS
		{ "signals", cage_calls_limit_worker, signals_others },
#endif
		{ "unknown calls", cage_calls_limit_worker, calls_what_no_kernel_has },
		{ "names of hosts", cage_calls_limit_worker, resolves },
		{ "threads", cage_calls_limit_worker, has_threads },
		{ "execve, master", cage_calls_limit_master, executes_true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
		int status = wait_status_of(&attempts[i]);
		if (status != 0)
			fail_msg("%s: got wait status 0x%x, want 0", attempts[i].what,
				 (unsigned)status);
	}
}

static void this_kernel_can(void **state)
{
	(void)state;
	assert_true(cage_calls_can());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_only_an_intruder_calls_ends_the_process),
		cmocka_unit_test(the_rest_is_there_or_does_not_exist),
		cmocka_unit_test(this_kernel_can),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
