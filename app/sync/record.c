/*
 *	holdfast-sync 1
 *	txid 17
 *	salt 0011223344556677
 *	frame 12
 *	sum 01234567 89abcdef
 *	page_size 4096
 *	pages 40
 *	armed 0
 *	file_ns 0			when the database file was last changed, if it holds all of it
 *	spool 0 0
 *	pushed 90812		bytes, of all pushes there ever were
 *	gap 0
 *	failed_since 0
 *	error none
 *	crc 0123456789abcdef		CRC-64 of all before this line
 *
 * Text, so that an operator can read it when it matters.
 */
#include "sync/record.h"

#include "base/file.h"
#include "base/log.h"
#include "ltx/crc64.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_MAX = 1024 };

static const char layout[] = "holdfast-sync 1\n"
			     "txid %" PRIu64 "\n"
			     "salt %016" PRIx64 "\n"
			     "frame %" PRIu32 "\n"
			     "sum %08" PRIx32 " %08" PRIx32 "\n"
			     "page_size %" PRIu32 "\n"
			     "pages %" PRIu32 "\n"
			     "armed %d\n"
			     "file_ns %" PRId64 "\n"
			     "spool %" PRIu64 " %" PRIu64 "\n"
			     "pushed %" PRIu64 "\n"
			     "gap %d\n"
			     "failed_since %" PRId64 "\n"
			     "error %s\n";

static uint64_t salt_to_word(const uint8_t salt[8])
{
	uint64_t word = 0;

	for (int i = 0; i < 8; i++)
		word = word << 8 | salt[i];
	return word;
}

static void word_to_salt(uint64_t word, uint8_t salt[8])
{
	for (int i = 7; i >= 0; i--, word >>= 8)
		salt[i] = (uint8_t)word;
}

static size_t render(const struct record *r, char text[static RECORD_MAX])
{
	const struct wal_position *p = &r->position;

	int len = snprintf(text, RECORD_MAX, layout, r->txid, salt_to_word(p->salt), p->frame,
			   p->sum[0], p->sum[1], p->page_size, p->npages, p->armed ? 1 : 0,
			   p->file_ns, r->spool_first, r->spool_last, r->pushed_bytes,
			   r->gap ? 1 : 0, r->failed_since_ms, object_error_name[r->error]);
	uint64_t crc = crc64_update(0, text, (size_t)len);
	len += snprintf(text + len, RECORD_MAX - (size_t)len, "crc %016" PRIx64 "\n", crc);
	return (size_t)len;
}

int record_write(const char *path, const struct record *r)
{
	char text[RECORD_MAX];
	size_t len = render(r, text);

	return file_replace(path, text, len, 0600);
}

static int parse_error(const char *name, enum object_error *out)
{
	for (int e = 0; e < ERROR_COUNT; e++) {
		if (strcmp(name, object_error_name[e]) == 0) {
			*out = (enum object_error)e;
			return 0;
		}
	}
	return -1;
}

static int parse(const char *text, struct record *out)
{
	struct wal_position *p = &out->position;
	uint64_t salt;
	int armed, gap;
	char error[32];

	memset(out, 0, sizeof *out);
	/* NOLINTBEGIN(cert-err34-c): is_exactly() finds every misread number. */
	int fields =
		sscanf(text,
		       "holdfast-sync 1\n"
		       "txid %" SCNu64 "\nsalt %16" SCNx64 "\nframe %" SCNu32 "\n"
		       "sum %8" SCNx32 " %8" SCNx32 "\npage_size %" SCNu32 "\npages %" SCNu32
		       "\narmed %d\nfile_ns %" SCNd64 "\nspool %" SCNu64 " %" SCNu64
		       "\npushed %" SCNu64 "\ngap %d\nfailed_since %" SCNd64 "\nerror %31[a-z]\n",
		       &out->txid, &salt, &p->frame, &p->sum[0], &p->sum[1], &p->page_size,
		       &p->npages, &armed, &p->file_ns, &out->spool_first, &out->spool_last,
		       &out->pushed_bytes, &gap, &out->failed_since_ms, error);
	/* NOLINTEND(cert-err34-c) */
	if (fields != 15 || parse_error(error, &out->error) < 0)
		return -1;
	word_to_salt(salt, p->salt);
	p->armed = armed != 0;
	out->gap = gap != 0;
	return 0;
}

/* What was read must be written the same way again: sscanf() is content with less. */
static bool is_exactly(const struct record *r, const struct buf *text)
{
	char again[RECORD_MAX];

	return render(r, again) == text->len && memcmp(again, text->data, text->len) == 0;
}

enum record_result record_read(const char *path, struct record *out)
{
	struct buf text = BUF_INIT;
	enum record_result result = RECORD_MISSING;

	switch (file_read(path, RECORD_MAX, &text)) {
	case FILE_ABSENT:
		break;
	case FILE_FAILED:
		result = RECORD_FAILED;
		break;
	case FILE_TOO_LONG:
		log_error("record.damaged", "path=%s bytes=more", path);
		break;
	case FILE_OK:
		if (parse(text.data, out) == 0 && is_exactly(out, &text))
			result = RECORD_OK;
		else
			log_error("record.damaged", "path=%s bytes=%zu", path, text.len);
		break;
	}
	if (result != RECORD_OK)
		memset(out, 0, sizeof *out);
	buf_release(&text);
	return result;
}
