/*
 * Bodies of requests, run against a real database in the sandbox, through everything
 * that a worker does with them: streams, batons, transactions over several requests.
 *
 * The first byte of each says which endpoint; a byte 0xff, which no JSON has, ends it
 * and begins the next.  "$" as a baton becomes the one that was given last.
 *
 * The answer is JSON of the promised form.  Afterwards the connection serves the next
 * request as before, and outside of the user's database nothing has changed.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json_read.h"
#include "base/log.h"
#include "db/sandbox.h"
#include "http/user_route.h"
#include "state/right.h"
#include "state/slot.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	WORKER = 0,
	REQUESTS_MAX = 6,
	RESULT_MAX = 1 << 20,
	ANSWER_MAX = 2 * RESULT_MAX + (1 << 16), /* results, errors and frame */
	SEPARATOR = 0xff,
};

/* What the sync engine says of everybody: that it is well. */

enum sync_status sync_status(const struct slot_view *v)
{
	(void)v;
	return SYNC_IN_STEP;
}

void sync_commit(struct sync *s, struct slot *slot, int64_t wal_bytes)
{
	(void)s;
	(void)wal_bytes;
	slot_commit(slot);
}

void sync_look(struct sync *s, struct slot *slot)
{
	(void)s;
	(void)slot;
}

bool sync_retry(struct sync *s, struct slot *slot, int64_t delay_ms)
{
	(void)s;
	(void)slot;
	(void)delay_ms;
	return false;
}

void sync_pull(struct sync *s, struct slot *slot)
{
	(void)s;
	(void)slot;
}

enum object_error sync_pull_error(const struct slot *slot, int64_t *patience_ms)
{
	(void)slot;
	(void)patience_ms;
	return ERROR_NONE;
}

/* ---- a worker with one user, and another whose files must stay as they are */

