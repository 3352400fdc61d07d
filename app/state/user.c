#include "state/user.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int user_id_parse(const char *text, size_t len, struct user_id *out)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_.@-";

	if (len == 0 || len > USER_ID_MAX || text[0] == '.')
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0' || strchr(allowed, text[i]) == NULL)
			return -1;
	}
	memset(out, 0, sizeof *out);
	memcpy(out->text, text, len);
	return 0;
}

/* FNV-1a folded to a byte: only to spread folders, and the same for ever. */
static unsigned spread(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return (h ^ h >> 8 ^ h >> 16 ^ h >> 24) & 0xff;
}

int user_path(const char *data, const struct user_id *id, const char *name, char *out, size_t size)
{
	int len = snprintf(out, size, "%s/users/%02x/%s%s%s", data, spread(id->text), id->text,
			   name[0] ? "/" : "", name);

	return len >= 0 && (size_t)len < size ? 0 : -1;
}
