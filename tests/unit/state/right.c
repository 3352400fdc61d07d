#include "state/right.h"

#include "fixture.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

static const char *const right_name[RIGHT_LOAD + 1] = {
	[RIGHT_PUSH] = "push",
	[RIGHT_FILES] = "files",
	[RIGHT_FILES_SHARED] = "files shared",
	[RIGHT_LOAD] = "load",
};

static const bool excludes[RIGHT_LOAD + 1][RIGHT_LOAD + 1] = {
	[RIGHT_PUSH][RIGHT_PUSH] = true,	  [RIGHT_FILES][RIGHT_FILES] = true,
	[RIGHT_FILES][RIGHT_FILES_SHARED] = true, [RIGHT_FILES_SHARED][RIGHT_FILES] = true,
	[RIGHT_LOAD][RIGHT_LOAD] = true,
};

static int open_lock(const struct folder *f)
{
	char path[FOLDER_FILE_MAX];

	folder_file(f, "lock", path);
	int fd = right_open(path);
	assert_true(fd >= 0);
	return fd;
}

/* RIGHT_LOAD beside RIGHT_LOAD would wait; it has tests of its own. */
static bool would_wait(enum right held, enum right wanted)
{
	return held == RIGHT_LOAD && wanted == RIGHT_LOAD;
}

static void expect_claim(int fd, enum right held, enum right wanted)
{
	if (would_wait(held, wanted))
		return;
	if (right_claim(fd, wanted) == excludes[held][wanted])
		fail_msg("%s beside %s: got the opposite of what was wanted", right_name[wanted],
			 right_name[held]);
}

static void rights_exclude_each_other_as_the_header_says(void **state)
{
	for (enum right held = 0; held <= RIGHT_LOAD; held++) {
		for (enum right wanted = 0; wanted <= RIGHT_LOAD; wanted++) {
			int holder = open_lock(*state), other = open_lock(*state);

			assert_true(right_claim(holder, held));
			expect_claim(other, held, wanted);
			right_release(other, wanted);
			right_release(holder, held);
			assert_true(right_claim(other, wanted));
			close(holder);
			close(other);
		}
	}
}

static void push_and_files_do_not_see_each_other_in_any_combination(void **state)
{
	int pusher = open_lock(*state), puller = open_lock(*state), loader = open_lock(*state);

	assert_true(right_claim(pusher, RIGHT_PUSH));
	assert_true(right_claim(puller, RIGHT_FILES));
	assert_true(right_claim(loader, RIGHT_LOAD));
	assert_false(right_claim(loader, RIGHT_PUSH));
	assert_false(right_claim(loader, RIGHT_FILES_SHARED));
	/* Giving one back gives no other back. */
	right_release(loader, RIGHT_LOAD);
	right_release(loader, RIGHT_FILES);
	right_release(loader, RIGHT_PUSH);
	assert_false(right_claim(loader, RIGHT_PUSH));
	assert_false(right_claim(loader, RIGHT_FILES));
	right_release(pusher, RIGHT_FILES);
	right_release(pusher, RIGHT_LOAD);
	assert_false(right_claim(loader, RIGHT_PUSH));
	right_release(puller, RIGHT_PUSH);
	assert_false(right_claim(loader, RIGHT_FILES_SHARED));
	close(pusher);
	close(puller);
	close(loader);
}

static void many_share_the_files_and_the_last_of_them_frees_them(void **state)
{
	int sharers[5], other = open_lock(*state);

	for (int i = 0; i < 5; i++) {
		sharers[i] = open_lock(*state);
		assert_true(right_claim(sharers[i], RIGHT_FILES_SHARED));
	}
	for (int i = 0; i < 5; i++) {
		assert_false(right_claim(other, RIGHT_FILES));
		if (i % 2 == 0)
			right_release(sharers[i], RIGHT_FILES_SHARED);
		else
			close(sharers[i]);
	}
	assert_true(right_claim(other, RIGHT_FILES));
	for (int i = 0; i < 5; i += 2)
		close(sharers[i]);
	close(other);
}

