/*
 * The server in a child, with the real table and files, asked over FastCGI.
 *
 * The routes are this file's own, so that a handler waits, commits or fails
 * when a test wants it to; so is what the sync engine says of a user.  What a
 * test changes and looks at lies in memory that both processes share.
 */
#include "http/server.h"

#include "http/fcgi_client.h"
#include "http/route.h"

#include "base/file.h"
#include "state/slot.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

enum { BODY_MAX = 4096, PARKED_MAX = 2, WAIT_MS = 20000, DEADLINE_MS = 60 };

static const char secret[] = "0123456789abcdef0123456789abcdef";

struct shared {
	_Atomic int status; /* what sync_status() says */
	_Atomic int go; /* what /park waits for */
	_Atomic int parks; /* how often a handler wanted to wait */
	_Atomic int runs; /* requests that /park has answered */
	_Atomic int looks; /* calls of sync_look() */
	_Atomic int hold_look; /* sync_look() does not return before `go` */
};

struct fixture {
	char dir[64];
	char data[96], socket[96], key[96], table[96], log[96];
	enum auth_mode auth;
	bool full; /* no slot is left in the table */
	bool impatient; /* once stopped, with those who wait */
	struct jwks *keys;
	pid_t child;
	int listener;
};

static struct shared *shared;
static volatile sig_atomic_t stopping;

/* What the server calls, played by this file. */

static enum served answer_user(struct service *s, struct exchange *x)
{
	(void)s;
	buf_addf(&x->response.body, "{\"user\":\"%s\",\"body\":%zu,\"query\":\"%s\"}", x->user.text,
		 x->request.body.len, x->request.query);
	return SERVE_DONE;
}

static enum served answer_error(struct service *s, struct exchange *x)
{
	(void)s;
	exchange_error(x, HTTP_NOT_FOUND, "NOT_FOUND", "nothing");
	return SERVE_DONE;
}

static enum served answer_commit(struct service *s, struct exchange *x)
{
	x->committed = true;
	return answer_user(s, x);
}

static bool may_go(const struct exchange *x)
{
	(void)x;
	return shared->go != 0;
}

static enum served wait_until(struct service *s, struct exchange *x, int64_t until_ms)
{
	if (!may_go(x) && clock_mono_ms() < until_ms) {
		if (!s->may_park) {
			exchange_error(x, HTTP_UNAVAILABLE, "BUSY", "no room");
			return SERVE_DONE;
		}
		/* Left in the response on purpose: the next run begins with none of it. */
		buf_add_text(&x->response.body, "half an answer");
		x->wait.ready = may_go;
		x->wait.until_ms = until_ms;
		shared->parks++;
		return SERVE_PARK;
	}
	shared->runs++;
	buf_addf(&x->response.body, "rounds=%d go=%d", x->wait.rounds, shared->go);
	return SERVE_DONE;
}

static enum served park(struct service *s, struct exchange *x)
{
	return wait_until(s, x, x->arrived_ms + WAIT_MS);
}

static enum served park_shortly(struct service *s, struct exchange *x)
{
	return wait_until(s, x, x->arrived_ms + DEADLINE_MS);
}

struct route route_find(const char *method, const char *path)
{
	static const struct route routes[] = {
		{ "/public", false, answer_user, "GET", METRICS_PROBE, false, false },
		{ "/user", true, answer_user, "POST", METRICS_EXECUTE, false, false },
		{ "/commit", true, answer_commit, "POST", METRICS_EXECUTE, false, false },
		{ "/park", true, park, "POST", METRICS_EXECUTE, false, false },
		{ "/park_shortly", true, park_shortly, "POST", METRICS_EXECUTE, false, false },
	};

	(void)method;
	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		if (strcmp(path, routes[i].path) == 0)
			return routes[i];
	}
	return (struct route){ "other", true, answer_error, NULL, METRICS_OTHER, false, false };
}

const char *route_method_name(const char *method)
{
	return strcmp(method, "POST") == 0 ? "POST" : "other";
}

