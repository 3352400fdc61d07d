/*
 * One table of variables.  Reading goes over the environment once and fills a
 * value for each row, or for the row's standard text; then the values are
 * compared with each other; then they are handed to the layers.
 */
#include "config.h"

#include "base/alloc.h"
#include "state/table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PATH_LEN_MAX = 1024, /* leaves room for any user's files below the data directory */
	TEXT_LEN_MAX = 4096,
	SHOWN_LEN_MAX = 64,

	/* About 110 kB and 4 descriptors each. */
	REQUEST_OPEN_MAX = 128,
	SYNC_OPEN_MAX = 64,
	PARKED_MAX = 64,
};

enum kind {
	KIND_MS,
	KIND_SECONDS,
	KIND_BYTES,
	KIND_COUNT,
	KIND_TEXT,
	KIND_PATH,
	KIND_CHOICE,
	KIND_SECRET,
};

struct variable {
	const char *name;
	enum kind kind;
	const char *standard; /* NULL: none, or made up in finish_standards() */
	const char *shown; /* the standard for a person, where it is not `standard` */
	int64_t min, max;
	const char *const *choices;
	bool unused; /* its feature is not in this version */
	const char *meaning;
};

enum id {
	SOCKET,
	SOCKETS,
	DATA,
	STORE,
	S3_ENDPOINT,
	S3_REGION,
	S3_ACCESS_KEY,
	S3_SECRET_KEY,
	AUTH,
	JWT_KEY_FILE,
	WORKERS,
	MAX_ACTIVE_USERS,
	RETRY_WAIT_MS,
	RETRY_MIN_MS,
	RETRY_MAX_MS,
	CONNECT_TIMEOUT_MS,
	SILENCE_TIMEOUT_MS,
	MAX_UPLOADS,
	MAX_WAL_BYTES,
	RETENTION_S,
	ON_CONFLICT,
	MAX_DB_BYTES,
	MAX_BODY_BYTES,
	MAX_RESULT_BYTES,
	STATEMENT_TIMEOUT_MS,
	LOCK_WAIT_MS,
	STREAM_IDLE_MS,
	STREAM_MAX_MS,
	MAX_STREAMS,
	SHUTDOWN_MS,
	LOG,
	VARIABLE_COUNT,
};

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define HOUR_MS INT64_C(3600000)

static const char *const auth_choices[] = {
	[AUTH_JWT] = "jwt",
	[AUTH_REMOTE_USER] = "remote_user",
	NULL,
};
static const char *const conflict_choices[] = { "hold", "remote", "local", NULL };
static const char *const log_choices[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
	NULL,
};