static void sharer_that_asks_for_all_keeps_its_share_when_refused(void **state)
{
	int first = open_lock(*state), second = open_lock(*state), third = open_lock(*state);

	assert_true(right_claim(first, RIGHT_FILES_SHARED));
	assert_true(right_claim(second, RIGHT_FILES_SHARED));
	assert_false(right_claim(first, RIGHT_FILES));
	right_release(second, RIGHT_FILES_SHARED);
	assert_false(right_claim(third, RIGHT_FILES));
	assert_true(right_claim(first, RIGHT_FILES));
	assert_false(right_claim(third, RIGHT_FILES_SHARED));
	close(first);
	close(second);
	close(third);
}

static void all_rights_go_when_the_descriptor_is_closed(void **state)
{
	int holder = open_lock(*state), other = open_lock(*state);

	assert_true(right_claim(holder, RIGHT_PUSH));
	assert_true(right_claim(holder, RIGHT_FILES));
	assert_true(right_claim(holder, RIGHT_LOAD));
	assert_false(right_claim(other, RIGHT_PUSH));
	assert_false(right_claim(other, RIGHT_FILES_SHARED));
	close(holder);
	assert_true(right_claim(other, RIGHT_PUSH));
	assert_true(right_claim(other, RIGHT_FILES));
	assert_true(right_claim(other, RIGHT_LOAD));
	close(other);
}

/* POSIX locks would go with any descriptor of the file that the process closes. */
static void closing_another_descriptor_takes_no_right_away(void **state)
{
	int holder = open_lock(*state), bystander = open_lock(*state), other = open_lock(*state);

	assert_true(right_claim(holder, RIGHT_PUSH));
	assert_true(right_claim(holder, RIGHT_FILES));
	close(bystander);
	assert_false(right_claim(other, RIGHT_PUSH));
	assert_false(right_claim(other, RIGHT_FILES));
	close(holder);
	close(other);
}

struct claim {
	char path[FOLDER_FILE_MAX];
	bool wanted[RIGHT_LOAD + 1];
};

static int claim_all_wanted(void *owner)
{
	const struct claim *c = owner;
	int fd = right_open(c->path);

	for (enum right right = 0; right <= RIGHT_LOAD; right++) {
		if (c->wanted[right] && !right_claim(fd, right))
			return 1;
	}
	return 0;
}

static void right_of_a_killed_holder_is_free_at_once(void **state)
{
	for (enum right held = 0; held <= RIGHT_LOAD; held++) {
		struct claim c = { 0 };
		int fd = open_lock(*state);

		c.wanted[held] = true;
		folder_file(*state, "lock", c.path);
		pid_t holder = start_child_that_stays(claim_all_wanted, &c);
		for (enum right wanted = 0; wanted <= RIGHT_LOAD; wanted++) {
			expect_claim(fd, held, wanted);
			right_release(fd, wanted);
		}
		kill_child(holder);
		for (enum right wanted = 0; wanted <= RIGHT_LOAD; wanted++) {
			if (!right_claim(fd, wanted))
				fail_msg("%s was not free after a holder of %s died",
					 right_name[wanted], right_name[held]);
			right_release(fd, wanted);
		}
		close(fd);
	}
}

static void all_rights_of_a_killed_holder_are_free_at_once(void **state)
{
	struct claim c = {
		.wanted = { [RIGHT_PUSH] = true, [RIGHT_FILES] = true, [RIGHT_LOAD] = true }
	};
	int fd = open_lock(*state);

	folder_file(*state, "lock", c.path);
	for (int n = 0; n < 20; n++) {
		pid_t holder = start_child_that_stays(claim_all_wanted, &c);
		assert_false(right_claim(fd, RIGHT_PUSH));
		assert_false(right_claim(fd, RIGHT_FILES_SHARED));
		kill_child(holder);
		assert_true(right_claim(fd, RIGHT_PUSH));
		assert_true(right_claim(fd, RIGHT_FILES));
		assert_true(right_claim(fd, RIGHT_LOAD));
		right_release(fd, RIGHT_PUSH);
		right_release(fd, RIGHT_FILES);
		right_release(fd, RIGHT_LOAD);
	}
	close(fd);
}

