/*
 * libfcgi reads the records; it is not let near the rest:
 *
 * - The listening socket is ours.  libfcgi's own accept has no time limits and
 *   goes on by itself after a bad connection, so FCGX_InitRequest() gets none
 *   and each accepted descriptor is put into the request.
 * - EPOLLEXCLUSIVE wakes one sleeping worker per connection, mostly the same,
 *   whose caches are warm.  The set is made after the fork: shared, it would
 *   not tell its owners apart.
 * - Answers are written here, because a connection that another worker handed
 *   over cannot be given to libfcgi: STDOUT records, then END_REQUEST.
 * - A detached request is closed with close().  Otherwise libfcgi shuts the
 *   connection down and polls up to two seconds for nginx to close it; and
 *   that would end it in the worker which it was handed to, too.
 * - libfcgi never repeats a read that a signal has interrupted, and
 *   SA_RESTART does not help on sockets with time limits: signals are blocked
 *   except while waiting.
 */
#include "http/fcgi.h"

#include "base/alloc.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	IO_LIMIT_S = 5, /* one read or write of a connection */
	CHUNK = 16384,
	DRAIN_MAX = 16 << 20, /* of a body that is refused anyway */
	FULL_PAUSE_MS = 20, /* when no descriptor is left */
	LENGTH_DIGITS_MAX = 18,
	RECORD_MAX = 65528, /* content of a record: no padding that way */
};

enum { FCGI_END_REQUEST_TYPE = 3, FCGI_STDOUT_TYPE = 6 };

struct fcgi {
	int listener;
	int epoll;
};

struct fcgi_request {
	FCGX_Request *fcgx; /* NULL: handed over by another worker */
	int fd;
	uint16_t id; /* of the request on its connection */
};

/*
 * FCGX_Init() takes over signals that nobody handles yet.  What the process
 * does about signals is not its business; only a write to a connection that
 * is closed must not end the worker.
 */
static int init_library(void)
{
	static const int taken[] = { SIGTERM, SIGUSR1 };
	struct sigaction before[2];

	for (size_t i = 0; i < 2; i++)
		sigaction(taken[i], NULL, &before[i]);
	int result = FCGX_Init();
	for (size_t i = 0; i < 2; i++)
		sigaction(taken[i], &before[i], NULL);
	signal(SIGPIPE, SIG_IGN);
	return result;
}

static int make_epoll(int listener)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener };
	int flags = fcntl(listener, F_GETFL);

	if (flags < 0 || fcntl(listener, F_SETFL, flags | O_NONBLOCK) < 0)
		return -1;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) {
		close(epoll);
		return -1;
	}
	return epoll;
}

int fcgi_watch(struct fcgi *f, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	log_error("fcgi.failed", "call=epoll_ctl error=\"%s\"", strerror(errno));
	return -1;
}

struct fcgi *fcgi_new(int listener)
{
	if (init_library() != 0) {
		log_error("fcgi.failed", "call=FCGX_Init");
		return NULL;
	}
	int epoll = make_epoll(listener);
	if (epoll < 0) {
		log_error("fcgi.failed", "call=epoll error=\"%s\"", strerror(errno));
		return NULL;
	}
	struct fcgi *f = alloc_zeroed(1, sizeof *f);
	f->listener = listener;
	f->epoll = epoll;
	return f;
}

void fcgi_free(struct fcgi *f)
{
	if (f == NULL)
		return;
	close(f->epoll);
	free(f);
}

/* -1: none; another worker was faster, or there is no descriptor left for it. */
static int accept_connection(struct fcgi *f)
{
	const struct timeval limit = { .tv_sec = IO_LIMIT_S };
	int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
		return fd;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
		log_warn("accept.failed", "error=\"%s\"", strerror(errno));
		poll(NULL, 0, FULL_PAUSE_MS);
	}
	return -1;
}

int fcgi_connection(const struct fcgi_request *r, unsigned *id)
{
	*id = r->id;
	return r->fd;
}

