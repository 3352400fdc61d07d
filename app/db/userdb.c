#include "db/userdb.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "db/heap.h"
#include "db/sandbox.h"
#include "db/temp_space.h"
#include "db/wal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INTERNAL_LOCK_WAIT_MS = 250 };

struct userdb {
	struct sqlite3 *db;
	struct sandbox *sandbox;
	uint64_t ncommits;
	int64_t wait_ms; /* for a lock */
	int64_t wait_until_ms;
	bool (*give_up)(void *owner);
	void *give_up_owner;
	int64_t page_size; /* USERDB_CLIENT */
	struct temp_space *temp; /* USERDB_CLIENT */
	int64_t wal_bytes;
};

static enum userdb_result file_failed(const char *call, const char *path)
{
	log_error("db.failed", "call=%s path=%s error=\"%s\"", call, path, strerror(errno));
	return USERDB_FAILED;
}

/* The one place that says what SQLite's codes mean to who opens a database. */
static enum userdb_result result_of(int rc, const char *call, const char *path)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
		return USERDB_OK;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return USERDB_BUSY;
	default:
		log_error("db.failed", "call=%s path=%s code=%d error=\"%s\"", call, path, rc,
			  sqlite3_errstr(rc));
		return USERDB_FAILED;
	}
}

/*
 * An empty database as SQLite would write it.  It is made in memory, so that
 * no SQLite has touched the file before it has its name, and there is no
 * -journal or -wal to leave behind.
 */
static unsigned char *empty_image(sqlite3_int64 *len)
{
	/* Any write makes page 1; this one leaves no trace in it. */
	static const char first_page[] = "PRAGMA page_size=4096; PRAGMA user_version=0";
	enum { WRITE_VERSION = 18, READ_VERSION = 19, VERSION_WAL = 2 };
	unsigned char *image = NULL;
	struct sqlite3 *memory = NULL;

	heap_init();
	if (sqlite3_open_v2(":memory:", &memory, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
	    sqlite3_exec(memory, first_page, NULL, NULL, NULL) == SQLITE_OK)
		image = sqlite3_serialize(memory, "main", len, 0);
	sqlite3_close(memory);
	if (image == NULL || *len < 512) {
		sqlite3_free(image);
		return NULL;
	}
	image[WRITE_VERSION] = VERSION_WAL;
	image[READ_VERSION] = VERSION_WAL;
	return image;
}

/* Creates a file with a name of its own beside `path`, mode 0600. */
static int write_beside(char *beside, const void *image, size_t len)
{
	int fd = mkostemp(beside, O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (file_write_all(fd, image, len, 0) < 0 || fsync(fd) < 0) {
		int error = errno;
		close(fd);
		unlink(beside);
		errno = error;
		return -1;
	}
	if (close(fd) < 0) {
		unlink(beside);
		return -1;
	}
	return 0;
}

enum userdb_result userdb_create(const char *path)
{
	enum userdb_result result = USERDB_FAILED;
	char beside[PATH_MAX];
	sqlite3_int64 len = 0;
	struct stat st;

	if (stat(path, &st) == 0)
		return USERDB_OK;
	if (snprintf(beside, sizeof beside, "%s.new.XXXXXX", path) >= (int)sizeof beside) {
		errno = ENAMETOOLONG;
		return file_failed("create", path);
	}
	unsigned char *image = empty_image(&len);
	if (image == NULL) {
		log_error("db.failed", "call=serialize path=%s", path);
		return USERDB_FAILED;
	}
	if (write_beside(beside, image, (size_t)len) < 0) {
		file_failed("create", beside);
		goto out;
	}
	if (renameat2(AT_FDCWD, beside, AT_FDCWD, path, RENAME_NOREPLACE) < 0) {
		int error = errno;
		unlink(beside);
		if (error != EEXIST) {
			errno = error;
			file_failed("rename", path);
			goto out;
		}
	}
	/* Also when another was faster: its name may not be on disk yet. */
	if (file_sync_parent(path) == 0)
		result = USERDB_OK;
out:
	sqlite3_free(image);
	return result;
}

static int count_commit(void *owner, struct sqlite3 *db, const char *name, int nframes)
{
	struct userdb *u = owner;

	(void)db;
	if (strcmp(name, "main") == 0) {
		u->ncommits++;
		u->wal_bytes = nframes * (u->page_size + WAL_FRAME_LEN);
	}
	return SQLITE_OK;
}

/* Runs a PRAGMA and keeps its answer, "" if it has none. */
static int ask(struct sqlite3 *db, const char *pragma, size_t size, char *out)
{
	struct sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, pragma, -1, &stmt, NULL);

	out[0] = '\0';
	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		const unsigned char *text = sqlite3_column_text(stmt, 0);
		(void)snprintf(out, size, "%s", text ? (const char *)text : "");
	}
	return sqlite3_finalize(stmt);
}

