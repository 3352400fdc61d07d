/*
 * Whose data directory it is: `<data>/node` holds a random 64-bit id, made at
 * the first start, that says which pushed objects were written from here.
 *
 *	node_claim()	the master, before it makes anything else
 *	node_release()
 *	node_read()	a command that needs the id only
 *	node_make()	one that may come before the first start
 *
 * The claim is two locks on that file.  One belongs to the claiming process
 * and tells a second master whom it has met.  The other is inherited by what
 * is forked, so that a new master starts only when the last worker of one that
 * was killed is gone too: they would use two tables for the same users.
 */
#ifndef STATE_NODE_H
#define STATE_NODE_H

#include <stdint.h>

struct node {
	uint64_t id;
	int fd;
};

#define NODE_INIT                                                                                  \
	{                                                                                          \
		0, -1                                                                              \
	}

/*
 * `data` must exist.  Workers of a killed master are waited for, at most
 * `wait_ms`.  -1: in use or broken; already logged.
 */
int node_claim(const char *data, int64_t wait_ms, struct node *out);
void node_release(struct node *n);

enum node_result {
	NODE_OK,
	NODE_ABSENT, /* nothing has started here yet */
	NODE_FAILED, /* already logged */
};
/* Not from a process that holds the claim: that would end it. */
enum node_result node_read(const char *data, uint64_t *id);
/* As the first start would, and as harmless beside one.  -1: already logged. */
int node_make(const char *data, uint64_t *id);

#endif
