/*
 * A connection as a worker reads it, in two ways: the bytes are what nginx sends,
 * whatever they are; or they are the parts of a request, from which proper records are
 * made, cut and padded anywhere, and the request has to come out again.  Either is
 * sent whole and in small pieces: nothing may depend on how bytes arrive.
 *
 * What libfcgi itself cannot stand is left out, see is_for_libfcgi().  Whoever may
 * write to the socket is trusted not to send it.
 */
#include "../../app/http/fcgi.c"

#include <stdio.h>

enum {
	INPUT_MAX = 2048,
	PIECES_MAX = 120, /* what a socket holds, whatever they cost the kernel */
	PIECE_MAX = 8192, /* what libfcgi reads at a time */
	ANNOUNCED_MAX = 1 << 16, /* of one parameter */
	ASKED_MAX = 3, /* by a record of type GET_VALUES */
	BODY_MAX = 20000,
	RECORDS_MAX = 300, /* of one stream: what a socket holds */
	QUESTIONS_MAX = 8, /* nobody reads the answers meanwhile */
};

enum { RECORD_BEGIN = 1, RECORD_PARAMS = 4, RECORD_STDIN = 5, RECORD_GET_VALUES = 9 };

/* What came of a connection; `seen` is what the peer got back. */
struct outcome {
	bool accepted;
	enum fcgi_body result;
	struct buf params;
	struct buf body;
	struct buf seen;
};

static void outcome_release(struct outcome *o)
{
	buf_release(&o->params);
	buf_release(&o->body);
	buf_release(&o->seen);
}

/* ---- what libfcgi cannot stand */

static size_t record_len(const uint8_t *head)
{
	return (size_t)head[4] << 8 | head[5];
}

/* The length at the start, in one byte or four; how many, 0: there is none. */
static size_t param_len(const uint8_t *p, size_t left, uint32_t *out)
{
	if (left > 0 && p[0] < 0x80) {
		*out = p[0];
		return 1;
	}
	if (left < 4)
		return 0;
	*out = (uint32_t)(p[0] & 0x7f) << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	return 4;
}

static bool params_are_bearable(const struct buf *params, size_t npairs_max)
{
	const uint8_t *p = (const uint8_t *)params->data;
	size_t at = 0;

	for (size_t npairs = 0; at < params->len; npairs++) {
		uint32_t name, value;
		size_t n = param_len(p + at, params->len - at, &name);
		size_t m = n > 0 ? param_len(p + at + n, params->len - at - n, &value) : 0;
		if (m == 0)
			break;
		if (name > ANNOUNCED_MAX || value > ANNOUNCED_MAX || npairs == npairs_max)
			return false;
		at += n + m + name + value;
	}
	return true;
}

static bool question_is_bearable(const uint8_t *content, size_t len)
{
	struct buf asked = BUF_INIT;

	buf_add(&asked, content, len);
	bool bearable = params_are_bearable(&asked, ASKED_MAX);
	buf_release(&asked);
	return bearable;
}

/* As libfcgi goes through the records, whose request is `*id` once it has begun. */
static bool record_is_bearable(const uint8_t *head, size_t here, unsigned *id, struct buf *params)
{
	unsigned of = (unsigned)head[2] << 8 | head[3];
	size_t len = record_len(head), padding = head[6];
	int type = head[1];

	if (type == RECORD_BEGIN && *id == 0) {
		*id = of;
		return padding == 0;
	}
	if (type == RECORD_BEGIN)
		return len > 0;
	if (of == 0)
		return type == RECORD_GET_VALUES && question_is_bearable(head + 8, here);
	if (len == 0)
		return of == *id && padding == 0;
	if (of == *id && type == RECORD_PARAMS)
		buf_add(params, head + 8, here);
	return true;
}

/*
 * It takes memory for a parameter as it is announced, and dies of sums beyond an int.
 * It writes its answer to GET_VALUES into 64 bytes, however often a value is asked for.
 * For other records of no request it loses memory.  Padding of the first record or of
 * the end of a stream it takes for the next one, and it goes on skipping behind an empty
 * record that it has skipped.
 */
static bool is_for_libfcgi(const struct buf *bytes)
{
	const uint8_t *p = (const uint8_t *)bytes->data;
	struct buf params = BUF_INIT;
	bool bearable = true;
	unsigned id = 0;
	size_t at = 0;

	while (bearable && bytes->len - at >= 8 && p[at] == 1) {
		size_t len = record_len(p + at), left = bytes->len - at - 8;
		size_t here = len < left ? len : left, padding = p[at + 6];

		bearable = record_is_bearable(p + at, here, &id, &params);
		at += 8 + here;
		at += bytes->len - at < padding ? bytes->len - at : padding;
	}
	bearable = bearable && params_are_bearable(&params, SIZE_MAX);
	buf_release(&params);
	return bearable;
}

/* ---- both ends of a connection */

