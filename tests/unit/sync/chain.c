#include "sync/chain.h"

#include "base/alloc.h"
#include "fixture.h"

#include <inttypes.h>
#include <time.h>

enum { NAMES_MAX = 12 };

static struct object_listing list_of(const char *const names[NAMES_MAX])
{
	struct object_listing l = { NULL, 0 };

	while (l.count < NAMES_MAX && names[l.count] != NULL)
		l.count++;
	l.entries = alloc_zeroed(l.count, sizeof *l.entries);
	for (size_t i = 0; i < l.count; i++) {
		(void)snprintf(l.entries[i].key, OBJECT_KEY_MAX, "%s", names[i]);
		l.entries[i].size = 100 + i;
	}
	return l;
}

/* Short for tests: "0:1-3" is u/0000/0000000000000001-0000000000000003.ltx. */
static void expand(const char *brief, char out[OBJECT_KEY_MAX])
{
	unsigned level;
	uint64_t min, max;
	int end = 0;

	if (sscanf(brief, "%1x:%" SCNx64 "-%" SCNx64 "%n", &level, &min, &max, &end) == 3 &&
	    brief[end] == '\0')
		(void)snprintf(out, OBJECT_KEY_MAX, "u/%04x/%016" PRIx64 "-%016" PRIx64 ".ltx",
			       level, min, max);
	else
		(void)snprintf(out, OBJECT_KEY_MAX, "%s", brief);
}

static struct object_listing brief_list(const char *const briefs[NAMES_MAX])
{
	struct object_listing l = list_of(briefs);

	for (size_t i = 0; i < l.count; i++)
		expand(briefs[i], l.entries[i].key);
	return l;
}

static void keys_are_what_litestream_reads(void **state)
{
	char key[OBJECT_KEY_MAX];
	struct user_id id;

	(void)state;
	assert_int_equal(user_id_parse("a@b.c", 5, &id), 0);
	chain_prefix(&id, key);
	assert_string_equal(key, "a@b.c/");
	chain_push_key(&id, 1, key);
	assert_string_equal(key, "a@b.c/0000/0000000000000001-0000000000000001.ltx");
	chain_push_key(&id, 0xabcdef, key);
	assert_string_equal(key, "a@b.c/0000/0000000000abcdef-0000000000abcdef.ltx");
	chain_push_key(&id, UINT64_MAX, key);
	assert_string_equal(key, "a@b.c/0000/ffffffffffffffff-ffffffffffffffff.ltx");
}

static void key_of_a_long_id_is_whole(void **state)
{
	char text[USER_ID_MAX], key[OBJECT_KEY_MAX], want[OBJECT_KEY_MAX];
	struct user_id id;

	(void)state;
	memset(text, 'x', sizeof text);
	assert_int_equal(user_id_parse(text, sizeof text, &id), 0);
	chain_push_key(&id, 2, key);
	(void)snprintf(want, sizeof want, "%s/0000/0000000000000002-0000000000000002.ltx", id.text);
	assert_string_equal(key, want);
}

struct choice {
	const char *name;
	const char *objects[NAMES_MAX];
	uint64_t txid;
	enum chain_result result;
	const char *chain[NAMES_MAX];
};