static struct {
	char dir[64];
	char elsewhere[64]; /* where requests run: a relative path would show up there */
	int home;
	struct user_id alice, bob;
	char alice_db[PATH_MAX], bob_db[PATH_MAX];
	struct stat bob_before;
	struct baton_key key;
	struct accounts_config files;
	struct service s;
} world;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_world(void)
{
	nftw(world.dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	nftw(world.elsewhere, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_folder(char path[static 64])
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	(void)snprintf(path, 64, "%s/holdfast-fuzz-XXXXXX", base);
	assert(mkdtemp(path) != NULL);
}

static void path_of(const struct user_id *id, const char *name, char out[static PATH_MAX])
{
	assert(user_path(world.dir, id, name, out, PATH_MAX) == 0);
}

static void make_user(const char *name, struct user_id *id, char db[static PATH_MAX])
{
	char path[PATH_MAX];

	assert(user_id_parse(name, strlen(name), id) == 0);
	path_of(id, "", path);
	assert(file_make_dirs(path, 0700) == 0);
	path_of(id, "lock", path);
	int lock = right_open(path);
	assert(lock >= 0);
	close(lock);
	path_of(id, "db.sqlite", db);
	assert(userdb_create(db) == USERDB_OK);
}

static void open_service(void)
{
	struct service *s = &world.s;
	const struct turn_limits line = { 10, 10, 1000 };

	s->accounts = accounts_new(s->table, &world.files);
	s->turns = turns_new(&line);
	const struct streams_config config = {
		.table = s->table,
		.worker = WORKER,
		.accounts = s->accounts,
		.turns = s->turns,
		.data = world.dir,
		.max_wal_bytes = 1 << 24,
		.per_user = 4,
		.idle_ms = 1000000,
		.max_ms = 1000000,
	};
	s->streams = streams_new(&config);
}

static void close_service(void)
{
	streams_free(world.s.streams);
	turns_free(world.s.turns);
	accounts_free(world.s.accounts);
}

static void make_world(void)
{
	char table[PATH_MAX];

	log_init(LOG_LEVEL_ERROR, "fuzz");
	make_folder(world.dir);
	make_folder(world.elsewhere);
	atexit(remove_world);
	world.home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(world.home >= 0);
	assert(snprintf(table, sizeof table, "%s/table", world.dir) < (int)sizeof table);
	make_user("alice", &world.alice, world.alice_db);
	make_user("bob", &world.bob, world.bob_db);
	assert(stat(world.bob_db, &world.bob_before) == 0);
	world.key = (struct baton_key){ .run = 1 };
	world.files = (struct accounts_config){
		.data = world.dir,
		.role = USERDB_CLIENT,
		.limits = { .max_db_bytes = 4 << 20,
			    .max_result_bytes = RESULT_MAX,
			    .statement_ms = 50,
			    .lock_wait_ms = 4000,
			    .max_sql_bytes = 1 << 16 },
		.max_open = 4,
	};
	world.s = (struct service){
		.table = table_create(table, 8),
		.worker = WORKER,
		.batons = &world.key,
		.data = world.dir,
		.lock_wait_ms = 100,
		.may_park = true,
	};
	assert(world.s.table != NULL);
	table_worker_born(world.s.table, WORKER, 1);
	table_worker_joins(world.s.table, WORKER, world.key.run, 0);
	const struct share_config share = {
		.table = world.s.table,
		.worker = WORKER,
		.max_greedy = 1,
	};
	world.s.share = share_new(&share);
	open_service();
}

/* As it was before the first request. */
static void restore_alice(void)
{
	char path[PATH_MAX];

	close_service();
	path_of(&world.alice, "db.sqlite-wal", path);
	unlink(path);
	path_of(&world.alice, "db.sqlite-shm", path);
	unlink(path);
	unlink(world.alice_db);
	assert(userdb_create(world.alice_db) == USERDB_OK);
	open_service();
}

/* ---- what an answer has to be */

static struct json_doc *parse(const char *text, size_t len)
{
	static const struct json_limits limits = { ANSWER_MAX, 16, 4 << 20 };
	char why[128];
	struct json_doc *doc = json_parse(text, len, &limits, why, sizeof why);

	if (doc == NULL)
		fprintf(stderr, "the answer is not JSON: %s\n%.*s\n", why, (int)len, text);
	assert(doc != NULL);
	return doc;
}

static void check_text(const struct json *v)
{
	assert(json_is(v, JSON_STRING) && v->len > 0);
}

static void check_error(const struct json *error)
{
	check_text(json_get(error, "message"));
	check_text(json_get(error, "code"));
}

static void check_rows(const struct json *result)
{
	const struct json *cols = json_get(result, "cols"), *rows = json_get(result, "rows");

	assert(json_is(cols, JSON_ARRAY) && json_is(rows, JSON_ARRAY));
	for (const struct json *row = rows->first; row != NULL; row = row->next)
		assert(json_is(row, JSON_ARRAY) && row->len == cols->len);
}

static void check_steps(const struct json *result)
{
	const struct json *results = json_get(result, "step_results");
	const struct json *errors = json_get(result, "step_errors");

	assert(json_is(results, JSON_ARRAY) && json_is(errors, JSON_ARRAY));
	assert(results->len == errors->len);
	const struct json *e = errors->first;
	for (const struct json *r = results->first; r != NULL; r = r->next, e = e->next) {
		assert(json_is(r, JSON_NULL) || json_is(e, JSON_NULL));
		if (!json_is(r, JSON_NULL))
			check_rows(r);
		if (!json_is(e, JSON_NULL))
			check_error(e);
	}
}

static void check_result(const struct json *result)
{
	const struct json *response = json_get(result, "response");

	if (json_text_is(json_get(result, "type"), "error")) {
		check_error(json_get(result, "error"));
		return;
	}
	assert(json_text_is(json_get(result, "type"), "ok"));
	if (json_text_is(json_get(response, "type"), "execute"))
		check_rows(json_get(response, "result"));
	else if (json_text_is(json_get(response, "type"), "batch"))
		check_steps(json_get(response, "result"));
}

/* One for each request, whose type it has. */
static void check_results(const struct json *answer, const struct json *body)
{
	const struct json *results = json_get(answer, "results");
	const struct json *request = json_get(body, "requests")->first;

	assert(json_is(results, JSON_ARRAY));
	for (const struct json *r = results->first; r != NULL; r = r->next) {
		const struct json *type = json_get(json_get(r, "response"), "type");
		assert(request != NULL);
		check_result(r);
		assert(type == NULL || json_text_is(json_get(request, "type"), type->text));
		request = request->next;
	}
	assert(request == NULL);
}

static void keep_baton(const struct json *answer, char baton[static BATON_LEN + 1])
{
	const struct json *v = json_get(answer, "baton");

	baton[0] = '\0';
	if (!json_is(v, JSON_NULL)) {
		assert(json_is(v, JSON_STRING) && v->len == BATON_LEN);
		memcpy(baton, v->text, BATON_LEN + 1);
	}
}

/* The lines of a cursor, whose first names the baton. */
static void check_lines(const struct buf *text, char baton[static BATON_LEN + 1])
{
	bool first = true;

	for (size_t at = 0; at < text->len;) {
		const char *line = text->data + at;
		const char *end = memchr(line, '\n', text->len - at);
		assert(end != NULL);
		struct json_doc *doc = parse(line, (size_t)(end - line));
		const struct json *type = json_get(json_root(doc), "type");
		if (first)
			keep_baton(json_root(doc), baton);
		else
			check_text(type);
		if (json_text_is(type, "step_error"))
			check_error(json_get(json_root(doc), "error"));
		first = false;
		at += (size_t)(end - line) + 1;
		json_free(doc);
	}
	assert(!first && baton[0] != '\0');
}

static void check_answer(const struct exchange *x, route_handler *handler,
			 char baton[static BATON_LEN + 1])
{
	const struct buf *text = &x->response.body;

	assert(text->len < ANSWER_MAX);
	if (x->response.status == HTTP_OK && handler == serve_cursor) {
		check_lines(text, baton);
		return;
	}
	struct json_doc *doc = parse(text->data, text->len);
	const struct json *root = json_root(doc);
	if (x->response.status != HTTP_OK) {
		check_error(root);
		check_text(json_get(root, "error"));
	} else if (handler == serve_pipeline) {
		struct json_doc *body = parse(x->request.body.data, x->request.body.len);
		check_results(root, json_root(body));
		keep_baton(root, baton);
		json_free(body);
	} else if (handler == serve_execute) {
		check_rows(json_get(root, "result"));
	} else {
		check_steps(json_get(root, "result"));
	}
	json_free(doc);
}

/* ---- requests */

/* The part of a cursor's answer that is in a file comes to the rest. */
static void read_file(struct response *r)
{
	if (r->file == NULL)
		return;
	size_t len = (size_t)spill_len(r->file);
	assert(len < ANSWER_MAX);
	buf_reserve(&r->body, len);
	for (size_t at = 0; at < len;) {
		int64_t n = spill_read(r->file, at, r->body.data + r->body.len, len - at);
		assert(n > 0);
		at += (size_t)n;
		r->body.len += (size_t)n;
	}
	spill_free(r->file);
	r->file = NULL;
}

/* false: it has to wait for an open transaction. */
static bool ask(route_handler *handler, const char *body, size_t len, struct exchange *x)
{
	*x = (struct exchange){
		.user = world.alice,
		.response = { .status = HTTP_OK, .content_type = "application/json" },
		.arrived_ms = clock_mono_ms(),
	};
	buf_add(&x->request.body, body, len);
	assert(account_slot(world.s.accounts, &x->user, &x->slot) == ACCOUNT_OK);
	enum served served = handler(&world.s, x);
	assert(served == SERVE_DONE || served == SERVE_IN_TURN || served == SERVE_PARK);
	read_file(&x->response);
	return served == SERVE_DONE;
}

static void end(struct exchange *x)
{
	buf_release(&x->request.body);
	buf_release(&x->response.body);
}

static void put_baton(const char *body, size_t len, const char *baton, struct buf *out)
{
	static const char place[] = "\"baton\":\"$\"";
	const char *at = memmem(body, len, place, sizeof place - 1);

	if (at == NULL || baton[0] == '\0') {
		buf_add(out, body, len);
		return;
	}
	size_t before = (size_t)(at - body) + sizeof place - 3;
	buf_add(out, body, before);
	buf_add_text(out, baton);
	buf_add(out, body + before + 1, len - before - 1);
}

static void try_request(const char *data, size_t len, char baton[static BATON_LEN + 1])
{
	static route_handler *const handlers[] = { serve_pipeline, serve_cursor, serve_execute,
						   serve_batch };
	route_handler *handler = handlers[len > 0 ? data[0] & 3 : 0];
	struct buf body = BUF_INIT;
	struct exchange x;

	if (len > 0)
		put_baton(data + 1, len - 1, baton, &body);
	if (ask(handler, body.data != NULL ? body.data : "", body.len, &x))
		check_answer(&x, handler, baton);
	end(&x);
	buf_release(&body);
}

/* As on a connection that nobody has used. */
static void check_still_works(void)
{
	static const char probe[] = "{\"batch\":{\"steps\":["
				    "{\"stmt\":{\"sql\":\"SELECT count(*) FROM sqlite_schema\"}},"
				    "{\"stmt\":{\"sql\":\"PRAGMA foreign_keys\"}},"
				    "{\"stmt\":{\"sql\":\"PRAGMA synchronous\"}},"
				    "{\"stmt\":{\"sql\":\"PRAGMA journal_mode\"}}]}}";
	static const char *const want[] = { NULL, "1", "2", "wal" };
	struct exchange x;

	assert(ask(serve_batch, probe, sizeof probe - 1, &x));
	assert(x.response.status == HTTP_OK);
	struct json_doc *doc = parse(x.response.body.data, x.response.body.len);
	const struct json *result = json_get(json_root(doc), "result");
	const struct json *step = json_get(result, "step_results")->first;
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++, step = step->next) {
		assert(json_is(step, JSON_OBJECT));
		const struct json *value = json_get(json_get(step, "rows")->first->first, "value");
		assert(want[i] == NULL || json_text_is(value, want[i]));
	}
	json_free(doc);
	end(&x);
}

static bool is_allowed(const char *name)
{
	static const char *const names[] = {
		".", "..", "lock", "db.sqlite", "db.sqlite-wal", "db.sqlite-shm"
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static void check_folder(const char *path, bool (*allowed)(const char *name))
{
	DIR *dir = opendir(path);
	const struct dirent *e;

	assert(dir != NULL);
	while ((e = readdir(dir)) != NULL)
		assert(allowed(e->d_name));
	closedir(dir);
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void check_elsewhere(void)
{
	char path[PATH_MAX];
	struct stat st;

	path_of(&world.alice, "", path);
	check_folder(path, is_allowed);
	check_folder(world.elsewhere, is_dots);
	assert(stat(world.bob_db, &st) == 0);
	assert(st.st_size == world.bob_before.st_size && st.st_ino == world.bob_before.st_ino &&
	       st.st_mtim.tv_sec == world.bob_before.st_mtim.tv_sec &&
	       st.st_mtim.tv_nsec == world.bob_before.st_mtim.tv_nsec);
	path_of(&world.bob, "db.sqlite-wal", path);
	assert(access(path, F_OK) < 0);
}

static bool was_written(void)
{
	char path[PATH_MAX];
	struct stat st;

	path_of(&world.alice, "db.sqlite-wal", path);
	return stat(path, &st) == 0 && st.st_size > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static bool ready;
	char baton[BATON_LEN + 1] = "";
	const char *rest = (const char *)data;

	if (!ready)
		make_world();
	ready = true;
	assert(chdir(world.elsewhere) == 0);
	for (int n = 0; n < REQUESTS_MAX && len > 0; n++) {
		const char *stop = memchr(rest, SEPARATOR, len);
		size_t used = stop != NULL ? (size_t)(stop - rest) : len;
		try_request(rest, used, baton);
		rest += stop != NULL ? used + 1 : used;
		len -= stop != NULL ? used + 1 : used;
	}
	streams_close_all(world.s.streams);
	check_still_works();
	check_elsewhere();
	if (was_written())
		restore_alice();
	assert(fchdir(world.home) == 0);
	return 0;
}
