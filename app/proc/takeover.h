/*
 * One program goes on in the place of another, in the same process: the master
 * executes the file it was started from anew, and what is there by then takes
 * over the sockets, the shared table, the claim on the data directory and the
 * workers.  All these stay what they are; only who knows of them changes, and
 * what has to be known is in an inherited memory file.
 *
 *	takeover_program()	at the start
 *
 *	takeover_new_file()	the master that is told to reload
 *	takeover_write()	... for the trial, and again for the real thing
 *	takeover_try()		the new program is run as a child, `serve --try-takeover=FD`,
 *				and says with its exit status whether it could take over
 *	takeover_exec()		it replaces us, `serve --takeover=FD`
 *
 *	takeover_read()		the new program, in both cases
 *	takeover_fits()
 *	takeover_inherit()	in the real one
 *
 * A program that knows nothing of this, or has another form of it, fails the
 * trial, and everything stays as it is.
 */
#ifndef PROC_TAKEOVER_H
#define PROC_TAKEOVER_H

#include "http/baton.h"
#include "http/handover.h"
#include "proc/pool.h"
#include "state/table.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { TAKEOVER_SOCKETS_MAX = TABLE_WORKERS_MAX / 2 };

/*
 * Plain values.  A change of what they mean is another takeover_magic; so is one
 * of the signals and messages between a master and the workers of the other.
 */
struct takeover {
	uint64_t node;
	uint64_t answered[TABLE_WORKERS_MAX]; /* by worker number: requests before this process */
	struct pool_worker worker[TABLE_WORKERS_MAX];
	uint32_t workers;
	uint32_t max_active_users;
	uint32_t nsockets;
	int32_t listener[TAKEOVER_SOCKETS_MAX];
	int32_t node_fd;
	int32_t table_fd;
	int32_t ready[2];
	struct handover_ends handovers[TABLE_WORKERS_MAX]; /* by worker number */
	struct baton_key batons;
	char data[PATH_MAX];
	char socket[PATH_MAX];
};

/* The path of the program that runs, symbolic links unresolved.  -1: already logged. */
int takeover_program(char *out, size_t size);

/* An empty memory file, closed on exec.  -1: already logged. */
int takeover_new_file(void);
int takeover_write(int fd, const struct takeover *t);
/* The child, which is the caller's to wait for.  -1: already logged. */
pid_t takeover_try(const char *program, int fd);
/* Returns only if that fails, logged, and nothing has changed. */
void takeover_exec(const char *program, int fd, const struct takeover *t);

/* -1: not of this version or damaged; already logged. */
int takeover_read(int fd, struct takeover *out);
/* Sockets and directory are where this program wants them; false: logged. */
bool takeover_fits(const struct takeover *t, const char *socket, unsigned nsockets,
		   const char *data);
/* Nothing of it is inherited by what is executed next. */
void takeover_inherit(const struct takeover *t);

#endif
