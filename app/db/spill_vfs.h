/*
 * A SQLite database in a spill: a file without a name, which nobody else can
 * open and which goes with its last descriptor.
 *
 * One in WAL mode is taken for what its file alone holds.  There are no locks
 * and no journal: who fails in the middle has a file of no use.
 */
#ifndef DB_SPILL_VFS_H
#define DB_SPILL_VFS_H

struct spill;
struct sqlite3;

/*
 * SQLite's result; `out` is to be closed in any case, before the spill is freed.
 * Temporary files are counted as with temp_space_vfs().
 */
int spill_vfs_open(struct spill *file, struct sqlite3 **out);

#endif
