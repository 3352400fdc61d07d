#include "config.h"

#include "variable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { ALL = CONFIG_STORE | CONFIG_AUTH, VARIABLES_MAX = 16 };

/* What a start needs, and `more` beside it; a later setting of a name takes the place of one here. */
static int read_with(const char *const more[], unsigned needs, struct config *c, struct buf *said)
{
	static const char *const base[] = { "HOLDFAST_STORE=file:/srv/store",
					    "HOLDFAST_JWT_KEY_FILE=/etc/key", "PATH=/bin" };
	char *environment[VARIABLES_MAX] = { NULL };
	size_t n = 0;

	for (size_t i = 0; more[i] != NULL; i++)
		environment[n++] = strdup(more[i]);
	for (size_t i = 0; i < sizeof base / sizeof base[0]; i++) {
		size_t name_len = strcspn(base[i], "=") + 1;
		bool replaced = false;
		for (size_t k = 0; more[k] != NULL; k++)
			replaced = replaced || strncmp(more[k], base[i], name_len) == 0;
		if (!replaced)
			environment[n++] = strdup(base[i]);
	}
	buf_clear(said);
	buf_add_text(said, "");
	int result = config_read(environment, needs, c, said);
	for (size_t i = 0; i < n; i++)
		free(environment[i]);
	return result;
}

static void standards_are_the_documented_ones(void **state)
{
	const char *const none[] = { NULL };
	struct buf said = BUF_INIT;
	struct config c;

	(void)state;
	assert_int_equal(read_with(none, ALL, &c, &said), 0);
	assert_string_equal(said.data, "");
	assert_string_equal(c.pool.socket, "/run/holdfast/app.%d.sock");
	assert_string_equal(c.pool.table, "/run/holdfast/table");
	assert_int_equal(c.pool.nsockets, 2);
	assert_true(c.pool.workers >= 4);
	assert_int_equal(c.pool.max_active_users, 65536);
	assert_int_equal(c.pool.shutdown_ms, 20000);
	assert_string_equal(c.server.data, "/var/lib/holdfast");
	assert_int_equal(c.server.auth, AUTH_JWT);
	assert_string_equal(c.jwt_key_files, "/etc/key");
	assert_null(c.server.jwt.audience);
	assert_null(c.server.jwt.issuer);
	assert_int_equal(c.server.jwt.leeway_s, 30);
	assert_int_equal(c.server.limits.max_db_bytes, 1 << 30);
	assert_int_equal(c.server.limits.max_result_bytes, 16 << 20);
	assert_int_equal(c.server.limits.statement_ms, 5000);
	assert_int_equal(c.server.limits.lock_wait_ms, 5000);
	assert_int_equal(c.server.max_body_bytes, 4 << 20);
	assert_int_equal(c.server.max_file_bytes, 256 << 20);
	assert_int_equal(c.server.limits.max_sql_bytes, 4 << 20);
	assert_int_equal(c.server.retry_wait_ms, 200);
	assert_string_equal(c.sync.data, "/var/lib/holdfast");
	assert_string_equal(c.sync.store.url, "file:/srv/store");
	assert_string_equal(c.sync.store.region, "auto");
	assert_string_equal(c.sync.store.spill_dir, "/var/lib/holdfast");
	assert_null(c.sync.store.access_key);
	assert_int_equal(c.sync.store.limits.connect_ms, 2000);
	assert_int_equal(c.sync.store.limits.silence_ms, 4000);
	assert_int_equal(c.sync.retry.min_ms, 1000);
	assert_int_equal(c.sync.retry.max_ms, 30000);
	assert_int_equal(c.log, LOG_LEVEL_INFO);
	config_release(&c);
	buf_release(&said);
}

struct bad {
	const char *set[5];
	const char *line;
};

