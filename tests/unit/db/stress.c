/*
 * The replica follows while other processes write, and is compared with the
 * database whenever the writers are held back for a moment.
 *
 * The writers are this program again, started anew: a database handle does not
 * survive a fork.
 */
#include "db/checkpoint.h"
#include "db/replica.h"

#include "base/clock.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

extern char **environ;

static uint64_t seed;

/* xorshift64*: the same numbers from the same seed, everywhere. */
static uint32_t random_below(uint64_t *rng, uint32_t n)
{
	*rng ^= *rng >> 12;
	*rng ^= *rng << 25;
	*rng ^= *rng >> 27;
	return (uint32_t)((*rng * 0x2545f4914f6cdd1dULL) >> 33) % n;
}

/* %1$u is a random number below 100,000. */
static const char *const write_sql[] = {
	"INSERT INTO t(b) VALUES(randomblob(%1$u %% 9000))",
	"INSERT INTO t(b) VALUES(randomblob(%1$u %% 300)), (randomblob(500)), ('x')",
	"UPDATE t SET b = randomblob(%1$u %% 3000) WHERE id %% 50 = %1$u %% 50",
	"UPDATE t SET b = b || 'y' WHERE id = (SELECT max(id) FROM t)",
	"DELETE FROM t WHERE id %% 7 = %1$u %% 7",
	"BEGIN; INSERT INTO t(b) VALUES(randomblob(%1$u %% 90000)); ROLLBACK",
	"BEGIN IMMEDIATE; INSERT INTO t(b) VALUES(randomblob(%1$u %% 9000));"
	"DELETE FROM t WHERE id %% 11 = 3; COMMIT",
	"BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS x(a, b);"
	"INSERT INTO x SELECT id, b FROM t LIMIT 20; COMMIT",
	"DROP TABLE IF EXISTS x",
	"BEGIN; CREATE TABLE y(a); INSERT INTO y VALUES(zeroblob(%1$u %% 90000));"
	"DROP TABLE y; COMMIT",
	"DELETE FROM t WHERE id > 1 + (SELECT min(id) FROM t); PRAGMA incremental_vacuum",
	"PRAGMA incremental_vacuum(5)",
	"PRAGMA secure_delete=OFF; PRAGMA cache_size=5",
	"PRAGMA secure_delete=ON; PRAGMA cache_size=500",
	"VACUUM",
};

enum { WRITER_BROKEN = 3 };

/* Writes until it is killed; one byte on stdout says that it has begun. */
static int be_writer(const char *path, uint64_t rng)
{
	struct userdb *u = NULL;
	bool told = false;
	char sql[256];

	/* It does not outlive a test that failed. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		if (u == NULL && userdb_open(path, USERDB_INTERNAL, NULL, &u) == USERDB_FAILED)
			return WRITER_BROKEN;
		if (u == NULL)
			continue;
		uint32_t n = random_below(&rng, sizeof write_sql / sizeof *write_sql);
		uint32_t number = random_below(&rng, 100000);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(sql, sizeof sql, write_sql[n], number);
#pragma GCC diagnostic pop
		int rc = sqlite3_exec(userdb_sqlite(u), sql, NULL, NULL, NULL);
		if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY) {
			print_error("%s: %s\n", sql, sqlite3_errmsg(userdb_sqlite(u)));
			return WRITER_BROKEN;
		}
		if (!sqlite3_get_autocommit(userdb_sqlite(u)))
			sqlite3_exec(userdb_sqlite(u), "ROLLBACK", NULL, NULL, NULL);
		if (!told && write(STDOUT_FILENO, "w", 1) != 1)
			return 0;
		told = true;
		/* Room for the others, or nobody but this one gets the lock. */
		if (random_below(&rng, 2) == 0)
			usleep(random_below(&rng, 5000));
		if (random_below(&rng, 20) == 0) {
			userdb_close(u);
			u = NULL;
		}
	}
}

struct writer {
	pid_t pid;
	int begun;
};