static const struct choice choices[] = {
	{ "nothing", { NULL }, 0, CHAIN_EMPTY, { NULL } },
	{ "nothing, with a target", { NULL }, 5, CHAIN_EMPTY, { NULL } },
	{ "one push", { "0:1-1" }, 0, CHAIN_OK, { "0:1-1" } },
	{ "pushes only",
	  { "0:1-1", "0:2-2", "0:3-3" },
	  0,
	  CHAIN_OK,
	  { "0:1-1", "0:2-2", "0:3-3" } },
	{ "pushes in any order",
	  { "0:3-3", "0:1-1", "0:2-2" },
	  0,
	  CHAIN_OK,
	  { "0:1-1", "0:2-2", "0:3-3" } },
	{ "pushes around a power of 16",
	  { "0:1-e", "0:f-f", "0:10-10", "0:11-11" },
	  0,
	  CHAIN_OK,
	  { "0:1-e", "0:f-f", "0:10-10", "0:11-11" } },
	{ "a snapshot and what follows",
	  { "0:1-1", "0:2-2", "0:3-3", "0:4-4", "9:1-3" },
	  0,
	  CHAIN_OK,
	  { "9:1-3", "0:4-4" } },
	{ "the last of several snapshots",
	  { "9:1-2", "9:1-4", "9:1-3", "0:5-5", "0:3-3" },
	  0,
	  CHAIN_OK,
	  { "9:1-4", "0:5-5" } },
	{ "a snapshot alone", { "9:1-7" }, 0, CHAIN_OK, { "9:1-7" } },
	{ "a snapshot as old as the first push", { "9:1-1", "0:1-1" }, 0, CHAIN_OK, { "9:1-1" } },
	{ "ranges that overlap: the one that reaches furthest",
	  { "0:1-1", "1:2-4", "1:2-5", "0:2-2", "0:3-3", "0:6-6" },
	  0,
	  CHAIN_OK,
	  { "0:1-1", "1:2-5", "0:6-6" } },
	{ "ranges that start before where we are",
	  { "9:1-3", "1:2-5", "0:6-6" },
	  0,
	  CHAIN_OK,
	  { "9:1-3", "1:2-5", "0:6-6" } },
	{ "a hole", { "0:1-1", "0:2-2", "0:4-4" }, 0, CHAIN_BROKEN, { NULL } },
	{ "a hole at the start", { "0:2-2", "0:3-3" }, 0, CHAIN_BROKEN, { NULL } },
	{ "a hole after the snapshot", { "9:1-3", "0:5-5" }, 0, CHAIN_BROKEN, { NULL } },
	{ "a hole below a later snapshot",
	  { "0:1-1", "0:2-2", "0:4-4", "9:1-4", "0:5-5" },
	  0,
	  CHAIN_OK,
	  { "9:1-4", "0:5-5" } },
	{ "pushes deleted below the snapshot",
	  { "9:1-a", "0:b-b", "0:c-c" },
	  0,
	  CHAIN_OK,
	  { "9:1-a", "0:b-b", "0:c-c" } },
	{ "a snapshot that is none", { "9:2-4" }, 0, CHAIN_BROKEN, { NULL } },
	{ "a target in the middle",
	  { "0:1-1", "0:2-2", "0:3-3" },
	  2,
	  CHAIN_OK,
	  { "0:1-1", "0:2-2" } },
	{ "a target at the end", { "0:1-1", "0:2-2" }, 2, CHAIN_OK, { "0:1-1", "0:2-2" } },
	{ "a target at the first", { "0:1-1", "0:2-2" }, 1, CHAIN_OK, { "0:1-1" } },
	{ "a target beyond the end", { "0:1-1", "0:2-2" }, 3, CHAIN_BROKEN, { NULL } },
	{ "a target below the last snapshot",
	  { "0:1-1", "0:2-2", "0:3-3", "9:1-3" },
	  2,
	  CHAIN_OK,
	  { "0:1-1", "0:2-2" } },
	{ "a target between two snapshots",
	  { "9:1-2", "9:1-5", "0:3-3", "0:4-4", "0:5-5" },
	  4,
	  CHAIN_OK,
	  { "9:1-2", "0:3-3", "0:4-4" } },
	{ "a target whose pushes are deleted", { "9:1-5", "0:6-6" }, 4, CHAIN_BROKEN, { NULL } },
	{ "a target before a hole",
	  { "0:1-1", "0:2-2", "0:4-4" },
	  2,
	  CHAIN_OK,
	  { "0:1-1", "0:2-2" } },
	{ "a target in a hole", { "0:1-1", "0:2-2", "0:4-4" }, 3, CHAIN_BROKEN, { NULL } },
	{ "a target inside a range", { "0:1-1", "1:2-5" }, 3, CHAIN_BROKEN, { NULL } },
	{ "the largest target", { "0:1-1" }, UINT64_MAX, CHAIN_BROKEN, { NULL } },
	{ "the largest of all ids",
	  { "9:1-fffffffffffffffe", "0:ffffffffffffffff-ffffffffffffffff" },
	  0,
	  CHAIN_OK,
	  { "9:1-fffffffffffffffe", "0:ffffffffffffffff-ffffffffffffffff" } },
	{ "the largest of all ids as target",
	  { "9:1-ffffffffffffffff", "0:1-1" },
	  UINT64_MAX,
	  CHAIN_OK,
	  { "9:1-ffffffffffffffff" } },
	{ "the largest of all ids behind a hole",
	  { "0:1-1", "0:ffffffffffffffff-ffffffffffffffff" },
	  0,
	  CHAIN_BROKEN,
	  { NULL } },
	{ "foreign names beside ours",
	  { "u/0000/README", "u/snapshots/x", "0:1-1", "u/0000/", "u/", "u", "",
	    "u/0000/0000000000000002-0000000000000002.ltx.tmp", "0:2-2" },
	  0,
	  CHAIN_OK,
	  { "0:1-1", "0:2-2" } },
	{ "foreign names only",
	  { "u/0000/README", "u/generations/0123456789abcdef/x.wal", "", "u", "/" },
	  0,
	  CHAIN_EMPTY,
	  { NULL } },
};

