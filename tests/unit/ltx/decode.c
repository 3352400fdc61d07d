#include "ltx/decode.h"

#include "ltx/crc64.h"
#include "ltx/fixture.h"
#include "ltx/wire.h"

#include <lz4.h>
#include <lz4frame.h>

static struct ltx_decoder *open_bytes(struct reader *r, const struct buf *file)
{
	*r = (struct reader){ .data = file->data, .len = file->len };
	return ltx_decoder_new(read_from_memory, r, file->len);
}

/* How reading a file ends; its pages are added to `pages`. */
static enum ltx_result read_all(struct ltx_decoder *d, struct buf *pages)
{
	enum ltx_result result;
	const uint8_t *page;
	uint32_t pgno;

	while ((result = ltx_decode_page(d, &pgno, &page)) == LTX_PAGE) {
		buf_add(pages, &pgno, sizeof pgno);
		buf_add(pages, page, ltx_decoder_header(d)->page_size);
	}
	return result;
}

static enum ltx_result read_bytes(const char *bytes, size_t len, uint64_t size, struct buf *pages)
{
	struct reader r = { .data = bytes, .len = len };
	struct ltx_decoder *d = ltx_decoder_new(read_from_memory, &r, size);
	enum ltx_result result = read_all(d, pages);

	assert_true((result == LTX_DAMAGED) == (ltx_decoder_error(d) != NULL));
	ltx_decoder_free(d);
	return result;
}

static void add_page(struct buf *pages, uint32_t pgno, const uint8_t *page)
{
	buf_add(pages, &pgno, sizeof pgno);
	buf_add(pages, page, VECTOR_PAGE);
}

static void add_filled_page(struct buf *pages, uint32_t pgno, int byte)
{
	uint8_t page[VECTOR_PAGE];

	memset(page, byte, sizeof page);
	add_page(pages, pgno, page);
}

static struct buf snapshot_pages(void)
{
	struct buf pages = BUF_INIT;
	uint8_t page[VECTOR_PAGE];

	vector_page_1(page);
	add_page(&pages, 1, page);
	add_filled_page(&pages, 2, 'B');
	return pages;
}

static void assert_reads_as(const char *hex, const struct buf *want)
{
	struct buf file = from_hex(hex), pages = BUF_INIT;

	assert_int_equal(read_bytes(file.data, file.len, file.len, &pages), LTX_END);
	assert_int_equal(pages.len, want->len);
	assert_memory_equal(pages.data, want->data, want->len);
	buf_release(&file);
	buf_release(&pages);
}

static void known_files_have_the_known_pages(void **state)
{
	struct buf snapshot = snapshot_pages(), increment = BUF_INIT;

	(void)state;
	add_filled_page(&increment, 2, 'C');
	assert_reads_as(snapshot_hex, &snapshot);
	assert_reads_as(blocks_hex, &snapshot);
	assert_reads_as(increment_hex, &increment);
	buf_release(&snapshot);
	buf_release(&increment);
}

static const char *const vectors[] = { snapshot_hex, blocks_hex, increment_hex };

/* Whether the file is accepted; a page that differs from `want` is a failure. */
static bool survives(const struct buf *file, const struct buf *want)
{
	struct buf pages = BUF_INIT;
	bool accepted = read_bytes(file->data, file->len, file->len, &pages) == LTX_END;

	if (accepted) {
		assert_int_equal(pages.len, want->len);
		assert_memory_equal(pages.data, want->data, want->len);
	}
	buf_release(&pages);
	return accepted;
}

/*
 * The compressed bytes are under no checksum but that of what they mean, and
 * some bits mean nothing: four in the last token of each of two pages, and
 * LZ4 1.9.4 takes the offset 0 of a match for zeros, as offset 1 is in page 1.
 */
enum { MEANINGLESS_BITS = 9 };

static void every_flipped_bit_is_detected_or_changes_nothing(void **state)
{
	(void)state;
	for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
		struct buf file = from_hex(vectors[v]), want = BUF_INIT;
		unsigned survivors = 0;
		assert_int_equal(read_bytes(file.data, file.len, file.len, &want), LTX_END);
		for (size_t bit = 0; bit < file.len * 8; bit++) {
			file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
			survivors += survives(&file, &want);
			file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
		}
		assert_true(survivors <= MEANINGLESS_BITS);
		assert_true(survives(&file, &want));
		buf_release(&file);
		buf_release(&want);
	}
}

