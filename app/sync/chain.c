#include "sync/chain.h"

#include "base/alloc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void chain_prefix(const struct user_id *user, char out[static OBJECT_KEY_MAX])
{
	(void)snprintf(out, OBJECT_KEY_MAX, "%s/", user->text);
}

void chain_key(const struct user_id *user, unsigned level, uint64_t min_txid, uint64_t max_txid,
	       char out[static OBJECT_KEY_MAX])
{
	(void)snprintf(out, OBJECT_KEY_MAX, "%s/%04x/%016" PRIx64 "-%016" PRIx64 ".ltx", user->text,
		       level, min_txid, max_txid);
}

void chain_push_key(const struct user_id *user, uint64_t txid, char out[static OBJECT_KEY_MAX])
{
	chain_key(user, CHAIN_PUSH_LEVEL, txid, txid, out);
}

static bool take(const char **p, char wanted)
{
	if (**p != wanted)
		return false;
	(*p)++;
	return true;
}

static bool take_hex(const char **p, int digits, uint64_t *out)
{
	uint64_t value = 0;

	for (; digits > 0; digits--, (*p)++) {
		char c = **p;
		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return false;
	}
	*out = value;
	return true;
}

bool chain_parse(const struct object_entry *entry, struct chain_link *out)
{
	const char *p = strchr(entry->key, '/');
	uint64_t level;

	if (p == NULL)
		return false;
	p++;
	if (!take_hex(&p, 4, &level) || !take(&p, '/') || level > CHAIN_SNAPSHOT_LEVEL)
		return false;
	if (!take_hex(&p, 16, &out->min_txid) || !take(&p, '-') ||
	    !take_hex(&p, 16, &out->max_txid))
		return false;
	if (strcmp(p, ".ltx") != 0 || out->min_txid == 0 || out->max_txid < out->min_txid)
		return false;
	out->level = (unsigned)level;
	out->size = entry->size;
	out->modified_ms = entry->modified_ms;
	memcpy(out->key, entry->key, sizeof out->key);
	return true;
}

/* Every name that is one of ours, as links in no useful order. */
static struct chain parse_all(const struct object_listing *listing)
{
	struct chain all = { alloc_zeroed(listing->count, sizeof *all.links), 0 };

	for (size_t i = 0; i < listing->count; i++) {
		if (chain_parse(&listing->entries[i], &all.links[all.count]))
			all.count++;
	}
	return all;
}

static bool is_better(const struct chain_link *a, const struct chain_link *b)
{
	if (b == NULL || a->max_txid != b->max_txid)
		return b == NULL || a->max_txid > b->max_txid;
	if (a->min_txid != b->min_txid)
		return a->min_txid < b->min_txid;
	return a->level > b->level;
}

/*
 * A walk over the links in order of min_txid.  What starts at or before the
 * next transaction only grows as the walk goes on, so each link is seen once.
 */
struct walk {
	const struct chain *all;
	uint64_t target;
	size_t seen;
	const struct chain_link *best;
};

/* The link that reaches furthest from `current` without a hole and not beyond the target. */
static const struct chain_link *next_link(struct walk *w, uint64_t current)
{
	for (; w->seen < w->all->count; w->seen++) {
		const struct chain_link *l = &w->all->links[w->seen];
		if (l->min_txid > current + 1)
			break;
		if (l->max_txid <= w->target && is_better(l, w->best))
			w->best = l;
	}
	return w->best != NULL && w->best->max_txid > current ? w->best : NULL;
}

static const struct chain_link *last_snapshot(const struct chain *all, uint64_t target)
{
	const struct chain_link *best = NULL;

	for (size_t i = 0; i < all->count; i++) {
		const struct chain_link *l = &all->links[i];
		if (l->level != CHAIN_SNAPSHOT_LEVEL || l->min_txid != 1 || l->max_txid > target)
			continue;
		if (is_better(l, best))
			best = l;
	}
	return best;
}

static bool reaches_beyond(const struct chain *all, uint64_t txid)
{
	for (size_t i = 0; i < all->count; i++) {
		if (all->links[i].max_txid > txid)
			return true;
	}
	return false;
}

