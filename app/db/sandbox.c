/*
 * The authorizer says what may be prepared, sqlite3_limit() how large it may
 * be, the progress handler how long it may run, a share of the heap and of the
 * temporary files what it may take, and defensive mode keeps the database's own
 * bookkeeping out of reach.
 *
 * The authorizer also learns what a statement is made of, which SQLite has no
 * question for.  It is called for SQL that SQLite runs by itself, too: VACUUM
 * attaches a nameless file while it is stepped (and this one ATTACH is
 * allowed), full-text tables prepare statements on their shadow tables.  What
 * is seen while stepping is therefore not the statement's.
 *
 * The schema stays trusted: who wrote it may call the same functions directly,
 * and untrusted, triggers could not keep a full-text index up to date.
 */
#include "db/sandbox.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/heap.h"
#include "db/rules.h"
#include "db/sql_function.h"
#include "db/temp_space.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
	PROGRESS_OPS = 25, /* a row or two: functions of long values take their time */
	TEMP_DATABASES = 2, /* a sort's files, or VACUUM's, are never larger */
	REQUEST_STATEMENTS = 4, /* a request may take as long as so many of the longest */
	LENGTH_MIN = 1 << 20, /* a text or blob may always have so many bytes */
	MEMORY_MIN = 64 << 20, /* what a statement may always take, */
	MEMORY_VALUES = 4, /* so many of the longest values beside it, */
	MEMORY_SQL = 32, /* and an INSERT of short rows, so many times its text */
	SCHEMA_MAX = 8 << 20, /* what a connection may hold between requests without a stream */
	DENIAL_MAX = 100,
};

struct sandbox {
	struct sqlite3 *db;
	struct temp_space *temp;
	struct userdb_limits limits;
	bool writes;
	bool tainted;
	bool trusted; /* SQL of our own is being prepared */
	bool setting;
	bool stepping;
	unsigned seen;
	int64_t statement_until; /* 0: not started yet */
	int64_t request_until; /* 0: outside of a request */
	struct heap_share heap; /* of one step */
	bool (*look)(void *owner);
	void *look_owner;
	int64_t looked_ms;
	bool gave_way;
	bool watched;
	timer_t watch; /* set while watched */
	char denial[DENIAL_MAX];
	char timeout[DENIAL_MAX];
	char overflow[DENIAL_MAX];
};

static int deny(struct sandbox *s, const char *prefix, const char *what)
{
	(void)snprintf(s->denial, sizeof s->denial, "not allowed here: %s%.60s", prefix, what);
	return SQLITE_DENY;
}

static int judge_pragma_of(struct sandbox *s, enum pragma_right right, const char *name,
			   const char *arg)
{
	switch (right) {
	case PRAGMA_DENIED:
		return deny(s, "PRAGMA ", name);
	case PRAGMA_ASK:
		return arg == NULL ? SQLITE_OK : deny(s, "setting PRAGMA ", name);
	case PRAGMA_ASK_ABOUT:
	case PRAGMA_STORED:
		return SQLITE_OK;
	case PRAGMA_WORK:
		s->seen |= SANDBOX_WRITE;
		return SQLITE_OK;
	case PRAGMA_SETTING:
	case PRAGMA_STORED_SETTING:
		break;
	}
	if (arg == NULL)
		return SQLITE_OK;
	s->seen |= SANDBOX_SETTING;
	if (right == PRAGMA_STORED_SETTING)
		s->seen |= SANDBOX_WRITE;
	return s->setting ? SQLITE_OK : SQLITE_IGNORE;
}

static bool is_temp(const char *database)
{
	return database != NULL && strcasecmp(database, "temp") == 0;
}

static int judge_pragma(struct sandbox *s, const char *name, const char *arg, const char *database)
{
	if (arg != NULL && is_temp(database))
		s->seen |= SANDBOX_TEMP;
	if (arg != NULL && s->limits.has_migrations && strcmp(name, "user_version") == 0)
		return deny(s, "setting PRAGMA ", name);
	return judge_pragma_of(s, rules_pragma(name), name, arg);
}