static void expect_chain(const struct choice *q, const struct chain *got)
{
	size_t n = 0;

	for (; n < NAMES_MAX && q->chain[n] != NULL; n++) {
		char want[OBJECT_KEY_MAX];

		expand(q->chain[n], want);
		if (n >= got->count || strcmp(got->links[n].key, want) != 0)
			fail_msg("%s: link %zu: got %s, want %s", q->name, n,
				 n < got->count ? got->links[n].key : "none", want);
	}
	if (got->count != n)
		fail_msg("%s: got %zu links, want %zu", q->name, got->count, n);
}

static void choices_are_those_of_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
		const struct choice *q = &choices[i];
		struct object_listing l = brief_list(q->objects);
		struct chain chain;

		enum chain_result result = chain_choose(&l, q->txid, &chain);
		if (result != q->result)
			fail_msg("%s: got result %d, want %d", q->name, (int)result,
				 (int)q->result);
		if (result == CHAIN_OK)
			expect_chain(q, &chain);
		else
			assert_null(chain.links);
		chain_release(&chain);
		chain_release(&chain);
		object_listing_release(&l);
	}
}

static void chosen_links_carry_size_level_and_range(void **state)
{
	struct object_listing l =
		brief_list((const char *[NAMES_MAX]){ "0:1-1", "9:1-2", "1:3-5" });
	struct chain chain;

	(void)state;
	assert_int_equal(chain_choose(&l, 0, &chain), CHAIN_OK);
	assert_int_equal(chain.count, 2);
	assert_int_equal(chain.links[0].level, CHAIN_SNAPSHOT_LEVEL);
	assert_int_equal(chain.links[0].size, 101);
	assert_int_equal(chain.links[1].level, 1);
	assert_int_equal(chain.links[1].size, 102);
	assert_int_equal(chain.links[1].min_txid, 3);
	assert_int_equal(chain.links[1].max_txid, 5);
	chain_release(&chain);
	object_listing_release(&l);
}

#define ONE "0000000000000001"
#define TWO "0000000000000002"

