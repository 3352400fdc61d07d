#include "store/endpoint.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_loopback(const char *host)
{
	struct in_addr address;

	if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool url_has(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return has;
}

/* For a header.  NULL when it holds what no name and no address does, such as an escape. */
static char *lower_host(const char *host)
{
	static const char host_chars[] = "abcdefghijklmnopqrstuvwxyz0123456789-._:[]";
	char *lower = alloc_string(host);

	for (char *p = lower; *p != '\0'; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 'a' - 'A');
	}
	if (strspn(lower, host_chars) == strlen(lower))
		return lower;
	free(lower);
	return NULL;
}

static void set(struct endpoint *e, const char *scheme, const char *host, const char *port,
		const char *path)
{
	struct buf name = BUF_INIT, origin = BUF_INIT, folder = BUF_INIT;
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	buf_addf(&name, "%s%s%s", host, port != NULL ? ":" : "", port != NULL ? port : "");
	buf_addf(&origin, "%s://%s", scheme, name.data);
	buf_addf(&folder, "%.*s", (int)len, path);
	*e = (struct endpoint){ .host = name.data, .origin = origin.data, .path = folder.data };
}

const char *endpoint_init(struct endpoint *e, const char *address)
{
	const char *wrong = "the endpoint of the store is not an http(s) address";
	char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *lower = NULL;
	CURLU *url = curl_url();

	assert(url != NULL);
	if (curl_url_set(url, CURLUPART_URL, address, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_PATH, &path, CURLU_URLDECODE) != CURLUE_OK)
		goto out;
	if (curl_url_get(url, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT) != CURLUE_OK)
		port = NULL;
	lower = lower_host(host);
	if (lower == NULL || (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		goto out;
	wrong = "the endpoint of the store must be an address without user, password, query, "
		"fragment or zone";
	if (url_has(url, CURLUPART_USER) || url_has(url, CURLUPART_PASSWORD) ||
	    url_has(url, CURLUPART_QUERY) || url_has(url, CURLUPART_FRAGMENT) ||
	    url_has(url, CURLUPART_ZONEID))
		goto out;
	wrong = "the endpoint of the store must be https; http is for loopback addresses only";
	if (strcmp(scheme, "http") == 0 && !is_loopback(lower))
		goto out;
	set(e, scheme, lower, port, path);
	wrong = NULL;
out:
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(path);
	free(lower);
	curl_url_cleanup(url);
	return wrong;
}

void endpoint_release(struct endpoint *e)
{
	free(e->host);
	free(e->origin);
	free(e->path);
	*e = (struct endpoint)ENDPOINT_INIT;
}