static int judge_function(struct sandbox *s, const char *name)
{
	switch (rules_function(name)) {
	case FUNCTION_ALLOWED:
		break;
	case FUNCTION_WRITES:
		s->seen |= SANDBOX_WRITE;
		break;
	case FUNCTION_DENIED:
		return deny(s, "", name);
	}
	return SQLITE_OK;
}

/*
 * A user's own ATTACH is met while it is prepared, so what comes while
 * stepping is VACUUM's: nameless, or a path in VACUUM INTO.
 */
static int judge_attach(struct sandbox *s, const char *file)
{
	if (!s->stepping)
		return deny(s, "", "ATTACH");
	if (file == NULL || *file != '\0')
		return deny(s, "", "VACUUM INTO");
	return SQLITE_OK;
}

static bool is_schema_table(const char *table)
{
	return strcmp(table, "sqlite_master") == 0 || strcmp(table, "sqlite_temp_master") == 0;
}

static void note_rows(struct sandbox *s, const char *table)
{
	if (!is_schema_table(table))
		s->seen |= SANDBOX_ROWS;
}

static void note_schema(struct sandbox *s, const char *database)
{
	s->seen |= SANDBOX_SCHEMA;
	if (is_temp(database))
		s->seen |= SANDBOX_TEMP;
}

static int judge(struct sandbox *s, int action, const char *a, const char *b, const char *database)
{
	switch (action) {
	case SQLITE_ATTACH:
		return judge_attach(s, a);
	case SQLITE_DETACH:
		return deny(s, "", "DETACH");
	case SQLITE_PRAGMA:
		return judge_pragma(s, a, b, database);
	case SQLITE_FUNCTION:
		return judge_function(s, b);
	case SQLITE_INSERT:
	case SQLITE_UPDATE:
	case SQLITE_DELETE:
		note_rows(s, a);
		return SQLITE_OK;
	case SQLITE_CREATE_TEMP_INDEX:
	case SQLITE_CREATE_TEMP_TABLE:
	case SQLITE_CREATE_TEMP_TRIGGER:
	case SQLITE_CREATE_TEMP_VIEW:
	case SQLITE_DROP_TEMP_INDEX:
	case SQLITE_DROP_TEMP_TABLE:
	case SQLITE_DROP_TEMP_TRIGGER:
	case SQLITE_DROP_TEMP_VIEW:
		note_schema(s, "temp");
		return SQLITE_OK;
	case SQLITE_CREATE_INDEX:
	case SQLITE_CREATE_TABLE:
	case SQLITE_CREATE_TRIGGER:
	case SQLITE_CREATE_VIEW:
	case SQLITE_CREATE_VTABLE:
	case SQLITE_DROP_INDEX:
	case SQLITE_DROP_TABLE:
	case SQLITE_DROP_TRIGGER:
	case SQLITE_DROP_VIEW:
	case SQLITE_DROP_VTABLE:
	case SQLITE_REINDEX:
	case SQLITE_ANALYZE:
		note_schema(s, database);
		return SQLITE_OK;
	case SQLITE_ALTER_TABLE:
		note_schema(s, a);
		return SQLITE_OK;
	case SQLITE_TRANSACTION:
		s->seen |= SANDBOX_TRANSACTION;
		return SQLITE_OK;
	case SQLITE_READ:
	case SQLITE_RECURSIVE:
	case SQLITE_SAVEPOINT:
	case SQLITE_SELECT:
		return SQLITE_OK;
	default:
		return deny(s, "", "an action unknown to the sandbox");
	}
}

static int authorize(void *owner, int action, const char *a, const char *b, const char *database,
		     const char *trigger)
{
	struct sandbox *s = owner;
	unsigned seen = s->seen;

	(void)trigger;
	if (s->trusted)
		return SQLITE_OK;
	int verdict = judge(s, action, a, b, database);
	if (s->stepping)
		s->seen = seen;
	return verdict;
}

/* What SQLite is in the middle of. */
struct running {
	bool any;
	bool writes;
};

static struct running find_running(const struct sandbox *s)
{
	struct running r = { false, false };

	for (struct sqlite3_stmt *st = sqlite3_next_stmt(s->db, NULL); st != NULL;
	     st = sqlite3_next_stmt(s->db, st)) {
		if (!sqlite3_stmt_busy(st))
			continue;
		r.any = true;
		r.writes = r.writes || !sqlite3_stmt_readonly(st);
	}
	return r;
}

