/*
 * Rights to one user's files, kept by the kernel on the user's `lock` file.
 *
 *	RIGHT_PUSH		upload and checkpoint; one holder
 *	RIGHT_FILES		pull, replace the database; one holder
 *	RIGHT_FILES_SHARED	use the database; many, none beside RIGHT_FILES
 *	RIGHT_LOAD		read the user's state from disk into the table
 *	RIGHT_COMPACT		write snapshots and remove objects; one holder
 *
 * A right dies with its holder, at whatever instruction that is.  Whoever
 * holds RIGHT_PUSH may wait for RIGHT_FILES, never the other way round;
 * under RIGHT_LOAD nothing is waited for but table_change_begin().
 *
 *	right_open()	after the fork; one descriptor per thread and user
 *	right_claim() / right_release()
 *	close()		releases all of them
 *
 * Rights belong to the descriptor: two threads with one descriptor would not
 * exclude each other.  The file is never replaced or removed.
 */
#ifndef STATE_RIGHT_H
#define STATE_RIGHT_H

#include <stdbool.h>

enum right {
	RIGHT_PUSH,
	RIGHT_FILES,
	RIGHT_FILES_SHARED,
	RIGHT_LOAD,
	RIGHT_COMPACT,
};

/* Makes the file, not the folder.  -1: already logged, but ENOENT. */
int right_open(const char *lock_path);
/* Never waits, but for RIGHT_LOAD. */
bool right_claim(int fd, enum right right);
void right_release(int fd, enum right right);

#endif
