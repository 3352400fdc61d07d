#include "sync/image.h"

#include "base/alloc.h"
#include "base/log.h"
#include "db/capture.h"
#include "ltx/crc64.h"
#include "ltx/ltx.h"
#include "state/right.h"
#include "sync/record.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int take_sums(struct capture *c, struct image *out)
{
	const struct wal_position *at = capture_position(c);
	const uint8_t *page;
	uint32_t pgno;

	out->page_size = at->page_size;
	out->npages = at->npages;
	out->sums = alloc_zeroed(at->npages, sizeof *out->sums);
	for (;;) {
		switch (capture_next_page(c, &pgno, &page)) {
		case CAPTURE_PAGE:
			out->sums[pgno - 1] = crc64_update(0, page, at->page_size);
			break;
		case CAPTURE_LAST:
			return 0;
		case CAPTURE_PAGE_FAILED:
			return -1;
		}
	}
}

/* Whether what the record speaks of is all there is. */
static enum image_result is_stored(struct userdb *db, const struct record *r)
{
	struct capture *rest = NULL;
	enum image_result result = IMAGE_FAILED;

	if (r->spool_first != 0)
		return IMAGE_DIRTY;
	switch (capture_begin(db, &r->position, &rest)) {
	case CAPTURE_PAGES:
		result = IMAGE_DIRTY;
		break;
	case CAPTURE_NOTHING:
		result = IMAGE_TAKEN;
		break;
	case CAPTURE_LATER:
		result = IMAGE_BUSY;
		break;
	case CAPTURE_FAILED:
		break;
	}
	capture_end(rest);
	return result;
}

/* An account that nobody has written to has no object and no position. */
static enum image_result is_unwritten(struct userdb *db)
{
	struct wal_position end;

	switch (wal_present(db, &end)) {
	case CAPTURE_PAGES:
		return end.frame == 0 && end.npages <= 1 ? IMAGE_TAKEN : IMAGE_DIRTY;
	case CAPTURE_NOTHING:
	case CAPTURE_LATER:
		return IMAGE_BUSY;
	case CAPTURE_FAILED:
		break;
	}
	return IMAGE_FAILED;
}

/*
 * The reader's transaction is opened first, and only then is the record
 * compared with the end of the WAL.  So what is read is no older than the
 * record, which was there before, and no newer than the end, which is the record.
 */
static enum image_result take(struct userdb *reader, struct userdb *judge, const struct record *r,
			      struct image *out)
{
	static const struct wal_position nowhere = { .page_size = 0 };
	struct capture *all = NULL;
	enum image_result result = IMAGE_FAILED;

	out->txid = r->txid;
	if (r->txid == 0 && r->spool_first == 0)
		return is_unwritten(judge);
	switch (capture_begin(reader, &nowhere, &all)) {
	case CAPTURE_PAGES:
		result = is_stored(judge, r);
		if (result == IMAGE_TAKEN && take_sums(all, out) < 0)
			result = IMAGE_FAILED;
		break;
	case CAPTURE_LATER:
		result = IMAGE_BUSY;
		break;
	case CAPTURE_NOTHING:
	case CAPTURE_FAILED:
		break;
	}
	capture_end(all);
	return result;
}

static enum image_result open_database(const char *path, struct userdb **out)
{
	switch (userdb_open(path, USERDB_INTERNAL, NULL, out)) {
	case USERDB_OK:
		return IMAGE_TAKEN;
	case USERDB_ABSENT:
		return IMAGE_ABSENT;
	case USERDB_BUSY:
		return IMAGE_BUSY;
	case USERDB_FAILED:
		break;
	}
	return IMAGE_FAILED;
}

static enum image_result take_recorded(const char *path, const struct record *r, struct image *out)
{
	struct userdb *reader = NULL, *judge = NULL;

	enum image_result result = open_database(path, &reader);
	if (result == IMAGE_TAKEN)
		result = open_database(path, &judge);
	if (result == IMAGE_TAKEN)
		result = take(reader, judge, r, out);
	userdb_close(judge);
	userdb_close(reader);
	return result;
}

static enum image_result take_claimed(const char *db, const char *sync, struct image *out)
{
	struct record record = { 0 };

	switch (record_read(sync, &record)) {
	case RECORD_OK:
		return take_recorded(db, &record, out);
	case RECORD_MISSING:
		return IMAGE_DIRTY;
	case RECORD_FAILED:
		break;
	}
	return IMAGE_FAILED;
}

enum image_result image_take(const char *data, const struct user_id *id, struct image *out)
{
	char lock_path[PATH_MAX], db[PATH_MAX], sync[PATH_MAX];
	enum image_result result = IMAGE_BUSY;

	*out = (struct image){ 0 };
	if (user_path(data, id, "lock", lock_path, sizeof lock_path) < 0 ||
	    user_path(data, id, "db.sqlite", db, sizeof db) < 0 ||
	    user_path(data, id, "sync", sync, sizeof sync) < 0)
		return IMAGE_FAILED;
	if (access(db, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return IMAGE_ABSENT;
	int lock = right_open(lock_path);
	if (lock < 0)
		return IMAGE_FAILED;
	if (right_claim(lock, RIGHT_PUSH) && right_claim(lock, RIGHT_FILES_SHARED))
		result = take_claimed(db, sync, out);
	close(lock);
	if (result != IMAGE_TAKEN)
		image_release(out);
	return result;
}

void image_release(struct image *i)
{
	free(i->sums);
	*i = (struct image){ 0 };
}

static bool page_is_there(const struct image *i, uint32_t pgno, int fd, uint8_t *space)
{
	ssize_t n = pread(fd, space, i->page_size, (off_t)(pgno - 1) * i->page_size);

	return n == (ssize_t)i->page_size &&
	       crc64_update(0, space, i->page_size) == i->sums[pgno - 1];
}

static void note(struct image_difference *d, uint32_t pgno, uint32_t count)
{
	if (d->count == 0)
		d->first = pgno;
	d->count += count;
}

struct image_difference image_compare(const struct image *i, uint32_t npages, int fd)
{
	uint32_t both = npages < i->npages ? npages : i->npages;
	uint32_t most = npages < i->npages ? i->npages : npages;
	struct image_difference d = { 0, 0 };
	uint8_t *space = alloc_zeroed(1, i->page_size);

	for (uint32_t pgno = 1; pgno <= both; pgno++) {
		if (pgno != ltx_lock_page(i->page_size) && !page_is_there(i, pgno, fd, space))
			note(&d, pgno, 1);
	}
	if (most > both)
		note(&d, both + 1, most - both);
	free(space);
	return d;
}
