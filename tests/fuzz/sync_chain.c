/*
 * Any names as the listing of a user's objects, one a line, the first line the
 * wanted transaction; as those of a spool's files and of kept databases, too.
 */
#include "../../app/sync/kept.c"

#include "quiet.h"

#define is_name spool_is_name
#define path_of spool_path_of
#include "../../app/sync/spool.c"
#undef is_name
#undef path_of

#include "store/backend.h"
#include "sync/chain.h"

#include <assert.h>

static const struct user_id user = { .text = "alice" };

static void use_name(const char *name)
{
	char path[PATH_MAX];

	if (is_name(name))
		assert(strchr(name, '/') == NULL && name[0] != '.');
	/* What is kept is what spool_open() would open, and nothing else is. */
	for (uint64_t number = 1; number < 20; number++) {
		assert(spool_path_of("x", number, ".ltx", path) == 0);
		assert(is_kept(name, number, number) == (strcmp(name, path + 2) == 0));
	}
}

/* A listing ascends, or it is refused before anybody sees it. */
static void add_entry(struct object_listing *l, const char *name, uint64_t size)
{
	char key[OBJECT_KEY_MAX];

	if (snprintf(key, sizeof key, "%s/%s", user.text, name) >= (int)sizeof key)
		return;
	if (l->count > 0 && strcmp(l->entries[l->count - 1].key, key) >= 0)
		return;
	struct object_entry *e = object_listing_add(l);
	memcpy(e->key, key, sizeof key);
	e->size = size;
	e->modified_ms = (int64_t)(size * 1000);
}

static void expect_own_name(const struct object_entry *e)
{
	char key[OBJECT_KEY_MAX];
	struct chain_link link;

	if (!chain_parse(e, &link))
		return;
	chain_key(&user, link.level, link.min_txid, link.max_txid, key);
	assert(strcmp(key, e->key) == 0 && strcmp(key, link.key) == 0);
}

static void expect_no_hole(const struct chain *c, uint64_t target)
{
	assert(c->count > 0 && c->links[0].min_txid == 1);
	for (size_t i = 1; i < c->count; i++) {
		assert(c->links[i].min_txid <= c->links[i - 1].max_txid + 1);
		assert(c->links[i].max_txid > c->links[i - 1].max_txid);
	}
	assert(target == 0 || c->links[c->count - 1].max_txid == target);
}

static void choose(const struct object_listing *l, uint64_t target)
{
	struct chain_link last;
	struct chain chain, run;

	bool any = chain_last(l, &last);
	switch (chain_choose(l, target, &chain)) {
	case CHAIN_EMPTY:
		assert(!any && chain_earliest(l) == 0);
		return;
	case CHAIN_BROKEN:
		assert(any);
		return;
	case CHAIN_OK:
		break;
	}
	expect_no_hole(&chain, target);
	assert(target != 0 || chain.links[chain.count - 1].max_txid == last.max_txid);
	assert(chain_earliest(l) != 0 &&
	       chain_earliest(l) <= chain.links[chain.count - 1].max_txid);
	for (size_t i = 0; i < chain.count; i++)
		assert(chain_has(&chain, chain.links[i].key));
	assert(chain_merged_until(&chain) <= chain.links[chain.count - 1].max_txid);
	if (chain_run(&chain, 3, CHAIN_SNAPSHOT_LEVEL, &run)) {
		assert(run.count == 3 && run.links[0].level == run.links[2].level);
		chain_release(&run);
	}
	chain_release(&chain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct object_listing l = { 0 };
	struct buf text = BUF_INIT;
	char *rest, *name;

	buf_add(&text, data, len);
	rest = text.data;
	name = strsep(&rest, "\n");
	uint64_t target = strtoull(name, NULL, 16);
	while ((name = strsep(&rest, "\n")) != NULL) {
		use_name(name);
		add_entry(&l, name, strlen(rest != NULL ? rest : ""));
	}
	for (size_t i = 0; i < l.count; i++)
		expect_own_name(&l.entries[i]);
	choose(&l, 0);
	choose(&l, target);
	(void)chain_txid_at(&l, (int64_t)target);
	object_listing_release(&l);
	buf_release(&text);
	return 0;
}
