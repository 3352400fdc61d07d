/*
 * A capture remembers which pages changed and in which frame each was written
 * last, 8 bytes a page; the pages themselves are read when they are asked for.
 *
 * Three things decide what is in it:
 *
 *	changed		frames after the position, the last one of each page
 *	every page	above `all_above`: the size at the position, for a growth
 *			need not be written by SQLite (free pages), but the
 *			reader of the object wants every page of it; 0 for a
 *			whole capture, which so is the same thing
 *	page 1		when the size changed
 *
 * A page that is in no frame of this WAL is in the database file.
 *
 * The transaction keeps all of that in place, with one exception.  When every
 * frame has been copied to the file, SQLite's readers ignore the WAL, and their
 * lock does not keep a writer from starting it over; it does keep the file as
 * it is.  Then frames only tell which pages changed, and contents come from the
 * file.
 */
#include "db/capture.h"

#include "base/alloc.h"
#include "base/log.h"
#include "db/wal.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS = 5 };

struct changed_page {
	uint32_t pgno;
	uint32_t frame; /* the newest one; 0: in the database file */
};

struct capture {
	struct wal wal;
	struct wal_index now;
	struct wal_header header; /* unset while nothing is in the WAL */
	struct wal_position end;
	struct wal_extent extent;
	bool gap;

	struct changed_page *changed; /* sorted, without duplicates, once collected */
	size_t nchanged, cap;
	uint32_t all_above; /* every page above this one is part of the capture */

	size_t next; /* of changed[] */
	uint32_t last; /* the page handed out last */
	uint8_t *space;
};

static void capture_reset(struct capture *c)
{
	wal_end(&c->wal);
	free(c->changed);
	free(c->space);
	memset(c, 0, sizeof *c);
}

/* How a position leads to the present end of the WAL. */
enum route {
	ROUTE_NONE, /* it is the end */
	ROUTE_ON, /* on after its frame */
	ROUTE_ANEW, /* from frame 1: all of this WAL came later */
	ROUTE_WHOLE, /* there is no position */
	ROUTE_GAP, /* something may lie between that is nowhere any more */
};

static enum route route_within(const struct wal_position *from, const struct wal_index *now)
{
	if (from->frame < now->last_frame)
		return ROUTE_ON;
	if (from->frame > now->last_frame || from->sum[0] != now->sum[0] ||
	    from->sum[1] != now->sum[1])
		return ROUTE_GAP;
	return ROUTE_NONE;
}

/* Nobody has copied anything to the database file since our own checkpoint. */
static bool is_as_it_was(const struct wal_position *from, const struct wal_index *now)
{
	return from->file_ns != 0 && from->file_ns == now->file_ns;
}

static enum route route_from(const struct wal_position *from, const struct wal_index *now)
{
	if (from->page_size == 0)
		return ROUTE_WHOLE;
	if (from->page_size != now->page_size)
		return ROUTE_GAP;
	if (from->frame == 0 && from->file_ns != now->file_ns)
		return ROUTE_GAP;
	if (now->last_frame == 0) {
		bool complete = from->frame == 0 ||
				(from->armed && (!now->wal_is_cut || is_as_it_was(from, now)));
		return complete && from->npages == now->npages ? ROUTE_NONE : ROUTE_GAP;
	}
	if (from->frame == 0)
		return ROUTE_ANEW;
	if (memcmp(from->salt, now->salt, sizeof from->salt) == 0)
		return route_within(from, now);
	bool next = wal_salt_follows(from->salt, now->salt) || is_as_it_was(from, now);
	return from->armed && next ? ROUTE_ANEW : ROUTE_GAP;
}

static struct wal_position position_of(const struct wal_index *now)
{
	struct wal_position p = {
		.frame = now->last_frame,
		.sum = { now->sum[0], now->sum[1] },
		.page_size = now->page_size,
		.npages = now->npages,
		.armed = now->last_frame > 0 && now->in_file,
		.file_ns = now->in_file ? now->file_ns : 0,
	};

	memcpy(p.salt, now->salt, sizeof p.salt);
	return p;
}