static void start_writer(struct writer *w, const struct scratch *s, uint64_t *rng)
{
	char number[24];
	char *argv[] = { (char[]){ "stress" }, (char[]){ "writer" }, (char[96]){ 0 }, number,
			 NULL };
	posix_spawn_file_actions_t actions;
	int fds[2];

	memcpy(argv[2], s->db, sizeof s->db);
	(void)snprintf(number, sizeof number, "%u", random_below(rng, 1000000) + 1);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	assert_int_equal(posix_spawn(&w->pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	w->begun = fds[0];
}

static void wait_for_writer(const struct writer *w)
{
	char byte;

	assert_int_equal(read(w->begun, &byte, 1), 1);
}

static void kill_writer(struct writer *w)
{
	int status;

	assert_int_equal(kill(w->pid, SIGKILL), 0);
	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	close(w->begun);
	if (!WIFSIGNALED(status))
		fail_msg("a writer ended by itself with status %d", status);
}

struct pusher {
	const struct scratch *s;
	struct userdb *u;
	struct replica r;
	bool dies_once_armed;
	unsigned ncaptures, ncheckpoints;
};

static int arm_or_die(void *owner)
{
	struct pusher *p = owner;

	p->r.at.armed = true;
	return p->dies_once_armed ? -1 : 0;
}

/* Only the position and the remote copy outlive a pusher. */
static void restart_pusher(struct pusher *p)
{
	userdb_close(p->u);
	p->u = scratch_open(p->s);
}

/* Sometimes dies between the upload and the record of it.  False: nothing was new. */
static bool push(struct pusher *p, bool dies)
{
	struct capture *c = NULL;

	switch (capture_begin(p->u, &p->r.at, &c)) {
	case CAPTURE_PAGES:
		break;
	case CAPTURE_NOTHING:
	case CAPTURE_LATER:
		return false;
	case CAPTURE_FAILED:
		fail_msg("a capture failed");
	}
	assert_false(capture_gap(c));
	struct wal_position end = *capture_position(c);
	struct wal_position before = p->r.at;
	replica_apply(&p->r, c);
	p->ncaptures++;
	capture_end(c);
	if (dies) {
		/* The remote copy is ahead of the position, whose size stays. */
		p->r.bytes = realloc(p->r.bytes, (size_t)end.page_size * (end.npages > before.npages
										  ? end.npages
										  : before.npages));
		assert_non_null(p->r.bytes);
		restart_pusher(p);
		return true;
	}
	p->r.at = end;
	return true;
}

static void push_next_commit(struct pusher *p, bool dies)
{
	while (!push(p, dies))
		sched_yield();
}

static void checkpoint(struct pusher *p, bool dies)
{
	p->dies_once_armed = dies;
	switch (wal_checkpoint(p->u, p->s->db, &p->r.at, arm_or_die, p)) {
	case CHECKPOINT_DONE:
		p->r.at.file_ns = wal_file_ns(p->s->db);
		p->ncheckpoints++;
		break;
	case CHECKPOINT_LATER:
		break;
	case CHECKPOINT_FAILED:
		assert_true(dies);
		break;
	}
	if (dies)
		restart_pusher(p);
}

/* Nobody writes meanwhile, so the next capture is the last word. */
static void compare(struct pusher *p)
{
	struct userdb *holder = scratch_open(p->s);
	int rc;

	do
		rc = sqlite3_exec(userdb_sqlite(holder), "BEGIN IMMEDIATE", NULL, NULL, NULL);
	while ((rc & 0xff) == SQLITE_BUSY);
	assert_int_equal(rc, SQLITE_OK);
	push(p, false);
	expect_nothing_to_follow(&p->r, p->u);
	expect_equals(&p->r, holder);
	userdb_close(holder);
}

enum { NWRITERS = 2, STRESS_MS = 900 };

static void follow_writers(unsigned page_size, bool kill_them)
{
	struct writer writers[NWRITERS];
	uint64_t rng = seed + page_size;
	unsigned ncompared = 0, nkilled = 0;
	struct scratch s;
	struct pusher p = { .s = &s };

	print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
	scratch_init(&s);
	foreign_create(&s, page_size);
	p.u = scratch_open(&s);
	push_next_commit(&p, false);
	for (int i = 0; i < NWRITERS; i++)
		start_writer(&writers[i], &s, &rng);
	for (int i = 0; i < NWRITERS; i++)
		wait_for_writer(&writers[i]);

	int64_t until = clock_mono_ms() + STRESS_MS;
	while (clock_mono_ms() < until || p.ncheckpoints < 3 || ncompared < 3) {
		uint32_t dice = random_below(&rng, 100);
		push_next_commit(&p, dice < 7);
		if (dice < 30) {
			checkpoint(&p, dice >= 7 && dice < 10);
		} else if (dice < 40) {
			compare(&p);
			ncompared++;
		} else if (dice < 60 && kill_them) {
			struct writer *w = &writers[random_below(&rng, NWRITERS)];
			kill_writer(w);
			start_writer(w, &s, &rng);
			nkilled++;
		}
	}
	for (int i = 0; i < NWRITERS; i++)
		kill_writer(&writers[i]);
	compare(&p);
	print_message("page size %u: %u captures, %u checkpoints, %u comparisons, %u kills\n",
		      page_size, p.ncaptures, p.ncheckpoints, ncompared, nkilled);
	assert_true(p.ncaptures > 20);
	assert_int_equal(
		number_of(p.u, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
	userdb_close(p.u);
	replica_release(&p.r);
	scratch_release(&s);
}

static void replica_follows_writers_with_pages_of_512_bytes(void **state)
{
	(void)state;
	follow_writers(512, false);
}

static void replica_follows_writers_with_pages_of_4096_bytes(void **state)
{
	(void)state;
	follow_writers(4096, false);
}

static void replica_follows_writers_with_pages_of_65536_bytes(void **state)
{
	(void)state;
	follow_writers(65536, false);
}

static void replica_follows_writers_that_are_killed(void **state)
{
	(void)state;
	follow_writers(1024, true);
	follow_writers(4096, true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replica_follows_writers_with_pages_of_512_bytes),
		cmocka_unit_test(replica_follows_writers_with_pages_of_4096_bytes),
		cmocka_unit_test(replica_follows_writers_with_pages_of_65536_bytes),
		cmocka_unit_test(replica_follows_writers_that_are_killed),
	};

	if (argc == 4 && strcmp(argv[1], "writer") == 0)
		return be_writer(argv[2], strtoull(argv[3], NULL, 10));
	const char *given = getenv("TEST_SEED");
	seed = given ? strtoull(given, NULL, 10) : (uint64_t)clock_wall_ms();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
