/*
 * What a kind of store does behind object.h: a table of methods.
 *
 * The struct of a kind begins with a struct store, so that a pointer to one
 * is a pointer to the other.  A kind sets request->transfer while a request
 * is under way and ends it with store_finish(), from its run() only.
 */
#ifndef STORE_BACKEND_H
#define STORE_BACKEND_H

#include "store/object.h"

enum { OBJECT_LIST_MAX = 1000000 };

struct store_methods {
	void (*free)(struct store *s);
	void (*start)(struct store *s, struct object_request *r);
	void (*drop)(struct store *s, struct object_request *r);
	void (*run)(struct store *s, int64_t wait_ms);
	void (*wake)(struct store *s);
};

struct store {
	const struct store_methods *methods;
};

struct outcome {
	enum object_result result;
	enum object_error error;
};

extern const char *const object_verb_name[];

/* Calls done(), in which the request may be started again or freed. */
void store_finish(struct object_request *r, struct outcome o);
/*
 * No empty, "." or ".." segment, no control character, and an end.  What a
 * list asks for may stop anywhere in a segment.
 */
bool object_key_is_sound(const struct object_request *r);
/* A new entry at the end, for the caller to fill; NULL after OBJECT_LIST_MAX. */
struct object_entry *object_listing_add(struct object_listing *l);

#endif