/*
 * SQLite asks once more when a statement has ended, and would say that it was
 * interrupted, though what it has written is committed.
 */
static bool has_ended(const struct sandbox *s)
{
	return s->stepping && !find_running(s).any;
}

/* What only reads can be run again, whatever becomes of it now. */
static bool gives_way(struct sandbox *s, int64_t now_ms)
{
	if (s->look == NULL || now_ms == s->looked_ms)
		return false;
	s->looked_ms = now_ms;
	if (!s->look(s->look_owner) || !s->stepping)
		return false;
	struct running now = find_running(s);
	s->gave_way = now.any && !now.writes;
	return s->gave_way;
}

/* Of the statement, or of what is prepared now. */
static void start_clock(struct sandbox *s)
{
	s->statement_until = clock_mono_ms() + s->limits.statement_ms;
	s->heap.until_ms = s->statement_until;
}

static void note_timeout(struct sandbox *s)
{
	(void)snprintf(s->timeout, sizeof s->timeout, "statement took longer than %lld ms",
		       (long long)s->limits.statement_ms);
}

/*
 * The clock starts with the first call, not with the statement: waiting for
 * the write lock has a limit of its own and comes before.
 */
static int watch_time(void *owner)
{
	struct sandbox *s = owner;
	int64_t now = clock_mono_ms();

	if (gives_way(s, now))
		return 1;
	if (s->statement_until == 0)
		start_clock(s);
	if (now >= s->statement_until && !has_ended(s)) {
		note_timeout(s);
		return 1;
	}
	if (s->request_until != 0 && now >= s->request_until && !has_ended(s)) {
		(void)snprintf(s->timeout, sizeof s->timeout,
			       "the statements of one request took too long together");
		return 1;
	}
	return 0;
}

/*
 * On a thread of its own: the request's is inside of one of SQLite's functions,
 * or of a system call, and comes to no place where it could be interrupted.
 */
static void end_process(union sigval after)
{
	log_error("request.stuck", "after_ms=%d", after.sival_int);
	abort();
}

/* Not at all is better than no request: the limits above hold without it. */
static void watch(struct sandbox *s, int64_t ms)
{
	struct sigevent end = { .sigev_notify = SIGEV_THREAD, .sigev_value = { (int)ms } };
	struct itimerspec when = { .it_value = { ms / 1000, ms % 1000 * 1000000 } };

	end.sigev_notify_function = end_process;
	if (s->watched)
		return;
	if (timer_create(CLOCK_MONOTONIC, &end, &s->watch) < 0) {
		log_warn("request.unwatched", "error=\"%s\"", strerror(errno));
		return;
	}
	s->watched = true;
	timer_settime(s->watch, 0, &when, NULL);
}

static void unwatch(struct sandbox *s)
{
	if (s->watched)
		timer_delete(s->watch);
	s->watched = false;
}

/*
 * Once the frames of a commit are on disk it must not fail for want of memory:
 * it would be refused, and be there after a crash.
 */
static int begin_commit(void *owner)
{
	(void)owner;
	heap_charge(NULL);
	return 0;
}

static int clamp(int64_t value, int low, int high)
{
	if (value < low)
		return low;
	return value > high ? high : (int)value;
}

static void set_limits(struct sqlite3 *db, const struct userdb_limits *limits)
{
	static const struct {
		int what;
		int most;
	} fixed[] = {
		{ SQLITE_LIMIT_ATTACHED, 1 }, /* for VACUUM */
		{ SQLITE_LIMIT_COLUMN, 2000 },
		{ SQLITE_LIMIT_COMPOUND_SELECT, 500 },
		{ SQLITE_LIMIT_EXPR_DEPTH, 1000 },
		{ SQLITE_LIMIT_FUNCTION_ARG, 100 },
		{ SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100 },
		{ SQLITE_LIMIT_TRIGGER_DEPTH, 100 },
		{ SQLITE_LIMIT_VARIABLE_NUMBER, 32766 },
		{ SQLITE_LIMIT_VDBE_OP, 1000000 },
		{ SQLITE_LIMIT_WORKER_THREADS, 0 },
	};

	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		sqlite3_limit(db, fixed[i].what, fixed[i].most);
	sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, limits->max_sql_bytes);
	sqlite3_limit(db, SQLITE_LIMIT_LENGTH,
		      clamp(limits->max_result_bytes, LENGTH_MIN, INT_MAX));
}