/* The question is also the first read: after it the WAL is open. */
static enum userdb_result ensure_wal_mode(struct sqlite3 *db, const char *path)
{
	char mode[16];
	int rc = ask(db, "PRAGMA journal_mode", sizeof mode, mode);

	if (rc != SQLITE_OK)
		return result_of(rc, "journal_mode", path);
	if (strcmp(mode, "wal") == 0)
		return USERDB_OK;
	log_warn("db.mode_restored", "path=%s mode=%s", path, mode);
	rc = ask(db, "PRAGMA journal_mode=WAL", sizeof mode, mode);
	if (rc == SQLITE_OK && strcmp(mode, "wal") != 0)
		rc = SQLITE_BUSY; /* SQLite answers with the old mode and no error */
	return result_of(rc, "journal_mode=WAL", path);
}

static int limit_size(struct userdb *u, int64_t max_db_bytes)
{
	static const int64_t most_pages = 0xfffffffe;
	char answer[24];
	char pragma[64];

	int rc = ask(u->db, "PRAGMA page_size", sizeof answer, answer);
	u->page_size = strtoll(answer, NULL, 10);
	if (rc != SQLITE_OK || u->page_size <= 0)
		return rc;
	int64_t npages = max_db_bytes / u->page_size;
	npages = npages < 1 ? 1 : npages > most_pages ? most_pages : npages;
	(void)snprintf(pragma, sizeof pragma, "PRAGMA max_page_count=%lld", (long long)npages);
	return ask(u->db, pragma, sizeof answer, answer);
}

