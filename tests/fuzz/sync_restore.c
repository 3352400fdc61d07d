/*
 * Objects of a hostile store, restored.  Either it fails, or the file is what a
 * simple reading of the same objects makes of them.
 *
 *	u8	which transaction is wanted, 0 for the latest
 *	u8	how the store answers, see enum mood
 *	objects	u8 level, u8 first transaction, u8 how many more, u16 length, bytes
 */
#include "sync/restore.h"

#include "base/alloc.h"
#include "base/tasks.h"
#include "ltx/decode.h"
#include "ltx_repair.h"
#include "quiet.h"
#include "store/backend.h"
#include "sync/chain.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	HEAD_LEN = 2,
	OBJECT_HEAD_LEN = 5,
	OBJECTS_MAX = 24,
	RATIO_MAX = 255 * 2, /* LZ4, and room for what is said of each page */
};

/* Bits: */
enum mood {
	LAST_FIRST = 1,
	IN_PIECES = 2,
	ONE_IS_GONE = 4,
	GIVES_UP = 8,
};

struct object {
	char key[OBJECT_KEY_MAX];
	const uint8_t *data;
	size_t len;
};

struct hostile {
	struct store base;
	struct object objects[OBJECTS_MAX]; /* ascending */
	size_t count;
	unsigned mood;
	struct object_request *waiting[OBJECTS_MAX];
	size_t nwaiting;
};

static const struct user_id user = { .text = "alice" };

static int by_key(const void *a, const void *b)
{
	const struct object *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static const struct object *find(const struct hostile *s, const char *key)
{
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->objects[i].key, key) == 0)
			return &s->objects[i];
	}
	return NULL;
}

static void hostile_start(struct store *base, struct object_request *r)
{
	struct hostile *s = (struct hostile *)base;

	assert(s->nwaiting < OBJECTS_MAX);
	r->transfer = s;
	s->waiting[s->nwaiting++] = r;
}

static void take_out(struct hostile *s, size_t i)
{
	memmove(&s->waiting[i], &s->waiting[i + 1],
		(s->nwaiting - i - 1) * sizeof(struct object_request *));
	s->nwaiting--;
}

static void hostile_drop(struct store *base, struct object_request *r)
{
	struct hostile *s = (struct hostile *)base;
	size_t i = 0;

	while (s->waiting[i] != r)
		i++;
	take_out(s, i);
	r->transfer = NULL;
}

static void list(const struct hostile *s, struct object_request *r)
{
	for (size_t i = 0; i < s->count; i++) {
		struct object_entry *e = object_listing_add(&r->listing);
		memcpy(e->key, s->objects[i].key, sizeof e->key);
		e->size = s->objects[i].len;
	}
	store_finish(r, (struct outcome){ s->count > 0 ? OBJECT_OK : OBJECT_ABSENT, ERROR_NONE });
}

static void get(const struct hostile *s, struct object_request *r)
{
	const struct object *o = find(s, r->key);

	assert(o != NULL);
	if (s->mood & ONE_IS_GONE && o == &s->objects[s->count / 2]) {
		store_finish(r, (struct outcome){ OBJECT_ABSENT, ERROR_NONE });
		return;
	}
	size_t piece = s->mood & IN_PIECES ? o->len / 3 + 1 : o->len + 1;
	for (size_t at = 0; at < o->len; at += piece) {
		size_t len = o->len - at < piece ? o->len - at : piece;
		assert(spill_add(r->answer, o->data + at, len) == 0);
	}
	store_finish(r, (struct outcome){ OBJECT_OK, ERROR_NONE });
}

static void hostile_run(struct store *base, int64_t wait_ms)
{
	struct hostile *s = (struct hostile *)base;

	(void)wait_ms;
	if (s->nwaiting == 0)
		return;
	size_t i = s->mood & LAST_FIRST ? s->nwaiting - 1 : 0;
	struct object_request *r = s->waiting[i];
	take_out(s, i);
	if (r->verb == OBJECT_LIST)
		list(s, r);
	else
		get(s, r);
}

