#include "http/jwks.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/json_read.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FILE_LEN_MAX = 65536,
	PATH_LEN_MAX = 4096,
};

struct reading {
	struct jwks *set;
	const char *path;
	void (*found)(const struct jwks_found *f);
	char *why; /* JWKS_WHY_MAX */
};

static int fail(const struct reading *r, const char *what)
{
	(void)snprintf(r->why, JWKS_WHY_MAX, "%s: '%.256s'", what, r->path);
	return -1;
}

static void tell(const struct reading *r, const struct jwk *key, const char *kid, const char *why)
{
	const struct jwks_found f = { .path = r->path, .key = key, .kid = kid, .why = why };

	if (r->found != NULL)
		r->found(&f);
}

/* Takes `key`. */
static int add(const struct reading *r, struct jwk *key)
{
	struct jwks *set = r->set;

	if (set->count == JWKS_MAX) {
		jwk_free(key);
		return fail(r, "this file has the key that is one too many, 16 are the limit");
	}
	set->keys[set->count++] = key;
	tell(r, key, jwk_kid(key), NULL);
	return 0;
}

/* As much of a `kid` as can be shown on a line. */
static void show_kid(const struct json *v, char out[static JWK_KID_MAX + 1])
{
	const struct json *kid = json_get(v, "kid");
	size_t len = 0;

	for (; json_is(kid, JSON_STRING) && len < kid->len && len < JWK_KID_MAX; len++)
		out[len] = kid->text[len] >= 0x20 && kid->text[len] < 0x7f ? kid->text[len] : '?';
	out[len] = '\0';
}

static int add_member(const struct reading *r, const struct json *v)
{
	char why[128], kid[JWK_KID_MAX + 1];
	struct jwk *key = jwk_from_json(v, why, sizeof why);

	if (key != NULL)
		return add(r, key);
	show_kid(v, kid);
	tell(r, NULL, kid, why);
	return 0;
}

static int add_members(const struct reading *r, const struct json *root)
{
	const struct json *keys = json_get(root, "keys");
	unsigned before = r->set->count;

	if (json_get(root, "kty") != NULL) {
		if (add_member(r, root) < 0)
			return -1;
	} else if (!json_is(keys, JSON_ARRAY)) {
		return fail(r, "this JSON has no array of keys");
	} else {
		for (const struct json *v = keys->first; v != NULL; v = v->next) {
			if (add_member(r, v) < 0)
				return -1;
		}
	}
	return r->set->count > before ? 0 : fail(r, "this JWKS has no key that is of use");
}

static int add_jwks(const struct reading *r, const struct buf *text)
{
	const struct json_limits limits = {
		.max_len = FILE_LEN_MAX,
		.max_depth = 8,
		.max_values = 4096,
	};
	char reason[128], what[192];
	struct json_doc *doc = json_parse(text->data, text->len, &limits, reason, sizeof reason);

	if (doc == NULL) {
		(void)snprintf(what, sizeof what, "this file is no JWKS, %s", reason);
		return fail(r, what);
	}
	int result = add_members(r, json_root(doc));
	json_wipe_free(doc);
	return result;
}

/* Also one that is damaged: the text of a public key is a secret that everybody knows. */
static bool looks_like_json(const struct buf *text)
{
	size_t start = 0;

	while (start < text->len && strchr(" \t\r\n", text->data[start]) != NULL)
		start++;
	return (start < text->len && text->data[start] == '{') ||
	       memmem(text->data, text->len, "\"kty\"", strlen("\"kty\"")) != NULL;
}

static int add_text(const struct reading *r, const struct buf *text)
{
	char why[128];

	if (looks_like_json(text))
		return add_jwks(r, text);
	struct jwk *key = jwk_from_text(text->data, text->len, why, sizeof why);
	return key != NULL ? add(r, key) : fail(r, why);
}

static int add_file(const struct reading *r)
{
	struct buf text = BUF_INIT;
	int result = -1;

	/* All of it at once: growing would leave copies of a secret behind. */
	buf_reserve(&text, 2 * FILE_LEN_MAX);
	switch (file_read(r->path, FILE_LEN_MAX, &text)) {
	case FILE_OK:
		result = add_text(r, &text);
		break;
	case FILE_ABSENT:
		result = fail(r, "there is no such file");
		break;
	case FILE_TOO_LONG:
		result = fail(r, "the file is too long to hold keys");
		break;
	case FILE_FAILED:
		result = fail(r, "the file cannot be read");
		break;
	}
	OPENSSL_cleanse(text.data, text.cap);
	buf_release(&text);
	return result;
}

struct jwks *jwks_read(const char *paths, void (*found)(const struct jwks_found *f),
		       char why[static JWKS_WHY_MAX])
{
	char path[PATH_LEN_MAX + 1];
	struct jwks *set = alloc_zeroed(1, sizeof *set);
	struct reading r = { .set = set, .path = path, .found = found, .why = why };

	for (const char *p = paths, *end; p != NULL; p = *end == ':' ? end + 1 : NULL) {
		end = strchrnul(p, ':');
		(void)snprintf(path, sizeof path, "%.*s", (int)(end - p), p);
		if (add_file(&r) < 0) {
			jwks_free(set);
			return NULL;
		}
	}
	return set;
}

void jwks_free(struct jwks *set)
{
	if (set == NULL)
		return;
	for (unsigned i = 0; i < set->count; i++)
		jwk_free(set->keys[i]);
	free(set);
}
