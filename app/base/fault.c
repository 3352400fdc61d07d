#include "base/fault.h"

#ifdef FAULTS

#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic int arrivals;

static bool is_meant(const char *wish, const char *name)
{
	size_t len = strcspn(wish, ":");

	if (len == 1 && wish[0] == '*')
		return true;
	return strlen(name) == len && strncmp(wish, name, len) == 0;
}

static int wanted_arrival(const char *wish)
{
	const char *number = strchr(wish, ':');

	return number != NULL ? (int)strtol(number + 1, NULL, 10) : 1;
}

/* Whoever did not start us with a process group of our own is not to die of it. */
static bool takes_all_along(const char *wish)
{
	const char *all = strstr(wish, ":all");

	return all != NULL && all[strlen(":all")] == '\0' && getpgrp() == getppid();
}

/* The file stays open until SIGKILL closes it. */
static bool is_first(void)
{
	const char *path = getenv("FAULT_ONCE");

	return path == NULL || open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0;
}

void fault_point(const char *name)
{
	const char *wish = getenv("FAULT");

	if (wish == NULL || !is_meant(wish, name))
		return;
	if (++arrivals != wanted_arrival(wish) || !is_first())
		return;
	log_warn("fault.kills", "point=%s", name);
	if (takes_all_along(wish))
		kill(0, SIGKILL);
	raise(SIGKILL);
}

#else

/* ISO C forbids an empty translation unit. */
typedef int no_faults_in_this_build;

#endif
