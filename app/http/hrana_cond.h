/*
 * Conditions of a batch's steps.
 *
 *	{"type":"ok","step":n}		the step ran and succeeded
 *	{"type":"error","step":n}	it did not: it failed or was skipped
 *	{"type":"not","cond":…}  {"type":"and","conds":[…]}  {"type":"or","conds":[…]}
 *	{"type":"is_autocommit"}	no transaction is open
 */
#ifndef HTTP_HRANA_COND_H
#define HTTP_HRANA_COND_H

#include "base/json_read.h"

#include <stdbool.h>
#include <stddef.h>

enum { HRANA_COND_DEPTH_MAX = 32 };

struct hrana_progress {
	const bool *succeeded; /* of each step so far; false if skipped */
	bool autocommit;
};

/* NULL, or what is wrong with the condition of step number `step`. */
const char *hrana_cond_check(const struct json *cond, size_t step);
/* The condition was checked. */
bool hrana_cond_holds(const struct json *cond, const struct hrana_progress *p);

#endif