/* Before anything is read: a connection that read and is closed checkpoints. */
static int forbid_checkpoints(struct userdb *u)
{
	int rc = sqlite3_db_config(u->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_wal_autocheckpoint(u->db, 0);
	/* The same hook would do automatic checkpoints; there is only one. */
	if (rc == SQLITE_OK)
		sqlite3_wal_hook(u->db, count_commit, u);
	return rc;
}

/* SQLite counts from 0 for every lock that it does not get. */
static int wait_for_lock(void *owner, int count)
{
	static const int steps_ms[] = { 1, 2, 3, 5, 8, 10 };
	static const int nsteps = sizeof steps_ms / sizeof *steps_ms;
	struct userdb *u = owner;
	int64_t now_ms = clock_mono_ms();

	if (count == 0)
		u->wait_until_ms = now_ms + u->wait_ms;
	if (now_ms >= u->wait_until_ms || (u->give_up != NULL && u->give_up(u->give_up_owner)))
		return 0;
	sqlite3_sleep(steps_ms[count < nsteps ? count : nsteps - 1]);
	if (u->sandbox != NULL)
		sandbox_waited(u->sandbox);
	return 1;
}

void userdb_set_patience(struct userdb *u, int64_t wait_ms, bool (*give_up)(void *owner),
			 void *owner)
{
	u->wait_ms = wait_ms;
	u->give_up = give_up;
	u->give_up_owner = owner;
}

int userdb_distrust(struct sqlite3 *db)
{
	static const struct {
		int option;
		int value;
	} settings[] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
		{ SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
		{ SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
	};
	int rc = SQLITE_OK;

	for (size_t i = 0; i < sizeof settings / sizeof *settings && rc == SQLITE_OK; i++)
		rc = sqlite3_db_config(db, settings[i].option, settings[i].value, NULL);
	return rc;
}

static enum userdb_result configure(struct userdb *u, const char *path, enum userdb_role role,
				    const struct userdb_limits *limits)
{
	static const char settings[] = "PRAGMA synchronous=FULL; PRAGMA cache_size=-1024;"
				       "PRAGMA cell_size_check=ON";

	u->wait_ms = role == USERDB_CLIENT ? limits->lock_wait_ms : INTERNAL_LOCK_WAIT_MS;
	sqlite3_busy_handler(u->db, wait_for_lock, u);
	int rc = forbid_checkpoints(u);
	if (rc == SQLITE_OK && role == USERDB_INTERNAL)
		rc = userdb_distrust(u->db);
	if (rc != SQLITE_OK)
		return result_of(rc, "config", path);

	enum userdb_result result = ensure_wal_mode(u->db, path);
	if (result != USERDB_OK)
		return result;

	rc = sqlite3_exec(u->db, settings, NULL, NULL, NULL);
	if (rc == SQLITE_OK && role == USERDB_CLIENT)
		rc = sqlite3_exec(u->db, "PRAGMA foreign_keys=ON", NULL, NULL, NULL);
	if (rc == SQLITE_OK && role == USERDB_CLIENT)
		rc = limit_size(u, limits->max_db_bytes);
	if (rc != SQLITE_OK)
		return result_of(rc, "pragma", path);
	if (role == USERDB_CLIENT) {
		u->temp = temp_space_open(path);
		u->sandbox = sandbox_new(u->db, limits, u->temp);
	}
	return USERDB_OK;
}

enum userdb_result userdb_open(const char *path, enum userdb_role role,
			       const struct userdb_limits *limits, struct userdb **out)
{
	static const int flags =
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	struct userdb *u = alloc_zeroed(1, sizeof *u);
	enum userdb_result result;
	struct stat st;

	*out = NULL;
	heap_init();
	int rc = sqlite3_open_v2(path, &u->db, flags, temp_space_vfs());
	if ((rc & 0xff) == SQLITE_CANTOPEN && stat(path, &st) < 0 && errno == ENOENT)
		result = USERDB_ABSENT;
	else
		result = result_of(rc, "open", path);
	if (result == USERDB_OK)
		result = configure(u, path, role, limits);
	if (result != USERDB_OK) {
		userdb_close(u);
		return result;
	}
	*out = u;
	return USERDB_OK;
}

void userdb_close(struct userdb *u)
{
	if (u == NULL)
		return;
	sandbox_free(u->sandbox);
	int rc = sqlite3_close(u->db);
	assert(rc == SQLITE_OK);
	(void)rc;
	temp_space_close(u->temp);
	free(u);
}

struct sqlite3 *userdb_sqlite(struct userdb *u)
{
	return u->db;
}

struct sandbox *userdb_sandbox(struct userdb *u)
{
	return u->sandbox;
}

uint64_t userdb_commits(const struct userdb *u)
{
	return u->ncommits;
}

int64_t userdb_wal_bytes(const struct userdb *u)
{
	return u->wal_bytes;
}

bool userdb_is_clean(const struct userdb *u)
{
	return u->sandbox == NULL || !sandbox_tainted(u->sandbox);
}

enum userdb_result userdb_fold_wal(const char *path)
{
	struct userdb *u = NULL;
	int nlog = -1, ncopied = -1;
	char beside[PATH_MAX];

	enum userdb_result result = userdb_open(path, USERDB_INTERNAL, NULL, &u);
	if (result != USERDB_OK)
		return result;
	int rc = sqlite3_wal_checkpoint_v2(u->db, "main", SQLITE_CHECKPOINT_TRUNCATE, &nlog,
					   &ncopied);
	userdb_close(u);
	if (rc != SQLITE_OK)
		return result_of(rc, "fold", path);
	/* The next file of this name must find neither. */
	for (int i = 0; i < 2; i++) {
		(void)snprintf(beside, sizeof beside, "%s%s", path, i == 0 ? "-wal" : "-shm");
		if (unlink(beside) < 0 && errno != ENOENT)
			return file_failed("unlink", beside);
	}
	return USERDB_OK;
}
