/*
 * Which handler answers a method and a path.
 *
 * There is one for everything: an unknown path, a method that a path does not
 * have and OPTIONS have handlers as well, so the server treats all alike.
 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "http/user_route.h"

#include <stdbool.h>

struct route {
	const char *path; /* for the log: one of ours, or "other" */
	bool needs_user; /* authenticate before calling the handler */
	route_handler *handler;
	const char *allow; /* the path's methods; NULL for an unknown path */
	enum metrics_route class;
	bool whole_database; /* copied, which takes seconds */
	bool takes_file; /* the body is request.file */
};

/* HEAD goes to the handler of GET.  All texts of the answer are literals. */
struct route route_find(const char *method, const char *path);
/* A literal for the log: the method, or "other" for an uncommon one. */
const char *route_method_name(const char *method);

#endif
