#include "state/table.h"

#include "fixture.h"
#include "state/slot.h"
#include "state/slot_words.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>

enum {
	/* A table is never asked for less than twice what it is to hold, in powers of two. */
	NSLOTS = 128,
	PLACES = 256,
	WORKER = 3,
	OTHER_WORKER = 4,
	/* As the table has them. */
	KEY_FREE = 0,
	KEY_CHANGING = 1,
};

struct fixture {
	struct folder folder;
	char path[FOLDER_FILE_MAX];
	struct table *table;
};

static int set_up(void **state)
{
	static struct fixture f;

	folder_init(&f.folder);
	folder_file(&f.folder, "table", f.path);
	f.table = table_create(f.path, NSLOTS);
	assert_non_null(f.table);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	table_free(f->table);
	folder_release(&f->folder);
	return 0;
}

static struct user_id id_of(const char *text)
{
	struct user_id id;

	if (user_id_parse(text, strlen(text), &id) < 0)
		abort();
	return id;
}

static struct user_id numbered(const char *kind, unsigned n)
{
	char text[USER_ID_MAX];

	(void)snprintf(text, sizeof text, "%s-%u", kind, n);
	return id_of(text);
}

static struct slot *add(const struct fixture *f, const char *text)
{
	struct user_id id = id_of(text);
	struct slot *s = NULL;

	assert_int_equal(table_add(f->table, &id, &s), TABLE_ADDED);
	return s;
}

/* As whoever holds the rights to the files would. */
static void load(struct slot *s)
{
	static const struct slot_saved in_step = { .files = FILES_PRESENT };

	slot_load(s, &in_step);
}

static bool replace(struct table *t, struct slot *s, const struct user_id *old,
		    const struct user_id *id)
{
	int change = table_change_begin(t);
	bool replaced = change >= 0 && table_replace(t, s, old, id);

	if (change >= 0)
		table_change_end(change);
	return replaced;
}

static bool is_dirty(const struct slot *s)
{
	struct slot_view v;

	slot_read(s, &v);
	return slot_is_dirty(&v);
}

static bool is_due(const struct fixture *f, const struct slot *s)
{
	const struct slot *due;
	uint32_t place = 0;

	while ((due = table_next_due(f->table, &place)) != NULL) {
		if (due == s)
			return true;
	}
	return false;
}

/* Users in step until no place is left; returns them by place. */
static void fill(const struct fixture *f, struct slot *slots[PLACES])
{
	const struct slot *s = NULL;
	struct slot *added;
	unsigned n = 0;

	for (;; n++) {
		struct user_id id = numbered("filler", n);
		if (table_add(f->table, &id, &added) == TABLE_FULL)
			break;
	}
	assert_int_equal(n, PLACES);
	for (n = 0; n < PLACES; n++) {
		s = table_next(f->table, s);
		assert_non_null(s);
		struct user_id id;
		slot_id(s, &id);
		slots[n] = table_find(f->table, &id);
		assert_ptr_equal(slots[n], s);
		load(slots[n]);
	}
	assert_null(table_next(f->table, s));
}

static void user_is_found_where_it_was_added_and_nobody_else(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = id_of("alice"), bob = id_of("bob"), ali = id_of("ali");
	struct slot *again;

	assert_null(table_find(f->table, &alice));
	struct slot *s = add(f, "alice");
	assert_ptr_equal(table_find(f->table, &alice), s);
	assert_int_equal(table_add(f->table, &alice, &again), TABLE_FOUND);
	assert_ptr_equal(again, s);
	assert_null(table_find(f->table, &bob));
	assert_null(table_find(f->table, &ali));
	assert_ptr_not_equal(add(f, "bob"), s);
	assert_true(slot_is_of(s, &alice));
	assert_false(slot_is_of(s, &ali));
	assert_false(slot_is_of(s, &bob));
}

static int by_text(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct user_id));
}

/* Every slot is that of the user whom it names, and of no second one. */
static unsigned count_users(const struct table *t)
{
	static struct user_id ids[4096];
	unsigned n = 0;

	for (const struct slot *s = NULL; (s = table_next(t, s)) != NULL; n++) {
		assert_true(n < sizeof ids / sizeof ids[0]);
		slot_id(s, &ids[n]);
		assert_ptr_equal(table_find(t, &ids[n]), s);
	}
	qsort(ids, n, sizeof ids[0], by_text);
	for (unsigned i = 1; i < n; i++)
		assert_true(by_text(&ids[i - 1], &ids[i]) < 0);
	return n;
}

/* Newcomers get whatever place is free or was left half made; then none is missing. */
static void expect_all_places_usable(const struct fixture *f, const char *kind)
{
	struct slot *s;

	for (unsigned n = 0;; n++) {
		struct user_id id = numbered(kind, n);
		if (table_add(f->table, &id, &s) == TABLE_FULL)
			break;
		assert_true(n < PLACES);
	}
	assert_int_equal(count_users(f->table), PLACES);
}

static void expect_fresh(const struct slot *s)
{
	struct slot_view v;

	assert_false(slot_is_loaded(s));
	slot_read(s, &v);
	assert_false(slot_is_dirty(&v));
	assert_false(v.conflict || v.pushing || v.pull_wanted);
	assert_int_equal(v.files, FILES_UNKNOWN);
	assert_int_equal(v.txid, 0);
	assert_int_equal(v.failed_since_ms, 0);
	assert_int_equal(v.last_success_ms, 0);
	assert_int_equal(v.error, 0);
	assert_int_equal(v.failures, 0);
	assert_int_equal(v.pull_error, 0);
	assert_int_equal(v.next_attempt_ms, 0);
	assert_int_equal(v.held_until_ms, 0);
}

/* One who dies inside the bracket, with some words of a slot written. */
struct dying {
	struct table *table;
	struct slot *slot;
	struct user_id old;
	struct user_id id;
	int written; /* words of the id */
};

static void write_words(struct slot *s, const struct user_id *id, int written)
{
	uint64_t words[8];

	memcpy(words, id->text, sizeof words);
	for (int i = 0; i < written; i++)
		s->id[i] = words[i];
}

static int create_but_for_the_key(void *owner)
{
	const struct dying *d = owner;

	if (table_change_begin(d->table) < 0 || d->slot->key != KEY_FREE)
		return 1;
	write_words(d->slot, &d->id, d->written);
	return 0;
}

static void creator_killed_between_id_and_key_leaves_a_free_place(void **state)
{
	const struct fixture *f = *state;
	struct dying d = {
		.table = f->table,
		.id = id_of("somebody-with-a-name-of-more-than-forty-characters@example.com"),
	};
	struct slot *again;

	assert_int_equal(table_add(f->table, &d.id, &d.slot), TABLE_ADDED);
	for (d.written = 0; d.written <= 8; d.written++) {
		d.slot->key = KEY_FREE;
		for (int i = 0; i < 8; i++)
			d.slot->id[i] = 0;
		pid_t creator = start_child_that_stays(create_but_for_the_key, &d);
		assert_null(table_find(f->table, &d.id));
		assert_null(table_next(f->table, NULL));
		kill_child(creator);
		assert_null(table_find(f->table, &d.id));
		assert_int_equal(table_add(f->table, &d.id, &again), TABLE_ADDED);
		assert_ptr_equal(again, d.slot);
		assert_true(slot_is_of(d.slot, &d.id));
		assert_ptr_equal(table_find(f->table, &d.id), d.slot);
		expect_fresh(d.slot);
	}
	assert_int_equal(count_users(f->table), 1);
}

