#include "store/sigv4.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HASH_LEN = 32, READ_LEN = 65536, LINES_MAX = SIGV4_PAIRS_MAX + 3 };

/* A query pair or a header in the form in which it is signed. */
struct line {
	struct buf name;
	struct buf value;
};

static const char hex_upper[] = "0123456789ABCDEF";
static const char hex_lower[] = "0123456789abcdef";

static void to_hex(const unsigned char hash[static HASH_LEN], char out[static SIGV4_HASH_SIZE])
{
	for (size_t i = 0; i < HASH_LEN; i++) {
		out[2 * i] = hex_lower[hash[i] >> 4];
		out[2 * i + 1] = hex_lower[hash[i] & 15];
	}
	out[2 * (size_t)HASH_LEN] = '\0';
}

void sigv4_date(int64_t wall_ms, char out[static SIGV4_DATE_SIZE])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	size_t len = strftime(out, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &utc);
	assert(len == SIGV4_DATE_SIZE - 1);
}

void sigv4_hash_bytes(const void *bytes, size_t len, char out[static SIGV4_HASH_SIZE])
{
	unsigned char hash[HASH_LEN];

	int ok = EVP_Digest(bytes, len, hash, NULL, EVP_sha256(), NULL);
	assert(ok == 1);
	to_hex(hash, out);
}

int sigv4_hash_spill(struct spill *s, char out[static SIGV4_HASH_SIZE])
{
	unsigned char hash[HASH_LEN];
	char *part = malloc(READ_LEN);
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	uint64_t offset = 0;
	int64_t n;

	assert(part != NULL && digest != NULL);
	int ok = EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
	while ((n = spill_read(s, offset, part, READ_LEN)) > 0) {
		ok &= EVP_DigestUpdate(digest, part, (size_t)n);
		offset += (uint64_t)n;
	}
	ok &= EVP_DigestFinal_ex(digest, hash, NULL);
	assert(ok == 1);
	to_hex(hash, out);
	EVP_MD_CTX_free(digest);
	free(part);
	return n < 0 ? -1 : 0;
}

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static void add_encoded(struct buf *out, const char *text, bool keep_slash)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		char escape[3] = { '%', hex_upper[c >> 4], hex_upper[c & 15] };

		if (is_unreserved(c) || (keep_slash && c == '/'))
			buf_add(out, text, 1);
		else
			buf_add(out, escape, sizeof escape);
	}
}

static void add_lower(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		char c = *text;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 'a' - 'A');
		buf_add(out, &c, 1);
	}
}

/* Without blanks at the ends, and with one where there were several. */
static void add_trimmed(struct buf *out, const char *text)
{
	bool gap = false;

	buf_add(out, "", 0);
	for (; *text != '\0'; text++) {
		if (*text == ' ' || *text == '\t') {
			gap = out->len > 0;
			continue;
		}
		if (gap)
			buf_add(out, " ", 1);
		gap = false;
		buf_add(out, text, 1);
	}
}

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int by_name = strcmp(x->name.data, y->name.data);

	return by_name != 0 ? by_name : strcmp(x->value.data, y->value.data);
}

static void release_lines(struct line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_release(&lines[i].name);
		buf_release(&lines[i].value);
	}
}

static void add_query(struct buf *out, const struct sigv4_pair *query, size_t n)
{
	struct line lines[SIGV4_PAIRS_MAX] = { 0 };

	assert(n <= SIGV4_PAIRS_MAX);
	for (size_t i = 0; i < n; i++) {
		buf_add(&lines[i].name, "", 0);
		buf_add(&lines[i].value, "", 0);
		add_encoded(&lines[i].name, query[i].name, false);
		add_encoded(&lines[i].value, query[i].value, false);
	}
	qsort(lines, n, sizeof lines[0], compare_lines);
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%s=%s", i > 0 ? "&" : "", lines[i].name.data, lines[i].value.data);
	release_lines(lines, n);
}

static int add_header(struct line *line, const char *name, const char *value)
{
	buf_add(&line->name, "", 0);
	add_lower(&line->name, name);
	add_trimmed(&line->value, value);
	return name[strcspn(name, ": \t\r\n")] != '\0' || value[strcspn(value, "\r\n")] != '\0' ? -1
												: 0;
}

