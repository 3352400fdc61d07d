/*
 * Reading goes over the environment once, and then over the table: what is
 * set, or else the standard, is parsed by the variable's kind.
 */
#include "variable.h"

#include "base/alloc.h"
#include "base/log.h"
#include "http/server.h"
#include "state/table.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PATH_LEN_MAX = 1024, /* leaves room for any user's files below the data directory */
	TEXT_LEN_MAX = 4096,
	SHOWN_LEN_MAX = 64,
};

enum kind {
	KIND_MS,
	KIND_SECONDS,
	KIND_BYTES,
	KIND_COUNT,
	KIND_TEXT,
	KIND_PATH,
	KIND_PATHS, /* with ':' between them */
	KIND_CHOICE,
	KIND_SECRET,
};

struct variable {
	const char *name;
	enum kind kind;
	const char *standard; /* NULL: none, or one that depends on others */
	const char *shown; /* in place of the standard, for a person */
	int64_t min, max;
	const char *const *choices;
	const char *meaning;
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
static const char *const conflict_choices[] = {
	[KEEP_UNDECIDED] = "hold",
	[KEEP_REMOTE] = "remote",
	[KEEP_LOCAL] = "local",
	NULL,
};
static const char *const log_choices[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
	NULL,
};

static const struct variable variables[VARIABLE_COUNT] = {
	[VARIABLE_SOCKET] = {
		.name = "HOLDFAST_SOCKET",
		.kind = KIND_PATH,
		.standard = "/run/holdfast/app.%d.sock",
		.meaning = "FastCGI sockets; %d is the number of the worker group, "
			   "without it there is one",
	},
	[VARIABLE_SOCKETS] = {
		.name = "HOLDFAST_SOCKETS",
		.kind = KIND_COUNT,
		.standard = "2",
		.min = 1,
		.max = TABLE_WORKERS_MAX / 2,
		.meaning = "how many of them, where HOLDFAST_SOCKET has %d",
	},
	[VARIABLE_DATA] = {
		.name = "HOLDFAST_DATA",
		.kind = KIND_PATH,
		.standard = "/var/lib/holdfast",
		.meaning = "the users' databases",
	},
	[VARIABLE_STORE] = {
		.name = "HOLDFAST_STORE",
		.kind = KIND_TEXT,
		.shown = "required",
		.meaning = "s3://bucket/prefix or file:/path",
	},
	[VARIABLE_S3_ENDPOINT] = {
		.name = "HOLDFAST_S3_ENDPOINT",
		.kind = KIND_TEXT,
		.shown = "required for s3",
		.meaning = "https, or http on loopback; may carry a path prefix",
	},
	[VARIABLE_S3_REGION] = {
		.name = "HOLDFAST_S3_REGION",
		.kind = KIND_TEXT,
		.standard = "auto",
		.meaning = "the region that requests are signed for",
	},
	[VARIABLE_S3_ACCESS_KEY] = {
		.name = "AWS_ACCESS_KEY_ID",
		.kind = KIND_SECRET,
		.shown = "required for s3",
		.meaning = "or AWS_ACCESS_KEY_ID_FILE, which names a file with it",
	},
	[VARIABLE_S3_SECRET_KEY] = {
		.name = "AWS_SECRET_ACCESS_KEY",
		.kind = KIND_SECRET,
		.shown = "required for s3",
		.meaning = "or AWS_SECRET_ACCESS_KEY_FILE, which names a file with it",
	},
	[VARIABLE_AUTH] = {
		.name = "HOLDFAST_AUTH",
		.kind = KIND_CHOICE,
		.standard = "jwt",
		.choices = auth_choices,
		.meaning = "who says who asks: a token, or nginx",
	},
	[VARIABLE_JWT_KEY_FILE] = {
		.name = "HOLDFAST_JWT_KEY_FILE",
		.kind = KIND_PATHS,
		.shown = "required for jwt",
		.meaning = "PEM key, JWKS, or a raw secret of at least 32 bytes; "
			   "several files with ':' between them",
	},
	[VARIABLE_JWT_AUDIENCE] = {
		.name = "HOLDFAST_JWT_AUDIENCE",
		.kind = KIND_TEXT,
		.shown = "default any",
		.meaning = "what a token's aud must be or contain",
	},
	[VARIABLE_JWT_ISSUER] = {
		.name = "HOLDFAST_JWT_ISSUER",
		.kind = KIND_TEXT,
		.shown = "default any",
		.meaning = "what a token's iss must be",
	},
	[VARIABLE_JWT_LEEWAY_S] = {
		.name = "HOLDFAST_JWT_LEEWAY_S",
		.kind = KIND_SECONDS,
		.standard = "30",
		.min = 0,
		.max = 300,
		.meaning = "how far the clock that a token's exp and nbf come from may be off",
	},
	[VARIABLE_WORKERS] = {
		.name = "HOLDFAST_WORKERS",
		.kind = KIND_COUNT,
		.shown = "default 2 x cores, at least 4",
		.min = 1,
		.max = TABLE_WORKERS_MAX / 2,
		.meaning = "processes that serve",
	},
	[VARIABLE_MAX_ACTIVE_USERS] = {
		.name = "HOLDFAST_MAX_ACTIVE_USERS",
		.kind = KIND_COUNT,
		.standard = "65536",
		.min = 64,
		.max = 1 << 24,
		.meaning = "slots of the shared table",
	},
	[VARIABLE_RETRY_WAIT_MS] = {
		.name = "HOLDFAST_RETRY_WAIT_MS",
		.kind = KIND_MS,
		.standard = "200",
		.min = 0,
		.max = 10000,
		.meaning = "how long a flagged user's write waits for its retry",
	},
	[VARIABLE_RETRY_MIN_MS] = {
		.name = "HOLDFAST_RETRY_MIN_MS",
		.kind = KIND_MS,
		.standard = "1000",
		.min = 10,
		.max = HOUR_MS,
		.meaning = "first wait after a failed push",
	},
	[VARIABLE_RETRY_MAX_MS] = {
		.name = "HOLDFAST_RETRY_MAX_MS",
		.kind = KIND_MS,
		.standard = "30000",
		.min = 10,
		.max = HOUR_MS,
		.meaning = "longest wait after failed pushes",
	},
	[VARIABLE_CONNECT_TIMEOUT_MS] = {
		.name = "HOLDFAST_CONNECT_TIMEOUT_MS",
		.kind = KIND_MS,
		.standard = "2000",
		.min = 10,
		.max = 60000,
		.meaning = "store: no connection",
	},
	[VARIABLE_SILENCE_TIMEOUT_MS] = {
		.name = "HOLDFAST_SILENCE_TIMEOUT_MS",
		.kind = KIND_MS,
		.standard = "4000",
		.min = 10,
		.max = 60000,
		.meaning = "store: no byte in either direction",
	},
	[VARIABLE_MAX_UPLOADS] = {
		.name = "HOLDFAST_MAX_UPLOADS",
		.kind = KIND_COUNT,
		.standard = "32",
		.min = 1,
		.max = 4096,
		.meaning = "transfers at once, shared by all workers; each has at least one",
	},
	[VARIABLE_MAX_WAL_BYTES] = {
		.name = "HOLDFAST_MAX_WAL_BYTES",
		.kind = KIND_BYTES,
		.standard = "64MiB",
		.min = 4 * MIB,
		.max = 64 * GIB,
		.meaning = "WAL of one user during an outage; then it is spooled",
	},
	[VARIABLE_RETENTION_S] = {
		.name = "HOLDFAST_RETENTION_S",
		.kind = KIND_SECONDS,
		.standard = "86400",
		.min = 0,
		.max = INT64_C(10) * 366 * 86400,
		.meaning = "how long superseded objects stay",
	},
	[VARIABLE_ON_CONFLICT] = {
		.name = "HOLDFAST_ON_CONFLICT",
		.kind = KIND_CHOICE,
		.standard = "hold",
		.choices = conflict_choices,
		.meaning = "which history wins when the store holds another",
	},
	[VARIABLE_MIGRATIONS] = {
		.name = "HOLDFAST_MIGRATIONS",
		.kind = KIND_PATH,
		.shown = "default none",
		.meaning = "a folder of numbered SQL files that every user's database is "
			   "brought to",
	},
	[VARIABLE_MAX_DB_BYTES] = {
		.name = "HOLDFAST_MAX_DB_BYTES",
		.kind = KIND_BYTES,
		.standard = "1GiB",
		.min = 64 * KIB,
		.max = 4 * GIB, /* a snapshot of it fits a single PUT, of 5 GiB at most */
		.meaning = "quota of one user",
	},
	[VARIABLE_MAX_BODY_BYTES] = {
		.name = "HOLDFAST_MAX_BODY_BYTES",
		.kind = KIND_BYTES,
		.standard = "4MiB",
		.min = KIB,
		.max = 256 * MIB,
		.meaning = "a larger request is refused with 413",
	},
	[VARIABLE_MAX_IMPORT_BYTES] = {
		.name = "HOLDFAST_MAX_IMPORT_BYTES",
		.kind = KIND_BYTES,
		.standard = "256MiB",
		.min = KIB,
		.max = 4 * GIB,
		.meaning = "a larger file is refused with 413",
	},
	[VARIABLE_MAX_RESULT_BYTES] = {
		.name = "HOLDFAST_MAX_RESULT_BYTES",
		.kind = KIND_BYTES,
		.standard = "16MiB",
		.min = KIB,
		.max = GIB,
		.meaning = "a larger result is an SQL error",
	},
	[VARIABLE_STATEMENT_TIMEOUT_MS] = {
		.name = "HOLDFAST_STATEMENT_TIMEOUT_MS",
		.kind = KIND_MS,
		.standard = "5000",
		.min = 1,
		.max = 60000,
		.meaning = "one statement",
	},
	[VARIABLE_LOCK_WAIT_MS] = {
		.name = "HOLDFAST_LOCK_WAIT_MS",
		.kind = KIND_MS,
		.standard = "5000",
		.min = 0,
		.max = 60000,
		.meaning = "a writer waiting its turn",
	},
	[VARIABLE_STREAM_IDLE_MS] = {
		.name = "HOLDFAST_STREAM_IDLE_MS",
		.kind = KIND_MS,
		.standard = "10000",
		.min = 100,
		.max = HOUR_MS,
		.meaning = "end of a stream with state that is idle",
	},
	[VARIABLE_STREAM_MAX_MS] = {
		.name = "HOLDFAST_STREAM_MAX_MS",
		.kind = KIND_MS,
		.standard = "60000",
		.min = 100,
		.max = HOUR_MS,
		.meaning = "end of any stream with state",
	},
	[VARIABLE_MAX_STREAMS] = {
		.name = "HOLDFAST_MAX_STREAMS",
		.kind = KIND_COUNT,
		.standard = "16",
		.min = 1,
		.max = 1024,
		.meaning = "open streams with state of one user",
	},
	[VARIABLE_MAX_REQUESTS] = {
		.name = "HOLDFAST_MAX_REQUESTS",
		.kind = KIND_COUNT,
		.standard = "96",
		.min = 1,
		.max = 1024,
		.meaning = "requests of one user that wait for each other; more get 429",
	},
	[VARIABLE_SHUTDOWN_MS] = {
		.name = "HOLDFAST_SHUTDOWN_MS",
		.kind = KIND_MS,
		.standard = "20000",
		.min = 0,
		.max = 600000,
		.meaning = "to finish requests and push what is dirty at TERM",
	},
	[VARIABLE_LOG] = {
		.name = "HOLDFAST_LOG",
		.kind = KIND_CHOICE,
		.standard = "info",
		.choices = log_choices,
		.meaning = "the least important events that are logged",
	},
};

const char *variable_name(enum variable_id id)
{
	return variables[id].name;
}

int64_t variable_max(enum variable_id id)
{
	return variables[id].max;
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

int variable_wrong(struct buf *said, enum variable_id id, const char *value, const char *what)
{
	return wrong(said, variables[id].name, value, what);
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
	[KIND_MS] = "ms",  [KIND_SECONDS] = "s", [KIND_BYTES] = "bytes",
	[KIND_COUNT] = "", [KIND_TEXT] = "",	 [KIND_PATH] = "",
	[KIND_PATHS] = "", [KIND_CHOICE] = "",	 [KIND_SECRET] = "",
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

static int parse_number(const struct variable *v, const char *text, struct setting *out,
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

static int parse_choice(const struct variable *v, const char *text, struct setting *out,
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

static bool are_paths(const char *text)
{
	for (; *text == '/'; text++) {
		text = strchrnul(text, ':');
		if (*text == '\0')
			return true;
	}
	return false;
}

static int parse_text(const struct variable *v, const char *text, struct setting *out,
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
	if (v->kind == KIND_PATHS && !are_paths(text))
		return wrong(said, v->name, shown, "has a file that does not start with '/'");
	out->text = alloc_string(text);
	return 0;
}

static int parse(const struct variable *v, const char *text, struct setting *out, struct buf *said)
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
	case KIND_PATHS:
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

static bool find_one(const char *assignment, struct setting all[static VARIABLE_COUNT])
{
	for (int i = 0; i < VARIABLE_COUNT; i++) {
		const char *text = value_of(assignment, variables[i].name, "");
		if (text != NULL) {
			all[i].given = text;
			return true;
		}
		if (variables[i].kind != KIND_SECRET)
			continue;
		text = value_of(assignment, variables[i].name, "_FILE");
		if (text != NULL) {
			all[i].given_file = text;
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

static int find_all(char *const environment[], struct setting all[static VARIABLE_COUNT],
		    struct buf *said)
{
	for (char *const *e = environment; *e != NULL; e++) {
		bool ours = strncmp(*e, "HOLDFAST_", strlen("HOLDFAST_")) == 0;
		if (!find_one(*e, all) && ours)
			return unknown(*e, said);
	}
	return 0;
}

int variables_read(char *const environment[], struct setting out[static VARIABLE_COUNT],
		   struct buf *said)
{
	for (int i = 0; i < VARIABLE_COUNT; i++)
		out[i] = (struct setting){ 0 };
	if (find_all(environment, out, said) < 0)
		return -1;
	for (int i = 0; i < VARIABLE_COUNT; i++) {
		const struct variable *v = &variables[i];
		const char *text = out[i].given != NULL ? out[i].given : v->standard;
		if (v->kind == KIND_SECRET || text == NULL)
			continue;
		if (parse(v, text, &out[i], said) < 0)
			return -1;
	}
	return 0;
}

static bool holds_secret(const char *assignment)
{
	for (int i = 0; i < VARIABLE_COUNT; i++) {
		if (variables[i].kind == KIND_SECRET &&
		    value_of(assignment, variables[i].name, "") != NULL)
			return true;
	}
	return false;
}

void variables_hide(char *environment[])
{
	for (char **e = environment; *e != NULL; e++) {
		if (!holds_secret(*e))
			continue;
		char *value = strchr(*e, '=') + 1;
		char *copy = alloc_string(*e);
		explicit_bzero(value, strlen(value));
		*e = copy;
	}
}

void variables_release(struct setting all[static VARIABLE_COUNT])
{
	for (int i = 0; i < VARIABLE_COUNT; i++) {
		if (all[i].text != NULL)
			explicit_bzero(all[i].text, strlen(all[i].text));
		free(all[i].text);
		all[i] = (struct setting){ 0 };
	}
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

static int read_secret_file(const struct variable *v, const char *path, struct setting *out,
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
	if (len == 0)
		result = wrong_file(v, path, "is empty", said);
	else if (strlen(secret) != (size_t)len)
		result = wrong_file(v, path, "has a control character", said);
	else
		result = parse(v, secret, out, said);
	explicit_bzero(secret, sizeof secret);
	return result;
}

int variable_read_secret(enum variable_id id, struct setting *s, struct buf *said)
{
	const struct variable *v = &variables[id];

	if (s->given != NULL && s->given_file != NULL)
		return wrong(said, v->name, NULL, "is set, and so is the same with _FILE");
	if (s->given_file != NULL)
		return read_secret_file(v, s->given_file, s, said);
	return s->given != NULL ? parse(v, s->given, s, said) : 0;
}

static void describe_one(const struct variable *v, struct buf *out)
{
	buf_addf(out, "%s\n\t", v->name);
	if (v->standard != NULL)
		buf_addf(out, "default %s", v->standard);
	else
		buf_add_text(out, v->shown);
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
	case KIND_PATHS:
	case KIND_SECRET:
		break;
	}
	buf_addf(out, "\n\t%s\n", v->meaning);
}

void variables_describe(struct buf *out)
{
	for (int i = 0; i < VARIABLE_COUNT; i++)
		describe_one(&variables[i], out);
}