static void configure(struct sqlite3 *db, int option, int value)
{
	int rc = sqlite3_db_config(db, option, value, NULL);

	assert(rc == SQLITE_OK);
	(void)rc;
}

static void drop_modules(struct sqlite3 *db)
{
	int rc = sqlite3_drop_modules(db, rules_modules);

	assert(rc == SQLITE_OK);
	(void)rc;
}

struct sandbox *sandbox_new(struct sqlite3 *db, const struct userdb_limits *limits,
			    struct temp_space *temp)
{
	struct sandbox *s = alloc_zeroed(1, sizeof *s);

	s->db = db;
	s->temp = temp;
	s->limits = *limits;
	s->writes = true;
	set_limits(db, limits);
	s->heap.most = MEMORY_MIN + MEMORY_SQL * (int64_t)limits->max_sql_bytes +
		       MEMORY_VALUES * (int64_t)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, -1);
	temp->most = TEMP_DATABASES * limits->max_db_bytes;
	sql_function_register(db, &s->heap.until_ms);
	drop_modules(db);
	configure(db, SQLITE_DBCONFIG_DEFENSIVE, 1);
	configure(db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0);
	configure(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0);
	configure(db, SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0);
	sqlite3_set_authorizer(db, authorize, s);
	sqlite3_progress_handler(db, PROGRESS_OPS, watch_time, s);
	sqlite3_commit_hook(db, begin_commit, NULL);
	return s;
}

void sandbox_free(struct sandbox *s)
{
	if (s == NULL)
		return;
	unwatch(s);
	sqlite3_progress_handler(s->db, 0, NULL, NULL);
	sqlite3_set_authorizer(s->db, NULL, NULL);
	free(s);
}

int sandbox_run_own(struct sandbox *s, const char *sql)
{
	s->trusted = true;
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
	s->trusted = false;
	return rc;
}

void sandbox_allow_writes(struct sandbox *s, bool writes)
{
	if (s->writes == writes)
		return;
	int rc = sandbox_run_own(s, writes ? "PRAGMA query_only=0" : "PRAGMA query_only=1");
	assert(rc == SQLITE_OK);
	(void)rc;
	s->writes = writes;
}

void sandbox_begin_request(struct sandbox *s, bool writes)
{
	int64_t statements_ms = REQUEST_STATEMENTS * s->limits.statement_ms;
	int64_t most_ms = s->limits.lock_wait_ms + statements_ms;

	sandbox_allow_writes(s, writes);
	s->request_until = clock_mono_ms() + most_ms;
	watch(s, most_ms + statements_ms);
}

void sandbox_leave_request(struct sandbox *s)
{
	unwatch(s);
	s->request_until = 0;
	s->statement_until = 0;
}

static int schema_bytes(const struct sandbox *s)
{
	int now = 0, most = 0;

	(void)sqlite3_db_status(s->db, SQLITE_DBSTATUS_SCHEMA_USED, &now, &most, 0);
	return now;
}

void sandbox_end_request(struct sandbox *s)
{
	s->request_until = 0;
	s->statement_until = 0;
	if (sandbox_in_transaction(s) && sandbox_run_own(s, "ROLLBACK") != SQLITE_OK) {
		log_error("db.rollback_failed", "code=%d", sqlite3_extended_errcode(s->db));
		s->tainted = true;
	}
	sqlite3_set_last_insert_rowid(s->db, 0);
	if (schema_bytes(s) > SCHEMA_MAX)
		s->tainted = true;
	unwatch(s);
}

bool sandbox_tainted(const struct sandbox *s)
{
	return s->tainted;
}

const struct userdb_limits *sandbox_limits(const struct sandbox *s)
{
	return &s->limits;
}

void sandbox_set_look(struct sandbox *s, bool (*look)(void *owner), void *owner)
{
	s->look = look;
	s->look_owner = owner;
}

bool sandbox_gave_way(const struct sandbox *s)
{
	return s->gave_way;
}

