#include "store/listing.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "store/backend.h"
#include "store/xml.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	/* 1000 keys of 1024 bytes, all of them escaped, and as much again. */
	PAGE_LEN_MAX = 16 * 1024 * 1024,
	PAGES_MAX = 10000,
	TOKEN_LEN_MAX = 4096,
	ERROR_LEN_MAX = 64 * 1024,
};

struct listing {
	char *start; /* what every key begins with: prefix and asked */
	size_t prefix_len;
	bool of_folders;
	struct object_listing found;
	unsigned pages;
	bool damaged;

	/* Of the page that is being read: */
	struct xml *xml;
	bool root_ended, truncated_told, truncated;
	struct buf token;
	/* Of its <Contents> that is being read: */
	struct buf key;
	bool key_told, size_told;
	uint64_t size;
	int64_t modified_ms;
};

static int read_truncated(struct listing *l, const char *text)
{
	bool yes = strcmp(text, "true") == 0;

	if (l->truncated_told || (!yes && strcmp(text, "false") != 0))
		return -1;
	l->truncated_told = true;
	l->truncated = yes;
	return 0;
}

static int read_token(struct listing *l, const char *text)
{
	if (l->token.len > 0 || text[0] == '\0' || strlen(text) > TOKEN_LEN_MAX)
		return -1;
	buf_add_text(&l->token, text);
	return 0;
}

static int read_key(struct listing *l, const char *text)
{
	if (l->key_told)
		return -1;
	l->key_told = true;
	buf_clear(&l->key);
	buf_add_text(&l->key, text);
	return 0;
}

static int read_size(struct listing *l, const char *text)
{
	char *end;

	if (l->size_told || text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	l->size = strtoull(text, &end, 10);
	l->size_told = true;
	return errno != 0 || *end != '\0' ? -1 : 0;
}

/* 2026-08-22T10:11:12.345Z.  Who sends another form has not told the time. */
static int read_modified(struct listing *l, const char *text)
{
	struct tm utc = { 0 };
	long ms = 0;
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);

	if (rest == NULL)
		return 0;
	if (rest[0] == '.' && isdigit((unsigned char)rest[1]))
		ms = strtol(rest + 1, NULL, 10);
	if (ms > 999)
		return 0;
	l->modified_ms = (int64_t)timegm(&utc) * 1000 + ms;
	return 0;
}

/* NULL: longer than a key can be, not behind the last one, or one too many. */
static struct object_entry *add_entry(struct listing *l, const char *relative)
{
	const struct object_entry *last =
		l->found.count > 0 ? &l->found.entries[l->found.count - 1] : NULL;

	if (strlen(relative) >= OBJECT_KEY_MAX ||
	    (last != NULL && strcmp(last->key, relative) >= 0))
		return NULL;
	struct object_entry *e = object_listing_add(&l->found);
	if (e != NULL)
		(void)snprintf(e->key, sizeof e->key, "%s", relative);
	return e;
}

static int take_object(struct listing *l)
{
	const char *relative = l->key.data + l->prefix_len;

	/* Some tools make an empty object in the name of a folder, here our own. */
	if (relative[0] == '\0')
		return 0;
	struct object_entry *e = add_entry(l, relative);
	if (e == NULL)
		return -1;
	e->size = l->size;
	e->modified_ms = l->modified_ms;
	return 0;
}

/* Where folders are asked for, what lies in one means that the store did not understand. */
static int end_contents(struct listing *l)
{
	size_t len = strlen(l->start);

	if (!l->key_told || !l->size_told || strncmp(l->key.data, l->start, len) != 0)
		return -1;
	if (l->of_folders ? strchr(l->key.data + len, '/') != NULL : take_object(l) < 0)
		return -1;
	l->key_told = false;
	l->size_told = false;
	l->modified_ms = 0;
	return 0;
}

/* With the '/' at its end, which is the only one behind what was asked for. */
static int read_folder(struct listing *l, const char *text)
{
	size_t len = strlen(l->start);

	if (!l->of_folders || strncmp(text, l->start, len) != 0)
		return -1;
	const char *slash = strchr(text + len, '/');
	if (slash == NULL || slash[1] != '\0')
		return -1;
	return add_entry(l, text + l->prefix_len) != NULL ? 0 : -1;
}

