/*
 * Objects in an S3 bucket, many requests at once.
 *
 *	waiting --> under way --> finish()
 *	   FIFO       ^  |
 *	              +--+ the next page of a list
 *
 * Requests are signed here and not by libcurl, whose versions each get another
 * part of it wrong.
 */
#include "store/s3.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/backend.h"
#include "store/complaint.h"
#include "store/endpoint.h"
#include "store/listing.h"
#include "store/outcome.h"
#include "store/sigv4.h"
#include "store/transfer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	REFUSAL_LEN_MAX = 16 * 1024,
	RETRY_AFTER_MAX_S = 3600,
	RANGE_SIZE = 40,
	HASHED_LEN_MAX = 4 << 20,
};

/* What a single PUT can have made. */
static const int64_t object_len_max = (int64_t)5 << 30;

struct s3 {
	struct store base;
	struct transfers *transfers;
	int max_transfers;
	struct endpoint endpoint;
	char *bucket_path; /* begins with '/', without one at the end */
	char *prefix; /* "" or ends with '/' */
	char *access_key, *secret_key, *region;
	struct job *waiting, **waiting_end;
	struct complaint complaints[ERROR_COUNT];
};

struct job {
	struct s3 *store;
	struct object_request *r;
	struct job *next; /* waiting */
	struct transfer *transfer; /* NULL while waiting */
	struct listing *listing; /* list: all pages so far */
	uint64_t nreceived; /* get: bytes of the object */
	struct buf refusal; /* the beginning of a body that is not a success */
};

static bool is_put(const struct object_request *r)
{
	return r->verb == OBJECT_CREATE || r->verb == OBJECT_PROBE_PUT;
}

static bool answer_is_object(const struct job *j)
{
	int status = transfer_status(j->transfer);

	return j->r->verb == OBJECT_GET && (status == 200 || status == 206);
}

static bool answer_is_page(const struct job *j)
{
	return j->r->verb == OBJECT_LIST && transfer_status(j->transfer) == 200;
}

/*
 * An object comes with its length, without which a cut one looks whole, and a
 * part of an object is the part that was asked for.
 */
static bool object_is_announced_well(const struct job *j)
{
	static const char from_start[] = "bytes 0-";
	int64_t len = transfer_len(j->transfer);

	if (len < 0 || len > object_len_max)
		return false;
	if (transfer_status(j->transfer) != 206)
		return true;
	const char *range = transfer_header(j->transfer, "Content-Range");
	return j->r->range_len > 0 && (uint64_t)len <= j->r->range_len && range != NULL &&
	       strncasecmp(range, from_start, strlen(from_start)) == 0;
}

static bool keep_object(struct job *j, const char *bytes, size_t len, enum transfer_end *end)
{
	size_t wanted = len;

	if (j->nreceived == 0 && !object_is_announced_well(j)) {
		*end = END_DAMAGED;
		return false;
	}
	if (j->r->range_len > 0 && wanted > j->r->range_len - j->nreceived)
		wanted = (size_t)(j->r->range_len - j->nreceived);
	if (wanted > 0 && spill_add(j->r->answer, bytes, wanted) < 0) {
		*end = END_DISK;
		return false;
	}
	j->nreceived += wanted;
	*end = END_WHOLE;
	return wanted == len;
}

