/*
 * The users that a command works on: one that was named, or all that have a
 * folder in the data directory, in the order of their ids.
 *
 * Such a command opens databases and may write beside them, so it has to be
 * the user of the machine that the service runs as: files of root's, or of
 * somebody else's, would shut the service out.
 */
#ifndef USERS_H
#define USERS_H

#include "state/table.h"
#include "state/user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct users_wanted {
	bool all;
	struct user_id one; /* if not */
};

/*
 * What is left of a command line: USER, or nothing for all, which `all` says
 * too.  -1: neither; what there is to say beyond the usage is said.
 */
int users_parse(int argc, char **argv, bool all, struct users_wanted *out);

struct users {
	struct user_id *ids;
	size_t count;
	uint64_t node; /* the id of the data directory */
};

/* -1: already said on stderr. */
int users_find(const char *data, const struct users_wanted *wanted, struct users *out);
void users_release(struct users *u);

/*
 * The id alone, for a command that may come before the first start of the service and makes
 * what that would make.  -1: already said.
 */
int users_node(const char *data, uint64_t *out);

/*
 * A table of their own, for a command that works with a worker's engine; in it, this
 * process is worker 0.  NULL: already said.
 */
struct table *users_table(const struct users *u);

#endif
