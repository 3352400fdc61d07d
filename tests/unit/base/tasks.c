#include "base/tasks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static struct tasks all;

struct work {
	struct task task;
	int left;
	int done;
	struct work *starts; /* in its last step */
	struct work *drops;
};

static bool step(void *owner)
{
	struct work *w = owner;

	w->done++;
	if (--w->left > 0)
		return true;
	if (w->starts != NULL)
		tasks_add(&all, &w->starts->task, step, w->starts);
	if (w->drops != NULL)
		tasks_drop(&all, &w->drops->task);
	return false;
}

static bool free_owner(void *owner)
{
	free(owner);
	return false;
}

static void every_task_gets_one_step_a_run(void **state)
{
	struct work a = { .left = 3 }, b = { .left = 2 };

	(void)state;
	tasks_init(&all);
	tasks_add(&all, &a.task, step, &a);
	tasks_add(&all, &b.task, step, &b);
	assert_int_equal(a.done, 0);
	assert_true(tasks_run(&all));
	assert_int_equal(a.done, 1);
	assert_int_equal(b.done, 1);
	assert_true(tasks_run(&all));
	assert_false(tasks_run(&all));
	assert_int_equal(a.done, 3);
	assert_int_equal(b.done, 2);
}

static void task_that_is_started_by_a_step_waits_for_the_next_run(void **state)
{
	struct work b = { .left = 1 }, a = { .left = 1, .starts = &b };

	(void)state;
	tasks_init(&all);
	tasks_add(&all, &a.task, step, &a);
	assert_true(tasks_run(&all));
	assert_int_equal(b.done, 0);
	assert_false(tasks_run(&all));
	assert_int_equal(b.done, 1);
}

static void dropped_task_is_never_stepped_again(void **state)
{
	struct work b = { .left = 9 }, a = { .left = 1, .drops = &b }, c = { .left = 1 };

	(void)state;
	tasks_init(&all);
	tasks_add(&all, &a.task, step, &a);
	tasks_add(&all, &c.task, step, &c);
	tasks_add(&all, &b.task, step, &b);
	assert_false(tasks_run(&all));
	assert_int_equal(b.done, 0);
	assert_int_equal(c.done, 1);
	tasks_drop(&all, &b.task);
	assert_false(tasks_run(&all));
}

static void step_may_free_its_own_task(void **state)
{
	struct task *t = calloc(1, sizeof *t);

	(void)state;
	assert_non_null(t);
	tasks_init(&all);
	tasks_add(&all, t, free_owner, t);
	assert_false(tasks_run(&all));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_task_gets_one_step_a_run),
		cmocka_unit_test(task_that_is_started_by_a_step_waits_for_the_next_run),
		cmocka_unit_test(dropped_task_is_never_stepped_again),
		cmocka_unit_test(step_may_free_its_own_task),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
