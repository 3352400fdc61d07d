/*
 * The master: makes what all workers share, starts them, replaces them, and
 * owns the signals.  No request code, no threads, no SQLite, no curl.
 *
 *	TERM, INT	all workers drain and go; what is left at the end is killed
 *	HUP		all workers are replaced one by one, no request is lost
 */
#ifndef PROC_MASTER_H
#define PROC_MASTER_H

#include "proc/worker.h"

#include <stdint.h>

struct pool_config {
	const char *socket; /* with "%d" for the number of the group, or one socket */
	unsigned nsockets; /* workers are spread over them in turn */
	unsigned workers; /* at most TABLE_WORKERS_MAX / 2 */
	const char *table; /* path of the shared table */
	uint32_t max_active_users;
	int64_t shutdown_ms;
};

/* Returns when it was told to stop, 0, or could not start or go on, -1, already logged. */
int master_run(const struct pool_config *c, const struct worker_config *worker);

#endif