enum sync_status sync_status(const struct slot_view *v)
{
	(void)v;
	return (enum sync_status)shared->status;
}

void sync_look(struct sync *s, struct slot *slot)
{
	int64_t until_ms = clock_mono_ms() + WAIT_MS;

	(void)s, (void)slot;
	while (shared->hold_look && !shared->go && clock_mono_ms() < until_ms)
		usleep(1000);
	shared->looks++;
}

/* The child. */

static void stop(int sig)
{
	(void)sig;
	stopping = 1;
}

/* Users with something to push keep their slots. */
static void fill_table(struct table *t)
{
	char name[24];
	struct user_id id;
	struct slot *slot;

	for (int i = 0;; i++) {
		int len = snprintf(name, sizeof name, "busy%d", i);
		if (user_id_parse(name, (size_t)len, &id) < 0 ||
		    table_add(t, &id, &slot) == TABLE_FULL)
			return;
		slot_load(slot, &(struct slot_saved){ .files = FILES_PRESENT, .dirty = true });
	}
}

static int run_server(void *arg)
{
	struct fixture *f = arg;
	const struct server_config config = {
		.data = f->data,
		.auth = f->auth,
		.jwt = { .keys = f->keys },
		.max_body_bytes = BODY_MAX,
		.max_open = 4,
		.max_parked = PARKED_MAX,
		.max_requests = PARKED_MAX,
		.max_greedy = 1,
	};
	sigset_t term, unblocked;

	/* Blocked from here on, so that a stop that comes early is not lost. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &unblocked);
	signal(SIGTERM, stop);
	int log = open(f->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (log < 0 || dup2(log, STDERR_FILENO) < 0)
		return 1;
	close(log);
	struct table *t = table_create(f->table, 64);
	if (t == NULL)
		return 2;
	if (f->full)
		fill_table(t);
	table_worker_born(t, 0, (uint32_t)getpid());
	struct baton_key batons;
	const struct server_place place = {
		.listener = f->listener,
		.handover = handover_new(1),
		.batons = &batons,
	};
	if (place.handover == NULL || baton_key_make(&batons) < 0)
		return 4;
	struct server *s = server_new(t, NULL, &place, &config);
	if (s == NULL)
		return 3;
	server_run(s, &stopping, &unblocked);
	while (!f->impatient && server_look(s))
		poll(NULL, 0, 1);
	server_end(s);
	server_free(s);
	handover_free(place.handover);
	table_free(t);
	close(f->listener);
	return 0;
}

static void path_in(const struct fixture *f, const char *name, char *out, size_t size)
{
	int len = snprintf(out, size, "%s/%s", f->dir, name);

	assert_true(len > 0 && (size_t)len < size);
}

static void make_files(struct fixture *f)
{
	char why[JWKS_WHY_MAX];

	(void)snprintf(f->dir, sizeof f->dir, "/tmp/holdfast-server.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	path_in(f, "data", f->data, sizeof f->data);
	path_in(f, "sock", f->socket, sizeof f->socket);
	path_in(f, "key", f->key, sizeof f->key);
	path_in(f, "table", f->table, sizeof f->table);
	path_in(f, "log", f->log, sizeof f->log);
	assert_int_equal(file_make_dirs(f->data, 0700), 0);
	assert_int_equal(file_replace(f->key, secret, strlen(secret), 0600), 0);
	f->keys = jwks_read(f->key, NULL, why);
	assert_non_null(f->keys);
}

static int start(void **state, const struct fixture *how)
{
	static struct fixture f;

	f = *how;
	make_files(&f);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	assert_true(shared != MAP_FAILED);
	f.listener = client_listen(f.socket);
	f.child = child_start(run_server, &f);
	close(f.listener);
	*state = &f;
	return 0;
}

static int start_with_tokens(void **state)
{
	return start(state, &(struct fixture){ .auth = AUTH_JWT });
}

static int start_full(void **state)
{
	return start(state, &(struct fixture){ .auth = AUTH_JWT, .full = true });
}

static int start_impatient(void **state)
{
	return start(state, &(struct fixture){ .auth = AUTH_JWT, .impatient = true });
}

static int start_behind_nginx(void **state)
{
	return start(state, &(struct fixture){ .auth = AUTH_REMOTE_USER });
}

static void stop_server(struct fixture *f)
{
	if (f->child == 0)
		return;
	kill(f->child, SIGTERM);
	child_ends_well(f->child);
	f->child = 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static int finish(void **state)
{
	struct fixture *f = *state;

	stop_server(f);
	jwks_free(f->keys);
	munmap(shared, sizeof *shared);
	return nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The client. */

struct ask {
	const char *method; /* POST if NULL */
	const char *path;
	const char *user; /* whom the token is for; NULL: no token */
	const char *param[2]; /* one more */
	const char *body;
	const char *length; /* of the body if NULL */
};

static void add_token(const struct fixture *f, const char *user, struct buf *params)
{
	const struct jwt_rules rules = { .keys = f->keys };
	struct jwt_claims claims = { .expires_s = clock_wall_ms() / 1000 + 600 };
	struct buf value = BUF_INIT;

	buf_add_text(&value, "Bearer ");
	assert_int_equal(user_id_parse(user, strlen(user), &claims.user), 0);
	assert_int_equal(jwt_sign(&rules, &claims, 0, &value), 0);
	add_param(params, "HTTP_AUTHORIZATION", value.data);
	buf_release(&value);
}

static int ask_begin(const struct fixture *f, const struct ask *ask)
{
	struct buf params = BUF_INIT;
	const char *body = ask->body ? ask->body : "";
	char length[24];
	int fd = client_connect(f->socket);

	(void)snprintf(length, sizeof length, "%zu", strlen(body));
	client_begin(fd, true);
	add_param(&params, "REQUEST_METHOD", ask->method ? ask->method : "POST");
	add_param(&params, "SCRIPT_NAME", ask->path);
	add_param(&params, "QUERY_STRING", "");
	add_param(&params, "CONTENT_LENGTH", ask->length ? ask->length : length);
	if (ask->user != NULL)
		add_token(f, ask->user, &params);
	if (ask->param[0] != NULL)
		add_param(&params, ask->param[0], ask->param[1]);
	client_params(fd, &params);
	assert_true(client_stdin(fd, body, strlen(body)));
	buf_release(&params);
	return fd;
}

static int ask_status(const struct fixture *f, const struct ask *ask, struct answer *out)
{
	client_finish(ask_begin(f, ask), out);
	return answer_status(out);
}

static void wait_until_equal(_Atomic int *value, int want)
{
	int64_t until_ms = clock_mono_ms() + WAIT_MS;

	while (*value != want && clock_mono_ms() < until_ms)
		usleep(1000);
	assert_int_equal(*value, want);
}

static void assert_answers(const struct fixture *f, const char *user)
{
	const struct ask ask = { .path = "/user", .user = user, .body = "12345" };
	struct answer a;
	struct buf want = BUF_INIT;

	buf_addf(&want, "{\"user\":\"%s\",\"body\":5,\"query\":\"\"}", user);
	assert_int_equal(ask_status(f, &ask, &a), 200);
	assert_string_equal(a.body.data, want.data);
	buf_release(&want);
	answer_release(&a);
}

/* The tests. */

static void user_of_the_token_is_served(void **state)
{
	assert_answers(*state, "alice");
	assert_answers(*state, "bob");
	assert_answers(*state, "alice");
}

static void nobody_is_refused_and_told_how_to_come_in(void **state)
{
	static const struct ask asks[] = {
		{ .path = "/user" },
		{ .path = "/nowhere" },
		{ .path = "/user", .param = { "HTTP_AUTHORIZATION", "Bearer x" } },
		{ .path = "/user", .param = { "REMOTE_USER", "alice" } },
		{ .path = "/user", .length = "9999999" },
	};

	shared->status = SYNC_FAILED;
	for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
		struct answer a;
		assert_int_equal(ask_status(*state, &asks[i], &a), 401);
		assert_true(
			answer_has(&a, i == 2 ? "WWW-Authenticate: Bearer error=\"invalid_token\""
					      : "WWW-Authenticate: Bearer"));
		assert_true(answer_has(&a, "Content-Type: application/json"));
		assert_null(strstr(a.head.data, "X-Sync-Status"));
		answer_release(&a);
	}
}

