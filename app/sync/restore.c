#include "sync/restore.h"

#include "base/alloc.h"
#include "base/log.h"
#include "sync/apply.h"

#include <inttypes.h>
#include <stdlib.h>

struct restore {
	struct store *store;
	struct tasks *tasks;
	struct user_id user;
	uint64_t txid; /* the wanted one; 0: the latest */
	bool by_time; /* the wanted one is only known from the listing */
	int64_t at_ms;
	int fd;
	char *spill_dir;
	restore_done *done;
	void *owner;
	struct object_request list;
	struct apply *apply;
	struct restored outcome;
};

void restore_free(struct restore *r)
{
	if (r == NULL)
		return;
	store_drop(r->store, &r->list);
	apply_free(r->apply);
	free(r->spill_dir);
	free(r);
}

const struct restored *restore_outcome(struct restore *r)
{
	if (r->apply != NULL)
		r->outcome.bytes = apply_outcome(r->apply)->bytes;
	return &r->outcome;
}

/* The owner may free the restore in done(): whoever calls this touches it no more. */
static void end(struct restore *r, enum restore_result result, enum object_error error)
{
	r->outcome.result = result;
	r->outcome.error = error;
	r->done(r, r->owner);
}

static enum restore_result from_apply(enum apply_result result)
{
	switch (result) {
	case APPLY_DONE:
		return RESTORE_DONE;
	case APPLY_UNREACHED:
		return RESTORE_UNREACHED;
	case APPLY_DAMAGED:
		return RESTORE_DAMAGED;
	case APPLY_FAILED:
		return RESTORE_FAILED;
	}
	return RESTORE_FAILED;
}

static void applied(struct apply *a, void *owner)
{
	const struct applied *got = apply_outcome(a);
	struct restore *r = owner;

	r->outcome.txid = got->txid;
	r->outcome.page_size = got->page_size;
	r->outcome.npages = got->npages;
	end(r, from_apply(got->result), got->error);
}

static void choose(struct restore *r, const struct object_listing *listing)
{
	struct chain chain;

	switch (chain_choose(listing, r->txid, &chain)) {
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
		for (size_t i = 0; i < chain.count; i++)
			r->outcome.bytes_all += chain.links[i].size;
		r->apply = apply_start(r->store, r->tasks, &chain, r->fd, r->spill_dir, applied, r);
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

	switch (q->result) {
	case OBJECT_OK:
		if (r->by_time)
			choose_by_time(r, &listing);
		else
			choose(r, &listing);
		break;
	case OBJECT_ABSENT:
		end(r, RESTORE_NO_USER, ERROR_NONE);
		break;
	case OBJECT_DAMAGED:
		end(r, RESTORE_DAMAGED, q->error);
		break;
	case OBJECT_TAKEN:
	case OBJECT_UNKNOWN:
	case OBJECT_TRY_LATER:
	case OBJECT_REFUSED:
		end(r, RESTORE_UNREACHED, q->error);
		break;
	}
	object_listing_release(&listing);
}

struct restore *restore_start(struct store *s, struct tasks *tasks, const struct user_id *user,
			      uint64_t txid, int fd, const char *spill_dir, restore_done *done,
			      void *owner)
{
	struct restore *r = alloc_zeroed(1, sizeof *r);

	r->store = s;
	r->tasks = tasks;
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

struct restore *restore_start_at(struct store *s, struct tasks *tasks, const struct user_id *user,
				 int64_t wall_ms, int fd, const char *spill_dir, restore_done *done,
				 void *owner)
{
	struct restore *r = restore_start(s, tasks, user, 0, fd, spill_dir, done, owner);

	/* The listing cannot be there yet: done() of a request is called from store_run() only. */
	r->by_time = true;
	r->at_ms = wall_ms;
	return r;
}