static int replace_but_for_the_key(void *owner)
{
	const struct dying *d = owner;

	if (table_change_begin(d->table) < 0 || d->slot->key <= KEY_CHANGING)
		return 1;
	d->slot->key = KEY_CHANGING;
	write_words(d->slot, &d->id, d->written);
	return 0;
}

/* The words of the old user are still there, or some of them. */
static void replacer_killed_while_the_key_changes_loses_no_place(void **state)
{
	const struct slot_saved saved = { .txid = 17, .files = FILES_PRESENT, .dirty = true };
	const struct fixture *f = *state;
	struct dying d = { .table = f->table, .id = id_of("newcomer") };
	struct user_id next = id_of("next");
	struct slot *slots[PLACES], *got;

	fill(f, slots);
	for (unsigned n = 0; n < PLACES; n++) {
		d.slot = slots[n];
		d.written = (int)(n % 9);
		slot_id(d.slot, &d.old);
		slot_load(d.slot, &saved);
		pid_t replacer = start_child_that_stays(replace_but_for_the_key, &d);
		kill_child(replacer);
		assert_null(table_find(f->table, &d.old));
		assert_null(table_find(f->table, &d.id));
		assert_int_equal(count_users(f->table), PLACES - 1);
		/* The new one gets it, the old one, or a third. */
		const struct user_id *id = n % 3 == 0 ? &d.id : n % 3 == 1 ? &d.old : &next;
		assert_int_equal(table_add(f->table, id, &got), TABLE_ADDED);
		assert_ptr_equal(got, d.slot);
		assert_true(slot_is_of(got, id));
		expect_fresh(got);
		assert_int_equal(count_users(f->table), PLACES);
		load(got);
		if (id != &d.old)
			assert_true(replace(f->table, got, id, &d.old));
	}
}

static void users_behind_a_changing_slot_are_found(void **state)
{
	const struct fixture *f = *state;
	struct slot *slots[PLACES];

	fill(f, slots);
	for (unsigned n = 0; n < PLACES; n++) {
		struct user_id half, other;
		struct slot *again;

		slot_id(slots[n], &half);
		slots[n]->key = KEY_CHANGING;
		for (unsigned k = 0; k < PLACES; k++) {
			if (k == n)
				continue;
			slot_id(slots[k], &other);
			assert_ptr_equal(table_find(f->table, &other), slots[k]);
		}
		assert_int_equal(table_add(f->table, &half, &again), TABLE_ADDED);
		assert_ptr_equal(again, slots[n]);
	}
}

/* What parent and children count in; lives as long as the test program. */
struct counts {
	_Atomic uint64_t turns[16];
	_Atomic uint64_t added, replaced;
	_Atomic uint64_t sum;
};

static struct counts *new_counts(void)
{
	struct counts *c =
		mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(c != MAP_FAILED);
	return c;
}

static bool has_ended(pid_t pid)
{
	siginfo_t ended = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT | WNOHANG) != 0 ||
	       ended.si_pid != 0;
}

/* Fails if it ended by itself, as it does when something went wrong. */
static void kill_after(pid_t pid, const _Atomic uint64_t *turns, uint64_t more)
{
	uint64_t until = *turns + more;

	while (*turns < until && !has_ended(pid))
		sched_yield();
	kill_child(pid);
}

enum { KILLS = 200 };

struct repeater {
	struct table *table;
	struct counts *counts;
	struct slot *slot;
	struct user_id users[2];
};

static int create_for_ever(void *owner)
{
	const struct repeater *r = owner;

	if (table_change_begin(r->table) < 0)
		return 1;
	for (;;) {
		r->slot->key = KEY_FREE;
		for (int i = 0; i < 8; i++)
			r->slot->id[i] = 0;
		if (table_place(r->table, &r->users[0]) != r->slot)
			return 2;
		r->counts->turns[0]++;
	}
}

/* All the time inside the bracket, so that most deaths are between two words. */
static void creator_killed_at_any_word_leaves_a_free_place_or_a_user(void **state)
{
	const struct fixture *f = *state;
	struct repeater r = {
		.table = f->table,
		.counts = new_counts(),
		.users = { id_of("somebody-with-a-name-of-more-than-forty@example.com") },
	};
	unsigned half_made = 0;
	struct slot *s;

	assert_int_equal(table_add(f->table, &r.users[0], &r.slot), TABLE_ADDED);
	for (unsigned n = 0; n < KILLS; n++) {
		kill_after(start_child(create_for_ever, &r), &r.counts->turns[0], 20 + n % 7);
		half_made += r.slot->key == KEY_FREE && r.slot->id[0] != 0;
		struct slot *found = table_find(f->table, &r.users[0]);
		enum table_result result = table_add(f->table, &r.users[0], &s);
		assert_int_equal(result, found == NULL ? TABLE_ADDED : TABLE_FOUND);
		assert_ptr_equal(s, r.slot);
		assert_int_equal(count_users(f->table), 1);
	}
	assert_true(half_made > 0);
	munmap(r.counts, sizeof *r.counts);
}

static int replace_for_ever(void *owner)
{
	const struct repeater *r = owner;
	unsigned present = slot_is_of(r->slot, &r->users[0]) ? 0 : 1;

	if (table_change_begin(r->table) < 0)
		return 1;
	for (;; present = 1 - present) {
		if (!table_replace(r->table, r->slot, &r->users[present], &r->users[1 - present]))
			return 2;
		load(r->slot);
		r->counts->turns[0]++;
	}
}

static void replacer_killed_at_any_word_loses_no_place(void **state)
{
	const struct fixture *f = *state;
	struct repeater r = { .table = f->table, .counts = new_counts() };
	struct slot *slots[PLACES], *s;
	unsigned changing = 0;

	fill(f, slots);
	r.slot = slots[PLACES / 2];
	slot_id(r.slot, &r.users[0]);
	r.users[1] = id_of("somebody-with-a-name-of-more-than-forty-characters@example.com");
	for (unsigned n = 0; n < KILLS; n++) {
		kill_after(start_child(replace_for_ever, &r), &r.counts->turns[0], 20 + n % 7);
		changing += r.slot->key == KEY_CHANGING;
		unsigned found = 0;
		for (unsigned i = 0; i < 2; i++)
			found += table_find(f->table, &r.users[i]) == r.slot;
		assert_int_equal(found, r.slot->key == KEY_CHANGING ? 0 : 1);
		if (found == 0) {
			assert_int_equal(table_add(f->table, &r.users[n % 2], &s), TABLE_ADDED);
			assert_ptr_equal(s, r.slot);
			expect_fresh(s);
		}
		load(r.slot);
		assert_int_equal(count_users(f->table), PLACES);
	}
	assert_true(changing > 0);
	munmap(r.counts, sizeof *r.counts);
}

