/*
 * The s3 store against a server that does as a script says, one reply per
 * request, the last one for all that follow.
 */
#include "store/object.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { SILENCE_MS = 300, SLACK_MS = 300, REQUESTS_MAX = 64, BIG = 3 << 20 };

enum act {
	ANSWER, /* read the request, send `answer`, close when it says so */
	RESET, /* read the request, send `answer`, reset */
	SILENT, /* read the request, send `answer`, nothing more */
	DEAF, /* accept and not even read */
	SLOW_READER, /* read a little at a time, with pauses; then send `answer` */
	SLOWER_READER, /* the same with longer pauses */
	BABBLE, /* send `answer` before a request came, and close */
	DRIBBLE, /* send `answer` a little at a time, with pauses */
};

struct reply {
	enum act act;
	const char *answer;
};

struct connection {
	struct fake *fake;
	pthread_t thread;
	int fd; /* -1 once closed, else open until stop_fake() */
};

struct fake {
	int listener;
	int quit[2];
	pthread_t thread;
	char endpoint[64];
	const struct reply *replies;
	int nreplies;
	pthread_mutex_t lock; /* for the connections' fd and for nrequests */
	struct connection connections[REQUESTS_MAX];

	/* What the threads saw; read after stop_fake(). */
	int nrequests, nconnections;
	struct buf head[REQUESTS_MAX];
	size_t body_len[REQUESTS_MAX];
};

static void send_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static size_t length_in(const char *head)
{
	const char *field = strcasestr(head, "\r\nContent-Length: ");

	return field != NULL ? strtoul(field + strlen("\r\nContent-Length: "), NULL, 10) : 0;
}

/* False when the connection ended before a whole request was there. */
static bool read_request(int fd, enum act act, struct buf *head, size_t *body_len)
{
	char part[16384];
	char *end = NULL;

	*body_len = 0;
	do {
		ssize_t n = recv(fd, part, sizeof part, 0);
		if (n <= 0)
			return false;
		if (end != NULL) {
			*body_len += (size_t)n;
		} else {
			buf_add(head, part, (size_t)n);
			end = strstr(head->data, "\r\n\r\n");
			if (end != NULL)
				*body_len = head->len - (size_t)(end + 4 - head->data);
		}
		if (act == SLOW_READER)
			poll(NULL, 0, 5);
		if (act == SLOWER_READER)
			poll(NULL, 0, 40);
	} while (end == NULL || *body_len < length_in(head->data));
	end[2] = '\0';
	return true;
}

static const struct reply *reply_to(const struct fake *f, int request)
{
	return &f->replies[request < f->nreplies ? request : f->nreplies - 1];
}

/* The reply to a request that came whole; NULL at the end of the connection. */
static const struct reply *next_request(struct fake *f, int fd)
{
	struct buf head = BUF_INIT;
	size_t body_len;
	const struct reply *reply = NULL;

	if (read_request(fd, reply_to(f, 0)->act, &head, &body_len)) {
		pthread_mutex_lock(&f->lock);
		int i = f->nrequests < REQUESTS_MAX - 1 ? f->nrequests++ : REQUESTS_MAX - 1;
		pthread_mutex_unlock(&f->lock);
		buf_release(&f->head[i]);
		f->head[i] = head;
		f->body_len[i] = body_len;
		reply = reply_to(f, i);
	} else {
		buf_release(&head);
	}
	return reply;
}

static void say(int fd, const struct reply *reply)
{
	if (reply->act != DRIBBLE) {
		send_all(fd, reply->answer, strlen(reply->answer));
		return;
	}
	for (const char *p = reply->answer; *p != '\0'; p++) {
		send_all(fd, p, 1);
		poll(NULL, 0, 10);
	}
}

static void hang_up(struct connection *c, bool reset)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	pthread_mutex_lock(&c->fake->lock);
	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(c->fd);
	c->fd = -1;
	pthread_mutex_unlock(&c->fake->lock);
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	enum act first = reply_to(c->fake, 0)->act;

	if (first == BABBLE) {
		say(c->fd, reply_to(c->fake, 0));
		shutdown(c->fd, SHUT_WR);
	}
	if (first == BABBLE || first == DEAF)
		return NULL;
	for (;;) {
		const struct reply *reply = next_request(c->fake, c->fd);
		if (reply == NULL)
			return NULL;
		say(c->fd, reply);
		if (reply->act == SILENT)
			return NULL;
		if (reply->act == RESET || strstr(reply->answer, "Connection: close") != NULL ||
		    strncmp(reply->answer, "HTTP/1.1 ", 9) != 0) {
			hang_up(c, reply->act == RESET);
			return NULL;
		}
	}
}

static void *run_fake(void *arg)
{
	struct fake *f = arg;

	for (;;) {
		struct pollfd fds[] = { { .fd = f->listener, .events = POLLIN },
					{ .fd = f->quit[0], .events = POLLIN } };
		poll(fds, 2, -1);
		if (fds[1].revents != 0 || f->nconnections == REQUESTS_MAX)
			return NULL;
		int fd = accept(f->listener, NULL, NULL);
		if (fd < 0)
			continue;
		struct connection *c = &f->connections[f->nconnections++];
		c->fake = f;
		c->fd = fd;
		if (pthread_create(&c->thread, NULL, serve, c) != 0)
			abort();
	}
}

