/*
 *	<root>/<key>			an object
 *	<root>/.tmp/<16 hex>		an object that is being written
 *
 * An object is written and synced under a name in .tmp and gets its key by
 * link(2), which refuses a name that exists: whoever links first has created
 * it, and it is whole from its first moment.  A crash leaves a file in .tmp at
 * most; nobody lists that folder, and who opens the store removes the old ones.
 *
 * All paths are relative to one descriptor of the root, so that a disk which is
 * mounted over it or taken away later does not make objects look absent.
 */
#include "store/dir.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "store/backend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { COPY_LEN = 65536, LEFTOVER_S = 86400, BESIDE_SIZE = 32 };

static const char beside_dir[] = ".tmp";

struct job {
	struct object_request *r;
	struct job *next;
};

struct dir {
	struct store base;
	int root;
	int wake; /* an eventfd */
	struct job *first;
	struct job **end; /* where the next job is hung */
	char *part; /* COPY_LEN bytes that are being copied */
};

static const struct outcome success = { OBJECT_OK, ERROR_NONE };

/* Trying soon is no use where permissions or names are in the way. */
static struct outcome failed(const char *call, const char *key, enum object_result otherwise)
{
	bool refused = errno == EACCES || errno == EPERM || errno == EROFS || errno == ENOTDIR ||
		       errno == ENAMETOOLONG || errno == ELOOP || errno == EISDIR;

	log_error("dir.failed", "call=%s key=%s error=\"%s\"", call, key, strerror(errno));
	return (struct outcome){ refused ? OBJECT_REFUSED : otherwise, ERROR_DISK };
}

/* Something has happened already, and whether it lasts is not known. */
static struct outcome not_synced(const char *key)
{
	log_error("dir.failed", "call=fsync key=%s error=\"%s\"", key, strerror(errno));
	return (struct outcome){ OBJECT_UNKNOWN, ERROR_DISK };
}

/* Whether "no such file" is about the file, or about the whole store. */
static bool root_is_there(const struct dir *d)
{
	struct stat st;

	return fstat(d->root, &st) == 0 && st.st_nlink > 0;
}

static struct outcome absent(const struct dir *d, const char *key, enum object_result result)
{
	if (root_is_there(d))
		return (struct outcome){ result, ERROR_NONE };
	log_error("dir.gone", "key=%s", key);
	return (struct outcome){ OBJECT_REFUSED, ERROR_CONFIG };
}

/* The folder that holds `path`, "." for the root itself. */
static void parent_of(const char *path, char out[static OBJECT_KEY_MAX])
{
	const char *slash = strrchr(path, '/');
	int len = slash != NULL ? (int)(slash - path) : 0;

	(void)snprintf(out, OBJECT_KEY_MAX, "%.*s", len, path);
	if (len == 0)
		(void)snprintf(out, OBJECT_KEY_MAX, ".");
}