struct fcgi_request *fcgi_adopt(int fd, unsigned id)
{
	struct fcgi_request *r = alloc_zeroed(1, sizeof *r);

	r->fd = fd;
	r->id = (uint16_t)id;
	return r;
}

/* Unlike FCGX_Finish_r(), FCGX_Free() does not write that all went well. */
void fcgi_drop(struct fcgi_request *r)
{
	if (r->fcgx != NULL) {
		FCGX_Detach(r->fcgx);
		FCGX_Free(r->fcgx, 0);
	}
	free(r->fcgx);
	close(r->fd);
	free(r);
}

/* Takes the connection over, whatever comes of it. */
static struct fcgi_request *read_params(int fd)
{
	struct fcgi_request *r = fcgi_adopt(fd, 0);
	FCGX_Request *fcgx = alloc_zeroed(1, sizeof *fcgx);

	FCGX_InitRequest(fcgx, -1, 0);
	fcgx->ipcFd = fd;
	/* Otherwise FCGX_Accept_r() begins with closing the connection. */
	fcgx->keepConnection = 1;
	FCGX_Detach(fcgx);
	if (FCGX_Accept_r(fcgx) != 0) {
		free(fcgx);
		free(r);
		return NULL;
	}
	r->fcgx = fcgx;
	r->id = (uint16_t)fcgx->requestId;
	/* libfcgi takes a connection that breaks between two parameters for their end. */
	if (FCGX_GetError(fcgx->in) != 0) {
		fcgi_drop(r);
		return NULL;
	}
	return r;
}

struct fcgi_request *fcgi_next(struct fcgi *f, int wait_ms, const sigset_t *unblocked)
{
	struct epoll_event event;

	if (epoll_pwait(f->epoll, &event, 1, wait_ms, unblocked) < 1 ||
	    event.data.fd != f->listener)
		return NULL;
	int fd = accept_connection(f);
	return fd >= 0 ? read_params(fd) : NULL;
}