static void hostile_names_are_passed_over(void **state)
{
	static const char *const names[] = {
		"u/0000/" TWO "-" ONE ".ltx", /* min > max */
		"u/0000/0000000000000000-" ONE ".ltx",
		"u/0000/0000000000000000-0000000000000000.ltx",
		"u/0000/0000000000000000-ffffffffffffffff.ltx",
		"u/0000/" ONE "-0000000000000000.ltx",
		"u/0000/000000000000000g-" ONE ".ltx",
		"u/0000/000000000000000A-000000000000000A.ltx",
		"u/0000/-000000000000001-" ONE ".ltx",
		"u/0000/ 000000000000001-" ONE ".ltx",
		"u/0000/0x00000000000001-" ONE ".ltx",
		"u/0000/000000000000001-" ONE ".ltx",
		"u/0000/00000000000000001-" ONE ".ltx",
		"u/0000/" ONE ".ltx",
		"u/0000/" ONE "_" ONE ".ltx",
		"u/0000/" ONE "-" ONE,
		"u/0000/" ONE "-" ONE ".ltx ",
		"u/0000/" ONE "-" ONE ".ltxx",
		"u/0000/" ONE "-" ONE ".LTX",
		"u/0000/" ONE "-" ONE ".ltx/",
		"u/0000/" ONE "-",
		"u/0000/" ONE,
		"u/0000",
		"u/000/" ONE "-" ONE ".ltx",
		"u/00000/" ONE "-" ONE ".ltx",
		"u/000a/" ONE "-" ONE ".ltx", /* no such level */
		"u/ffff/" ONE "-" ONE ".ltx",
		"u/0000//" ONE "-" ONE ".ltx",
		"u//0000/" ONE "-" ONE ".ltx",
		"u/x/0000/" ONE "-" ONE ".ltx",
		"0000/" ONE "-" ONE ".ltx",
		ONE "-" ONE ".ltx",
	};
	struct chain_link last;
	struct chain chain;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct object_listing l = list_of((const char *[NAMES_MAX]){ names[i] });

		if (chain_choose(&l, 0, &chain) != CHAIN_EMPTY || chain_last(&l, &last))
			fail_msg("'%s' was taken for a name of ours", names[i]);
		object_listing_release(&l);
	}
}

static void names_that_fill_their_field_are_read_to_their_end(void **state)
{
	struct object_listing l =
		list_of((const char *[NAMES_MAX]){ "u/0000/" ONE "-" ONE ".ltx", "", "", "" });
	struct chain chain;

	(void)state;
	memset(l.entries[1].key, 'x', OBJECT_KEY_MAX - 1);
	memset(l.entries[2].key, '/', OBJECT_KEY_MAX - 1);
	memset(l.entries[3].key, '0', OBJECT_KEY_MAX - 1);
	l.entries[3].key[1] = '/';
	assert_int_equal(chain_choose(&l, 0, &chain), CHAIN_OK);
	assert_int_equal(chain.count, 1);
	chain_release(&chain);
	object_listing_release(&l);
}

static void last_is_the_object_that_reaches_furthest(void **state)
{
	static const struct {
		const char *objects[NAMES_MAX];
		const char *last;
	} cases[] = {
		{ { "0:1-1" }, "0:1-1" },
		{ { "0:1-1", "0:3-3", "0:2-2" }, "0:3-3" },
		{ { "9:1-3", "0:3-3", "0:4-4" }, "0:4-4" },
		/* Behind a hole too: nothing may be pushed over it. */
		{ { "0:1-1", "0:ff-ff", "junk" }, "0:ff-ff" },
		{ { "9:1-3", "0:3-3" }, "9:1-3" },
	};
	struct chain_link last;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct object_listing l = brief_list(cases[i].objects);
		char want[OBJECT_KEY_MAX];

		expand(cases[i].last, want);
		assert_true(chain_last(&l, &last));
		assert_string_equal(last.key, want);
		object_listing_release(&l);
	}
	struct object_listing none = { NULL, 0 };
	assert_false(chain_last(&none, &last));
}

struct moment {
	const char *name;
	const char *objects[NAMES_MAX];
	int64_t modified_ms[NAMES_MAX]; /* of each */
	int64_t at_ms;
	uint64_t txid;
};

