#include "store/xml.h"

#include "base/alloc.h"
#include "base/buf.h"

#include <assert.h>
#include <expat.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_LEN_MAX = 256 };

struct xml {
	XML_Parser parser;
	size_t left; /* bytes that may still come */
	bool failed;
	bool is_leaf; /* the innermost open element has held no other */
	struct buf path;
	struct buf text; /* since the last tag */
	int (*element)(void *owner, const char *path, const char *text);
	void *owner;
};

static void stop(struct xml *x)
{
	x->failed = true;
	XML_StopParser(x->parser, XML_FALSE);
}

static void XMLCALL on_start(void *user, const XML_Char *name, const XML_Char **attributes)
{
	struct xml *x = user;

	(void)attributes;
	if (x->path.len + strlen(name) + 1 > PATH_LEN_MAX) {
		stop(x);
		return;
	}
	buf_addf(&x->path, "%s%s", x->path.len > 0 ? "/" : "", name);
	buf_clear(&x->text);
	x->is_leaf = true;
}

static void XMLCALL on_end(void *user, const XML_Char *name)
{
	struct xml *x = user;
	const char *text = x->is_leaf && x->text.len > 0 ? x->text.data : "";

	(void)name;
	if (x->failed)
		return;
	if (x->element(x->owner, x->path.data, text) < 0) {
		stop(x);
		return;
	}
	char *slash = strrchr(x->path.data, '/');
	x->path.len = slash != NULL ? (size_t)(slash - x->path.data) : 0;
	x->path.data[x->path.len] = '\0';
	buf_clear(&x->text);
	x->is_leaf = false;
}

static void XMLCALL on_text(void *user, const XML_Char *text, int len)
{
	struct xml *x = user;

	if (x->failed)
		return;
	if (x->text.len + (size_t)len > XML_TEXT_MAX) {
		stop(x);
		return;
	}
	buf_add(&x->text, text, (size_t)len);
}

static void XMLCALL on_doctype(void *user, const XML_Char *name, const XML_Char *system,
			       const XML_Char *public, int has_subset)
{
	(void)name;
	(void)system;
	(void)public;
	(void)has_subset;
	stop(user);
}

struct xml *xml_new(size_t max_len, int (*element)(void *owner, const char *path, const char *text),
		    void *owner)
{
	struct xml *x = alloc_zeroed(1, sizeof *x);

	x->parser = XML_ParserCreate(NULL);
	assert(x->parser != NULL);
	x->left = max_len;
	x->element = element;
	x->owner = owner;
	XML_SetUserData(x->parser, x);
	XML_SetElementHandler(x->parser, on_start, on_end);
	XML_SetCharacterDataHandler(x->parser, on_text);
	XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
	return x;
}

void xml_free(struct xml *x)
{
	if (x == NULL)
		return;
	XML_ParserFree(x->parser);
	buf_release(&x->path);
	buf_release(&x->text);
	free(x);
}

int xml_feed(struct xml *x, const void *bytes, size_t len)
{
	if (x->failed || len > x->left || len > INT_MAX) {
		x->failed = true;
		return -1;
	}
	x->left -= len;
	if (XML_Parse(x->parser, bytes, (int)len, 0) != XML_STATUS_OK)
		x->failed = true;
	return x->failed ? -1 : 0;
}

int xml_end(struct xml *x)
{
	if (!x->failed && XML_Parse(x->parser, "", 0, 1) != XML_STATUS_OK)
		x->failed = true;
	return x->failed ? -1 : 0;
}
