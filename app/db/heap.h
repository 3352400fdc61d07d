/*
 * How much memory SQLite may take for one statement.  SQLite's own limit is one
 * for the whole process, so that who is greedy would have the pusher refused.
 *
 *	heap_init()		before SQLite is used for the first time
 *	heap_charge()		before a step: what this thread takes is the share's
 *	heap_charge(NULL)	after it
 *
 * Beyond `most`, SQLite gets nothing and says SQLITE_NOMEM.  The same from
 * `until_ms` on, and then `late` is set: what takes long inside of one of its
 * functions, where SQLite does not look at the time, mostly asks for memory.
 */
#ifndef DB_HEAP_H
#define DB_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct heap_share {
	int64_t most;
	int64_t used; /* below 0 when more was given back than taken */
	int64_t until_ms; /* of clock_mono_ms(); 0: no end */
	bool late;
	unsigned ntaken;
};

void heap_init(void);
void heap_charge(struct heap_share *share);

#endif
