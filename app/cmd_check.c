/*
 * What would stop `holdfast serve`, or make it useless, said before it starts.
 *
 * Each step prints one line, `ok` or `FAILED` with what to do about it.
 * Directories are not made: a check run by root must not leave some that the
 * service cannot use.  Only a store that is a folder is, by opening it.
 */
#include "cmd.h"

#include "config.h"
#include "db/migrations.h"
#include "http/jwks.h"
#include "proc/cage_calls.h"
#include "proc/cage_files.h"
#include "store/object.h"
#include "variable.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROBE_LEN = 64 };

static void say_ok(const char *step, const char *what)
{
	(void)printf("ok      %-13s %s\n", step, what);
}

static bool say_failed(const char *step, const char *why, const char *advice)
{
	(void)printf("FAILED  %-13s %s%s%s\n", step, why, advice[0] ? ": " : "", advice);
	return false;
}

/* The folder itself, or the nearest one above it that exists. */
static void find_existing(const char *dir, char *out, size_t size)
{
	struct stat st;

	(void)snprintf(out, size, "%s", dir);
	while (stat(out, &st) < 0 && errno == ENOENT) {
		char *slash = strrchr(out, '/');
		if (slash == NULL)
			return;
		slash[slash == out] = '\0';
	}
}

static bool check_dir(const char *step, const char *dir)
{
	char existing[PATH_MAX], line[PATH_MAX + 64];
	struct stat st;

	find_existing(dir, existing, sizeof existing);
	bool absent = strcmp(existing, dir) != 0;
	if (stat(existing, &st) < 0 || (!S_ISDIR(st.st_mode) && (errno = ENOTDIR)) ||
	    access(existing, R_OK | W_OK | X_OK) < 0) {
		(void)snprintf(line, sizeof line, "cannot write to '%s': %s", existing,
			       strerror(errno));
		return say_failed(step, line, "run as the user of the service, or chown it");
	}
	(void)snprintf(line, sizeof line, "%s%s", dir, absent ? " (will be made)" : "");
	say_ok(step, line);
	return true;
}

static bool check_directories(const struct config *c)
{
	char sockets[PATH_MAX];
	const char *slash = strrchr(c->socket, '/');
	int len = slash == c->socket ? 1 : (int)(slash - c->socket);

	(void)snprintf(sockets, sizeof sockets, "%.*s", len, c->socket);
	bool data = check_dir("data", c->data);
	return check_dir("sockets", sockets) && data;
}

static void say_key(const struct jwks_found *f)
{
	char type[JWK_TYPE_MAX];

	if (f->key == NULL) {
		(void)printf("skipped %-13s %s%s%s%s: %s\n", "key", f->kid[0] ? "kid=" : "", f->kid,
			     f->kid[0] ? ", " : "", f->path, f->why);
		return;
	}
	jwk_describe(f->key, type);
	(void)printf("ok      %-13s %s, %s%s%s, %s\n", "key",
		     jwk_algorithm_name[jwk_algorithm(f->key)], type, f->kid[0] ? ", kid=" : "",
		     f->kid, f->path);
}

static bool check_keys(const struct config *c)
{
	char why[JWKS_WHY_MAX];

	if (c->server.auth == AUTH_REMOTE_USER) {
		say_ok("key", "none needed: nginx says who asks");
		return true;
	}
	struct jwks *keys = jwks_read(c->jwt_key_files, say_key, why);
	if (keys == NULL)
		return say_failed("key", why, "see HOLDFAST_JWT_KEY_FILE");
	jwks_free(keys);
	return true;
}

static bool check_migrations(const struct config *c)
{
	char why[MIGRATIONS_WHY_MAX], line[64];

	if (c->migrations == NULL)
		return true;
	struct migrations *m = migrations_read(c->migrations, why);
	if (m == NULL)
		return say_failed("migrations", why, "see HOLDFAST_MIGRATIONS");
	(void)snprintf(line, sizeof line, "%u, up to version %u", migrations_count(m),
		       migrations_count(m));
	say_ok("migrations", line);
	migrations_free(m);
	return true;
}

