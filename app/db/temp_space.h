/*
 * What all connections of this process to one database may write to temporary
 * files together: sorts, large intermediate results, TEMP tables, VACUUM.
 *
 *	temp_space_open()	the space of that database
 *	sqlite3_open_v2(..., temp_space_vfs())
 *	temp_space_charge()	before a step: files opened from now on, by this
 *				thread, are the connection's
 *	temp_space_charge(NULL)	after it
 *	temp_space_close()	after the connection is closed
 *
 * A write beyond `most` fails with SQLITE_FULL and sets `exceeded`.  A space is
 * used by one thread, the one that opened it first.
 */
#ifndef DB_TEMP_SPACE_H
#define DB_TEMP_SPACE_H

#include <stdbool.h>
#include <stdint.h>

struct temp_space {
	int64_t most;
	int64_t used;
	bool exceeded;
	unsigned nconnections;
	char *path;
	struct temp_space *next;
};

struct temp_space *temp_space_open(const char *path);
void temp_space_close(struct temp_space *t);

/* The name of a VFS like the standard one, but for temporary files. */
const char *temp_space_vfs(void);
void temp_space_charge(struct temp_space *t);

#endif
