/*
 * The local database of a user at a moment when it was exactly what the store
 * has: a checksum of every page, to be compared with a restore.
 *
 *	image_take()		never waits; RIGHT_PUSH is held meanwhile only
 *	... restore transaction image.txid into a file
 *	image_compare()
 *	image_release()
 *
 * What is pushed after image_take() changes nothing: the transaction that the
 * image is of stays what it is.
 */
#ifndef SYNC_IMAGE_H
#define SYNC_IMAGE_H

#include "state/user.h"

#include <stdint.h>

struct image {
	uint64_t txid; /* 0: nothing was ever written, and there are no pages */
	uint32_t page_size;
	uint32_t npages;
	uint64_t *sums; /* of page n at n - 1 */
};

enum image_result {
	IMAGE_TAKEN,
	IMAGE_ABSENT, /* no local database */
	IMAGE_DIRTY, /* there is more here than in the store, or nobody knows */
	IMAGE_BUSY, /* somebody pushes or pulls this user: come again */
	IMAGE_FAILED, /* already logged */
};

/* To be released only after IMAGE_TAKEN. */
enum image_result image_take(const char *data, const struct user_id *id, struct image *out);
void image_release(struct image *i);

struct image_difference {
	uint32_t first; /* the number of the first page */
	uint32_t count; /* 0: there is none */
};

/*
 * With the `npages` pages of the same size in `fd`.  Pages that only one side
 * has differ; the lock page, which has no content, does not.
 */
struct image_difference image_compare(const struct image *i, uint32_t npages, int fd);

#endif
