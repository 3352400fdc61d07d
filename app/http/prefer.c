#include "http/prefer.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

enum { DIGITS_MAX = 6 };

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t");
}

/* To the comma that ends this preference, or to the end of all. */
static const char *skip_preference(const char *at)
{
	bool quoted = false;

	for (; *at != '\0' && (quoted || *at != ','); at++) {
		if (quoted && *at == '\\' && at[1] != '\0')
			at++;
		else if (*at == '"')
			quoted = !quoted;
	}
	return at;
}

/* What follows the token's name; NULL: it is another token. */
static const char *after_name(const char *at, const char *name)
{
	size_t len = strlen(name);

	return strncasecmp(at, name, len) == 0 ? skip_space(at + len) : NULL;
}

/* "=5" or "=\"5\"", with nothing but parameters behind. */
static int64_t read_seconds(const char *at)
{
	int64_t seconds = 0;

	if (*at != '=')
		return 0;
	at = skip_space(at + 1);
	bool quoted = *at == '"';
	at += quoted;
	size_t digits = strspn(at, "0123456789");
	for (size_t i = 0; i < digits && i < DIGITS_MAX; i++)
		seconds = seconds * 10 + (at[i] - '0');
	at += digits;
	if (quoted && *at++ != '"')
		return 0;
	at = skip_space(at);
	return *at == '\0' || *at == ',' || *at == ';' ? seconds : 0;
}

int64_t prefer_wait_ms(const char *header)
{
	const char *at = header != NULL ? skip_space(header) : "";

	while (*at != '\0') {
		const char *value = after_name(at, "wait");
		/* The first one counts. */
		if (value != NULL && strchr("=,;", *value) != NULL) {
			int64_t ms = read_seconds(value) * 1000;
			return ms < PREFER_WAIT_MAX_MS ? ms : PREFER_WAIT_MAX_MS;
		}
		at = skip_preference(at);
		at = skip_space(at + (*at == ','));
	}
	return 0;
}
