/*
 * Settings that are right one by one are compared with each other, and then
 * handed to the layers that they are for.
 */
#include "config.h"

#include "base/alloc.h"
#include "variable.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	/* About 110 kB and 4 descriptors each. */
	REQUEST_OPEN_MAX = 128,
	SYNC_OPEN_MAX = 64,
	PARKED_MAX = 256,
};

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static int check_secret(enum variable_id id, struct setting *set, struct buf *said)
{
	if (variable_read_secret(id, &set[id], said) < 0)
		return -1;
	if (set[id].text != NULL)
		return 0;
	return variable_wrong(said, id, NULL,
			      "is required for an s3 store (or the same with _FILE)");
}

static int check_store(unsigned needs, struct setting set[static VARIABLE_COUNT], struct buf *said)
{
	const char *url = set[VARIABLE_STORE].text;

	if (url == NULL && !(needs & CONFIG_STORE))
		return 0;
	if (url == NULL)
		return variable_wrong(said, VARIABLE_STORE, NULL,
				      "is required: s3://bucket/prefix or file:/path");
	if (starts_with(url, "file:/"))
		return 0;
	if (!starts_with(url, "s3://"))
		return variable_wrong(said, VARIABLE_STORE, url,
				      "is neither s3://bucket/prefix nor file:/path");
	if (!(needs & CONFIG_STORE))
		return 0;
	if (set[VARIABLE_S3_ENDPOINT].text == NULL)
		return variable_wrong(said, VARIABLE_S3_ENDPOINT, NULL,
				      "is required for an s3 store");
	if (check_secret(VARIABLE_S3_ACCESS_KEY, set, said) < 0)
		return -1;
	return check_secret(VARIABLE_S3_SECRET_KEY, set, said);
}

static int check_auth(unsigned needs, const struct setting set[static VARIABLE_COUNT],
		      struct buf *said)
{
	bool jwt = (needs & CONFIG_AUTH) && set[VARIABLE_AUTH].number == AUTH_JWT;

	if (set[VARIABLE_JWT_KEY_FILE].text != NULL || !(jwt || (needs & CONFIG_KEY)))
		return 0;
	return variable_wrong(said, VARIABLE_JWT_KEY_FILE, NULL,
			      jwt ? "is required with HOLDFAST_AUTH=jwt" : "is required");
}

static bool has_number(const char *socket)
{
	return strstr(socket, "%d") != NULL;
}

static int check_socket(const char *socket, struct buf *said)
{
	const char *percent = strchr(socket, '%');
	struct sockaddr_un address;

	if (percent != NULL && (percent[1] != 'd' || strchr(percent + 1, '%') != NULL))
		return variable_wrong(said, VARIABLE_SOCKET, socket,
				      "may have %d once and no other '%'");
	if (socket[strlen(socket) - 1] == '/')
		return variable_wrong(said, VARIABLE_SOCKET, socket,
				      "is a directory, not a name in one");
	/* A number of three digits for "%d", and ".new" while it is being made. */
	if (strlen(socket) + 1 + strlen(".new") >= sizeof address.sun_path)
		return variable_wrong(said, VARIABLE_SOCKET, socket, "is too long for a socket");
	return 0;
}

static int check_order(enum variable_id less, enum variable_id more, const struct setting *set,
		       struct buf *said)
{
	struct buf what = BUF_INIT;

	if (set[less].number <= set[more].number)
		return 0;
	buf_addf(&what, "is more than %s (%" PRId64 " and %" PRId64 ")", variable_name(more),
		 set[less].number, set[more].number);
	variable_wrong(said, less, NULL, what.data);
	buf_release(&what);
	return -1;
}

static int64_t standard_workers(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t workers = cores > 2 ? 2 * (int64_t)cores : 4;

	return workers < variable_max(VARIABLE_WORKERS) ? workers : variable_max(VARIABLE_WORKERS);
}