enum { MOB = 4, MOB_USERS = 2 * PLACES };

struct mobster {
	struct table *table;
	struct counts *counts;
	unsigned number;
	unsigned seed;
};

/* Inside the bracket, so no files and no rights are needed. */
static bool admit(const struct mobster *m, const struct user_id *id, unsigned nth)
{
	struct slot *s = table_find(m->table, id);

	if (s == NULL) {
		s = table_place(m->table, id);
		m->counts->added += s != NULL;
	}
	if (s == NULL && (s = table_candidate(m->table, id, nth)) != NULL) {
		struct user_id old;
		slot_id(s, &old);
		if (!table_replace(m->table, s, &old, id))
			return false;
		m->counts->replaced++;
	}
	/* One that its maker did not come to load is loaded by the next who comes. */
	if (s != NULL && !slot_is_loaded(s))
		load(s);
	return s == NULL || (slot_is_of(s, id) && table_find(m->table, id) == s);
}

static int admit_for_ever(void *owner)
{
	const struct mobster *m = owner;
	unsigned x = m->seed;

	for (;;) {
		x = x * 1103515245u + 12345u;
		struct user_id id = numbered("mob", (x >> 16) % MOB_USERS);
		int change = table_change_begin(m->table);
		if (change < 0)
			return 1;
		if (!admit(m, &id, x >> 28))
			return 2;
		table_change_end(change);
		m->counts->turns[m->number]++;
	}
}

static void no_place_is_lost_by_processes_killed_at_random(void **state)
{
	const struct fixture *f = *state;
	struct counts *counts = new_counts();
	struct mobster mob[MOB];
	pid_t pids[MOB];
	unsigned x = 1;

	for (unsigned i = 0; i < MOB; i++) {
		mob[i] = (struct mobster){ f->table, counts, i, i };
		pids[i] = start_child(admit_for_ever, &mob[i]);
	}
	for (unsigned n = 0; n < KILLS; n++) {
		x = x * 1103515245u + 12345u;
		unsigned i = (x >> 16) % MOB;
		kill_after(pids[i], &counts->turns[i], (x >> 20) % 32);
		mob[i].seed = x;
		pids[i] = start_child(admit_for_ever, &mob[i]);
	}
	for (unsigned i = 0; i < MOB; i++)
		kill_after(pids[i], &counts->turns[i], 1);
	assert_true(counts->added >= PLACES);
	assert_true(counts->replaced > KILLS);
	expect_all_places_usable(f, "late");
	munmap(counts, sizeof *counts);
}

enum { CHANGERS = 4, CHANGES = 2000 };

/* Not one step, so that two who were in at a time would be seen. */
static void *change_again_and_again(void *owner)
{
	const struct repeater *r = owner;

	for (unsigned n = 0; n < CHANGES; n++) {
		int change = table_change_begin(r->table);
		if (change < 0)
			return owner;
		uint64_t sum = r->counts->sum;
		sched_yield();
		r->counts->sum = sum + 1;
		table_change_end(change);
	}
	return NULL;
}

static int change_in_two_threads(void *owner)
{
	pthread_t thread;
	void *failed, *here;

	if (pthread_create(&thread, NULL, change_again_and_again, owner) != 0)
		return 1;
	here = change_again_and_again(owner);
	if (pthread_join(thread, &failed) != 0 || failed != NULL || here != NULL)
		return 2;
	return 0;
}

static void one_thread_of_all_processes_is_in_a_change(void **state)
{
	const struct fixture *f = *state;
	struct repeater r = { .table = f->table, .counts = new_counts() };
	struct children c;

	children_init(&c);
	for (unsigned i = 0; i < CHANGERS; i++)
		children_add(&c, change_in_two_threads, &r);
	children_go(&c);
	children_succeed(&c);
	assert_int_equal(r.counts->sum, CHANGERS * 2 * CHANGES);
	munmap(r.counts, sizeof *r.counts);
}

enum { ADDERS = 8, SHARED_USERS = 400, OWN_USERS = 50 };

struct adder {
	struct table *table;
	unsigned number;
};

static bool adds_well(struct table *t, const struct user_id *id)
{
	struct slot *s, *again;

	if (table_add(t, id, &s) == TABLE_FULL || !slot_is_of(s, id))
		return false;
	return table_find(t, id) == s && table_add(t, id, &again) == TABLE_FOUND && again == s;
}

static int add_shared_and_own(void *owner)
{
	const struct adder *a = owner;
	char kind[16];

	(void)snprintf(kind, sizeof kind, "own-%u", a->number);
	for (unsigned i = 0; i < SHARED_USERS; i++) {
		struct user_id shared = numbered("shared", i), own = numbered(kind, i);
		if (!adds_well(a->table, &shared))
			return 1;
		if (i < OWN_USERS && !adds_well(a->table, &own))
			return 2;
	}
	return 0;
}

static void racing_processes_make_one_slot_for_each_user(void **state)
{
	struct fixture *f = *state;
	struct adder adders[ADDERS];
	struct children c;

	table_free(f->table);
	f->table = table_create(f->path, 2048);
	assert_non_null(f->table);
	children_init(&c);
	for (unsigned i = 0; i < ADDERS; i++) {
		adders[i] = (struct adder){ f->table, i };
		children_add(&c, add_shared_and_own, &adders[i]);
	}
	children_go(&c);
	children_succeed(&c);
	assert_int_equal(count_users(f->table), SHARED_USERS + ADDERS * OWN_USERS);
}

/* Due are the places that `wanted` says, found in order. */
static void expect_due(const struct fixture *f, struct slot *slots[PLACES],
		       bool (*wanted)(unsigned place))
{
	uint32_t place = 0;

	for (unsigned n = 0; n < PLACES; n++) {
		if (!wanted(n))
			continue;
		assert_ptr_equal(table_next_due(f->table, &place), slots[n]);
		assert_int_equal(place, n + 1);
	}
	assert_null(table_next_due(f->table, &place));
	assert_null(table_next_due(f->table, &place));
}

static bool none(unsigned place)
{
	(void)place;
	return false;
}

static bool all(unsigned place)
{
	(void)place;
	return true;
}

static bool ends_of_words(unsigned place)
{
	return place % 64 == 0 || place % 64 == 63;
}

static bool every_third(unsigned place)
{
	return place % 3 == 1;
}

