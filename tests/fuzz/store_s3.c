/*
 * Any bytes as what a store answers, through libcurl to the end of a request.
 *
 *	u8	the verb, and whether only the beginning of an object is wanted
 *	answers	one for each connection, with a NUL between two of them
 *
 * There is no network: libcurl is led to a socket of this process, and the answer
 * is there before the request.
 */
#include <curl/curl.h>

static CURLMcode add_with_sockets(CURLM *multi, CURL *easy);
#define curl_multi_add_handle(multi, easy) add_with_sockets(multi, easy)
#include "../../app/store/transfer.c"
#undef curl_multi_add_handle

#include "quiet.h"
#include "store/object.h"

#include <unistd.h>

enum { CONNECTIONS_MAX = 64, RANGE_LEN = 16, TURNS_MAX = 10000, WAIT_MS = 20 };

static const uint8_t *answers, *answers_end;
static int listener;
static struct sockaddr listener_address;
static socklen_t listener_len;
static int servers[CONNECTIONS_MAX];
static unsigned nservers;

/* The rest is lost where the socket is full, as it may be elsewhere. */
static void send_answer(int fd)
{
	const uint8_t *end = answers < answers_end
				     ? memchr(answers, '\0', (size_t)(answers_end - answers))
				     : NULL;
	size_t len = (size_t)((end != NULL ? end : answers_end) - answers);

	(void)!send(fd, answers, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	answers += end != NULL ? len + 1 : len;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct sockaddr any = { .sa_family = AF_UNIX };

	(void)argc;
	(void)argv;
	/* Without a name the kernel chooses one, which is short enough for libcurl. */
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	listener_len = sizeof listener_address;
	assert(listener >= 0 && bind(listener, &any, sizeof any.sa_family) == 0);
	assert(getsockname(listener, &listener_address, &listener_len) == 0);
	assert(listener_len <= sizeof listener_address);
	assert(listen(listener, CONNECTIONS_MAX) == 0);
	return 0;
}

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)user;
	(void)purpose;
	address->family = AF_UNIX;
	address->protocol = 0;
	address->addrlen = listener_len;
	address->addr = listener_address;
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void serve(void)
{
	int fd;

	while (nservers < CONNECTIONS_MAX &&
	       (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		send_answer(fd);
		servers[nservers++] = fd;
	}
}

static CURLMcode add_with_sockets(CURLM *multi, CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	return curl_multi_add_handle(multi, easy);
}

static struct store *new_store(void)
{
	static char url[] = "s3://bucket/backup", endpoint[] = "http://127.0.0.1:1",
		    region[] = "auto", key[] = "key", secret[] = "secret", dir[] = "/dev/shm";
	const struct store_config config = {
		.url = url,
		.endpoint = endpoint,
		.region = region,
		.access_key = key,
		.secret_key = secret,
		.spill_dir = dir,
		.limits = { .connect_ms = 1000, .silence_ms = 1000, .max_transfers = 4 },
	};
	char why[256];
	struct store *s = store_new(&config, why, sizeof why);

	assert(s != NULL);
	return s;
}

static void note_end(struct object_request *r)
{
	unsigned *nends = r->owner;

	(*nends)++;
}

static bool holds(const uint8_t *data, size_t len, const char *word)
{
	return memmem(data, len, word, strlen(word)) != NULL;
}

/* What it takes for each result: the words of the store, and not less. */
static void expect_reason(const struct object_request *r, const uint8_t *data, size_t len)
{
	switch (r->result) {
	case OBJECT_OK:
		assert(holds(data, len, "HTTP/1.0 2") || holds(data, len, "HTTP/1.1 2") ||
		       r->verb == OBJECT_DELETE);
		assert((r->status >= 200 && r->status < 300) || r->verb == OBJECT_DELETE);
		break;
	case OBJECT_ABSENT:
		assert(r->verb == OBJECT_GET || r->verb == OBJECT_LIST);
		assert(holds(data, len, r->verb == OBJECT_GET ? "o" : "ListBucketResult"));
		assert(r->status == (r->verb == OBJECT_GET ? 404 : 200));
		break;
	case OBJECT_TAKEN:
		assert(r->verb == OBJECT_CREATE && r->status == 412);
		break;
	case OBJECT_UNKNOWN:
	case OBJECT_TRY_LATER:
	case OBJECT_REFUSED:
	case OBJECT_DAMAGED:
		assert(r->error != ERROR_NONE);
		break;
	}
	assert(r->retry_after_ms >= 0 && r->retry_after_ms <= 3600 * 1000);
}

static void expect_bound(const struct object_request *r, size_t len)
{
	assert(spill_len(r->answer) <= (r->range_len > 0 ? r->range_len : len));
	for (size_t i = 0; i < r->listing.count; i++) {
		assert(r->result == OBJECT_OK && r->verb == OBJECT_LIST);
		assert(strncmp(r->listing.entries[i].key, "alice/", 6) == 0);
	}
}

static void run(struct object_request *r)
{
	struct store *s = new_store();
	unsigned nends = 0;

	r->done = note_end;
	r->owner = &nends;
	store_start(s, r);
	for (unsigned turn = 0; r->transfer != NULL; turn++) {
		assert(turn < TURNS_MAX);
		serve();
		store_run(s, nservers > 0 ? WAIT_MS : 0);
	}
	assert(nends == 1);
	store_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const enum object_verb verbs[] = { OBJECT_CREATE, OBJECT_GET, OBJECT_LIST,
						  OBJECT_DELETE };

	if (len == 0)
		return 0;
	struct object_request r = {
		.verb = verbs[data[0] & 3],
		.key = "alice/0000/x",
		.range_len = (data[0] & 3) == 1 && (data[0] & 4) != 0 ? RANGE_LEN : 0,
		.body = spill_new("/dev/shm", 1 << 20),
		.answer = spill_new("/dev/shm", 1 << 20),
	};
	if (r.verb == OBJECT_LIST)
		r.key[strlen("alice/")] = '\0';
	assert(spill_add(r.body, "an object", 9) == 0);
	answers = data + 1;
	answers_end = data + len;
	run(&r);
	expect_reason(&r, data + 1, len - 1);
	expect_bound(&r, len - 1);
	while (nservers > 0)
		close(servers[--nservers]);
	object_listing_release(&r.listing);
	spill_free(r.body);
	spill_free(r.answer);
	return 0;
}
