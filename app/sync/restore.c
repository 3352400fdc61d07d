#include "sync/restore.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "ltx/decode.h"
#include "sync/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	WINDOW = 8, /* objects fetched at once */
	SPILL_MEMORY = 1 << 20, /* of each; more goes to a file */
};

struct fetch {
	struct object_request request;
	struct restore *restore;
	bool ready;
};

struct restore {
	struct store *store;
	struct user_id user;
	uint64_t txid; /* the wanted one; 0: the latest */
	bool by_time; /* the wanted one is only known from the listing */
	int64_t at_ms;
	int fd;
	char *spill_dir;
	restore_done *done;
	void *owner;
	bool ended;
	struct restored outcome;

	struct object_request list;
	struct chain chain;
	struct fetch fetches[WINDOW]; /* link i is in fetches[i % WINDOW] */
	size_t started;
	size_t applied;
};

void restore_free(struct restore *r)
{
	if (r == NULL)
		return;
	store_drop(r->store, &r->list);
	for (size_t i = 0; i < WINDOW; i++) {
		store_drop(r->store, &r->fetches[i].request);
		spill_free(r->fetches[i].request.answer);
	}
	chain_release(&r->chain);
	free(r->spill_dir);
	free(r);
}

const struct restored *restore_outcome(const struct restore *r)
{
	return &r->outcome;
}

/* The owner may free the restore in done(): whoever calls this touches it no more. */
static void end(struct restore *r, enum restore_result result, enum object_error error)
{
	r->ended = true;
	r->outcome.result = result;
	r->outcome.error = error;
	r->done(r, r->owner);
}

static enum restore_result from_request(const struct object_request *q)
{
	if (q->error == ERROR_DISK)
		return RESTORE_FAILED;
	switch (q->result) {
	case OBJECT_OK:
		return RESTORE_DONE;
	case OBJECT_ABSENT:
	case OBJECT_DAMAGED:
		return RESTORE_DAMAGED;
	case OBJECT_TAKEN:
	case OBJECT_UNKNOWN:
	case OBJECT_TRY_LATER:
	case OBJECT_REFUSED:
		return RESTORE_UNREACHED;
	}
	return RESTORE_UNREACHED;
}

static int damaged(struct restore *r, const struct chain_link *link, const char *why)
{
	log_error("object.damaged", "key=%s why=\"%s\"", link->key, why);
	end(r, RESTORE_DAMAGED, ERROR_DAMAGED);
	return -1;
}

static bool fits(const struct chain_link *link, const struct ltx_header *h)
{
	return h->min_txid == link->min_txid && h->max_txid == link->max_txid;
}

/* Somebody has given the database another page size, and only all of it says how it is now. */
static bool changes_page_size(const struct restore *r, const struct ltx_header *h)
{
	return r->outcome.page_size != 0 && r->outcome.page_size != h->page_size;
}

static bool is_every_page(const struct ltx_header *h, uint32_t npages)
{
	return npages + (h->commit >= ltx_lock_page(h->page_size) ? 1 : 0) == h->commit;
}

static int disk_failed(struct restore *r, const char *call)
{
	log_error("restore.failed", "user=%s call=%s error=\"%s\"", r->user.text, call,
		  strerror(errno));
	end(r, RESTORE_FAILED, ERROR_DISK);
	return -1;
}

static int write_pages(struct restore *r, const struct chain_link *link, struct ltx_decoder *d)
{
	const struct ltx_header *h = ltx_decoder_header(d);
	bool changes = changes_page_size(r, h);
	const uint8_t *page;
	uint32_t pgno, npages = 0;

	for (;;) {
		switch (ltx_decode_page(d, &pgno, &page)) {
		case LTX_PAGE:
			npages++;
			if (file_write_all(r->fd, page, h->page_size,
					   (uint64_t)(pgno - 1) * h->page_size) < 0)
				return disk_failed(r, "write");
			break;
		case LTX_DAMAGED:
			return damaged(r, link, ltx_decoder_error(d));
		case LTX_END:
			if (changes && !is_every_page(h, npages))
				return damaged(r, link,
					       "other pages than those of the object before");
			/* Cuts off what a shrunken database no longer has. */
			if (ftruncate(r->fd, (off_t)h->commit * h->page_size) < 0)
				return disk_failed(r, "ftruncate");
			r->outcome.page_size = h->page_size;
			r->outcome.npages = h->commit;
			r->outcome.txid = h->max_txid;
			return 0;
		}
	}
}

static int apply(struct restore *r, const struct chain_link *link, const struct spill *bytes)
{
	struct spill_cursor cursor = { bytes, 0 };
	struct ltx_decoder *d = ltx_decoder_new(spill_read_on, &cursor, spill_len(bytes));
	const struct ltx_header *h = ltx_decoder_header(d);
	int rc;

	if (h == NULL)
		rc = damaged(r, link, ltx_decoder_error(d));
	else if (!fits(link, h))
		rc = damaged(r, link, "header does not fit the name");
	else
		rc = write_pages(r, link, d);
	ltx_decoder_free(d);
	return rc;
}

