/*
 * Objects in an S3 bucket, many transfers at once on one curl_multi.
 *
 *	waiting --> running --> finish()
 *	   FIFO       ^  |
 *	              +--+ the next page of a list
 *
 * What is peculiar about it:
 *
 * A PUT always gets a connection of its own.  libcurl repeats a request by
 * itself when a re-used connection turns out to be dead, and no option forbids
 * it; the repetition of a conditional PUT is then refused because of the first
 * copy.  With a fresh connection, too, a failure to connect means that nothing
 * was sent.
 *
 * Requests are signed here and not by libcurl, whose versions each get another
 * part of it wrong.
 *
 * libcurl limits how long a connection may take to be made; after that a
 * transfer may take any time as long as bytes move.  libcurl does not see bytes
 * leave the kernel, so an upload whose last part lies in the socket's send
 * queue looks silent to it; therefore silence is measured here, and the
 * shrinking of that queue is movement.
 */
#include "store/s3.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/backend.h"
#include "store/listing.h"
#include "store/outcome.h"
#include "store/sigv4.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	SEND_BUFFER_LEN = 256 * 1024,
	RECEIVE_BUFFER_LEN = 128 * 1024,
	REFUSAL_LEN_MAX = 16 * 1024,
	LOOK_MAX_MS = 200, /* between two looks at a send queue */
	LOG_EVERY_MS = 1000,
	RETRY_AFTER_MAX_S = 3600,
	SLOW_BYTES_PER_S = 256,
	SOCKETS_MAX = 8,
	SLOW_SILENCES = 10, /* so many times the silence allowed */
};

/* What a single PUT can have made. */
static const curl_off_t object_len_max = (curl_off_t)5 << 30;

struct transfer {
	struct s3 *store;
	struct object_request *r;
	struct transfer *next; /* waiting or running */
	CURL *easy; /* NULL while waiting */
	struct curl_slist *headers;
	struct listing *listing; /* list: all pages so far */
	uint64_t nsent, nreceived; /* bytes of bodies */
	struct buf refusal; /* the beginning of a body that is not a success */
	enum outcome_end stopped; /* why a callback ended it, else END_WHOLE */
	bool enough; /* a callback ended it with all that was asked for */
	bool begun; /* a byte of the request may have left */
	int64_t moved_at_ms; /* when `moved` or `queued` last changed */
	curl_off_t moved; /* bytes in both directions */
	int queued; /* bytes in the socket's send queue */
	int socket; /* put: the one in use, -1 before it is connected */
	int sockets[SOCKETS_MAX]; /* the latest that libcurl has opened for it */
	unsigned nsockets;
};

/* So that an outage is told, but not once for every attempt. */
struct complaint {
	int64_t at_ms; /* 0: never yet */
	unsigned untold;
};

struct s3 {
	struct store base;
	CURLM *multi;
	CURLSH *share; /* TLS sessions, for all those fresh connections */
	char *origin; /* scheme and host */
	char *host; /* as libcurl sends it */
	char *bucket_path; /* begins with '/', without one at the end */
	char *prefix; /* "" or ends with '/' */
	char *access_key, *secret_key, *region;
	char *ca_file; /* NULL: the system's */
	struct store_limits limits;
	struct transfer *waiting, **waiting_end;
	struct transfer *running;
	int nrunning;
	struct complaint complaints[ERROR_COUNT];
};

static bool is_put(const struct object_request *r)
{
	return r->verb == OBJECT_CREATE || r->verb == OBJECT_PROBE_PUT;
}

static int status_of(const struct transfer *t)
{
	long status = 0;

	/* 100 is what libcurl tells when there was an interim answer only. */
	if (curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status < 200)
		return 0;
	return (int)status;
}