static void send_in_pieces(int fd, const struct buf *bytes, size_t piece)
{
	for (size_t at = 0; at < bytes->len;) {
		size_t left = bytes->len - at;
		ssize_t n = send(fd, bytes->data + at, left < piece ? left : piece, MSG_NOSIGNAL);
		assert(n > 0);
		at += (size_t)n;
	}
	shutdown(fd, SHUT_WR);
}

/* What the worker left unread is told first, and once. */
static void receive_all(int fd, struct buf *out)
{
	ssize_t n;

	do {
		buf_reserve(out, RECORD_MAX + 64);
		n = recv(fd, out->data + out->len, RECORD_MAX + 64, 0);
		out->len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == ECONNRESET));
}

static void note_params(const struct fcgi_request *r, struct buf *out)
{
	for (char **p = r->fcgx->envp; *p != NULL; p++)
		buf_add(out, *p, strlen(*p) + 1);
}

static void serve(int fd, int64_t max, struct outcome *out)
{
	static const struct fcgi_extra extra = { .allow = "GET" };
	struct response response = { .status = HTTP_OK, .content_type = "text/plain" };
	struct fcgi_request *r = read_params(fd);

	out->accepted = r != NULL;
	if (r == NULL)
		return;
	note_params(r, &out->params);
	out->result = fcgi_read_body(r, max, &out->body);
	if (out->result == FCGI_BODY_GONE) {
		fcgi_drop(r);
		return;
	}
	response.body = out->body;
	if (out->result != FCGI_BODY_WHOLE)
		response.body.len = 0;
	assert((int64_t)response.body.len <= max);
	fcgi_answer(r, &response, &extra);
}

/* With SOCK_SEQPACKET a read gives one piece, and never more. */
static struct outcome talk(int type, const struct buf *bytes, size_t piece, int64_t max)
{
	struct outcome out = { .result = FCGI_BODY_GONE };
	int fds[2];

	assert(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) == 0);
	send_in_pieces(fds[0], bytes, piece);
	serve(fds[1], max, &out);
	receive_all(fds[0], &out.seen);
	close(fds[0]);
	return out;
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

/*
 * The answer is whole records, and END_REQUEST the last.  What libfcgi pads with is
 * anything, and made zeroes.
 */
static void check_answer(struct outcome *o)
{
	uint8_t *p = (uint8_t *)o->seen.data;
	size_t at = 0;
	int last = 0;

	while (at < o->seen.len) {
		assert(o->seen.len - at >= 8 && p[at] == 1);
		size_t padding = p[at + 6];
		last = p[at + 1];
		at += 8 + record_len(p + at) + padding;
		assert(at <= o->seen.len);
		memset(p + at - padding, 0, padding);
	}
	if (o->accepted && o->result != FCGI_BODY_GONE)
		assert(last == FCGI_END_REQUEST_TYPE);
}

/* Whole and in pieces; the caller gets what came of it. */
static struct outcome converse(const struct buf *bytes, size_t piece, int64_t max)
{
	size_t least = bytes->len / PIECES_MAX + 1;
	struct outcome whole = talk(SOCK_STREAM, bytes, bytes->len + 1, max);
	struct outcome cut = talk(SOCK_SEQPACKET, bytes, piece > least ? piece : least, max);

	assert(whole.accepted == cut.accepted);
	assert(whole.result == cut.result);
	assert(same(&whole.params, &cut.params));
	if (whole.result == FCGI_BODY_WHOLE)
		assert(same(&whole.body, &cut.body));
	check_answer(&whole);
	check_answer(&cut);
	assert(same(&whole.seen, &cut.seen));
	outcome_release(&cut);
	return whole;
}

/*
 * ---- a request made of its parts
 *
 * Neither its first record nor the end of a stream is padded: libfcgi would take
 * the padding for the next record.
 */

struct input {
	const uint8_t *data;
	size_t len;
};

static uint8_t take(struct input *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return *in->data++;
}

static void add_record(struct buf *out, int type, unsigned id, const void *content, size_t len,
		       uint8_t padding)
{
	const uint8_t head[8] = { 1,
				  (uint8_t)type,
				  (uint8_t)(id >> 8),
				  (uint8_t)id,
				  (uint8_t)(len >> 8),
				  (uint8_t)len,
				  padding,
				  0 };
	static const char zeroes[UINT8_MAX];

	buf_add(out, head, sizeof head);
	buf_add(out, content, len);
	buf_add(out, zeroes, padding);
}

/* As records no longer than `cut`, with questions and another request's between them. */
static void add_stream(struct buf *out, int type, const struct buf *content, size_t cut,
		       uint8_t shape)
{
	if (content->len / cut >= RECORDS_MAX)
		cut = content->len / RECORDS_MAX + 1;
	for (size_t at = 0; at < content->len; at += cut) {
		size_t left = content->len - at;
		if ((shape & 1) != 0 && at / cut < QUESTIONS_MAX)
			add_record(out, RECORD_GET_VALUES, 0, "\x0e\0FCGI_MAX_CONNS", 16, shape);
		if ((shape & 2) != 0)
			add_record(out, type, 2, "other", 5, 0);
		add_record(out, type, 1, content->data + at, left < cut ? left : cut, shape / 4);
	}
	add_record(out, type, 1, "", 0, 0);
}