static const struct bad bad[] = {
	{ { "HOLDFAST_TYPO=1" }, "'HOLDFAST_TYPO' is no variable of this program" },
	{ { "HOLDFAST_SOCKET_FILE=/x" }, "'HOLDFAST_SOCKET_FILE' is no variable of this program" },
	{ { "HOLDFAST_" }, "'HOLDFAST_' is no variable of this program" },
	{ { "HOLDFAST_WORKERS=" }, "HOLDFAST_WORKERS: is empty" },
	{ { "HOLDFAST_WORKERS=many" }, "HOLDFAST_WORKERS: 'many' is not a number, 1 to 128" },
	{ { "HOLDFAST_WORKERS=4K" }, "HOLDFAST_WORKERS: '4K' is not a number, 1 to 128" },
	{ { "HOLDFAST_WORKERS=+4" }, "HOLDFAST_WORKERS: '+4' is not a number, 1 to 128" },
	{ { "HOLDFAST_WORKERS= 4" }, "HOLDFAST_WORKERS: ' 4' is not a number, 1 to 128" },
	{ { "HOLDFAST_WORKERS=0" }, "HOLDFAST_WORKERS: '0' is out of range, 1 to 128" },
	{ { "HOLDFAST_WORKERS=129" }, "HOLDFAST_WORKERS: '129' is out of range, 1 to 128" },
	{ { "HOLDFAST_WORKERS=1\nx" }, "HOLDFAST_WORKERS: '1?x' is not a number, 1 to 128" },
	{ { "HOLDFAST_RETRY_WAIT_MS=-1" },
	  "HOLDFAST_RETRY_WAIT_MS: '-1' is not a number, 0 to 10000 ms" },
	{ { "HOLDFAST_RETRY_WAIT_MS=99999999999999999999" },
	  "HOLDFAST_RETRY_WAIT_MS: '99999999999999999999' is out of range, 0 to 10000 ms" },
	{ { "HOLDFAST_RETRY_WAIT_MS=200ms" },
	  "HOLDFAST_RETRY_WAIT_MS: '200ms' is not a number, 0 to 10000 ms" },
	{ { "HOLDFAST_MAX_BODY_BYTES=4MB" },
	  "HOLDFAST_MAX_BODY_BYTES: '4MB' is not a number, 1024 to 268435456 bytes" },
	{ { "HOLDFAST_MAX_BODY_BYTES=9223372036854775807G" },
	  "HOLDFAST_MAX_BODY_BYTES: '9223372036854775807G' is out of range, "
	  "1024 to 268435456 bytes" },
	{ { "HOLDFAST_AUTH=none" }, "HOLDFAST_AUTH: 'none' is none of jwt or remote_user" },
	{ { "HOLDFAST_ON_CONFLICT=x" },
	  "HOLDFAST_ON_CONFLICT: 'x' is none of hold, remote or local" },
	{ { "HOLDFAST_LOG=INFO" }, "HOLDFAST_LOG: 'INFO' is none of error, warn, info or debug" },
	{ { "HOLDFAST_DATA=data" }, "HOLDFAST_DATA: 'data' does not start with '/'" },
	{ { "HOLDFAST_JWT_KEY_FILE=/a:b" },
	  "HOLDFAST_JWT_KEY_FILE: '/a:b' has a file that does not start with '/'" },
	{ { "HOLDFAST_JWT_KEY_FILE=/a::/b" },
	  "HOLDFAST_JWT_KEY_FILE: '/a::/b' has a file that does not start with '/'" },
	{ { "HOLDFAST_JWT_KEY_FILE=/a:" },
	  "HOLDFAST_JWT_KEY_FILE: '/a:' has a file that does not start with '/'" },
	{ { "HOLDFAST_JWT_AUDIENCE=" }, "HOLDFAST_JWT_AUDIENCE: is empty" },
	{ { "HOLDFAST_JWT_LEEWAY_S=301" },
	  "HOLDFAST_JWT_LEEWAY_S: '301' is out of range, 0 to 300 s" },
	{ { "HOLDFAST_DATA=/a\tb" }, "HOLDFAST_DATA: '/a?b' has a control character" },
	{ { "HOLDFAST_SOCKET=/run/%s.sock" },
	  "HOLDFAST_SOCKET: '/run/%s.sock' may have %d once and no other '%'" },
	{ { "HOLDFAST_SOCKET=/run/%d/%d" },
	  "HOLDFAST_SOCKET: '/run/%d/%d' may have %d once and no other '%'" },
	{ { "HOLDFAST_SOCKET=/run/" },
	  "HOLDFAST_SOCKET: '/run/' is a directory, not a name in one" },
	{ { "HOLDFAST_SOCKET=/run/a-directory-with-a-name-that-goes-on-and-on-and-on/"
	    "another-directory-that-is-as-long-as-that-one/app.%d.sock" },
	  "HOLDFAST_SOCKET: '/run/a-directory-with-a-name-that-goes-on-and-on-and-on/another-...' "
	  "is too long for a socket" },
	{ { "HOLDFAST_WORKERS=2", "HOLDFAST_SOCKETS=3" },
	  "HOLDFAST_SOCKETS: is more than HOLDFAST_WORKERS (3 and 2)" },
	{ { "HOLDFAST_RETRY_MIN_MS=500", "HOLDFAST_RETRY_MAX_MS=400" },
	  "HOLDFAST_RETRY_MIN_MS: is more than HOLDFAST_RETRY_MAX_MS (500 and 400)" },
	{ { "HOLDFAST_STREAM_IDLE_MS=70000" },
	  "HOLDFAST_STREAM_IDLE_MS: is more than HOLDFAST_STREAM_MAX_MS (70000 and 60000)" },
	{ { "HOLDFAST_STORE=http://x/" },
	  "HOLDFAST_STORE: 'http://x/' is neither s3://bucket/prefix nor file:/path" },
	{ { "HOLDFAST_STORE=file:relative" },
	  "HOLDFAST_STORE: 'file:relative' is neither s3://bucket/prefix nor file:/path" },
	{ { "HOLDFAST_STORE=s3://b/p" }, "HOLDFAST_S3_ENDPOINT: is required for an s3 store" },
	{ { "HOLDFAST_STORE=s3://b/p", "HOLDFAST_S3_ENDPOINT=https://x" },
	  "AWS_ACCESS_KEY_ID: is required for an s3 store (or the same with _FILE)" },
	{ { "HOLDFAST_STORE=s3://b/p", "HOLDFAST_S3_ENDPOINT=https://x", "AWS_ACCESS_KEY_ID=a" },
	  "AWS_SECRET_ACCESS_KEY: is required for an s3 store (or the same with _FILE)" },
	{ { "HOLDFAST_STORE=s3://b/p", "HOLDFAST_S3_ENDPOINT=https://x", "AWS_ACCESS_KEY_ID=a",
	    "AWS_ACCESS_KEY_ID_FILE=/a" },
	  "AWS_ACCESS_KEY_ID: is set, and so is the same with _FILE" },
	{ { "HOLDFAST_STORE=s3://b/p", "HOLDFAST_S3_ENDPOINT=https://x", "AWS_ACCESS_KEY_ID=a",
	    "AWS_SECRET_ACCESS_KEY_FILE=/nonexistent/file" },
	  "AWS_SECRET_ACCESS_KEY_FILE: '/nonexistent/file' No such file or directory" },
	{ { "HOLDFAST_STORE=s3://b/p", "HOLDFAST_S3_ENDPOINT=https://x", "AWS_ACCESS_KEY_ID=a",
	    "AWS_SECRET_ACCESS_KEY=geh\neim" },
	  "AWS_SECRET_ACCESS_KEY: has a control character" },
};

