/*
 * What one connection may write to temporary files: sorts, large
 * intermediate results, TEMP tables, VACUUM.
 *
 *	sqlite3_open_v2(..., temp_space_vfs())
 *	temp_space_charge()	before a step: files opened from now on, by this
 *				thread, are the connection's
 *	temp_space_charge(NULL)	after it
 *
 * The space must outlive the connection.  A write beyond `most` fails with
 * SQLITE_FULL and sets `exceeded`.
 */
#ifndef DB_TEMP_SPACE_H
#define DB_TEMP_SPACE_H

#include <stdbool.h>
#include <stdint.h>

struct temp_space {
	int64_t most;
	int64_t used;
	bool exceeded;
};

/* The name of a VFS like the standard one, but for temporary files. */
const char *temp_space_vfs(void);
void temp_space_charge(struct temp_space *t);

#endif