const char *fcgi_param(const struct fcgi_request *r, const char *name)
{
	const char *value = r->fcgx != NULL ? FCGX_GetParam(name, r->fcgx->envp) : NULL;

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* -1: not a length.  No parameter: no body. */
static int64_t announced_length(const struct fcgi_request *r)
{
	const char *text = fcgi_param(r, "CONTENT_LENGTH");

	if (text == NULL)
		return 0;
	size_t digits = strspn(text, "0123456789");
	if (text[digits] != '\0' || digits > LENGTH_DIGITS_MAX)
		return -1;
	return strtoll(text, NULL, 10);
}

/*
 * Reads to the end, also what is not wanted: closing a connection with unread
 * bytes resets it, and the answer with it.
 */
static int64_t read_stdin(struct fcgi_request *r, int64_t keep_max, struct buf *out)
{
	char unwanted[CHUNK];
	int64_t total = 0;
	int n;

	do {
		char *to = unwanted;
		if (total < keep_max) {
			buf_reserve(out, CHUNK);
			to = out->data + out->len;
		}
		n = FCGX_GetStr(to, CHUNK, r->fcgx->in);
		if (to != unwanted)
			out->len += (size_t)n;
		total += n;
	} while (n == CHUNK && total <= keep_max + DRAIN_MAX);
	return total;
}

enum fcgi_body fcgi_read_body(struct fcgi_request *r, int64_t max, struct buf *out)
{
	int64_t announced = announced_length(r);
	int64_t keep_max = announced < 0 || announced > max ? -1 : announced;
	int64_t total = read_stdin(r, keep_max, out);

	if (FCGX_GetError(r->fcgx->in) != 0)
		return FCGI_BODY_GONE;
	if (announced > max || total > max)
		return FCGI_BODY_TOO_LARGE;
	if (total != announced)
		return FCGI_BODY_CUT;
	buf_add(out, "", 0);
	return FCGI_BODY_WHOLE;
}

enum fcgi_body fcgi_read_file(struct fcgi_request *r, int64_t max, struct spill *out)
{
	char chunk[CHUNK];
	int64_t announced = announced_length(r), total = 0;
	bool keeps = out != NULL && announced >= 0 && announced <= max, written = true;
	int n;

	do {
		n = FCGX_GetStr(chunk, CHUNK, r->fcgx->in);
		total += n;
		if (keeps && written && total <= announced)
			written = spill_add(out, chunk, (size_t)n) == 0;
	} while (n == CHUNK && total <= max + DRAIN_MAX);
	if (FCGX_GetError(r->fcgx->in) != 0)
		return FCGI_BODY_GONE;
	if (announced > max || total > max)
		return FCGI_BODY_TOO_LARGE;
	if (total != announced)
		return FCGI_BODY_CUT;
	return written ? FCGI_BODY_WHOLE : FCGI_BODY_NO_SPACE;
}

bool fcgi_client_is_gone(const struct fcgi_request *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static const char *status_line(enum http_status status)
{
	switch (status) {
	case HTTP_OK:
		return "200 OK";
	case HTTP_NO_CONTENT:
		return "204 No Content";
	case HTTP_BAD_REQUEST:
		return "400 Bad Request";
	case HTTP_UNAUTHORIZED:
		return "401 Unauthorized";
	case HTTP_FORBIDDEN:
		return "403 Forbidden";
	case HTTP_NOT_FOUND:
		return "404 Not Found";
	case HTTP_METHOD_NOT_ALLOWED:
		return "405 Method Not Allowed";
	case HTTP_CONFLICT:
		return "409 Conflict";
	case HTTP_TOO_LARGE:
		return "413 Content Too Large";
	case HTTP_TOO_MANY:
		return "429 Too Many Requests";
	case HTTP_INTERNAL_ERROR:
		return "500 Internal Server Error";
	case HTTP_UNAVAILABLE:
		return "503 Service Unavailable";
	case HTTP_NO_SPACE:
		return "507 Insufficient Storage";
	}
	abort();
}

static void add_header(struct buf *head, const char *name, const char *value)
{
	if (value == NULL)
		return;
	size_t first_line = strcspn(value, "\r\n");
	assert(value[first_line] == '\0');
	buf_addf(head, "%s: %s\r\n", name, value);
}

static uint64_t body_len(const struct response *response)
{
	return response->body.len + response->unmade +
	       (response->file != NULL ? spill_len(response->file) : 0);
}

static void write_head(const struct response *response, const struct fcgi_extra *extra,
		       struct buf *head)
{
	add_header(head, "Status", status_line(response->status));
	/* A 204 has neither, not even a length of 0 (RFC 9110, 8.6). */
	if (response->status != HTTP_NO_CONTENT) {
		add_header(head, "Content-Type", response->content_type);
		buf_addf(head, "Content-Length: %" PRIu64 "\r\n", body_len(response));
	}
	if (response->file_name[0] != '\0')
		buf_addf(head, "Content-Disposition: attachment; filename=\"%s\"\r\n",
			 response->file_name);
	add_header(head, "Cache-Control", "no-store");
	add_header(head, "X-Sync-Status", extra->sync_status);
	add_header(head, "Preference-Applied", extra->preference);
	if (response->retry_after_s > 0)
		buf_addf(head, "Retry-After: %d\r\n", response->retry_after_s);
	add_header(head, "WWW-Authenticate", response->challenge);
	if (response->status == HTTP_METHOD_NOT_ALLOWED)
		add_header(head, "Allow", extra->allow);
	buf_add_text(head, "\r\n");
}

static void write_record_head(unsigned char head[static 8], const struct fcgi_request *r, int type,
			      size_t len)
{
	const unsigned char bytes[8] = {
		1,
		(unsigned char)type,
		(unsigned char)(r->id >> 8),
		(unsigned char)r->id,
		(unsigned char)(len >> 8),
		(unsigned char)len,
		0,
		0,
	};

	memcpy(head, bytes, sizeof bytes);
}

/* -1: the connection is broken or too slow. */
static int send_all(int fd, struct iovec *parts, size_t nparts)
{
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = nparts };

	while (message.msg_iovlen > 0) {
		ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
		if (n < 0)
			return -1;
		size_t sent = (size_t)n;
		while (message.msg_iovlen > 0 && sent >= message.msg_iov->iov_len) {
			sent -= message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (message.msg_iovlen > 0) {
			message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
			message.msg_iov->iov_len -= sent;
		}
	}
	return 0;
}

/* One STDOUT record of both, which fit; `last` ends the request, too. */
static int send_record(const struct fcgi_request *r, const struct buf *head, const char *bytes,
		       size_t len, bool last)
{
	unsigned char begin[8], end[8 + 8 + 8] = { 0 };
	struct iovec parts[4];
	size_t n = 0, head_len = head != NULL ? head->len : 0;

	if (head_len + len > 0) {
		write_record_head(begin, r, FCGI_STDOUT_TYPE, head_len + len);
		parts[n++] = (struct iovec){ begin, sizeof begin };
	}
	if (head_len > 0)
		parts[n++] = (struct iovec){ head->data, head_len };
	if (len > 0)
		parts[n++] = (struct iovec){ (void *)(uintptr_t)bytes, len };
	if (last) {
		/* The end of the stream, then status 0 and FCGI_REQUEST_COMPLETE. */
		write_record_head(end, r, FCGI_STDOUT_TYPE, 0);
		write_record_head(end + 8, r, FCGI_END_REQUEST_TYPE, 8);
		parts[n++] = (struct iovec){ end, sizeof end };
	}
	return send_all(r->fd, parts, n);
}

static int put(const struct fcgi_request *r, const struct buf *head, const struct buf *body,
	       bool last)
{
	size_t head_len = head != NULL ? head->len : 0;
	size_t len = body->len < RECORD_MAX - head_len ? body->len : RECORD_MAX - head_len;
	int rc = send_record(r, head, body->data, len, last && len == body->len);

	for (size_t sent = len; rc == 0 && sent < body->len; sent += len) {
		len = body->len - sent < RECORD_MAX ? body->len - sent : RECORD_MAX;
		rc = send_record(r, NULL, body->data + sent, len, last && sent + len == body->len);
	}
	return rc;
}

static int put_file(const struct fcgi_request *r, const struct spill *file)
{
	struct buf chunk = BUF_INIT;
	int64_t n = 0;
	int rc = 0;

	buf_reserve(&chunk, RECORD_MAX);
	for (uint64_t at = 0; rc == 0 && at < spill_len(file); at += (uint64_t)n) {
		n = spill_read(file, at, chunk.data, RECORD_MAX);
		rc = n > 0 ? send_record(r, NULL, chunk.data, (size_t)n, false) : -1;
	}
	buf_release(&chunk);
	return rc == 0 ? send_record(r, NULL, NULL, 0, true) : rc;
}

size_t fcgi_answer(struct fcgi_request *r, const struct response *response,
		   const struct fcgi_extra *extra)
{
	static const struct buf nothing = BUF_INIT;
	bool has_body = !extra->head_only && response->status != HTTP_NO_CONTENT;
	const struct spill *file = has_body ? response->file : NULL;
	struct buf head = BUF_INIT;

	write_head(response, extra, &head);
	assert(head.len < RECORD_MAX);
	int rc = put(r, &head, has_body ? &response->body : &nothing, file == NULL);
	if (rc == 0 && file != NULL)
		rc = put_file(r, file);
	buf_release(&head);
	/* The connection ends with the request, whatever nginx has asked for. */
	fcgi_drop(r);
	return rc == 0 && has_body ? body_len(response) : 0;
}