static void what_is_wrong_is_said_in_one_line_that_names_it(void **state)
{
	struct buf said = BUF_INIT;
	struct config c;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct buf want = BUF_INIT;
		buf_addf(&want, "%s\n", bad[i].line);
		if (read_with(bad[i].set, ALL, &c, &said) == 0)
			fail_msg("accepted %s", bad[i].set[0]);
		assert_string_equal(said.data, want.data);
		buf_release(&want);
	}
	buf_release(&said);
}

static void required_variables_depend_on_what_is_needed(void **state)
{
	static const struct {
		unsigned needs;
		const char *set;
		const char *line;
	} cases[] = {
		{ CONFIG_STORE, NULL,
		  "HOLDFAST_STORE: is required: s3://bucket/prefix or file:/path\n" },
		{ CONFIG_AUTH, NULL,
		  "HOLDFAST_JWT_KEY_FILE: is required with HOLDFAST_AUTH=jwt\n" },
		{ CONFIG_KEY, NULL, "HOLDFAST_JWT_KEY_FILE: is required\n" },
		{ CONFIG_AUTH, "HOLDFAST_AUTH=remote_user", NULL },
		{ CONFIG_STORE, "HOLDFAST_STORE=file:/x", NULL },
		{ CONFIG_KEY, "HOLDFAST_JWT_KEY_FILE=/x", NULL },
		{ CONFIG_KEY, "HOLDFAST_JWT_KEY_FILE=/x:/y/z:/", NULL },
		{ 0, NULL, NULL },
		{ 0, "HOLDFAST_STORE=s3://b", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf said = BUF_INIT;
		struct config c;
		char *set = cases[i].set != NULL ? strdup(cases[i].set) : NULL;
		char *environment[] = { set, NULL };
		int result = config_read(environment, cases[i].needs, &c, &said);
		if (cases[i].line != NULL) {
			assert_int_equal(result, -1);
			assert_string_equal(said.data, cases[i].line);
		} else {
			assert_int_equal(result, 0);
			assert_int_equal(said.len, 0);
			config_release(&c);
		}
		buf_release(&said);
		free(set);
	}
}

static void bytes_may_have_a_unit(void **state)
{
	static const struct {
		const char *set;
		int64_t bytes;
	} cases[] = {
		{ "HOLDFAST_MAX_BODY_BYTES=2000", 2000 },
		{ "HOLDFAST_MAX_BODY_BYTES=2K", 2048 },
		{ "HOLDFAST_MAX_BODY_BYTES=2KiB", 2048 },
		{ "HOLDFAST_MAX_BODY_BYTES=3M", 3 << 20 },
		{ "HOLDFAST_MAX_BODY_BYTES=256MiB", 256 << 20 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *const set[] = { cases[i].set, NULL };
		struct buf said = BUF_INIT;
		struct config c;
		assert_int_equal(read_with(set, ALL, &c, &said), 0);
		assert_int_equal(c.server.max_body_bytes, cases[i].bytes);
		config_release(&c);
		buf_release(&said);
	}
}

static void sockets_are_one_without_a_place_for_their_number(void **state)
{
	const char *const set[] = { "HOLDFAST_SOCKET=/tmp/app.sock", "HOLDFAST_SOCKETS=2", NULL };
	struct buf said = BUF_INIT;
	struct config c;

	(void)state;
	assert_int_equal(read_with(set, ALL, &c, &said), 0);
	assert_int_equal(c.pool.nsockets, 1);
	assert_string_equal(c.pool.table, "/tmp/table");
	config_release(&c);
	buf_release(&said);
}

static void single_worker_has_a_single_socket(void **state)
{
	const char *const set[] = { "HOLDFAST_WORKERS=1", NULL };
	struct buf said = BUF_INIT;
	struct config c;

	(void)state;
	assert_int_equal(read_with(set, ALL, &c, &said), 0);
	assert_int_equal(c.pool.nsockets, 1);
	config_release(&c);
	buf_release(&said);
}

static void uploads_are_shared_among_the_workers(void **state)
{
	static const struct {
		const char *set[3];
		int each;
	} cases[] = {
		{ { "HOLDFAST_WORKERS=8", "HOLDFAST_MAX_UPLOADS=32" }, 4 },
		{ { "HOLDFAST_WORKERS=8", "HOLDFAST_MAX_UPLOADS=31" }, 3 },
		{ { "HOLDFAST_WORKERS=8", "HOLDFAST_MAX_UPLOADS=1" }, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf said = BUF_INIT;
		struct config c;
		assert_int_equal(read_with(cases[i].set, ALL, &c, &said), 0);
		assert_int_equal(c.sync.store.limits.max_transfers, cases[i].each);
		config_release(&c);
		buf_release(&said);
	}
}

static int read_with_secret_file(const char *content, size_t len, struct config *c,
				 struct buf *said)
{
	char path[] = "/tmp/config.XXXXXX", assignment[64];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, len), (ssize_t)len);
	close(fd);
	(void)snprintf(assignment, sizeof assignment, "AWS_SECRET_ACCESS_KEY_FILE=%s", path);
	const char *const set[] = { "HOLDFAST_STORE=s3://bucket/p", "AWS_ACCESS_KEY_ID=id",
				    "HOLDFAST_S3_ENDPOINT=https://x", assignment, NULL };
	int result = read_with(set, ALL, c, said);
	unlink(path);
	return result;
}

static void secret_is_read_from_its_file_without_the_final_newline(void **state)
{
	struct buf said = BUF_INIT;
	struct config c;

	(void)state;
	assert_int_equal(read_with_secret_file("secret\n", 7, &c, &said), 0);
	assert_string_equal(c.sync.store.access_key, "id");
	assert_string_equal(c.sync.store.secret_key, "secret");
	assert_string_equal(c.sync.store.endpoint, "https://x");
	config_release(&c);
	assert_null(c.sync.store.secret_key);
	buf_release(&said);
}

static void secret_that_is_wrong_is_never_shown(void **state)
{
	static char too_long[5000];
	static const struct {
		const char *content;
		size_t len;
	} cases[] = { { "geheim\nmehr\n", 12 },
		      { "geheim\0mehr", 11 },
		      { "", 0 },
		      { "\n", 1 },
		      { too_long, sizeof too_long } };

	(void)state;
	memset(too_long, 'g', sizeof too_long);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf said = BUF_INIT;
		struct config c;
		int result = read_with_secret_file(cases[i].content, cases[i].len, &c, &said);
		assert_int_equal(result, -1);
		assert_int_equal(strncmp(said.data, "AWS_SECRET_ACCESS_KEY", 21), 0);
		assert_null(strstr(said.data, "geheim"));
		assert_null(strstr(said.data, "ggg"));
		assert_ptr_equal(strchr(said.data, '\n'), said.data + said.len - 1);
		buf_release(&said);
	}
}