static void every_truncation_is_detected(void **state)
{
	(void)state;
	for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
		struct buf file = from_hex(vectors[v]), pages = BUF_INIT;
		for (size_t len = 0; len < file.len; len++) {
			/* A shorter object, and one whose transfer ended early. */
			assert_int_equal(read_bytes(file.data, len, len, &pages), LTX_DAMAGED);
			assert_int_equal(read_bytes(file.data, len, file.len, &pages), LTX_DAMAGED);
		}
		buf_release(&file);
		buf_release(&pages);
	}
}

static void bytes_behind_the_trailer_are_detected(void **state)
{
	struct buf file = from_hex(snapshot_hex), pages = BUF_INIT;
	size_t len = file.len;

	(void)state;
	for (int i = 0; i < 40; i++) {
		buf_add(&file, "", 1);
		assert_int_equal(read_bytes(file.data, file.len, file.len, &pages), LTX_DAMAGED);
	}
	assert_int_equal(read_bytes(file.data, file.len, len, &pages), LTX_END);
	buf_release(&file);
	buf_release(&pages);
}

static void file_without_a_header_has_none(void **state)
{
	struct buf file = from_hex(snapshot_hex);
	struct reader r;

	(void)state;
	file.data[0] = 'l';
	struct ltx_decoder *d = open_bytes(&r, &file);
	assert_null(ltx_decoder_header(d));
	assert_non_null(ltx_decoder_error(d));
	ltx_decoder_free(d);
	buf_release(&file);
}

static void header_is_read_without_what_follows(void **state)
{
	struct buf file = from_hex(snapshot_hex);
	struct reader r;

	(void)state;
	struct ltx_decoder *d = open_bytes(&r, &file);
	assert_int_equal(r.at, LTX_HEADER_LEN);
	assert_int_equal(ltx_decoder_header(d)->timestamp_ms, snapshot_header.timestamp_ms);
	ltx_decoder_free(d);
	buf_release(&file);
}

static void end_and_damage_are_final(void **state)
{
	struct buf file = from_hex(snapshot_hex), pages = BUF_INIT;
	struct reader r;

	(void)state;
	struct ltx_decoder *d = open_bytes(&r, &file);
	assert_int_equal(read_all(d, &pages), LTX_END);
	assert_int_equal(read_all(d, &pages), LTX_END);
	ltx_decoder_free(d);

	file.data[170]++;
	d = open_bytes(&r, &file);
	assert_int_equal(read_all(d, &pages), LTX_DAMAGED);
	size_t len = pages.len;
	assert_int_equal(read_all(d, &pages), LTX_DAMAGED);
	assert_int_equal(pages.len, len);
	ltx_decoder_free(d);
	buf_release(&file);
	buf_release(&pages);
}

/*
 * Writes files that break one rule and keep all others, the file checksum
 * included, so that it is this rule that refuses them.
 */
struct forger {
	struct buf file;
	struct buf index;
	uint64_t crc;
};

static void add_hashed(struct forger *f, const void *bytes, size_t len)
{
	f->crc = crc64_update(f->crc, bytes, len);
	buf_add(&f->file, bytes, len);
}

static void forge_header(struct forger *f, const struct ltx_header *h)
{
	uint8_t bytes[LTX_HEADER_LEN];

	*f = (struct forger){ .file = BUF_INIT, .index = BUF_INIT };
	ltx_header_write(h, bytes);
	add_hashed(f, bytes, sizeof bytes);
}

static void forge_page_header(struct forger *f, uint32_t pgno, uint8_t flags)
{
	uint8_t bytes[WIRE_PAGE_HEADER_LEN] = { [5] = flags };

	wire_put_u32(bytes, pgno);
	add_hashed(f, bytes, sizeof bytes);
}

