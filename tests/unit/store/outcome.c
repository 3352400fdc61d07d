#include "store/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { CREATE = OBJECT_CREATE, GET = OBJECT_GET, LIST = OBJECT_LIST, DELETE = OBJECT_DELETE };

struct row {
	int verb, status;
	const char *code;
	bool told_when;
	enum object_result result;
	enum object_error error;
};

static void assert_outcome(const struct outcome_facts *f, enum object_result result,
			   enum object_error error)
{
	struct outcome got = outcome_of(f);

	if (got.result != result || got.error != error)
		fail_msg("verb %d end %d status %d code '%s': got %d/%s, want %d/%s", (int)f->verb,
			 (int)f->end, f->status, f->code, (int)got.result,
			 object_error_name[got.error], (int)result, object_error_name[error]);
}

static void status_and_code_decide_what_a_whole_answer_means(void **state)
{
	static const struct row rows[] = {
		{ CREATE, 200, "", false, OBJECT_OK, ERROR_NONE },
		{ CREATE, 204, "", false, OBJECT_UNKNOWN, ERROR_BROKEN },
		{ CREATE, 412, "PreconditionFailed", false, OBJECT_TAKEN, ERROR_NONE },
		{ OBJECT_PROBE_PUT, 412, "", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ CREATE, 409, "ConditionalRequestConflict", false, OBJECT_UNKNOWN, ERROR_SERVER },
		{ CREATE, 429, "", false, OBJECT_TRY_LATER, ERROR_THROTTLED },
		{ CREATE, 503, "", true, OBJECT_TRY_LATER, ERROR_THROTTLED },
		{ CREATE, 503, "", false, OBJECT_UNKNOWN, ERROR_THROTTLED },
		{ CREATE, 408, "", false, OBJECT_UNKNOWN, ERROR_TIMEOUT },
		{ CREATE, 500, "InternalError", false, OBJECT_UNKNOWN, ERROR_SERVER },
		{ CREATE, 502, "", true, OBJECT_UNKNOWN, ERROR_SERVER },
		{ CREATE, 520, "", false, OBJECT_UNKNOWN, ERROR_SERVER },
		{ CREATE, 501, "NotImplemented", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ CREATE, 400, "IncompleteBody", false, OBJECT_TRY_LATER, ERROR_DAMAGED },
		{ CREATE, 400, "ClientDisconnect", false, OBJECT_TRY_LATER, ERROR_DAMAGED },
		{ CREATE, 400, "BadDigest", false, OBJECT_TRY_LATER, ERROR_DAMAGED },
		{ CREATE, 400, "XAmzContentSHA256Mismatch", false, OBJECT_TRY_LATER,
		  ERROR_DAMAGED },
		{ CREATE, 400, "InvalidArgument", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ CREATE, 400, "", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ CREATE, 401, "", false, OBJECT_REFUSED, ERROR_CREDENTIALS },
		{ CREATE, 403, "SignatureDoesNotMatch", false, OBJECT_REFUSED, ERROR_CREDENTIALS },
		{ CREATE, 403, "RequestTimeTooSkewed", false, OBJECT_REFUSED, ERROR_CLOCK },
		{ CREATE, 404, "NoSuchBucket", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ CREATE, 411, "", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ CREATE, 301, "PermanentRedirect", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ CREATE, 0, "", false, OBJECT_UNKNOWN, ERROR_BROKEN },
		{ GET, 200, "", false, OBJECT_OK, ERROR_NONE },
		{ GET, 206, "", false, OBJECT_OK, ERROR_NONE },
		{ GET, 204, "", false, OBJECT_UNKNOWN, ERROR_BROKEN },
		{ GET, 404, "NoSuchKey", false, OBJECT_ABSENT, ERROR_NONE },
		{ GET, 404, "NoSuchBucket", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ GET, 404, "", false, OBJECT_DAMAGED, ERROR_DAMAGED },
		{ GET, 404, "NotFound", false, OBJECT_DAMAGED, ERROR_DAMAGED },
		{ GET, 412, "", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ GET, 416, "InvalidRange", false, OBJECT_DAMAGED, ERROR_DAMAGED },
		{ GET, 403, "", false, OBJECT_REFUSED, ERROR_CREDENTIALS },
		{ GET, 500, "", false, OBJECT_UNKNOWN, ERROR_SERVER },
		{ GET, 503, "", true, OBJECT_TRY_LATER, ERROR_THROTTLED },
		{ LIST, 200, "", false, OBJECT_OK, ERROR_NONE },
		{ LIST, 206, "", false, OBJECT_UNKNOWN, ERROR_BROKEN },
		{ LIST, 404, "NoSuchBucket", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ LIST, 404, "NoSuchKey", false, OBJECT_DAMAGED, ERROR_DAMAGED },
		{ LIST, 404, "", false, OBJECT_DAMAGED, ERROR_DAMAGED },
		{ LIST, 429, "", true, OBJECT_TRY_LATER, ERROR_THROTTLED },
		{ DELETE, 204, "", false, OBJECT_OK, ERROR_NONE },
		{ DELETE, 200, "", false, OBJECT_OK, ERROR_NONE },
		{ DELETE, 404, "NoSuchKey", false, OBJECT_OK, ERROR_NONE },
		{ DELETE, 404, "NoSuchBucket", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ DELETE, 404, "", false, OBJECT_REFUSED, ERROR_CONFIG },
		{ DELETE, 500, "", false, OBJECT_UNKNOWN, ERROR_SERVER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct outcome_facts f = {
			.verb = (enum object_verb)rows[i].verb,
			.end = END_WHOLE,
			.begun = true,
			.status = rows[i].status,
			.code = rows[i].code,
			.told_when = rows[i].told_when,
		};

		assert_outcome(&f, rows[i].result, rows[i].error);
	}
}

static void what_was_never_sent_may_be_tried_later(void **state)
{
	struct outcome_facts f = { .verb = OBJECT_CREATE, .end = END_CONNECT, .code = "" };

	(void)state;
	assert_outcome(&f, OBJECT_TRY_LATER, ERROR_CONNECT);
	f.end = END_TIMEOUT;
	assert_outcome(&f, OBJECT_TRY_LATER, ERROR_TIMEOUT);
	f.end = END_DISK;
	assert_outcome(&f, OBJECT_TRY_LATER, ERROR_DISK);
}

static void what_broke_after_sending_began_is_unknown(void **state)
{
	static const struct {
		enum transfer_end end;
		enum object_error error;
	} rows[] = {
		{ END_CONNECT, ERROR_CONNECT },
		{ END_TIMEOUT, ERROR_TIMEOUT },
		{ END_BROKEN, ERROR_BROKEN },
		{ END_DISK, ERROR_DISK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct outcome_facts f = { OBJECT_CREATE, rows[i].end, true, 0, "", false };

		assert_outcome(&f, OBJECT_UNKNOWN, rows[i].error);
		f.status = 200;
		assert_outcome(&f, OBJECT_UNKNOWN, rows[i].error);
	}
}

static void refusal_counts_although_its_body_is_cut(void **state)
{
	struct outcome_facts f = { OBJECT_CREATE, END_BROKEN, true, 403, "", false };

	(void)state;
	assert_outcome(&f, OBJECT_REFUSED, ERROR_CREDENTIALS);
	f.status = 412;
	assert_outcome(&f, OBJECT_TAKEN, ERROR_NONE);
	f.verb = OBJECT_GET;
	f.status = 404;
	assert_outcome(&f, OBJECT_UNKNOWN, ERROR_BROKEN);
}

/* Absence makes a new user, so exactly one thing may mean it. */
static void only_no_such_key_to_a_get_is_absence(void **state)
{
	static const char *const codes[] = { "", "NoSuchKey", "NoSuchBucket", "AccessDenied" };
	int absences = 0;

	(void)state;
	for (int verb = OBJECT_CREATE; verb <= OBJECT_PROBE_PUT; verb++) {
		for (int end = END_WHOLE; end <= END_DAMAGED; end++) {
			for (int status = 0; status < 1000; status++) {
				for (size_t code = 0; code < 4; code++) {
					struct outcome_facts f = { (enum object_verb)verb,
								   (enum transfer_end)end,
								   status > 0,
								   status,
								   codes[code],
								   false };
					absences += outcome_of(&f).result == OBJECT_ABSENT;
				}
			}
		}
	}
	assert_int_equal(absences, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_and_code_decide_what_a_whole_answer_means),
		cmocka_unit_test(what_was_never_sent_may_be_tried_later),
		cmocka_unit_test(what_broke_after_sending_began_is_unknown),
		cmocka_unit_test(refusal_counts_although_its_body_is_cut),
		cmocka_unit_test(only_no_such_key_to_a_get_is_absence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
