/*
 * How much memory SQLite may take for one statement.  SQLite's own limit is one
 * for the whole process, so that who is greedy would have the pusher refused.
 *
 *	heap_init()		before SQLite is used for the first time
 *	heap_charge()		before a step: what this thread takes is the share's
 *	heap_charge(NULL)	after it
 *
 * Beyond `most`, SQLite gets nothing and says SQLITE_NOMEM.
 */
#ifndef DB_HEAP_H
#define DB_HEAP_H

#include <stdint.h>

struct heap_share {
	int64_t most;
	int64_t used; /* below 0 when more was given back than taken */
};

void heap_init(void);
void heap_charge(struct heap_share *share);

#endif
