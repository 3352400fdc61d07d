/*
 * Any text as a Prefer header: the wait is within its bounds, is none where nobody asks
 * for one, and is the same behind other preferences.
 */
#include "http/prefer.h"

#include "base/buf.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf header = BUF_INIT, behind = BUF_INIT;

	buf_add(&header, data, len);
	int64_t ms = prefer_wait_ms(header.data);
	assert(ms >= 0 && ms <= PREFER_WAIT_MAX_MS && ms % 1000 == 0);
	if (strcasestr(header.data, "wait") == NULL)
		assert(ms == 0);
	buf_addf(&behind, "return=\"a, wait=1\"; b , waits=2,%s", header.data);
	assert(prefer_wait_ms(behind.data) == ms);
	buf_release(&header);
	buf_release(&behind);
	return 0;
}
