/*
 * Points at which a test can kill the process: FAULT("push.after_put") does
 * nothing but in a build with -DFAULTS, where the environment says
 *
 *	FAULT=push.after_put:2		the second arrival there ends with SIGKILL
 *	FAULT=push.after_put:2:all	and takes master and workers along
 *	FAULT=*:20			so does the twentieth at any point
 *	FAULT_ONCE=/path		but only whoever creates this file dies
 *
 * Workers inherit the environment and count for themselves: each of them dies
 * at its own second arrival, and so do those that replace them, unless FAULT_ONCE
 * is set.  `all` is for a master that leads a process group, as setsid(1) starts it.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#ifdef FAULTS
void fault_point(const char *name);
#define FAULT(name) fault_point(name)
#else
#define FAULT(name) ((void)0)
#endif

#endif
