#include "http/route.h"

#include "http/api_health.h"
#include "http/api_metrics.h"

#include <stddef.h>
#include <string.h>

enum scope {
	PATH_ONLY,
	PATH_AND_BELOW,
};

struct entry {
	const char *path;
	enum metrics_route class;
	enum scope scope;
	bool needs_user;
	route_handler *get;
	route_handler *post;
	route_handler *put; /* takes a file */
	bool whole_database;
};

static enum served serve_not_found(struct service *s, struct exchange *x)
{
	(void)s;
	exchange_error(x, HTTP_NOT_FOUND, "NOT_FOUND", "there is nothing at this path");
	return SERVE_DONE;
}

static enum served serve_not_allowed(struct service *s, struct exchange *x)
{
	(void)s;
	exchange_error(x, HTTP_METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED",
		       "this path does not have this method");
	return SERVE_DONE;
}

static enum served serve_options(struct service *s, struct exchange *x)
{
	(void)s;
	x->response.status = HTTP_NO_CONTENT;
	return SERVE_DONE;
}

/*
 * Probes carry no token, so the two greetings and the refusal of the protobuf
 * encoding come before authentication; a client whose probe of the latter
 * succeeds would go on to speak it.
 */
static const struct entry entries[] = {
	{ "/healthz", METRICS_PROBE, PATH_ONLY, false, serve_health, NULL, NULL, false },
	{ "/readyz", METRICS_PROBE, PATH_ONLY, false, serve_ready, NULL, NULL, false },
	{ "/metrics", METRICS_PROBE, PATH_ONLY, false, serve_metrics, NULL, NULL, false },
	{ "/v2", METRICS_PROBE, PATH_ONLY, false, serve_greeting, NULL, NULL, false },
	{ "/v3", METRICS_PROBE, PATH_ONLY, false, serve_greeting, NULL, NULL, false },
	{ "/v3-protobuf", METRICS_OTHER, PATH_AND_BELOW, false, serve_not_found, serve_not_found,
	  NULL, false },
	{ "/v2/pipeline", METRICS_PIPELINE, PATH_ONLY, true, NULL, serve_pipeline, NULL, false },
	{ "/v3/pipeline", METRICS_PIPELINE, PATH_ONLY, true, NULL, serve_pipeline, NULL, false },
	{ "/v3/cursor", METRICS_CURSOR, PATH_ONLY, true, NULL, serve_cursor, NULL, false },
	{ "/v1/execute", METRICS_EXECUTE, PATH_ONLY, true, NULL, serve_execute, NULL, false },
	{ "/v1/batch", METRICS_EXECUTE, PATH_ONLY, true, NULL, serve_batch, NULL, false },
	{ "/v1/sync", METRICS_SYNC, PATH_ONLY, true, serve_sync_get, serve_sync_post, NULL, false },
	{ "/v1/sync/kept", METRICS_SYNC, PATH_AND_BELOW, true, serve_kept, NULL, NULL, false },
	{ "/v1/sync/resolve", METRICS_SYNC, PATH_ONLY, true, NULL, serve_sync_resolve, NULL,
	  false },
	{ "/v1/export", METRICS_OTHER, PATH_ONLY, true, serve_export, NULL, NULL, true },
	{ "/v1/import", METRICS_OTHER, PATH_ONLY, true, NULL, NULL, serve_import, true },
};

static bool covers(const struct entry *e, const char *path)
{
	size_t len = strlen(e->path);

	if (strncmp(path, e->path, len) != 0)
		return false;
	return path[len] == '\0' || (e->scope == PATH_AND_BELOW && path[len] == '/');
}

static const struct entry *find_entry(const char *path)
{
	for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
		if (covers(&entries[i], path))
			return &entries[i];
	}
	return NULL;
}

static route_handler *find_handler(const struct entry *e, const char *method)
{
	route_handler *handler = NULL;

	if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		handler = e->get;
	else if (strcmp(method, "POST") == 0)
		handler = e->post;
	else if (strcmp(method, "PUT") == 0)
		handler = e->put;
	return handler != NULL ? handler : serve_not_allowed;
}

static const char *allowed_methods(const struct entry *e)
{
	if (e->put != NULL)
		return "PUT, OPTIONS";
	if (e->post == NULL)
		return "GET, HEAD, OPTIONS";
	return e->get != NULL ? "GET, HEAD, POST, OPTIONS" : "POST, OPTIONS";
}

struct route route_find(const char *method, const char *path)
{
	const struct entry *e = find_entry(path);
	struct route found = { "other", true, serve_not_found, NULL, METRICS_OTHER, false, false };

	if (e != NULL) {
		found.path = e->path;
		found.class = e->class;
		found.needs_user = e->needs_user;
		found.handler = find_handler(e, method);
		found.takes_file = e->put != NULL && found.handler == e->put;
		found.whole_database = e->whole_database;
		found.allow = allowed_methods(e);
	}
	/* A browser asks this before it sends the token. */
	if (strcmp(method, "OPTIONS") == 0) {
		found.needs_user = false;
		found.handler = serve_options;
	}
	return found;
}

const char *route_method_name(const char *method)
{
	static const char *const names[] = { "GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(method, names[i]) == 0)
			return names[i];
	}
	return "other";
}
