#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_LEN = 2048 };

static const char *const level_name[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

static enum log_level most_level = LOG_LEVEL_INFO;
static char role_name[16] = "main";
static _Thread_local char request_id[16];

void log_init(enum log_level most, const char *role)
{
	most_level = most;
	(void)snprintf(role_name, sizeof role_name, "%s", role);
}

void log_request(const char *id)
{
	(void)snprintf(request_id, sizeof request_id, "%s", id);
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
	int len = snprintf(line, size, "%s.%03dZ %s %s[%d] %s %s ", when,
			   (int)(now.tv_nsec / 1000000), level_name[level], role_name,
			   (int)getpid(), request_id[0] ? request_id : "-", event);
	return (size_t)len < size ? (size_t)len : size - 1;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	char line[LINE_MAX_LEN];
	va_list args;

	if (level > most_level)
		return;
	size_t len = line_head(line, sizeof line - 1, level, event);
	va_start(args, fmt);
	int more = vsnprintf(line + len, sizeof line - 1 - len, fmt, args);
	va_end(args);
	if (more > 0)
		len += (size_t)more < sizeof line - 2 - len ? (size_t)more : sizeof line - 2 - len;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';
	/* Nobody is left to tell when stderr itself is gone. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}
