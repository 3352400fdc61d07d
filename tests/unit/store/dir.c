#include "store/object.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char root[] = "/tmp/holdfast-dir-XXXXXX";

static struct store *open_store(void)
{
	char url[PATH_MAX], why[256];

	(void)snprintf(url, sizeof url, "file:%s/store", root);
	struct store_config c = { .url = url };
	struct store *s = store_new(&c, why, sizeof why);
	assert_non_null(s);
	return s;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int set_up(void **state)
{
	(void)snprintf(root, sizeof root, "/tmp/holdfast-dir-XXXXXX");
	assert_non_null(mkdtemp(root));
	*state = open_store();
	return 0;
}

static int tear_down(void **state)
{
	store_free(*state);
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct object_request request(enum object_verb verb, const char *key)
{
	struct object_request r = { .verb = verb };

	(void)snprintf(r.key, sizeof r.key, "%s", key);
	return r;
}

static enum object_result put_as(struct store *s, enum object_verb verb, const char *key,
				 const char *text)
{
	struct object_request r = request(verb, key);

	r.body = spill_new("/tmp", 1 << 20);
	assert_int_equal(spill_add(r.body, text, strlen(text)), 0);
	enum object_result result = store_do(s, &r);
	spill_free(r.body);
	return result;
}

static enum object_result put(struct store *s, const char *key, const char *text)
{
	return put_as(s, OBJECT_CREATE, key, text);
}

static void assert_holds(struct store *s, const char *key, uint64_t range_len, const char *want)
{
	struct object_request r = request(OBJECT_GET, key);
	char got[256] = "";

	r.answer = spill_new("/tmp", 1 << 20);
	r.range_len = range_len;
	assert_int_equal(store_do(s, &r), OBJECT_OK);
	assert_int_equal(spill_len(r.answer), strlen(want));
	assert_int_equal(spill_read(r.answer, 0, got, sizeof got), strlen(want));
	assert_string_equal(got, want);
	spill_free(r.answer);
}

static enum object_result do_simply(struct store *s, enum object_verb verb, const char *key)
{
	struct object_request r = request(verb, key);

	r.answer = spill_new("/tmp", 1 << 20);
	enum object_result result = store_do(s, &r);
	object_listing_release(&r.listing);
	spill_free(r.answer);
	return result;
}

static void object_is_created_once_and_read_back(void **state)
{
	assert_int_equal(put(*state, "u/alice/0000/1.ltx", "first"), OBJECT_OK);
	assert_int_equal(put(*state, "u/alice/0000/1.ltx", "second"), OBJECT_TAKEN);
	assert_holds(*state, "u/alice/0000/1.ltx", 0, "first");
	assert_int_equal(put(*state, "u/alice/0000/2.ltx", ""), OBJECT_OK);
	assert_holds(*state, "u/alice/0000/2.ltx", 0, "");
}

static void probe_replaces_what_is_there(void **state)
{
	assert_int_equal(put_as(*state, OBJECT_PROBE_PUT, "probe", "first"), OBJECT_OK);
	assert_int_equal(put_as(*state, OBJECT_PROBE_PUT, "probe", "second"), OBJECT_OK);
	assert_holds(*state, "probe", 0, "second");
}

static void range_is_the_beginning(void **state)
{
	assert_int_equal(put(*state, "k", "0123456789"), OBJECT_OK);
	assert_holds(*state, "k", 4, "0123");
	assert_holds(*state, "k", 10, "0123456789");
	assert_holds(*state, "k", 1000, "0123456789");
}

static void what_is_not_there_is_absent(void **state)
{
	assert_int_equal(do_simply(*state, OBJECT_GET, "u/nobody/1"), OBJECT_ABSENT);
	assert_int_equal(do_simply(*state, OBJECT_LIST, "u/nobody/"), OBJECT_ABSENT);
	assert_int_equal(do_simply(*state, OBJECT_LIST, ""), OBJECT_ABSENT);
	assert_int_equal(do_simply(*state, OBJECT_DELETE, "u/nobody/1"), OBJECT_OK);
	assert_int_equal(put(*state, "u/a/1", ""), OBJECT_OK);
	assert_int_equal(do_simply(*state, OBJECT_GET, "u/a"), OBJECT_ABSENT);
	assert_int_equal(do_simply(*state, OBJECT_GET, "u/a/1/x"), OBJECT_ABSENT);
}

static void deleted_object_is_absent_and_may_be_deleted_again(void **state)
{
	assert_int_equal(put(*state, "u/a/1", "x"), OBJECT_OK);
	assert_int_equal(do_simply(*state, OBJECT_DELETE, "u/a/1"), OBJECT_OK);
	assert_int_equal(do_simply(*state, OBJECT_GET, "u/a/1"), OBJECT_ABSENT);
	assert_int_equal(do_simply(*state, OBJECT_DELETE, "u/a/1"), OBJECT_OK);
}

static void store_that_was_removed_is_not_an_empty_one(void **state)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof path, "%s/store", root);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(do_simply(*state, OBJECT_GET, "u/a/1"), OBJECT_REFUSED);
	assert_int_equal(do_simply(*state, OBJECT_LIST, "u/a/"), OBJECT_REFUSED);
}

