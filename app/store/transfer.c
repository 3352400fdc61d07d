/*
 * What is peculiar about it:
 *
 * A request with a body always gets a connection of its own.  libcurl repeats a
 * request by itself when a re-used connection turns out to be dead, and no
 * option forbids it; the repetition of a conditional PUT is then refused
 * because of the first copy.  With a fresh connection, too, a failure to
 * connect means that nothing was sent.
 *
 * libcurl takes an answer whose first line begins with "HTTP/" and makes no sense
 * for a 200, which would mean that an object is stored.  So that line is read
 * here, too.
 *
 * libcurl limits how long a connection may take to be made; after that a
 * transfer may take any time as long as bytes move.  libcurl does not see bytes
 * leave the kernel, so an upload whose last part lies in the socket's send
 * queue looks silent to it; therefore silence is measured here, and the
 * shrinking of that queue is movement.
 */
#include "store/transfer.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"

#include <assert.h>
#include <curl/curl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	SEND_BUFFER_LEN = 256 * 1024,
	RECEIVE_BUFFER_LEN = 128 * 1024,
	LOOK_MAX_MS = 200, /* between two looks at a send queue */
	SLOW_BYTES_PER_S = 256,
	SLOW_SILENCES = 10, /* so many times the silence allowed */
	DIGEST_BYTES_PER_MS = 32768, /* of what it was sent: a server may be silent over it */
	SOCKETS_MAX = 8,
};

struct transfers {
	CURLM *multi;
	CURLSH *share; /* TLS sessions, for all those fresh connections */
	char *ca_file; /* NULL: the system's */
	int64_t connect_ms, silence_ms;
	struct transfer *all;
	int count;
};

struct transfer {
	struct transfers *transfers;
	struct transfer *next;
	const struct transfer_events *events;
	void *owner;
	CURL *easy;
	struct curl_slist *headers;
	const struct spill *body;
	uint64_t nsent; /* bytes of the body */
	bool begun; /* a byte of the request may have left */
	bool stopped; /* a callback ended it, as `end` says */
	bool garbled; /* the answer has no status */
	enum transfer_end end;
	CURLcode code;
	int64_t moved_at_ms; /* when `moved` or `queued` last changed */
	curl_off_t moved; /* bytes in both directions */
	int queued; /* bytes in the socket's send queue */
	int socket; /* with a body: the one in use, -1 before it is connected */
	int sockets[SOCKETS_MAX]; /* the latest that libcurl has opened for it */
	unsigned nsockets;
};

int transfer_status(const struct transfer *t)
{
	long status = 0;

	if (t->garbled)
		return 0;
	/* 100 is what libcurl tells when there was an interim answer only. */
	if (curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status < 200)
		return 0;
	return (int)status;
}

const char *transfer_header(const struct transfer *t, const char *name)
{
	struct curl_header *h;

	if (curl_easy_header(t->easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	return h->value;
}

int64_t transfer_len(const struct transfer *t)
{
	curl_off_t len = -1;

	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
	return len;
}

int64_t transfer_retry_after_s(const struct transfer *t)
{
	curl_off_t seconds = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds);
	return seconds;
}

bool transfer_has_begun(const struct transfer *t)
{
	return t->begun;
}

int transfer_curl_code(const struct transfer *t)
{
	return (int)t->code;
}

/* libcurl may have tried several addresses and tells which one by its port. */
static int find_socket(const struct transfer *t, int local_port)
{
	unsigned n = t->nsockets < SOCKETS_MAX ? t->nsockets : SOCKETS_MAX;

	for (unsigned i = 0; i < n; i++) {
		struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
		socklen_t len = sizeof address;
		int port = 0;

		if (getsockname(t->sockets[i], (struct sockaddr *)&address, &len) < 0)
			continue;
		if (address.ss_family == AF_INET)
			port = ntohs(((struct sockaddr_in *)&address)->sin_port);
		else if (address.ss_family == AF_INET6)
			port = ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
		if (port == local_port)
			return t->sockets[i];
	}
	return -1;
}

static int on_connected(void *user, char *remote, char *local, int remote_port, int local_port)
{
	struct transfer *t = user;

	(void)remote;
	(void)local;
	(void)remote_port;
	t->begun = true;
	t->socket = find_socket(t, local_port);
	t->moved_at_ms = clock_mono_ms();
	return CURL_PREREQFUNC_OK;
}

/* With a large send buffer a megabyte counts as sent before a byte has left. */
static int on_socket(void *user, curl_socket_t fd, curlsocktype purpose)
{
	struct transfer *t = user;
	int len = SEND_BUFFER_LEN;

	(void)purpose;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &len, sizeof len) < 0)
		return CURL_SOCKOPT_ERROR;
	t->sockets[t->nsockets++ % SOCKETS_MAX] = fd;
	return CURL_SOCKOPT_OK;
}

