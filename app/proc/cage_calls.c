/*
 * Names and not numbers, so that a call which this machine or this libseccomp
 * does not know is passed over: nobody can be allowed to make it, and nobody
 * can make it by another name.
 *
 * The allow-list is what the scenarios were seen to use, with the forms of the
 * same call that other versions of libc and other machines prefer.
 */
#include "proc/cage_calls.h"

#include "base/log.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* To know a call by a tree and not by comparing with all of them. */
enum { BINARY_TREE = 2, TYPE_OF_SOCKET = 0xf };

static const char *const hostile[] = {
/* other processes */
#ifndef SANITIZED
	"ptrace",
#endif
	"process_vm_readv",
	"process_vm_writev",
	"pidfd_getfd",
	"kcmp",
	/* the tree of files */
	"mount",
	"umount",
	"umount2",
	"pivot_root",
	"chroot",
	"move_mount",
	"open_tree",
	"fsopen",
	"fsconfig",
	"fsmount",
	"fspick",
	"mount_setattr",
	"open_by_handle_at",
	"swapon",
	"swapoff",
	"quotactl",
	"quotactl_fd",
	"acct",
	/* other namespaces */
	"unshare",
	"setns",
	/* the kernel */
	"bpf",
	"kexec_load",
	"kexec_file_load",
	"init_module",
	"finit_module",
	"delete_module",
	"create_module",
	"perf_event_open",
	"userfaultfd",
	"reboot",
	"syslog",
	"iopl",
	"ioperm",
	"modify_ldt",
	"vm86",
	"lookup_dcookie",
	"_sysctl",
	"vhangup",
	/* keys, names, clocks */
	"keyctl",
	"add_key",
	"request_key",
	"sethostname",
	"setdomainname",
	"settimeofday",
	"clock_settime",
	"clock_settime64",
	"stime",
	"adjtimex",
	"clock_adjtime",
	"clock_adjtime64",
	/* rights */
	"capset",
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setgroups",
	"setfsuid",
	"setfsgid",
	"setuid32",
	"setgid32",
	"setreuid32",
	"setregid32",
	"setresuid32",
	"setresgid32",
	"setgroups32",
	"setfsuid32",
	"setfsgid32",
};

/*
 * The master executes the program that takes over from it; a worker nothing.  The
 * sanitizers' search for leaks stops and reads its own process at the end; a worker
 * ends without it.
 */
static const char *const hostile_in_worker[] = {
	"execve",
	"execveat",
#ifdef SANITIZED
	"ptrace",
#endif
};

