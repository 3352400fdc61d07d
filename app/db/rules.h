/*
 * Every PRAGMA, function and virtual table that a SQLite is known to have, and
 * what a user's SQL may do with it.  What is not named here is denied, so that
 * a newer SQLite, or one built with more in it, gives nobody more than was
 * decided.  A unit test names what the library at hand has and this has not.
 */
#ifndef DB_RULES_H
#define DB_RULES_H

#include <stdbool.h>

enum pragma_right {
	PRAGMA_DENIED,
	PRAGMA_ASK, /* without an argument */
	PRAGMA_ASK_ABOUT, /* an argument only says what it is about */
	PRAGMA_STORED, /* a new value is stored in the database */
	PRAGMA_WORK, /* writes, with and without an argument */
	PRAGMA_SETTING, /* a new value is one of the connection's */
	PRAGMA_STORED_SETTING, /* both */
};

enum function_right {
	FUNCTION_DENIED,
	FUNCTION_ALLOWED,
	FUNCTION_WRITES, /* in a SELECT, too */
};

enum pragma_right rules_pragma(const char *name);
enum function_right rules_function(const char *name);

/* Names in lower case, up to a NULL: all other modules go from a connection. */
extern const char *rules_modules[];

/* Whether it was decided at all. */
bool rules_name_pragma(const char *name);
bool rules_name_function(const char *name);
bool rules_name_module(const char *name);

#endif
