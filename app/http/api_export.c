/*
 * GET /v1/export: the caller's database as one file.
 *
 * It is copied to an unlinked file first, so that whoever downloads slowly holds
 * neither a transaction nor, behind nginx, a worker.
 */
#include "base/clock.h"
#include "db/export.h"
#include "http/user_route.h"

#include <stdio.h>
#include <string.h>

/* Below nginx's fastcgi_read_timeout for this path. */
enum { EXPORT_MS = 20 * 1000 };

static void fail(struct exchange *x, enum http_status status, const char *code, const char *what)
{
	exchange_error(x, status, code, "%s", what);
	if (status == HTTP_UNAVAILABLE)
		x->response.retry_after_s = 1;
}

static void copy(const struct service *s, struct exchange *x, struct userdb *db)
{
	x->response.file = spill_new(s->data, 0);
	switch (export_copy(db, clock_mono_ms() + EXPORT_MS, x->response.file)) {
	case EXPORT_DONE:
		break;
	case EXPORT_BUSY:
		fail(x, HTTP_UNAVAILABLE, "BUSY", "the database is locked");
		break;
	case EXPORT_LATE:
		fail(x, HTTP_UNAVAILABLE, "BUSY", "copying the database takes too long");
		break;
	case EXPORT_NO_SPACE:
		fail(x, HTTP_NO_SPACE, "SQLITE_FULL", "the server's disk has no room for the copy");
		break;
	case EXPORT_FAILED:
		fail(x, HTTP_INTERNAL_ERROR, "INTERNAL", "the database cannot be copied");
		break;
	}
}

static void measure(struct exchange *x, struct userdb *db)
{
	x->response.unmade = export_len(db);
	if (x->response.unmade == 0)
		fail(x, HTTP_UNAVAILABLE, "BUSY", "the database is locked");
}

enum served serve_export(struct service *s, struct exchange *x)
{
	struct account *account;
	enum served served;

	if (is_refused_in_vain(x))
		return SERVE_DONE;
	if (!user_route_open(s, x, &account, &served))
		return served;
	x->response.content_type = "application/vnd.sqlite3";
	(void)snprintf(x->response.file_name, sizeof x->response.file_name, "%s.sqlite",
		       x->user.text);
	if (strcmp(x->request.method, "HEAD") == 0)
		measure(x, account->db);
	else
		copy(s, x, account->db);
	account_close(s->accounts, account, userdb_is_clean(account->db));
	return SERVE_DONE;
}
