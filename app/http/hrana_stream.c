#include "http/hrana_stream.h"

void hrana_stream_begin(struct hrana_stream *s, struct exchange *x, struct userdb *db)
{
	s->sandbox = userdb_sandbox(db);
	s->body = &x->response.body;
	s->out = json_writer_new(s->body);
	s->store.n = 0;
	sandbox_begin_request(s->sandbox, !x->read_only);
}

void hrana_stream_end(struct hrana_stream *s)
{
	sandbox_end_request(s->sandbox);
	json_writer_free(s->out);
}

int hrana_stream_room(const struct hrana_stream *s, size_t more, struct sql_error *e)
{
	size_t max = (size_t)sandbox_limits(s->sandbox)->max_result_bytes;

	if (s->body->len <= max && more <= max - s->body->len)
		return 0;
	sql_error_set(e, "RESPONSE_TOO_LARGE", "the response would be larger than %zu bytes", max);
	return -1;
}
