#include "ltx/encode.h"

#include "ltx/decode.h"
#include "ltx/fixture.h"

#include <lz4.h>

/* The compressed bytes of the vectors are those of this version of liblz4. */
static const int lz4_of_vectors = 10904;

static void assert_bytes_of_vector(const struct buf *file, const char *hex)
{
	struct buf want = from_hex(hex);

	if (LZ4_versionNumber() == lz4_of_vectors) {
		assert_int_equal(file->len, want.len);
		assert_memory_equal(file->data, want.data, want.len);
	}
	buf_release(&want);
}

static void assert_next_page(struct ltx_decoder *d, uint32_t want_pgno, const uint8_t *want)
{
	const uint8_t *page;
	uint32_t pgno;

	assert_int_equal(ltx_decode_page(d, &pgno, &page), LTX_PAGE);
	assert_int_equal(pgno, want_pgno);
	assert_memory_equal(page, want, ltx_decoder_header(d)->page_size);
}

static void assert_end(struct ltx_decoder *d)
{
	const uint8_t *page;
	uint32_t pgno;

	if (ltx_decode_page(d, &pgno, &page) != LTX_END)
		fail_msg("no end: %s", ltx_decoder_error(d));
}

static void snapshot_is_the_known_file(void **state)
{
	struct buf file = BUF_INIT;
	struct ltx_encoder *e = ltx_encoder_new(&snapshot_header, append_to_buf, &file);
	uint8_t page[2][VECTOR_PAGE];

	(void)state;
	vector_page_1(page[0]);
	memset(page[1], 'B', VECTOR_PAGE);
	assert_int_equal(ltx_encode_page(e, 1, page[0]), 0);
	assert_int_equal(ltx_encode_page(e, 2, page[1]), 0);
	assert_int_equal(ltx_encoder_finish(e), 0);
	ltx_encoder_free(e);

	assert_bytes_of_vector(&file, snapshot_hex);
	struct reader r = { .data = file.data, .len = file.len };
	struct ltx_decoder *d = ltx_decoder_new(read_from_memory, &r, file.len);
	assert_next_page(d, 1, page[0]);
	assert_next_page(d, 2, page[1]);
	assert_end(d);
	ltx_decoder_free(d);
	buf_release(&file);
}

static void increment_is_the_known_file(void **state)
{
	struct buf file = BUF_INIT;
	struct ltx_encoder *e = ltx_encoder_new(&increment_header, append_to_buf, &file);
	uint8_t page[VECTOR_PAGE];

	(void)state;
	memset(page, 'C', sizeof page);
	assert_int_equal(ltx_encode_page(e, 2, page), 0);
	assert_int_equal(ltx_encoder_finish(e), 0);
	ltx_encoder_free(e);

	assert_bytes_of_vector(&file, increment_hex);
	struct reader r = { .data = file.data, .len = file.len };
	struct ltx_decoder *d = ltx_decoder_new(read_from_memory, &r, file.len);
	assert_next_page(d, 2, page);
	assert_end(d);
	ltx_decoder_free(d);
	buf_release(&file);
}

/* Odd pages cannot be compressed, every fourth is empty, the others half noise. */
static void make_page(uint8_t *page, uint32_t page_size, uint32_t pgno)
{
	memset(page, 0, page_size);
	if (pgno % 2 == 1)
		fill_with_noise(page, page_size, pgno);
	else if (pgno % 4 == 2)
		fill_with_noise(page, page_size / 2, pgno);
}

static void encode_pages(const struct ltx_header *h, const uint32_t *pgnos, size_t n,
			 struct buf *out)
{
	struct ltx_encoder *e = ltx_encoder_new(h, append_to_buf, out);
	uint8_t page[LTX_PAGE_MAX];

	for (size_t i = 0; i < n; i++) {
		make_page(page, h->page_size, pgnos[i]);
		assert_int_equal(ltx_encode_page(e, pgnos[i], page), 0);
	}
	assert_int_equal(ltx_encoder_finish(e), 0);
	ltx_encoder_free(e);
}