static void assert_finds(struct store *s, struct object_request *r, const char *const *want)
{
	size_t n = 0;

	assert_int_equal(store_do(s, r), OBJECT_OK);
	for (; want[n] != NULL; n++) {
		assert_true(n < r->listing.count);
		assert_string_equal(r->listing.entries[n].key, want[n]);
	}
	assert_int_equal(r->listing.count, n);
	object_listing_release(&r->listing);
}

static void assert_listed(struct store *s, const char *prefix, const char *const *want)
{
	struct object_request r = request(OBJECT_LIST, prefix);

	assert_finds(s, &r, want);
}

static void assert_folders(struct store *s, const char *prefix, const char *const *want)
{
	struct object_request r = request(OBJECT_LIST, prefix);

	r.folders = true;
	assert_finds(s, &r, want);
}

static void folders_are_listed_alone_and_only_the_next_ones(void **state)
{
	static const char *const top[] = { "u/", "v/", NULL };
	static const char *const below[] = { "u/alice-b/", "u/alice/", NULL };
	static const char *const alice[] = { "u/alice/0000/", NULL };
	struct object_request none = request(OBJECT_LIST, "u/alice/0000/");

	assert_int_equal(put(*state, "u/alice/0000/1-1", "x"), OBJECT_OK);
	assert_int_equal(put(*state, "u/alice-b/1", "x"), OBJECT_OK);
	assert_int_equal(put(*state, "u/bob", "x"), OBJECT_OK);
	assert_int_equal(put(*state, "v/1", "x"), OBJECT_OK);
	assert_folders(*state, "", top);
	assert_folders(*state, "u/", below);
	assert_folders(*state, "u/alice", below);
	assert_folders(*state, "u/alice/", alice);
	none.folders = true;
	assert_int_equal(store_do(*state, &none), OBJECT_ABSENT);
}

static void listing_walks_folders_in_the_order_of_keys(void **state)
{
	static const char *const keys[] = {
		"u/alice/0009/1-2",   "u/alice/0000/2-2", "u/alice/0000/1-1",
		"u/alice-b/0000/1-1", "u/alice.c",	  "u/bob/0000/1-1",
	};
	static const char *const alice[] = { "u/alice/0000/1-1", "u/alice/0000/2-2",
					     "u/alice/0009/1-2", NULL };
	static const char *const all_alices[] = {
		"u/alice-b/0000/1-1", "u/alice.c",	  "u/alice/0000/1-1",
		"u/alice/0000/2-2",   "u/alice/0009/1-2", NULL,
	};
	static const char *const partly[] = { "u/alice/0000/1-1", NULL };
	static const char *const all[] = {
		"u/alice-b/0000/1-1",
		"u/alice.c",
		"u/alice/0000/1-1",
		"u/alice/0000/2-2",
		"u/alice/0009/1-2",
		"u/bob/0000/1-1",
		NULL,
	};

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		assert_int_equal(put(*state, keys[i], keys[i]), OBJECT_OK);
	assert_listed(*state, "u/alice/", alice);
	assert_listed(*state, "u/alice", all_alices);
	assert_listed(*state, "u/alice/0000/1", partly);
	assert_listed(*state, "", all);
}

