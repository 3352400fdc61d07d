#include "base/rfc3339.h"

#include "fixture.h"

#include <inttypes.h>

static void moments_are_read_to_the_millisecond(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01 00:00:00", 0 },
		{ "1969-12-31T23:59:59Z", -1000 },
		{ "2026-08-22T10:11:12Z", 1787393472000 },
		{ "2026-08-22 10:11:12", 1787393472000 },
		{ "2026-08-22t10:11:12z", 1787393472000 },
		{ "2026-08-22T10:11:12.345Z", 1787393472345 },
		{ "2026-08-22 10:11:12.345", 1787393472345 },
		{ "2026-08-22 10:11:12Z", 1787393472000 },
		{ "2026-08-22T10:11:12.3Z", 1787393472300 },
		{ "2026-08-22T10:11:12.03Z", 1787393472030 },
		{ "2026-08-22T10:11:12.3459999999999999999999Z", 1787393472345 },
		{ "2026-08-22T12:11:12+02:00", 1787393472000 },
		{ "2026-08-22T04:41:12.5-05:30", 1787393472500 },
		{ "2026-08-23T00:11:12+14:00", 1787393472000 },
		{ "2024-02-29T00:00:00Z", 1709164800000 },
		{ "9999-12-31T23:59:59Z", 253402300799000 },
		{ "0000-01-01T00:00:00Z", -62167219200000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t got = 0;

		if (rfc3339_parse(cases[i].text, &got) < 0 || got != cases[i].ms)
			fail_msg("'%s': got %" PRId64 ", want %" PRId64, cases[i].text, got,
				 cases[i].ms);
	}
}

static void what_is_no_moment_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"now",
		"1787393472",
		"2026-08-22",
		"2026-08-22T10:11Z",
		"2026-08-22T10:11:12", /* whose time? */
		"2026-08-22 10:11:12 ",
		" 2026-08-22 10:11:12",
		"2026-08-22  10:11:12",
		"2026-8-22T10:11:12Z",
		"26-08-22T10:11:12Z",
		"+026-08-22T10:11:12Z",
		"2026-08-22T1:11:12Z",
		"2026-08-22T10:11:12.Z",
		"2026-08-22T10:11:12,5Z",
		"2026-08-22T10:11:12+0200",
		"2026-08-22T10:11:12+02",
		"2026-08-22T10:11:12+24:00",
		"2026-08-22T10:11:12+02:60",
		"2026-08-22T10:11:12ZZ",
		"2026-08-22T10:11:12Z\n",
		"2026-00-22T10:11:12Z",
		"2026-13-22T10:11:12Z",
		"2026-02-29T10:11:12Z",
		"2026-04-31T10:11:12Z",
		"2026-08-00T10:11:12Z",
		"2026-08-32T10:11:12Z",
		"2026-08-22T24:00:00Z",
		"2026-08-22T10:60:12Z",
		"2026-08-22T10:11:60Z",
	};
	int64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (rfc3339_parse(texts[i], &ms) == 0)
			fail_msg("'%s' was taken for %" PRId64, texts[i], ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moments_are_read_to_the_millisecond),
		cmocka_unit_test(what_is_no_moment_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
