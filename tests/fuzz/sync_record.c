/*
 * Any bytes as one of the small files beside a database.  What is taken is
 * exactly what would be written; of a record, which has a checksum, no other
 * byte would do.
 *
 * The first byte says which file, the second which byte of it is damaged.
 */
#include "../../app/sync/record.c"

#include "quiet.h"

/* Their static functions have the same names. */
#define layout tally_layout
#define render tally_render
#define parse tally_parse
#include "../../app/sync/tally.c"
#undef layout
#undef render
#undef parse

#include <assert.h>

enum { CRC_LINE_LEN = 21 };

size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max);

static bool record_is_taken(const struct buf *text, struct record *out)
{
	return text->len <= RECORD_MAX && parse(text->data, out) == 0 && is_exactly(out, text);
}

static void use_record(struct buf *text, uint8_t damage)
{
	struct tally t = { 0 };
	struct record r;

	if (!record_is_taken(text, &r))
		return;
	assert(r.error < ERROR_COUNT);
	(void)tally_due(&t, &r, 1700000000000);
	text->data[damage % text->len] ^= 1;
	assert(!record_is_taken(text, &r));
}

static void use_tally(const struct buf *text)
{
	struct record r = { .txid = 700, .pushed_bytes = 1 << 24 };
	char again[TALLY_MAX];
	struct tally t;

	if (text->len > TALLY_MAX || !tally_parse(text, &t))
		return;
	r.position.page_size = 4096;
	r.position.npages = 1 << 20;
	assert((size_t)tally_render(&t, again) == text->len);
	assert(memcmp(again, text->data, text->len) == 0);
	(void)tally_due(&t, &r, 1700000000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf text = BUF_INIT;

	if (len < 2)
		return 0;
	buf_add(&text, data + 2, len - 2);
	if (data[0] % 2 == 0)
		use_record(&text, data[1]);
	else
		use_tally(&text);
	buf_release(&text);
	return 0;
}

static void repair_checksum(uint8_t *text, size_t len)
{
	char line[CRC_LINE_LEN + 1];

	if (len < CRC_LINE_LEN)
		return;
	len -= CRC_LINE_LEN;
	(void)snprintf(line, sizeof line, "crc %016" PRIx64 "\n", crc64_update(0, text, len));
	memcpy(text + len, line, CRC_LINE_LEN);
}

/* Mostly with a checksum that fits, or nothing would be taken. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed)
{
	len = LLVMFuzzerMutate(data, len, max);
	if (len > 2 && data[0] % 2 == 0 && seed % 8 != 0)
		repair_checksum(data + 2, len - 2);
	return len;
}