static void forge_index_entry(struct forger *f, uint32_t pgno, uint64_t offset, uint64_t len)
{
	uint8_t entry[WIRE_INDEX_ENTRY_MAX];

	buf_add(&f->index, entry, wire_put_index_entry(entry, pgno, offset, len));
}

static const LZ4F_preferences_t good_frame = {
	.frameInfo = { .contentChecksumFlag = LZ4F_contentChecksumEnabled },
};

static void add_frame(struct forger *f, size_t len, const LZ4F_preferences_t *prefs)
{
	uint8_t page[2 * VECTOR_PAGE] = { 0 };
	char frame[4 * VECTOR_PAGE];

	size_t n = LZ4F_compressFrame(frame, sizeof frame, page, len, prefs);
	assert_false(LZ4F_isError(n));
	buf_add(&f->file, frame, n);
	f->crc = crc64_update(f->crc, page, len);
}

static void forge_page(struct forger *f, uint32_t pgno, size_t len, const LZ4F_preferences_t *prefs)
{
	size_t offset = f->file.len;

	forge_page_header(f, pgno, 0);
	add_frame(f, len, prefs);
	forge_index_entry(f, pgno, offset, f->file.len - offset);
}

static void forge_block(struct forger *f, uint32_t pgno, int len)
{
	char page[2 * VECTOR_PAGE] = { 0 }, block[4 * VECTOR_PAGE];
	size_t offset = f->file.len;
	uint8_t prefix[4];

	int n = LZ4_compress_default(page, block, len, sizeof block);
	assert_true(n > 0);
	forge_page_header(f, pgno, 1);
	wire_put_u32(prefix, (uint32_t)n);
	add_hashed(f, prefix, sizeof prefix);
	buf_add(&f->file, block, (size_t)n);
	f->crc = crc64_update(f->crc, page, (size_t)len);
	forge_index_entry(f, pgno, offset, f->file.len - offset);
}

static void forge_end(struct forger *f, int64_t index_len_error, uint64_t database_checksum)
{
	uint8_t bytes[8];

	forge_page_header(f, 0, 0);
	buf_add(&f->index, "", 1);
	add_hashed(f, f->index.data, f->index.len);
	wire_put_u64(bytes, f->index.len + (uint64_t)index_len_error);
	add_hashed(f, bytes, 8);
	wire_put_u64(bytes, database_checksum);
	add_hashed(f, bytes, 8);
	wire_put_u64(bytes, f->crc | WIRE_CHECKSUM);
	buf_add(&f->file, bytes, 8);
}

static void forger_release(struct forger *f)
{
	buf_release(&f->file);
	buf_release(&f->index);
}

static void assert_accepted(struct forger *f)
{
	struct buf pages = BUF_INIT;
	struct reader r;
	struct ltx_decoder *d = open_bytes(&r, &f->file);

	if (read_all(d, &pages) != LTX_END)
		fail_msg("refused: %s", ltx_decoder_error(d));
	ltx_decoder_free(d);
	buf_release(&pages);
	forger_release(f);
}

static void assert_refused(struct forger *f, const char *why)
{
	struct buf pages = BUF_INIT;
	struct reader r;
	struct ltx_decoder *d = open_bytes(&r, &f->file);

	assert_int_equal(read_all(d, &pages), LTX_DAMAGED);
	assert_string_equal(ltx_decoder_error(d), why);
	ltx_decoder_free(d);
	buf_release(&pages);
	forger_release(f);
}

static void forge_small(struct forger *f)
{
	struct ltx_header h = increment_header;

	h.commit = 9;
	forge_header(f, &h);
}

static void forged_file_that_breaks_nothing_is_accepted(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page(&f, 1, VECTOR_PAGE, &good_frame);
	forge_block(&f, 9, VECTOR_PAGE);
	forge_end(&f, 0, 0);
	assert_accepted(&f);
}

static void file_without_pages_is_accepted(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_end(&f, 0, 0);
	assert_accepted(&f);
}

static void page_numbers_out_of_order_are_refused(void **state)
{
	static const uint32_t second[] = { 4, 5 };
	struct forger f;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		forge_small(&f);
		forge_page(&f, 5, VECTOR_PAGE, &good_frame);
		forge_page(&f, second[i], VECTOR_PAGE, &good_frame);
		forge_end(&f, 0, 0);
		assert_refused(&f, "page numbers do not ascend");
	}
}