/* Standards that are no text in the table, because they depend on something. */
static void finish_standards(struct setting set[static VARIABLE_COUNT])
{
	if (set[VARIABLE_WORKERS].given == NULL)
		set[VARIABLE_WORKERS].number = standard_workers();
	if (!has_number(set[VARIABLE_SOCKET].text))
		set[VARIABLE_SOCKETS].number = 1;
	else if (set[VARIABLE_SOCKETS].given == NULL &&
		 set[VARIABLE_WORKERS].number < set[VARIABLE_SOCKETS].number)
		set[VARIABLE_SOCKETS].number = set[VARIABLE_WORKERS].number;
}

static int check_together(unsigned needs, struct setting set[static VARIABLE_COUNT],
			  struct buf *said)
{
	if (check_socket(set[VARIABLE_SOCKET].text, said) < 0 ||
	    check_order(VARIABLE_SOCKETS, VARIABLE_WORKERS, set, said) < 0 ||
	    check_order(VARIABLE_RETRY_MIN_MS, VARIABLE_RETRY_MAX_MS, set, said) < 0 ||
	    check_order(VARIABLE_STREAM_IDLE_MS, VARIABLE_STREAM_MAX_MS, set, said) < 0 ||
	    check_auth(needs, set, said) < 0)
		return -1;
	return check_store(needs, set, said);
}

static char *taken(struct setting *v)
{
	char *text = v->text;

	v->text = NULL;
	return text;
}

static char *table_path(const char *socket)
{
	struct buf path = BUF_INIT;

	buf_addf(&path, "%.*stable", (int)(strrchr(socket, '/') - socket) + 1, socket);
	return path.data;
}

static int transfers_of_one(const struct setting set[static VARIABLE_COUNT])
{
	int64_t share = set[VARIABLE_MAX_UPLOADS].number / set[VARIABLE_WORKERS].number;

	return share > 0 ? (int)share : 1;
}

/* One of the workers of a socket is always left for those within their share, if there are two. */
static unsigned greedy_of_socket(const struct setting set[static VARIABLE_COUNT])
{
	int64_t share = set[VARIABLE_WORKERS].number / set[VARIABLE_SOCKETS].number;

	return share > 2 ? (unsigned)share - 1 : 1;
}

static struct server_config make_server(const struct config *c, const struct setting *set)
{
	return (struct server_config){
		.data = c->data,
		.auth = (enum auth_mode)set[VARIABLE_AUTH].number,
		.jwt = {
			.audience = c->jwt_audience,
			.issuer = c->jwt_issuer,
			.leeway_s = set[VARIABLE_JWT_LEEWAY_S].number,
		},
		.limits = {
			.has_migrations = c->migrations != NULL,
			.max_db_bytes = set[VARIABLE_MAX_DB_BYTES].number,
			.max_result_bytes = set[VARIABLE_MAX_RESULT_BYTES].number,
			.statement_ms = set[VARIABLE_STATEMENT_TIMEOUT_MS].number,
			.lock_wait_ms = set[VARIABLE_LOCK_WAIT_MS].number,
			/* What fits a request may be one statement. */
			.max_sql_bytes = (int)set[VARIABLE_MAX_BODY_BYTES].number,
		},
		.max_body_bytes = set[VARIABLE_MAX_BODY_BYTES].number,
		.max_file_bytes = set[VARIABLE_MAX_IMPORT_BYTES].number,
		.retry_wait_ms = set[VARIABLE_RETRY_WAIT_MS].number,
		.max_open = REQUEST_OPEN_MAX,
		.max_parked = PARKED_MAX,
		.max_wal_bytes = set[VARIABLE_MAX_WAL_BYTES].number,
		.max_streams = (unsigned)set[VARIABLE_MAX_STREAMS].number,
		.max_requests = (unsigned)set[VARIABLE_MAX_REQUESTS].number,
		.max_greedy = greedy_of_socket(set),
		.stream_idle_ms = set[VARIABLE_STREAM_IDLE_MS].number,
		.stream_max_ms = set[VARIABLE_STREAM_MAX_MS].number,
	};
}