static void public_route_asks_for_no_token(void **state)
{
	const struct ask ask = { .path = "/public", .method = "GET" };
	struct answer a;

	shared->status = SYNC_FAILED;
	assert_int_equal(ask_status(*state, &ask, &a), 200);
	assert_null(strstr(a.head.data, "X-Sync-Status"));
	answer_release(&a);
}

static void every_answer_to_a_known_user_carries_the_status(void **state)
{
	static const struct {
		struct ask ask;
		int status;
	} cases[] = {
		{ { .path = "/user", .user = "alice" }, 200 },
		{ { .path = "/nowhere", .user = "alice" }, 404 },
		{ { .path = "/user", .user = "alice", .length = "1" }, 400 },
		{ { .path = "/user", .user = "alice", .length = "4097" }, 413 },
		{ { .path = "/user", .user = "alice", .method = "HEAD" }, 200 },
	};
	static const struct {
		enum sync_status status;
		const char *header;
	} states[] = {
		{ SYNC_IN_STEP, NULL },
		{ SYNC_DIRTY, NULL },
		{ SYNC_FAILED, "X-Sync-Status: failed" },
		{ SYNC_CONFLICT, "X-Sync-Status: conflict" },
	};

	for (size_t i = 0; i < 20; i++) {
		struct answer a;
		shared->status = (int)states[i % 4].status;
		assert_int_equal(ask_status(*state, &cases[i / 4].ask, &a), cases[i / 4].status);
		assert_int_equal(strstr(a.head.data, "X-Sync-Status") != NULL,
				 states[i % 4].header != NULL);
		assert_true(states[i % 4].header == NULL || answer_has(&a, states[i % 4].header));
		answer_release(&a);
	}
}

