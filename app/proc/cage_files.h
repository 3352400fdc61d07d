/*
 * Which files a worker can still reach, by Landlock: its own data, a store that
 * is a folder, temporary files, and, to be read, what libraries need: other
 * libraries, certificates, the files that say how names of hosts are resolved.
 * It executes nothing and listens on no TCP port of its own.
 *
 *	cage_files_limit()	in the worker, with one thread; what is open stays so
 *
 *	cage_files_watch()	the master
 *	cage_files_replaced()	... whenever there is something to read
 *
 * A single file is allowed and not its name: once another one has taken the name of
 * /etc/resolv.conf, a worker cannot read it.  The directory is not allowed, since
 * there are secrets in it; so the master looks for that, and replaces the workers.
 */
#ifndef PROC_CAGE_FILES_H
#define PROC_CAGE_FILES_H

#include <stdbool.h>

struct cage_places {
	const char *data;
	const char *store; /* a store's folder; NULL: none */
	int table; /* descriptor of the shared table, which is opened again for its locks */
};

/*
 * The version of the kernel's rules; 0: it has none, or none that know of moving a
 * file to another directory (before 5.19), and nothing is limited.
 */
int cage_files_version(void);
/* Needs no_new_privs.  -1: already logged. */
int cage_files_limit(const struct cage_places *p);

/* A descriptor to wait for, which never blocks.  -1: already logged; never replaced then. */
int cage_files_watch(void);
/* Reads all there is; true: a file that workers may read now is another one. */
bool cage_files_replaced(int watch);

#endif
