/*
 * The line of a request and who it is from: method, path and user, with zero bytes
 * between them.  Whatever they are, there is a handler, what the log and the headers
 * get is one of our literals, and a user's id is one that is safe in a path.
 */
#include "http/route.h"

#include "http/auth.h"
#include "http/jwks.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *next_text(const char **rest)
{
	const char *text = *rest;

	*rest += strlen(text) + 1;
	return text;
}

/* Of the path and below only where the log's path says so; what is unknown has no methods. */
static void check_route(const char *method, const char *path)
{
	struct route r = route_find(method, path);
	size_t known = strlen(r.path);

	assert(r.handler != NULL);
	assert((r.allow == NULL) == (strcmp(r.path, "other") == 0));
	if (r.allow != NULL) {
		assert(strncmp(path, r.path, known) == 0);
		assert(path[known] == '\0' || path[known] == '/');
		assert(strstr(r.allow, "OPTIONS") != NULL);
	}
	if (strcmp(method, "OPTIONS") != 0)
		assert(r.needs_user || r.allow != NULL);
	const char *name = route_method_name(method);
	assert(strcmp(name, method) == 0 || strcmp(name, "other") == 0);
}

/* Those of the routes that answer without a database. */
static void check_answer(const char *method, const char *path)
{
	struct route r = route_find(method, path);
	struct exchange x = { .request = { .method = method, .path = path, .query = "" },
			      .response = { .status = HTTP_OK } };
	struct service s = { .table = NULL };

	if (r.needs_user)
		return;
	assert(r.handler(&s, &x) == SERVE_DONE);
	assert(x.response.body.len > 0 || x.response.status == HTTP_NO_CONTENT);
	buf_release(&x.response.body);
}

static void check_user(const char *name)
{
	struct exchange x = { .request = { .remote_user = name[0] != '\0' ? name : NULL },
			      .response = { .status = HTTP_OK } };
	char path[PATH_MAX];

	if (auth_by_remote_user(&x)) {
		assert(strcmp(x.user.text, name) == 0 && strlen(name) <= USER_ID_MAX);
		assert(name[0] != '.' && strpbrk(name, "/\\ \n\"'%") == NULL);
		assert(user_path("/data", &x.user, "db.sqlite", path, sizeof path) == 0);
		assert(strncmp(path + sizeof "/data/users/00", name, strlen(name)) == 0);
		assert(strcmp(path + sizeof "/data/users/00" + strlen(name), "/db.sqlite") == 0);
	} else {
		assert(x.response.status == HTTP_UNAUTHORIZED && x.response.challenge != NULL);
		assert(x.response.body.len > 0);
	}
	buf_release(&x.response.body);
}

/* There is no key, so no token is good. */
static void check_authorization(const char *header)
{
	static struct jwks none;
	const struct jwt_rules rules = { .keys = &none };
	struct exchange x = { .request = { .authorization = header },
			      .response = { .status = HTTP_OK } };

	assert(!auth_by_token(&rules, 1700000000, &x));
	assert(x.response.status == HTTP_UNAUTHORIZED && x.response.challenge != NULL);
	assert(x.user.text[0] == '\0' && x.response.body.len > 0);
	buf_release(&x.response.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf texts = BUF_INIT;

	buf_add(&texts, data, len);
	buf_add(&texts, "\0\0\0", 4);
	const char *rest = texts.data;
	const char *method = next_text(&rest), *path = next_text(&rest);
	check_route(method, path);
	check_answer(method, path);
	const char *user = next_text(&rest);
	check_user(user);
	check_authorization(rest);
	buf_release(&texts);
	return 0;
}