static void description_has_every_variable_of_the_defaults(void **state)
{
	static const char *const names[] = { "HOLDFAST_SOCKET\n", "HOLDFAST_STORE\n",
					     "AWS_SECRET_ACCESS_KEY\n", "HOLDFAST_LOG\n" };
	struct buf text = BUF_INIT;

	(void)state;
	variables_describe(&text);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_non_null(strstr(text.data, names[i]));
	assert_non_null(strstr(text.data, "default 4MiB; 1024 to 268435456 bytes"));
	assert_null(strstr(text.data, "(null)"));
	buf_release(&text);
}

static void hidden_secrets_are_gone_from_their_place_and_still_known(void **state)
{
	char region[] = "HOLDFAST_S3_REGION=auto", secret[] = "AWS_SECRET_ACCESS_KEY=geheim",
	     file[] = "AWS_ACCESS_KEY_ID_FILE=/key";
	char *environment[] = { region, secret, file, NULL };

	(void)state;
	variables_hide(environment);
	assert_string_equal(region, "HOLDFAST_S3_REGION=auto");
	assert_string_equal(file, "AWS_ACCESS_KEY_ID_FILE=/key");
	assert_string_equal(secret, "AWS_SECRET_ACCESS_KEY=");
	assert_string_equal(environment[1], "AWS_SECRET_ACCESS_KEY=geheim");
	assert_ptr_equal(environment[0], region);
	free(environment[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standards_are_the_documented_ones),
		cmocka_unit_test(what_is_wrong_is_said_in_one_line_that_names_it),
		cmocka_unit_test(required_variables_depend_on_what_is_needed),
		cmocka_unit_test(bytes_may_have_a_unit),
		cmocka_unit_test(sockets_are_one_without_a_place_for_their_number),
		cmocka_unit_test(single_worker_has_a_single_socket),
		cmocka_unit_test(uploads_are_shared_among_the_workers),
		cmocka_unit_test(secret_is_read_from_its_file_without_the_final_newline),
		cmocka_unit_test(secret_that_is_wrong_is_never_shown),
		cmocka_unit_test(description_has_every_variable_of_the_defaults),
		cmocka_unit_test(hidden_secrets_are_gone_from_their_place_and_still_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