static const struct moment moments[] = {
	{ "nothing", { NULL }, { 0 }, 100, 0 },
	{ "before the first", { "0:1-1" }, { 10 }, 9, 0 },
	{ "at the first", { "0:1-1", "0:2-2" }, { 10, 20 }, 10, 1 },
	{ "between two", { "0:1-1", "0:2-2", "0:3-3" }, { 10, 20, 30 }, 29, 2 },
	{ "after the last", { "0:1-1", "0:2-2" }, { 10, 20 }, INT64_MAX, 2 },
	{ "pushes in any order", { "0:3-3", "0:1-1", "0:2-2" }, { 30, 10, 20 }, 25, 2 },
	{ "two in one millisecond", { "0:1-1", "0:2-2", "0:3-3" }, { 10, 10, 30 }, 10, 2 },
	{ "before the epoch", { "0:1-1" }, { 10 }, -5, 0 },
	{ "a snapshot that is younger than its push",
	  { "0:1-1", "0:2-2", "0:3-3", "9:1-2" },
	  { 10, 20, 30, 40 },
	  25,
	  2 },
	{ "a snapshot whose pushes are deleted, from its time on",
	  { "9:1-5", "0:6-6" },
	  { 60, 70 },
	  65,
	  5 },
	{ "a snapshot whose pushes are deleted, before its time",
	  { "9:1-5", "0:6-6" },
	  { 60, 70 },
	  59,
	  0 },
	{ "a snapshot that came after later pushes",
	  { "9:1-5", "0:6-6", "0:7-7" },
	  { 80, 70, 90 },
	  75,
	  6 },
	{ "a store whose clock went back", { "0:1-1", "0:2-2", "0:3-3" }, { 10, 30, 20 }, 25, 3 },
	{ "a time that was not told", { "0:1-1", "0:2-2" }, { 10, 0 }, 100, 1 },
	{ "no time that was told", { "0:1-1", "0:2-2" }, { 0, 0 }, 100, 0 },
	{ "names of others", { "u/0000/README", "0:1-1" }, { 10, 20 }, 15, 0 },
};

static void last_transaction_of_a_moment_is_that_of_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
		const struct moment *m = &moments[i];
		struct object_listing l = brief_list(m->objects);

		for (size_t n = 0; n < l.count; n++)
			l.entries[n].modified_ms = m->modified_ms[n];
		uint64_t got = chain_txid_at(&l, m->at_ms);
		if (got != m->txid)
			fail_msg("%s: got %" PRIu64 ", want %" PRIu64, m->name, got, m->txid);
		object_listing_release(&l);
	}
}

