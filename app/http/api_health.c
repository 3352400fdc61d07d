#include "http/api_health.h"

enum served serve_health(struct service *s, struct exchange *x)
{
	(void)s;
	buf_add_text(&x->response.body, "{\"status\":\"ok\"}");
	return SERVE_DONE;
}

enum served serve_greeting(struct service *s, struct exchange *x)
{
	(void)s;
	buf_add_text(&x->response.body,
		     "{\"server\":\"holdfast\",\"protocol\":\"hrana over http\"}");
	return SERVE_DONE;
}