static void due_slots_are_found_in_order_until_cleared(void **state)
{
	static bool (*const patterns[])(unsigned) = { none, all, ends_of_words, every_third };
	const struct fixture *f = *state;
	struct slot *slots[PLACES];

	fill(f, slots);
	expect_due(f, slots, none);
	for (unsigned p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
		for (unsigned n = 0; n < PLACES; n++) {
			if (patterns[p](n))
				table_set_due(f->table, slots[n]);
			else
				table_clear_due(f->table, slots[n]);
		}
		expect_due(f, slots, patterns[p]);
		for (unsigned n = 0; n < PLACES; n++)
			table_set_due(f->table, slots[n]);
		expect_due(f, slots, all);
	}
}

static void search_for_due_slots_goes_on_from_any_place(void **state)
{
	const struct fixture *f = *state;
	struct slot *slots[PLACES];

	fill(f, slots);
	for (unsigned n = 0; n < PLACES; n++) {
		table_set_due(f->table, slots[n]);
		for (uint32_t from = 0; from <= PLACES; from++) {
			uint32_t place = from;
			struct slot *got = table_next_due(f->table, &place);

			assert_ptr_equal(got, from <= n ? slots[n] : NULL);
			assert_int_equal(place, from <= n ? n + 1 : PLACES);
		}
		table_clear_due(f->table, slots[n]);
	}
}

enum { TOGGLERS = 4, TOGGLES = 300 };

struct toggler {
	struct table *table;
	struct slot **slots;
	unsigned number;
};

/* Its own bits of every word; in the end those are set that every_third() says. */
static int toggle_own_bits(void *owner)
{
	const struct toggler *t = owner;

	for (unsigned round = 0; round < TOGGLES; round++) {
		for (unsigned n = t->number; n < PLACES; n += TOGGLERS) {
			table_set_due(t->table, t->slots[n]);
			table_clear_due(t->table, t->slots[n]);
		}
	}
	for (unsigned n = t->number; n < PLACES; n += TOGGLERS) {
		if (every_third(n))
			table_set_due(t->table, t->slots[n]);
	}
	return 0;
}

static void racing_processes_do_not_disturb_each_others_due_bits(void **state)
{
	const struct fixture *f = *state;
	struct toggler togglers[TOGGLERS];
	struct slot *slots[PLACES];
	struct children c;

	fill(f, slots);
	children_init(&c);
	for (unsigned i = 0; i < TOGGLERS; i++) {
		togglers[i] = (struct toggler){ f->table, slots, i };
		children_add(&c, toggle_own_bits, &togglers[i]);
	}
	children_go(&c);
	children_succeed(&c);
	expect_due(f, slots, every_third);
}

enum { WRITERS = 4, COMMITS = 40000 };

static int commit_and_set_due(void *owner)
{
	const struct toggler *t = owner;
	unsigned place = t->number;

	for (unsigned n = 0; n < COMMITS; n++) {
		place = (place * 5 + 3 + t->number) % PLACES;
		slot_commit(t->slots[place]);
		table_set_due(t->table, t->slots[place]);
	}
	return 0;
}

/* The bit is cleared before the counter is read, as whoever lets a slot rest does. */
static void push_what_is_due(const struct fixture *f)
{
	uint32_t place = 0;
	struct slot *s;

	while ((s = table_next_due(f->table, &place)) != NULL) {
		table_clear_due(f->table, s);
		slot_push_stored(s, slot_committed(s), 1, 7, 1);
	}
}

static void no_commit_is_forgotten_between_set_and_clear(void **state)
{
	const struct fixture *f = *state;
	struct toggler writers[WRITERS];
	struct slot *slots[PLACES];
	uint64_t commits = 0;
	struct children c;

	fill(f, slots);
	children_init(&c);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct toggler){ f->table, slots, i };
		children_add(&c, commit_and_set_due, &writers[i]);
	}
	children_go(&c);
	for (unsigned i = 0; i < WRITERS; i++) {
		while (!has_ended(c.pids[i]))
			push_what_is_due(f);
	}
	children_succeed(&c);
	push_what_is_due(f);
	for (unsigned n = 0; n < PLACES; n++) {
		assert_false(is_dirty(slots[n]));
		commits += slot_committed(slots[n]);
	}
	assert_int_equal(commits, WRITERS * COMMITS);
	expect_due(f, slots, none);
}

/* What makes a slot unfit to be given away, and what makes it fit again. */
static void make_unfit(const struct fixture *f, struct slot *s, unsigned how)
{
	switch (how) {
	case 0:
		slot_commit(s);
		break;
	case 1:
		slot_push_failed(s, 1, 1000, 1, false);
		break;
	case 2:
		slot_push_conflict(s, true);
		break;
	case 3:
		slot_push_began(s, table_worker_mark(f->table, WORKER), 1);
		break;
	case 4:
		s->files = FILES_ABSENT;
		slot_pull_wanted(s);
		break;
	case 5:
		/* Somebody may be about to load it. */
		s->loaded = 0;
		break;
	}
}

enum { UNFIT_WAYS = 6 };

static void expect_candidates(const struct fixture *f, bool fit[PLACES], struct slot *slots[PLACES])
{
	struct user_id id = id_of("newcomer");
	bool seen[PLACES] = { false };
	struct slot *s;

	int change = table_change_begin(f->table);
	assert_true(change >= 0);
	for (unsigned n = 0; (s = table_candidate(f->table, &id, n)) != NULL; n++) {
		unsigned place = 0;

		assert_true(n <= PLACES);
		while (slots[place] != s)
			place++;
		if (!fit[place])
			fail_msg("slot %u, unfit, is a candidate", place);
		seen[place] = true;
	}
	table_change_end(change);
	for (unsigned place = 0; place < PLACES; place++)
		assert_int_equal(seen[place], fit[place]);
}

static void full_table_offers_clean_and_idle_slots_only(void **state)
{
	const struct fixture *f = *state;
	struct user_id newcomer = id_of("newcomer");
	struct slot *slots[PLACES], *s;
	bool fit[PLACES];

	fill(f, slots);
	assert_int_equal(table_add(f->table, &newcomer, &s), TABLE_FULL);
	for (unsigned n = 0; n < PLACES; n++) {
		fit[n] = n % (UNFIT_WAYS + 1) == UNFIT_WAYS;
		make_unfit(f, slots[n], n % (UNFIT_WAYS + 1));
	}
	expect_candidates(f, fit, slots);
	for (unsigned n = 0; n < PLACES; n++) {
		if (fit[n])
			make_unfit(f, slots[n], n % UNFIT_WAYS);
	}
	assert_null(table_candidate(f->table, &newcomer, 0));
	assert_int_equal(table_add(f->table, &newcomer, &s), TABLE_FULL);
}

static void unfit_slot_is_not_replaced(void **state)
{
	const struct fixture *f = *state;
	struct user_id newcomer = id_of("newcomer");
	struct slot *slots[PLACES];

	fill(f, slots);
	for (unsigned how = 0; how < UNFIT_WAYS; how++) {
		struct user_id old;

		slot_id(slots[how], &old);
		make_unfit(f, slots[how], how);
		assert_false(replace(f->table, slots[how], &old, &newcomer));
		assert_ptr_equal(table_find(f->table, &old), slots[how]);
	}
	assert_null(table_find(f->table, &newcomer));
}