static const char *header_of(const struct transfer *t, const char *name)
{
	struct curl_header *h;

	if (curl_easy_header(t->easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	return h->value;
}

/* libcurl may have tried several addresses and tells which one by its port. */
static int find_socket(const struct transfer *t, int local_port)
{
	unsigned n = t->nsockets < SOCKETS_MAX ? t->nsockets : SOCKETS_MAX;

	for (unsigned i = 0; i < n; i++) {
		struct sockaddr_storage address;
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
	int64_t n = spill_read(t->r->body, t->nsent, out, size * count);

	if (n < 0) {
		t->stopped = END_DISK;
		return CURL_READFUNC_ABORT;
	}
	t->nsent += (uint64_t)n;
	return (size_t)n;
}

/*
 * An object comes with its length, without which a cut one looks whole, and a
 * part of an object is the part that was asked for.
 */
static bool object_is_announced_well(const struct transfer *t)
{
	static const char from_start[] = "bytes 0-";
	curl_off_t len = -1;

	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
	if (len < 0 || len > object_len_max)
		return false;
	if (status_of(t) != 206)
		return true;
	const char *range = header_of(t, "Content-Range");
	return t->r->range_len > 0 && (uint64_t)len <= t->r->range_len && range != NULL &&
	       strncasecmp(range, from_start, strlen(from_start)) == 0;
}

static size_t keep_object(struct transfer *t, const char *bytes, size_t len)
{
	size_t wanted = len;

	if (t->nreceived == 0 && !object_is_announced_well(t)) {
		t->stopped = END_DAMAGED;
		return 0;
	}
	if (t->r->range_len > 0 && wanted > t->r->range_len - t->nreceived)
		wanted = (size_t)(t->r->range_len - t->nreceived);
	if (wanted > 0 && spill_add(t->r->answer, bytes, wanted) < 0) {
		t->stopped = END_DISK;
		return 0;
	}
	t->nreceived += wanted;
	if (wanted == len)
		return len;
	t->enough = true;
	return 0;
}

static size_t on_write(char *bytes, size_t size, size_t count, void *user)
{
	struct transfer *t = user;
	size_t len = size * count;
	int status = status_of(t);

	if (t->r->verb == OBJECT_GET && (status == 200 || status == 206))
		return keep_object(t, bytes, len);
	if (t->r->verb == OBJECT_LIST && status == 200) {
		if (listing_feed(t->listing, bytes, len) == 0)
			return len;
		t->stopped = END_DAMAGED;
		return 0;
	}
	/* Longer than any reason is: whoever it is may talk to somebody else. */
	if (t->refusal.len + len > REFUSAL_LEN_MAX)
		return 0;
	buf_add(&t->refusal, bytes, len);
	return len;
}

static void add_header(struct transfer *t, const char *name, const char *value)
{
	struct buf line = BUF_INIT;

	buf_addf(&line, "%s: %s", name, value);
	struct curl_slist *longer = curl_slist_append(t->headers, line.data);
	assert(longer != NULL);
	t->headers = longer;
	buf_release(&line);
}

static const char *method_of(enum object_verb verb)
{
	switch (verb) {
	case OBJECT_CREATE:
	case OBJECT_PROBE_PUT:
		return "PUT";
	case OBJECT_GET:
	case OBJECT_LIST:
		return "GET";
	case OBJECT_DELETE:
		return "DELETE";
	}
	return "GET";
}

static size_t query_of(const struct transfer *t, const char *prefix,
		       struct sigv4_pair query[static SIGV4_PAIRS_MAX])
{
	const char *token = t->listing != NULL ? listing_token(t->listing) : NULL;
	size_t n = 0;

	if (t->r->verb != OBJECT_LIST)
		return 0;
	query[n++] = (struct sigv4_pair){ "list-type", "2" };
	query[n++] = (struct sigv4_pair){ "prefix", prefix };
	if (token != NULL && token[0] != '\0')
		query[n++] = (struct sigv4_pair){ "continuation-token", token };
	return n;
}

static size_t headers_of(const struct object_request *r, char range[static 40],
			 struct sigv4_pair headers[static SIGV4_PAIRS_MAX])
{
	size_t n = 0;

	if (r->verb == OBJECT_CREATE)
		headers[n++] = (struct sigv4_pair){ "If-None-Match", "*" };
	if (r->verb == OBJECT_GET && r->range_len > 0) {
		(void)snprintf(range, 40, "bytes=0-%llu", (unsigned long long)r->range_len - 1);
		headers[n++] = (struct sigv4_pair){ "Range", range };
	}
	return n;
}

/* Address and headers; -1 when the body could not be read. */
static int address(struct transfer *t)
{
	const struct s3 *s = t->store;
	struct sigv4_pair query[SIGV4_PAIRS_MAX], headers[SIGV4_PAIRS_MAX];
	char date[SIGV4_DATE_SIZE], hash[SIGV4_HASH_SIZE], range[40];
	struct sigv4_signature signature = SIGV4_SIGNATURE_INIT;
	struct buf path = BUF_INIT, prefix = BUF_INIT, url = BUF_INIT;
	int result = -1;

	buf_addf(&prefix, "%s%s", s->prefix, t->r->key);
	buf_add_text(&path, s->bucket_path);
	if (t->r->verb != OBJECT_LIST)
		buf_addf(&path, "/%s", prefix.data);
	sigv4_date(clock_wall_ms(), date);
	if (!is_put(t->r))
		sigv4_hash_bytes("", 0, hash);
	else if (sigv4_hash_spill(t->r->body, hash) < 0)
		goto out;

	size_t nheaders = headers_of(t->r, range, headers);
	struct sigv4_request request = {
		.method = method_of(t->r->verb),
		.host = s->host,
		.path = path.data,
		.query = query,
		.nquery = query_of(t, prefix.data, query),
		.headers = headers,
		.nheaders = nheaders,
		.date = date,
		.payload_hash = hash,
	};
	struct sigv4_key key = { s->access_key, s->secret_key, s->region };
	int failure = sigv4_sign(&key, &request, &signature);
	assert(failure == 0);

	buf_addf(&url, "%s%s", s->origin, signature.target.data);
	curl_easy_setopt(t->easy, CURLOPT_URL, url.data);
	for (size_t i = 0; i < nheaders; i++)
		add_header(t, headers[i].name, headers[i].value);
	add_header(t, "x-amz-date", date);
	add_header(t, "x-amz-content-sha256", hash);
	add_header(t, "Authorization", signature.authorization.data);
	result = 0;
out:
	sigv4_signature_release(&signature);
	buf_release(&path);
	buf_release(&prefix);
	buf_release(&url);
	return result;
}

static void set_put(struct transfer *t)
{
	/*
	 * No seek function: what libcurl cannot rewind it cannot send twice.
	 * Expect is taken out, since R2 never answers it.
	 */
	curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)spill_len(t->r->body));
	curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(t->easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
	curl_easy_setopt(t->easy, CURLOPT_SOCKOPTDATA, t);
	struct curl_slist *longer = curl_slist_append(t->headers, "Expect:");
	assert(longer != NULL);
	t->headers = longer;
}

/*
 * The certificate is always verified, which is libcurl's default.  A proxy from
 * the environment would answer in the name of the store: none.
 */
static void set_common(struct transfer *t)
{
	const struct store_limits *limits = &t->store->limits;

	curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(t->easy, CURLOPT_SHARE, t->store->share);
	curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_LEN);
	curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)limits->connect_ms);
	curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES_PER_S);
	curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_TIME,
			 (long)(1 + limits->silence_ms * SLOW_SILENCES / 1000));
	if (t->store->ca_file != NULL)
		curl_easy_setopt(t->easy, CURLOPT_CAINFO, t->store->ca_file);
	/* A name server that is silent holds up its thread, not this one. */
	curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
}