static void add_len(struct buf *out, size_t len, bool wide)
{
	const uint8_t bytes[4] = { (uint8_t)(0x80 | len >> 24), (uint8_t)(len >> 16),
				   (uint8_t)(len >> 8), (uint8_t)len };

	if (wide || len >= 0x80)
		buf_add(out, bytes, 4);
	else
		buf_add(out, bytes + 3, 1);
}

static void add_param(struct buf *out, const char *name, const char *value, bool wide)
{
	add_len(out, strlen(name), wide);
	add_len(out, strlen(value), !wide);
	buf_add_text(out, name);
	buf_add_text(out, value);
}

/* A name that only the n-th parameter has, and any value. */
static void take_params(struct input *in, struct buf *out, struct buf *want)
{
	unsigned n = take(in) % 8;

	for (unsigned i = 0; i < n; i++) {
		size_t len = (size_t)take(in) * (take(in) % 4 + 1);
		struct buf name = BUF_INIT, value = BUF_INIT;

		buf_addf(&name, "HTTP_%u", i);
		buf_add(&value, "", 0);
		for (size_t k = 0; k < len; k++) {
			uint8_t c = take(in);
			buf_add(&value, c != 0 ? (char *)&c : "0", 1);
		}
		add_param(out, name.data, value.data, len % 2 == 0);
		buf_addf(want, "%s=%s", name.data, value.data);
		buf_add(want, "", 1);
		buf_release(&name);
		buf_release(&value);
	}
}

/* What CONTENT_LENGTH says; -1: it is none. */
static int64_t announce(uint8_t how, size_t len, char text[static 32])
{
	static const char *const bad[] = { "-1", "12x", "1 ", "+5", "9999999999999999999", "0x10" };

	if (how < sizeof bad / sizeof bad[0]) {
		(void)snprintf(text, 32, "%s", bad[how]);
		return -1;
	}
	int64_t told = (int64_t)len + (how < 32 ? how - 16 : 0);
	if (told < 0)
		told = 0;
	(void)snprintf(text, 32, "%lld", (long long)told);
	return told;
}

static enum fcgi_body expected(int64_t announced, int64_t len, int64_t max)
{
	if (announced > max || len > max)
		return FCGI_BODY_TOO_LARGE;
	return announced == len ? FCGI_BODY_WHOLE : FCGI_BODY_CUT;
}

static void try_request(struct input *in, size_t piece, int64_t max)
{
	struct buf params = BUF_INIT, want = BUF_INIT, body = BUF_INIT, bytes = BUF_INIT;
	uint8_t shape = take(in), how = take(in), times = take(in);
	size_t cut = (size_t)take(in) * 16 + 1;
	char text[32];

	/* libfcgi's own. */
	buf_add(&want, "FCGI_ROLE=RESPONDER", sizeof "FCGI_ROLE=RESPONDER");
	take_params(in, &params, &want);
	for (unsigned i = 0; i <= times && body.len + in->len <= BODY_MAX; i++)
		buf_add(&body, in->data, in->len);
	int64_t announced = announce(how, body.len, text);
	add_param(&params, "CONTENT_LENGTH", text, false);
	buf_addf(&want, "CONTENT_LENGTH=%s", text);
	buf_add(&want, "", 1);

	add_record(&bytes, RECORD_BEGIN, 1, "\0\1\1\0\0\0\0", 8, 0);
	add_stream(&bytes, RECORD_PARAMS, &params, cut, shape);
	add_stream(&bytes, RECORD_STDIN, &body, cut, shape);
	struct outcome got = converse(&bytes, piece, max);
	assert(got.accepted && same(&got.params, &want));
	assert(got.result == expected(announced, (int64_t)body.len, max));
	if (got.result == FCGI_BODY_WHOLE)
		assert(same(&got.body, &body));
	outcome_release(&got);
	buf_release(&params);
	buf_release(&want);
	buf_release(&body);
	buf_release(&bytes);
}

static void try_bytes(struct input *in, size_t piece, int64_t max)
{
	struct buf bytes = BUF_INIT;

	buf_add(&bytes, in->data, in->len);
	if (is_for_libfcgi(&bytes)) {
		struct outcome got = converse(&bytes, piece, max);
		outcome_release(&got);
	}
	buf_release(&bytes);
}

static int next_descriptor(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const int64_t limits[] = { 1 << 20, 4096, 16, 0 };
	static bool ready;
	struct input in = { data, len };

	if (len < 3 || len > INPUT_MAX)
		return -1;
	if (!ready)
		assert(init_library() == 0);
	ready = true;
	int fd = next_descriptor();
	uint8_t how = take(&in);
	size_t piece = take(&in);
	int64_t max = limits[how >> 1 & 3];
	if ((how & 1) != 0)
		try_request(&in, piece > 0 ? piece : PIECE_MAX, max);
	else
		try_bytes(&in, piece > 0 ? piece : PIECE_MAX, max);
	assert(next_descriptor() == fd);
	return 0;
}