static void slot_is_replaced_from_the_right_user_and_once(void **state)
{
	const struct slot_saved saved = { .txid = 17, .files = FILES_PRESENT };
	const struct fixture *f = *state;
	struct user_id newcomer = id_of("newcomer"), third = id_of("third"), old, wrong;
	struct slot *slots[PLACES];

	fill(f, slots);
	struct slot *s = table_candidate(f->table, &newcomer, 5);
	assert_non_null(s);
	slot_id(s, &old);
	slot_id(s == slots[0] ? slots[1] : slots[0], &wrong);
	slot_load(s, &saved);
	slot_commit(s);
	slot_push_failed(s, 3, 1000, 70, true);
	slot_push_stored(s, 1, 18, 7, 1000);
	slot_pull_failed(s, 4, 70);

	assert_false(replace(f->table, s, &wrong, &newcomer));
	assert_ptr_equal(table_find(f->table, &old), s);
	assert_true(replace(f->table, s, &old, &newcomer));
	assert_false(replace(f->table, s, &old, &third));
	assert_null(table_find(f->table, &old));
	assert_null(table_find(f->table, &third));
	assert_ptr_equal(table_find(f->table, &newcomer), s);
	assert_true(slot_is_of(s, &newcomer));

	expect_fresh(s);
}

struct replacer {
	struct table *table;
	struct slot *slot;
	struct user_id old;
	_Atomic unsigned *won;
	unsigned number;
};

static int replace_with_own(void *owner)
{
	struct replacer *r = owner;
	struct user_id id = numbered("heir", r->number);

	if (replace(r->table, r->slot, &r->old, &id))
		atomic_fetch_add(r->won, 1);
	return 0;
}

static void one_of_racing_replacers_wins(void **state)
{
	const struct fixture *f = *state;
	struct replacer replacers[4];
	struct slot *slots[PLACES];

	fill(f, slots);
	/* The words of a slot that nobody uses serve as the counter that all share. */
	_Atomic uint32_t *won = &slots[PLACES - 1]->failures;
	for (unsigned round = 0; round < 30; round++) {
		struct children c;
		unsigned found = 0;

		*won = 0;
		children_init(&c);
		for (unsigned i = 0; i < 4; i++) {
			replacers[i] = (struct replacer){ f->table, slots[round], .won = won,
							  .number = round * 4 + i };
			slot_id(slots[round], &replacers[i].old);
			children_add(&c, replace_with_own, &replacers[i]);
		}
		children_go(&c);
		children_succeed(&c);
		assert_int_equal(*won, 1);
		for (unsigned i = 0; i < 4; i++) {
			struct user_id id = numbered("heir", round * 4 + i);
			found += table_find(f->table, &id) == slots[round];
		}
		assert_int_equal(found, 1);
	}
}

enum { SWAPS = 20000 };

static int add_for_ever(void *owner)
{
	const struct replacer *r = owner;
	struct slot *s;

	for (;;)
		table_add(r->table, &r->old, &s);
	return 0;
}

/*
 * Whoever adds the old user at that moment must not take the place back.  The
 * slot goes to and fro between two users, as nobody holds a right to it.
 */
static void replaced_slot_stays_that_of_its_new_user(void **state)
{
	const struct fixture *f = *state;
	struct user_id users[2] = { { { 0 } }, id_of("newcomer") };
	struct replacer r = { .table = f->table };
	struct slot *slots[PLACES];
	unsigned broken = 0;

	fill(f, slots);
	slot_id(slots[0], &users[0]);
	r.old = users[0];
	pid_t adder = start_child(add_for_ever, &r);
	for (unsigned n = 0; n < SWAPS && broken == 0; n++) {
		const struct user_id *old = &users[n % 2], *id = &users[(n + 1) % 2];
		if (!replace(f->table, slots[0], old, id) || !slot_is_of(slots[0], id) ||
		    table_find(f->table, id) != slots[0])
			broken = n + 1;
		load(slots[0]);
	}
	kill_child(adder);
	if (broken != 0)
		fail_msg("after %u times the slot is not that of its new user", broken);
}

static void sweep_is_claimed_by_one_and_not_after_it_is_done(void **state)
{
	const struct fixture *f = *state;

	table_worker_born(f->table, WORKER, 100);
	table_worker_born(f->table, OTHER_WORKER, 101);
	assert_true(table_claim_sweep(f->table, WORKER));
	assert_false(table_claim_sweep(f->table, OTHER_WORKER));
	assert_false(table_claim_sweep(f->table, WORKER));
	table_sweep_done(f->table);
	assert_false(table_claim_sweep(f->table, WORKER));
	table_worker_died(f->table, WORKER);
	assert_false(table_claim_sweep(f->table, OTHER_WORKER));
	assert_false(table_claim_sweep(f->table, WORKER));
}

static int claim_sweep(void *owner)
{
	const struct fixture *f = owner;

	return table_claim_sweep(f->table, WORKER) ? 0 : 1;
}

static void sweep_of_a_killed_worker_is_taken_over_by_one(void **state)
{
	struct fixture *f = *state;

	for (int n = 0; n < 3; n++) {
		pid_t sweeper = start_child_that_stays(claim_sweep, f);
		table_worker_born(f->table, WORKER, (uint32_t)sweeper);
		assert_false(table_claim_sweep(f->table, OTHER_WORKER));
		kill_child(sweeper);
		table_worker_died(f->table, WORKER);
	}
	assert_true(table_claim_sweep(f->table, OTHER_WORKER));
	assert_false(table_claim_sweep(f->table, WORKER));
}

struct claimer {
	struct fixture *f;
	unsigned worker;
	_Atomic uint32_t *claims;
};

static int count_claim(void *owner)
{
	const struct claimer *c = owner;

	if (table_claim_sweep(c->f->table, c->worker))
		atomic_fetch_add(c->claims, 1);
	return 0;
}

static void sweep_that_many_want_is_claimed_by_one(void **state)
{
	struct fixture *f = *state;
	struct claimer claimers[8];
	struct children c;
	struct slot *s = add(f, "counter");

	children_init(&c);
	for (unsigned i = 0; i < 8; i++) {
		claimers[i] = (struct claimer){ f, i, &s->failures };
		children_add(&c, count_claim, &claimers[i]);
	}
	children_go(&c);
	children_succeed(&c);
	assert_int_equal(s->failures, 1);
}

static int serve_alice(void *owner)
{
	const struct fixture *f = owner;
	struct user_id alice = id_of("alice");

	table_worker_serves(f->table, WORKER, table_find(f->table, &alice));
	return 0;
}

static int serve_alice_and_rest(void *owner)
{
	const struct fixture *f = owner;

	serve_alice(owner);
	table_worker_rests(f->table, WORKER);
	return 0;
}