static struct fake *start_fake(const struct reply *replies, int nreplies)
{
	struct fake *f = alloc_zeroed(1, sizeof *f);
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	int small = 32 * 1024, segment = 1400;

	f->replies = replies;
	f->nreplies = nreplies;
	assert_int_equal(pthread_mutex_init(&f->lock, NULL), 0);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(f->listener >= 0);
	/* So that a slow reader is slow for the sender too, and evenly so. */
	setsockopt(f->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	setsockopt(f->listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(f->listener, 64), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&address, &len), 0);
	(void)snprintf(f->endpoint, sizeof f->endpoint, "http://127.0.0.1:%d/base",
		       ntohs(address.sin_port));
	assert_int_equal(pipe(f->quit), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run_fake, f), 0);
	return f;
}

static void stop_fake(struct fake *f)
{
	close(f->quit[1]);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	close(f->quit[0]);
	close(f->listener);
	for (int i = 0; i < f->nconnections; i++) {
		struct connection *c = &f->connections[i];

		pthread_mutex_lock(&f->lock);
		if (c->fd >= 0)
			shutdown(c->fd, SHUT_RDWR);
		pthread_mutex_unlock(&f->lock);
		assert_int_equal(pthread_join(c->thread, NULL), 0);
		if (c->fd >= 0)
			close(c->fd);
	}
}

static void free_fake(struct fake *f)
{
	for (int i = 0; i < REQUESTS_MAX; i++)
		buf_release(&f->head[i]);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static struct store *open_store(char *endpoint, int max_transfers)
{
	static char url[] = "s3://holdfast/pre", region[] = "auto";
	static char access[] = "access", secret[] = "sesame";
	struct store_config c = {
		.url = url,
		.endpoint = endpoint,
		.region = region,
		.access_key = access,
		.secret_key = secret,
		.limits = { .connect_ms = 500,
			    .silence_ms = SILENCE_MS,
			    .max_transfers = max_transfers },
	};
	char why[256] = "";
	struct store *s = store_new(&c, why, sizeof why);

	if (s == NULL)
		fail_msg("%s", why);
	return s;
}

/* A request with a body of `body_len` bytes and an empty answer. */
static struct object_request request(enum object_verb verb, const char *key, size_t body_len)
{
	struct object_request r = { .verb = verb };
	char *body = alloc_zeroed(1, body_len + 1);

	(void)snprintf(r.key, sizeof r.key, "%s", key);
	r.body = spill_new("/tmp", BIG);
	r.answer = spill_new("/tmp", BIG);
	assert_int_equal(spill_add(r.body, body, body_len), 0);
	free(body);
	return r;
}

static void release(struct object_request *r)
{
	spill_free(r->body);
	spill_free(r->answer);
	object_listing_release(&r->listing);
}

struct row {
	enum object_verb verb;
	uint64_t range_len;
	struct reply reply;
	enum object_result result;
	enum object_error error;
	int status;
	int64_t retry_after_ms;
};

static void assert_row(const struct row *row)
{
	struct fake *f = start_fake(&row->reply, 1);
	struct store *s = open_store(f->endpoint, 4);
	struct object_request r = request(row->verb, "u/a", 1000);

	r.range_len = row->range_len;
	store_do(s, &r);
	store_free(s);
	stop_fake(f);
	if (r.result != row->result || r.error != row->error || r.status != row->status ||
	    r.retry_after_ms != row->retry_after_ms)
		fail_msg("verb %d, '%s': got %d/%s status %d retry %lld, want %d/%s", (int)r.verb,
			 row->reply.answer, (int)r.result, object_error_name[r.error], r.status,
			 (long long)r.retry_after_ms, (int)row->result,
			 object_error_name[row->error]);
	release(&r);
	free_fake(f);
}

#define LEN(n) "Content-Length: " #n "\r\n"
#define CLOSE "Connection: close\r\n"
#define OK_EMPTY "HTTP/1.1 200 OK\r\n" LEN(0) "\r\n"
#define OK_5 "HTTP/1.1 200 OK\r\n" LEN(5) "\r\n"
#define NO_KEY CLOSE "\r\n<Error><Code>NoSuchKey</Code></Error>"
#define LIST_HEAD "HTTP/1.1 200 OK\r\n" CLOSE "\r\n<ListBucketResult>"
#define LIST_LAST "<IsTruncated>false</IsTruncated></ListBucketResult>"
#define ENTRY(key) "<Contents><Key>" key "</Key><Size>7</Size></Contents>"

static void answer_to_a_create_is_judged(void **state)
{
	static const struct row rows[] = {
		{ OBJECT_CREATE, 0, { ANSWER, OK_EMPTY }, OBJECT_OK, ERROR_NONE, 200, 0 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 412 No\r\n" LEN(0) "\r\n" },
		  OBJECT_TAKEN,
		  ERROR_NONE,
		  412,
		  0 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 403 No\r\n" LEN(0) "\r\n" },
		  OBJECT_REFUSED,
		  ERROR_CREDENTIALS,
		  403,
		  0 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 403 No\r\n" CLOSE
			    "\r\n<Error><Code>RequestTimeTooSkewed</Code></Error>" },
		  OBJECT_REFUSED,
		  ERROR_CLOCK,
		  403,
		  0 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 503 No\r\nRetry-After: 7\r\n" LEN(0) "\r\n" },
		  OBJECT_TRY_LATER,
		  ERROR_THROTTLED,
		  503,
		  7000 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 503 No\r\nRetry-After: 999999\r\n" LEN(0) "\r\n" },
		  OBJECT_TRY_LATER,
		  ERROR_THROTTLED,
		  503,
		  3600000 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 429 No\r\nRetry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n" LEN(
				    0) "\r\n" },
		  OBJECT_TRY_LATER,
		  ERROR_THROTTLED,
		  429,
		  3600000 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 503 No\r\nRetry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n" LEN(
				    0) "\r\n" },
		  OBJECT_TRY_LATER,
		  ERROR_THROTTLED,
		  503,
		  0 },
		/* libcurl takes these for a 200. */
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 \r\n" LEN(0) "\r\n" },
		  OBJECT_UNKNOWN,
		  ERROR_BROKEN,
		  0,
		  0 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "Http/1.1 503 No\r\n" LEN(0) "\r\n" },
		  OBJECT_UNKNOWN,
		  ERROR_BROKEN,
		  0,
		  0 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 503 No\r\n" LEN(0) "\r\n" },
		  OBJECT_UNKNOWN,
		  ERROR_THROTTLED,
		  503,
		  0 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 502 No\r\n" CLOSE "\r\n<html>oh</html>" },
		  OBJECT_UNKNOWN,
		  ERROR_SERVER,
		  502,
		  0 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER,
		    "HTTP/1.1 404 No\r\n" CLOSE "\r\n<Error><Code>NoSuchBucket</Code></Error>" },
		  OBJECT_REFUSED,
		  ERROR_CONFIG,
		  404,
		  0 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "HTTP/1.1 301 No\r\nLocation: http://127.0.0.1:1/\r\n" LEN(0) "\r\n" },
		  OBJECT_REFUSED,
		  ERROR_CONFIG,
		  301,
		  0 },
		{ OBJECT_CREATE,
		  0,
		  { ANSWER, "\x16\x03 this is not http\r\n\r\n" },
		  OBJECT_UNKNOWN,
		  ERROR_BROKEN,
		  0,
		  0 },
		{ OBJECT_CREATE, 0, { ANSWER, "" }, OBJECT_UNKNOWN, ERROR_BROKEN, 0, 0 },
		{ OBJECT_CREATE, 0, { ANSWER, "HTTP/1.1" }, OBJECT_UNKNOWN, ERROR_BROKEN, 0, 0 },
		{ OBJECT_CREATE, 0, { RESET, "" }, OBJECT_UNKNOWN, ERROR_BROKEN, 0, 0 },
		{ OBJECT_CREATE, 0, { SILENT, "" }, OBJECT_UNKNOWN, ERROR_TIMEOUT, 0, 0 },
		{ OBJECT_CREATE,
		  0,
		  { SILENT, "HTTP/1.1 100 Continue\r\n\r\n" },
		  OBJECT_UNKNOWN,
		  ERROR_TIMEOUT,
		  0,
		  0 },
		{ OBJECT_CREATE,
		  0,
		  { SILENT, "HTTP/1.1 200 OK\r\n" },
		  OBJECT_UNKNOWN,
		  ERROR_TIMEOUT,
		  200,
		  0 },
		{ OBJECT_CREATE, 0, { DEAF, "" }, OBJECT_UNKNOWN, ERROR_TIMEOUT, 0, 0 },
		{ OBJECT_PROBE_PUT, 0, { ANSWER, OK_EMPTY }, OBJECT_OK, ERROR_NONE, 200, 0 },
		{ OBJECT_DELETE,
		  0,
		  { ANSWER, "HTTP/1.1 204 Gone\r\n\r\n" },
		  OBJECT_OK,
		  ERROR_NONE,
		  204,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_row(&rows[i]);
}

