/*
 * Files with a name are opened by the standard VFS and are its own, so that
 * whoever asks SQLite for their methods gets the standard ones.  A temporary
 * file has no name; it is wrapped:
 *
 *	+------------------+ 0
 *	| struct temp_file |
 *	+------------------+ sizeof(struct temp_file)
 *	| the standard one |
 *	+------------------+
 */
#include "db/temp_space.h"

#include "base/alloc.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct temp_file {
	sqlite3_file file; /* SQLite aligns it to 8 bytes, no more */
	struct temp_space *space; /* NULL: nobody's */
	int64_t size;
};

static_assert(sizeof(struct temp_file) % 8 == 0, "what follows is aligned");

static _Thread_local struct temp_space *charged;
static _Thread_local struct temp_space *spaces;

struct temp_space *temp_space_open(const char *path)
{
	struct temp_space *t = spaces;

	while (t != NULL && strcmp(t->path, path) != 0)
		t = t->next;
	if (t == NULL) {
		t = alloc_zeroed(1, sizeof *t);
		t->path = alloc_string(path);
		t->next = spaces;
		spaces = t;
	}
	t->nconnections++;
	return t;
}

void temp_space_close(struct temp_space *t)
{
	struct temp_space **at = &spaces;

	if (t == NULL || --t->nconnections > 0)
		return;
	while (*at != NULL && *at != t)
		at = &(*at)->next;
	assert(*at == t);
	*at = t->next;
	free(t->path);
	free(t);
}

static struct temp_file *own(sqlite3_file *file)
{
	return (struct temp_file *)file;
}

static sqlite3_file *standard(sqlite3_file *file)
{
	return (sqlite3_file *)(own(file) + 1);
}

static void resize(struct temp_file *f, int64_t size)
{
	if (f->space != NULL)
		f->space->used += size - f->size;
	f->size = size;
}

static int close_file(sqlite3_file *file)
{
	resize(own(file), 0);
	return standard(file)->pMethods->xClose(standard(file));
}

static int read_file(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
	return standard(file)->pMethods->xRead(standard(file), to, len, at);
}

static int write_file(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
	struct temp_file *f = own(file);
	int64_t growth = at + len - f->size;

	if (f->space != NULL && growth > 0 && f->space->used + growth > f->space->most) {
		f->space->exceeded = true;
		return SQLITE_FULL;
	}
	if (growth > 0)
		resize(f, at + len);
	return standard(file)->pMethods->xWrite(standard(file), from, len, at);
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 size)
{
	if (size < own(file)->size)
		resize(own(file), size);
	return standard(file)->pMethods->xTruncate(standard(file), size);
}

static int sync_file(sqlite3_file *file, int flags)
{
	return standard(file)->pMethods->xSync(standard(file), flags);
}

static int size_of_file(sqlite3_file *file, sqlite3_int64 *out)
{
	return standard(file)->pMethods->xFileSize(standard(file), out);
}

static int lock_file(sqlite3_file *file, int level)
{
	return standard(file)->pMethods->xLock(standard(file), level);
}

static int unlock_file(sqlite3_file *file, int level)
{
	return standard(file)->pMethods->xUnlock(standard(file), level);
}

static int check_reserved(sqlite3_file *file, int *out)
{
	return standard(file)->pMethods->xCheckReservedLock(standard(file), out);
}

/* Hints like "it will be so large" would let a file grow uncounted. */
static int control_file(sqlite3_file *file, int op, void *arg)
{
	if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE)
		return SQLITE_NOTFOUND;
	return standard(file)->pMethods->xFileControl(standard(file), op, arg);
}

static int sector_size(sqlite3_file *file)
{
	return standard(file)->pMethods->xSectorSize(standard(file));
}

static int characteristics(sqlite3_file *file)
{
	return standard(file)->pMethods->xDeviceCharacteristics(standard(file));
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
		     int *out_flags)
{
	static const sqlite3_io_methods methods = {
		.iVersion = 1, /* neither shared memory nor mappings */
		.xClose = close_file,
		.xRead = read_file,
		.xWrite = write_file,
		.xTruncate = truncate_file,
		.xSync = sync_file,
		.xFileSize = size_of_file,
		.xLock = lock_file,
		.xUnlock = unlock_file,
		.xCheckReservedLock = check_reserved,
		.xFileControl = control_file,
		.xSectorSize = sector_size,
		.xDeviceCharacteristics = characteristics,
	};
	sqlite3_vfs *beneath = sqlite3_vfs_find(NULL);

	(void)vfs;
	if (name != NULL)
		return beneath->xOpen(beneath, name, file, flags, out_flags);
	*own(file) = (struct temp_file){ .space = charged };
	int rc = beneath->xOpen(beneath, name, standard(file), flags, out_flags);
	if (rc == SQLITE_OK)
		file->pMethods = &methods;
	return rc;
}

static sqlite3_vfs shim;

/* Everything but opening is the standard VFS's own, which does not ask whose name it is. */
static void register_shim(void)
{
	shim = *sqlite3_vfs_find(NULL);
	shim.pNext = NULL;
	shim.zName = "holdfast";
	shim.szOsFile += (int)sizeof(struct temp_file);
	shim.xOpen = open_file;
	int rc = sqlite3_vfs_register(&shim, 0);
	assert(rc == SQLITE_OK);
	(void)rc;
}

const char *temp_space_vfs(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_shim);
	return "holdfast";
}

void temp_space_charge(struct temp_space *t)
{
	charged = t;
}
