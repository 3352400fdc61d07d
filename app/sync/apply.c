#include "sync/apply.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "ltx/decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	WINDOW = 8, /* objects fetched at once */
	SPILL_MEMORY = 1 << 20, /* of each; more goes to a file */
	PAGES_BETWEEN_LOOKS = 16, /* at the clock */
};

static const uint64_t largest_of_ours = (uint64_t)5 << 30;
static const char growth_is_missing[] = "pages are missing where the database grows";

struct fetch {
	struct object_request request;
	struct apply *apply;
	bool ready;
};

struct apply {
	struct store *store;
	struct tasks *tasks;
	struct chain chain;
	int fd;
	char *spill_dir;
	apply_done *done;
	void *owner;
	bool ended;
	struct applied outcome;

	struct fetch fetches[WINDOW]; /* link i is in fetches[i % WINDOW] */
	size_t started;
	size_t napplied;

	struct task task; /* writes the object that is decoded */
	struct spill_cursor cursor;
	struct ltx_decoder *decoder; /* NULL: between two objects */
	/* The page that the database grows by next; 0: nobody knows how large it was. */
	uint64_t next_new;
	uint8_t *pages; /* a bit for each page that was in an object */
	size_t pages_len;
};

void apply_free(struct apply *a)
{
	if (a == NULL)
		return;
	tasks_drop(a->tasks, &a->task);
	for (size_t i = 0; i < WINDOW; i++) {
		store_drop(a->store, &a->fetches[i].request);
		spill_free(a->fetches[i].request.answer);
	}
	ltx_decoder_free(a->decoder);
	chain_release(&a->chain);
	free(a->pages);
	free(a->spill_dir);
	free(a);
}

const struct applied *apply_outcome(const struct apply *a)
{
	return &a->outcome;
}

bool apply_has_page(const struct apply *a, uint32_t pgno)
{
	return pgno / 8 < a->pages_len && (a->pages[pgno / 8] >> pgno % 8 & 1) != 0;
}

static void note_page(struct apply *a, uint32_t pgno)
{
	size_t needed = (size_t)pgno / 8 + 1;

	if (needed > a->pages_len) {
		size_t len = needed * 2;
		a->pages = alloc_resized(a->pages, len);
		memset(a->pages + a->pages_len, 0, len - a->pages_len);
		a->pages_len = len;
	}
	a->pages[pgno / 8] |= (uint8_t)(1 << pgno % 8);
}

/* The owner may free us in done(): whoever calls this touches nothing any more. */
static void end(struct apply *a, enum apply_result result, enum object_error error)
{
	a->ended = true;
	a->outcome.result = result;
	a->outcome.error = error;
	a->done(a, a->owner);
}

static const struct chain_link *present_link(const struct apply *a)
{
	return &a->chain.links[a->napplied];
}

static struct fetch *present_fetch(struct apply *a)
{
	return &a->fetches[a->napplied % WINDOW];
}

static void damaged(struct apply *a, const char *why)
{
	log_error("object.damaged", "key=%s why=\"%s\"", present_link(a)->key, why);
	end(a, APPLY_DAMAGED, ERROR_DAMAGED);
}

static void disk_failed(struct apply *a, const char *call)
{
	log_error("apply.failed", "key=%s call=%s error=\"%s\"", present_link(a)->key, call,
		  strerror(errno));
	end(a, APPLY_FAILED, ERROR_DISK);
}

static bool fits(const struct apply *a, const struct ltx_header *h)
{
	const struct chain_link *link = present_link(a);

	return h->min_txid == link->min_txid && h->max_txid == link->max_txid;
}

/* Somebody has given the database another page size: all of its pages are new. */
static bool changes_page_size(const struct apply *a, const struct ltx_header *h)
{
	return a->outcome.page_size != 0 && a->outcome.page_size != h->page_size;
}

/*
 * Only the first object of a merge is applied to a database of unknown size.
 * It is one of ours, so a single object could hold all of it.
 */
static bool is_too_large(const struct apply *a, const struct ltx_header *h)
{
	return a->next_new == 0 && (uint64_t)h->commit * h->page_size > largest_of_ours;
}

static uint64_t new_page_from(uint64_t pgno, const struct ltx_header *h)
{
	return pgno == ltx_lock_page(h->page_size) ? pgno + 1 : pgno;
}

static uint64_t first_new_page(const struct apply *a, const struct ltx_header *h)
{
	if (a->napplied == 0 && !ltx_is_snapshot(h))
		return 0;
	return new_page_from(changes_page_size(a, h) ? 1 : (uint64_t)a->outcome.npages + 1, h);
}

/*
 * What the database grows by is all there, page by page.  So neither the file
 * nor what we know of its pages gets larger than what came, and no page is
 * zeros because nobody has sent it.
 */
static bool note_growth(struct apply *a, uint32_t pgno)
{
	if (a->next_new == 0 || pgno < a->next_new)
		return true;
	if (pgno != a->next_new)
		return false;
	a->next_new = new_page_from(a->next_new + 1, ltx_decoder_header(a->decoder));
	return true;
}

static bool write_slice(void *owner);

