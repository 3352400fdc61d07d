/*
 * The nginx side of a FastCGI connection, and a process to talk to, for the
 * tests of this folder.
 */
#ifndef UNIT_HTTP_FCGI_CLIENT_H
#define UNIT_HTTP_FCGI_CLIENT_H

#include "base/buf.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum record_type {
	RECORD_BEGIN = 1,
	RECORD_ABORT = 2,
	RECORD_END = 3,
	RECORD_PARAMS = 4,
	RECORD_STDIN = 5,
	RECORD_STDOUT = 6,
	RECORD_MAX = 65535,
};

/* What came back until the connection was closed. */
struct answer {
	struct buf head;
	struct buf body;
	bool ended; /* END_REQUEST was seen */
};

static inline void answer_release(struct answer *a)
{
	buf_release(&a->head);
	buf_release(&a->body);
}

static inline void address_of(const char *path, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	assert_true(strlen(path) < sizeof out->sun_path);
	memcpy(out->sun_path, path, strlen(path));
}

static inline int client_listen(const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address_of(path, &address);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static inline int client_connect(const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address_of(path, &address);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

/* false: the other side has closed the connection. */
static inline bool client_send(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static inline bool client_record(int fd, unsigned type, const void *bytes, size_t len)
{
	unsigned char head[8] = { 1, (unsigned char)type, 0, 1 };

	assert_true(len <= RECORD_MAX);
	head[4] = (unsigned char)(len >> 8);
	head[5] = (unsigned char)len;
	return client_send(fd, head, sizeof head) && client_send(fd, bytes, len);
}

static inline void client_begin(int fd, bool keep_conn)
{
	const unsigned char body[8] = { 0, 1, keep_conn };

	assert_true(client_record(fd, RECORD_BEGIN, body, sizeof body));
}

static inline void add_length(struct buf *b, size_t len)
{
	const unsigned char bytes[4] = { (unsigned char)(len >> 24 | 0x80),
					 (unsigned char)(len >> 16), (unsigned char)(len >> 8),
					 (unsigned char)len };

	if (len < 128)
		buf_add(b, bytes + 3, 1);
	else
		buf_add(b, bytes, sizeof bytes);
}

static inline void add_param(struct buf *b, const char *name, const char *value)
{
	add_length(b, strlen(name));
	add_length(b, strlen(value));
	buf_add_text(b, name);
	buf_add_text(b, value);
}

static inline void client_params(int fd, const struct buf *params)
{
	if (params->len > 0)
		assert_true(client_record(fd, RECORD_PARAMS, params->data, params->len));
	assert_true(client_record(fd, RECORD_PARAMS, "", 0));
}

/* The body and its end. */
static inline bool client_stdin(int fd, const char *body, size_t len)
{
	for (size_t sent = 0; sent < len;) {
		size_t n = len - sent < RECORD_MAX ? len - sent : RECORD_MAX;
		if (!client_record(fd, RECORD_STDIN, body + sent, n))
			return false;
		sent += n;
	}
	return client_record(fd, RECORD_STDIN, "", 0);
}

static inline bool client_read(int fd, void *out, size_t len)
{
	char *p = out;

	while (len > 0) {
		ssize_t n = recv(fd, p, len, 0);
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static inline void split_answer(struct buf *text, struct answer *out)
{
	const char *end = text->len > 0 ? strstr(text->data, "\r\n\r\n") : NULL;

	if (end == NULL)
		return;
	size_t head_len = (size_t)(end - text->data) + 4;
	buf_add(&out->head, text->data, head_len);
	buf_add(&out->body, text->data + head_len, text->len - head_len);
}

/* Reads until the server closes the connection, and closes it here. */
static inline void client_finish(int fd, struct answer *out)
{
	static char content[RECORD_MAX + 255];
	struct buf text = BUF_INIT;
	unsigned char head[8];

	memset(out, 0, sizeof *out);
	while (client_read(fd, head, sizeof head)) {
		size_t len = (size_t)head[4] << 8 | head[5];
		if (!client_read(fd, content, len + head[6]))
			break;
		if (head[1] == RECORD_STDOUT)
			buf_add(&text, content, len);
		out->ended = out->ended || head[1] == RECORD_END;
	}
	close(fd);
	split_answer(&text, out);
	buf_release(&text);
}

static inline int answer_status(const struct answer *a)
{
	static const char name[] = "Status: ";

	if (!a->ended || a->head.len == 0 || strncmp(a->head.data, name, sizeof name - 1) != 0)
		return -1;
	return atoi(a->head.data + sizeof name - 1);
}

/* Whether this very line is there. */
static inline bool answer_has(const struct answer *a, const char *line)
{
	struct buf whole = BUF_INIT;

	buf_addf(&whole, "\r\n%s\r\n", line);
	bool there = a->head.len > 0 && strstr(a->head.data, whole.data) != NULL;
	buf_release(&whole);
	return there;
}

static inline pid_t child_start(int (*run)(void *), void *arg)
{
	(void)fflush(NULL);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		exit(run(arg));
	return pid;
}

static inline void child_ends_well(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#endif
