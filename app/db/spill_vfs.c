#include "db/spill_vfs.h"

#include "base/spill.h"
#include "db/heap.h"
#include "db/temp_space.h"

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes of the header, see fileformat2.html: 2 in both says that there may be a WAL. */
enum { WRITE_VERSION = 18, READ_VERSION = 19, VERSION_ALONE = 1, VERSION_WAL = 2 };

struct spill_file {
	sqlite3_file file;
	struct spill *spill;
};

static _Thread_local struct spill *opening;

static struct spill *spill_of(sqlite3_file *file)
{
	return ((struct spill_file *)file)->spill;
}

static int close_file(sqlite3_file *file)
{
	(void)file;
	return SQLITE_OK;
}

static void show_as_alone(unsigned char *bytes, int64_t len, int64_t at)
{
	for (int64_t i = WRITE_VERSION; i <= READ_VERSION; i++) {
		if (i >= at && i - at < len && bytes[i - at] == VERSION_WAL)
			bytes[i - at] = VERSION_ALONE;
	}
}

static int read_file(sqlite3_file *file, void *to, int len, sqlite3_int64 at)
{
	int64_t n = spill_read(spill_of(file), (uint64_t)at, to, (size_t)len);

	if (n < 0)
		return SQLITE_IOERR_READ;
	show_as_alone(to, n, at);
	memset((char *)to + n, 0, (size_t)(len - n));
	return n == len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

/* Why it fails is in the log; nearly always it is a disk that is full. */
static int write_file(sqlite3_file *file, const void *from, int len, sqlite3_int64 at)
{
	int rc = spill_write(spill_of(file), (uint64_t)at, from, (size_t)len);

	return rc == 0 ? SQLITE_OK : SQLITE_FULL;
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 size)
{
	int rc = spill_cut(spill_of(file), (uint64_t)size);

	return rc == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int sync_file(sqlite3_file *file, int flags)
{
	(void)file;
	(void)flags;
	return SQLITE_OK;
}

static int size_of_file(sqlite3_file *file, sqlite3_int64 *out)
{
	*out = (sqlite3_int64)spill_len(spill_of(file));
	return SQLITE_OK;
}

static int ignore_lock(sqlite3_file *file, int level)
{
	(void)file;
	(void)level;
	return SQLITE_OK;
}

static int check_reserved(sqlite3_file *file, int *out)
{
	(void)file;
	*out = 0;
	return SQLITE_OK;
}

static int control_file(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int sector_size(sqlite3_file *file)
{
	(void)file;
	return 0; /* SQLite's own */
}

static int characteristics(sqlite3_file *file)
{
	(void)file;
	return 0;
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
		.xLock = ignore_lock,
		.xUnlock = ignore_lock,
		.xCheckReservedLock = check_reserved,
		.xFileControl = control_file,
		.xSectorSize = sector_size,
		.xDeviceCharacteristics = characteristics,
	};
	sqlite3_vfs *beneath = sqlite3_vfs_find(temp_space_vfs());

	(void)vfs;
	if (name == NULL)
		return beneath->xOpen(beneath, name, file, flags, out_flags);
	if ((flags & SQLITE_OPEN_MAIN_DB) == 0 || opening == NULL)
		return SQLITE_CANTOPEN;
	((struct spill_file *)file)->spill = opening;
	file->pMethods = &methods;
	if (out_flags != NULL)
		*out_flags = flags;
	return SQLITE_OK;
}

/* Neither a journal nor a WAL lies beside it. */
static int find_none(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	(void)vfs;
	(void)name;
	(void)flags;
	*out = 0;
	return SQLITE_OK;
}

static int keep_name(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	sqlite3_snprintf(size, out, "%s", name);
	return SQLITE_OK;
}

static sqlite3_vfs shim;

static void register_shim(void)
{
	shim = *sqlite3_vfs_find(temp_space_vfs());
	shim.pNext = NULL;
	shim.zName = "holdfast-spill";
	if (shim.szOsFile < (int)sizeof(struct spill_file))
		shim.szOsFile = (int)sizeof(struct spill_file);
	shim.xOpen = open_file;
	shim.xAccess = find_none;
	shim.xFullPathname = keep_name;
	int rc = sqlite3_vfs_register(&shim, 0);
	assert(rc == SQLITE_OK);
	(void)rc;
}

int spill_vfs_open(struct spill *file, struct sqlite3 **out)
{
	static const int flags =
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	heap_init();
	pthread_once(&once, register_shim);
	opening = file;
	int rc = sqlite3_open_v2("spill", out, flags, shim.zName);
	opening = NULL;
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(*out, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL,
				  NULL, NULL);
	return rc;
}