static void add_changed(struct capture *c, uint32_t pgno, uint32_t frame)
{
	if (pgno > c->now.npages || pgno == wal_lock_page(c->now.page_size))
		return;
	if (c->nchanged == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 64;
		c->changed = alloc_resized(c->changed, c->cap * sizeof *c->changed);
	}
	c->changed[c->nchanged++] = (struct changed_page){ .pgno = pgno, .frame = frame };
}

static int by_page_and_frame(const void *left, const void *right)
{
	const struct changed_page *a = left, *b = right;

	if (a->pgno != b->pgno)
		return a->pgno < b->pgno ? -1 : 1;
	return a->frame < b->frame ? -1 : a->frame > b->frame;
}

static void keep_newest(struct capture *c)
{
	size_t nkept = 0;

	if (c->nchanged == 0)
		return;
	qsort(c->changed, c->nchanged, sizeof *c->changed, by_page_and_frame);
	for (size_t i = 1; i < c->nchanged; i++) {
		if (c->changed[i].pgno != c->changed[nkept].pgno)
			nkept++;
		c->changed[nkept] = c->changed[i];
	}
	c->nchanged = nkept + 1;
}

/* The last frame must be the commit that the index speaks of. */
static enum wal_result scan_after(struct capture *c, uint32_t after, const uint32_t from_sum[2])
{
	uint32_t sum[2] = { from_sum[0], from_sum[1] };
	struct wal_frame f = { .npages = 0 };

	for (uint32_t frame = after + 1; frame <= c->now.last_frame; frame++) {
		enum wal_result result =
			wal_next_frame(&c->wal, &c->header, frame, sum, c->space, &f);
		if (result != WAL_OK)
			return result;
		add_changed(c, f.pgno, frame);
	}
	if (sum[0] != c->now.sum[0] || sum[1] != c->now.sum[1] || f.npages != c->now.npages)
		return WAL_MISFIT;
	return WAL_OK;
}

/* What lies before the position matters for the growth and page 1 only. */
static enum wal_result scan_until(struct capture *c, uint32_t until)
{
	struct wal_frame f;

	for (uint32_t frame = 1; frame <= until; frame++) {
		enum wal_result result = wal_read_frame(&c->wal, frame, c->now.page_size, &f);
		if (result != WAL_OK)
			return result;
		if (memcmp(f.salt, c->header.salt, sizeof f.salt) != 0)
			return WAL_MISFIT;
		if (f.pgno == 1 || f.pgno > c->all_above)
			add_changed(c, f.pgno, frame);
	}
	return WAL_OK;
}

static bool growth_is_complete(const struct capture *c)
{
	uint32_t lock_page = wal_lock_page(c->now.page_size);
	size_t nwanted = 0, nfound = 0;

	if (c->now.npages > c->all_above) {
		nwanted = c->now.npages - c->all_above;
		if (lock_page > c->all_above && lock_page <= c->now.npages)
			nwanted--;
	}
	for (size_t i = c->nchanged; i > 0 && c->changed[i - 1].pgno > c->all_above; i--)
		nfound++;
	return nfound == nwanted;
}

/* `from` has the size of `now`, or page 1 and the growth are part of it too. */
static enum wal_result collect_change_of_size(struct capture *c, uint32_t npages_before,
					      uint32_t scanned_after)
{
	if (c->now.npages == npages_before)
		return WAL_OK;
	bool has_page_1 = c->nchanged > 0 && c->changed[0].pgno == 1;
	if (has_page_1 && growth_is_complete(c))
		return WAL_OK;
	enum wal_result result = scan_until(c, scanned_after);
	if (result != WAL_OK)
		return result;
	add_changed(c, 1, 0);
	keep_newest(c);
	return WAL_OK;
}

static struct wal_extent extent_after(uint32_t after, const struct wal_index *now)
{
	struct wal_extent e = { .offset = wal_frame_offset(after + 1, now->page_size) };

	e.len = wal_frame_offset(now->last_frame, now->page_size) + WAL_FRAME_LEN + now->page_size -
		e.offset;
	return e;
}