static void page_beyond_the_database_is_refused(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page(&f, 10, VECTOR_PAGE, &good_frame);
	forge_end(&f, 0, 0);
	assert_refused(&f, "a page lies beyond the end of the database");
}

static void lock_page_is_refused(void **state)
{
	struct ltx_header h = increment_header;
	struct forger f;

	(void)state;
	h.commit = UINT32_MAX;
	forge_header(&f, &h);
	forge_page(&f, ltx_lock_page(VECTOR_PAGE), VECTOR_PAGE, &good_frame);
	forge_end(&f, 0, 0);
	assert_refused(&f, "it holds the lock page");
}

static void snapshot_with_a_hole_is_refused(void **state)
{
	struct ltx_header h = snapshot_header;
	struct forger f;

	(void)state;
	h.commit = 3;
	for (uint32_t hole = 1; hole <= 3; hole++) {
		forge_header(&f, &h);
		for (uint32_t pgno = 1; pgno <= 3; pgno++)
			if (pgno != hole)
				forge_page(&f, pgno, VECTOR_PAGE, &good_frame);
		forge_end(&f, 0, 0);
		assert_refused(&f, "pages are missing from a snapshot");
	}
}

static void unknown_page_flag_is_refused(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page_header(&f, 1, 2);
	add_frame(&f, VECTOR_PAGE, &good_frame);
	forge_end(&f, 0, 0);
	assert_refused(&f, "a page has an unknown encoding");
}

static void frame_that_is_not_one_page_is_refused(void **state)
{
	static const size_t lens[] = { 0, 1, VECTOR_PAGE - 1, VECTOR_PAGE + 1, 2 * VECTOR_PAGE };
	struct forger f;

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		forge_small(&f);
		forge_page(&f, 1, lens[i], &good_frame);
		forge_end(&f, 0, 0);
		assert_refused(&f, "a frame is not one page");
	}
}

static void block_that_is_not_one_page_is_refused(void **state)
{
	static const int lens[] = { 1, VECTOR_PAGE - 1, VECTOR_PAGE + 1, 2 * VECTOR_PAGE };
	struct forger f;

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
		forge_small(&f);
		forge_block(&f, 1, lens[i]);
		forge_end(&f, 0, 0);
		assert_refused(&f, "a block is not one page");
	}
}

static void block_of_absurd_length_is_refused(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page_header(&f, 1, 1);
	add_hashed(&f, "\xff\xff\xff\xff", 4);
	forge_end(&f, 0, 0);
	assert_refused(&f, "a block is longer than a page can get");
}

static void frame_without_content_checksum_is_refused(void **state)
{
	static const LZ4F_preferences_t none = { .autoFlush = 1 };
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page(&f, 1, VECTOR_PAGE, &none);
	forge_end(&f, 0, 0);
	assert_refused(&f, "a frame has no content checksum");
}

static void skippable_frame_is_refused(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page_header(&f, 1, 0);
	buf_add(&f.file, "\x50\x2a\x4d\x18\x04\0\0\0abcd", 12);
	add_frame(&f, VECTOR_PAGE, &good_frame);
	forge_end(&f, 0, 0);
	assert_refused(&f, "a frame has no content checksum");
}

static void second_frame_for_a_page_is_refused(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page(&f, 1, VECTOR_PAGE, &good_frame);
	add_frame(&f, VECTOR_PAGE, &good_frame);
	forge_end(&f, 0, 0);
	assert_refused(&f, "a page lies beyond the end of the database");
}

static void frame_of_any_legal_form_is_read(void **state)
{
	static const LZ4F_preferences_t forms[] = {
		{ .frameInfo = { .contentChecksumFlag = LZ4F_contentChecksumEnabled,
				 .blockSizeID = LZ4F_max4MB,
				 .blockMode = LZ4F_blockLinked,
				 .blockChecksumFlag = LZ4F_blockChecksumEnabled } },
		{ .frameInfo = { .contentChecksumFlag = LZ4F_contentChecksumEnabled,
				 .contentSize = VECTOR_PAGE } },
	};
	struct forger f;

	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		forge_small(&f);
		forge_page(&f, 1, VECTOR_PAGE, &forms[i]);
		forge_end(&f, 0, 0);
		assert_accepted(&f);
	}
}

