#include "base/tasks.h"

#include <stddef.h>

void tasks_init(struct tasks *all)
{
	TAILQ_INIT(all);
}

static void queue(struct tasks *all, struct task *t)
{
	t->queued = true;
	TAILQ_INSERT_TAIL(all, t, link);
}

void tasks_add(struct tasks *all, struct task *t, bool (*step)(void *owner), void *owner)
{
	*t = (struct task){ .step = step, .owner = owner };
	queue(all, t);
}

void tasks_drop(struct tasks *all, struct task *t)
{
	if (!t->queued)
		return;
	t->queued = false;
	TAILQ_REMOVE(all, t, link);
}

bool tasks_run(struct tasks *all)
{
	struct task *last = TAILQ_LAST(all, tasks), *t;

	while ((t = TAILQ_FIRST(all)) != NULL) {
		bool is_last = t == last;
		tasks_drop(all, t);
		/* Not touched again when it is over: its owner may be gone. */
		if (t->step(t->owner))
			queue(all, t);
		if (is_last)
			break;
	}
	return !TAILQ_EMPTY(all);
}