/* `lines` in the order of the canonical request; -1 as sigv4_sign(). */
static int collect_headers(const struct sigv4_request *r, struct line lines[static LINES_MAX],
			   size_t *n)
{
	int bad = 0;

	assert(r->nheaders <= SIGV4_PAIRS_MAX);
	*n = 0;
	bad |= add_header(&lines[(*n)++], "host", r->host);
	bad |= add_header(&lines[(*n)++], "x-amz-content-sha256", r->payload_hash);
	bad |= add_header(&lines[(*n)++], "x-amz-date", r->date);
	for (size_t i = 0; i < r->nheaders; i++)
		bad |= add_header(&lines[(*n)++], r->headers[i].name, r->headers[i].value);
	qsort(lines, *n, sizeof lines[0], compare_lines);
	for (size_t i = 1; i < *n; i++) {
		if (strcmp(lines[i - 1].name.data, lines[i].name.data) == 0)
			bad = -1;
	}
	return bad;
}

static void hmac(const void *key, size_t key_len, const char *text,
		 unsigned char out[static HASH_LEN])
{
	unsigned len = 0;
	const unsigned char *ok = HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text,
				       strlen(text), out, &len);

	assert(ok != NULL && len == HASH_LEN);
}

static void derive_and_sign(const struct sigv4_key *key, const char *day, const char *text,
			    char out[static SIGV4_HASH_SIZE])
{
	struct buf secret = BUF_INIT;
	unsigned char of_day[HASH_LEN], of_region[HASH_LEN], of_service[HASH_LEN];
	unsigned char derived[HASH_LEN], signature[HASH_LEN];

	/* Room first: growing would leave a copy of the secret behind. */
	buf_reserve(&secret, 4 + strlen(key->secret));
	buf_add_text(&secret, "AWS4");
	buf_add_text(&secret, key->secret);
	hmac(secret.data, secret.len, day, of_day);
	hmac(of_day, HASH_LEN, key->region, of_region);
	hmac(of_region, HASH_LEN, "s3", of_service);
	hmac(of_service, HASH_LEN, "aws4_request", derived);
	hmac(derived, HASH_LEN, text, signature);
	to_hex(signature, out);

	OPENSSL_cleanse(secret.data, secret.len);
	OPENSSL_cleanse(of_day, sizeof of_day);
	OPENSSL_cleanse(of_region, sizeof of_region);
	OPENSSL_cleanse(of_service, sizeof of_service);
	OPENSSL_cleanse(derived, sizeof derived);
	buf_release(&secret);
}

static void add_authorization(const struct sigv4_key *key, const struct sigv4_request *r,
			      const struct buf *canonical, const struct buf *names, struct buf *out)
{
	struct buf scope = BUF_INIT, text = BUF_INIT;
	char day[9], hash[SIGV4_HASH_SIZE], signature[SIGV4_HASH_SIZE];

	memcpy(day, r->date, 8);
	day[8] = '\0';
	buf_addf(&scope, "%s/%s/s3/aws4_request", day, key->region);
	sigv4_hash_bytes(canonical->data, canonical->len, hash);
	buf_addf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", r->date, scope.data, hash);
	derive_and_sign(key, day, text.data, signature);
	buf_addf(out, "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s",
		 key->access, scope.data, names->data, signature);
	buf_release(&scope);
	buf_release(&text);
}

int sigv4_sign(const struct sigv4_key *key, const struct sigv4_request *r,
	       struct sigv4_signature *out)
{
	struct line lines[LINES_MAX] = { 0 };
	struct buf canonical = BUF_INIT, names = BUF_INIT, query = BUF_INIT;
	size_t n = 0;
	int result = -1;

	assert(strlen(r->date) == SIGV4_DATE_SIZE - 1);
	buf_clear(&out->target);
	buf_clear(&out->authorization);
	if (collect_headers(r, lines, &n) < 0)
		goto out;

	buf_add(&query, "", 0);
	add_query(&query, r->query, r->nquery);
	add_encoded(&out->target, r->path, true);
	buf_addf(&canonical, "%s\n%s\n%s\n", r->method, out->target.data, query.data);
	for (size_t i = 0; i < n; i++) {
		buf_addf(&canonical, "%s:%s\n", lines[i].name.data, lines[i].value.data);
		buf_addf(&names, "%s%s", i > 0 ? ";" : "", lines[i].name.data);
	}
	buf_addf(&canonical, "\n%s\n%s", names.data, r->payload_hash);
	if (query.len > 0)
		buf_addf(&out->target, "?%s", query.data);
	add_authorization(key, r, &canonical, &names, &out->authorization);
	result = 0;
out:
	release_lines(lines, n);
	buf_release(&canonical);
	buf_release(&names);
	buf_release(&query);
	return result;
}

void sigv4_signature_release(struct sigv4_signature *s)
{
	buf_release(&s->target);
	buf_release(&s->authorization);
}
