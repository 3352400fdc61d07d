/*
 * Objects of the store written into a file, one after the other: what each
 * holds replaces what the ones before held.
 *
 * They are fetched a few at a time, every byte is checked, and writing is done
 * in slices.
 *
 *	apply_start()
 *	store_run(), tasks_run()	until done() was called
 *	apply_free()	inside done() or later; before it: gives up
 */
#ifndef SYNC_APPLY_H
#define SYNC_APPLY_H

#include "base/tasks.h"
#include "store/object.h"
#include "sync/chain.h"

#include <stdbool.h>
#include <stdint.h>

enum apply_result {
	APPLY_DONE,
	APPLY_UNREACHED, /* no answer, or refused: nothing is known */
	APPLY_DAMAGED, /* objects that are missing, cut or changed */
	APPLY_FAILED, /* the local file; already logged */
};

struct applied {
	enum apply_result result;
	enum object_error error;
	uint64_t min_txid; /* of the first object */
	uint64_t txid; /* of the last object that was applied */
	uint32_t page_size;
	uint32_t npages; /* of the database after it */
	uint64_t bytes; /* fetched so far */
};

struct apply;
typedef void apply_done(struct apply *a, void *owner);

/*
 * The links of `chain`, whose ownership passes over; at least one.  `fd` is an
 * empty file, the caller's, open for read and write.
 */
struct apply *apply_start(struct store *s, struct tasks *tasks, struct chain *chain, int fd,
			  const char *spill_dir, apply_done *done, void *owner);
const struct applied *apply_outcome(const struct apply *a);
/* Whether page `pgno` was in one of the objects. */
bool apply_has_page(const struct apply *a, uint32_t pgno);
void apply_free(struct apply *a);

#endif
