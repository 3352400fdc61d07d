#include "http/exchange.h"

#include "base/json_write.h"

#include <stdarg.h>
#include <stdio.h>

enum { MESSAGE_MAX = 512 };

static void put_member(struct json_writer *w, const char *key, const char *text)
{
	json_key(w, key);
	json_put_string(w, text);
}

void exchange_error(struct exchange *x, enum http_status status, const char *code, const char *fmt,
		    ...)
{
	char message[MESSAGE_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(message, sizeof message, fmt, args);
	va_end(args);

	x->response.status = status;
	x->response.content_type = "application/json";
	spill_free(x->response.file);
	x->response.file = NULL;
	x->response.unmade = 0;
	x->response.file_name[0] = '\0';
	buf_clear(&x->response.body);
	struct json_writer *w = json_writer_new(&x->response.body);
	json_open_object(w);
	put_member(w, "message", message);
	put_member(w, "code", code);
	put_member(w, "error", message);
	json_close_object(w);
	json_writer_free(w);
}