static const char *const allowed[] = {
	/* memory; mmap and mprotect have rules of their own */
	"brk",
	"madvise",
	"mremap",
	"msync",
	"munmap",
	/* files */
	"access",
	"close",
	"close_range",
	"dup",
	"dup2",
	"dup3",
	"faccessat",
	"faccessat2",
	"fadvise64",
	"fallocate",
	"fchmod",
	"fchmodat",
	"fchown",
	"fchown32",
	"fcntl",
	"fcntl64",
	"fdatasync",
	"flock",
	"fstat",
	"fstat64",
	"fstatat64",
	"fstatfs",
	"fstatfs64",
	"fsync",
	"ftruncate",
	"ftruncate64",
	"getcwd",
	"getdents",
	"getdents64",
	"link",
	"linkat",
	"lseek",
	"_llseek",
	"lstat",
	"lstat64",
	"memfd_create",
	"mkdir",
	"mkdirat",
	"newfstatat",
	"open",
	"openat",
	"pread64",
	"preadv",
	"pwrite64",
	"pwritev",
	"read",
	"readlink",
	"readlinkat",
	"readv",
	"rename",
	"renameat",
	"renameat2",
	"rmdir",
	"stat",
	"stat64",
	"statfs",
	"statfs64",
	"statx",
	"sync_file_range",
	"umask",
	"unlink",
	"unlinkat",
	"utimensat",
	"write",
	"writev",
	/* sockets; socket and socketpair have rules of their own */
	"accept",
	"accept4",
	"bind",
	"connect",
	"getpeername",
	"getsockname",
	"getsockopt",
	"recvfrom",
	"recvmmsg",
	"recvmsg",
	"recv",
	"send",
	"sendmmsg",
	"sendmsg",
	"sendto",
	"setsockopt",
	"shutdown",
	/* waiting */
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_pwait",
	"epoll_pwait2",
	"epoll_wait",
	"eventfd2",
	"futex",
	"futex_time64",
	"futex_wait",
	"futex_wake",
	"futex_waitv",
	"nanosleep",
	"pause",
	"pipe",
	"pipe2",
	"poll",
	"ppoll",
	"ppoll_time64",
	"pselect6",
	"restart_syscall",
	"select",
	"timer_create",
	"timer_delete",
	"timer_settime",
	"timer_settime64",
	"timerfd_create",
	"timerfd_settime",
	/* signals */
	"rt_sigaction",
	"rt_sigpending",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigsuspend",
	"rt_sigtimedwait",
	"rt_sigtimedwait_time64",
	"sigaltstack",
	"sigreturn",
	/* threads, and what a process may know of itself */
	"arch_prctl",
	"clock_getres",
	"clock_gettime",
	"clock_gettime64",
	"exit",
	"exit_group",
	"get_robust_list",
	"getcpu",
	"getegid",
	"geteuid",
	"getgid",
	"getpid",
	"getppid",
	"getpriority",
	"getrandom",
	"getresgid",
	"getresuid",
	"getrlimit",
	"getrusage",
	"gettid",
	"gettimeofday",
	"getuid",
	"membarrier",
	"prlimit64",
	"rseq",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"sched_getaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"sched_setscheduler",
	"sched_yield",
	"set_robust_list",
	"set_tid_address",
	"setpriority",
	"sysinfo",
	"time",
	"times",
	"ugetrlimit",
	"uname",
#ifdef FAULTS
	/* A fault may be that everything is killed, see base/fault.c. */
	"kill",
#endif
};

static int failed(const char *what, const char *call, int error)
{
	log_error("cage.failed", "what=%s call=%s error=\"%s\"", what, call, strerror(error));
	return -1;
}

static int add(scmp_filter_ctx filter, uint32_t action, const char *call, unsigned count,
	       const struct scmp_arg_cmp *arguments)
{
	int number = seccomp_syscall_resolve_name(call);

	if (number == __NR_SCMP_ERROR)
		return 0;
	int rc = seccomp_rule_add_array(filter, action, number, count, arguments);
	return rc < 0 ? failed("rule", call, -rc) : 0;
}

static int add_all(scmp_filter_ctx filter, uint32_t action, const char *const calls[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (add(filter, action, calls[i], 0, NULL) < 0)
			return -1;
	}
	return 0;
}

#define ADD_ALL(filter, action, calls)                                                             \
	add_all(filter, action, calls, sizeof(calls) / sizeof((calls)[0]))

/* Allowed if so many bits of one argument are these. */
struct masked_rule {
	const char *call;
	unsigned argument;
	uint64_t mask, value;
};

static int add_masked(scmp_filter_ctx filter, const struct masked_rule *r)
{
	const struct scmp_arg_cmp bits = {
		.arg = r->argument,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = r->mask,
		.datum_b = r->value,
	};

	return add(filter, SCMP_ACT_ALLOW, r->call, 1, &bits);
}

/*
 * Memory is either written or executed: libraries are still loaded (names of
 * hosts, character sets), but no code is made.  clone makes threads and nothing
 * else; clone3, whose flags a filter cannot see, is among the unknown, and libc falls back.
 */