static void parked_request_blocks_nobody_and_resumes(void **state)
{
	const struct ask ask = { .path = "/park", .user = "alice" };
	struct answer a;
	int fd = ask_begin(*state, &ask);

	wait_until_equal(&shared->parks, 1);
	assert_answers(*state, "alice");
	assert_answers(*state, "bob");
	assert_int_equal(shared->runs, 0);
	shared->go = 1;
	client_finish(fd, &a);
	assert_int_equal(answer_status(&a), 200);
	assert_string_equal(a.body.data, "rounds=1 go=1");
	answer_release(&a);
}

static void status_of_a_parked_request_is_that_of_its_answer(void **state)
{
	const struct ask ask = { .path = "/park", .user = "alice" };
	struct answer a;

	shared->status = SYNC_FAILED;
	int fd = ask_begin(*state, &ask);
	wait_until_equal(&shared->parks, 1);
	shared->status = SYNC_IN_STEP;
	shared->go = 1;
	client_finish(fd, &a);
	assert_int_equal(answer_status(&a), 200);
	assert_null(strstr(a.head.data, "X-Sync-Status"));
	answer_release(&a);
}

static void parked_request_is_run_at_its_deadline(void **state)
{
	const struct ask ask = { .path = "/park_shortly", .user = "alice" };
	struct answer a;
	int64_t began_ms = clock_mono_ms();

	assert_int_equal(ask_status(*state, &ask, &a), 200);
	assert_string_equal(a.body.data, "rounds=1 go=0");
	assert_true(clock_mono_ms() - began_ms >= DEADLINE_MS);
	answer_release(&a);
}