static void answer_to_a_get_is_judged(void **state)
{
	static const struct row rows[] = {
		{ OBJECT_GET, 0, { ANSWER, OK_5 "12345" }, OBJECT_OK, ERROR_NONE, 200, 0 },
		{ OBJECT_GET, 0, { ANSWER, OK_EMPTY }, OBJECT_OK, ERROR_NONE, 200, 0 },
		{ OBJECT_GET, 0, { RESET, OK_5 "123" }, OBJECT_UNKNOWN, ERROR_BROKEN, 200, 0 },
		{ OBJECT_GET,
		  0,
		  { ANSWER, "HTTP/1.1 200 OK\r\n" CLOSE LEN(5) "\r\n123" },
		  OBJECT_UNKNOWN,
		  ERROR_BROKEN,
		  200,
		  0 },
		{ OBJECT_GET, 0, { SILENT, OK_5 "123" }, OBJECT_UNKNOWN, ERROR_TIMEOUT, 200, 0 },
		{ OBJECT_GET,
		  0,
		  { ANSWER, "HTTP/1.1 200 OK\r\n" CLOSE "\r\n12345" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  200,
		  0 },
		{ OBJECT_GET,
		  0,
		  { ANSWER, "HTTP/1.1 200 OK\r\n" CLOSE "\r\n" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  200,
		  0 },
		{ OBJECT_GET,
		  0,
		  { ANSWER, "HTTP/1.1 200 OK\r\n" CLOSE LEN(99999999999999) "\r\n123" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  200,
		  0 },
		{ OBJECT_GET,
		  0,
		  { ANSWER,
		    "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-4/9\r\n" CLOSE LEN(5) "\r\n12345" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  206,
		  0 },
		{ OBJECT_GET,
		  0,
		  { ANSWER, "HTTP/1.1 404 No\r\n" NO_KEY },
		  OBJECT_ABSENT,
		  ERROR_NONE,
		  404,
		  0 },
		{ OBJECT_GET,
		  0,
		  { ANSWER, "HTTP/1.1 404 No\r\n" LEN(0) "\r\n" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  404,
		  0 },
		{ OBJECT_GET,
		  0,
		  { ANSWER, "HTTP/1.1 404 No\r\n" CLOSE "\r\n<html>NoSuchKey</html>" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  404,
		  0 },
		{ OBJECT_GET,
		  0,
		  { ANSWER, "HTTP/1.1 404 No\r\n" CLOSE "\r\n<Error><Code>NoSuchKey</Code>" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  404,
		  0 },
		{ OBJECT_GET,
		  0,
		  { ANSWER,
		    "HTTP/1.1 404 No\r\n" CLOSE "\r\n<Error><Code>NoSuchBucket</Code></Error>" },
		  OBJECT_REFUSED,
		  ERROR_CONFIG,
		  404,
		  0 },
		{ OBJECT_GET,
		  5,
		  { ANSWER,
		    "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-4/9\r\n" LEN(5) "\r\n12345" },
		  OBJECT_OK,
		  ERROR_NONE,
		  206,
		  0 },
		{ OBJECT_GET,
		  9,
		  { ANSWER,
		    "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-4/5\r\n" LEN(5) "\r\n12345" },
		  OBJECT_OK,
		  ERROR_NONE,
		  206,
		  0 },
		{ OBJECT_GET,
		  5,
		  { ANSWER,
		    "HTTP/1.1 206 OK\r\nContent-Range: bytes 4-8/9\r\n" CLOSE LEN(5) "\r\n12345" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  206,
		  0 },
		{ OBJECT_GET,
		  5,
		  { ANSWER, "HTTP/1.1 206 OK\r\n" CLOSE LEN(5) "\r\n12345" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  206,
		  0 },
		{ OBJECT_GET,
		  4,
		  { ANSWER,
		    "HTTP/1.1 206 OK\r\nContent-Range: bytes 0-4/9\r\n" CLOSE LEN(5) "\r\n12345" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  206,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_row(&rows[i]);
}

static void answer_to_a_list_is_judged(void **state)
{
	static const struct row rows[] = {
		{ OBJECT_LIST,
		  0,
		  { ANSWER, LIST_HEAD ENTRY("pre/u/a1") LIST_LAST },
		  OBJECT_OK,
		  ERROR_NONE,
		  200,
		  0 },
		{ OBJECT_LIST,
		  0,
		  { ANSWER, LIST_HEAD LIST_LAST },
		  OBJECT_ABSENT,
		  ERROR_NONE,
		  200,
		  0 },
		{ OBJECT_LIST, 0, { ANSWER, LIST_HEAD }, OBJECT_DAMAGED, ERROR_DAMAGED, 200, 0 },
		{ OBJECT_LIST,
		  0,
		  { ANSWER, "HTTP/1.1 200 OK\r\n" CLOSE "\r\n<html></html>" },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  200,
		  0 },
		{ OBJECT_LIST, 0, { ANSWER, OK_EMPTY }, OBJECT_DAMAGED, ERROR_DAMAGED, 200, 0 },
		{ OBJECT_LIST,
		  0,
		  { ANSWER, LIST_HEAD ENTRY("pre/u/b") LIST_LAST },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  200,
		  0 },
		{ OBJECT_LIST,
		  0,
		  { ANSWER,
		    "HTTP/1.1 404 No\r\n" CLOSE "\r\n<Error><Code>NoSuchBucket</Code></Error>" },
		  OBJECT_REFUSED,
		  ERROR_CONFIG,
		  404,
		  0 },
		{ OBJECT_LIST,
		  0,
		  { ANSWER, "HTTP/1.1 404 No\r\n" NO_KEY },
		  OBJECT_DAMAGED,
		  ERROR_DAMAGED,
		  404,
		  0 },
		{ OBJECT_LIST,
		  0,
		  { ANSWER, "HTTP/1.1 500 No\r\n" LEN(0) "\r\n" },
		  OBJECT_UNKNOWN,
		  ERROR_SERVER,
		  500,
		  0 },
		{ OBJECT_LIST, 0, { SILENT, LIST_HEAD }, OBJECT_UNKNOWN, ERROR_TIMEOUT, 200, 0 },
		{ OBJECT_LIST,
		  0,
		  { RESET, "HTTP/1.1 200 OK\r\n" LEN(5000) "\r\n<ListBucketResult>" },
		  OBJECT_UNKNOWN,
		  ERROR_BROKEN,
		  200,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_row(&rows[i]);
}

static void create_says_what_it_must_and_nothing_else(void **state)
{
	static const struct reply replies[] = { { ANSWER, OK_EMPTY } };
	struct fake *f = start_fake(replies, 1);
	struct store *s = open_store(f->endpoint, 4);
	struct object_request r = request(OBJECT_CREATE, "u/a b", BIG);

	(void)state;
	assert_int_equal(store_do(s, &r), OBJECT_OK);
	assert_int_equal(store_do(s, &r), OBJECT_OK);
	store_free(s);
	stop_fake(f);
	const char *head = f->head[0].data;
	assert_int_equal(strncmp(head, "PUT /base/holdfast/pre/u/a%20b HTTP/1.1\r\n", 41), 0);
	assert_non_null(strstr(head, "\r\nIf-None-Match: *\r\n"));
	assert_non_null(strstr(head, "\r\nContent-Length: 3145728\r\n"));
	assert_non_null(strstr(head, "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=access/"));
	assert_null(strstr(head, "Expect"));
	assert_null(strstr(head, "Transfer-Encoding"));
	assert_null(strstr(head, "sesame"));
	assert_int_equal(f->body_len[0], BIG);
	/* Each on a connection of its own, although the server would have kept it. */
	assert_int_equal(f->nrequests, 2);
	assert_int_equal(f->nconnections, 2);
	release(&r);
	free_fake(f);
}

static void probe_is_not_conditional(void **state)
{
	static const struct reply replies[] = { { ANSWER, OK_EMPTY } };
	struct fake *f = start_fake(replies, 1);
	struct store *s = open_store(f->endpoint, 4);
	struct object_request r = request(OBJECT_PROBE_PUT, "probe", 0);

	(void)state;
	assert_int_equal(store_do(s, &r), OBJECT_OK);
	store_free(s);
	stop_fake(f);
	assert_null(strstr(f->head[0].data, "If-None-Match"));
	assert_non_null(strstr(f->head[0].data, "\r\nContent-Length: 0\r\n"));
	release(&r);
	free_fake(f);
}

static void create_is_never_sent_twice_by_itself(void **state)
{
	static const struct reply replies[] = { { ANSWER, OK_5 "12345" },
						{ RESET, "" },
						{ ANSWER, OK_EMPTY } };
	struct fake *f = start_fake(replies, 3);
	struct store *s = open_store(f->endpoint, 4);
	struct object_request get = request(OBJECT_GET, "u/a", 0);
	struct object_request put = request(OBJECT_CREATE, "u/a", 100);

	(void)state;
	assert_int_equal(store_do(s, &get), OBJECT_OK);
	assert_int_equal(store_do(s, &put), OBJECT_UNKNOWN);
	store_free(s);
	stop_fake(f);
	assert_int_equal(f->nrequests, 2);
	release(&get);
	release(&put);
	free_fake(f);
}

static void gets_share_a_connection(void **state)
{
	static const struct reply replies[] = { { ANSWER, OK_5 "12345" } };
	struct fake *f = start_fake(replies, 1);
	struct store *s = open_store(f->endpoint, 4);

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct object_request r = request(OBJECT_GET, "u/a", 0);
		char got[6] = "";

		r.range_len = 100;
		assert_int_equal(store_do(s, &r), OBJECT_OK);
		assert_int_equal(spill_read(r.answer, 0, got, 5), 5);
		assert_string_equal(got, "12345");
		release(&r);
	}
	store_free(s);
	stop_fake(f);
	assert_non_null(strstr(f->head[0].data, "\r\nRange: bytes=0-99\r\n"));
	assert_int_equal(f->nrequests, 3);
	assert_int_equal(f->nconnections, 1);
	free_fake(f);
}

static void whole_object_in_place_of_a_range_is_cut(void **state)
{
	static const struct reply replies[] = { { ANSWER, OK_5 "12345" } };
	struct fake *f = start_fake(replies, 1);
	struct store *s = open_store(f->endpoint, 4);
	struct object_request r = request(OBJECT_GET, "u/a", 0);
	char got[6] = "";

	(void)state;
	r.range_len = 3;
	assert_int_equal(store_do(s, &r), OBJECT_OK);
	assert_int_equal(spill_len(r.answer), 3);
	assert_int_equal(spill_read(r.answer, 0, got, 5), 3);
	assert_string_equal(got, "123");
	store_free(s);
	stop_fake(f);
	release(&r);
	free_fake(f);
}

static void list_follows_its_pages(void **state)
{
	static const struct reply replies[] = {
		{ ANSWER,
		  LIST_HEAD "<IsTruncated>true</IsTruncated><NextContinuationToken>a+b/=&gt;"
			    "</NextContinuationToken>" ENTRY("pre/u/a") "</ListBucketResult>" },
		{ ANSWER, LIST_HEAD "<IsTruncated>true</IsTruncated><NextContinuationToken>c"
				    "</NextContinuationToken></ListBucketResult>" },
		{ ANSWER, LIST_HEAD ENTRY("pre/u/b") LIST_LAST },
	};
	struct fake *f = start_fake(replies, 3);
	struct store *s = open_store(f->endpoint, 1);
	struct object_request r = request(OBJECT_LIST, "u/", 0);

	(void)state;
	assert_int_equal(store_do(s, &r), OBJECT_OK);
	assert_int_equal(r.listing.count, 2);
	assert_string_equal(r.listing.entries[0].key, "u/a");
	assert_string_equal(r.listing.entries[1].key, "u/b");
	assert_int_equal(r.listing.entries[1].size, 7);
	store_free(s);
	stop_fake(f);
	assert_int_equal(f->nrequests, 3);
	assert_int_equal(strncmp(f->head[0].data,
				 "GET /base/holdfast?list-type=2&prefix=pre%2Fu%2F HTTP", 53),
			 0);
	assert_non_null(strstr(f->head[1].data, "?continuation-token=a%2Bb%2F%3D%3E&list-type=2&"));
	assert_non_null(strstr(f->head[2].data, "?continuation-token=c&list-type=2&"));
	release(&r);
	free_fake(f);
}

static void folders_are_asked_for_with_a_delimiter(void **state)
{
	static const struct reply reply = {
		ANSWER,
		LIST_HEAD "<CommonPrefixes><Prefix>pre/alice/</Prefix></CommonPrefixes>"
			  "<CommonPrefixes><Prefix>pre/bob/</Prefix></CommonPrefixes>" LIST_LAST
	};
	static const char wanted[] =
		"GET /base/holdfast?delimiter=%2F&list-type=2&prefix=pre%2F HTTP";
	struct fake *f = start_fake(&reply, 1);
	struct store *s = open_store(f->endpoint, 1);
	struct object_request r = request(OBJECT_LIST, "", 0);

	(void)state;
	r.folders = true;
	assert_int_equal(store_do(s, &r), OBJECT_OK);
	assert_int_equal(r.listing.count, 2);
	assert_string_equal(r.listing.entries[0].key, "alice/");
	assert_string_equal(r.listing.entries[1].key, "bob/");
	store_free(s);
	stop_fake(f);
	assert_int_equal(strncmp(f->head[0].data, wanted, strlen(wanted)), 0);
	release(&r);
	free_fake(f);
}

static void refusal_that_does_not_wait_for_the_body_is_heard(void **state)
{
	static const struct reply busy = {
		BABBLE, "HTTP/1.1 503 Busy\r\nRetry-After: 2\r\n" CLOSE LEN(0) "\r\n"
	};
	struct fake *f = start_fake(&busy, 1);
	struct store *s = open_store(f->endpoint, 1);
	struct object_request r = request(OBJECT_CREATE, "u/a", BIG);

	(void)state;
	assert_int_equal(store_do(s, &r), OBJECT_TRY_LATER);
	assert_int_equal(r.error, ERROR_THROTTLED);
	assert_int_equal(r.retry_after_ms, 2000);
	store_free(s);
	stop_fake(f);
	release(&r);
	free_fake(f);
}

static void page_that_fails_fails_the_list(void **state)
{
	static const struct reply replies[] = {
		{ ANSWER,
		  LIST_HEAD "<IsTruncated>true</IsTruncated><NextContinuationToken>a"
			    "</NextContinuationToken>" ENTRY("pre/u/a") "</ListBucketResult>" },
		{ ANSWER, "HTTP/1.1 503 No\r\nRetry-After: 1\r\n" CLOSE LEN(0) "\r\n" },
	};
	struct fake *f = start_fake(replies, 2);
	struct store *s = open_store(f->endpoint, 1);
	struct object_request r = request(OBJECT_LIST, "u/", 0);

	(void)state;
	assert_int_equal(store_do(s, &r), OBJECT_TRY_LATER);
	assert_int_equal(r.listing.count, 0);
	store_free(s);
	stop_fake(f);
	release(&r);
	free_fake(f);
}

static int64_t time_of(enum object_verb verb, const struct reply *reply, size_t body_len,
		       enum object_result want)
{
	struct fake *f = start_fake(reply, 1);
	struct store *s = open_store(f->endpoint, 4);
	struct object_request r = request(verb, "u/a", body_len);
	int64_t begun = clock_mono_ms();

	assert_int_equal(store_do(s, &r), want);
	int64_t took = clock_mono_ms() - begun;
	assert_int_equal(r.error, want == OBJECT_OK ? ERROR_NONE : ERROR_TIMEOUT);
	store_free(s);
	stop_fake(f);
	release(&r);
	free_fake(f);
	return took;
}

static void silence_is_noticed_in_time(void **state)
{
	static const struct reply silent = { SILENT, "" }, deaf = { DEAF, "" };
	static const struct reply half = { SILENT, OK_5 "123" };

	(void)state;
	assert_in_range(time_of(OBJECT_CREATE, &silent, 100, OBJECT_UNKNOWN), SILENCE_MS,
			SILENCE_MS + SLACK_MS);
	assert_in_range(time_of(OBJECT_CREATE, &deaf, BIG, OBJECT_UNKNOWN), SILENCE_MS,
			SILENCE_MS + SLACK_MS);
	assert_in_range(time_of(OBJECT_GET, &half, 0, OBJECT_UNKNOWN), SILENCE_MS,
			SILENCE_MS + SLACK_MS);
}

/* Two that end at the same moment. */
struct pair {
	struct store *store;
	struct object_request a, b;
	int ended;
};

static void drop_the_other(struct object_request *r)
{
	struct pair *p = r->owner;

	p->ended++;
	assert_int_equal(r->error, ERROR_TIMEOUT);
	store_drop(p->store, r == &p->a ? &p->b : &p->a);
}

static int nrequests(struct fake *f)
{
	pthread_mutex_lock(&f->lock);
	int n = f->nrequests;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void end_of_one_silence_may_drop_another(void **state)
{
	static const struct reply silent = { SILENT, "" };
	struct fake *f = start_fake(&silent, 1);
	struct pair p = { .store = open_store(f->endpoint, 2) };

	(void)state;
	p.a = request(OBJECT_GET, "u/a", 0);
	p.b = request(OBJECT_GET, "u/b", 0);
	p.a.done = p.b.done = drop_the_other;
	p.a.owner = p.b.owner = &p;
	store_start(p.store, &p.a);
	store_start(p.store, &p.b);
	while (nrequests(f) < 2)
		store_run(p.store, 1);
	/* Nobody looks before the silence of both is over. */
	while (p.ended == 0) {
		store_run(p.store, 0);
		poll(NULL, 0, 2 * SILENCE_MS);
	}
	assert_int_equal(p.ended, 1);
	assert_null(p.a.transfer);
	assert_null(p.b.transfer);
	store_free(p.store);
	stop_fake(f);
	release(&p.a);
	release(&p.b);
	free_fake(f);
}

static void silence_over_a_large_body_may_take_longer(void **state)
{
	static const struct reply silent = { SILENT, "" };
	const size_t len = 32 << 20;

	(void)state;
	assert_in_range(time_of(OBJECT_CREATE, &silent, len, OBJECT_UNKNOWN), SILENCE_MS + 1000,
			10 * 1000);
}

static void slow_but_steady_is_no_silence(void **state)
{
	static const struct reply reader = { SLOW_READER, OK_EMPTY };
	static const struct reply writer = { DRIBBLE, OK_5 "12345" };
	static const struct reply body = {
		DRIBBLE,
		"HTTP/1.1 200 OK\r\n" LEN(
			60) "\r\n123456789012345678901234567890123456789012345678901234567890"
	};

	(void)state;
	assert_true(time_of(OBJECT_CREATE, &reader, BIG, OBJECT_OK) > 2 * SILENCE_MS);
	assert_true(time_of(OBJECT_CREATE, &writer, 100, OBJECT_OK) > SILENCE_MS);
	assert_true(time_of(OBJECT_GET, &body, 0, OBJECT_OK) > 2 * SILENCE_MS);
}

/* libcurl has given all to the kernel at once; only the queue tells of life. */
static void queue_that_drains_is_no_silence(void **state)
{
	static const struct reply reader = { SLOWER_READER, OK_EMPTY };

	(void)state;
	assert_true(time_of(OBJECT_CREATE, &reader, 400 * 1024, OBJECT_OK) > 2 * SILENCE_MS);
}

static void unused_port(char endpoint[static 64])
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	(void)snprintf(endpoint, 64, "http://127.0.0.1:%d", ntohs(address.sin_port));
	close(fd);
}

static void server_that_is_not_there_may_be_tried_later(void **state)
{
	char endpoint[64];

	(void)state;
	unused_port(endpoint);
	struct store *s = open_store(endpoint, 4);
	struct object_request put = request(OBJECT_CREATE, "u/a", 10);
	struct object_request get = request(OBJECT_GET, "u/a", 0);
	assert_int_equal(store_do(s, &put), OBJECT_TRY_LATER);
	assert_int_equal(put.error, ERROR_CONNECT);
	assert_int_equal(store_do(s, &get), OBJECT_TRY_LATER);
	assert_int_equal(get.error, ERROR_CONNECT);
	release(&put);
	release(&get);
	store_free(s);
}

/* A TLS handshake that nobody answers is still connecting. */
static void silence_while_connecting_is_nothing_sent(void **state)
{
	static const struct reply deaf = { DEAF, "" };
	struct fake *f = start_fake(&deaf, 1);
	char endpoint[80];

	(void)state;
	(void)snprintf(endpoint, sizeof endpoint, "https%s", f->endpoint + strlen("http"));
	struct store *s = open_store(endpoint, 4);
	struct object_request r = request(OBJECT_CREATE, "u/a", 10);
	int64_t begun = clock_mono_ms();
	assert_int_equal(store_do(s, &r), OBJECT_TRY_LATER);
	assert_int_equal(r.error, ERROR_TIMEOUT);
	assert_in_range(clock_mono_ms() - begun, 450, 1000);
	store_free(s);
	stop_fake(f);
	release(&r);
	free_fake(f);
}

static void answer_that_is_not_tls_means_nothing_sent(void **state)
{
	static const struct reply plain = { BABBLE, "HTTP/1.1 400 Bad Request\r\n\r\n" };
	struct fake *f = start_fake(&plain, 1);
	char endpoint[80];

	(void)state;
	(void)snprintf(endpoint, sizeof endpoint, "https%s", f->endpoint + strlen("http"));
	struct store *s = open_store(endpoint, 4);
	struct object_request r = request(OBJECT_CREATE, "u/a", 10);
	assert_int_equal(store_do(s, &r), OBJECT_TRY_LATER);
	assert_int_equal(r.error, ERROR_CONNECT);
	store_free(s);
	stop_fake(f);
	assert_int_equal(f->nconnections, 1);
	release(&r);
	free_fake(f);
}

struct order {
	struct store *store;
	int done[8];
	int ndone;
	struct object_request *next;
};

static void note_order(struct object_request *r)
{
	struct order *o = r->owner;

	assert_null(r->transfer);
	o->done[o->ndone++] = r->key[0] - '0';
	if (o->next != NULL) {
		struct object_request *next = o->next;

		o->next = NULL;
		store_start(o->store, next);
	}
}

static void requests_beyond_the_limit_wait_in_order(void **state)
{
	static const struct reply replies[] = { { ANSWER, OK_EMPTY } };
	struct fake *f = start_fake(replies, 1);
	struct store *s = open_store(f->endpoint, 1);
	struct object_request r[5];
	struct order order = { .store = s, .next = &r[4] };

	(void)state;
	for (int i = 0; i < 5; i++) {
		const char key[2] = { (char)('0' + i), '\0' };

		r[i] = request(OBJECT_CREATE, key, 10);
		r[i].owner = &order;
		r[i].done = note_order;
		if (i < 4)
			store_start(s, &r[i]);
	}
	assert_int_equal(order.ndone, 0);
	for (int64_t end = clock_mono_ms() + 10000; order.ndone < 5 && clock_mono_ms() < end;)
		store_run(s, 100);
	assert_int_equal(order.ndone, 5);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(order.done[i], i);
		assert_int_equal(r[i].result, OBJECT_OK);
		release(&r[i]);
	}
	store_free(s);
	stop_fake(f);
	free_fake(f);
}

static void silent_requests_end_side_by_side(void **state)
{
	static const struct reply silent = { SILENT, "" };
	struct fake *f = start_fake(&silent, 1);
	struct store *s = open_store(f->endpoint, 8);
	struct object_request r[8];
	struct order order = { .store = s };
	int64_t begun = clock_mono_ms();

	(void)state;
	for (int i = 0; i < 8; i++) {
		r[i] = request(OBJECT_CREATE, "0", 10);
		r[i].owner = &order;
		r[i].done = note_order;
		store_start(s, &r[i]);
	}
	while (order.ndone < 8 && clock_mono_ms() < begun + 10000)
		store_run(s, 10000);
	assert_int_equal(order.ndone, 8);
	assert_in_range(clock_mono_ms() - begun, SILENCE_MS, SILENCE_MS + SLACK_MS);
	for (int i = 0; i < 8; i++)
		release(&r[i]);
	store_free(s);
	stop_fake(f);
	free_fake(f);
}

static void store_may_end_with_requests_under_way(void **state)
{
	static const struct reply silent = { SILENT, "" };
	struct fake *f = start_fake(&silent, 1);
	struct store *s = open_store(f->endpoint, 1);
	struct order order = { .store = s };
	struct object_request r[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		r[i] = request(OBJECT_CREATE, "0", 10);
		r[i].owner = &order;
		r[i].done = note_order;
		store_start(s, &r[i]);
	}
	store_run(s, 50);
	store_free(s);
	assert_int_equal(order.ndone, 0);
	for (int i = 0; i < 2; i++) {
		assert_null(r[i].transfer);
		release(&r[i]);
	}
	stop_fake(f);
	free_fake(f);
}

static void *wake(void *store)
{
	store_wake(store);
	return NULL;
}

static void idle_run_waits_and_can_be_woken(void **state)
{
	char endpoint[64];
	pthread_t thread;

	(void)state;
	unused_port(endpoint);
	struct store *s = open_store(endpoint, 4);
	int64_t begun = clock_mono_ms();
	store_run(s, 50);
	assert_true(clock_mono_ms() - begun >= 49);
	begun = clock_mono_ms();
	assert_int_equal(pthread_create(&thread, NULL, wake, s), 0);
	store_run(s, 20000);
	assert_true(clock_mono_ms() - begun < 10000);
	assert_int_equal(pthread_join(thread, NULL), 0);
	store_free(s);
}

static void bad_key_is_refused_without_a_request(void **state)
{
	char endpoint[64];

	(void)state;
	unused_port(endpoint);
	struct store *s = open_store(endpoint, 4);
	struct object_request r = request(OBJECT_CREATE, "u/../a", 10);
	assert_int_equal(store_do(s, &r), OBJECT_REFUSED);
	assert_int_equal(r.error, ERROR_CONFIG);
	release(&r);
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_to_a_create_is_judged),
		cmocka_unit_test(answer_to_a_get_is_judged),
		cmocka_unit_test(answer_to_a_list_is_judged),
		cmocka_unit_test(create_says_what_it_must_and_nothing_else),
		cmocka_unit_test(probe_is_not_conditional),
		cmocka_unit_test(create_is_never_sent_twice_by_itself),
		cmocka_unit_test(gets_share_a_connection),
		cmocka_unit_test(whole_object_in_place_of_a_range_is_cut),
		cmocka_unit_test(list_follows_its_pages),
		cmocka_unit_test(folders_are_asked_for_with_a_delimiter),
		cmocka_unit_test(refusal_that_does_not_wait_for_the_body_is_heard),
		cmocka_unit_test(page_that_fails_fails_the_list),
		cmocka_unit_test(silence_is_noticed_in_time),
		cmocka_unit_test(end_of_one_silence_may_drop_another),
		cmocka_unit_test(silence_over_a_large_body_may_take_longer),
		cmocka_unit_test(slow_but_steady_is_no_silence),
		cmocka_unit_test(queue_that_drains_is_no_silence),
		cmocka_unit_test(server_that_is_not_there_may_be_tried_later),
		cmocka_unit_test(silence_while_connecting_is_nothing_sent),
		cmocka_unit_test(answer_that_is_not_tls_means_nothing_sent),
		cmocka_unit_test(requests_beyond_the_limit_wait_in_order),
		cmocka_unit_test(silent_requests_end_side_by_side),
		cmocka_unit_test(store_may_end_with_requests_under_way),
		cmocka_unit_test(idle_run_waits_and_can_be_woken),
		cmocka_unit_test(bad_key_is_refused_without_a_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