static void fetched(struct object_request *q);

static void start_fetches(struct restore *r)
{
	while (r->started < r->chain.count && r->started < r->applied + WINDOW) {
		struct fetch *f = &r->fetches[r->started % WINDOW];
		const struct chain_link *link = &r->chain.links[r->started++];

		memset(&f->request, 0, sizeof f->request);
		f->restore = r;
		f->ready = false;
		f->request.verb = OBJECT_GET;
		memcpy(f->request.key, link->key, sizeof f->request.key);
		f->request.answer = spill_new(r->spill_dir, SPILL_MEMORY);
		f->request.done = fetched;
		f->request.owner = f;
		store_start(r->store, &f->request);
	}
}

static void apply_ready(struct restore *r)
{
	while (r->applied < r->chain.count) {
		struct fetch *f = &r->fetches[r->applied % WINDOW];

		if (r->applied >= r->started || !f->ready)
			return;
		if (apply(r, &r->chain.links[r->applied], f->request.answer) < 0)
			return;
		spill_free(f->request.answer);
		f->request.answer = NULL;
		r->applied++;
		start_fetches(r);
	}
	end(r, RESTORE_DONE, ERROR_NONE);
}

static void fetched(struct object_request *q)
{
	struct fetch *f = q->owner;
	struct restore *r = f->restore;

	if (r->ended)
		return;
	if (q->result != OBJECT_OK) {
		if (q->result == OBJECT_ABSENT)
			log_error("object.missing", "key=%s", q->key);
		end(r, from_request(q), q->error ? q->error : ERROR_DAMAGED);
	} else {
		f->ready = true;
		r->outcome.bytes += spill_len(q->answer);
		apply_ready(r);
	}
}

static void choose(struct restore *r, const struct object_listing *listing)
{
	switch (chain_choose(listing, r->txid, &r->chain)) {
	case CHAIN_EMPTY:
		end(r, RESTORE_NO_USER, ERROR_NONE);
		return;
	case CHAIN_BROKEN:
		log_error("chain.broken", "user=%s objects=%zu wanted=%" PRIu64, r->user.text,
			  listing->count, r->txid);
		r->outcome.earliest = chain_earliest(listing);
		end(r, RESTORE_DAMAGED, ERROR_DAMAGED);
		return;
	case CHAIN_OK:
		for (size_t i = 0; i < r->chain.count; i++)
			r->outcome.bytes_all += r->chain.links[i].size;
		start_fetches(r);
		return;
	}
}

static void choose_by_time(struct restore *r, const struct object_listing *listing)
{
	struct chain_link last;

	r->txid = chain_txid_at(listing, r->at_ms);
	if (r->txid != 0) {
		choose(r, listing);
	} else if (chain_last(listing, &last)) {
		r->outcome.too_early = true;
		r->outcome.earliest = chain_earliest(listing);
		end(r, RESTORE_DAMAGED, ERROR_DAMAGED);
	} else {
		end(r, RESTORE_NO_USER, ERROR_NONE);
	}
}

static void listed(struct object_request *q)
{
	struct restore *r = q->owner;
	struct object_listing listing = q->listing;

	if (q->result == OBJECT_OK && r->by_time)
		choose_by_time(r, &listing);
	else if (q->result == OBJECT_OK)
		choose(r, &listing);
	else if (q->result == OBJECT_ABSENT)
		end(r, RESTORE_NO_USER, ERROR_NONE);
	else
		end(r, from_request(q), q->error);
	object_listing_release(&listing);
}

struct restore *restore_start(struct store *s, const struct user_id *user, uint64_t txid, int fd,
			      const char *spill_dir, restore_done *done, void *owner)
{
	struct restore *r = alloc_zeroed(1, sizeof *r);

	r->store = s;
	r->user = *user;
	r->txid = txid;
	r->fd = fd;
	r->spill_dir = alloc_string(spill_dir);
	r->done = done;
	r->owner = owner;
	r->list.verb = OBJECT_LIST;
	chain_prefix(user, r->list.key);
	r->list.done = listed;
	r->list.owner = r;
	store_start(s, &r->list);
	return r;
}

struct restore *restore_start_at(struct store *s, const struct user_id *user, int64_t wall_ms,
				 int fd, const char *spill_dir, restore_done *done, void *owner)
{
	struct restore *r = restore_start(s, user, 0, fd, spill_dir, done, owner);

	/* The listing cannot be there yet: done() of a request is called from store_run() only. */
	r->by_time = true;
	r->at_ms = wall_ms;
	return r;
}
