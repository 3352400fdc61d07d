#include "http/api_health.h"

#include <unistd.h>

enum served serve_health(struct service *s, struct exchange *x)
{
	(void)s;
	buf_add_text(&x->response.body, "{\"status\":\"ok\"}");
	return SERVE_DONE;
}

/*
 * The store is none of its conditions: without it requests are served all the
 * same, and a balancer that sent them elsewhere would make conflicts.
 */
enum served serve_ready(struct service *s, struct exchange *x)
{
	struct worker_word self;

	if (s->leaves || s->ends)
		exchange_error(x, HTTP_UNAVAILABLE, "STOPPING", "this worker is stopping");
	else if (!table_worker_get(s->table, s->worker, &self) || self.pid != (uint32_t)getpid())
		exchange_error(x, HTTP_UNAVAILABLE, "NO_TABLE",
			       "this worker is not in the shared table");
	else if (access(s->data, R_OK | W_OK | X_OK) < 0)
		exchange_error(x, HTTP_UNAVAILABLE, "NO_DATA", "the data directory cannot be used");
	else
		buf_add_text(&x->response.body, "{\"status\":\"ready\"}");
	return SERVE_DONE;
}

enum served serve_greeting(struct service *s, struct exchange *x)
{
	(void)s;
	buf_add_text(&x->response.body,
		     "{\"server\":\"holdfast\",\"protocol\":\"hrana over http\"}");
	return SERVE_DONE;
}