static const struct store_methods methods = {
	.start = hostile_start,
	.drop = hostile_drop,
	.run = hostile_run,
};

static void add_objects(struct hostile *s, const uint8_t *data, size_t len)
{
	while (len >= OBJECT_HEAD_LEN && s->count < OBJECTS_MAX) {
		struct object *o = &s->objects[s->count];
		size_t size = wire_get_u16(data + 3);

		len -= OBJECT_HEAD_LEN;
		o->data = data + OBJECT_HEAD_LEN;
		o->len = size < len ? size : len;
		chain_key(&user, data[0], data[1], (uint64_t)data[1] + data[2], o->key);
		data += OBJECT_HEAD_LEN + o->len;
		len -= o->len;
		if (find(s, o->key) == NULL)
			s->count++;
	}
	qsort(s->objects, s->count, sizeof s->objects[0], by_key);
}

/* A database as the objects make it, page by page. */
struct image {
	uint32_t page_size, npages;
	uint8_t *bytes;
};

static int take(void *owner, void *out, size_t len)
{
	struct object *o = owner;

	if (len > o->len)
		return -1;
	memcpy(out, o->data, len);
	o->data += len;
	o->len -= len;
	return 0;
}

static void resize(struct image *m, uint32_t npages)
{
	size_t before = (size_t)m->npages * m->page_size, now = (size_t)npages * m->page_size;

	m->bytes = alloc_resized(m->bytes, now);
	if (now > before)
		memset(m->bytes + before, 0, now - before);
	m->npages = npages;
}

/* What the object does not say: nothing may be in the way of a page of its own. */
static void apply(struct image *m, const struct object *o)
{
	struct object rest = *o;
	struct ltx_decoder *d = ltx_decoder_new(take, &rest, rest.len);
	const struct ltx_header *h = ltx_decoder_header(d);
	const uint8_t *page;
	uint32_t pgno, before = m->npages, nnew = 0;

	assert(h != NULL);
	if (m->page_size != h->page_size)
		before = 0;
	m->page_size = h->page_size;
	/* More pages than the object can hold were never in it. */
	assert(h->commit <= before + 1 + o->len);
	resize(m, h->commit);
	while (ltx_decode_page(d, &pgno, &page) == LTX_PAGE) {
		memcpy(m->bytes + (size_t)(pgno - 1) * m->page_size, page, m->page_size);
		nnew += pgno > before ? 1 : 0;
	}
	assert(ltx_decoder_error(d) == NULL);
	assert(h->commit <= before || nnew == h->commit - before);
	ltx_decoder_free(d);
}

static void expect_image(const struct hostile *s, uint64_t txid, const struct restored *got, int fd)
{
	struct object_listing all = { 0 };
	struct image m = { 0 };
	struct chain chain;
	struct stat st;

	for (size_t i = 0; i < s->count; i++)
		memcpy(object_listing_add(&all)->key, s->objects[i].key, OBJECT_KEY_MAX);
	assert(chain_choose(&all, txid, &chain) == CHAIN_OK);
	for (size_t i = 0; i < chain.count; i++)
		apply(&m, find(s, chain.links[i].key));
	assert(got->txid == chain.links[chain.count - 1].max_txid);
	assert(got->page_size == m.page_size && got->npages == m.npages);
	size_t len = (size_t)m.npages * m.page_size;
	assert(fstat(fd, &st) == 0 && (size_t)st.st_size == len);
	uint8_t *file = alloc_zeroed(1, len + 1);
	assert(pread(fd, file, len, 0) == (ssize_t)len);
	assert(memcmp(file, m.bytes, len) == 0);
	free(file);
	free(m.bytes);
	chain_release(&chain);
	object_listing_release(&all);
}

static void note_end(struct restore *r, void *owner)
{
	bool *ended = owner;

	(void)r;
	assert(!*ended);
	*ended = true;
}