static const struct variable variables[VARIABLE_COUNT] = {
	[SOCKET] = { .name = "HOLDFAST_SOCKET",
		     .kind = KIND_PATH,
		     .standard = "/run/holdfast/app.%d.sock",
		     .meaning = "FastCGI sockets; %d is the number of the worker group, "
				"without it there is one" },
	[SOCKETS] = { .name = "HOLDFAST_SOCKETS",
		      .kind = KIND_COUNT,
		      .standard = "2",
		      .min = 1,
		      .max = TABLE_WORKERS_MAX / 2,
		      .meaning = "how many of them, where HOLDFAST_SOCKET has %d" },
	[DATA] = { .name = "HOLDFAST_DATA",
		   .kind = KIND_PATH,
		   .standard = "/var/lib/holdfast",
		   .meaning = "the users' databases" },
	[STORE] = { .name = "HOLDFAST_STORE",
		    .kind = KIND_TEXT,
		    .shown = "required",
		    .meaning = "s3://bucket/prefix or file:/path" },
	[S3_ENDPOINT] = { .name = "HOLDFAST_S3_ENDPOINT",
			  .kind = KIND_TEXT,
			  .shown = "required for s3",
			  .meaning = "https, or http on loopback; may carry a path prefix" },
	[S3_REGION] = { .name = "HOLDFAST_S3_REGION",
			.kind = KIND_TEXT,
			.standard = "auto",
			.meaning = "the region that requests are signed for" },
	[S3_ACCESS_KEY] = { .name = "AWS_ACCESS_KEY_ID",
			    .kind = KIND_SECRET,
			    .shown = "required for s3",
			    .meaning = "or AWS_ACCESS_KEY_ID_FILE, which names a file with it" },
	[S3_SECRET_KEY] = { .name = "AWS_SECRET_ACCESS_KEY",
			    .kind = KIND_SECRET,
			    .shown = "required for s3",
			    .meaning =
				    "or AWS_SECRET_ACCESS_KEY_FILE, which names a file with it" },
	[AUTH] = { .name = "HOLDFAST_AUTH",
		   .kind = KIND_CHOICE,
		   .standard = "jwt",
		   .choices = auth_choices,
		   .meaning = "who says who asks: a token, or nginx" },
	[JWT_KEY_FILE] = { .name = "HOLDFAST_JWT_KEY_FILE",
			   .kind = KIND_PATH,
			   .shown = "required for jwt",
			   .meaning = "PEM key, or a raw secret of at least 32 bytes" },
	[WORKERS] = { .name = "HOLDFAST_WORKERS",
		      .kind = KIND_COUNT,
		      .shown = "2 x cores, at least 4",
		      .min = 1,
		      .max = TABLE_WORKERS_MAX / 2,
		      .meaning = "processes that serve" },
	[MAX_ACTIVE_USERS] = { .name = "HOLDFAST_MAX_ACTIVE_USERS",
			       .kind = KIND_COUNT,
			       .standard = "65536",
			       .min = 64,
			       .max = 1 << 24,
			       .meaning = "slots of the shared table" },
	[RETRY_WAIT_MS] = { .name = "HOLDFAST_RETRY_WAIT_MS",
			    .kind = KIND_MS,
			    .standard = "200",
			    .min = 0,
			    .max = 10000,
			    .meaning = "how long a flagged user's write waits for its retry" },
	[RETRY_MIN_MS] = { .name = "HOLDFAST_RETRY_MIN_MS",
			   .kind = KIND_MS,
			   .standard = "1000",
			   .min = 10,
			   .max = HOUR_MS,
			   .meaning = "first wait after a failed push" },
	[RETRY_MAX_MS] = { .name = "HOLDFAST_RETRY_MAX_MS",
			   .kind = KIND_MS,
			   .standard = "30000",
			   .min = 10,
			   .max = HOUR_MS,
			   .meaning = "longest wait after failed pushes" },
	[CONNECT_TIMEOUT_MS] = { .name = "HOLDFAST_CONNECT_TIMEOUT_MS",
				 .kind = KIND_MS,
				 .standard = "2000",
				 .min = 10,
				 .max = 60000,
				 .meaning = "store: no connection" },
	[SILENCE_TIMEOUT_MS] = { .name = "HOLDFAST_SILENCE_TIMEOUT_MS",
				 .kind = KIND_MS,
				 .standard = "4000",
				 .min = 10,
				 .max = 60000,
				 .meaning = "store: no byte in either direction" },
	[MAX_UPLOADS] = { .name = "HOLDFAST_MAX_UPLOADS",
			  .kind = KIND_COUNT,
			  .standard = "32",
			  .min = 1,
			  .max = 4096,
			  .meaning = "transfers at once, shared by all workers; each has at least "
				     "one" },
	[MAX_WAL_BYTES] = { .name = "HOLDFAST_MAX_WAL_BYTES",
			    .kind = KIND_BYTES,
			    .standard = "64MiB",
			    .min = 4 * MIB,
			    .max = 64 * GIB,
			    .unused = true,
			    .meaning = "then spool and checkpoint" },
	[RETENTION_S] = { .name = "HOLDFAST_RETENTION_S",
			  .kind = KIND_SECONDS,
			  .standard = "86400",
			  .min = 0,
			  .max = INT64_C(10) * 366 * 86400,
			  .unused = true,
			  .meaning = "how long superseded objects stay" },
	[ON_CONFLICT] = { .name = "HOLDFAST_ON_CONFLICT",
			  .kind = KIND_CHOICE,
			  .standard = "hold",
			  .choices = conflict_choices,
			  .unused = true,
			  .meaning = "which history wins when the store holds another" },
	[MAX_DB_BYTES] = { .name = "HOLDFAST_MAX_DB_BYTES",
			   .kind = KIND_BYTES,
			   .standard = "1GiB",
			   .min = 64 * KIB,
			   .max = 1024 * GIB,
			   .meaning = "quota of one user" },
	[MAX_BODY_BYTES] = { .name = "HOLDFAST_MAX_BODY_BYTES",
			     .kind = KIND_BYTES,
			     .standard = "4MiB",
			     .min = KIB,
			     .max = 256 * MIB,
			     .meaning = "a larger request is refused with 413" },
	[MAX_RESULT_BYTES] = { .name = "HOLDFAST_MAX_RESULT_BYTES",
			       .kind = KIND_BYTES,
			       .standard = "16MiB",
			       .min = KIB,
			       .max = GIB,
			       .meaning = "a larger result is an SQL error" },
	[STATEMENT_TIMEOUT_MS] = { .name = "HOLDFAST_STATEMENT_TIMEOUT_MS",
				   .kind = KIND_MS,
				   .standard = "5000",
				   .min = 1,
				   .max = 60000,
				   .meaning = "one statement" },
	[LOCK_WAIT_MS] = { .name = "HOLDFAST_LOCK_WAIT_MS",
			   .kind = KIND_MS,
			   .standard = "5000",
			   .min = 0,
			   .max = 60000,
			   .meaning = "a writer waiting its turn" },
	[STREAM_IDLE_MS] = { .name = "HOLDFAST_STREAM_IDLE_MS",
			     .kind = KIND_MS,
			     .standard = "10000",
			     .min = 100,
			     .max = HOUR_MS,
			     .unused = true,
			     .meaning = "end of an idle stream" },
	[STREAM_MAX_MS] = { .name = "HOLDFAST_STREAM_MAX_MS",
			    .kind = KIND_MS,
			    .standard = "60000",
			    .min = 100,
			    .max = HOUR_MS,
			    .unused = true,
			    .meaning = "end of any stream" },
	[MAX_STREAMS] = { .name = "HOLDFAST_MAX_STREAMS",
			  .kind = KIND_COUNT,
			  .standard = "16",
			  .min = 1,
			  .max = 1024,
			  .unused = true,
			  .meaning = "open streams of one user" },
	[SHUTDOWN_MS] = { .name = "HOLDFAST_SHUTDOWN_MS",
			  .kind = KIND_MS,
			  .standard = "20000",
			  .min = 0,
			  .max = 600000,
			  .meaning = "to finish requests and push what is dirty at TERM" },
	[LOG] = { .name = "HOLDFAST_LOG",
		  .kind = KIND_CHOICE,
		  .standard = "info",
		  .choices = log_choices,
		  .meaning = "the least important events that are logged" },
};