static void no_more_are_parked_than_there_is_room_for(void **state)
{
	const struct ask ask = { .path = "/park", .user = "alice" };
	struct answer a;
	int fds[PARKED_MAX];

	for (int i = 0; i < PARKED_MAX; i++) {
		fds[i] = ask_begin(*state, &ask);
		wait_until_equal(&shared->parks, i + 1);
	}
	assert_int_equal(ask_status(*state, &ask, &a), 503);
	answer_release(&a);
	shared->go = 1;
	for (int i = 0; i < PARKED_MAX; i++) {
		client_finish(fds[i], &a);
		assert_int_equal(answer_status(&a), 200);
		answer_release(&a);
	}
}

/* Its place becoming free is how one learns that it was dropped. */
static void parked_client_that_hangs_up_is_dropped_unexecuted(void **state)
{
	const struct ask ask = { .path = "/park", .user = "alice" };
	struct answer a = { 0 };

	for (int i = 0; i < PARKED_MAX; i++) {
		int fd = ask_begin(*state, &ask);
		wait_until_equal(&shared->parks, i + 1);
		close(fd);
	}
	const struct ask shortly = { .path = "/park_shortly", .user = "alice" };
	int64_t until_ms = clock_mono_ms() + WAIT_MS;
	while (ask_status(*state, &shortly, &a) != 200 && clock_mono_ms() < until_ms)
		answer_release(&a);
	assert_string_equal(a.body.data, "rounds=1 go=0");
	answer_release(&a);
	shared->go = 1;
	assert_answers(*state, "alice");
	stop_server(*state);
	assert_int_equal(shared->runs, 1);
}

static void stopping_finishes_what_was_accepted(void **state)
{
	struct fixture *f = *state;
	const struct ask ask = { .path = "/park", .user = "alice" };
	struct answer a;
	int fd = ask_begin(f, &ask);

	wait_until_equal(&shared->parks, 1);
	kill(f->child, SIGTERM);
	shared->go = 1;
	client_finish(fd, &a);
	assert_int_equal(answer_status(&a), 200);
	answer_release(&a);
	child_ends_well(f->child);
	f->child = 0;
}

static void who_waits_when_it_ends_is_answered_without(void **state)
{
	struct fixture *f = *state;
	const struct ask ask = { .path = "/park", .user = "alice" };
	struct answer a;
	int fds[PARKED_MAX];

	for (int i = 0; i < PARKED_MAX; i++) {
		fds[i] = ask_begin(f, &ask);
		wait_until_equal(&shared->parks, i + 1);
	}
	stop_server(f);
	for (int i = 0; i < PARKED_MAX; i++) {
		client_finish(fds[i], &a);
		assert_int_equal(answer_status(&a), 503);
		answer_release(&a);
	}
	assert_int_equal(shared->runs, 0);
}

static void commit_is_handed_over_when_its_answer_is_out(void **state)
{
	const struct ask ask = { .path = "/commit", .user = "alice" };
	struct answer a;

	assert_answers(*state, "alice");
	shared->hold_look = 1;
	assert_int_equal(ask_status(*state, &ask, &a), 200);
	assert_int_equal(shared->looks, 0);
	shared->go = 1;
	wait_until_equal(&shared->looks, 1);
	answer_release(&a);
}

static void nothing_a_client_sends_becomes_a_header(void **state)
{
	const char *const evil = "x\r\nX-Evil: 1\r\n\r\n";
	const struct ask asks[] = {
		{ .path = evil, .user = "alice" },
		{ .path = "/user", .user = "alice", .method = evil },
		{ .path = "/user", .user = "alice", .param = { "HTTP_ORIGIN", evil } },
		{ .path = "/user", .user = "alice", .param = { "REQUEST_ID", evil } },
		{ .path = "/user", .param = { "HTTP_AUTHORIZATION", evil } },
	};

	for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
		struct answer a;
		assert_true(ask_status(*state, &asks[i], &a) >= 200);
		assert_null(strstr(a.head.data, "Evil"));
		answer_release(&a);
	}
}

static void read_log(struct fixture *f, struct buf *out)
{
	stop_server(f);
	assert_int_equal(file_read(f->log, 1 << 20, out), FILE_OK);
}

