/*
 * Long work in slices, for a thread that has other things to do in between.
 *
 *	tasks_init()
 *	tasks_add()	from inside a step too
 *	tasks_run()	one step of each, again and again
 *	tasks_drop()	when the owner goes before the work is over
 *
 * A step does what fits into TASK_STEP_MS.  It may free its own task, if it
 * then says that the work is over.
 */
#ifndef BASE_TASKS_H
#define BASE_TASKS_H

#include <stdbool.h>
#include <sys/queue.h>

enum { TASK_STEP_MS = 5 };

struct task {
	bool (*step)(void *owner); /* false: the work is over */
	void *owner;
	bool queued;
	TAILQ_ENTRY(task) link;
};

TAILQ_HEAD(tasks, task);

void tasks_init(struct tasks *all);
/* `t` is the caller's and not queued. */
void tasks_add(struct tasks *all, struct task *t, bool (*step)(void *owner), void *owner);
void tasks_drop(struct tasks *all, struct task *t);
/* Whether there is more to do. */
bool tasks_run(struct tasks *all);

#endif
