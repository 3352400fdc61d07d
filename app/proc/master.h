/*
 * The master: makes what all workers share, starts them, replaces them, and
 * owns the signals.  No request code, no threads, no SQLite, no curl.
 *
 *	TERM, INT	all workers drain and go; what is left at the end is killed
 *	HUP		the program goes on as what is at its path by now, configuration
 *			and all, and replaces the workers one by one; no request is lost
 *
 * How one program goes on in the place of another is in proc/takeover.h.  What
 * cannot take over, or has nothing it could start with, is not let in: the
 * present program and its workers stay, and the log says so.
 */
#ifndef PROC_MASTER_H
#define PROC_MASTER_H

#include "proc/takeover.h"
#include "proc/worker.h"
#include "state/node.h"

#include <stdint.h>

struct pool_config {
	const char *socket; /* with "%d" for the number of the group, or one socket */
	unsigned nsockets; /* workers are spread over them in turn */
	unsigned workers; /* at most TABLE_WORKERS_MAX / 2 */
	const char *table; /* path of the shared table */
	uint32_t max_active_users;
	int64_t shutdown_ms;
};

struct master_self {
	const char *program; /* takeover_program() */
	const struct node *node; /* the claim on the data directory */
	const struct takeover *before; /* what there was to inherit; NULL: a fresh start */
};

/* Returns when it was told to stop, 0, or could not start or go on, -1, already logged. */
int master_run(const struct pool_config *c, const struct worker_config *worker,
	       const struct master_self *self);

#endif
