/*
 * Databases that lost a conflict: <user>/kept/<when, ms since the epoch>.sqlite,
 * each a whole SQLite file.  They stay until somebody removes them.
 */
#ifndef SYNC_KEPT_H
#define SYNC_KEPT_H

#include "base/spill.h"
#include "state/user.h"

#include <stdint.h>

struct kept {
	char name[32];
	uint64_t bytes;
};

/* A path in the folder, which is made.  -1: already logged. */
int kept_new_path(const char *data, const struct user_id *user, char *out, size_t size);
/* At most `max`, oldest first; how many there are in `out`. */
size_t kept_list(const char *data, const struct user_id *user, struct kept *out, size_t max);
/* NULL: no such name. */
struct spill *kept_open(const char *data, const struct user_id *user, const char *name);

#endif
