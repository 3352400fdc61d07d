/*
 * A child echoes request bodies through http/fcgi.h; the tests are its nginx.
 * Each ends with a proper request, so that a child that hangs or dies of an
 * improper one is noticed.
 */
#include "http/fcgi.h"

#include "http/fcgi_client.h"

#include <signal.h>
#include <sys/mman.h>

enum { BODY_MAX = 1 << 20, WAIT_MS = 20000 };

/* Seen by both processes. */
struct shared {
	_Atomic int gone; /* bodies whose client was gone, or hung up later */
	_Atomic int waiting; /* inside a request for /wait */
};

struct fixture {
	char dir[64];
	char socket[96];
	int listener;
	pid_t child;
	struct shared *shared;
};

static volatile sig_atomic_t stopping;

static void stop(int sig)
{
	(void)sig;
	stopping = 1;
}

static void wait_for_hang_up(struct shared *shared, struct fcgi_request *r)
{
	int64_t until_ms = clock_mono_ms() + WAIT_MS;

	shared->waiting = 1;
	while (!fcgi_client_is_gone(r) && clock_mono_ms() < until_ms)
		usleep(1000);
	shared->gone += fcgi_client_is_gone(r);
	fcgi_drop(r);
}

static enum fcgi_body read_whole(struct fcgi_request *r, const char *path,
				 struct response *response)
{
	if (path == NULL || strncmp(path, "/file", 5) != 0)
		return fcgi_read_body(r, BODY_MAX, &response->body);
	response->file = spill_new(strcmp(path, "/file/nowhere") == 0 ? "/nonexistent" : "/tmp", 0);
	return fcgi_read_file(r, BODY_MAX, response->file);
}

static void echo(struct shared *shared, struct fcgi_request *r)
{
	const char *path = fcgi_param(r, "SCRIPT_NAME");
	const char *method = fcgi_param(r, "REQUEST_METHOD");
	const struct fcgi_extra extra = {
		.head_only = method != NULL && strcmp(method, "HEAD") == 0,
		.sync_status = path != NULL && strcmp(path, "/failed") == 0 ? "failed" : NULL,
	};
	struct response response = { .status = HTTP_OK, .content_type = "text/plain" };

	switch (read_whole(r, path, &response)) {
	case FCGI_BODY_WHOLE:
		break;
	case FCGI_BODY_TOO_LARGE:
		response.status = HTTP_TOO_LARGE;
		break;
	case FCGI_BODY_CUT:
		response.status = HTTP_BAD_REQUEST;
		response.retry_after_s = 7;
		break;
	case FCGI_BODY_NO_SPACE:
		response.status = HTTP_NO_SPACE;
		break;
	case FCGI_BODY_GONE:
		shared->gone++;
		fcgi_drop(r);
		goto out;
	}
	if (path != NULL && strcmp(path, "/wait") == 0)
		wait_for_hang_up(shared, r);
	else
		fcgi_answer(r, &response, &extra);
out:
	buf_release(&response.body);
	spill_free(response.file);
}

static int run_echo(void *arg)
{
	struct fixture *f = arg;
	sigset_t all, unblocked;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &unblocked);
	signal(SIGTERM, stop);
	struct fcgi *fcgi = fcgi_new(f->listener);
	if (fcgi == NULL)
		return 1;
	while (!stopping) {
		struct fcgi_request *r = fcgi_next(fcgi, -1, &unblocked);
		if (r != NULL)
			echo(f->shared, r);
	}
	fcgi_free(fcgi);
	close(f->listener);
	return 0;
}