static void assert_decodes_to(const struct buf *file, const uint32_t *pgnos, size_t n)
{
	struct reader r = { .data = file->data, .len = file->len };
	struct ltx_decoder *d = ltx_decoder_new(read_from_memory, &r, file->len);
	uint8_t page[LTX_PAGE_MAX];

	assert_non_null(ltx_decoder_header(d));
	for (size_t i = 0; i < n; i++) {
		make_page(page, ltx_decoder_header(d)->page_size, pgnos[i]);
		assert_next_page(d, pgnos[i], page);
	}
	assert_end(d);
	assert_int_equal(r.at, file->len);
	ltx_decoder_free(d);
}

static void every_page_size_survives_the_round_trip(void **state)
{
	static const uint32_t pgnos[] = { 1, 2, 3, 4, 5, 6, 7 };
	struct ltx_header h = snapshot_header;

	(void)state;
	h.commit = 7;
	for (h.page_size = LTX_PAGE_MIN; h.page_size <= LTX_PAGE_MAX; h.page_size *= 2) {
		struct buf file = BUF_INIT;
		encode_pages(&h, pgnos, 7, &file);
		assert_decodes_to(&file, pgnos, 7);
		buf_release(&file);
	}
}

static void incompressible_page_costs_25_bytes_more(void **state)
{
	static const uint32_t pgno = 3;
	struct ltx_header h = increment_header;

	(void)state;
	h.commit = 3;
	for (h.page_size = LTX_PAGE_MIN; h.page_size <= LTX_PAGE_MAX; h.page_size *= 2) {
		struct buf file = BUF_INIT;
		encode_pages(&h, &pgno, 1, &file);
		size_t entry = h.page_size + 25;
		size_t index = 1 + 1 + (entry < 1 << 14 ? 2 : 3) + 1;
		assert_int_equal(file.len, LTX_HEADER_LEN + entry + 6 + index + 8 + 16);
		assert_decodes_to(&file, &pgno, 1);
		buf_release(&file);
	}
}

static void pages_around_the_lock_page_survive_the_round_trip(void **state)
{
	static const uint32_t pgnos[] = { 1, 16384, 16386, 16387 };
	struct ltx_header h = increment_header;
	struct buf file = BUF_INIT;

	(void)state;
	h.page_size = 65536;
	h.commit = 16387;
	encode_pages(&h, pgnos, 4, &file);
	assert_decodes_to(&file, pgnos, 4);
	buf_release(&file);
}

static void index_of_many_pages_survives_the_round_trip(void **state)
{
	enum { COUNT = 20000 };
	struct ltx_header h = snapshot_header;
	struct buf file = BUF_INIT;
	static uint32_t pgnos[COUNT];

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		pgnos[i] = i + 1;
	h.commit = COUNT;
	encode_pages(&h, pgnos, COUNT, &file);
	assert_decodes_to(&file, pgnos, COUNT);
	buf_release(&file);
}

/* Refuses the call after `left` more. */
static int refuse_after(void *owner, const void *bytes, size_t len)
{
	int *left = owner;

	(void)bytes, (void)len;
	return (*left)-- > 0 ? 0 : -1;
}

static int encode_until_refused(int calls)
{
	struct ltx_encoder *e = ltx_encoder_new(&snapshot_header, refuse_after, &calls);
	uint8_t page[VECTOR_PAGE] = { 0 };
	int result = -1;

	if (e != NULL && ltx_encode_page(e, 1, page) == 0 && ltx_encode_page(e, 2, page) == 0)
		result = ltx_encoder_finish(e);
	ltx_encoder_free(e);
	return result;
}

static void refusal_of_any_write_is_reported(void **state)
{
	int calls = 0;

	(void)state;
	while (encode_until_refused(calls) < 0)
		assert_true(++calls < 100);
	assert_true(calls >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshot_is_the_known_file),
		cmocka_unit_test(increment_is_the_known_file),
		cmocka_unit_test(every_page_size_survives_the_round_trip),
		cmocka_unit_test(incompressible_page_costs_25_bytes_more),
		cmocka_unit_test(pages_around_the_lock_page_survive_the_round_trip),
		cmocka_unit_test(index_of_many_pages_survives_the_round_trip),
		cmocka_unit_test(refusal_of_any_write_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
