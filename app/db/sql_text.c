#include "db/sql_text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static size_t count_space(const char *text, size_t len)
{
	static const char space[] = { ' ', '\t', '\n', '\f', '\r' };
	size_t n = 0;

	while (n < len && memchr(space, text[n], sizeof space) != NULL)
		n++;
	return n;
}

static size_t match_word(const char *text, size_t len, const char *word)
{
	size_t n = strlen(word);

	if (len < n || strncasecmp(text, word, n) != 0)
		return 0;
	if (len > n && (isalnum((unsigned char)text[n]) || text[n] == '_' || text[n] & 0x80))
		return 0;
	return n;
}

size_t sql_begin_readonly(const char *sql, size_t len)
{
	static const char *const words[] = { "BEGIN", "READONLY" };
	size_t at = 0;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		at += count_space(sql + at, len - at);
		size_t n = match_word(sql + at, len - at, words[i]);
		if (n == 0)
			return 0;
		at += n;
	}
	at += count_space(sql + at, len - at);
	if (at == len)
		return at;
	return sql[at] == ';' ? at + 1 : 0;
}

static size_t comment_len(const char *text, size_t len)
{
	const char *end = NULL;
	size_t end_len = 0;

	if (len >= 2 && memcmp(text, "--", 2) == 0) {
		end = memchr(text, '\n', len);
		end_len = 1;
	} else if (len >= 2 && memcmp(text, "/*", 2) == 0) {
		end = memmem(text + 2, len - 2, "*/", 2);
		end_len = 2;
	} else {
		return 0;
	}
	return end == NULL ? len : (size_t)(end - text) + end_len;
}

bool sql_is_blank(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		size_t n = count_space(text + at, len - at);
		if (n == 0 && text[at] == ';')
			n = 1;
		if (n == 0)
			n = comment_len(text + at, len - at);
		if (n == 0)
			return false;
		at += n;
	}
	return true;
}