static void close_easy(struct transfer *t)
{
	if (t->easy == NULL)
		return;
	curl_multi_remove_handle(t->store->multi, t->easy);
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	t->easy = NULL;
	t->headers = NULL;
}

/* -1 when the body could not be read. */
static int open_easy(struct transfer *t)
{
	t->easy = curl_easy_init();
	assert(t->easy != NULL);
	t->begun = false;
	t->moved = 0;
	t->queued = 0;
	t->socket = -1;
	t->nsockets = 0;
	set_common(t);
	if (address(t) < 0) {
		close_easy(t);
		return -1;
	}
	if (is_put(t->r))
		set_put(t);
	else if (t->r->verb == OBJECT_DELETE)
		curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, "DELETE");
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	CURLMcode added = curl_multi_add_handle(t->store->multi, t->easy);
	assert(added == CURLM_OK);
	return 0;
}

static void free_transfer(struct transfer *t)
{
	close_easy(t);
	listing_free(t->listing);
	buf_release(&t->refusal);
	free(t);
}

static void complain(struct transfer *t, struct outcome o, const char *code, CURLcode rc)
{
	struct complaint *c = &t->store->complaints[o.error];
	int64_t now = clock_mono_ms();

	if (c->at_ms != 0 && now - c->at_ms < LOG_EVERY_MS) {
		c->untold++;
		return;
	}
	log_warn("s3.failed", "key=%s verb=%s status=%d code=%s curl=%d error=%s untold=%u",
		 t->r->key, object_verb_name[t->r->verb], t->r->status,
		 code[0] != '\0' ? code : "-", (int)rc, object_error_name[o.error], c->untold);
	c->at_ms = now;
	c->untold = 0;
}

