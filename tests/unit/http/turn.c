#include "http/turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PER_USER = 3, ALL = 4, BYTES = 100, NOW = 1000, NOBODY_LATE = 0 };

static struct user_id alice, bob;

static int set_up(void **state)
{
	static const struct turn_limits limits = { PER_USER, ALL, BYTES };

	*state = turns_new(&limits);
	if (user_id_parse("alice", 5, &alice) < 0)
		return -1;
	return user_id_parse("bob", 3, &bob);
}

static int tear_down(void **state)
{
	turns_free(*state);
	return 0;
}

static struct turn_waiter arrived(int64_t ms)
{
	return (struct turn_waiter){ .arrived_ms = ms, .bytes = 1 };
}

/* Waiters are gone with the test that has them. */
static void dismiss(struct turns *t, int want)
{
	int n = 0;

	while (turn_dismiss(t) != NULL)
		n++;
	assert_int_equal(n, want);
	assert_false(turn_anybody_waits(t));
}

static struct turn_waiter *next(struct turns *t)
{
	return turn_next(t, NOW, NOBODY_LATE);
}

static void nobody_goes_while_the_lock_is_held(void **state)
{
	struct turn_waiter w = arrived(1);

	turn_hold(*state, &alice);
	assert_true(turn_wait(*state, &alice, &w));
	assert_null(next(*state));
	assert_true(turn_anybody_waits(*state));
	turn_let_go(*state, &alice);
	assert_true(turn_is_busy(*state, &alice));
	assert_ptr_equal(next(*state), &w);
	assert_false(turn_is_busy(*state, &alice));
	assert_null(next(*state));
}

static void those_who_wait_go_in_the_order_of_their_arrival(void **state)
{
	struct turn_waiter first = arrived(1), second = arrived(2), third = arrived(3);

	assert_true(turn_wait(*state, &alice, &second));
	assert_true(turn_wait(*state, &alice, &third));
	/* It comes from another worker. */
	assert_true(turn_wait(*state, &alice, &first));
	assert_ptr_equal(next(*state), &first);
	assert_ptr_equal(next(*state), &second);
	assert_ptr_equal(next(*state), &third);
}

static void who_gets_the_lock_stops_the_line_again(void **state)
{
	struct turn_waiter first = arrived(1), second = arrived(2);

	assert_true(turn_wait(*state, &alice, &first));
	assert_true(turn_wait(*state, &alice, &second));
	assert_ptr_equal(next(*state), &first);
	turn_hold(*state, &alice);
	assert_null(next(*state));
	turn_let_go(*state, &alice);
	assert_ptr_equal(next(*state), &second);
}

static void users_do_not_wait_for_each_other_and_take_turns(void **state)
{
	struct turn_waiter a1 = arrived(1), a2 = arrived(2), b1 = arrived(3), b2 = arrived(4);

	assert_true(turn_wait(*state, &alice, &a1));
	assert_true(turn_wait(*state, &alice, &a2));
	assert_true(turn_wait(*state, &bob, &b1));
	assert_true(turn_wait(*state, &bob, &b2));
	assert_ptr_equal(next(*state), &a1);
	assert_ptr_equal(next(*state), &b1);
	turn_hold(*state, &alice);
	assert_ptr_equal(next(*state), &b2);
	assert_null(next(*state));
	turn_let_go(*state, &alice);
	assert_ptr_equal(next(*state), &a2);
}

static void who_is_late_goes_whoever_holds_the_lock(void **state)
{
	struct turn_waiter late = arrived(10), patient = arrived(20);

	turn_hold(*state, &alice);
	assert_true(turn_wait(*state, &alice, &late));
	assert_true(turn_wait(*state, &alice, &patient));
	assert_null(turn_next(*state, NOW, 10));
	assert_ptr_equal(turn_next(*state, NOW, 11), &late);
	assert_null(turn_next(*state, NOW, 11));
	dismiss(*state, 1);
}

static void a_turn_in_vain_is_not_repeated_at_once_and_keeps_its_place(void **state)
{
	struct turn_waiter first = arrived(1), second = arrived(2);

	first.not_before_ms = NOW + 1;
	assert_true(turn_wait(*state, &alice, &second));
	assert_true(turn_wait(*state, &alice, &first));
	assert_null(next(*state));
	assert_ptr_equal(turn_next(*state, NOW + 1, NOBODY_LATE), &first);
	dismiss(*state, 1);
}

static void no_more_wait_than_there_is_room_for(void **state)
{
	struct turn_waiter a[PER_USER + 1], b = arrived(1), big = arrived(2);

	for (int i = 0; i < PER_USER; i++) {
		a[i] = arrived(i);
		assert_true(turn_wait(*state, &alice, &a[i]));
	}
	a[PER_USER] = arrived(PER_USER);
	assert_false(turn_wait(*state, &alice, &a[PER_USER]));
	big.bytes = BYTES;
	assert_false(turn_wait(*state, &bob, &big));
	assert_false(turn_is_busy(*state, &bob));
	assert_true(turn_wait(*state, &bob, &b));
	big.bytes = 1;
	assert_false(turn_wait(*state, &bob, &big));
	for (int i = 0; i <= PER_USER; i++)
		assert_non_null(next(*state));
	big.bytes = BYTES;
	assert_true(turn_wait(*state, &bob, &big));
	dismiss(*state, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(nobody_goes_while_the_lock_is_held),
		TEST(those_who_wait_go_in_the_order_of_their_arrival),
		TEST(who_gets_the_lock_stops_the_line_again),
		TEST(users_do_not_wait_for_each_other_and_take_turns),
		TEST(who_is_late_goes_whoever_holds_the_lock),
		TEST(a_turn_in_vain_is_not_repeated_at_once_and_keeps_its_place),
		TEST(no_more_wait_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