static const char *advice_for(enum object_error error)
{
	static const char *const advice[ERROR_COUNT] = {
		[ERROR_CONNECT] = "is HOLDFAST_S3_ENDPOINT right, and reachable from here?",
		[ERROR_CERTIFICATE] =
			"does HOLDFAST_S3_ENDPOINT, or SSL_CERT_FILE, name somebody else?",
		[ERROR_TIMEOUT] = "is HOLDFAST_S3_ENDPOINT right, and reachable from here?",
		[ERROR_BROKEN] = "is HOLDFAST_S3_ENDPOINT an S3 service?",
		[ERROR_THROTTLED] = "try again later",
		[ERROR_SERVER] = "the store has trouble; try again later",
		[ERROR_CREDENTIALS] =
			"do AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY allow to read and write?",
		[ERROR_CLOCK] = "set this machine's clock",
		[ERROR_CONFIG] = "are the bucket in HOLDFAST_STORE and HOLDFAST_S3_REGION right?",
		[ERROR_DAMAGED] = "is HOLDFAST_S3_ENDPOINT an S3 service?",
		[ERROR_DISK] = "is there room, and may this user write there?",
	};

	return advice[error] != NULL ? advice[error] : "";
}

static const char *const result_text[] = {
	[OBJECT_OK] = "succeeded",
	[OBJECT_ABSENT] = "there is no such object",
	[OBJECT_TAKEN] = "the object exists already",
	[OBJECT_UNKNOWN] = "no answer",
	[OBJECT_TRY_LATER] = "not reached or not served",
	[OBJECT_REFUSED] = "refused",
	[OBJECT_DAMAGED] = "an answer that is none",
};

struct probe {
	struct store *store;
	char key[OBJECT_KEY_MAX];
	char bytes[PROBE_LEN];
};

static void start_request(const struct probe *p, enum object_verb verb, struct object_request *r)
{
	*r = (struct object_request){ .verb = verb };
	(void)snprintf(r->key, sizeof r->key, "%s", p->key);
}

static bool wants(const char *step, const struct object_request *r, enum object_result wanted)
{
	char why[256];

	if (r->result == wanted)
		return true;
	(void)snprintf(why, sizeof why, "%s%s%s", result_text[r->result],
		       r->error != ERROR_NONE ? ", " : "",
		       r->error != ERROR_NONE ? object_error_name[r->error] : "");
	return say_failed(step, why, advice_for(r->error));
}

static bool put(const struct probe *p, const char *dir, const char *bytes, struct object_request *r)
{
	struct spill *body = spill_new(dir, PROBE_LEN);

	start_request(p, OBJECT_CREATE, r);
	r->body = body;
	bool started = spill_add(body, bytes, PROBE_LEN) == 0;
	if (started)
		(void)store_do(p->store, r);
	spill_free(body);
	return started;
}

static bool probe_create(const struct probe *p, const char *dir)
{
	struct object_request r;

	if (!put(p, dir, p->bytes, &r) || !wants("create", &r, OBJECT_OK))
		return false;
	say_ok("create", p->key);
	return true;
}

static bool probe_create_again(const struct probe *p, const char *dir)
{
	static const char other_bytes[PROBE_LEN] = "other";
	struct object_request r;

	if (!put(p, dir, other_bytes, &r))
		return false;
	if (r.result == OBJECT_OK)
		return say_failed("create again", "the store has overwritten an object",
				  "it ignores If-None-Match and cannot be used");
	if (!wants("create again", &r, OBJECT_TAKEN))
		return false;
	say_ok("create again", "refused, as it must be");
	return true;
}

