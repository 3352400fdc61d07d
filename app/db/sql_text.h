/*
 * The little that has to be known of SQL text beside what SQLite makes of it.
 */
#ifndef DB_SQL_TEXT_H
#define DB_SQL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Nothing but space, comments and semicolons. */
bool sql_is_blank(const char *text, size_t len);

/*
 * libSQL has a BEGIN READONLY, which SQLite has not; to the clients that send
 * it BEGIN is as good.  How many bytes it takes at the start, 0: something else.
 */
size_t sql_begin_readonly(const char *sql, size_t len);

#endif