/* The WAL has frames, and those after `after` were added since the position. */
static enum wal_result collect(struct capture *c, const struct wal_position *from, uint32_t after)
{
	enum wal_result result = wal_read_header(&c->wal, &c->header);
	if (result != WAL_OK)
		return result;
	if (c->header.page_size != c->now.page_size ||
	    memcmp(c->header.salt, c->now.salt, sizeof c->now.salt) != 0)
		return WAL_MISFIT;

	c->extent = extent_after(after, &c->now);
	result = scan_after(c, after, after == 0 ? c->header.sum : from->sum);
	if (result != WAL_OK)
		return result;
	keep_newest(c);
	return collect_change_of_size(c, c->all_above, after);
}

static enum wal_result try_capture(struct capture *c, struct userdb *u,
				   const struct wal_position *from, enum route *route)
{
	enum wal_result result = wal_begin(u, WAL_READ, &c->wal);
	if (result == WAL_OK)
		result = wal_read_index(&c->wal, &c->now);
	if (result != WAL_OK)
		return result;

	*route = route_from(from, &c->now);
	c->end = position_of(&c->now);
	c->gap = *route == ROUTE_GAP;
	c->space = alloc_zeroed(1, WAL_FRAME_LEN + c->now.page_size);
	switch (*route) {
	case ROUTE_NONE:
		return WAL_OK;
	case ROUTE_ON:
		c->all_above = from->npages;
		return collect(c, from, from->frame);
	case ROUTE_ANEW:
		c->all_above = from->npages;
		return collect(c, from, 0);
	case ROUTE_WHOLE:
	case ROUTE_GAP:
		c->all_above = 0;
		return c->now.last_frame > 0 ? collect(c, from, 0) : WAL_OK;
	}
	return WAL_FAILED;
}

static enum wal_result try_often(struct capture *c, struct userdb *u,
				 const struct wal_position *from, enum route *route)
{
	enum wal_result result = WAL_MISFIT;

	for (int i = 0; i < ATTEMPTS && result == WAL_MISFIT; i++) {
		capture_reset(c);
		result = try_capture(c, u, from, route);
	}
	return result;
}

static const char *name_of(struct userdb *u)
{
	return sqlite3_db_filename(userdb_sqlite(u), "main");
}

enum capture_result capture_begin(struct userdb *u, const struct wal_position *from,
				  struct capture **out)
{
	static const struct wal_position nowhere = { .page_size = 0 };
	struct capture *c = alloc_zeroed(1, sizeof *c);
	enum capture_result failure = CAPTURE_FAILED;
	enum route route = ROUTE_NONE;

	*out = NULL;
	enum wal_result result = try_often(c, u, from, &route);
	if (result == WAL_MISFIT && route != ROUTE_WHOLE && route != ROUTE_GAP) {
		log_warn("capture.misfit", "path=%s frame=%u", name_of(u), from->frame);
		result = try_often(c, u, &nowhere, &route);
		c->gap = true;
	}
	switch (result) {
	case WAL_OK:
		if (route == ROUTE_NONE) {
			failure = CAPTURE_NOTHING;
			break;
		}
		*out = c;
		return CAPTURE_PAGES;
	case WAL_BUSY:
		failure = CAPTURE_LATER;
		break;
	case WAL_MISFIT:
		log_error("capture.damaged", "path=%s last_frame=%u", name_of(u),
			  c->now.last_frame);
		break;
	case WAL_FAILED:
		break;
	}
	capture_end(c);
	return failure;
}

bool capture_whole(const struct capture *c)
{
	return c->all_above == 0;
}

bool capture_gap(const struct capture *c)
{
	return c->gap;
}

const struct wal_position *capture_position(const struct capture *c)
{
	return &c->end;
}

struct wal_extent capture_extent(const struct capture *c)
{
	return c->extent;
}

/* The first page above `last` that every capture with this all_above has, or 0. */
static uint32_t next_unconditional(const struct capture *c)
{
	uint64_t pgno = (uint64_t)(c->last > c->all_above ? c->last : c->all_above) + 1;

	if (pgno == wal_lock_page(c->now.page_size))
		pgno++;
	return pgno <= c->now.npages ? (uint32_t)pgno : 0;
}

