/*
 * Both walks recurse; the check, which comes first, bounds how deep.
 */
#include "http/hrana_cond.h"

#include "http/hrana_value.h"

#include <assert.h>
#include <stdint.h>

struct place {
	size_t step; /* the condition's own: it may ask for those before */
	unsigned depth;
};

static const char *check(const struct json *cond, struct place at);

static const char *check_step(const struct json *cond, struct place at)
{
	int64_t step;

	if (json_int(json_get(cond, "step"), &step) < 0 || step < 0)
		return "a condition needs the number of a step";
	if ((uint64_t)step >= at.step)
		return "a condition may only ask for earlier steps";
	return NULL;
}

static const char *check_cond(const struct json *cond, struct place at)
{
	return check(json_get(cond, "cond"), at);
}

static const char *check_conds(const struct json *cond, struct place at)
{
	const struct json *conds = json_get(cond, "conds");

	if (!json_is(conds, JSON_ARRAY))
		return "a condition needs an array conds";
	for (const struct json *c = conds->first; c != NULL; c = c->next) {
		const char *why = check(c, at);
		if (why != NULL)
			return why;
	}
	return NULL;
}

static const char *check_nothing(const struct json *cond, struct place at)
{
	(void)cond;
	(void)at;
	return NULL;
}

static bool holds_ok(const struct json *cond, const struct hrana_progress *p)
{
	int64_t step = 0;

	(void)json_int(json_get(cond, "step"), &step);
	return p->succeeded[step];
}

static bool holds_error(const struct json *cond, const struct hrana_progress *p)
{
	return !holds_ok(cond, p);
}

static bool holds_not(const struct json *cond, const struct hrana_progress *p)
{
	return !hrana_cond_holds(json_get(cond, "cond"), p);
}

static bool holds_and(const struct json *cond, const struct hrana_progress *p)
{
	for (const struct json *c = json_get(cond, "conds")->first; c != NULL; c = c->next)
		if (!hrana_cond_holds(c, p))
			return false;
	return true;
}

static bool holds_or(const struct json *cond, const struct hrana_progress *p)
{
	for (const struct json *c = json_get(cond, "conds")->first; c != NULL; c = c->next)
		if (hrana_cond_holds(c, p))
			return true;
	return false;
}

static bool holds_autocommit(const struct json *cond, const struct hrana_progress *p)
{
	(void)cond;
	return p->autocommit;
}

struct kind {
	const char *name;
	const char *(*check)(const struct json *cond, struct place at);
	bool (*holds)(const struct json *cond, const struct hrana_progress *p);
};

static const struct kind *kind_of(const struct json *cond)
{
	static const struct kind kinds[] = {
		{ "ok", check_step, holds_ok },
		{ "error", check_step, holds_error },
		{ "not", check_cond, holds_not },
		{ "and", check_conds, holds_and },
		{ "or", check_conds, holds_or },
		{ "is_autocommit", check_nothing, holds_autocommit },
	};
	const struct json *type = json_get(cond, "type");

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (json_text_is(type, kinds[i].name))
			return &kinds[i];
	return NULL;
}

static const char *check(const struct json *cond, struct place at)
{
	const struct kind *kind = kind_of(cond);

	if (kind == NULL)
		return "a condition of unknown type";
	if (at.depth == HRANA_COND_DEPTH_MAX)
		return "conditions are nested too deeply";
	at.depth++;
	return kind->check(cond, at);
}

const char *hrana_cond_check(const struct json *cond, size_t step)
{
	return check(cond, (struct place){ .step = step });
}

bool hrana_cond_holds(const struct json *cond, const struct hrana_progress *p)
{
	const struct kind *kind = kind_of(cond);

	assert(kind != NULL);
	return kind->holds(cond, p);
}
