/*
 * The remote copy of a test: captures are applied to it as whoever restores
 * would apply them, and it is compared with the database byte for byte.
 */
#ifndef UNIT_DB_REPLICA_H
#define UNIT_DB_REPLICA_H

#include "db/capture.h"
#include "db/scratch.h"

struct replica {
	uint8_t *bytes;
	struct wal_position at; /* what would be stored beside it */
	size_t ncaptured; /* pages of the capture applied last */
};

static inline void replica_release(struct replica *r)
{
	free(r->bytes);
	memset(r, 0, sizeof *r);
}

static inline void replica_resize(struct replica *r, uint32_t page_size, uint32_t npages,
				  bool whole)
{
	size_t old = whole ? 0 : (size_t)r->at.page_size * r->at.npages;
	size_t len = (size_t)page_size * npages;

	r->bytes = realloc(r->bytes, len);
	assert_non_null(r->bytes);
	/* A page that the capture forgets is not accidentally right. */
	if (len > old)
		memset(r->bytes + old, 0xee, len - old);
}

/* Takes all pages; the position is the caller's to store. */
static inline void replica_apply(struct replica *r, struct capture *c)
{
	const struct wal_position *to = capture_position(c);
	uint32_t lock_page = 0x40000000 / to->page_size + 1;
	uint32_t had = capture_whole(c) ? 0 : r->at.npages;
	uint32_t pgno = 0, last = 0, ngrown = 0;
	enum capture_page result;
	const uint8_t *page;

	replica_resize(r, to->page_size, to->npages, capture_whole(c));
	r->ncaptured = 0;
	while ((result = capture_next_page(c, &pgno, &page)) == CAPTURE_PAGE) {
		assert_true(pgno > last);
		assert_true(pgno <= to->npages);
		assert_true(pgno != lock_page);
		memcpy(r->bytes + (size_t)(pgno - 1) * to->page_size, page, to->page_size);
		ngrown += pgno > had;
		r->ncaptured++;
		last = pgno;
	}
	assert_int_equal(result, CAPTURE_LAST);
	if (to->npages > had)
		assert_int_equal(ngrown, to->npages - had - (to->npages >= lock_page));
	/* The extent tells how far the position reaches. */
	struct wal_extent e = capture_extent(c);
	if (to->frame > 0)
		assert_int_equal(e.offset + e.len, 32 + (uint64_t)to->frame * (to->page_size + 24));
	else
		assert_int_equal(e.offset + e.len, 0);
}

/* CAPTURE_NOTHING, or one capture from the stored position, applied and stored. */
static inline enum capture_result replica_follow(struct replica *r, struct userdb *u, bool *gap)
{
	struct capture *c = NULL;

	enum capture_result result = capture_begin(u, &r->at, &c);
	if (result != CAPTURE_PAGES)
		return result;
	*gap = capture_gap(c);
	replica_apply(r, c);
	r->at = *capture_position(c);
	capture_end(c);
	return result;
}

static inline void follow_without_gap(struct replica *r, struct userdb *u)
{
	bool gap = false;

	assert_int_equal(replica_follow(r, u, &gap), CAPTURE_PAGES);
	assert_false(gap);
}

static inline void follow_with_gap(struct replica *r, struct userdb *u)
{
	bool gap = false;

	assert_int_equal(replica_follow(r, u, &gap), CAPTURE_PAGES);
	assert_true(gap);
}

static inline void expect_nothing_to_follow(struct replica *r, struct userdb *u)
{
	bool gap = false;

	assert_int_equal(replica_follow(r, u, &gap), CAPTURE_NOTHING);
}

static inline void expect_equals(const struct replica *r, struct userdb *u)
{
	sqlite3_int64 len = 0;
	unsigned char *image = sqlite3_serialize(userdb_sqlite(u), "main", &len, 0);

	assert_non_null(image);
	assert_int_equal(len, (int64_t)r->at.page_size * r->at.npages);
	for (uint32_t i = 0; i < r->at.npages; i++) {
		size_t offset = (size_t)i * r->at.page_size;
		if (memcmp(image + offset, r->bytes + offset, r->at.page_size) != 0)
			fail_msg("page %u of %u differs", i + 1, r->at.npages);
	}
	sqlite3_free(image);
}

static inline int arm_position(void *owner)
{
	struct wal_position *at = owner;

	at->armed = true;
	return 0;
}

#endif
