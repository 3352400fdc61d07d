/* Any bytes as the file that names the data directory: what is taken is what was written. */
#include "../../app/state/node.c"

#include "quiet.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char again[NODE_TEXT_LEN + 1];
	struct buf text = BUF_INIT;
	uint64_t id;

	buf_add(&text, data, len);
	if (parse_id(text.data, text.len, &id) == 0) {
		(void)snprintf(again, sizeof again, "%016" PRIx64 "\n", id);
		assert(id != 0 && len == NODE_TEXT_LEN && memcmp(again, data, len) == 0);
	}
	buf_release(&text);
	return 0;
}