static void begin_object(struct apply *a, const struct ltx_header *h)
{
	a->next_new = first_new_page(a, h);
	if (is_too_large(a, h)) {
		damaged(a, "a database larger than any object");
		return;
	}
	if (changes_page_size(a, h) && a->pages != NULL)
		memset(a->pages, 0, a->pages_len);
	tasks_add(a->tasks, &a->task, write_slice, a);
}

/* The next object, if it is here already; else fetched() comes back to it. */
static void go_on(struct apply *a)
{
	struct fetch *f = present_fetch(a);

	if (a->napplied == a->started || !f->ready || a->decoder != NULL)
		return;
	a->cursor = (struct spill_cursor){ f->request.answer, 0 };
	a->decoder = ltx_decoder_new(spill_read_on, &a->cursor, spill_len(f->request.answer));
	const struct ltx_header *h = ltx_decoder_header(a->decoder);
	if (h == NULL)
		damaged(a, ltx_decoder_error(a->decoder));
	else if (!fits(a, h))
		damaged(a, "header does not fit the name");
	else
		begin_object(a, h);
}

static enum apply_result from_request(const struct object_request *q)
{
	if (q->error == ERROR_DISK)
		return APPLY_FAILED;
	switch (q->result) {
	case OBJECT_OK:
		return APPLY_DONE;
	case OBJECT_ABSENT:
	case OBJECT_DAMAGED:
		return APPLY_DAMAGED;
	case OBJECT_TAKEN:
	case OBJECT_UNKNOWN:
	case OBJECT_TRY_LATER:
	case OBJECT_REFUSED:
		return APPLY_UNREACHED;
	}
	return APPLY_UNREACHED;
}

static void fetched(struct object_request *q)
{
	struct fetch *f = q->owner;
	struct apply *a = f->apply;

	if (a->ended)
		return;
	if (q->result != OBJECT_OK) {
		if (q->result == OBJECT_ABSENT)
			log_error("object.missing", "key=%s", q->key);
		end(a, from_request(q), q->error ? q->error : ERROR_DAMAGED);
		return;
	}
	f->ready = true;
	a->outcome.bytes += spill_len(q->answer);
	go_on(a);
}

static void start_fetches(struct apply *a)
{
	while (a->started < a->chain.count && a->started < a->napplied + WINDOW) {
		struct fetch *f = &a->fetches[a->started % WINDOW];
		const struct chain_link *link = &a->chain.links[a->started++];

		memset(&f->request, 0, sizeof f->request);
		f->apply = a;
		f->ready = false;
		f->request.verb = OBJECT_GET;
		memcpy(f->request.key, link->key, sizeof f->request.key);
		f->request.answer = spill_new(a->spill_dir, SPILL_MEMORY);
		f->request.done = fetched;
		f->request.owner = f;
		store_start(a->store, &f->request);
	}
}

/* The object is whole: all checksums fit. */
static void finish_object(struct apply *a)
{
	const struct ltx_header *h = ltx_decoder_header(a->decoder);
	struct fetch *f = present_fetch(a);

	if (a->next_new != 0 && a->next_new <= h->commit) {
		damaged(a, growth_is_missing);
		return;
	}
	/* Cuts off what a shrunken database no longer has. */
	if (ftruncate(a->fd, (off_t)h->commit * h->page_size) < 0) {
		disk_failed(a, "ftruncate");
		return;
	}
	a->outcome.page_size = h->page_size;
	a->outcome.npages = h->commit;
	a->outcome.txid = h->max_txid;
	ltx_decoder_free(a->decoder);
	a->decoder = NULL;
	spill_free(f->request.answer);
	f->request.answer = NULL;
	f->ready = false;
	a->napplied++;
	if (a->napplied == a->chain.count) {
		end(a, APPLY_DONE, ERROR_NONE);
		return;
	}
	start_fetches(a);
	go_on(a);
}

static bool write_slice(void *owner)
{
	struct apply *a = owner;
	const uint32_t page_size = ltx_decoder_header(a->decoder)->page_size;
	const int64_t until = clock_mono_ms() + TASK_STEP_MS;
	const uint8_t *page;
	uint32_t pgno;

	for (unsigned n = 1; n % PAGES_BETWEEN_LOOKS != 0 || clock_mono_ms() < until; n++) {
		switch (ltx_decode_page(a->decoder, &pgno, &page)) {
		case LTX_PAGE:
			if (!note_growth(a, pgno)) {
				damaged(a, growth_is_missing);
				return false;
			}
			note_page(a, pgno);
			if (file_write_all(a->fd, page, page_size,
					   (uint64_t)(pgno - 1) * page_size) == 0)
				break;
			disk_failed(a, "write");
			return false;
		case LTX_DAMAGED:
			damaged(a, ltx_decoder_error(a->decoder));
			return false;
		case LTX_END:
			finish_object(a);
			return false;
		}
	}
	return true;
}

struct apply *apply_start(struct store *s, struct tasks *tasks, struct chain *chain, int fd,
			  const char *spill_dir, apply_done *done, void *owner)
{
	struct apply *a = alloc_zeroed(1, sizeof *a);

	a->store = s;
	a->tasks = tasks;
	a->chain = *chain;
	a->outcome.min_txid = chain->links[0].min_txid;
	*chain = (struct chain){ NULL, 0 };
	a->fd = fd;
	a->spill_dir = alloc_string(spill_dir);
	a->done = done;
	a->owner = owner;
	start_fetches(a);
	return a;
}