static void user_of_a_worker_killed_while_serving_is_dirty_and_due(void **state)
{
	struct fixture *f = *state;
	struct slot *alice = add(f, "alice"), *bob = add(f, "bob");

	pid_t worker = start_child_that_stays(serve_alice, f);
	kill_child(worker);
	assert_false(is_dirty(alice));
	table_worker_died(f->table, WORKER);
	assert_true(is_dirty(alice));
	assert_true(is_due(f, alice));
	assert_false(is_dirty(bob));
	assert_false(is_due(f, bob));
	/* One death, one doubt. */
	table_worker_died(f->table, WORKER);
	assert_int_equal(slot_committed(alice), 1);
}

static void user_of_a_worker_killed_at_rest_stays_clean(void **state)
{
	struct fixture *f = *state;
	struct slot *alice = add(f, "alice");

	pid_t worker = start_child_that_stays(serve_alice_and_rest, f);
	kill_child(worker);
	table_worker_died(f->table, WORKER);
	assert_false(is_dirty(alice));
	assert_false(is_due(f, alice));
}

static int begin_push_of_alice(void *owner)
{
	const struct fixture *f = owner;
	struct user_id alice = id_of("alice");

	slot_push_began(table_find(f->table, &alice), table_worker_mark(f->table, WORKER), 1);
	return 0;
}

static void pusher_that_was_killed_is_not_living(void **state)
{
	struct fixture *f = *state;
	struct slot *alice = add(f, "alice");
	struct slot_view v;

	slot_commit(alice);
	assert_false(table_pusher_lives(f->table, alice));
	pid_t worker = start_child_that_stays(begin_push_of_alice, f);
	table_worker_born(f->table, WORKER, (uint32_t)worker);
	assert_true(table_pusher_lives(f->table, alice));
	table_worker_died(f->table, OTHER_WORKER);
	assert_true(table_pusher_lives(f->table, alice));
	kill_child(worker);
	table_worker_died(f->table, WORKER);
	assert_false(table_pusher_lives(f->table, alice));
	/* Nor is its successor taken for it. */
	table_worker_born(f->table, WORKER, 12345);
	assert_false(table_pusher_lives(f->table, alice));
	slot_read(alice, &v);
	assert_true(v.pushing && slot_is_dirty(&v));

	slot_push_began(alice, table_worker_mark(f->table, WORKER), 2);
	assert_true(table_pusher_lives(f->table, alice));
	slot_push_ended(alice, 3);
	assert_false(table_pusher_lives(f->table, alice));
}

static void marks_of_workers_and_of_their_lives_all_differ(void **state)
{
	const struct fixture *f = *state;
	uint64_t marks[3][TABLE_WORKERS_MAX];

	for (int life = 0; life < 3; life++) {
		for (unsigned w = 0; w < TABLE_WORKERS_MAX; w++) {
			marks[life][w] = table_worker_mark(f->table, w);
			assert_int_not_equal(marks[life][w], 0);
			table_worker_died(f->table, w);
		}
	}
	for (unsigned w = 0; w < TABLE_WORKERS_MAX; w++) {
		assert_int_not_equal(marks[0][w], marks[1][w]);
		assert_int_not_equal(marks[1][w], marks[2][w]);
		assert_int_not_equal(marks[0][w], marks[2][w]);
		if (w > 0)
			assert_int_not_equal(marks[0][w], marks[0][w - 1]);
	}
}

static void worker_is_known_from_birth_to_death(void **state)
{
	const struct fixture *f = *state;
	struct slot *s = add(f, "alice");
	struct worker_word w;

	assert_false(table_worker_get(f->table, WORKER, &w));
	table_worker_born(f->table, WORKER, 4711);
	for (int n = 0; n < 3; n++) {
		table_worker_serves(f->table, WORKER, s);
		table_worker_rests(f->table, WORKER);
	}
	assert_true(table_worker_get(f->table, WORKER, &w));
	assert_int_equal(w.pid, 4711);
	assert_int_equal(w.requests, 3);
	uint32_t epoch = w.epoch;
	table_worker_died(f->table, WORKER);
	assert_false(table_worker_get(f->table, WORKER, &w));
	assert_int_equal(w.epoch, epoch + 1);
	table_worker_born(f->table, TABLE_WORKERS_MAX - 1, 4712);
	assert_true(table_worker_get(f->table, TABLE_WORKERS_MAX - 1, &w));
}

static void other_program_sees_the_table_of_a_living_maker(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = id_of("alice"), bob = id_of("bob");
	struct slot *s = add(f, "alice");

	const struct table *seen = table_map_readonly(f->path);
	assert_non_null(seen);
	const struct slot *seen_slot = table_find(seen, &alice);
	assert_non_null(seen_slot);
	assert_null(table_find(seen, &bob));
	assert_false(is_dirty(seen_slot));
	slot_commit(s);
	assert_true(is_dirty(seen_slot));
	assert_ptr_equal(table_next(seen, NULL), seen_slot);
	assert_null(table_next(seen, seen_slot));
	table_free(seen);
}

static int create_table(void *owner)
{
	return table_create(owner, NSLOTS) != NULL ? 0 : 1;
}

static void table_of_a_killed_maker_is_refused(void **state)
{
	const struct fixture *f = *state;
	char path[FOLDER_FILE_MAX];

	folder_file(&f->folder, "other", path);
	pid_t maker = start_child_that_stays(create_table, path);
	const struct table *seen = table_map_readonly(path);
	assert_non_null(seen);
	table_free(seen);
	kill_child(maker);
	assert_null(table_map_readonly(path));
}

struct family {
	char *path;
	int alive; /* the child writes its number here and keeps it open */
};

static int stay_below_a_maker(void *owner)
{
	const struct family *family = owner;

	if (table_create(family->path, NSLOTS) == NULL)
		return 1;
	pid_t child = fork();
	if (child == 0) {
		pid_t self = getpid();
		if (write(family->alive, &self, sizeof self) != (ssize_t)sizeof self)
			_exit(1);
		for (;;)
			pause();
	}
	return child > 0 ? 0 : 2;
}

static void table_lives_as_long_as_a_child_of_its_maker(void **state)
{
	const struct fixture *f = *state;
	char path[FOLDER_FILE_MAX];
	int alive[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
	folder_file(&f->folder, "other", path);
	struct family family = { path, alive[1] };
	pid_t maker = start_child_that_stays(stay_below_a_maker, &family);
	close(alive[1]);
	assert_int_equal(read(alive[0], &child, sizeof child), sizeof child);
	kill_child(maker);
	const struct table *seen = table_map_readonly(path);
	assert_non_null(seen);
	table_free(seen);
	assert_int_equal(kill(child, SIGKILL), 0);
	/* It is not ours to wait for; its end of the pipe goes with it. */
	assert_int_equal(read(alive[0], &byte, 1), 0);
	close(alive[0]);
}

static void write_file(const char *path, const void *bytes, size_t len, off_t size, int *locked)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	*locked = fd;
}

