/*
 * The file is
 *
 *	+-------------------+ 0
 *	| magic, size       |  takeover_magic: the version; size: of what follows
 *	+-------------------+ 16
 *	| struct takeover   |
 *	+-------------------+
 *
 * Descriptors keep their numbers.  They lose close-on-exec for the moment of
 * takeover_exec() only, so a trial never has them; the locks on them are the
 * process's or the open file's, and live on.
 */
#include "proc/takeover.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOT_EXECUTED = 127 };

static const uint64_t takeover_magic = 0x32656b6174706668u; /* "hfptake2" */

struct file_head {
	uint64_t magic;
	uint64_t size;
};

static int failed(const char *call, const char *program)
{
	log_error("takeover.failed", "call=%s program=%s error=\"%s\"", call, program,
		  strerror(errno));
	return -1;
}

static bool is_running_program(const char *path)
{
	struct stat named, running;

	return stat(path, &named) == 0 && stat("/proc/self/exe", &running) == 0 &&
	       named.st_dev == running.st_dev && named.st_ino == running.st_ino;
}

/* The name we were executed by, made absolute; -1: that was not a path to us. */
static int given_name(char *out, size_t size)
{
	const char *name = (const char *)(uintptr_t)getauxval(AT_EXECFN);
	char cwd[PATH_MAX] = "";
	int len;

	if (name == NULL || (name[0] != '/' && getcwd(cwd, sizeof cwd) == NULL))
		return -1;
	len = snprintf(out, size, "%s%s%s", cwd, name[0] != '/' ? "/" : "", name);
	return len >= 0 && (size_t)len < size && is_running_program(out) ? 0 : -1;
}

int takeover_program(char *out, size_t size)
{
	if (given_name(out, size) == 0)
		return 0;
	ssize_t len = readlink("/proc/self/exe", out, size);
	if (len < 0)
		return failed("readlink", "/proc/self/exe");
	if ((size_t)len >= size) {
		errno = ENAMETOOLONG;
		return failed("readlink", "/proc/self/exe");
	}
	out[len] = '\0';
	return 0;
}

int takeover_new_file(void)
{
	int fd = memfd_create("holdfast-takeover", MFD_CLOEXEC);

	return fd < 0 ? failed("memfd_create", "-") : fd;
}

int takeover_write(int fd, const struct takeover *t)
{
	const struct file_head head = { takeover_magic, sizeof *t };

	if (file_write_all(fd, &head, sizeof head, 0) == 0 &&
	    file_write_all(fd, t, sizeof *t, sizeof head) == 0)
		return 0;
	return failed("write", "-");
}

static int refused(const char *reason)
{
	log_error("takeover.refused", "reason=\"%s\"", reason);
	return -1;
}

static bool is_terminated(const char text[static PATH_MAX])
{
	return memchr(text, '\0', PATH_MAX) != NULL;
}

int takeover_read(int fd, struct takeover *out)
{
	struct file_head head;

	if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
	    head.magic != takeover_magic || head.size != sizeof *out)
		return refused("another version: restart instead of reloading");
	if (pread(fd, out, sizeof *out, sizeof head) != (ssize_t)sizeof *out || out->workers == 0 ||
	    out->workers > TABLE_WORKERS_MAX / 2 || out->nsockets == 0 ||
	    out->nsockets > TAKEOVER_SOCKETS_MAX || !is_terminated(out->data) ||
	    !is_terminated(out->socket))
		return refused("damaged");
	return 0;
}

bool takeover_fits(const struct takeover *t, const char *socket, unsigned nsockets,
		   const char *data)
{
	if (strcmp(t->data, data) != 0)
		return refused("another data directory: restart instead of reloading") == 0;
	if (strcmp(t->socket, socket) != 0 || t->nsockets != nsockets)
		return refused("other sockets: restart instead of reloading") == 0;
	return true;
}

static void set_inherited(int fd, bool inherited)
{
	int flags = fcntl(fd, F_GETFD);

	/* Cannot fail for a descriptor that is open; one that is not fails at its first use. */
	if (flags >= 0)
		(void)fcntl(fd, F_SETFD, inherited ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC);
}

static void set_all_inherited(const struct takeover *t, bool inherited)
{
	for (uint32_t i = 0; i < t->nsockets; i++)
		set_inherited(t->listener[i], inherited);
	set_inherited(t->node_fd, inherited);
	set_inherited(t->table_fd, inherited);
	set_inherited(t->ready[0], inherited);
	set_inherited(t->ready[1], inherited);
	for (uint32_t i = 0; i < 2 * t->workers; i++) {
		set_inherited(t->handovers[i].in, inherited);
		set_inherited(t->handovers[i].out, inherited);
	}
}

void takeover_inherit(const struct takeover *t)
{
	set_all_inherited(t, false);
}

static void execute(const char *program, const char *option, int fd)
{
	char name[PATH_MAX], serve[] = "serve", number[64];
	char *argv[] = { name, serve, number, NULL };

	(void)snprintf(name, sizeof name, "%s", program);
	(void)snprintf(number, sizeof number, "%s=%d", option, fd);
	set_inherited(fd, true);
	execv(program, argv);
	set_inherited(fd, false);
	failed("execv", program);
}

pid_t takeover_try(const char *program, int fd)
{
	sigset_t none;
	pid_t pid = fork();

	if (pid < 0)
		return failed("fork", program);
	if (pid > 0)
		return pid;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	execute(program, "--try-takeover", fd);
	_exit(NOT_EXECUTED);
}

void takeover_exec(const char *program, int fd, const struct takeover *t)
{
	if (takeover_write(fd, t) < 0)
		return;
	set_all_inherited(t, true);
	execute(program, "--takeover", fd);
	set_all_inherited(t, false);
}