static void listing_tells_size_and_time(void **state)
{
	struct object_request r = request(OBJECT_LIST, "u/");
	int64_t before = clock_wall_ms();

	assert_int_equal(put(*state, "u/a", "12345"), OBJECT_OK);
	assert_int_equal(store_do(*state, &r), OBJECT_OK);
	assert_int_equal(r.listing.entries[0].size, 5);
	/* File systems stamp with a coarse clock. */
	assert_in_range(r.listing.entries[0].modified_ms, before - 100, clock_wall_ms());
	object_listing_release(&r.listing);
}

static void leftover(const char *name, time_t age_s)
{
	char path[PATH_MAX];
	const struct timespec when[2] = { { .tv_sec = time(NULL) - age_s },
					  { .tv_sec = time(NULL) - age_s } };

	(void)snprintf(path, sizeof path, "%s/store/.tmp/%s", root, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, when), 0);
	close(fd);
}

static int leftovers(void)
{
	static const char *const names[] = { "0123456789abcdef", "fedcba9876543210" };
	char path[PATH_MAX];
	int n = 0;

	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof path, "%s/store/.tmp/%s", root, names[i]);
		n += access(path, F_OK) == 0;
	}
	return n;
}

static void leftovers_of_a_crash_are_not_listed_and_go_when_old(void **state)
{
	static const char *const want[] = { "u/a", NULL };

	assert_int_equal(put(*state, "u/a", "x"), OBJECT_OK);
	leftover("0123456789abcdef", 60);
	leftover("fedcba9876543210", 2 * 86400);
	assert_listed(*state, "", want);
	assert_int_equal(do_simply(*state, OBJECT_LIST, ".tmp/"), OBJECT_REFUSED);
	assert_int_equal(do_simply(*state, OBJECT_GET, ".tmp/0123456789abcdef"), OBJECT_REFUSED);
	assert_int_equal(leftovers(), 2);
	store_free(open_store());
	assert_int_equal(leftovers(), 1);
	assert_listed(*state, "", want);
}

static void created_object_leaves_nothing_beside_it(void **state)
{
	char path[PATH_MAX];

	assert_int_equal(put(*state, "u/a", "x"), OBJECT_OK);
	assert_int_equal(put(*state, "u/a", "y"), OBJECT_TAKEN);
	(void)snprintf(path, sizeof path, "%s/store/.tmp", root);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(put(*state, "u/b", "x"), OBJECT_OK);
}

static void files_and_folders_are_for_the_owner_only(void **state)
{
	static const struct {
		const char *name;
		mode_t mode;
	} rows[] = { { "", 0700 }, { "/u", 0700 }, { "/u/a", 0600 }, { "/.tmp", 0700 } };
	struct stat st;
	char path[PATH_MAX];

	assert_int_equal(put(*state, "u/a", "x"), OBJECT_OK);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		(void)snprintf(path, sizeof path, "%s/store%s", root, rows[i].name);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, rows[i].mode);
	}
}

static void key_that_leaves_the_store_is_refused(void **state)
{
	static const char *const keys[] = { "",	     "/",    "/etc/x", "../x",	 "u/../../x",
					    "u/./x", "u//x", "u/x/",   "u/a\nb", "..",
					    ".",     "u/..", ".tmp",   ".tmp/x" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		assert_int_equal(put(*state, keys[i], "x"), OBJECT_REFUSED);
		assert_int_equal(do_simply(*state, OBJECT_GET, keys[i]), OBJECT_REFUSED);
		assert_int_equal(do_simply(*state, OBJECT_DELETE, keys[i]), OBJECT_REFUSED);
	}
	assert_int_equal(do_simply(*state, OBJECT_LIST, "../"), OBJECT_REFUSED);
	assert_int_equal(do_simply(*state, OBJECT_LIST, "u/../../"), OBJECT_REFUSED);
	assert_int_equal(do_simply(*state, OBJECT_LIST, "/"), OBJECT_REFUSED);
}