static int by_min_txid(const void *a, const void *b)
{
	const struct chain_link *x = a, *y = b;

	return x->min_txid < y->min_txid ? -1 : x->min_txid > y->min_txid;
}

/*
 * Nothing may be left out between the chain's end and the target: a hole in
 * the pushes means that objects are missing, and what lies behind it must not
 * be silently forgotten.
 */
enum chain_result chain_choose(const struct object_listing *listing, uint64_t txid,
			       struct chain *out)
{
	struct chain all = parse_all(listing);
	uint64_t target = txid ? txid : UINT64_MAX;
	uint64_t current = 0;
	enum chain_result result = CHAIN_BROKEN;

	*out = (struct chain){ NULL, 0 };
	if (all.count == 0) {
		free(all.links);
		return CHAIN_EMPTY;
	}
	qsort(all.links, all.count, sizeof *all.links, by_min_txid);
	out->links = alloc_zeroed(all.count, sizeof *out->links);
	struct walk walk = { .all = &all, .target = target };
	const struct chain_link *link = last_snapshot(&all, target);
	if (link == NULL)
		link = next_link(&walk, 0);
	while (link != NULL) {
		assert(out->count < all.count);
		out->links[out->count++] = *link;
		current = link->max_txid;
		link = next_link(&walk, current);
	}
	if (out->count > 0 && out->links[0].min_txid == 1 &&
	    (txid ? current == txid : !reaches_beyond(&all, current)))
		result = CHAIN_OK;
	free(all.links);
	if (result != CHAIN_OK)
		chain_release(out);
	return result;
}

void chain_release(struct chain *c)
{
	free(c->links);
	*c = (struct chain){ NULL, 0 };
}

bool chain_has(const struct chain *c, const char *key)
{
	for (size_t i = 0; i < c->count; i++) {
		if (strcmp(c->links[i].key, key) == 0)
			return true;
	}
	return false;
}

bool chain_run(const struct chain *c, size_t count, unsigned below, struct chain *out)
{
	size_t begin = 0;

	for (size_t i = 0; i < c->count; i++) {
		if (c->links[i].level != c->links[begin].level)
			begin = i;
		if (i - begin + 1 < count || c->links[begin].level >= below)
			continue;
		*out = (struct chain){ alloc_zeroed(count, sizeof *out->links), count };
		memcpy(out->links, &c->links[begin], count * sizeof *out->links);
		return true;
	}
	return false;
}

uint64_t chain_merged_until(const struct chain *c)
{
	for (size_t i = c->count; i > 0; i--) {
		if (c->links[i - 1].level != CHAIN_PUSH_LEVEL)
			return c->links[i - 1].max_txid;
	}
	return 0;
}

bool chain_last(const struct object_listing *listing, struct chain_link *out)
{
	struct chain all = parse_all(listing);
	const struct chain_link *best = NULL;

	for (size_t i = 0; i < all.count; i++) {
		if (is_better(&all.links[i], best))
			best = &all.links[i];
	}
	if (best != NULL)
		*out = *best;
	free(all.links);
	return best != NULL;
}

/*
 * A snapshot may be younger than the push that it ends with.  It speaks for
 * that transaction only from its own time on, so once the push is deleted an
 * answer may be too early or none, never a state from after `wall_ms`.
 */
uint64_t chain_txid_at(const struct object_listing *listing, int64_t wall_ms)
{
	struct chain all = parse_all(listing);
	uint64_t txid = 0;

	for (size_t i = 0; i < all.count; i++) {
		const struct chain_link *l = &all.links[i];
		if (l->modified_ms != 0 && l->modified_ms <= wall_ms && l->max_txid > txid)
			txid = l->max_txid;
	}
	free(all.links);
	return txid;
}

/* Every chain begins with an object from 1 on, and the shortest such is one by itself. */
uint64_t chain_earliest(const struct object_listing *listing)
{
	struct chain all = parse_all(listing);
	uint64_t txid = 0;

	for (size_t i = 0; i < all.count; i++) {
		const struct chain_link *l = &all.links[i];
		if (l->min_txid == 1 && (txid == 0 || l->max_txid < txid))
			txid = l->max_txid;
	}
	free(all.links);
	return txid;
}
