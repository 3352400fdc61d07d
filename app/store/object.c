#include "store/object.h"

#include "base/alloc.h"
#include "store/backend.h"
#include "store/dir.h"
#include "store/s3.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUN_SLICE_MS = 1000, BUCKET_MIN = 3, BUCKET_MAX = 63, PREFIX_MAX = 256 };

const char *const object_error_name[ERROR_COUNT] = {
	[ERROR_NONE] = "none",
	[ERROR_CONNECT] = "connect",
	[ERROR_TIMEOUT] = "timeout",
	[ERROR_BROKEN] = "broken",
	[ERROR_THROTTLED] = "throttled",
	[ERROR_SERVER] = "server",
	[ERROR_CREDENTIALS] = "credentials",
	[ERROR_CLOCK] = "clock",
	[ERROR_CONFIG] = "config",
	[ERROR_DAMAGED] = "damaged",
	[ERROR_DISK] = "disk",
	[ERROR_BUSY] = "busy",
	[ERROR_CONFLICT] = "conflict",
	[ERROR_MISSING] = "missing",
	[ERROR_CERTIFICATE] = "certificate",
};

const char *const object_verb_name[] = {
	[OBJECT_CREATE] = "create", [OBJECT_GET] = "get",	  [OBJECT_LIST] = "list",
	[OBJECT_DELETE] = "delete", [OBJECT_PROBE_PUT] = "probe",
};

static const char lower_case[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
static const char key_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789-."
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ_~@+=,/";

static struct store *refuse(char *why, size_t why_size, const char *reason)
{
	(void)snprintf(why, why_size, "%s", reason);
	return NULL;
}

/* Whether segments separated by '/' are all there and none is "." or "..". */
static bool segments_are_sound(const char *path, size_t len)
{
	for (const char *end = path + len; path <= end; path++) {
		size_t n = 0;

		while (path + n < end && path[n] != '/')
			n++;
		if (n == 0 || (path[0] == '.' && (n == 1 || (n == 2 && path[1] == '.'))))
			return false;
		path += n;
	}
	return true;
}

bool object_key_is_sound(const struct object_request *r)
{
	size_t len = strnlen(r->key, sizeof r->key);

	if (len == sizeof r->key)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)r->key[i] < 0x20 || r->key[i] == 0x7f)
			return false;
	}
	if (r->verb != OBJECT_LIST)
		return segments_are_sound(r->key, len);
	const char *slash = strrchr(r->key, '/');
	return slash == NULL || segments_are_sound(r->key, (size_t)(slash - r->key));
}

static struct store *new_s3(const struct store_config *c, char *why, size_t why_size)
{
	char bucket[BUCKET_MAX + 1];
	char prefix[PREFIX_MAX + 2];
	const char *rest = c->url + strlen("s3://");
	size_t len = strcspn(rest, "/");

	if (len < BUCKET_MIN || len > BUCKET_MAX || strspn(rest, lower_case) != len)
		return refuse(why, why_size,
			      "the bucket in s3://bucket/prefix must be 3 to 63 lower case "
			      "letters, digits, '-' or '.'");
	memcpy(bucket, rest, len);
	bucket[len] = '\0';
	rest += len;
	if (*rest == '/')
		rest++;

	len = strlen(rest);
	if (len > 0 && rest[len - 1] == '/')
		len--;
	if (len > PREFIX_MAX)
		return refuse(why, why_size, "the prefix in s3://bucket/prefix is too long");
	if (strspn(rest, key_chars) < len)
		return refuse(why, why_size,
			      "the prefix in s3://bucket/prefix may hold letters, digits, '/' "
			      "and -._~@+=, only");
	if (len > 0 && !segments_are_sound(rest, len))
		return refuse(why, why_size,
			      "the prefix in s3://bucket/prefix has an empty, '.' or '..' part");
	(void)snprintf(prefix, sizeof prefix, "%.*s%s", (int)len, rest, len > 0 ? "/" : "");
	return s3_new(c, bucket, prefix, why, why_size);
}

const char *store_folder(const struct store_config *c)
{
	if (c->url == NULL || strncmp(c->url, "file:", 5) != 0)
		return NULL;
	const char *path = c->url + strlen("file:");
	return strncmp(path, "///", 3) == 0 ? path + 2 : path;
}

static struct store *new_dir(const struct store_config *c, char *why, size_t why_size)
{
	const char *path = store_folder(c);

	if (path == NULL || path[0] != '/' || path[1] == '/' || path[1] == '\0')
		return refuse(why, why_size,
			      "a folder as store is written file:/path, with an absolute path");
	return dir_new(path, why, why_size);
}

struct store *store_new(const struct store_config *c, char *why, size_t why_size)
{
	if (c->url == NULL || c->url[0] == '\0')
		return refuse(why, why_size, "no store is named");
	if (strncmp(c->url, "s3://", 5) == 0)
		return new_s3(c, why, why_size);
	if (store_folder(c) != NULL)
		return new_dir(c, why, why_size);
	return refuse(why, why_size, "the store must be s3://bucket/prefix or file:/path");
}

void store_free(struct store *s)
{
	if (s != NULL)
		s->methods->free(s);
}

void store_start(struct store *s, struct object_request *r)
{
	assert(r->transfer == NULL);
	r->result = OBJECT_UNKNOWN;
	r->error = ERROR_NONE;
	r->status = 0;
	r->retry_after_ms = 0;
	r->listing = (struct object_listing){ 0 };
	s->methods->start(s, r);
}

void store_drop(struct store *s, struct object_request *r)
{
	if (r->transfer != NULL)
		s->methods->drop(s, r);
}

void store_run(struct store *s, int64_t wait_ms)
{
	s->methods->run(s, wait_ms > 0 ? wait_ms : 0);
}

void store_wake(struct store *s)
{
	s->methods->wake(s);
}

void store_finish(struct object_request *r, struct outcome o)
{
	r->result = o.result;
	r->error = o.error;
	r->transfer = NULL;
	if (r->done != NULL)
		r->done(r);
}

enum object_result store_do(struct store *s, struct object_request *r)
{
	store_start(s, r);
	while (r->transfer != NULL)
		store_run(s, RUN_SLICE_MS);
	return r->result;
}

/* The room is the power of two that holds `count`, and 16 at least. */
struct object_entry *object_listing_add(struct object_listing *l)
{
	if (l->count == OBJECT_LIST_MAX)
		return NULL;
	if (l->count == 0)
		l->entries = alloc_zeroed(16, sizeof *l->entries);
	else if (l->count >= 16 && (l->count & (l->count - 1)) == 0)
		l->entries = alloc_resized(l->entries, 2 * l->count * sizeof *l->entries);
	struct object_entry *e = &l->entries[l->count++];
	*e = (struct object_entry){ 0 };
	return e;
}

void object_listing_release(struct object_listing *l)
{
	free(l->entries);
	*l = (struct object_listing){ 0 };
}