static size_t on_read(char *out, size_t size, size_t count, void *user)
{
	struct transfer *t = user;
	int64_t n = spill_read(t->body, t->nsent, out, size * count);

	if (n < 0) {
		t->stopped = true;
		t->end = END_DISK;
		return CURL_READFUNC_ABORT;
	}
	t->nsent += (uint64_t)n;
	return (size_t)n;
}

static size_t on_write(char *bytes, size_t size, size_t count, void *user)
{
	struct transfer *t = user;
	size_t len = size * count;

	if (t->events->receive(t->owner, bytes, len, &t->end))
		return len;
	t->stopped = true;
	return CURL_WRITEFUNC_ERROR;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* HTTP/1.1 200, and what else is said of it. */
static bool is_status_line(const char *line, size_t len)
{
	static const char version[] = "HTTP/1.";
	const char *rest = line + strlen(version);

	return len > strlen("HTTP/1.1 200") && memcmp(line, version, strlen(version)) == 0 &&
	       (rest[0] == '0' || rest[0] == '1') && rest[1] == ' ' && is_digit(rest[2]) &&
	       is_digit(rest[3]) && is_digit(rest[4]) &&
	       (rest[5] == ' ' || rest[5] == '\r' || rest[5] == '\n');
}

/* Called with whole lines, those of interim answers among them. */
static size_t on_header(char *line, size_t size, size_t count, void *user)
{
	static const char protocol[] = "HTTP/";
	struct transfer *t = user;
	size_t len = size * count;

	if (len < strlen(protocol) || strncasecmp(line, protocol, strlen(protocol)) != 0 ||
	    is_status_line(line, len))
		return len;
	t->garbled = true;
	t->stopped = true;
	t->end = END_BROKEN;
	return CURL_WRITEFUNC_ERROR;
}

static void add_line(struct transfer *t, const char *line)
{
	struct curl_slist *longer = curl_slist_append(t->headers, line);

	assert(longer != NULL);
	t->headers = longer;
}

void transfer_add_header(struct transfer *t, const char *name, const char *value)
{
	struct buf line = BUF_INIT;

	buf_addf(&line, "%s: %s", name, value);
	add_line(t, line.data);
	buf_release(&line);
}

/*
 * The certificate and its name are always verified, which is libcurl's default,
 * said all the same.  A proxy from the environment would answer in the name of the
 * server: none.
 */
static void set_common(struct transfer *t)
{
	const struct transfers *ts = t->transfers;

	curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(t->easy, CURLOPT_SHARE, ts->share);
	curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_LEN);
	curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)ts->connect_ms);
	curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES_PER_S);
	curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_TIME,
			 (long)(1 + ts->silence_ms * SLOW_SILENCES / 1000));
	curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (ts->ca_file != NULL) {
		curl_easy_setopt(t->easy, CURLOPT_CAINFO, ts->ca_file);
		curl_easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
	}
	/* A name server that is silent holds up its thread, not this one. */
	curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
}

/*
 * No seek function: what libcurl cannot rewind it cannot send twice.  Expect is
 * taken out, since R2 never answers it.
 */
static void set_body(struct transfer *t)
{
	curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)spill_len(t->body));
	curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(t->easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
	curl_easy_setopt(t->easy, CURLOPT_SOCKOPTDATA, t);
	add_line(t, "Expect:");
}

struct transfer *transfer_new(struct transfers *ts, const struct transfer_events *events,
			      void *owner)
{
	struct transfer *t = alloc_zeroed(1, sizeof *t);

	t->transfers = ts;
	t->events = events;
	t->owner = owner;
	t->socket = -1;
	t->easy = curl_easy_init();
	assert(t->easy != NULL);
	set_common(t);
	t->next = ts->all;
	ts->all = t;
	ts->count++;
	return t;
}

void transfer_start(struct transfer *t, const char *method, const char *url,
		    const struct spill *body)
{
	t->body = body;
	curl_easy_setopt(t->easy, CURLOPT_URL, url);
	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method);
	if (body != NULL)
		set_body(t);
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	CURLMcode added = curl_multi_add_handle(t->transfers->multi, t->easy);
	assert(added == CURLM_OK);
}

void transfer_free(struct transfer *t)
{
	if (t == NULL)
		return;
	struct transfer **link = &t->transfers->all;
	while (*link != t)
		link = &(*link)->next;
	*link = t->next;
	t->transfers->count--;
	curl_multi_remove_handle(t->transfers->multi, t->easy);
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	free(t);
}

static curl_off_t moved_bytes(const struct transfer *t)
{
	curl_off_t up = 0, down = 0;
	long request = 0, header = 0;

	curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &request);
	curl_easy_getinfo(t->easy, CURLINFO_HEADER_SIZE, &header);
	return up + down + request + header;
}

static int queued_bytes(const struct transfer *t)
{
	int queued = 0;

	if (t->socket < 0 || ioctl(t->socket, SIOCOUTQ, &queued) < 0)
		return 0;
	return queued;
}

