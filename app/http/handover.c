/*
 * A message is one byte with two descriptors: the connection, and a memory file
 *
 *	+--------------------+ 0
 *	| struct parcel      |  its pointers and descriptors mean nothing there
 *	+--------------------+
 *	| body               |
 *	+--------------------+
 *
 * which has no size limit as a datagram would have.  Both processes are the
 * same program, one forked from the other, and nobody else has the sockets, so
 * the content is taken as it is.
 */
#include "http/handover.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct handover {
	unsigned n;
	struct handover_ends ends[];
};

struct handover *handover_new(unsigned n)
{
	struct handover *h = alloc_zeroed(1, sizeof *h + n * sizeof h->ends[0]);

	for (unsigned i = 0; i < n; i++) {
		int pair[2];
		/* Unlike datagrams, these are limited in bytes and not to ten. */
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) <
		    0) {
			log_error("handover.failed", "call=socketpair error=\"%s\"",
				  strerror(errno));
			handover_free(h);
			return NULL;
		}
		h->ends[i].out = pair[0];
		h->ends[i].in = pair[1];
		h->n = i + 1;
	}
	return h;
}

void handover_free(struct handover *h)
{
	if (h == NULL)
		return;
	for (unsigned i = 0; i < h->n; i++) {
		close(h->ends[i].in);
		close(h->ends[i].out);
	}
	free(h);
}

void handover_give(const struct handover *h, struct handover_ends *out)
{
	memcpy(out, h->ends, h->n * sizeof h->ends[0]);
}

struct handover *handover_adopt(const struct handover_ends *ends, unsigned n)
{
	struct handover *h = alloc_zeroed(1, sizeof *h + n * sizeof h->ends[0]);

	h->n = n;
	memcpy(h->ends, ends, n * sizeof h->ends[0]);
	return h;
}

int handover_fd(const struct handover *h, unsigned worker)
{
	assert(worker < h->n);
	return h->ends[worker].in;
}

static int read_all(int fd, void *out, size_t len)
{
	char *p = out;

	while (len > 0) {
		ssize_t n = read(fd, p, len);
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* -1: already logged. */
static int pack(const struct parcel *p)
{
	int fd = memfd_create("request", MFD_CLOEXEC);

	if (fd >= 0 && file_write_all(fd, p, sizeof *p, 0) == 0 &&
	    file_write_all(fd, p->body.data, p->body.len, sizeof *p) == 0)
		return fd;
	log_warn("handover.failed", "call=memfd error=\"%s\"", strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static int unpack(int fd, int connection, struct parcel *out)
{
	if (read_all(fd, out, sizeof *out) < 0)
		return -1;
	size_t len = out->body.len;
	out->body = (struct buf)BUF_INIT;
	out->connection = connection;
	buf_reserve(&out->body, len + 1);
	if (read_all(fd, out->body.data, len) < 0) {
		buf_release(&out->body);
		return -1;
	}
	out->body.len = len;
	out->body.data[len] = '\0';
	return 0;
}

/* Room for two descriptors, aligned as the kernel's macros want it. */
union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(2 * sizeof(int))];
};

int handover_send(struct handover *h, unsigned worker, const struct parcel *p)
{
	char mark = 'r';
	struct iovec part = { &mark, 1 };
	union control control = { .bytes = { 0 } };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	int fds[2] = { p->connection, pack(p) };

	assert(worker < h->n);
	if (fds[1] < 0)
		return -1;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof fds);
	memcpy(CMSG_DATA(&control.head), fds, sizeof fds);
	ssize_t n = sendmsg(h->ends[worker].out, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		log_warn("handover.failed", "call=sendmsg worker=%u error=\"%s\"", worker,
			 strerror(errno));
	close(fds[1]);
	return n < 0 ? -1 : 0;
}

/* false: nothing there.  Without a descriptor left to take them, both are -1. */
static bool receive(int socket, int fds[static 2])
{
	char mark;
	struct iovec part = { &mark, 1 };
	union control control = { .bytes = { 0 } };
	struct msghdr m = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};

	fds[0] = fds[1] = -1;
	if (recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
		return false;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len > CMSG_LEN(0))
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	return true;
}

static void close_open(int fd)
{
	if (fd >= 0)
		close(fd);
}

bool handover_receive(struct handover *h, unsigned worker, struct parcel *out)
{
	int fds[2];

	while (receive(handover_fd(h, worker), fds)) {
		bool whole = fds[1] >= 0 && unpack(fds[1], fds[0], out) == 0;
		close_open(fds[1]);
		if (whole)
			return true;
		log_warn("handover.failed", "call=recvmsg worker=%u", worker);
		close_open(fds[0]);
	}
	return false;
}

void handover_discard(struct handover *h, unsigned worker)
{
	int fds[2];

	while (receive(handover_fd(h, worker), fds)) {
		log_info("handover.discarded", "worker=%u", worker);
		close_open(fds[0]);
		close_open(fds[1]);
	}
}
