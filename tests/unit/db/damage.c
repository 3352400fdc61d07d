/*
 * A database file with flipped bits, which a pull or a disk may bring: a user's
 * SQL on it gives errors, never the end of the process.
 */
#include "base/log.h"
#include "db/client.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { ROUNDS = 300, FLIPS_MAX = 200 };

static const struct userdb_limits limits = {
	.max_db_bytes = 8 << 20,
	.max_result_bytes = 1 << 20,
	.statement_ms = 50,
	.lock_wait_ms = 20,
	.max_sql_bytes = 100000,
};

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static uint8_t *read_all(const char *path, size_t *len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	uint8_t *bytes = malloc(*len);
	assert_int_equal(read(fd, bytes, *len), *len);
	close(fd);
	return bytes;
}

static void write_all(const struct scratch *s, const uint8_t *bytes, size_t len)
{
	char shm[128];
	int fd = open(s->db, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	(void)snprintf(shm, sizeof shm, "%s-shm", s->db);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
	(void)unlink(s->wal);
	(void)unlink(shm);
}

static void make_database(struct client *c)
{
	client_run(c, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB, c AS (length(a)),"
		      "CHECK (a <> 'x'))");
	client_run(c, "CREATE INDEX i ON t(lower(a))");
	client_run(c, "CREATE TABLE w(a, b, PRIMARY KEY (a, b)) WITHOUT ROWID");
	client_run(c, "CREATE VIEW v AS SELECT t.a, w.b FROM t JOIN w ON t.id = w.a");
	client_run(c, "CREATE VIRTUAL TABLE f USING fts5(a)");
	client_run(c, "CREATE VIRTUAL TABLE r USING rtree(id, x, y)");
	client_run(c, "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO f(a) VALUES (new.a);"
		      "INSERT INTO r VALUES (new.id, new.id, new.id + 1); END");
	client_run(c, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)"
		      "INSERT INTO t(a, b) SELECT 'text ' || i, zeroblob(i * 30) FROM n");
	client_run(c, "INSERT INTO w SELECT id, a FROM t");
	client_run(c, "DELETE FROM t WHERE id % 7 = 0");
}

/* How many of them failed. */
static int run_everything(struct userdb *u)
{
	static const char *const statements[] = {
		"SELECT * FROM sqlite_schema",
		"SELECT sum(length(b)), max(a) FROM t",
		"SELECT * FROM t WHERE lower(a) = 'text 99'",
		"SELECT count(*) FROM v",
		"SELECT * FROM f WHERE f MATCH 'text'",
		"SELECT * FROM r WHERE x > 3",
		"INSERT INTO t(a) VALUES ('new')",
		"UPDATE t SET b = zeroblob(5000) WHERE id % 2",
		"DELETE FROM w WHERE a > 20",
		"PRAGMA integrity_check",
		"INSERT INTO f(f) VALUES ('optimize')",
		"CREATE INDEX j ON t(b)",
		"ALTER TABLE t ADD COLUMN d",
		"DROP TABLE w",
		"VACUUM",
	};
	struct sandbox *sandbox = userdb_sandbox(u);
	int nfailed = 0;

	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
		struct stmt *st = NULL;
		struct sql_error e;
		enum stmt_stepped stepped = STMT_FAILED;
		if (stmt_prepare_one(sandbox, statements[i], strlen(statements[i]), &st, &e) == 0)
			do {
				struct stmt_value ignored;
				stepped = stmt_step(st, &e);
				for (int k = 0; stepped == STMT_ROW && k < stmt_column_count(st);
				     k++)
					stmt_column(st, k, &ignored);
			} while (stepped == STMT_ROW);
		stmt_free(st);
		nfailed += stepped == STMT_FAILED;
	}
	return nfailed;
}

static void flipped_bits_give_errors_only(void **state)
{
	struct client *c = *state;
	uint64_t seed = 88172645463325252U;
	size_t len;
	int nrefused = 0, nfailed = 0;

	make_database(c);
	userdb_close(c->db);
	c->db = NULL;
	assert_int_equal(userdb_fold_wal(c->scratch.db), USERDB_OK);
	uint8_t *good = read_all(c->scratch.db, &len), *bad = malloc(len);
	log_init((enum log_level) - 1, "test");
	for (int round = 0; round < ROUNDS; round++) {
		struct userdb *u = NULL;
		memcpy(bad, good, len);
		/* Every other time in the first page, which has the schema. */
		size_t within = round % 2 ? len : 4096;
		for (uint64_t n = 1 + next_random(&seed) % FLIPS_MAX; n > 0; n--) {
			uint64_t r = next_random(&seed);
			bad[(r >> 8) % within] ^= (uint8_t)(1U << (r & 7));
		}
		write_all(&c->scratch, bad, len);
		if (userdb_open(c->scratch.db, USERDB_CLIENT, &limits, &u) == USERDB_OK)
			nfailed += run_everything(u);
		else
			nrefused++;
		userdb_close(u);
	}
	free(good);
	free(bad);
	assert_in_range(nfailed, ROUNDS / 4, ROUNDS * 15);
	assert_in_range(nrefused, 1, ROUNDS);
}

static int set_up(void **state)
{
	struct userdb_limits patient = limits;

	/* The sound database takes as long as it takes. */
	patient.statement_ms = 10000;
	*state = client_new(&patient);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(flipped_bits_give_errors_only, set_up,
						client_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