static void look(struct transfer *t, int64_t now)
{
	curl_off_t moved = moved_bytes(t);
	int queued = queued_bytes(t);

	if (moved != t->moved || queued < t->queued)
		t->moved_at_ms = now;
	t->moved = moved;
	t->queued = queued;
}

/*
 * A server that has half a gigabyte to check and to store is silent meanwhile.
 * Given up, it would be sent all of it again, and be given up again.
 */
static int64_t allowed_silence_ms(const struct transfer *t)
{
	return t->transfers->silence_ms + (int64_t)(t->nsent / DIGEST_BYTES_PER_MS);
}

static struct transfer *find_silent(const struct transfers *ts, int64_t now)
{
	for (struct transfer *t = ts->all; t != NULL; t = t->next) {
		if (!t->begun)
			continue;
		look(t, now);
		if (now - t->moved_at_ms >= allowed_silence_ms(t))
			return t;
	}
	return NULL;
}

/*
 * True when one has ended.  After each the search begins anew, for its end may
 * have been that of any other.
 */
static bool end_silent(struct transfers *ts)
{
	int64_t now = clock_mono_ms();
	struct transfer *t;
	bool ended = false;

	while ((t = find_silent(ts, now)) != NULL) {
		t->events->ended(t->owner, END_TIMEOUT);
		ended = true;
	}
	return ended;
}

static int64_t look_ms(const struct transfers *ts)
{
	int64_t ms = ts->silence_ms / 8;

	if (ms > LOOK_MAX_MS)
		return LOOK_MAX_MS;
	return ms > 0 ? ms : 1;
}

/* How long a wait may be without missing the end of a silence. */
static int64_t until_next_look(const struct transfers *ts, int64_t wait_ms)
{
	int64_t now = clock_mono_ms();

	for (const struct transfer *t = ts->all; t != NULL; t = t->next) {
		int64_t left = t->moved_at_ms + allowed_silence_ms(t) - now;

		if (!t->begun)
			continue;
		if (t->queued > 0 && left > look_ms(ts))
			left = look_ms(ts);
		if (left < wait_ms)
			wait_ms = left;
	}
	return wait_ms > 0 ? wait_ms : 0;
}

static enum transfer_end end_of(const struct transfer *t)
{
	if (t->stopped)
		return t->end;
	if (t->code == CURLE_OK)
		return END_WHOLE;
	if (t->code == CURLE_OPERATION_TIMEDOUT)
		return END_TIMEOUT;
	if (t->code == CURLE_PEER_FAILED_VERIFICATION)
		return END_CERTIFICATE;
	if (!t->begun || t->code == CURLE_COULDNT_CONNECT || t->code == CURLE_COULDNT_RESOLVE_HOST)
		return END_CONNECT;
	return END_BROKEN;
}

/* As end_silent(). */
static bool move(struct transfers *ts)
{
	int nrunning = 0, nleft = 0;
	const CURLMsg *m;
	bool ended = false;

	CURLMcode rc = curl_multi_perform(ts->multi, &nrunning);
	assert(rc == CURLM_OK);
	while ((m = curl_multi_info_read(ts->multi, &nleft)) != NULL) {
		struct transfer *t = NULL;

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
		t->code = m->data.result;
		t->events->ended(t->owner, end_of(t));
		ended = true;
	}
	return ended;
}

void transfers_run(struct transfers *ts, int64_t wait_ms)
{
	bool ended = move(ts);

	ended |= end_silent(ts);
	if (ended)
		return;
	wait_ms = until_next_look(ts, wait_ms < INT_MAX ? wait_ms : INT_MAX);
	curl_multi_poll(ts->multi, NULL, 0, (int)wait_ms, NULL);
	move(ts);
	end_silent(ts);
}

void transfers_wake(struct transfers *ts)
{
	curl_multi_wakeup(ts->multi);
}

int transfers_count(const struct transfers *ts)
{
	return ts->count;
}

void *transfers_any(const struct transfers *ts)
{
	return ts->all != NULL ? ts->all->owner : NULL;
}

static void ignore_sigpipe(void)
{
	struct sigaction now;

	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
}

struct transfers *transfers_new(int64_t connect_ms, int64_t silence_ms)
{
	struct transfers *ts = alloc_zeroed(1, sizeof *ts);
	const char *ca_file = getenv("SSL_CERT_FILE");

	ignore_sigpipe();
	CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);
	assert(rc == CURLE_OK);
	ts->multi = curl_multi_init();
	ts->share = curl_share_init();
	assert(ts->multi != NULL && ts->share != NULL);
	curl_share_setopt(ts->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	if (ca_file != NULL && ca_file[0] != '\0')
		ts->ca_file = alloc_string(ca_file);
	ts->connect_ms = connect_ms;
	ts->silence_ms = silence_ms;
	return ts;
}

void transfers_free(struct transfers *ts)
{
	if (ts == NULL)
		return;
	assert(ts->all == NULL);
	curl_multi_cleanup(ts->multi);
	curl_share_cleanup(ts->share);
	curl_global_cleanup();
	free(ts->ca_file);
	free(ts);
}