/* Numbers, and choices as their place, in `number`; all else in `text`. */
struct value {
	char *text;
	int64_t number;
};

/* What was found in the environment, borrowed from there. */
struct found {
	const char *text;
	const char *file; /* of NAME_FILE, for secrets */
};

static void wipe_free(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

/* `value` comes from outside: as much of it as fits on a line, and printable. */
static void add_shown(struct buf *said, const char *value)
{
	size_t len = strlen(value);

	buf_add(said, "'", 1);
	for (size_t i = 0; i < len && i < SHOWN_LEN_MAX; i++) {
		bool plain = (unsigned char)value[i] >= 0x20 && value[i] != 0x7f;
		buf_add(said, plain ? &value[i] : "?", 1);
	}
	buf_add_text(said, len > SHOWN_LEN_MAX ? "...' " : "' ");
}

static int wrong(struct buf *said, const char *name, const char *value, const char *what)
{
	buf_addf(said, "%s: ", name);
	if (value != NULL)
		add_shown(said, value);
	buf_addf(said, "%s\n", what);
	return -1;
}

static int64_t suffix_factor(const char *suffix)
{
	static const struct {
		const char *suffix;
		int64_t factor;
	} known[] = {
		{ "", 1 },	{ "K", KIB }, { "KiB", KIB }, { "M", MIB },
		{ "MiB", MIB }, { "G", GIB }, { "GiB", GIB },
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (strcmp(suffix, known[i].suffix) == 0)
			return known[i].factor;
	}
	return 0;
}

static const char *const kind_unit[] = {
	[KIND_MS] = "ms", [KIND_SECONDS] = "s", [KIND_BYTES] = "bytes", [KIND_COUNT] = "",
	[KIND_TEXT] = "", [KIND_PATH] = "",	[KIND_CHOICE] = "",	[KIND_SECRET] = "",
};

static void add_range(struct buf *out, const struct variable *v)
{
	buf_addf(out, "%" PRId64 " to %" PRId64 "%s%s", v->min, v->max,
		 kind_unit[v->kind][0] ? " " : "", kind_unit[v->kind]);
}

static void add_choices(struct buf *out, const struct variable *v)
{
	for (const char *const *c = v->choices; *c != NULL; c++)
		buf_addf(out, "%s%s", c == v->choices ? "" : c[1] == NULL ? " or " : ", ", *c);
}

static int parse_number(const struct variable *v, const char *text, struct value *out,
			struct buf *said)
{
	struct buf what = BUF_INIT;
	long long n = 0;
	int64_t factor = 0; /* 0: not a number */
	char *end;

	errno = 0;
	/* strtoll() would take white space and signs. */
	if (text[0] >= '0' && text[0] <= '9') {
		n = strtoll(text, &end, 10);
		factor = v->kind == KIND_BYTES ? suffix_factor(end) : *end == '\0';
	}
	if (factor > 0 && errno == 0 && n <= v->max / factor && n * factor >= v->min) {
		out->number = n * factor;
		return 0;
	}
	buf_add_text(&what, factor > 0 ? "is out of range, " : "is not a number, ");
	add_range(&what, v);
	wrong(said, v->name, text, what.data);
	buf_release(&what);
	return -1;
}

static int parse_choice(const struct variable *v, const char *text, struct value *out,
			struct buf *said)
{
	struct buf what = BUF_INIT;

	for (int i = 0; v->choices[i] != NULL; i++) {
		if (strcmp(text, v->choices[i]) == 0) {
			out->number = i;
			return 0;
		}
	}
	buf_add_text(&what, "is none of ");
	add_choices(&what, v);
	wrong(said, v->name, text, what.data);
	buf_release(&what);
	return -1;
}

static int parse_text(const struct variable *v, const char *text, struct value *out,
		      struct buf *said)
{
	size_t max = v->kind == KIND_PATH ? PATH_LEN_MAX : TEXT_LEN_MAX;
	const char *shown = v->kind == KIND_SECRET ? NULL : text;

	if (strlen(text) > max)
		return wrong(said, v->name, shown, "is too long");
	for (const char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return wrong(said, v->name, shown, "has a control character");
	}
	if (v->kind == KIND_PATH && text[0] != '/')
		return wrong(said, v->name, shown, "does not start with '/'");
	out->text = alloc_string(text);
	return 0;
}

static int parse(const struct variable *v, const char *text, struct value *out, struct buf *said)
{
	if (text[0] == '\0')
		return wrong(said, v->name, NULL, "is empty");
	switch (v->kind) {
	case KIND_MS:
	case KIND_SECONDS:
	case KIND_BYTES:
	case KIND_COUNT:
		return parse_number(v, text, out, said);
	case KIND_CHOICE:
		return parse_choice(v, text, out, said);
	case KIND_TEXT:
	case KIND_PATH:
	case KIND_SECRET:
		return parse_text(v, text, out, said);
	}
	return -1;
}

/* What of `assignment` is the value, when it sets `name` followed by `suffix`. */
static const char *value_of(const char *assignment, const char *name, const char *suffix)
{
	size_t name_len = strlen(name), suffix_len = strlen(suffix);

	if (strncmp(assignment, name, name_len) != 0)
		return NULL;
	if (strncmp(assignment + name_len, suffix, suffix_len) != 0)
		return NULL;
	const char *rest = assignment + name_len + suffix_len;
	return *rest == '=' ? rest + 1 : NULL;
}

static bool find_one(const char *assignment, struct found found[static VARIABLE_COUNT])
{
	for (int i = 0; i < VARIABLE_COUNT; i++) {
		const char *text = value_of(assignment, variables[i].name, "");
		if (text != NULL) {
			found[i].text = text;
			return true;
		}
		if (variables[i].kind != KIND_SECRET)
			continue;
		text = value_of(assignment, variables[i].name, "_FILE");
		if (text != NULL) {
			found[i].file = text;
			return true;
		}
	}
	return false;
}

static int unknown(const char *assignment, struct buf *said)
{
	int len = (int)strcspn(assignment, "=");
	struct buf name = BUF_INIT;

	buf_addf(&name, "%.*s", len < SHOWN_LEN_MAX ? len : SHOWN_LEN_MAX, assignment);
	add_shown(said, name.data);
	buf_add_text(said, "is no variable of this program\n");
	buf_release(&name);
	return -1;
}

static int find_all(char *const environment[], struct found found[static VARIABLE_COUNT],
		    struct buf *said)
{
	for (char *const *e = environment; *e != NULL; e++) {
		bool ours = strncmp(*e, "HOLDFAST_", strlen("HOLDFAST_")) == 0;
		if (!find_one(*e, found) && ours)
			return unknown(*e, said);
	}
	return 0;
}

static int parse_all(const struct found found[static VARIABLE_COUNT],
		     struct value values[static VARIABLE_COUNT], struct buf *said)
{
	for (int i = 0; i < VARIABLE_COUNT; i++) {
		const struct variable *v = &variables[i];
		const char *text = found[i].text != NULL ? found[i].text : v->standard;
		if (v->kind == KIND_SECRET || text == NULL)
			continue;
		if (parse(v, text, &values[i], said) < 0)
			return -1;
	}
	return 0;
}

/* Into memory that the caller wipes.  How many bytes; -1 with errno. */
static ssize_t read_small_file(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;
	size_t len = 0;

	if (fd < 0)
		return -1;
	while (len < size && (n = read(fd, out + len, size - len)) > 0)
		len += (size_t)n;
	int error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : (ssize_t)len;
}

static int wrong_file(const struct variable *v, const char *path, const char *what,
		      struct buf *said)
{
	buf_addf(said, "%s_FILE: ", v->name);
	add_shown(said, path);
	buf_addf(said, "%s\n", what);
	return -1;
}

static int read_secret_file(const struct variable *v, const char *path, struct value *out,
			    struct buf *said)
{
	char secret[TEXT_LEN_MAX + 2];
	ssize_t len = read_small_file(path, secret, sizeof secret - 1);
	int result;

	if (len < 0)
		return wrong_file(v, path, strerror(errno), said);
	if (len > 0 && secret[len - 1] == '\n')
		len--;
	secret[len] = '\0';
	if (strlen(secret) != (size_t)len)
		result = wrong_file(v, path, "has a control character", said);
	else
		result = parse(v, secret, out, said);
	explicit_bzero(secret, sizeof secret);
	return result;
}

static int read_secret(const struct variable *v, const struct found *found, struct value *out,
		       struct buf *said)
{
	if (found->text != NULL && found->file != NULL)
		return wrong(said, v->name, NULL, "is set, and so is the same with _FILE");
	if (found->text != NULL)
		return parse(v, found->text, out, said);
	if (found->file != NULL)
		return read_secret_file(v, found->file, out, said);
	return wrong(said, v->name, NULL, "is required for an s3 store (or the same with _FILE)");
}

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static int check_store(const struct found found[static VARIABLE_COUNT], unsigned needs,
		       struct value values[static VARIABLE_COUNT], struct buf *said)
{
	const char *url = values[STORE].text;

	if (url == NULL && !(needs & CONFIG_STORE))
		return 0;
	if (url == NULL)
		return wrong(said, variables[STORE].name, NULL,
			     "is required: s3://bucket/prefix or file:/path");
	if (starts_with(url, "file:/"))
		return 0;
	if (!starts_with(url, "s3://"))
		return wrong(said, variables[STORE].name, url,
			     "is neither s3://bucket/prefix nor file:/path");
	if (!(needs & CONFIG_STORE))
		return 0;
	if (values[S3_ENDPOINT].text == NULL)
		return wrong(said, variables[S3_ENDPOINT].name, NULL,
			     "is required for an s3 store");
	for (int i = S3_ACCESS_KEY; i <= S3_SECRET_KEY; i++) {
		if (read_secret(&variables[i], &found[i], &values[i], said) < 0)
			return -1;
	}
	return 0;
}

static int check_auth(unsigned needs, const struct value values[static VARIABLE_COUNT],
		      struct buf *said)
{
	bool jwt = (needs & CONFIG_AUTH) && values[AUTH].number == AUTH_JWT;

	if (values[JWT_KEY_FILE].text != NULL || !(jwt || (needs & CONFIG_KEY)))
		return 0;
	return wrong(said, variables[JWT_KEY_FILE].name, NULL,
		     jwt ? "is required with HOLDFAST_AUTH=jwt" : "is required");
}

static bool has_number(const char *socket)
{
	return strstr(socket, "%d") != NULL;
}

static int check_socket(const char *socket, struct buf *said)
{
	const char *name = variables[SOCKET].name;
	const char *percent = strchr(socket, '%');
	struct sockaddr_un address;

	if (percent != NULL && (percent[1] != 'd' || strchr(percent + 1, '%') != NULL))
		return wrong(said, name, socket, "may have %d once and no other '%'");
	if (socket[strlen(socket) - 1] == '/')
		return wrong(said, name, socket, "is a directory, not a name in one");
	/* A number of three digits for "%d", and ".new" while it is being made. */
	if (strlen(socket) + 1 + strlen(".new") >= sizeof address.sun_path)
		return wrong(said, name, socket, "is too long for a socket");
	return 0;
}

static int check_order(enum id less, enum id more, const struct value *values, struct buf *said)
{
	struct buf what = BUF_INIT;

	if (values[less].number <= values[more].number)
		return 0;
	buf_addf(&what, "is more than %s (%" PRId64 " and %" PRId64 ")", variables[more].name,
		 values[less].number, values[more].number);
	wrong(said, variables[less].name, NULL, what.data);
	buf_release(&what);
	return -1;
}

static int64_t standard_workers(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int64_t workers = cores > 2 ? 2 * (int64_t)cores : 4;

	return workers < variables[WORKERS].max ? workers : variables[WORKERS].max;
}

/* Standards that are no text in the table, because they depend on something. */
static void finish_standards(const struct found found[static VARIABLE_COUNT],
			     struct value values[static VARIABLE_COUNT])
{
	if (found[WORKERS].text == NULL)
		values[WORKERS].number = standard_workers();
	if (!has_number(values[SOCKET].text))
		values[SOCKETS].number = 1;
	else if (found[SOCKETS].text == NULL && values[WORKERS].number < values[SOCKETS].number)
		values[SOCKETS].number = values[WORKERS].number;
}

static int check_together(const struct found found[static VARIABLE_COUNT], unsigned needs,
			  struct value values[static VARIABLE_COUNT], struct buf *said)
{
	if (check_socket(values[SOCKET].text, said) < 0 ||
	    check_order(SOCKETS, WORKERS, values, said) < 0 ||
	    check_order(RETRY_MIN_MS, RETRY_MAX_MS, values, said) < 0 ||
	    check_order(STREAM_IDLE_MS, STREAM_MAX_MS, values, said) < 0 ||
	    check_auth(needs, values, said) < 0)
		return -1;
	return check_store(found, needs, values, said);
}

static char *taken(struct value *v)
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

static int transfers_of_one(const struct value values[static VARIABLE_COUNT])
{
	int64_t share = values[MAX_UPLOADS].number / values[WORKERS].number;

	return share > 0 ? (int)share : 1;
}

static struct server_config make_server(const struct config *c, const struct value *values)
{
	return (struct server_config){
		.data = c->data,
		.auth = (enum auth_mode)values[AUTH].number,
		.jwt_key_file = c->jwt_key_file,
		.limits = {
			.max_db_bytes = values[MAX_DB_BYTES].number,
			.max_result_bytes = values[MAX_RESULT_BYTES].number,
			.statement_ms = values[STATEMENT_TIMEOUT_MS].number,
			.lock_wait_ms = values[LOCK_WAIT_MS].number,
			/* What fits a request may be one statement. */
			.max_sql_bytes = (int)values[MAX_BODY_BYTES].number,
		},
		.max_body_bytes = values[MAX_BODY_BYTES].number,
		.retry_wait_ms = values[RETRY_WAIT_MS].number,
		.max_open = REQUEST_OPEN_MAX,
		.max_parked = PARKED_MAX,
	};
}

static struct sync_config make_sync(const struct config *c, struct value *values)
{
	return (struct sync_config){
		.data = c->data,
		.store = {
			.url = taken(&values[STORE]),
			.endpoint = taken(&values[S3_ENDPOINT]),
			.region = taken(&values[S3_REGION]),
			.access_key = taken(&values[S3_ACCESS_KEY]),
			.secret_key = taken(&values[S3_SECRET_KEY]),
			.spill_dir = alloc_string(c->data),
			.limits = {
				.connect_ms = values[CONNECT_TIMEOUT_MS].number,
				.silence_ms = values[SILENCE_TIMEOUT_MS].number,
				.max_transfers = transfers_of_one(values),
			},
		},
		.retry = {
			.min_ms = values[RETRY_MIN_MS].number,
			.max_ms = values[RETRY_MAX_MS].number,
		},
		.max_open = SYNC_OPEN_MAX,
	};
}

static void hand_over(struct value values[static VARIABLE_COUNT], struct config *out)
{
	out->table = table_path(values[SOCKET].text);
	out->data = taken(&values[DATA]);
	out->socket = taken(&values[SOCKET]);
	out->jwt_key_file = taken(&values[JWT_KEY_FILE]);
	out->log = (enum log_level)values[LOG].number;
	out->pool = (struct pool_config){
		.socket = out->socket,
		.nsockets = (unsigned)values[SOCKETS].number,
		.workers = (unsigned)values[WORKERS].number,
		.table = out->table,
		.max_active_users = (uint32_t)values[MAX_ACTIVE_USERS].number,
		.shutdown_ms = values[SHUTDOWN_MS].number,
	};
	out->server = make_server(out, values);
	out->sync = make_sync(out, values);
}

static void name_unused(const struct found found[static VARIABLE_COUNT], struct buf *said)
{
	for (int i = 0; i < VARIABLE_COUNT; i++) {
		if (variables[i].unused && found[i].text != NULL)
			buf_addf(said, "%s: has no effect in this version\n", variables[i].name);
	}
}

int config_read(char *const environment[], unsigned needs, struct config *out, struct buf *said)
{
	struct found found[VARIABLE_COUNT] = { 0 };
	struct value values[VARIABLE_COUNT] = { 0 };
	int result = -1;

	if (find_all(environment, found, said) < 0 || parse_all(found, values, said) < 0)
		goto out;
	finish_standards(found, values);
	if (check_together(found, needs, values, said) < 0)
		goto out;
	*out = (struct config){ 0 };
	hand_over(values, out);
	name_unused(found, said);
	result = 0;
out:
	for (int i = 0; i < VARIABLE_COUNT; i++)
		wipe_free(values[i].text);
	return result;
}

void config_release(struct config *c)
{
	free(c->data);
	free(c->socket);
	free(c->table);
	free(c->jwt_key_file);
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

	for (line = said.data; said.len > 0 && (rest = strchr(line, '\n')) != NULL; line = rest + 1)
		(void)fprintf(stderr, "holdfast: %.*s\n", (int)(rest - line), line);
	buf_release(&said);
	return result;
}

static void describe_one(const struct variable *v, struct buf *out)
{
	const char *standard = v->standard != NULL ? v->standard : v->shown;

	buf_addf(out, "%s\n\tdefault %s", v->name, standard);
	switch (v->kind) {
	case KIND_MS:
	case KIND_SECONDS:
	case KIND_BYTES:
	case KIND_COUNT:
		buf_add_text(out, "; ");
		add_range(out, v);
		break;
	case KIND_CHOICE:
		buf_add_text(out, "; ");
		add_choices(out, v);
		break;
	case KIND_TEXT:
	case KIND_PATH:
	case KIND_SECRET:
		break;
	}
	buf_addf(out, "\n\t%s%s\n", v->meaning, v->unused ? " (no effect in this version)" : "");
}

void config_describe(struct buf *out)
{
	for (int i = 0; i < VARIABLE_COUNT; i++)
		describe_one(&variables[i], out);
}
