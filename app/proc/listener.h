/*
 * The FastCGI sockets, opened by the master and kept open as long as it lives:
 * while a worker is replaced, requests wait in the backlog.
 *
 *	listener_make_dir()	once
 *	listener_open()		non-blocking, mode 0660
 *	listener_close()	and remove
 */
#ifndef PROC_LISTENER_H
#define PROC_LISTENER_H

#include <stddef.h>

/* The path of socket `number`: `pattern` with that in place of "%d".  -1: does not fit. */
int listener_path(const char *pattern, unsigned number, char *out, size_t size);
/* Makes the folder of `path`, mode 0750, if there is none.  -1: already logged. */
int listener_make_dir(const char *path);
/*
 * A socket that is there is replaced in one step, unless somebody listens on
 * it.  -1: already logged.
 */
int listener_open(const char *path);
void listener_close(int fd, const char *path);

#endif
