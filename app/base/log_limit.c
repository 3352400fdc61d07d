#include "base/log_limit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Untouched ones cost no memory. */
enum { ENTRIES = 1024 };

struct entry {
	struct log_limit_over line;
	int64_t began_ms;
	unsigned lines; /* of this period; 0: the entry is free */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[ENTRIES];
static unsigned used; /* none at or behind it is in use */

static void copy_subject(const char *facts, char out[static 160])
{
	static const char *const names[] = { "user=", "path=", "key=" };
	const char *value = "";

	for (const char *fact = facts; *value == '\0' && fact != NULL; fact = strchr(fact, ' ')) {
		fact += *fact == ' ';
		for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
			if (strncmp(fact, names[i], strlen(names[i])) == 0)
				value = fact + strlen(names[i]);
		}
	}
	(void)snprintf(out, 160, "%.*s", (int)strcspn(value, " "), value);
}

static bool is_over(const struct entry *e, int64_t now_ms)
{
	return now_ms - e->began_ms >= LOG_LIMIT_MS;
}

/* The line's own entry, or else one that is free or has nothing to tell. */
static struct entry *find(const struct log_limit_over *line, int64_t now_ms)
{
	struct entry *spare = NULL;

	for (unsigned i = 0; i < used; i++) {
		struct entry *e = &entries[i];
		if (e->lines != 0 && strcmp(e->line.event, line->event) == 0 &&
		    strcmp(e->line.subject, line->subject) == 0)
			return e;
		if (e->lines == 0 || (is_over(e, now_ms) && e->line.suppressed == 0))
			spare = e;
	}
	if (spare == NULL && used < ENTRIES)
		spare = &entries[used++];
	if (spare != NULL)
		spare->lines = 0;
	return spare;
}

static bool passes(struct entry *e, const struct log_limit_over *line, int64_t now_ms)
{
	/* Too many subjects at a time to watch them all. */
	if (e == NULL)
		return true;
	/* What is over and not told yet goes on counting until it is. */
	if (e->lines == 0 || (is_over(e, now_ms) && e->line.suppressed == 0))
		*e = (struct entry){ .line = *line, .began_ms = now_ms };
	if (e->lines < LOG_LIMIT_LINES) {
		e->lines++;
		return true;
	}
	e->line.suppressed++;
	return false;
}

bool log_limit_passes(const char *event, const char *facts, const char *client, int64_t now_ms)
{
	struct log_limit_over line = { .suppressed = 0 };

	(void)snprintf(line.event, sizeof line.event, "%s", event);
	copy_subject(facts, line.subject);
	if (line.subject[0] == '\0')
		(void)snprintf(line.subject, sizeof line.subject, "%s", client);
	if (line.subject[0] == '\0')
		return true;
	pthread_mutex_lock(&mutex);
	bool pass = passes(find(&line, now_ms), &line, now_ms);
	pthread_mutex_unlock(&mutex);
	return pass;
}

bool log_limit_next(int64_t now_ms, struct log_limit_over *out)
{
	bool found = false;

	pthread_mutex_lock(&mutex);
	for (unsigned i = 0; i < used && !found; i++) {
		struct entry *e = &entries[i];
		if (e->lines == 0 || !is_over(e, now_ms))
			continue;
		found = e->line.suppressed != 0;
		*out = e->line;
		e->lines = 0;
	}
	pthread_mutex_unlock(&mutex);
	return found;
}