static void index_that_disagrees_with_the_pages_is_refused(void **state)
{
	static const struct {
		uint32_t pgno;
		uint64_t offset;
		int len_error;
	} wrong[] = { { 2, 100, 0 }, { 1, 101, 0 }, { 1, 100, 1 }, { 1, 100, -1 } };
	struct forger f;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		forge_small(&f);
		forge_page(&f, 1, VECTOR_PAGE, &good_frame);
		uint64_t len = f.file.len - LTX_HEADER_LEN + (uint64_t)wrong[i].len_error;
		buf_clear(&f.index);
		forge_index_entry(&f, wrong[i].pgno, wrong[i].offset, len);
		forge_end(&f, 0, 0);
		assert_refused(&f, "its index does not fit its pages");
	}
}

static void index_with_an_entry_too_many_or_too_few_is_refused(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page(&f, 1, VECTOR_PAGE, &good_frame);
	forge_index_entry(&f, 2, 150, 30);
	forge_end(&f, 0, 0);
	assert_refused(&f, "its size does not fit its pages");

	forge_small(&f);
	forge_page(&f, 1, VECTOR_PAGE, &good_frame);
	buf_clear(&f.index);
	forge_end(&f, 0, 0);
	assert_refused(&f, "its size does not fit its pages");
}

static void index_that_lies_about_its_length_is_refused(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page(&f, 1, VECTOR_PAGE, &good_frame);
	forge_end(&f, 1, 0);
	assert_refused(&f, "its index does not fit its pages");
}

static void tracked_database_checksum_is_refused(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page(&f, 1, VECTOR_PAGE, &good_frame);
	forge_end(&f, 0, WIRE_CHECKSUM | 1);
	assert_refused(&f, "it has a database checksum, which its header denies");
}

static void wrong_file_checksum_is_refused(void **state)
{
	struct forger f;

	(void)state;
	forge_small(&f);
	forge_page(&f, 1, VECTOR_PAGE, &good_frame);
	f.crc ^= 1;
	forge_end(&f, 0, 0);
	assert_refused(&f, "its checksum does not fit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_files_have_the_known_pages),
		cmocka_unit_test(every_flipped_bit_is_detected_or_changes_nothing),
		cmocka_unit_test(every_truncation_is_detected),
		cmocka_unit_test(bytes_behind_the_trailer_are_detected),
		cmocka_unit_test(file_without_a_header_has_none),
		cmocka_unit_test(header_is_read_without_what_follows),
		cmocka_unit_test(end_and_damage_are_final),
		cmocka_unit_test(forged_file_that_breaks_nothing_is_accepted),
		cmocka_unit_test(file_without_pages_is_accepted),
		cmocka_unit_test(page_numbers_out_of_order_are_refused),
		cmocka_unit_test(page_beyond_the_database_is_refused),
		cmocka_unit_test(lock_page_is_refused),
		cmocka_unit_test(snapshot_with_a_hole_is_refused),
		cmocka_unit_test(unknown_page_flag_is_refused),
		cmocka_unit_test(frame_that_is_not_one_page_is_refused),
		cmocka_unit_test(block_that_is_not_one_page_is_refused),
		cmocka_unit_test(block_of_absurd_length_is_refused),
		cmocka_unit_test(frame_without_content_checksum_is_refused),
		cmocka_unit_test(skippable_frame_is_refused),
		cmocka_unit_test(second_frame_for_a_page_is_refused),
		cmocka_unit_test(frame_of_any_legal_form_is_read),
		cmocka_unit_test(index_that_disagrees_with_the_pages_is_refused),
		cmocka_unit_test(index_with_an_entry_too_many_or_too_few_is_refused),
		cmocka_unit_test(index_that_lies_about_its_length_is_refused),
		cmocka_unit_test(tracked_database_checksum_is_refused),
		cmocka_unit_test(wrong_file_checksum_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