static void earliest_is_the_first_that_can_be_chosen(void **state)
{
	static const struct {
		const char *objects[NAMES_MAX];
		uint64_t txid;
	} cases[] = {
		{ { NULL }, 0 },
		{ { "junk" }, 0 },
		{ { "0:1-1", "0:2-2" }, 1 },
		{ { "0:2-2", "0:1-1", "9:1-2" }, 1 },
		{ { "9:1-5", "0:6-6" }, 5 },
		{ { "9:1-9", "9:1-5", "0:6-6" }, 5 },
		{ { "0:4-4", "0:5-5", "9:1-5", "0:6-6" }, 5 },
		{ { "0:1-3", "9:1-5" }, 3 },
		{ { "0:2-2", "0:3-3" }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct object_listing l = brief_list(cases[i].objects);
		struct chain chain;

		uint64_t got = chain_earliest(&l);
		if (got != cases[i].txid)
			fail_msg("case %zu: got %" PRIu64 ", want %" PRIu64, i, got, cases[i].txid);
		for (uint64_t txid = 1; txid < got; txid++)
			assert_int_equal(chain_choose(&l, txid, &chain), CHAIN_BROKEN);
		if (got > 0) {
			assert_int_equal(chain_choose(&l, got, &chain), CHAIN_OK);
			chain_release(&chain);
		}
		object_listing_release(&l);
	}
}

enum { MANY = 100000 };

/* The i-th of MANY objects; each is one that a quadratic search would be slow with. */
static void name_in_a_row(size_t i, uint64_t *min, uint64_t *max)
{
	*min = MANY - i;
	*max = MANY - i;
}

static void name_nested(size_t i, uint64_t *min, uint64_t *max)
{
	*min = 1;
	*max = i + 1;
}

static void name_overlapping(size_t i, uint64_t *min, uint64_t *max)
{
	*min = i / 2 + 1;
	*max = i + 1;
}

static void choose_among_many(void (*name)(size_t, uint64_t *, uint64_t *), size_t want)
{
	struct object_listing l = { alloc_zeroed(MANY, sizeof *l.entries), MANY };
	struct chain chain;

	for (size_t i = 0; i < MANY; i++) {
		uint64_t min, max;

		name(i, &min, &max);
		(void)snprintf(l.entries[i].key, OBJECT_KEY_MAX,
			       "u/0000/%016" PRIx64 "-%016" PRIx64 ".ltx", min, max);
	}
	clock_t before = clock();
	assert_int_equal(chain_choose(&l, 0, &chain), CHAIN_OK);
	/* Milliseconds; every pair of them would be 5,000,000,000 steps. */
	assert_true(clock() - before < 3 * CLOCKS_PER_SEC);
	assert_int_equal(chain.count, want);
	assert_int_equal(chain.links[chain.count - 1].max_txid, MANY);
	chain_release(&chain);
	object_listing_release(&l);
}

static void hundred_thousand_objects_are_chosen_from_in_linear_time(void **state)
{
	(void)state;
	choose_among_many(name_in_a_row, MANY);
	choose_among_many(name_nested, 1);
	/* From n the furthest is 2n + 2: 2, 6, 14, ... */
	choose_among_many(name_overlapping, 16);
}

static void run_is_of_one_level_without_interruption(void **state)
{
	const char *const names[NAMES_MAX] = {
		"9:1-4", "1:5-6", "1:7-8", "0:9-9", "0:a-a", "0:b-b"
	};
	struct object_listing l = brief_list(names);
	struct chain all, run;

	(void)state;
	assert_int_equal(chain_choose(&l, 0, &all), CHAIN_OK);
	assert_true(chain_run(&all, 2, 3, &run));
	assert_int_equal(run.count, 2);
	assert_int_equal(run.links[0].min_txid, 5);
	assert_int_equal(run.links[1].max_txid, 8);
	chain_release(&run);
	assert_true(chain_run(&all, 3, 3, &run));
	assert_int_equal(run.links[0].min_txid, 9);
	assert_int_equal(run.links[2].max_txid, 0xb);
	chain_release(&run);
	assert_false(chain_run(&all, 4, 3, &run));
	assert_true(chain_run(&all, 2, 1, &run));
	assert_int_equal(run.links[0].min_txid, 9);
	chain_release(&run);
	assert_int_equal(chain_merged_until(&all), 8);
	assert_true(chain_has(&all, l.entries[1].key));
	chain_release(&all);
	free(l.entries);
}

static void chain_of_pushes_alone_is_merged_nowhere(void **state)
{
	const char *const names[NAMES_MAX] = { "0:1-1", "0:2-2", "0:4-4" };
	struct object_listing l = brief_list(names);
	struct chain all;

	(void)state;
	assert_int_equal(chain_choose(&l, 2, &all), CHAIN_OK);
	assert_int_equal(chain_merged_until(&all), 0);
	assert_false(chain_has(&all, l.entries[2].key));
	chain_release(&all);
	free(l.entries);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(run_is_of_one_level_without_interruption),
		cmocka_unit_test(chain_of_pushes_alone_is_merged_nowhere),
		cmocka_unit_test(keys_are_what_litestream_reads),
		cmocka_unit_test(key_of_a_long_id_is_whole),
		cmocka_unit_test(choices_are_those_of_the_table),
		cmocka_unit_test(chosen_links_carry_size_level_and_range),
		cmocka_unit_test(hostile_names_are_passed_over),
		cmocka_unit_test(names_that_fill_their_field_are_read_to_their_end),
		cmocka_unit_test(last_is_the_object_that_reaches_furthest),
		cmocka_unit_test(last_transaction_of_a_moment_is_that_of_the_table),
		cmocka_unit_test(earliest_is_the_first_that_can_be_chosen),
		cmocka_unit_test(hundred_thousand_objects_are_chosen_from_in_linear_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