static void unlink_running(struct transfer *t)
{
	struct transfer **link = &t->store->running;

	while (*link != t)
		link = &(*link)->next;
	*link = t->next;
	t->store->nrunning--;
}

/* done() is the last that happens, since it may start another request. */
static void finish(struct transfer *t, struct outcome o)
{
	struct object_request *r = t->r;

	free_transfer(t);
	store_finish(r, o);
}

static void read_retry_after(struct transfer *t)
{
	curl_off_t seconds = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds);
	if (seconds > RETRY_AFTER_MAX_S)
		seconds = RETRY_AFTER_MAX_S;
	if (seconds > 0)
		t->r->retry_after_ms = (int64_t)seconds * 1000;
}

static void conclude(struct transfer *t, enum outcome_end end, CURLcode rc)
{
	char code[LISTING_CODE_SIZE] = "";

	t->r->status = status_of(t);
	if (t->refusal.len > 0)
		listing_error_code(t->refusal.data, t->refusal.len, code);
	read_retry_after(t);
	struct outcome_facts facts = {
		.verb = t->r->verb,
		.end = end,
		.begun = t->begun,
		.status = t->r->status,
		.code = code,
		.told_when = header_of(t, "Retry-After") != NULL,
	};
	struct outcome o = outcome_of(&facts);

	if (o.error != ERROR_NONE)
		complain(t, o, code, rc);
	if (t->r->verb == OBJECT_LIST && o.result == OBJECT_OK) {
		t->r->listing = listing_take(t->listing);
		if (t->r->listing.count == 0)
			o.result = OBJECT_ABSENT;
	}
	unlink_running(t);
	finish(t, o);
}

static enum outcome_end end_of(const struct transfer *t, CURLcode rc)
{
	if (t->stopped != END_WHOLE)
		return t->stopped;
	if (t->enough || rc == CURLE_OK)
		return END_WHOLE;
	if (rc == CURLE_OPERATION_TIMEDOUT)
		return END_TIMEOUT;
	if (!t->begun || rc == CURLE_COULDNT_CONNECT || rc == CURLE_COULDNT_RESOLVE_HOST)
		return END_CONNECT;
	return END_BROKEN;
}

static void end_transfer(struct transfer *t, CURLcode rc)
{
	enum outcome_end end = end_of(t, rc);
	int status = status_of(t);

	if (end == END_WHOLE && t->r->verb == OBJECT_GET && (status == 200 || status == 206) &&
	    !object_is_announced_well(t))
		end = END_DAMAGED;
	if (end == END_WHOLE && t->r->verb == OBJECT_LIST && status == 200) {
		switch (listing_end_page(t->listing)) {
		case LISTING_MORE:
			close_easy(t);
			int failure = open_easy(t);
			assert(failure == 0);
			return;
		case LISTING_COMPLETE:
			break;
		case LISTING_DAMAGED:
			end = END_DAMAGED;
			break;
		}
	}
	conclude(t, end, rc);
}

