/*
 * Nothing can interrupt a function of SQLite's.  Those that take minutes for some
 * megabytes are replaced, with the same answers:
 *
 *	instr, replace		in a time that grows with the length
 *	trim, ltrim, rtrim	until the time is over
 *	printf, format		refuse at once what SQLite would count up to
 *	json_patch, jsonb_patch	refuse two long ones
 *
 * LIKE and GLOB are SQLite's: replaced, they would use no index.
 */
#ifndef DB_SQL_FUNCTION_H
#define DB_SQL_FUNCTION_H

#include <stdint.h>

struct sqlite3;

/*
 * `until_ms` is looked at while a function runs, and outlives the connection: of
 * clock_mono_ms(), 0 for no end.  A function ends there with SQLITE_INTERRUPT.
 */
void sql_function_register(struct sqlite3 *db, const int64_t *until_ms);

#endif