static void share_of_a_killed_holder_goes_and_those_of_others_stay(void **state)
{
	struct claim c = { .wanted = { [RIGHT_FILES_SHARED] = true } };
	int fd = open_lock(*state);

	folder_file(*state, "lock", c.path);
	pid_t first = start_child_that_stays(claim_all_wanted, &c);
	pid_t second = start_child_that_stays(claim_all_wanted, &c);
	kill_child(first);
	assert_false(right_claim(fd, RIGHT_FILES));
	kill_child(second);
	assert_true(right_claim(fd, RIGHT_FILES));
	close(fd);
}

enum { LOADERS = 4, LOADS = 3000 };

struct loading {
	char path[FOLDER_FILE_MAX];
	_Atomic int inside;
	_Atomic int loads;
};

static int load_again_and_again(void *owner)
{
	struct loading *l = owner;
	int fd = right_open(l->path);

	for (int n = 0; n < LOADS; n++) {
		if (!right_claim(fd, RIGHT_LOAD))
			return 1;
		if (atomic_fetch_add(&l->inside, 1) != 0)
			return 2;
		sched_yield();
		l->inside--;
		l->loads++;
		right_release(fd, RIGHT_LOAD);
	}
	return 0;
}

static void load_right_is_waited_for_and_held_by_one_at_a_time(void **state)
{
	struct loading *l =
		mmap(NULL, sizeof *l, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct children c;

	assert_true(l != MAP_FAILED);
	folder_file(*state, "lock", l->path);
	children_init(&c);
	for (int i = 0; i < LOADERS; i++)
		children_add(&c, load_again_and_again, l);
	children_go(&c);
	children_succeed(&c);
	assert_int_equal(l->loads, LOADERS * LOADS);
	munmap(l, sizeof *l);
}

static void opening_makes_a_private_file_but_no_folder(void **state)
{
	char path[FOLDER_FILE_MAX];
	struct stat st;

	folder_file(*state, "lock", path);
	mode_t before = umask(0);
	close(right_open(path));
	umask(before);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	folder_file(*state, "none/lock", path);
	assert_int_equal(right_open(path), -1);
	assert_int_equal(errno, ENOENT);
}

static void lock_file_is_never_replaced_and_no_link(void **state)
{
	char path[FOLDER_FILE_MAX], link[FOLDER_FILE_MAX];
	struct stat before, after;

	folder_file(*state, "lock", path);
	folder_file(*state, "link", link);
	close(right_open(path));
	assert_int_equal(stat(path, &before), 0);
	close(right_open(path));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(right_open(link), -1);
	assert_int_not_equal(errno, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_folder(rights_exclude_each_other_as_the_header_says),
		test_in_folder(push_and_files_do_not_see_each_other_in_any_combination),
		test_in_folder(many_share_the_files_and_the_last_of_them_frees_them),
		test_in_folder(sharer_that_asks_for_all_keeps_its_share_when_refused),
		test_in_folder(all_rights_go_when_the_descriptor_is_closed),
		test_in_folder(closing_another_descriptor_takes_no_right_away),
		test_in_folder(right_of_a_killed_holder_is_free_at_once),
		test_in_folder(all_rights_of_a_killed_holder_are_free_at_once),
		test_in_folder(share_of_a_killed_holder_goes_and_those_of_others_stay),
		test_in_folder(load_right_is_waited_for_and_held_by_one_at_a_time),
		test_in_folder(opening_makes_a_private_file_but_no_folder),
		test_in_folder(lock_file_is_never_replaced_and_no_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
