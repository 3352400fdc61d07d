#include "store/outcome.h"

#include <string.h>

enum {
	HTTP_OK = 200,
	HTTP_NO_CONTENT = 204,
	HTTP_PARTIAL = 206,
	HTTP_BAD_REQUEST = 400,
	HTTP_UNAUTHORIZED = 401,
	HTTP_FORBIDDEN = 403,
	HTTP_NOT_FOUND = 404,
	HTTP_REQUEST_TIMEOUT = 408,
	HTTP_CONFLICT = 409,
	HTTP_PRECONDITION_FAILED = 412,
	HTTP_RANGE = 416,
	HTTP_TOO_MANY = 429,
	HTTP_NOT_IMPLEMENTED = 501,
	HTTP_UNAVAILABLE = 503,
};

static struct outcome outcome(enum object_result result, enum object_error error)
{
	return (struct outcome){ result, error };
}

static bool is_one_of(const char *code, const char *const *list)
{
	for (; *list != NULL; list++) {
		if (strcmp(code, *list) == 0)
			return true;
	}
	return false;
}

static bool is_success(enum object_verb verb, int status)
{
	switch (verb) {
	case OBJECT_CREATE:
	case OBJECT_PROBE_PUT:
	case OBJECT_LIST:
		return status == HTTP_OK;
	case OBJECT_GET:
		return status == HTTP_OK || status == HTTP_PARTIAL;
	case OBJECT_DELETE:
		return status == HTTP_OK || status == HTTP_NO_CONTENT;
	}
	return false;
}

static struct outcome without_answer(const struct outcome_facts *f)
{
	static const enum object_error error_of_end[] = {
		[END_WHOLE] = ERROR_BROKEN, /* complete, and yet no status */
		[END_CONNECT] = ERROR_CONNECT, [END_CERTIFICATE] = ERROR_CERTIFICATE,
		[END_TIMEOUT] = ERROR_TIMEOUT, [END_BROKEN] = ERROR_BROKEN,
		[END_DISK] = ERROR_DISK,       [END_DAMAGED] = ERROR_DAMAGED,
	};

	return outcome(f->begun ? OBJECT_UNKNOWN : OBJECT_TRY_LATER, error_of_end[f->end]);
}

/*
 * Absence is believed only in the words of the store.  The 404 of a proxy, of
 * a wrong endpoint or of a missing bucket must not make a new user.
 */
static struct outcome not_found(const struct outcome_facts *f)
{
	bool no_key = strcmp(f->code, "NoSuchKey") == 0;

	if (f->verb == OBJECT_GET && no_key)
		return outcome(OBJECT_ABSENT, ERROR_NONE);
	if (f->verb == OBJECT_DELETE && no_key)
		return outcome(OBJECT_OK, ERROR_NONE);
	if (strcmp(f->code, "NoSuchBucket") == 0)
		return outcome(OBJECT_REFUSED, ERROR_CONFIG);
	if (f->verb == OBJECT_GET || f->verb == OBJECT_LIST)
		return outcome(OBJECT_DAMAGED, ERROR_DAMAGED);
	return outcome(OBJECT_REFUSED, ERROR_CONFIG);
}

static struct outcome bad_request(const struct outcome_facts *f)
{
	static const char *const harmed_on_the_way[] = {
		"IncompleteBody",
		"ClientDisconnect",
		"BadDigest",
		"XAmzContentSHA256Mismatch",
		NULL,
	};

	if (is_one_of(f->code, harmed_on_the_way))
		return outcome(OBJECT_TRY_LATER, ERROR_DAMAGED);
	return outcome(OBJECT_REFUSED, ERROR_CONFIG);
}

static struct outcome refused(const struct outcome_facts *f)
{
	switch (f->status) {
	case HTTP_BAD_REQUEST:
		return bad_request(f);
	case HTTP_UNAUTHORIZED:
	case HTTP_FORBIDDEN:
		if (strcmp(f->code, "RequestTimeTooSkewed") == 0)
			return outcome(OBJECT_REFUSED, ERROR_CLOCK);
		return outcome(OBJECT_REFUSED, ERROR_CREDENTIALS);
	case HTTP_NOT_FOUND:
		return not_found(f);
	case HTTP_REQUEST_TIMEOUT:
		return outcome(OBJECT_UNKNOWN, ERROR_TIMEOUT);
	case HTTP_CONFLICT:
		/* AWS's word for two conditional requests at the same moment. */
		return outcome(OBJECT_UNKNOWN, ERROR_SERVER);
	case HTTP_PRECONDITION_FAILED:
		if (f->verb == OBJECT_CREATE)
			return outcome(OBJECT_TAKEN, ERROR_NONE);
		return outcome(OBJECT_REFUSED, ERROR_CONFIG);
	case HTTP_RANGE:
		/* Not one byte where the beginning was asked for: an empty object. */
		return outcome(OBJECT_DAMAGED, ERROR_DAMAGED);
	case HTTP_TOO_MANY:
		return outcome(OBJECT_TRY_LATER, ERROR_THROTTLED);
	default:
		return outcome(OBJECT_REFUSED, ERROR_CONFIG);
	}
}

/* A 5xx can follow an object that was stored, so it is rarely a refusal. */
static struct outcome server_failed(const struct outcome_facts *f)
{
	if (f->status == HTTP_NOT_IMPLEMENTED)
		return outcome(OBJECT_REFUSED, ERROR_CONFIG);
	if (f->status != HTTP_UNAVAILABLE)
		return outcome(OBJECT_UNKNOWN, ERROR_SERVER);
	return outcome(f->told_when ? OBJECT_TRY_LATER : OBJECT_UNKNOWN, ERROR_THROTTLED);
}

struct outcome outcome_of(const struct outcome_facts *f)
{
	if (f->end == END_DAMAGED)
		return outcome(OBJECT_DAMAGED, ERROR_DAMAGED);
	/* A refusal is one even when its body is cut; only a 404 needs the body. */
	if (f->end != END_WHOLE && (f->status < HTTP_BAD_REQUEST || f->status == HTTP_NOT_FOUND))
		return without_answer(f);
	if (f->status < HTTP_OK)
		return without_answer(f);
	if (is_success(f->verb, f->status))
		return outcome(OBJECT_OK, ERROR_NONE);
	if (f->status >= 500)
		return server_failed(f);
	if (f->status >= HTTP_BAD_REQUEST)
		return refused(f);
	if (f->status >= 300)
		return outcome(OBJECT_REFUSED, ERROR_CONFIG);
	return outcome(OBJECT_UNKNOWN, ERROR_BROKEN);
}