static int end_root(struct listing *l)
{
	l->root_ended = true;
	return 0;
}

static int on_element(void *owner, const char *path, const char *text)
{
	static const char root[] = "ListBucketResult";
	struct listing *l = owner;

	if (strncmp(path, root, strlen(root)) != 0)
		return -1;
	path += strlen(root);
	if (*path == '\0')
		return end_root(l);
	if (strcmp(path, "/IsTruncated") == 0)
		return read_truncated(l, text);
	if (strcmp(path, "/NextContinuationToken") == 0)
		return read_token(l, text);
	if (strcmp(path, "/Contents/Key") == 0)
		return read_key(l, text);
	if (strcmp(path, "/Contents/Size") == 0)
		return read_size(l, text);
	if (strcmp(path, "/Contents/LastModified") == 0)
		return read_modified(l, text);
	if (strcmp(path, "/Contents") == 0)
		return end_contents(l);
	if (strcmp(path, "/CommonPrefixes/Prefix") == 0)
		return read_folder(l, text);
	return 0;
}

struct listing *listing_new(const char *prefix, const char *asked)
{
	struct listing *l = alloc_zeroed(1, sizeof *l);
	struct buf start = BUF_INIT;

	buf_addf(&start, "%s%s", prefix, asked);
	l->start = start.data;
	l->prefix_len = strlen(prefix);
	return l;
}

struct listing *listing_new_of_folders(const char *prefix, const char *asked)
{
	struct listing *l = listing_new(prefix, asked);

	l->of_folders = true;
	return l;
}

void listing_free(struct listing *l)
{
	if (l == NULL)
		return;
	xml_free(l->xml);
	object_listing_release(&l->found);
	buf_release(&l->token);
	buf_release(&l->key);
	free(l->start);
	free(l);
}

static void begin_page(struct listing *l)
{
	l->xml = xml_new(PAGE_LEN_MAX, on_element, l);
	l->pages++;
	l->root_ended = false;
	l->truncated_told = false;
	l->truncated = false;
	l->key_told = false;
	l->size_told = false;
	l->modified_ms = 0;
	buf_clear(&l->token);
}

int listing_feed(struct listing *l, const void *bytes, size_t len)
{
	if (l->xml == NULL)
		begin_page(l);
	if (xml_feed(l->xml, bytes, len) < 0)
		l->damaged = true;
	return l->damaged ? -1 : 0;
}

enum listing_page listing_end_page(struct listing *l)
{
	if (l->xml == NULL || xml_end(l->xml) < 0 || !l->root_ended || !l->truncated_told ||
	    (l->truncated && l->token.len == 0) || (l->truncated && l->pages >= PAGES_MAX))
		l->damaged = true;
	xml_free(l->xml);
	l->xml = NULL;
	if (l->damaged)
		return LISTING_DAMAGED;
	return l->truncated ? LISTING_MORE : LISTING_COMPLETE;
}

const char *listing_token(const struct listing *l)
{
	return l->token.data;
}

struct object_listing listing_take(struct listing *l)
{
	struct object_listing found = l->found;

	l->found = (struct object_listing){ 0 };
	return found;
}

static int on_error_element(void *owner, const char *path, const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789";
	char *code = owner;
	size_t len = strlen(text);

	if (strcmp(path, "Error/Code") != 0)
		return strncmp(path, "Error", strlen("Error")) == 0 ? 0 : -1;
	if (code[0] != '\0' || len >= LISTING_CODE_SIZE || strspn(text, letters) != len)
		return -1;
	memcpy(code, text, len + 1);
	return 0;
}

void listing_error_code(const void *xml, size_t len, char out[static LISTING_CODE_SIZE])
{
	memset(out, 0, LISTING_CODE_SIZE);
	struct xml *x = xml_new(ERROR_LEN_MAX, on_error_element, out);
	if (xml_feed(x, xml, len) < 0 || xml_end(x) < 0)
		out[0] = '\0';
	xml_free(x);
}
