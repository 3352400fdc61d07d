/*
 * One worker process, from just after the fork to its exit code.
 *
 * What it still does depends on the signal that ends it:
 *
 *	TERM	finish the requests, push what is dirty until the drain deadline, go
 *	USR1	push shortly: others serve already, and push the rest
 *	USR2	answer shortly who waits, too: nobody serves before all of us are gone
 *
 * Without its master, it answers what it has accepted and goes.
 */
#ifndef PROC_WORKER_H
#define PROC_WORKER_H

#include "base/log.h"
#include "http/server.h"
#include "state/table.h"
#include "sync/sync.h"

#include <stdint.h>
#include <sys/types.h>

/* Borrowed from the master, whose memory the worker has a copy of. */
struct worker_config {
	enum log_level log;
	int64_t drain_ms; /* from TERM on */
	const struct server_config *server;
	const struct sync_config *sync;
};

/* From the worker to the master: ready to serve.  Less than PIPE_BUF, so never in parts. */
struct worker_message {
	uint32_t number;
	int32_t pid;
};

enum worker_exit {
	WORKER_DONE = 0,
	WORKER_NO_SETUP = 3, /* never served; the reason is logged */
};

/* What the master hands to one worker; the descriptors become the worker's. */
struct worker_birth {
	struct table *table;
	struct server_place place;
	int ready; /* write end of the pipe for worker_message */
	pid_t master;
};

/* By the master, to end it: one of these signals, and the time of asking. */
void worker_ask(pid_t pid, int signal);

/* Called in the child with all signals blocked and one thread. */
enum worker_exit worker_main(const struct worker_config *c, const struct worker_birth *b);

#endif
