/*
 *	holdfast-tally 1
 *	reach 512
 *	snapshot 40960 16 90812		bytes, pages, pushed bytes at that moment
 *	merged 0
 *	not_before 0
 */
#include "sync/tally.h"

#include "base/file.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	TALLY_MAX = 512,
	MERGE_PUSHES = 256,
	/* Less is not worth a snapshot, unless it is in many objects. */
	SNAPSHOT_MIN_BYTES = 1 << 20,
	/* A longer wait is none of ours: the clock was set back. */
	NOT_BEFORE_MAX_MS = 3600 * 1000,
};

static int render(const struct tally *t, char text[static TALLY_MAX])
{
	return snprintf(text, TALLY_MAX,
			"holdfast-tally 1\n"
			"reach %" PRIu64 "\n"
			"snapshot %" PRIu64 " %" PRIu32 " %" PRIu64 "\n"
			"merged %" PRIu64 "\n"
			"not_before %" PRId64 "\n",
			t->reach, t->snapshot_bytes, t->snapshot_pages, t->pushed_bytes,
			t->merged_bytes, t->not_before_ms);
}

int tally_write(const char *path, const struct tally *t)
{
	char text[TALLY_MAX];
	int len = render(t, text);

	return file_replace(path, text, (size_t)len, 0600);
}

static bool parse(const struct buf *text, struct tally *out)
{
	char again[TALLY_MAX];

	/* NOLINTBEGIN(cert-err34-c): what was misread is not rendered the same again. */
	int fields = sscanf(text->data,
			    "holdfast-tally 1\nreach %" SCNu64 "\nsnapshot %" SCNu64 " %" SCNu32
			    " %" SCNu64 "\nmerged %" SCNu64 "\nnot_before %" SCNd64 "\n",
			    &out->reach, &out->snapshot_bytes, &out->snapshot_pages,
			    &out->pushed_bytes, &out->merged_bytes, &out->not_before_ms);
	/* NOLINTEND(cert-err34-c) */
	return fields == 6 && (size_t)render(out, again) == text->len &&
	       memcmp(again, text->data, text->len) == 0;
}

void tally_read(const char *path, struct tally *out)
{
	struct buf text = BUF_INIT;

	memset(out, 0, sizeof *out);
	if (file_read(path, TALLY_MAX, &text) == FILE_OK && !parse(&text, out)) {
		log_warn("tally.damaged", "path=%s", path);
		memset(out, 0, sizeof *out);
	}
	buf_release(&text);
}

/* What a snapshot of the database as it is now would weigh. */
static uint64_t snapshot_weight(const struct tally *t, const struct wal_position *now)
{
	uint64_t raw = (uint64_t)now->npages * now->page_size;

	/* Its first push was a snapshot, too: the next one is in no hurry. */
	if (t->snapshot_pages == 0 || t->snapshot_bytes > (uint64_t)4 << 32)
		return 2 * raw;
	return t->snapshot_bytes / t->snapshot_pages * now->npages;
}

enum tally_due tally_due(const struct tally *t, const struct record *r, int64_t wall_ms)
{
	uint64_t weight = snapshot_weight(t, &r->position);
	uint64_t since = r->pushed_bytes > t->pushed_bytes ? r->pushed_bytes - t->pushed_bytes : 0;
	uint64_t merged = t->merged_bytes < 3 * weight ? t->merged_bytes : 3 * weight;
	bool many = r->txid > t->reach && r->txid - t->reach >= MERGE_PUSHES;
	bool outweighed = since >= weight + merged;

	if (r->txid == 0 || r->spool_first != 0)
		return TALLY_NOTHING;
	if (t->not_before_ms > wall_ms && t->not_before_ms - wall_ms <= NOT_BEFORE_MAX_MS)
		return TALLY_NOTHING;
	if (outweighed && (many || since >= SNAPSHOT_MIN_BYTES))
		return TALLY_SNAPSHOT;
	return many ? TALLY_MERGE : TALLY_NOTHING;
}