static int open_beside(const struct dir *d, char path[static BESIDE_SIZE])
{
	uint64_t random;

	if (mkdirat(d->root, beside_dir, 0700) < 0 && errno != EEXIST)
		return -1;
	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		return -1;
	(void)snprintf(path, BESIDE_SIZE, "%s/%016llx", beside_dir, (unsigned long long)random);
	return openat(d->root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int copy_body(const struct dir *d, int fd, struct spill *body)
{
	uint64_t offset = 0;
	int64_t n;

	while ((n = spill_read(body, offset, d->part, COPY_LEN)) > 0) {
		if (file_write_all(fd, d->part, (size_t)n, offset) < 0)
			return -1;
		offset += (uint64_t)n;
	}
	return n < 0 ? -1 : fsync(fd);
}

static int make_folders(const struct dir *d, const char *key)
{
	char path[OBJECT_KEY_MAX];

	(void)snprintf(path, sizeof path, "%s", key);
	for (char *slash = path; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (mkdirat(d->root, path, 0700) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return 0;
}

/*
 * Every folder from the key up to the root, also those that were there: another
 * process may have made them and not have come to sync them.
 */
static int sync_folders(const struct dir *d, const char *key)
{
	char path[OBJECT_KEY_MAX];

	(void)snprintf(path, sizeof path, "%s", key);
	do {
		char below[OBJECT_KEY_MAX];

		memcpy(below, path, sizeof below);
		parent_of(below, path);
		int fd = openat(d->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return -1;
		int failure = fsync(fd);
		close(fd);
		if (failure < 0)
			return -1;
	} while (strcmp(path, ".") != 0);
	return 0;
}

/*
 * An object that is found in place is made to stay as well: its writer may have
 * died before it could, and the caller may now build on it.
 */
static struct outcome publish(const struct dir *d, const struct object_request *r,
			      const char *beside)
{
	bool taken = false;
	int failure;

	if (make_folders(d, r->key) < 0)
		return failed("mkdir", r->key, OBJECT_TRY_LATER);
	if (r->verb == OBJECT_PROBE_PUT)
		failure = renameat(d->root, beside, d->root, r->key);
	else
		failure = linkat(d->root, beside, d->root, r->key, 0);
	if (failure < 0 && errno == EEXIST)
		taken = true;
	else if (failure < 0)
		return failed("link", r->key, OBJECT_TRY_LATER);
	if (sync_folders(d, r->key) < 0)
		return not_synced(r->key);
	return taken ? (struct outcome){ OBJECT_TAKEN, ERROR_NONE } : success;
}

static struct outcome create(const struct dir *d, const struct object_request *r)
{
	struct outcome o;
	char beside[BESIDE_SIZE];
	int fd = open_beside(d, beside);

	if (fd < 0)
		return failed("open", r->key, OBJECT_TRY_LATER);
	int failure = copy_body(d, fd, r->body);
	if (close(fd) < 0 || failure < 0)
		o = failed("write", r->key, OBJECT_TRY_LATER);
	else
		o = publish(d, r, beside);
	if (unlinkat(d->root, beside, 0) < 0 && errno != ENOENT)
		log_warn("dir.leftover", "file=%s error=\"%s\"", beside, strerror(errno));
	return o;
}

static struct outcome copy_answer(const struct dir *d, int fd, const struct object_request *r,
				  uint64_t len)
{
	for (uint64_t offset = 0; offset < len;) {
		size_t want = len - offset < COPY_LEN ? (size_t)(len - offset) : COPY_LEN;
		ssize_t n = pread(fd, d->part, want, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed("read", r->key, OBJECT_UNKNOWN);
		if (n == 0)
			return (struct outcome){ OBJECT_UNKNOWN, ERROR_BROKEN };
		if (spill_add(r->answer, d->part, (size_t)n) < 0)
			return (struct outcome){ OBJECT_UNKNOWN, ERROR_DISK };
		offset += (uint64_t)n;
	}
	return success;
}

static struct outcome get(const struct dir *d, const struct object_request *r)
{
	struct outcome o;
	struct stat st;
	int fd = openat(d->root, r->key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return absent(d, r->key, OBJECT_ABSENT);
	if (fd < 0)
		return failed("open", r->key, OBJECT_UNKNOWN);
	if (fstat(fd, &st) < 0)
		o = failed("stat", r->key, OBJECT_UNKNOWN);
	else if (!S_ISREG(st.st_mode))
		o = absent(d, r->key, OBJECT_ABSENT);
	else if (r->range_len > 0 && r->range_len < (uint64_t)st.st_size)
		o = copy_answer(d, fd, r, r->range_len);
	else
		o = copy_answer(d, fd, r, (uint64_t)st.st_size);
	close(fd);
	return o;
}

static struct outcome remove_object(const struct dir *d, const struct object_request *r)
{
	if (unlinkat(d->root, r->key, 0) < 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR)
			return absent(d, r->key, OBJECT_OK);
		return failed("unlink", r->key, OBJECT_TRY_LATER);
	}
	if (sync_folders(d, r->key) < 0)
		return not_synced(r->key);
	return success;
}

static int add_entry(struct object_request *r, const char *key, const struct stat *st)
{
	struct object_entry *e = object_listing_add(&r->listing);

	if (e == NULL) {
		errno = EOVERFLOW;
		return -1;
	}
	(void)snprintf(e->key, sizeof e->key, "%s", key);
	if (!r->folders) {
		e->size = (uint64_t)st->st_size;
		e->modified_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
	}
	return 0;
}

/*
 * An object joins the listing, a folder those that are still to be read, unless
 * folders are what is listed.  What is neither, or has gone again, is passed over.
 */
static int take_name(const struct dir *d, const char *folder, const char *name,
		     struct object_request *r, struct buf *folders)
{
	char key[OBJECT_KEY_MAX];
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (folder[0] == '\0' && strcmp(name, beside_dir) == 0)
		return 0;
	int len = snprintf(key, sizeof key, "%s%s", folder, name);
	if (strncmp(key, r->key, strlen(r->key)) != 0)
		return 0;
	if (len >= (int)sizeof key - 1) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (fstatat(d->root, key, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1;
	if (S_ISDIR(st.st_mode)) {
		memcpy(key + len, "/", sizeof "/");
		if (r->folders)
			return add_entry(r, key, &st);
		buf_add(folders, key, (size_t)len + sizeof "/");
	}
	return S_ISREG(st.st_mode) && !r->folders ? add_entry(r, key, &st) : 0;
}

static int read_folder(const struct dir *d, const char *folder, struct object_request *r,
		       struct buf *folders)
{
	const struct dirent *entry;
	int result = 0;
	int fd = openat(d->root, folder[0] != '\0' ? folder : ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
	DIR *stream = fdopendir(fd);
	if (stream == NULL) {
		close(fd);
		return -1;
	}
	while (result == 0 && (errno = 0, entry = readdir(stream)) != NULL)
		result = take_name(d, folder, entry->d_name, r, folders);
	if (errno != 0)
		result = -1;
	int reason = errno;
	closedir(stream);
	errno = reason;
	return result;
}

static int compare_entries(const void *a, const void *b)
{
	const struct object_entry *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static struct outcome list(const struct dir *d, struct object_request *r)
{
	struct buf folders = BUF_INIT; /* strings: those read, then those to be read */
	struct outcome o = success;
	char folder[OBJECT_KEY_MAX];
	const char *slash = strrchr(r->key, '/');

	(void)snprintf(folder, sizeof folder, "%.*s", slash != NULL ? (int)(slash + 1 - r->key) : 0,
		       r->key);
	buf_add(&folders, folder, strlen(folder) + 1);
	for (size_t at = 0; at < folders.len; at += strlen(folder) + 1) {
		/* A copy, since `folders` may move while it grows. */
		(void)snprintf(folder, sizeof folder, "%s", folders.data + at);
		if (read_folder(d, folder, r, &folders) < 0) {
			o = failed("list", r->key, OBJECT_UNKNOWN);
			break;
		}
	}
	buf_release(&folders);
	if (o.result != OBJECT_OK) {
		object_listing_release(&r->listing);
		return o;
	}
	if (r->listing.count == 0)
		return absent(d, r->key, OBJECT_ABSENT);
	qsort(r->listing.entries, r->listing.count, sizeof *r->listing.entries, compare_entries);
	return o;
}

static struct outcome perform(const struct dir *d, struct object_request *r)
{
	size_t len = strlen(beside_dir);

	if (!object_key_is_sound(r) || (strncmp(r->key, beside_dir, len) == 0 &&
					(r->key[len] == '/' || r->key[len] == '\0'))) {
		log_error("dir.bad_key", "verb=%s", object_verb_name[r->verb]);
		return (struct outcome){ OBJECT_REFUSED, ERROR_CONFIG };
	}
	switch (r->verb) {
	case OBJECT_CREATE:
	case OBJECT_PROBE_PUT:
		return create(d, r);
	case OBJECT_GET:
		return get(d, r);
	case OBJECT_LIST:
		return list(d, r);
	case OBJECT_DELETE:
		return remove_object(d, r);
	}
	return (struct outcome){ OBJECT_REFUSED, ERROR_CONFIG };
}

static void dir_start(struct store *s, struct object_request *r)
{
	struct dir *d = (struct dir *)s;
	struct job *job = alloc_zeroed(1, sizeof *job);

	job->r = r;
	*d->end = job;
	d->end = &job->next;
	r->transfer = job;
}

static void wait_for_wake(const struct dir *d, int64_t wait_ms)
{
	struct pollfd wake = { .fd = d->wake, .events = POLLIN };
	uint64_t count;

	if (poll(&wake, 1, wait_ms < INT_MAX ? (int)wait_ms : INT_MAX) > 0 &&
	    read(d->wake, &count, sizeof count) < 0)
		log_error("dir.failed", "call=read error=\"%s\"", strerror(errno));
}

/* What done() starts waits for the next run. */
static void dir_run(struct store *s, int64_t wait_ms)
{
	struct dir *d = (struct dir *)s;

	if (d->first == NULL)
		wait_for_wake(d, wait_ms);
	struct job *batch = d->first;
	d->first = NULL;
	d->end = &d->first;
	while (batch != NULL) {
		struct object_request *r = batch->r;
		struct job *next = batch->next;

		free(batch);
		batch = next;
		if (r != NULL)
			store_finish(r, perform(d, r));
	}
}

/* Its job stays in line, with nothing to do. */
static void dir_drop(struct store *s, struct object_request *r)
{
	struct job *job = r->transfer;

	(void)s;
	job->r = NULL;
	r->transfer = NULL;
}

static void dir_wake(struct store *s)
{
	const struct dir *d = (const struct dir *)s;
	uint64_t one = 1;

	if (write(d->wake, &one, sizeof one) < 0 && errno != EAGAIN)
		log_error("dir.failed", "call=wake error=\"%s\"", strerror(errno));
}

static void dir_free(struct store *s)
{
	struct dir *d = (struct dir *)s;

	while (d->first != NULL) {
		struct job *job = d->first;

		d->first = job->next;
		if (job->r != NULL)
			job->r->transfer = NULL;
		free(job);
	}
	if (d->root >= 0)
		close(d->root);
	if (d->wake >= 0)
		close(d->wake);
	free(d->part);
	free(d);
}

/* Only what no living writer can still be at. */
static void remove_leftovers(const struct dir *d)
{
	const struct dirent *entry;
	time_t before = time(NULL) - LEFTOVER_S;
	int fd = openat(d->root, beside_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;

	if (stream == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(stream)) != NULL) {
		struct stat st;

		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode) && st.st_mtime < before &&
		    unlinkat(fd, entry->d_name, 0) == 0)
			log_info("dir.leftover_removed", "file=%s", entry->d_name);
	}
	closedir(stream);
}

static const struct store_methods dir_methods = {
	.free = dir_free,
	.start = dir_start,
	.drop = dir_drop,
	.run = dir_run,
	.wake = dir_wake,
};

struct store *dir_new(const char *path, char *why, size_t why_size)
{
	struct dir *d = alloc_zeroed(1, sizeof *d);

	d->base.methods = &dir_methods;
	d->end = &d->first;
	d->part = alloc_zeroed(1, COPY_LEN);
	d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->root < 0 && errno == ENOENT && file_make_dirs(path, 0700) == 0 &&
	    file_sync_parent(path) == 0)
		d->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->wake < 0 || d->root < 0 || faccessat(d->root, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		(void)snprintf(why, why_size, "the folder '%s' cannot be used as a store: %s", path,
			       strerror(errno));
		dir_free(&d->base);
		return NULL;
	}
	remove_leftovers(d);
	return &d->base;
}