static struct sync_config make_sync(const struct config *c, struct setting *set)
{
	return (struct sync_config){
		.data = c->data,
		.store = {
			.url = taken(&set[VARIABLE_STORE]),
			.endpoint = taken(&set[VARIABLE_S3_ENDPOINT]),
			.region = taken(&set[VARIABLE_S3_REGION]),
			.access_key = taken(&set[VARIABLE_S3_ACCESS_KEY]),
			.secret_key = taken(&set[VARIABLE_S3_SECRET_KEY]),
			.spill_dir = alloc_string(c->data),
			.limits = {
				.connect_ms = set[VARIABLE_CONNECT_TIMEOUT_MS].number,
				.silence_ms = set[VARIABLE_SILENCE_TIMEOUT_MS].number,
				.max_transfers = transfers_of_one(set),
			},
		},
		.retry = {
			.min_ms = set[VARIABLE_RETRY_MIN_MS].number,
			.max_ms = set[VARIABLE_RETRY_MAX_MS].number,
		},
		.max_open = SYNC_OPEN_MAX,
		.on_conflict = (enum slot_keep)set[VARIABLE_ON_CONFLICT].number,
		.max_wal_bytes = set[VARIABLE_MAX_WAL_BYTES].number,
		.retention_ms = set[VARIABLE_RETENTION_S].number * 1000,
	};
}

static void hand_over(struct setting set[static VARIABLE_COUNT], struct config *out)
{
	out->table = table_path(set[VARIABLE_SOCKET].text);
	out->data = taken(&set[VARIABLE_DATA]);
	out->socket = taken(&set[VARIABLE_SOCKET]);
	out->jwt_key_files = taken(&set[VARIABLE_JWT_KEY_FILE]);
	out->jwt_audience = taken(&set[VARIABLE_JWT_AUDIENCE]);
	out->jwt_issuer = taken(&set[VARIABLE_JWT_ISSUER]);
	out->migrations = taken(&set[VARIABLE_MIGRATIONS]);
	out->log = (enum log_level)set[VARIABLE_LOG].number;
	out->pool = (struct pool_config){
		.socket = out->socket,
		.nsockets = (unsigned)set[VARIABLE_SOCKETS].number,
		.workers = (unsigned)set[VARIABLE_WORKERS].number,
		.table = out->table,
		.max_active_users = (uint32_t)set[VARIABLE_MAX_ACTIVE_USERS].number,
		.shutdown_ms = set[VARIABLE_SHUTDOWN_MS].number,
	};
	out->server = make_server(out, set);
	out->sync = make_sync(out, set);
}

int config_read(char *const environment[], unsigned needs, struct config *out, struct buf *said)
{
	struct setting set[VARIABLE_COUNT];
	int result = -1;

	if (variables_read(environment, set, said) < 0)
		goto out;
	finish_standards(set);
	if (check_together(needs, set, said) < 0)
		goto out;
	*out = (struct config){ 0 };
	hand_over(set, out);
	result = 0;
out:
	variables_release(set);
	return result;
}

static void wipe_free(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void config_release(struct config *c)
{
	free(c->data);
	free(c->socket);
	free(c->table);
	free(c->jwt_key_files);
	free(c->jwt_audience);
	free(c->jwt_issuer);
	free(c->migrations);
	free(c->sync.store.url);
	free(c->sync.store.endpoint);
	free(c->sync.store.region);
	free(c->sync.store.spill_dir);
	wipe_free(c->sync.store.access_key);
	wipe_free(c->sync.store.secret_key);
	*c = (struct config){ 0 };
}

int config_load(unsigned needs, struct config *out)
{
	struct buf said = BUF_INIT;
	char *line, *rest;
	int result = config_read(environ, needs, out, &said);

	variables_hide(environ);
	for (line = said.data; said.len > 0 && (rest = strchr(line, '\n')) != NULL; line = rest + 1)
		(void)fprintf(stderr, "holdfast: %.*s\n", (int)(rest - line), line);
	buf_release(&said);
	return result;
}