/* The file, and what is remembered of its pages, stay within what came. */
static void expect_bound(int fd, size_t len)
{
	struct stat st;

	assert(fstat(fd, &st) == 0);
	assert((uint64_t)st.st_size <= (uint64_t)len * RATIO_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct hostile s;
	static int fd = -1;
	struct tasks tasks;
	bool ended = false;

	if (len < HEAD_LEN)
		return 0;
	if (fd < 0)
		fd = memfd_create("restored", MFD_CLOEXEC);
	assert(fd >= 0 && ftruncate(fd, 0) == 0);
	memset(&s, 0, sizeof s);
	s.base.methods = &methods;
	s.mood = data[1];
	add_objects(&s, data + HEAD_LEN, len - HEAD_LEN);
	tasks_init(&tasks);
	struct restore *r =
		restore_start(&s.base, &tasks, &user, data[0], fd, "/dev/shm", note_end, &ended);
	for (unsigned turn = 0; !ended; turn++) {
		store_run(&s.base, 0);
		(void)tasks_run(&tasks);
		if (s.mood & GIVES_UP && turn == s.mood >> 4)
			break;
		assert(turn < 100000);
	}
	if (ended && restore_outcome(r)->result == RESTORE_DONE)
		expect_image(&s, data[0], restore_outcome(r), fd);
	expect_bound(fd, len);
	restore_free(r);
	assert(s.nwaiting == 0 && TAILQ_EMPTY(&tasks));
	return 0;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t max);

/* Where the object around or after `wanted` begins; `len` if there is none. */
static size_t object_at(const uint8_t *data, size_t len, size_t wanted)
{
	size_t at = HEAD_LEN;

	while (at + OBJECT_HEAD_LEN <= len) {
		size_t next = at + OBJECT_HEAD_LEN + wire_get_u16(data + at + 3);
		if (next > len || next > wanted)
			break;
		at = next;
	}
	return at + OBJECT_HEAD_LEN <= len ? at : len;
}

/* One object is changed, and fits its name and its checksums again. */
static size_t mutate_object(uint8_t *data, size_t len, size_t max, size_t at, unsigned seed)
{
	uint8_t *object = data + at + OBJECT_HEAD_LEN;
	size_t room = max - at - OBJECT_HEAD_LEN, size = wire_get_u16(data + at + 3);
	size_t left = len - at - OBJECT_HEAD_LEN;
	uint8_t *tail;

	size = size < left ? size : left;
	left -= size;
	tail = alloc_zeroed(1, left + 1);
	memcpy(tail, object + size, left);
	room = room - left < UINT16_MAX ? room - left : UINT16_MAX;
	if (size == 0 || room <= size)
		goto out;
	size = LLVMFuzzerMutate(object, size, room);
	if (size >= LTX_HEADER_LEN && seed % 16 != 0) {
		wire_put_u64(object + 16, data[at + 1]);
		wire_put_u64(object + 24, (uint64_t)data[at + 1] + data[at + 2]);
	}
	if (seed % 8 != 0)
		size = ltx_repair(object, size, room);
	data[at + 3] = (uint8_t)(size >> 8);
	data[at + 4] = (uint8_t)size;
out:
	memcpy(object + size, tail, left);
	free(tail);
	return at + OBJECT_HEAD_LEN + size + left;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t max, unsigned seed)
{
	if (seed % 4 == 0 || len < HEAD_LEN)
		return LLVMFuzzerMutate(data, len, max);
	if (seed % 4 == 1) {
		(void)LLVMFuzzerMutate(data, HEAD_LEN, HEAD_LEN);
		return len;
	}
	size_t at = object_at(data, len, seed / 4 % len);
	if (at == len)
		return LLVMFuzzerMutate(data, len, max);
	return mutate_object(data, len, max, at, seed / 64);
}

/* The objects of both. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len,
				 uint8_t *out, size_t max, unsigned seed)
{
	if (a_len < HEAD_LEN || b_len < HEAD_LEN || max < HEAD_LEN)
		return 0;
	size_t end = object_at(a, a_len, seed % a_len),
	       from = object_at(b, b_len, seed / 7 % b_len);
	size_t n = end < max ? end : max;
	size_t more = b_len - from < max - n ? b_len - from : max - n;

	memcpy(out, a, n);
	memcpy(out + n, b + from, more);
	return n + more;
}
