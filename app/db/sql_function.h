/*
 * instr() and replace() of SQLite compare at every place anew, minutes long for
 * texts of some megabytes, and nothing can interrupt a function.  These give
 * the same answers in a time that grows with the length.
 */
#ifndef DB_SQL_FUNCTION_H
#define DB_SQL_FUNCTION_H

struct sqlite3;

void sql_function_register(struct sqlite3 *db);

#endif