static int64_t look_ms(const struct s3 *s)
{
	int64_t ms = s->limits.silence_ms / 8;

	if (ms > LOOK_MAX_MS)
		return LOOK_MAX_MS;
	return ms > 0 ? ms : 1;
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

/* True when a request has ended. */
static bool end_silent(struct s3 *s)
{
	int64_t now = clock_mono_ms();
	struct transfer *next;
	bool ended = false;

	for (struct transfer *t = s->running; t != NULL; t = next) {
		next = t->next;
		if (!t->begun)
			continue;
		look(t, now);
		if (now - t->moved_at_ms < s->limits.silence_ms)
			continue;
		conclude(t, END_TIMEOUT, CURLE_OK);
		ended = true;
	}
	return ended;
}

/* How long a wait may be without missing the end of a silence. */
static int64_t until_next_look(const struct s3 *s, int64_t wait_ms)
{
	int64_t now = clock_mono_ms();

	for (const struct transfer *t = s->running; t != NULL; t = t->next) {
		int64_t left = t->moved_at_ms + s->limits.silence_ms - now;

		if (!t->begun)
			continue;
		if (t->queued > 0 && left > look_ms(s))
			left = look_ms(s);
		if (left < wait_ms)
			wait_ms = left;
	}
	return wait_ms > 0 ? wait_ms : 0;
}

static void s3_start(struct store *base, struct object_request *r)
{
	struct s3 *s = (struct s3 *)base;
	struct transfer *t = alloc_zeroed(1, sizeof *t);

	t->store = s;
	t->r = r;
	r->transfer = t;
	*s->waiting_end = t;
	s->waiting_end = &t->next;
}

/* -1 when it never got to run and has been finished. */
static int start_waiting(struct s3 *s)
{
	struct transfer *t = s->waiting;

	s->waiting = t->next;
	if (s->waiting == NULL)
		s->waiting_end = &s->waiting;
	if (!object_key_is_sound(t->r)) {
		log_error("s3.bad_key", "verb=%s", object_verb_name[t->r->verb]);
		finish(t, (struct outcome){ OBJECT_REFUSED, ERROR_CONFIG });
		return -1;
	}
	if (t->r->verb == OBJECT_LIST)
		t->listing = listing_new(s->prefix, t->r->key);
	if (open_easy(t) < 0) {
		finish(t, (struct outcome){ OBJECT_TRY_LATER, ERROR_DISK });
		return -1;
	}
	t->next = s->running;
	s->running = t;
	s->nrunning++;
	return 0;
}

/* As end_silent(). */
static bool move(struct s3 *s)
{
	int nrunning = 0, nleft = 0;
	const CURLMsg *m;
	bool ended = false;

	CURLMcode rc = curl_multi_perform(s->multi, &nrunning);
	assert(rc == CURLM_OK);
	while ((m = curl_multi_info_read(s->multi, &nleft)) != NULL) {
		CURLcode end = m->data.result;
		struct transfer *t = NULL;

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
		end_transfer(t, end);
		ended = true;
	}
	return ended;
}

/* One wait at most, and none when something has ended before it. */
static void s3_run(struct store *base, int64_t wait_ms)
{
	struct s3 *s = (struct s3 *)base;
	bool ended = false;

	while (s->waiting != NULL && s->nrunning < s->limits.max_transfers)
		ended |= start_waiting(s) < 0;
	ended |= move(s);
	ended |= end_silent(s);
	if (ended)
		return;
	wait_ms = until_next_look(s, wait_ms < INT_MAX ? wait_ms : INT_MAX);
	curl_multi_poll(s->multi, NULL, 0, (int)wait_ms, NULL);
	move(s);
	end_silent(s);
}

static void s3_wake(struct store *base)
{
	curl_multi_wakeup(((struct s3 *)base)->multi);
}

static void drop_all(struct transfer *t)
{
	while (t != NULL) {
		struct transfer *next = t->next;

		t->r->transfer = NULL;
		free_transfer(t);
		t = next;
	}
}

static void s3_free(struct store *base)
{
	struct s3 *s = (struct s3 *)base;

	drop_all(s->waiting);
	drop_all(s->running);
	curl_multi_cleanup(s->multi);
	curl_share_cleanup(s->share);
	curl_global_cleanup();
	if (s->secret_key != NULL)
		explicit_bzero(s->secret_key, strlen(s->secret_key));
	free(s->secret_key);
	free(s->access_key);
	free(s->region);
	free(s->ca_file);
	free(s->prefix);
	free(s->bucket_path);
	free(s->host);
	free(s->origin);
	free(s);
}

static const struct store_methods s3_methods = {
	.free = s3_free,
	.start = s3_start,
	.run = s3_run,
	.wake = s3_wake,
};

static bool is_loopback(const char *host)
{
	struct in_addr address;

	if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool url_has(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return has;
}

/* For a header: NULL when it holds anything but printable ASCII. */
static char *lower_host(const char *host)
{
	char *lower = alloc_string(host);

	for (char *p = lower; *p != '\0'; p++) {
		if (*p <= ' ' || *p >= 0x7f) {
			free(lower);
			return NULL;
		}
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
	}
	return lower;
}

static void set_place(struct s3 *s, const char *scheme, const char *host, const char *port,
		      const char *path, const char *bucket)
{
	struct buf name = BUF_INIT, origin = BUF_INIT, bucket_path = BUF_INIT;
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	buf_addf(&name, "%s%s%s", host, port != NULL ? ":" : "", port != NULL ? port : "");
	buf_addf(&origin, "%s://%s", scheme, name.data);
	buf_addf(&bucket_path, "%.*s/%s", (int)len, path, bucket);
	s->host = name.data;
	s->origin = origin.data;
	s->bucket_path = bucket_path.data;
}

/* NULL, or what is wrong with the endpoint, which may hold a secret itself. */
static const char *set_endpoint(struct s3 *s, const char *endpoint, const char *bucket)
{
	static const char unusable[] = "the endpoint of the store is not an http(s) address";
	const char *wrong = unusable;
	char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *lower = NULL;
	CURLU *url = curl_url();

	assert(url != NULL);
	if (curl_url_set(url, CURLUPART_URL, endpoint, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_PATH, &path, CURLU_URLDECODE) != CURLUE_OK)
		goto out;
	if (curl_url_get(url, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT) != CURLUE_OK)
		port = NULL;
	lower = lower_host(host);
	if (lower == NULL || (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		goto out;
	wrong = "the endpoint of the store must be an address without user, password, query, "
		"fragment or zone";
	if (url_has(url, CURLUPART_USER) || url_has(url, CURLUPART_PASSWORD) ||
	    url_has(url, CURLUPART_QUERY) || url_has(url, CURLUPART_FRAGMENT) ||
	    url_has(url, CURLUPART_ZONEID))
		goto out;
	wrong = "the endpoint of the store must be https; http is for loopback addresses only";
	if (strcmp(scheme, "http") == 0 && !is_loopback(lower))
		goto out;
	set_place(s, scheme, lower, port, path, bucket);
	wrong = NULL;
out:
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(path);
	free(lower);
	curl_url_cleanup(url);
	return wrong;
}

/* It goes into a header and into the scope of a signature. */
static bool is_plain(const char *text)
{
	if (text == NULL || text[0] == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text <= ' ' || *text >= 0x7f || *text == '/' || *text == ',')
			return false;
	}
	return true;
}

/* NULL, or what is missing. */
static const char *check_config(const struct store_config *c)
{
	if (c->endpoint == NULL || c->endpoint[0] == '\0')
		return "a store in s3:// needs an endpoint";
	if (!is_plain(c->region))
		return "a store in s3:// needs a region, such as auto";
	if (!is_plain(c->access_key))
		return "a store in s3:// needs an access key";
	if (c->secret_key == NULL || c->secret_key[0] == '\0')
		return "a store in s3:// needs a secret key";
	if (c->limits.connect_ms <= 0 || c->limits.silence_ms <= 0 || c->limits.max_transfers <= 0)
		return "a store in s3:// needs limits above 0";
	return NULL;
}

static void ignore_sigpipe(void)
{
	struct sigaction now;

	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
}

struct store *s3_new(const struct store_config *c, const char *bucket, const char *prefix,
		     char *why, size_t why_size)
{
	const char *wrong = check_config(c);

	if (wrong != NULL) {
		(void)snprintf(why, why_size, "%s", wrong);
		return NULL;
	}
	struct s3 *s = alloc_zeroed(1, sizeof *s);
	CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);
	assert(rc == CURLE_OK);
	s->base.methods = &s3_methods;
	s->waiting_end = &s->waiting;
	s->multi = curl_multi_init();
	s->share = curl_share_init();
	assert(s->multi != NULL && s->share != NULL);
	curl_share_setopt(s->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	s->limits = c->limits;
	wrong = set_endpoint(s, c->endpoint, bucket);
	if (wrong != NULL) {
		(void)snprintf(why, why_size, "%s", wrong);
		s3_free(&s->base);
		return NULL;
	}
	s->prefix = alloc_string(prefix);
	s->access_key = alloc_string(c->access_key);
	s->secret_key = alloc_string(c->secret_key);
	s->region = alloc_string(c->region);
	const char *ca_file = getenv("SSL_CERT_FILE");
	if (ca_file != NULL && ca_file[0] != '\0')
		s->ca_file = alloc_string(ca_file);
	ignore_sigpipe();
	return &s->base;
}