static int start(void **state)
{
	static struct fixture f;

	(void)snprintf(f.dir, sizeof f.dir, "/tmp/holdfast-fcgi.XXXXXX");
	if (mkdtemp(f.dir) == NULL)
		return -1;
	(void)snprintf(f.socket, sizeof f.socket, "%s/sock", f.dir);
	f.shared = mmap(NULL, sizeof *f.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (f.shared == MAP_FAILED)
		return -1;
	f.listener = client_listen(f.socket);
	f.child = child_start(run_echo, &f);
	close(f.listener);
	*state = &f;
	return 0;
}

static int finish(void **state)
{
	struct fixture *f = *state;

	kill(f->child, SIGTERM);
	child_ends_well(f->child);
	unlink(f->socket);
	rmdir(f->dir);
	munmap(f->shared, sizeof *f->shared);
	return 0;
}

/* A request up to its body; `length` NULL: no CONTENT_LENGTH. */
static int open_request(const struct fixture *f, const char *method, const char *path,
			const char *length)
{
	struct buf params = BUF_INIT;
	int fd = client_connect(f->socket);

	client_begin(fd, true);
	add_param(&params, "REQUEST_METHOD", method);
	add_param(&params, "SCRIPT_NAME", path);
	if (length != NULL)
		add_param(&params, "CONTENT_LENGTH", length);
	client_params(fd, &params);
	buf_release(&params);
	return fd;
}

static void post_to(const struct fixture *f, const char *path, const char *length, const char *body,
		    size_t len, struct answer *out)
{
	int fd = open_request(f, "POST", path, length);

	(void)client_stdin(fd, body, len);
	client_finish(fd, out);
}

static void post(const struct fixture *f, const char *length, const char *body, size_t len,
		 struct answer *out)
{
	post_to(f, "/", length, body, len, out);
}

static void assert_still_serving(const struct fixture *f)
{
	struct answer a;

	post(f, "2", "ok", 2, &a);
	assert_int_equal(answer_status(&a), 200);
	assert_string_equal(a.body.data, "ok");
	answer_release(&a);
}

static void wait_until_at_least(_Atomic int *value, int want)
{
	int64_t until_ms = clock_mono_ms() + WAIT_MS;

	while (*value < want && clock_mono_ms() < until_ms)
		usleep(1000);
	assert_true(*value >= want);
}

static char *patterned(size_t len)
{
	char *bytes = malloc(len + 1);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
	return bytes;
}

static void body_of_any_size_arrives_and_returns_exactly(void **state)
{
	static const size_t sizes[] = { 0,     1,     8184,  8192,   16383,	   16384,
					16385, 65535, 65536, 300000, BODY_MAX - 1, BODY_MAX };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		char *body = patterned(sizes[i]);
		char length[32], header[64];
		struct answer a;
		(void)snprintf(length, sizeof length, "%zu", sizes[i]);
		(void)snprintf(header, sizeof header, "Content-Length: %zu", sizes[i]);
		post(*state, length, body, sizes[i], &a);
		assert_int_equal(answer_status(&a), 200);
		assert_true(answer_has(&a, header));
		assert_int_equal(a.body.len, sizes[i]);
		assert_true(sizes[i] == 0 || memcmp(a.body.data, body, sizes[i]) == 0);
		answer_release(&a);
		free(body);
	}
}

