/*
 * Which system calls this process can still make, by a seccomp filter.  It can
 * never be taken off, and processes and programs that come from this one have it.
 *
 *	cage_calls_limit_master()	at the start; not after a takeover, which
 *					inherits it
 *	cage_calls_limit_worker()	in the worker, with one thread
 *
 * Both need no_new_privs.  What no version of this program has a use for and
 * an intruder has (tracing, mounting, other namespaces, loading code into the
 * kernel, keyrings, changing the user) ends the process with SIGSYS: there is no
 * innocent reason for it, and whoever is in it gets no second try.  In a worker
 * execve is one of these.
 *
 * The master's filter says no more than that, because the program that takes over
 * from it runs under it too and may need calls that this one does not know.  A
 * worker's filter names what is allowed.  Everything else gets ENOSYS and
 * not death: a newer libc tries new calls and falls back to the old ones.
 */
#ifndef PROC_CAGE_CALLS_H
#define PROC_CAGE_CALLS_H

#include <stdbool.h>

/* -1: already logged. */
int cage_calls_limit_master(void);
int cage_calls_limit_worker(void);

/* A filter is on, whoever has set it. */
bool cage_calls_are_limited(void);
/* The kernel can. */
bool cage_calls_can(void);

#endif