static void key_without_an_end_is_refused(void **state)
{
	struct object_request r = { .verb = OBJECT_DELETE };

	memset(r.key, 'k', sizeof r.key);
	assert_int_equal(store_do(*state, &r), OBJECT_REFUSED);
	assert_int_equal(r.error, ERROR_CONFIG);
}

enum { RACERS = 6, ROUNDS = 40 };

/* Exits with the number of rounds won; each tries every key, all at once. */
static void race(int start_fd, int racer)
{
	struct store *s = open_store();
	int won = 0;
	char byte;

	if (read(start_fd, &byte, 1) != 0)
		_exit(255);
	for (int i = 0; i < ROUNDS; i++) {
		char key[64], text[16];

		(void)snprintf(key, sizeof key, "u/race/%04d/x", i);
		(void)snprintf(text, sizeof text, "%d", racer);
		enum object_result result = put(s, key, text);
		if (result != OBJECT_OK && result != OBJECT_TAKEN)
			_exit(255);
		won += result == OBJECT_OK;
	}
	_exit(won);
}

static void creators_that_race_have_exactly_one_winner_per_key(void **state)
{
	pid_t children[RACERS];
	int start[2], won = 0;

	assert_int_equal(pipe(start), 0);
	for (int i = 0; i < RACERS; i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0) {
			close(start[1]);
			race(start[0], i);
		}
	}
	close(start[0]);
	close(start[1]);
	for (int i = 0; i < RACERS; i++) {
		int status;

		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 255);
		won += WEXITSTATUS(status);
	}
	assert_int_equal(won, ROUNDS);

	struct object_request r = request(OBJECT_LIST, "u/race/");
	assert_int_equal(store_do(*state, &r), OBJECT_OK);
	assert_int_equal(r.listing.count, ROUNDS);
	for (size_t i = 0; i < r.listing.count; i++)
		assert_int_equal(r.listing.entries[i].size, 1);
	object_listing_release(&r.listing);
}

static void note_done(struct object_request *r)
{
	++*(int *)r->owner;
}

static void request_is_done_by_run_only(void **state)
{
	struct object_request r = request(OBJECT_DELETE, "x");
	int done = 0;

	r.owner = &done;
	r.done = note_done;
	store_start(*state, &r);
	assert_int_equal(done, 0);
	assert_non_null(r.transfer);
	store_run(*state, 0);
	assert_int_equal(done, 1);
	assert_null(r.transfer);
}

static void request_under_way_is_dropped_with_the_store(void **state)
{
	struct object_request r = request(OBJECT_DELETE, "x");
	int done = 0;

	(void)state;
	struct store *s = open_store();
	r.owner = &done;
	r.done = note_done;
	store_start(s, &r);
	store_free(s);
	assert_int_equal(done, 0);
	assert_null(r.transfer);
}

static void *wake(void *store)
{
	store_wake(store);
	return NULL;
}

static void idle_run_waits_and_can_be_woken(void **state)
{
	pthread_t thread;
	int64_t begun = clock_mono_ms();

	store_run(*state, 50);
	assert_true(clock_mono_ms() - begun >= 49);
	begun = clock_mono_ms();
	assert_int_equal(pthread_create(&thread, NULL, wake, *state), 0);
	store_run(*state, 20000);
	assert_true(clock_mono_ms() - begun < 10000);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(object_is_created_once_and_read_back),
		T(probe_replaces_what_is_there),
		T(range_is_the_beginning),
		T(what_is_not_there_is_absent),
		T(deleted_object_is_absent_and_may_be_deleted_again),
		T(store_that_was_removed_is_not_an_empty_one),
		T(listing_walks_folders_in_the_order_of_keys),
		T(folders_are_listed_alone_and_only_the_next_ones),
		T(listing_tells_size_and_time),
		T(leftovers_of_a_crash_are_not_listed_and_go_when_old),
		T(created_object_leaves_nothing_beside_it),
		T(files_and_folders_are_for_the_owner_only),
		T(key_that_leaves_the_store_is_refused),
		T(key_without_an_end_is_refused),
		T(creators_that_race_have_exactly_one_winner_per_key),
		T(request_is_done_by_run_only),
		T(request_under_way_is_dropped_with_the_store),
		T(idle_run_waits_and_can_be_woken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