bool sandbox_in_transaction(const struct sandbox *s)
{
	return !sqlite3_get_autocommit(s->db);
}

enum sandbox_lock sandbox_lock(const struct sandbox *s)
{
	switch (sqlite3_txn_state(s->db, "main")) {
	case SQLITE_TXN_READ:
		return SANDBOX_READS;
	case SQLITE_TXN_WRITE:
		return SANDBOX_WRITES;
	default:
		return SANDBOX_UNLOCKED;
	}
}

struct sqlite3 *sandbox_sqlite(struct sandbox *s)
{
	return s->db;
}

bool sandbox_writes(const struct sandbox *s)
{
	return s->writes;
}

void sandbox_taint(struct sandbox *s)
{
	s->tainted = true;
}

static void forget_reasons(struct sandbox *s)
{
	s->denial[0] = '\0';
	s->timeout[0] = '\0';
	s->overflow[0] = '\0';
	s->temp->exceeded = false;
	s->gave_way = false;
}

static void begin_bounds(struct sandbox *s)
{
	forget_reasons(s);
	temp_space_charge(s->temp);
	s->heap.used = 0;
	s->heap.late = false;
	heap_charge(&s->heap);
}

static void end_bounds(void)
{
	heap_charge(NULL);
	temp_space_charge(NULL);
}

void sandbox_begin_prepare(struct sandbox *s)
{
	s->seen = 0;
	start_clock(s);
	begin_bounds(s);
}

void sandbox_end_prepare(struct sandbox *s)
{
	(void)s;
	end_bounds();
}

unsigned sandbox_seen(const struct sandbox *s)
{
	return s->seen;
}

void sandbox_begin_setting(struct sandbox *s)
{
	s->setting = true;
}

void sandbox_end_setting(struct sandbox *s)
{
	s->setting = false;
}

bool sandbox_begin_statement(struct sandbox *s)
{
	forget_reasons(s);
	start_clock(s);
	if (s->request_until == 0 || clock_mono_ms() < s->request_until)
		return true;
	(void)snprintf(s->timeout, sizeof s->timeout,
		       "the statements of one request took too long together");
	return false;
}

void sandbox_waited(struct sandbox *s)
{
	start_clock(s);
}

static bool keeps_snapshot(const struct sandbox *s)
{
	return !sandbox_in_transaction(s) && sqlite3_txn_state(s->db, NULL) != SQLITE_TXN_NONE;
}

/*
 * A write to a full-text table that fails can leave SQLite reading (3.40): the
 * next statement would not see what other connections have committed, or be
 * refused as behind them, and nothing could be checkpointed.
 */
void sandbox_end_statement(struct sandbox *s)
{
	if (!keeps_snapshot(s))
		return;
	if (sandbox_run_own(s, "BEGIN; ROLLBACK") != SQLITE_OK || keeps_snapshot(s))
		s->tainted = true;
}

void sandbox_begin_step(struct sandbox *s)
{
	begin_bounds(s);
	s->stepping = true;
}

void sandbox_end_step(struct sandbox *s)
{
	s->stepping = false;
	end_bounds();
}

static const char *text_or_null(const char *text)
{
	return *text != '\0' ? text : NULL;
}

const char *sandbox_denial(const struct sandbox *s)
{
	return text_or_null(s->denial);
}

const char *sandbox_timeout(struct sandbox *s, int rc)
{
	if (rc == SQLITE_NOMEM && s->heap.late)
		note_timeout(s);
	else if (rc != SQLITE_INTERRUPT)
		return NULL;
	else if (s->timeout[0] == '\0' && clock_mono_ms() >= s->statement_until)
		note_timeout(s);
	return text_or_null(s->timeout);
}

const char *sandbox_overflow(struct sandbox *s, int rc)
{
	if (rc == SQLITE_FULL && s->temp->exceeded)
		(void)snprintf(s->overflow, sizeof s->overflow,
			       "more than %lld bytes of temporary files", (long long)s->temp->most);
	else if (rc == SQLITE_NOMEM)
		(void)snprintf(s->overflow, sizeof s->overflow,
			       "the statement takes more than %lld bytes of memory",
			       (long long)s->heap.most);
	else
		return NULL;
	return s->overflow;
}
