/*
 * Points at which a test can kill the process: FAULT("push.after_put") does
 * nothing but in a build with -DFAULTS, where the environment says
 *
 *	FAULT=push.after_put:2	the second arrival there ends with SIGKILL
 *	FAULT=*:20		so does the twentieth at any point
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