static int allow_masked(scmp_filter_ctx filter)
{
	static const uint64_t write_exec = PROT_WRITE | PROT_EXEC;
	static const uint64_t all = UINT64_MAX;
	static const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
					   CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
					   CLONE_NEWNET;
	const uint64_t self = (uint64_t)getpid();
	const struct masked_rule rules[] = {
		{ "mmap", 2, write_exec, 0 },
		{ "mmap", 2, write_exec, PROT_WRITE },
		{ "mmap", 2, write_exec, PROT_EXEC },
		{ "mmap2", 2, write_exec, 0 },
		{ "mmap2", 2, write_exec, PROT_WRITE },
		{ "mmap2", 2, write_exec, PROT_EXEC },
		{ "mprotect", 2, PROT_EXEC, 0 },
		{ "clone", 0, CLONE_THREAD | namespaces, CLONE_THREAD },
		{ "tgkill", 0, all, self },
		{ "kill", 0, all, self },
		{ "sched_setaffinity", 0, all, 0 },
		{ "prctl", 0, all, PR_SET_NAME },
		{ "prctl", 0, all, PR_GET_NAME },
		{ "prctl", 0, all, PR_GET_DUMPABLE },
		{ "prctl", 0, all, PR_GET_SECCOMP },
		{ "ioctl", 1, all, SIOCOUTQ },
		{ "ioctl", 1, all, FIONREAD },
		{ "ioctl", 1, all, FIONBIO },
		{ "ioctl", 1, all, TCGETS },
		{ "socketpair", 0, all, AF_UNIX },
		{ "socket", 0, all, AF_UNIX },
	};

	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		if (add_masked(filter, &rules[i]) < 0)
			return -1;
	}
	return 0;
}

/* TCP and UDP; netlink is how getaddrinfo() learns which addresses this host has. */
static int allow_sockets(scmp_filter_ctx filter)
{
	static const struct {
		unsigned family, type;
	} sockets[] = {
		{ AF_INET, SOCK_STREAM },
		{ AF_INET, SOCK_DGRAM },
		{ AF_INET6, SOCK_STREAM },
		{ AF_INET6, SOCK_DGRAM },
	};
	const struct scmp_arg_cmp netlink[] = {
		{ .arg = 0, .op = SCMP_CMP_EQ, .datum_a = AF_NETLINK },
		{ .arg = 2, .op = SCMP_CMP_EQ, .datum_a = NETLINK_ROUTE },
	};

	for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++) {
		const struct scmp_arg_cmp kind[] = {
			{ .arg = 0, .op = SCMP_CMP_EQ, .datum_a = sockets[i].family },
			{ .arg = 1,
			  .op = SCMP_CMP_MASKED_EQ,
			  .datum_a = TYPE_OF_SOCKET,
			  .datum_b = sockets[i].type },
		};
		if (add(filter, SCMP_ACT_ALLOW, "socket", 2, kind) < 0)
			return -1;
	}
	return add(filter, SCMP_ACT_ALLOW, "socket", 2, netlink);
}

/* -1: already logged. */
static int load(scmp_filter_ctx filter)
{
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE);
	if (rc == 0)
		rc = seccomp_load(filter);
	return rc < 0 ? failed("load", "seccomp", -rc) : 0;
}

int cage_calls_limit_master(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int result = -1;

	if (filter == NULL)
		return failed("init", "seccomp", ENOMEM);
	if (ADD_ALL(filter, SCMP_ACT_KILL_PROCESS, hostile) == 0)
		result = load(filter);
	seccomp_release(filter);
	return result;
}

int cage_calls_limit_worker(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int result = -1;

	if (filter == NULL)
		return failed("init", "seccomp", ENOMEM);
	if (ADD_ALL(filter, SCMP_ACT_KILL_PROCESS, hostile) == 0 &&
	    ADD_ALL(filter, SCMP_ACT_KILL_PROCESS, hostile_in_worker) == 0 &&
	    ADD_ALL(filter, SCMP_ACT_ALLOW, allowed) == 0 && allow_masked(filter) == 0 &&
	    allow_sockets(filter) == 0)
		result = load(filter);
	seccomp_release(filter);
	return result;
}

bool cage_calls_are_limited(void)
{
	return prctl(PR_GET_SECCOMP) == SECCOMP_MODE_FILTER;
}

bool cage_calls_can(void)
{
	const uint32_t kill = SECCOMP_RET_KILL_PROCESS;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill) == 0;
}