static void log_has_a_line_per_request_and_no_secrets(void **state)
{
	struct fixture *f = *state;
	const struct ask asks[] = {
		{ .path = "/user",
		  .user = "alice",
		  .body = "secret-body",
		  .param = { "REQUEST_ID", "0123456789abcdef0123456789abcdef" } },
		{ .path = "/secret-path", .user = "alice", .method = "SECRET" },
		{ .path = "/user", .param = { "HTTP_AUTHORIZATION", "Bearer secret-token" } },
		{ .path = "/public", .param = { "REQUEST_ID", "secret status=500" } },
	};
	struct buf log = BUF_INIT;

	for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
		struct answer a;
		assert_true(ask_status(f, &asks[i], &a) >= 200);
		answer_release(&a);
	}
	read_log(f, &log);
	assert_non_null(strstr(log.data, " 0123456789abcde request.done user=alice method=POST "
					 "path=/user status=200 ms="));
	assert_non_null(strstr(log.data, "user=alice method=other path=other status=404 "));
	assert_non_null(strstr(log.data, "user=- method=POST path=/user status=401 "));
	assert_non_null(strstr(log.data, "user=- method=POST path=/public status=200 "));
	assert_null(strcasestr(log.data, "secret"));
	buf_release(&log);
}

static void only_nginx_can_name_the_user(void **state)
{
	static const struct {
		struct ask ask;
		int status;
	} cases[] = {
		{ { .path = "/user", .param = { "REMOTE_USER", "alice" } }, 200 },
		{ { .path = "/user", .param = { "HTTP_REMOTE_USER", "alice" } }, 401 },
		{ { .path = "/user", .param = { "REMOTE_USER", "" } }, 401 },
		{ { .path = "/user", .param = { "REMOTE_USER", "../alice" } }, 401 },
		{ { .path = "/user", .user = "alice" }, 401 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct answer a;
		int got = ask_status(*state, &cases[i].ask, &a);
		if (got != cases[i].status)
			fail_msg("case %zu: got %d, want %d", i, got, cases[i].status);
		answer_release(&a);
	}
}

static void user_without_a_slot_is_told_to_come_again(void **state)
{
	const struct ask ask = { .path = "/user", .user = "alice" };
	struct answer a;

	assert_int_equal(ask_status(*state, &ask, &a), 503);
	assert_true(answer_has(&a, "Retry-After: 1"));
	assert_non_null(strstr(a.body.data, "\"code\":\"BUSY\""));
	answer_release(&a);
}

#define WITH_TOKENS(test) cmocka_unit_test_setup_teardown(test, start_with_tokens, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TOKENS(user_of_the_token_is_served),
		WITH_TOKENS(nobody_is_refused_and_told_how_to_come_in),
		WITH_TOKENS(public_route_asks_for_no_token),
		WITH_TOKENS(every_answer_to_a_known_user_carries_the_status),
		WITH_TOKENS(parked_request_blocks_nobody_and_resumes),
		WITH_TOKENS(status_of_a_parked_request_is_that_of_its_answer),
		WITH_TOKENS(parked_request_is_run_at_its_deadline),
		WITH_TOKENS(no_more_are_parked_than_there_is_room_for),
		WITH_TOKENS(parked_client_that_hangs_up_is_dropped_unexecuted),
		WITH_TOKENS(stopping_finishes_what_was_accepted),
		cmocka_unit_test_setup_teardown(who_waits_when_it_ends_is_answered_without,
						start_impatient, finish),
		WITH_TOKENS(commit_is_handed_over_when_its_answer_is_out),
		WITH_TOKENS(nothing_a_client_sends_becomes_a_header),
		WITH_TOKENS(log_has_a_line_per_request_and_no_secrets),
		cmocka_unit_test_setup_teardown(user_without_a_slot_is_told_to_come_again,
						start_full, finish),
		cmocka_unit_test_setup_teardown(only_nginx_can_name_the_user, start_behind_nginx,
						finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
