#include "http/turn.h"

#include "base/alloc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

TAILQ_HEAD(waiters, turn_waiter);

/* Of one user: there as long as somebody holds or waits. */
struct line {
	TAILQ_ENTRY(line) link;
	struct user_id user;
	bool held;
	unsigned n;
	struct waiters waiters;
};

TAILQ_HEAD(lines, line);

struct turns {
	struct turn_limits limits;
	struct lines lines; /* whoever had a turn goes to the end */
	unsigned n;
	size_t bytes;
};

struct turns *turns_new(const struct turn_limits *limits)
{
	struct turns *t = alloc_zeroed(1, sizeof *t);

	t->limits = *limits;
	TAILQ_INIT(&t->lines);
	return t;
}

static void drop_if_unused(struct turns *t, struct line *l)
{
	if (l->held || l->n > 0)
		return;
	TAILQ_REMOVE(&t->lines, l, link);
	free(l);
}

void turns_free(struct turns *t)
{
	struct line *l, *next;

	if (t == NULL)
		return;
	assert(t->n == 0);
	for (l = TAILQ_FIRST(&t->lines); l != NULL; l = next) {
		next = TAILQ_NEXT(l, link);
		free(l);
	}
	free(t);
}

static struct line *find(const struct turns *t, const struct user_id *user)
{
	struct line *l = TAILQ_FIRST(&t->lines);

	while (l != NULL && strcmp(l->user.text, user->text) != 0)
		l = TAILQ_NEXT(l, link);
	return l;
}

static struct line *find_or_add(struct turns *t, const struct user_id *user)
{
	struct line *l = find(t, user);

	if (l != NULL)
		return l;
	l = alloc_zeroed(1, sizeof *l);
	l->user = *user;
	TAILQ_INIT(&l->waiters);
	TAILQ_INSERT_TAIL(&t->lines, l, link);
	return l;
}

void turn_hold(struct turns *t, const struct user_id *user)
{
	find_or_add(t, user)->held = true;
}

void turn_let_go(struct turns *t, const struct user_id *user)
{
	struct line *l = find(t, user);

	if (l == NULL)
		return;
	l->held = false;
	drop_if_unused(t, l);
}

bool turn_is_busy(const struct turns *t, const struct user_id *user)
{
	return find(t, user) != NULL;
}

/* Who was handed over by another worker may have come long before the last one here. */
static void insert_by_arrival(struct waiters *all, struct turn_waiter *w)
{
	struct turn_waiter *before = TAILQ_LAST(all, waiters);

	while (before != NULL && before->arrived_ms > w->arrived_ms)
		before = TAILQ_PREV(before, waiters, link);
	if (before != NULL)
		TAILQ_INSERT_AFTER(all, before, w, link);
	else
		TAILQ_INSERT_HEAD(all, w, link);
}

bool turn_wait(struct turns *t, const struct user_id *user, struct turn_waiter *w)
{
	struct line *l = find_or_add(t, user);

	if (l->n >= t->limits.per_user || t->n >= t->limits.all ||
	    w->bytes > t->limits.bytes - t->bytes) {
		drop_if_unused(t, l);
		return false;
	}
	insert_by_arrival(&l->waiters, w);
	l->n++;
	t->n++;
	t->bytes += w->bytes;
	return true;
}

static struct turn_waiter *take_first(struct turns *t, struct line *l)
{
	struct turn_waiter *w = TAILQ_FIRST(&l->waiters);

	TAILQ_REMOVE(&l->waiters, w, link);
	l->n--;
	t->n--;
	t->bytes -= w->bytes;
	TAILQ_REMOVE(&t->lines, l, link);
	TAILQ_INSERT_TAIL(&t->lines, l, link);
	drop_if_unused(t, l);
	return w;
}

static bool may_go(const struct line *l, int64_t now_ms, int64_t late_ms)
{
	const struct turn_waiter *first = TAILQ_FIRST(&l->waiters);

	if (first == NULL)
		return false;
	return first->arrived_ms < late_ms || (!l->held && first->not_before_ms <= now_ms);
}

struct turn_waiter *turn_next(struct turns *t, int64_t now_ms, int64_t late_ms)
{
	struct line *l = TAILQ_FIRST(&t->lines);

	while (l != NULL && !may_go(l, now_ms, late_ms))
		l = TAILQ_NEXT(l, link);
	return l != NULL ? take_first(t, l) : NULL;
}

bool turn_anybody_waits(const struct turns *t)
{
	return t->n > 0;
}

struct turn_waiter *turn_dismiss(struct turns *t)
{
	struct line *l = TAILQ_FIRST(&t->lines);

	while (l != NULL && l->n == 0)
		l = TAILQ_NEXT(l, link);
	return l != NULL ? take_first(t, l) : NULL;
}
