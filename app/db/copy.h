/*
 * One SQLite database becomes a copy of another, page by page.
 */
#ifndef DB_COPY_H
#define DB_COPY_H

#include <stdint.h>

struct sqlite3;

/*
 * SQLITE_OK: `to` holds all of `from`, in one transaction of its own.  SQLITE_INTERRUPT:
 * the time, of the monotonic clock, is over; that and any other result leave what `to`
 * held before.
 */
int copy_database(struct sqlite3 *from, struct sqlite3 *to, int64_t until_ms);

#endif
