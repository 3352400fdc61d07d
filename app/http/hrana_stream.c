#include "http/hrana_stream.h"

#include <string.h>

enum { LINES_IN_MEMORY = 64 * 1024 };

void hrana_stream_begin(struct hrana_stream *s, struct exchange *x, struct userdb *db)
{
	*s = (struct hrana_stream){
		.sandbox = userdb_sandbox(db),
		.db = db,
		.body = &x->response.body,
		.commits_before = userdb_commits(db),
	};
	s->out = json_writer_new(s->body);
	s->was_tainted = sandbox_tainted(s->sandbox);
	sandbox_begin_request(s->sandbox, !x->read_only);
}

void hrana_stream_end(struct hrana_stream *s)
{
	sandbox_end_request(s->sandbox);
	json_writer_free(s->out);
}

void hrana_stream_leave(struct hrana_stream *s)
{
	sandbox_leave_request(s->sandbox);
	json_writer_free(s->out);
}

bool hrana_stream_has_state(const struct hrana_stream *s)
{
	return sandbox_in_transaction(s->sandbox) || sandbox_tainted(s->sandbox) || s->store.n > 0;
}

void hrana_stream_failed(struct hrana_stream *s, const struct sql_error *e)
{
	bool gave_way = sandbox_gave_way(s->sandbox);
	bool stopped = gave_way || strcmp(e->code, "SQLITE_BUSY") == 0;

	if (s->blocked || !s->may_block || !stopped || userdb_commits(s->db) != s->commits_before ||
	    sandbox_tainted(s->sandbox) != s->was_tainted)
		return;
	s->blocked = true;
	s->gave_way = gave_way;
}

static size_t answer_len(const struct hrana_stream *s)
{
	return s->body->len + (s->lines != NULL ? (size_t)spill_len(s->lines) : 0);
}

int hrana_stream_room(const struct hrana_stream *s, size_t more, struct sql_error *e)
{
	size_t max = (size_t)sandbox_limits(s->sandbox)->max_result_bytes, len = answer_len(s);

	if (len <= max && more <= max - len)
		return 0;
	sql_error_set(e, "RESPONSE_TOO_LARGE", "the response would be larger than %zu bytes", max);
	return -1;
}

void hrana_stream_end_line(struct hrana_stream *s)
{
	/* The writer begins a new value, behind this one. */
	json_rewind(s->out, json_mark(s->out));
	buf_add(s->body, "\n", 1);
	if (s->body->len < s->head_len + LINES_IN_MEMORY)
		return;
	if (spill_add(s->lines, s->body->data + s->head_len, s->body->len - s->head_len) < 0)
		s->lines_lost = true;
	s->body->len = s->head_len;
}
