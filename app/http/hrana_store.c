#include "http/hrana_store.h"

/* Where the id is, or s->n. */
static size_t find(const struct hrana_store *s, int64_t id)
{
	size_t i = 0;

	while (i < s->n && s->entries[i].id != id)
		i++;
	return i;
}

static size_t bytes_but(const struct hrana_store *s, size_t at)
{
	size_t bytes = 0;

	for (size_t i = 0; i < s->n; i++)
		bytes += i != at ? s->entries[i].sql.len : 0;
	return bytes;
}

enum hrana_stored hrana_store_put(struct hrana_store *s, int64_t id, struct hrana_sql sql)
{
	size_t at = find(s, id);

	if (sql.len > HRANA_STORE_TEXT_MAX || bytes_but(s, at) + sql.len > HRANA_STORE_BYTES_MAX)
		return HRANA_STORE_TOO_LONG;
	if (at == HRANA_STORE_MAX)
		return HRANA_STORE_FULL;
	if (at == s->n)
		s->n++;
	s->entries[at].id = id;
	s->entries[at].sql = sql;
	return HRANA_STORED;
}

void hrana_store_drop(struct hrana_store *s, int64_t id)
{
	size_t at = find(s, id);

	if (at < s->n)
		s->entries[at] = s->entries[--s->n];
}

const struct hrana_sql *hrana_store_get(const struct hrana_store *s, int64_t id)
{
	size_t at = find(s, id);

	return at < s->n ? &s->entries[at].sql : NULL;
}

void hrana_store_keep(struct hrana_store *s, struct buf *texts)
{
	struct buf copy = BUF_INIT;

	buf_reserve(&copy, bytes_but(s, s->n) + s->n + 1);
	for (size_t i = 0; i < s->n; i++) {
		struct hrana_sql *sql = &s->entries[i].sql;
		const char *at = copy.data + copy.len;
		buf_add(&copy, sql->text, sql->len);
		buf_add(&copy, "", 1);
		sql->text = at;
	}
	buf_release(texts);
	*texts = copy;
}