static void file_that_is_no_table_is_refused(void **state)
{
	static const off_t sizes[] = { 0, 1, 4096, 1 << 20 };
	const struct fixture *f = *state;
	char path[FOLDER_FILE_MAX];
	int locked;

	folder_file(&f->folder, "none", path);
	assert_null(table_map_readonly(path));
	folder_file(&f->folder, "garbage", path);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		write_file(path, "garbage", 7, sizes[i], &locked);
		assert_null(table_map_readonly(path));
		close(locked);
	}
}

/* As after a change of the format, or a copy that was cut. */
static void table_of_another_size_is_refused(void **state)
{
	const struct fixture *f = *state;
	char path[FOLDER_FILE_MAX], head[32];
	struct stat st;
	int locked;

	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, head, sizeof head), sizeof head);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	folder_file(&f->folder, "copy", path);
	for (int more = -4096; more <= 4096; more += 4096) {
		write_file(path, head, sizeof head, st.st_size + more, &locked);
		const struct table *seen = table_map_readonly(path);
		assert_int_equal(seen != NULL, more == 0);
		table_free(seen);
		close(locked);
	}
}

static void adopted_table_has_the_slots_and_the_lock(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = id_of("alice");
	char path[FOLDER_FILE_MAX];

	folder_file(&f->folder, "other", path);
	struct table *before = table_create(path, NSLOTS);
	struct slot *slot;
	assert_int_equal(table_add(before, &alice, &slot), TABLE_ADDED);
	struct table *t = table_adopt(fcntl(table_fd(before), F_DUPFD_CLOEXEC, 3));
	assert_non_null(t);
	slot_commit(slot);
	table_free(before);
	struct slot *same = table_find(t, &alice);
	assert_non_null(same);
	assert_true(is_dirty(same));
	const struct table *seen = table_map_readonly(path);
	assert_non_null(seen);
	table_free(seen);
	slot_commit(same);
	table_free(t);
	assert_null(table_map_readonly(path));
}

/* Of the program before, with other fields in a slot. */
static void table_of_another_layout_is_not_adopted(void **state)
{
	const struct fixture *f = *state;
	enum { LAYOUT_AT = 8 };
	uint64_t layout;

	int fd = fcntl(table_fd(f->table), F_DUPFD_CLOEXEC, 3);
	assert_int_equal(pread(fd, &layout, sizeof layout, LAYOUT_AT), sizeof layout);
	layout++;
	assert_int_equal(pwrite(fd, &layout, sizeof layout, LAYOUT_AT), sizeof layout);
	assert_null(table_adopt(fd));
	assert_int_equal(close(fd), 0);
}

static void creating_replaces_what_an_earlier_run_left(void **state)
{
	const struct fixture *f = *state;
	struct user_id alice = id_of("alice");
	char path[FOLDER_FILE_MAX], beside[FOLDER_FILE_MAX];
	int locked;

	folder_file(&f->folder, "other", path);
	folder_file(&f->folder, "other.new", beside);
	pid_t maker = start_child_that_stays(create_table, path);
	kill_child(maker);
	write_file(beside, "half", 4, 4, &locked);
	struct table *t = table_create(path, NSLOTS);
	assert_non_null(t);
	assert_null(table_find(t, &alice));
	assert_int_equal(access(beside, F_OK), -1);
	const struct table *seen = table_map_readonly(path);
	assert_non_null(seen);
	table_free(seen);
	table_free(t);
	close(locked);
	assert_null(table_map_readonly(path));
}

static void table_without_its_folder_is_not_made(void **state)
{
	const struct fixture *f = *state;
	char path[FOLDER_FILE_MAX];

	folder_file(&f->folder, "none/table", path);
	assert_null(table_create(path, NSLOTS));
	table_free(NULL);
}

static void table_costs_disk_only_for_slots_in_use(void **state)
{
	const struct fixture *f = *state;
	char path[FOLDER_FILE_MAX];
	struct slot *s;
	struct stat st;

	folder_file(&f->folder, "big", path);
	struct table *t = table_create(path, 65536);
	assert_non_null(t);
	for (unsigned n = 0; n < 4; n++) {
		struct user_id id = numbered("user", n);
		assert_int_equal(table_add(t, &id, &s), TABLE_ADDED);
		table_set_due(t, s);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size >= 65536 * (off_t)sizeof(struct slot));
	assert_true(st.st_blocks * 512 <= 16 * 4096);
	table_free(t);
}

#define test_with_table(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void streams_of_a_user_are_counted_over_all_living_workers(void **state)
{
	struct fixture *f = *state;
	struct slot *alice = add(f, "alice"), *bob = add(f, "bob");

	table_worker_born(f->table, WORKER, 11);
	table_worker_born(f->table, OTHER_WORKER, 12);
	int first = table_stream_open(f->table, WORKER, alice);
	assert_true(first >= 0);
	assert_true(table_stream_open(f->table, WORKER, bob) >= 0);
	assert_true(table_stream_open(f->table, OTHER_WORKER, alice) >= 0);
	assert_int_equal(table_streams(f->table, alice), 2);
	assert_int_equal(table_streams(f->table, bob), 1);
	table_stream_close(f->table, WORKER, first);
	assert_int_equal(table_streams(f->table, alice), 1);
	table_worker_died(f->table, OTHER_WORKER);
	table_worker_born(f->table, OTHER_WORKER, 13);
	assert_int_equal(table_streams(f->table, alice), 0);
	assert_int_equal(table_streams(f->table, bob), 1);
}

static void worker_that_leaves_or_is_of_another_party_is_offered_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(table_worker_staying(f->table, 9), -1);
	table_worker_joins(f->table, WORKER, 9, 0);
	table_worker_joins(f->table, OTHER_WORKER, 9, 0);
	assert_int_equal(table_worker_staying(f->table, 7), -1);
	assert_true(table_worker_is_in(f->table, WORKER, 9));
	assert_int_equal(table_worker_staying(f->table, 9), WORKER);
	table_worker_leaves(f->table, WORKER);
	assert_true(table_worker_is_in(f->table, WORKER, 9));
	assert_int_equal(table_worker_staying(f->table, 9), OTHER_WORKER);
	table_worker_died(f->table, OTHER_WORKER);
	assert_int_equal(table_worker_staying(f->table, 9), -1);
}

static void waiting_requests_are_counted_for_their_user_over_all_living_workers(void **state)
{
	struct fixture *f = *state;
	struct user_id alice, bob;

	user_id_parse("alice", 5, &alice);
	user_id_parse("bob", 3, &bob);
	table_worker_born(f->table, WORKER, 17);
	table_worker_born(f->table, OTHER_WORKER, 18);
	int first = table_wait_begin(f->table, WORKER, &alice);
	assert_true(table_wait_begin(f->table, WORKER, &bob) >= 0);
	assert_true(table_wait_begin(f->table, OTHER_WORKER, &alice) >= 0);
	assert_int_equal(table_waiting(f->table, &alice), 2);
	table_wait_end(f->table, WORKER, first);
	assert_int_equal(table_waiting(f->table, &alice), 1);
	assert_int_equal(table_waiting(f->table, &bob), 1);
	table_worker_died(f->table, OTHER_WORKER);
	assert_int_equal(table_waiting(f->table, &alice), 0);
	assert_int_equal(table_waiting(f->table, &bob), 1);
}

