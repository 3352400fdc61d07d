/*
 * SQLite itself: what a statement gives without Holdfast around it.
 *
 * Shares nothing with the program but libsqlite3, so that a mistake in reading
 * or writing values is not made on both sides.  One command a line on stdin;
 * texts and blobs are hex, floats are the hex of their 64 bits:
 *
 *	open PATH		a new connection, as an app's first request finds it
 *	run SQL VALUE...	one statement
 *	sequence SQL		several, up to the first that fails
 *	describe SQL
 *
 * and to each, lines of which the last is `done` or `error`:
 *
 *	cols [NAME:DECLTYPE]...		DECLTYPE is - for an expression
 *	row VALUE...
 *	params [NAME]...		NAME is - for one without
 *	kind EXPLAIN READONLY
 *	done MOVED CHANGES ROWID AUTOCOMMIT
 *	error EXTENDED_CODE OFFSET AUTOCOMMIT MESSAGE
 *
 * A VALUE is n, i-12, f3ff0000000000000, t6869 or b00ff.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Holdfast's limits, where they show in results: substr() counts from the first one. */
enum { LENGTH_MAX = 16 << 20, PATTERN_MAX = 100 };

static sqlite3 *db;

static void die(const char *what)
{
	fprintf(stderr, "plain_sqlite: %s\n", what);
	exit(1);
}

static unsigned char *from_hex(const char *hex, size_t *len)
{
	*len = strlen(hex) / 2;
	unsigned char *bytes = malloc(*len + 1);

	if (bytes == NULL)
		die("no memory");
	for (size_t i = 0; i < *len; i++) {
		const char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };
		bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
	}
	bytes[*len] = '\0';
	return bytes;
}

static void put_hex(const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x", ((const unsigned char *)bytes)[i]);
}

static void bind(sqlite3_stmt *st, int param, const char *value)
{
	size_t len;
	unsigned char *bytes = from_hex(value + 1, &len);
	int rc = SQLITE_MISUSE;
	double real;

	switch (value[0]) {
	case 'n':
		rc = sqlite3_bind_null(st, param);
		break;
	case 'i':
		rc = sqlite3_bind_int64(st, param, strtoll(value + 1, NULL, 10));
		break;
	case 'f': {
		uint64_t bits = strtoull(value + 1, NULL, 16);
		memcpy(&real, &bits, sizeof real);
		rc = sqlite3_bind_double(st, param, real);
		break;
	}
	case 't':
		rc = sqlite3_bind_text64(st, param, (const char *)bytes, len, SQLITE_TRANSIENT,
					 SQLITE_UTF8);
		break;
	case 'b':
		rc = sqlite3_bind_blob64(st, param, bytes, len, SQLITE_TRANSIENT);
		break;
	}
	if (rc != SQLITE_OK)
		die("cannot bind");
	free(bytes);
}

static void put_value(sqlite3_stmt *st, int column)
{
	double real;
	uint64_t bits;

	switch (sqlite3_column_type(st, column)) {
	case SQLITE_INTEGER:
		printf(" i%lld", sqlite3_column_int64(st, column));
		break;
	case SQLITE_FLOAT:
		real = sqlite3_column_double(st, column);
		memcpy(&bits, &real, sizeof bits);
		printf(" f%016" PRIx64, bits);
		break;
	case SQLITE_TEXT: {
		const unsigned char *text = sqlite3_column_text(st, column);
		printf(" t");
		put_hex(text, (size_t)sqlite3_column_bytes(st, column));
		break;
	}
	case SQLITE_BLOB: {
		const void *blob = sqlite3_column_blob(st, column);
		printf(" b");
		put_hex(blob, (size_t)sqlite3_column_bytes(st, column));
		break;
	}
	default:
		printf(" n");
	}
}

static void put_columns(sqlite3_stmt *st)
{
	printf("cols");
	for (int i = 0; i < sqlite3_column_count(st); i++) {
		const char *name = sqlite3_column_name(st, i);
		const char *decltype = sqlite3_column_decltype(st, i);
		printf(" ");
		put_hex(name, strlen(name));
		printf(":");
		if (decltype != NULL)
			put_hex(decltype, strlen(decltype));
		else
			printf("-");
	}
	printf("\n");
}

static void put_error(void)
{
	const char *message = sqlite3_errmsg(db);

	printf("error %d %d %d ", sqlite3_extended_errcode(db), sqlite3_error_offset(db),
	       sqlite3_get_autocommit(db));
	put_hex(message, strlen(message));
	printf("\n");
}

static void put_done(int64_t changes_before)
{
	printf("done %lld %lld %lld %d\n", sqlite3_total_changes64(db) - changes_before,
	       sqlite3_changes64(db), sqlite3_last_insert_rowid(db), sqlite3_get_autocommit(db));
}

static void open_database(const char *path)
{
	static const char *const settings = "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON";

	sqlite3_close(db);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, settings, NULL, NULL, NULL) != SQLITE_OK)
		die("cannot open the database");
	sqlite3_extended_result_codes(db, 1);
	sqlite3_limit(db, SQLITE_LIMIT_LENGTH, LENGTH_MAX);
	sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN_MAX);
	put_done(0);
}

static void run(const char *sql, char *values)
{
	int64_t before = sqlite3_total_changes64(db);
	sqlite3_stmt *st = NULL;
	char *rest = NULL;
	int param = 0;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) {
		put_error();
		return;
	}
	for (char *v = strtok_r(values, " ", &rest); v != NULL; v = strtok_r(NULL, " ", &rest))
		bind(st, ++param, v);
	int rc = sqlite3_step(st);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		put_columns(st);
	for (; rc == SQLITE_ROW; rc = sqlite3_step(st)) {
		printf("row");
		for (int i = 0; i < sqlite3_column_count(st); i++)
			put_value(st, i);
		printf("\n");
	}
	if (rc == SQLITE_DONE)
		put_done(before);
	else
		put_error();
	sqlite3_finalize(st);
}

static void run_sequence(const char *sql)
{
	int64_t before = sqlite3_total_changes64(db);

	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		put_done(before);
	else
		put_error();
}

static void describe(const char *sql)
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) {
		put_error();
		return;
	}
	put_columns(st);
	printf("params");
	for (int i = 1; i <= sqlite3_bind_parameter_count(st); i++) {
		const char *name = sqlite3_bind_parameter_name(st, i);
		printf(" ");
		if (name != NULL)
			put_hex(name, strlen(name));
		else
			printf("-");
	}
	printf("\nkind %d %d\n", sqlite3_stmt_isexplain(st), sqlite3_stmt_readonly(st));
	sqlite3_finalize(st);
	put_done(sqlite3_total_changes64(db));
}

static void obey(char *line)
{
	char *rest = NULL;
	const char *command = strtok_r(line, " ", &rest);
	const char *word = strtok_r(NULL, " ", &rest);
	size_t len;

	if (command == NULL || word == NULL)
		die("what?");
	if (strcmp(command, "open") == 0) {
		open_database(word);
		return;
	}
	if (db == NULL)
		die("nothing is open");
	char *sql = (char *)from_hex(word, &len);
	if (strcmp(command, "run") == 0)
		run(sql, rest);
	else if (strcmp(command, "sequence") == 0)
		run_sequence(sql);
	else if (strcmp(command, "describe") == 0)
		describe(sql);
	else
		die("what?");
	free(sql);
}

int main(void)
{
	char *line = NULL;
	size_t cap = 0;

	while (getline(&line, &cap, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
		fflush(stdout);
	}
	free(line);
	sqlite3_close(db);
	return 0;
}