static bool probe_get(const struct probe *p, const char *dir)
{
	char bytes[PROBE_LEN];
	struct object_request r;
	struct spill *answer = spill_new(dir, PROBE_LEN);
	bool good = false;

	start_request(p, OBJECT_GET, &r);
	r.answer = answer;
	(void)store_do(p->store, &r);
	if (!wants("get", &r, OBJECT_OK))
		goto out;
	good = spill_len(answer) == PROBE_LEN &&
	       spill_read(answer, 0, bytes, PROBE_LEN) == PROBE_LEN &&
	       memcmp(bytes, p->bytes, PROBE_LEN) == 0;
	if (good)
		say_ok("get", "the same bytes");
	else
		say_failed("get", "not the bytes that were put", "");
out:
	spill_free(answer);
	return good;
}

static bool probe_list(const struct probe *p)
{
	struct object_request r;
	bool found = false;

	start_request(p, OBJECT_LIST, &r);
	(void)store_do(p->store, &r);
	if (!wants("list", &r, OBJECT_OK))
		return false;
	for (size_t i = 0; i < r.listing.count; i++)
		found = found || strcmp(r.listing.entries[i].key, p->key) == 0;
	object_listing_release(&r.listing);
	if (!found)
		return say_failed("list", "the object just created is not in it", "");
	say_ok("list", "contains it");
	return true;
}

static bool probe_delete(const struct probe *p)
{
	struct object_request r;

	start_request(p, OBJECT_DELETE, &r);
	(void)store_do(p->store, &r);
	if (!wants("delete", &r, OBJECT_OK))
		return false;
	say_ok("delete", p->key);
	return true;
}

/* Below a name that no user can have. */
static bool make_probe(struct probe *p)
{
	uint64_t number;

	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number ||
	    getrandom(p->bytes, sizeof p->bytes, 0) != (ssize_t)sizeof p->bytes)
		return say_failed("create", strerror(errno), "");
	(void)snprintf(p->key, sizeof p->key, ".probe/%016" PRIx64, number);
	return true;
}

static bool probe_store(struct store *store, const char *dir)
{
	struct probe p = { .store = store };

	if (!make_probe(&p) || !probe_create(&p, dir))
		return false;
	bool good = probe_create_again(&p, dir);
	good = probe_get(&p, dir) && good;
	good = probe_list(&p) && good;
	return probe_delete(&p) && good;
}

static bool check_store(const struct config *c, bool probe)
{
	char why[256];
	struct store *store = store_new(&c->sync.store, why, sizeof why);

	if (store == NULL)
		return say_failed("store", why, "");
	say_ok("store", c->sync.store.url);
	bool good = !probe || probe_store(store, c->data);
	store_free(store);
	return good;
}

/* Without the rules of files it works; without a filter it does not start. */
static bool check_cage(void)
{
	char what[64];

	if (!cage_calls_can())
		return say_failed("system calls", "this kernel cannot filter them",
				  "it has to be built with CONFIG_SECCOMP_FILTER");
	say_ok("system calls", "filtered");
	if (cage_files_version() == 0) {
		(void)printf("skipped %-13s %s\n", "files",
			     "this kernel has no Landlock that limits them (5.19 or later)");
		return true;
	}
	(void)snprintf(what, sizeof what, "limited by Landlock, version %d", cage_files_version());
	say_ok("files", what);
	return true;
}

static int print_variables(void)
{
	struct buf text = BUF_INIT;

	variables_describe(&text);
	bool printed = fputs(text.data, stdout) >= 0 && fflush(stdout) == 0;
	buf_release(&text);
	return printed ? CMD_OK : CMD_FAILED;
}

int cmd_check(int argc, char **argv)
{
	bool probe = argc == 2 && strcmp(argv[1], "--store") == 0;
	struct config c;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return print_variables();
	if (argc > 2 || (argc == 2 && !probe))
		return cmd_usage(argv[0]);
	if (config_load(CONFIG_STORE | CONFIG_AUTH, &c) < 0)
		return CMD_USAGE;
	log_init(c.log, "check");
	say_ok("configuration", "complete");
	bool good = check_cage();
	good = check_directories(&c) && good;
	good = check_keys(&c) && good;
	good = check_migrations(&c) && good;
	good = check_store(&c, probe) && good;
	config_release(&c);
	return good ? CMD_OK : CMD_FAILED;
}
