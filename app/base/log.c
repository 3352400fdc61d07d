#include "base/log.h"

#include "base/clock.h"
#include "base/log_limit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_LEN = 2048 };

static const char *const level_name[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

/* Of syslog(3). */
static const char *const level_priority[] = {
	[LOG_LEVEL_ERROR] = "<3>",
	[LOG_LEVEL_WARN] = "<4>",
	[LOG_LEVEL_INFO] = "<6>",
	[LOG_LEVEL_DEBUG] = "<7>",
};

static enum log_level most_level = LOG_LEVEL_INFO;
static char role_name[16] = "main";
static bool to_journal;
static _Thread_local char request_id[16];
static _Thread_local char client[80];

/* The variable is inherited by whoever's stderr went elsewhere meanwhile, too. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char ours[64];

	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return false;
	(void)snprintf(ours, sizeof ours, "%" PRIuMAX ":%" PRIuMAX, (uintmax_t)st.st_dev,
		       (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

void log_init(enum log_level most, const char *role)
{
	most_level = most;
	to_journal = stderr_is_journal();
	(void)snprintf(role_name, sizeof role_name, "%s", role);
}

void log_request(const char *id)
{
	(void)snprintf(request_id, sizeof request_id, "%s", id);
	client[0] = '\0';
}

void log_client(const char *user)
{
	(void)snprintf(client, sizeof client, "%s", user);
}

int log_level_parse(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < sizeof level_name / sizeof level_name[0]; i++) {
		if (strcmp(name, level_name[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

static size_t line_head(char *line, size_t size, enum log_level level, const char *event)
{
	struct timespec now;
	struct tm utc;
	char when[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
	int len = snprintf(line, size, "%s%s.%03dZ %s %s[%d] %s %s ",
			   to_journal ? level_priority[level] : "", when,
			   (int)(now.tv_nsec / 1000000), level_name[level], role_name,
			   (int)getpid(), request_id[0] ? request_id : "-", event);
	return (size_t)len < size ? (size_t)len : size - 1;
}

/* Cut where it does not fit. */
static size_t append(char *line, size_t len, size_t size, const char *text)
{
	size_t room = size - len, more = strnlen(text, room);

	memcpy(line + len, text, more);
	return len + more;
}

static void write_line(enum log_level level, const char *event, const char *facts)
{
	char line[LINE_MAX_LEN];
	size_t len = line_head(line, sizeof line - 1, level, event);

	len = append(line, len, sizeof line - 1, facts);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';
	/* Nobody is left to tell when stderr itself is gone. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

static void settle(int64_t now_ms)
{
	struct log_limit_over over;
	char facts[LINE_MAX_LEN];

	while (log_limit_next(now_ms, &over)) {
		(void)snprintf(facts, sizeof facts, "event=%s subject=%s lines=%" PRIu64,
			       over.event, over.subject, over.suppressed);
		write_line(LOG_LEVEL_WARN, "log.suppressed", facts);
	}
}

void log_settle(void)
{
	settle(clock_mono_ms());
}

void log_end(void)
{
	settle(INT64_MAX);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	char facts[LINE_MAX_LEN];
	va_list args;

	if (level > most_level)
		return;
	va_start(args, fmt);
	if (vsnprintf(facts, sizeof facts, fmt, args) < 0)
		facts[0] = '\0';
	va_end(args);
	if (level > LOG_LEVEL_WARN || log_limit_passes(event, facts, client, clock_mono_ms()))
		write_line(level, event, facts);
}
