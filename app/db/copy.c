#include "db/copy.h"

#include "base/clock.h"

#include <sqlite3.h>
#include <stddef.h>

enum { PAGES_AT_A_TIME = 1024 };

int copy_database(struct sqlite3 *from, struct sqlite3 *to, int64_t until_ms)
{
	sqlite3_backup *copy = sqlite3_backup_init(to, "main", from, "main");
	int rc;

	if (copy == NULL)
		return sqlite3_extended_errcode(to);
	do
		rc = sqlite3_backup_step(copy, PAGES_AT_A_TIME);
	while (rc == SQLITE_OK && clock_mono_ms() < until_ms);
	/* Unless it is done, this rolls back. */
	int finished = sqlite3_backup_finish(copy);
	if (rc == SQLITE_OK)
		return SQLITE_INTERRUPT;
	return rc == SQLITE_DONE ? finished : rc;
}