static bool next_page(struct capture *c, struct changed_page *out)
{
	uint32_t pgno = next_unconditional(c);

	*out = (struct changed_page){ .pgno = pgno, .frame = 0 };
	if (c->next < c->nchanged && (pgno == 0 || c->changed[c->next].pgno <= pgno))
		*out = c->changed[c->next++];
	c->last = out->pgno;
	return out->pgno != 0;
}

enum capture_page capture_next_page(struct capture *c, uint32_t *pgno, const uint8_t **page)
{
	uint32_t page_size = c->now.page_size;
	struct changed_page next;
	enum wal_result result;

	if (!next_page(c, &next))
		return CAPTURE_LAST;
	if (next.frame == 0 || c->now.in_file)
		result = wal_read_file_page(&c->wal, next.pgno, page_size, c->space);
	else
		result = wal_read_page(&c->wal, next.frame, page_size, c->space);
	switch (result) {
	case WAL_OK:
		break;
	case WAL_BUSY:
	case WAL_MISFIT:
		log_error("capture.damaged", "path=%s frame=%u",
			  sqlite3_db_filename(c->wal.db, "main"), next.frame);
		return CAPTURE_PAGE_FAILED;
	case WAL_FAILED:
		return CAPTURE_PAGE_FAILED;
	}
	*pgno = next.pgno;
	*page = c->space;
	return CAPTURE_PAGE;
}

/* With everything in the file, the WAL may have started over meanwhile and is not needed. */
int capture_widen(struct capture *c)
{
	static const struct wal_position nowhere = { .page_size = 0 };

	c->nchanged = 0;
	c->next = 0;
	c->last = 0;
	c->all_above = 0;
	if (c->now.in_file)
		return 0;
	switch (collect(c, &nowhere, 0)) {
	case WAL_OK:
		return 0;
	case WAL_BUSY:
	case WAL_MISFIT:
		log_error("capture.damaged", "path=%s last_frame=%u",
			  sqlite3_db_filename(c->wal.db, "main"), c->now.last_frame);
		break;
	case WAL_FAILED:
		break;
	}
	return -1;
}

void capture_end(struct capture *c)
{
	if (c == NULL)
		return;
	capture_reset(c);
	free(c);
}

static enum capture_result result_of(enum wal_result result)
{
	switch (result) {
	case WAL_OK:
		return CAPTURE_PAGES;
	case WAL_BUSY:
	case WAL_MISFIT:
		return CAPTURE_LATER;
	case WAL_FAILED:
		return CAPTURE_FAILED;
	}
	return CAPTURE_FAILED;
}

enum capture_result wal_present(struct userdb *u, struct wal_position *out)
{
	enum wal_result result;
	struct wal_index now;
	struct wal w;

	result = wal_begin(u, WAL_READ, &w);
	if (result == WAL_OK)
		result = wal_read_index(&w, &now);
	if (result == WAL_OK)
		*out = position_of(&now);
	wal_end(&w);
	return result_of(result);
}

static enum capture_result position_at(struct wal *w, const uint8_t salt[8], uint32_t frame,
				       struct wal_position *out)
{
	struct wal_index now;
	struct wal_frame f;

	enum wal_result result = wal_read_index(w, &now);
	if (result != WAL_OK)
		return result_of(result);
	if (frame == 0 || frame > now.last_frame || memcmp(salt, now.salt, sizeof now.salt) != 0)
		return CAPTURE_NOTHING;
	result = wal_read_frame(w, frame, now.page_size, &f);
	if (result != WAL_OK)
		return result_of(result);
	if (f.npages == 0 || memcmp(f.salt, salt, sizeof f.salt) != 0)
		return CAPTURE_NOTHING;

	*out = position_of(&now);
	out->frame = frame;
	out->npages = f.npages;
	out->armed = out->armed && frame == now.last_frame;
	memcpy(out->sum, f.sum, sizeof out->sum);
	return CAPTURE_PAGES;
}

enum capture_result wal_position_at(struct userdb *u, const uint8_t salt[8], uint32_t frame,
				    struct wal_position *out)
{
	struct wal w;

	enum capture_result result = result_of(wal_begin(u, WAL_READ, &w));
	if (result == CAPTURE_PAGES)
		result = position_at(&w, salt, frame, out);
	wal_end(&w);
	return result;
}
