/*
 * A user's id, and where that user's files are.
 *
 * An id is 1 to 64 of [A-Za-z0-9_.@-] and does not start with a dot, so it is
 * safe as a file name and as part of an object's key.  Text becomes an id
 * here or nowhere.
 *
 *	<data>/users/<2 hex>/<user>/	the two digits spread users over folders
 */
#ifndef STATE_USER_H
#define STATE_USER_H

#include <stddef.h>

enum { USER_ID_MAX = 64 };

struct user_id {
	char text[USER_ID_MAX + 1];
};

/* -1: not an id. */
int user_id_parse(const char *text, size_t len, struct user_id *out);

/*
 * The path of `name` in the user's folder, "" for the folder itself.  -1: the
 * path does not fit, which a start-up check of `data` rules out.
 */
int user_path(const char *data, const struct user_id *id, const char *name, char *out, size_t size);

#endif
