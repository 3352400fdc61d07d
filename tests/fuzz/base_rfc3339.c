/* Any text as a moment: one that is accepted, written in the plain form, is the same. */
#include "base/rfc3339.h"

#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The years 0000 to 9999, and what an offset can add. */
static const int64_t first_ms = INT64_C(-62167305600000), last_ms = INT64_C(253402387200000);

static int64_t write_and_parse(int64_t ms)
{
	time_t seconds = (time_t)((ms - (ms % 1000 + 1000) % 1000) / 1000);
	int64_t again = 0;
	char text[64];
	struct tm utc;

	assert(gmtime_r(&seconds, &utc) != NULL);
	if (utc.tm_year + 1900 < 0 || utc.tm_year + 1900 > 9999)
		return ms;
	(void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
		       utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
		       (int)(ms - (int64_t)seconds * 1000));
	assert(rfc3339_parse(text, &again) == 0);
	return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf text = BUF_INIT;
	int64_t ms = 0;

	buf_add(&text, data, len);
	if (rfc3339_parse(text.data, &ms) == 0) {
		assert(strlen(text.data) >= sizeof "2026-08-22 10:11:12" - 1);
		assert(ms >= first_ms && ms <= last_ms);
		assert(write_and_parse(ms) == ms);
	}
	buf_release(&text);
	return 0;
}