static bool on_receive(void *owner, const char *bytes, size_t len, enum transfer_end *end)
{
	struct job *j = owner;

	if (answer_is_object(j))
		return keep_object(j, bytes, len, end);
	if (answer_is_page(j)) {
		*end = END_DAMAGED;
		return listing_feed(j->listing, bytes, len) == 0;
	}
	/* Longer than any reason is: whoever it is may talk to somebody else. */
	*end = END_BROKEN;
	if (j->refusal.len + len > REFUSAL_LEN_MAX)
		return false;
	buf_add(&j->refusal, bytes, len);
	return true;
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

static size_t query_of(const struct job *j, const char *prefix,
		       struct sigv4_pair query[static SIGV4_PAIRS_MAX])
{
	const char *token = j->listing != NULL ? listing_token(j->listing) : NULL;
	size_t n = 0;

	if (j->r->verb != OBJECT_LIST)
		return 0;
	query[n++] = (struct sigv4_pair){ "list-type", "2" };
	query[n++] = (struct sigv4_pair){ "prefix", prefix };
	if (j->r->folders)
		query[n++] = (struct sigv4_pair){ "delimiter", "/" };
	if (token != NULL && token[0] != '\0')
		query[n++] = (struct sigv4_pair){ "continuation-token", token };
	return n;
}

static size_t headers_of(const struct object_request *r, char range[static RANGE_SIZE],
			 struct sigv4_pair headers[static SIGV4_PAIRS_MAX])
{
	size_t n = 0;

	if (r->verb == OBJECT_CREATE)
		headers[n++] = (struct sigv4_pair){ "If-None-Match", "*" };
	if (r->verb == OBJECT_GET && r->range_len > 0) {
		(void)snprintf(range, RANGE_SIZE, "bytes=0-%llu",
			       (unsigned long long)r->range_len - 1);
		headers[n++] = (struct sigv4_pair){ "Range", range };
	}
	return n;
}

/*
 * A large body is not hashed: the uploads of all others would stand still
 * meanwhile.  TLS sees to it that it arrives as it was sent, and the object has
 * checksums of its own.
 */
static int hash_of(const struct object_request *r, char hash[static SIGV4_HASH_SIZE])
{
	if (!is_put(r))
		sigv4_hash_bytes("", 0, hash);
	else if (spill_len(r->body) > HASHED_LEN_MAX)
		(void)snprintf(hash, SIGV4_HASH_SIZE, "UNSIGNED-PAYLOAD");
	else
		return sigv4_hash_spill(r->body, hash);
	return 0;
}

static void on_ended(void *owner, enum transfer_end end);

static void start_transfer(struct job *j, const struct sigv4_request *request)
{
	static const struct transfer_events events = { .receive = on_receive, .ended = on_ended };
	const struct s3 *s = j->store;
	struct sigv4_key key = { s->access_key, s->secret_key, s->region };
	struct sigv4_signature signature = SIGV4_SIGNATURE_INIT;
	struct buf url = BUF_INIT;

	int failure = sigv4_sign(&key, request, &signature);
	assert(failure == 0);
	j->transfer = transfer_new(s->transfers, &events, j);
	for (size_t i = 0; i < request->nheaders; i++)
		transfer_add_header(j->transfer, request->headers[i].name,
				    request->headers[i].value);
	transfer_add_header(j->transfer, "x-amz-date", request->date);
	transfer_add_header(j->transfer, "x-amz-content-sha256", request->payload_hash);
	transfer_add_header(j->transfer, "Authorization", signature.authorization.data);
	buf_addf(&url, "%s%s", s->endpoint.origin, signature.target.data);
	transfer_start(j->transfer, request->method, url.data, is_put(j->r) ? j->r->body : NULL);
	buf_release(&url);
	sigv4_signature_release(&signature);
}

/* -1 when the body could not be read. */
static int send_request(struct job *j)
{
	const struct s3 *s = j->store;
	struct sigv4_pair query[SIGV4_PAIRS_MAX], headers[SIGV4_PAIRS_MAX];
	char date[SIGV4_DATE_SIZE], hash[SIGV4_HASH_SIZE], range[RANGE_SIZE];
	struct buf path = BUF_INIT, name = BUF_INIT;

	if (hash_of(j->r, hash) < 0)
		return -1;
	buf_addf(&name, "%s%s", s->prefix, j->r->key);
	buf_add_text(&path, s->bucket_path);
	if (j->r->verb != OBJECT_LIST)
		buf_addf(&path, "/%s", name.data);
	sigv4_date(clock_wall_ms(), date);
	struct sigv4_request request = {
		.method = method_of(j->r->verb),
		.host = s->endpoint.host,
		.path = path.data,
		.query = query,
		.nquery = query_of(j, name.data, query),
		.headers = headers,
		.nheaders = headers_of(j->r, range, headers),
		.date = date,
		.payload_hash = hash,
	};
	start_transfer(j, &request);
	buf_release(&path);
	buf_release(&name);
	return 0;
}

static void free_job(struct job *j)
{
	transfer_free(j->transfer);
	listing_free(j->listing);
	buf_release(&j->refusal);
	free(j);
}

/* done() is the last that happens, since it may start another request. */
static void finish(struct job *j, struct outcome o)
{
	struct object_request *r = j->r;

	free_job(j);
	store_finish(r, o);
}

static void complain(const struct job *j, struct outcome o, const char *code)
{
	unsigned untold;

	if (!complaint_is_due(&j->store->complaints[o.error], clock_mono_ms(), &untold))
		return;
	log_warn("s3.failed", "key=%s verb=%s status=%d code=%s curl=%d error=%s untold=%u",
		 j->r->key, object_verb_name[j->r->verb], j->r->status,
		 code[0] != '\0' ? code : "-", transfer_curl_code(j->transfer),
		 object_error_name[o.error], untold);
}

/* A date that has passed asks for nothing. */
static int64_t retry_after_ms(const struct transfer *t)
{
	int64_t seconds = transfer_retry_after_s(t);

	if (seconds < 0)
		return 0;
	return 1000 * (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S);
}

static void conclude(struct job *j, enum transfer_end end)
{
	char code[LISTING_CODE_SIZE] = "";

	if (j->refusal.len > 0)
		listing_error_code(j->refusal.data, j->refusal.len, code);
	j->r->status = transfer_status(j->transfer);
	j->r->retry_after_ms = retry_after_ms(j->transfer);
	struct outcome_facts facts = {
		.verb = j->r->verb,
		.end = end,
		.begun = transfer_has_begun(j->transfer),
		.status = j->r->status,
		.code = code,
		.told_when = transfer_header(j->transfer, "Retry-After") != NULL,
	};
	struct outcome o = outcome_of(&facts);

	if (o.error != ERROR_NONE)
		complain(j, o, code);
	if (j->r->verb == OBJECT_LIST && o.result == OBJECT_OK) {
		j->r->listing = listing_take(j->listing);
		if (j->r->listing.count == 0)
			o.result = OBJECT_ABSENT;
	}
	finish(j, o);
}

static void ask_next_page(struct job *j)
{
	transfer_free(j->transfer);
	int failure = send_request(j);
	assert(failure == 0);
}

static void conclude_page(struct job *j)
{
	switch (listing_end_page(j->listing)) {
	case LISTING_MORE:
		ask_next_page(j);
		break;
	case LISTING_COMPLETE:
		conclude(j, END_WHOLE);
		break;
	case LISTING_DAMAGED:
		conclude(j, END_DAMAGED);
		break;
	}
}

static void on_ended(void *owner, enum transfer_end end)
{
	struct job *j = owner;

	if (end == END_WHOLE && answer_is_page(j))
		conclude_page(j);
	else if (end == END_WHOLE && answer_is_object(j) && !object_is_announced_well(j))
		conclude(j, END_DAMAGED);
	else
		conclude(j, end);
}

static void s3_start(struct store *base, struct object_request *r)
{
	struct s3 *s = (struct s3 *)base;
	struct job *j = alloc_zeroed(1, sizeof *j);

	j->store = s;
	j->r = r;
	r->transfer = j;
	*s->waiting_end = j;
	s->waiting_end = &j->next;
}

/* -1 when it was not sent and has been finished. */
static int start_waiting(struct s3 *s)
{
	struct job *j = s->waiting;

	s->waiting = j->next;
	if (s->waiting == NULL)
		s->waiting_end = &s->waiting;
	if (!object_key_is_sound(j->r)) {
		log_error("s3.bad_key", "verb=%s", object_verb_name[j->r->verb]);
		finish(j, (struct outcome){ OBJECT_REFUSED, ERROR_CONFIG });
		return -1;
	}
	if (j->r->verb == OBJECT_LIST)
		j->listing = j->r->folders ? listing_new_of_folders(s->prefix, j->r->key)
					   : listing_new(s->prefix, j->r->key);
	if (send_request(j) < 0) {
		finish(j, (struct outcome){ OBJECT_TRY_LATER, ERROR_DISK });
		return -1;
	}
	return 0;
}

/* One wait at most, and none when something has ended before it. */
static void s3_run(struct store *base, int64_t wait_ms)
{
	struct s3 *s = (struct s3 *)base;

	while (s->waiting != NULL && transfers_count(s->transfers) < s->max_transfers) {
		if (start_waiting(s) < 0)
			wait_ms = 0;
	}
	transfers_run(s->transfers, wait_ms);
}

static void s3_wake(struct store *base)
{
	transfers_wake(((struct s3 *)base)->transfers);
}

static void forget(struct job *j)
{
	j->r->transfer = NULL;
	free_job(j);
}

static void s3_drop(struct store *base, struct object_request *r)
{
	struct s3 *s = (struct s3 *)base;
	struct job *j = r->transfer, **at = &s->waiting;

	while (*at != NULL && *at != j)
		at = &(*at)->next;
	if (*at != NULL) {
		*at = j->next;
		if (s->waiting_end == &j->next)
			s->waiting_end = at;
	}
	forget(j);
}

static void s3_free(struct store *base)
{
	struct s3 *s = (struct s3 *)base;
	struct job *j;

	while ((j = s->waiting) != NULL) {
		s->waiting = j->next;
		forget(j);
	}
	while ((j = transfers_any(s->transfers)) != NULL)
		forget(j);
	transfers_free(s->transfers);
	endpoint_release(&s->endpoint);
	explicit_bzero(s->secret_key, strlen(s->secret_key));
	free(s->secret_key);
	free(s->access_key);
	free(s->region);
	free(s->prefix);
	free(s->bucket_path);
	free(s);
}

static const struct store_methods s3_methods = {
	.free = s3_free,
	.start = s3_start,
	.drop = s3_drop,
	.run = s3_run,
	.wake = s3_wake,
};

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

struct store *s3_new(const struct store_config *c, const char *bucket, const char *prefix,
		     char *why, size_t why_size)
{
	struct endpoint endpoint = ENDPOINT_INIT;
	struct buf bucket_path = BUF_INIT;
	const char *wrong = check_config(c);

	if (wrong == NULL)
		wrong = endpoint_init(&endpoint, c->endpoint);
	if (wrong != NULL) {
		(void)snprintf(why, why_size, "%s", wrong);
		return NULL;
	}
	buf_addf(&bucket_path, "%s/%s", endpoint.path, bucket);
	struct s3 *s = alloc_zeroed(1, sizeof *s);
	s->base.methods = &s3_methods;
	s->waiting_end = &s->waiting;
	s->transfers = transfers_new(c->limits.connect_ms, c->limits.silence_ms);
	s->max_transfers = c->limits.max_transfers;
	s->endpoint = endpoint;
	s->bucket_path = bucket_path.data;
	s->prefix = alloc_string(prefix);
	s->access_key = alloc_string(c->access_key);
	s->secret_key = alloc_string(c->secret_key);
	s->region = alloc_string(c->region);
	return &s->base;
}