static void body_may_go_to_a_file(void **state)
{
	static const struct {
		const char *path, *length;
		size_t len;
		int status;
	} cases[] = {
		{ "/file", "1", 1, 200 },
		{ "/file", "16384", 16384, 200 },
		{ "/file", "300000", 300000, 200 },
		{ "/file", "1048576", BODY_MAX, 200 },
		{ "/file", "1048577", BODY_MAX + 1, 413 },
		{ "/file", "10", BODY_MAX + 1, 413 },
		{ "/file", "300000", 299999, 400 },
		{ "/file", "300000", 300001, 400 },
		{ "/file/nowhere", "300000", 300000, 507 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *body = patterned(cases[i].len);
		struct answer a;
		post_to(*state, cases[i].path, cases[i].length, body, cases[i].len, &a);
		if (answer_status(&a) != cases[i].status)
			fail_msg("case %zu: got %d", i, answer_status(&a));
		if (cases[i].status == 200) {
			assert_int_equal(a.body.len, cases[i].len);
			assert_memory_equal(a.body.data, body, cases[i].len);
		}
		answer_release(&a);
		free(body);
	}
	assert_still_serving(*state);
}

static void answer_has_its_headers(void **state)
{
	struct answer a;

	post(*state, "2", "ok", 2, &a);
	assert_true(answer_has(&a, "Content-Type: text/plain"));
	assert_true(answer_has(&a, "Cache-Control: no-store"));
	assert_null(strstr(a.head.data, "X-Sync-Status"));
	assert_null(strstr(a.head.data, "Retry-After"));
	answer_release(&a);

	int fd = open_request(*state, "GET", "/failed", NULL);
	assert_true(client_stdin(fd, "", 0));
	client_finish(fd, &a);
	assert_int_equal(answer_status(&a), 200);
	assert_true(answer_has(&a, "X-Sync-Status: failed"));
	answer_release(&a);
}

static void head_is_answered_with_a_length_and_no_body(void **state)
{
	struct answer a;
	int fd = open_request(*state, "HEAD", "/", "5");

	assert_true(client_stdin(fd, "hello", 5));
	client_finish(fd, &a);
	assert_int_equal(answer_status(&a), 200);
	assert_true(answer_has(&a, "Content-Length: 5"));
	assert_int_equal(a.body.len, 0);
	answer_release(&a);
}

static void body_that_is_not_as_announced_is_refused(void **state)
{
	static const struct {
		const char *length;
		const char *body;
	} cases[] = {
		{ "100", "sixty" },
		{ "1", "" },
		{ "2", "more" },
		{ "0", "x" },
		{ NULL, "x" },
		{ "-1", "x" },
		{ "0x1", "x" },
		{ " 1", "x" },
		{ "1 ", "x" },
		{ "1,1", "x" },
		{ "99999999999999999999", "x" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct answer a;
		post(*state, cases[i].length, cases[i].body, strlen(cases[i].body), &a);
		if (answer_status(&a) != 400)
			fail_msg("case %zu: got %d, want 400", i, answer_status(&a));
		assert_true(answer_has(&a, "Retry-After: 7"));
		answer_release(&a);
	}
	assert_still_serving(*state);
}

static void body_beyond_the_limit_is_read_and_refused(void **state)
{
	static const struct {
		const char *length;
		size_t len;
	} cases[] = {
		{ "1048577", BODY_MAX + 1 }, { "3145728", 3 * BODY_MAX }, { "1048577", 5 },
		{ "10", BODY_MAX + 1 },	     { "999999999999999999", 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char *body = patterned(cases[i].len);
		struct answer a;
		post(*state, cases[i].length, body, cases[i].len, &a);
		if (answer_status(&a) != 413)
			fail_msg("case %zu: got %d, want 413", i, answer_status(&a));
		answer_release(&a);
		free(body);
	}
	assert_still_serving(*state);
}

static void endless_body_is_not_read_for_ever(void **state)
{
	int fd = open_request(*state, "POST", "/", "1073741824");
	char *part = patterned(RECORD_MAX);
	size_t sent = 0;

	while (sent < (size_t)1 << 30 && client_record(fd, RECORD_STDIN, part, RECORD_MAX))
		sent += RECORD_MAX;
	assert_true(sent < (size_t)64 << 20);
	close(fd);
	free(part);
	assert_still_serving(*state);
}

static void request_without_parameters_is_served(void **state)
{
	const struct fixture *f = *state;
	struct buf none = BUF_INIT;
	struct answer a;
	int fd = client_connect(f->socket);

	client_begin(fd, true);
	client_params(fd, &none);
	assert_true(client_stdin(fd, "", 0));
	client_finish(fd, &a);
	assert_int_equal(answer_status(&a), 200);
	answer_release(&a);
}

static void connection_is_closed_after_the_answer_whatever_was_asked(void **state)
{
	const struct fixture *f = *state;

	for (int keep = 0; keep < 2; keep++) {
		struct buf none = BUF_INIT;
		struct answer a;
		int fd = client_connect(f->socket);
		int64_t began_ms = clock_mono_ms();
		client_begin(fd, keep);
		client_params(fd, &none);
		assert_true(client_stdin(fd, "", 0));
		client_finish(fd, &a);
		assert_true(a.ended);
		assert_true(clock_mono_ms() - began_ms < 1500);
		answer_release(&a);
	}
}

static void garbage_is_hung_up_on_at_once(void **state)
{
	const struct fixture *f = *state;
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27 },
		/* BEGIN of version 9, with a short body, of an unknown role, of request 0. */
		{ "\x09\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00", 16 },
		{ "\x01\x01\x00\x01\x00\x04\x00\x00\x00\x01\x01\x00", 12 },
		{ "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x63\x01\x00\x00\x00\x00\x00", 16 },
		{ "\x01\x01\x00\x00\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00", 16 },
		/* A BEGIN, then parameters whose lengths say more than there is. */
		{ "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"
		  "\x01\x04\x00\x01\x00\x04\x00\x00\x20\x20xy"
		  "\x01\x04\x00\x01\x00\x00\x00\x00",
		  36 },
		/* ... one length only. */
		{ "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"
		  "\x01\x04\x00\x01\x00\x01\x00\x00\x20"
		  "\x01\x04\x00\x01\x00\x00\x00\x00",
		  33 },
		/* ... and a body where parameters belong. */
		{ "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00"
		  "\x01\x05\x00\x01\x00\x01\x00\x00x",
		  25 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct answer a;
		int fd = client_connect(f->socket);
		int64_t began_ms = clock_mono_ms();
		assert_true(client_send(fd, cases[i].bytes, cases[i].len));
		client_finish(fd, &a);
		if (a.ended || clock_mono_ms() - began_ms > 1500)
			fail_msg("case %zu was not hung up on", i);
		answer_release(&a);
	}
	assert_still_serving(f);
}

static void abort_in_the_middle_of_a_body_drops_the_request(void **state)
{
	struct fixture *f = *state;
	struct answer a;
	int gone = f->shared->gone;
	int fd = open_request(f, "POST", "/", "10");

	assert_true(client_record(fd, RECORD_STDIN, "half", 4));
	assert_true(client_record(fd, RECORD_ABORT, "", 0));
	client_finish(fd, &a);
	assert_false(a.ended);
	answer_release(&a);
	wait_until_at_least(&f->shared->gone, gone + 1);
	assert_still_serving(f);
}

static void client_that_hangs_up_anywhere_harms_nobody(void **state)
{
	struct fixture *f = *state;
	int gone = f->shared->gone;

	close(client_connect(f->socket));
	int fd = client_connect(f->socket);
	client_begin(fd, true);
	close(fd);
	fd = client_connect(f->socket);
	client_begin(fd, true);
	assert_true(client_send(fd, "\x01\x04\x00\x01\x00\x50\x00\x00\x04\x04", 10));
	close(fd);
	fd = open_request(f, "POST", "/", "100000");
	assert_true(client_record(fd, RECORD_STDIN, "half", 4));
	close(fd);
	wait_until_at_least(&f->shared->gone, gone + 1);
	assert_still_serving(f);
}

/* More than the socket's buffers hold, so the echo meets a closed connection. */
static void client_that_does_not_take_its_answer_harms_nobody(void **state)
{
	char *body = patterned(BODY_MAX);
	int fd = open_request(*state, "POST", "/", "1048576");

	assert_true(client_stdin(fd, body, BODY_MAX));
	close(fd);
	free(body);
	assert_still_serving(*state);
}

static void hang_up_is_noticed_while_the_request_waits(void **state)
{
	struct fixture *f = *state;
	int gone = f->shared->gone;
	int fd = open_request(f, "POST", "/wait", NULL);

	assert_true(client_stdin(fd, "", 0));
	wait_until_at_least(&f->shared->waiting, 1);
	assert_int_equal(f->shared->gone, gone);
	close(fd);
	wait_until_at_least(&f->shared->gone, gone + 1);
	assert_still_serving(f);
}

static void half_a_record_does_not_hold_the_worker_for_ever(void **state)
{
	const struct fixture *f = *state;
	int fd = client_connect(f->socket);

	client_begin(fd, true);
	assert_true(client_send(fd, "\x01\x04\x00", 3));
	assert_still_serving(f);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_of_any_size_arrives_and_returns_exactly),
		cmocka_unit_test(body_may_go_to_a_file),
		cmocka_unit_test(answer_has_its_headers),
		cmocka_unit_test(head_is_answered_with_a_length_and_no_body),
		cmocka_unit_test(body_that_is_not_as_announced_is_refused),
		cmocka_unit_test(body_beyond_the_limit_is_read_and_refused),
		cmocka_unit_test(endless_body_is_not_read_for_ever),
		cmocka_unit_test(request_without_parameters_is_served),
		cmocka_unit_test(connection_is_closed_after_the_answer_whatever_was_asked),
		cmocka_unit_test(garbage_is_hung_up_on_at_once),
		cmocka_unit_test(abort_in_the_middle_of_a_body_drops_the_request),
		cmocka_unit_test(client_that_hangs_up_anywhere_harms_nobody),
		cmocka_unit_test(client_that_does_not_take_its_answer_harms_nobody),
		cmocka_unit_test(hang_up_is_noticed_while_the_request_waits),
		cmocka_unit_test(half_a_record_does_not_hold_the_worker_for_ever),
	};

	return cmocka_run_group_tests(tests, start, finish);
}