static void worker_has_no_more_waiting_requests_than_there_is_room_for(void **state)
{
	struct fixture *f = *state;
	struct user_id alice;

	user_id_parse("alice", 5, &alice);
	table_worker_born(f->table, WORKER, 17);
	for (int i = 0; i < TABLE_WAITING_MAX; i++)
		assert_int_equal(table_wait_begin(f->table, WORKER, &alice), i);
	assert_int_equal(table_wait_begin(f->table, WORKER, &alice), -1);
	table_wait_end(f->table, WORKER, 5);
	assert_int_equal(table_waiting(f->table, &alice), TABLE_WAITING_MAX - 1);
	assert_int_equal(table_wait_begin(f->table, WORKER, &alice), 5);
}

static void greedy_workers_of_the_same_socket_are_counted_but_for_oneself(void **state)
{
	enum { PARTY = 9, SOCKET = 1, OTHER_SOCKET = 2 };
	struct fixture *f = *state;

	table_worker_born(f->table, WORKER, 17);
	table_worker_born(f->table, OTHER_WORKER, 18);
	table_worker_joins(f->table, WORKER, PARTY, SOCKET);
	table_worker_joins(f->table, OTHER_WORKER, PARTY, SOCKET);
	table_worker_is_greedy(f->table, WORKER, true);
	table_worker_waits(f->table, WORKER, 1234);
	assert_int_equal(table_others_greedy(f->table, WORKER), 0);
	assert_int_equal(table_others_wait_since(f->table, WORKER), 0);
	assert_int_equal(table_others_greedy(f->table, OTHER_WORKER), 1);
	assert_int_equal(table_others_wait_since(f->table, OTHER_WORKER), 1234);
	table_worker_joins(f->table, OTHER_WORKER, PARTY, OTHER_SOCKET);
	assert_int_equal(table_others_greedy(f->table, OTHER_WORKER), 0);
	assert_int_equal(table_others_wait_since(f->table, OTHER_WORKER), 0);
	table_worker_joins(f->table, OTHER_WORKER, PARTY, SOCKET);
	table_worker_died(f->table, WORKER);
	assert_int_equal(table_others_greedy(f->table, OTHER_WORKER), 0);
	assert_int_equal(table_others_wait_since(f->table, OTHER_WORKER), 0);
}

static void worker_opens_no_more_streams_than_there_is_room_for(void **state)
{
	struct fixture *f = *state;
	struct slot *alice = add(f, "alice");

	for (int i = 0; i < TABLE_STREAMS_MAX; i++)
		assert_true(table_stream_open(f->table, WORKER, alice) >= 0);
	assert_int_equal(table_stream_open(f->table, WORKER, alice), -1);
	table_stream_close(f->table, WORKER, 5);
	assert_int_equal(table_stream_open(f->table, WORKER, alice), 5);
}

static void writer_is_cleared_by_itself_only_and_dies_with_its_worker(void **state)
{
	struct fixture *f = *state;
	struct slot *alice = add(f, "alice");
	uint64_t mine = table_worker_mark(f->table, WORKER);
	uint64_t other = table_worker_mark(f->table, OTHER_WORKER);

	assert_false(table_mark_lives(f->table, slot_writer(alice)));
	slot_set_writer(alice, mine);
	slot_clear_writer(alice, other);
	assert_true(slot_writer(alice) == mine);
	assert_true(table_mark_lives(f->table, mine));
	assert_int_equal(table_mark_worker(mine), WORKER);
	table_worker_died(f->table, WORKER);
	assert_false(table_mark_lives(f->table, slot_writer(alice)));
	slot_clear_writer(alice, mine);
	assert_true(slot_writer(alice) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_with_table(user_is_found_where_it_was_added_and_nobody_else),
		test_with_table(creator_killed_between_id_and_key_leaves_a_free_place),
		test_with_table(replacer_killed_while_the_key_changes_loses_no_place),
		test_with_table(users_behind_a_changing_slot_are_found),
		test_with_table(creator_killed_at_any_word_leaves_a_free_place_or_a_user),
		test_with_table(replacer_killed_at_any_word_loses_no_place),
		test_with_table(no_place_is_lost_by_processes_killed_at_random),
		test_with_table(one_thread_of_all_processes_is_in_a_change),
		test_with_table(racing_processes_make_one_slot_for_each_user),
		test_with_table(due_slots_are_found_in_order_until_cleared),
		test_with_table(search_for_due_slots_goes_on_from_any_place),
		test_with_table(racing_processes_do_not_disturb_each_others_due_bits),
		test_with_table(no_commit_is_forgotten_between_set_and_clear),
		test_with_table(full_table_offers_clean_and_idle_slots_only),
		test_with_table(unfit_slot_is_not_replaced),
		test_with_table(slot_is_replaced_from_the_right_user_and_once),
		test_with_table(one_of_racing_replacers_wins),
		test_with_table(replaced_slot_stays_that_of_its_new_user),
		test_with_table(sweep_is_claimed_by_one_and_not_after_it_is_done),
		test_with_table(sweep_of_a_killed_worker_is_taken_over_by_one),
		test_with_table(sweep_that_many_want_is_claimed_by_one),
		test_with_table(user_of_a_worker_killed_while_serving_is_dirty_and_due),
		test_with_table(user_of_a_worker_killed_at_rest_stays_clean),
		test_with_table(pusher_that_was_killed_is_not_living),
		test_with_table(marks_of_workers_and_of_their_lives_all_differ),
		test_with_table(worker_is_known_from_birth_to_death),
		test_with_table(streams_of_a_user_are_counted_over_all_living_workers),
		test_with_table(worker_that_leaves_or_is_of_another_party_is_offered_nothing),
		test_with_table(worker_opens_no_more_streams_than_there_is_room_for),
		test_with_table(
			waiting_requests_are_counted_for_their_user_over_all_living_workers),
		test_with_table(worker_has_no_more_waiting_requests_than_there_is_room_for),
		test_with_table(greedy_workers_of_the_same_socket_are_counted_but_for_oneself),
		test_with_table(writer_is_cleared_by_itself_only_and_dies_with_its_worker),
		test_with_table(other_program_sees_the_table_of_a_living_maker),
		test_with_table(table_of_a_killed_maker_is_refused),
		test_with_table(table_lives_as_long_as_a_child_of_its_maker),
		test_with_table(file_that_is_no_table_is_refused),
		test_with_table(table_of_another_size_is_refused),
		test_with_table(adopted_table_has_the_slots_and_the_lock),
		test_with_table(table_of_another_layout_is_not_adopted),
		test_with_table(creating_replaces_what_an_earlier_run_left),
		test_with_table(table_without_its_folder_is_not_made),
		test_with_table(table_costs_disk_only_for_slots_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
