/*
 * Small XML documents from an untrusted place, in pieces.
 *
 *	xml_new()
 *	xml_feed()	any number of times
 *	xml_end()	0: it was one whole document
 *	xml_free()
 *
 * A document type is refused, and with it every entity but the five of XML
 * itself.  Size, depth and the length of a text are bounded.
 */
#ifndef STORE_XML_H
#define STORE_XML_H

#include <stddef.h>

enum { XML_TEXT_MAX = 8192 };

struct xml;

/*
 * element() is called where an element ends.  `path` is its name after those
 * that enclose it, joined by '/'; `text` is what it held, "" when it held
 * elements.  -1 makes the document one that is not acceptable.
 */
struct xml *xml_new(size_t max_len, int (*element)(void *owner, const char *path, const char *text),
		    void *owner);
void xml_free(struct xml *x);
/* -1, here and at the end: not acceptable, and never will be. */
int xml_feed(struct xml *x, const void *bytes, size_t len);
int xml_end(struct xml *x);

#endif
