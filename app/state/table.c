/*
 *	+--------------------+ 0
 *	| struct header      |  written once, before the first fork, but for
 *	|                    |  `sweeper`, `store` and `metrics`
 *	+--------------------+
 *	| workers            |  TABLE_WORKERS_MAX places
 *	+--------------------+
 *	| due                |  one bit per slot
 *	+--------------------+
 *	| used               |  one bit per slot, set for ever before its first use
 *	+--------------------+
 *	| slots              |  open addressing on a keyed hash of the id; a slot
 *	+--------------------+  that was used once is never empty again, so a probe
 *				may stop at the first hole
 *
 * The file is sparse: slots that nobody touched cost nothing, and scans read
 * a bitmap (one page per 32,768 slots) and the slots it names.
 *
 * Two users never share a key: it is 64 bits of SipHash under a secret made
 * for this table, so no two of 65,536 users meet by chance or on purpose.
 */
#include "state/table.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/siphash.h"
#include "state/slot.h"
#include "state/slot_words.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROBES_MAX = 256, PAGE = 4096 };

static const uint64_t table_magic = 0x35656c6261746668u; /* "hftable5" */

struct header {
	uint64_t magic;
	uint64_t layout; /* table_layout */
	uint64_t nslots; /* a power of two */
	uint64_t secret[2];
	_Atomic uint64_t workers_end; /* no place at or behind it was ever a worker's */
	_Atomic uint64_t sweeper; /* mark of the sweeping worker, all ones: done */
	struct store_words store;
	struct metrics metrics;
};

struct worker {
	_Atomic uint32_t epoch;
	_Atomic uint32_t pid;
	_Atomic uint64_t serving; /* place of the slot + 1, 0 for none */
	_Atomic uint64_t requests;
	_Atomic uint32_t party;
	_Atomic uint32_t leaving;
	_Atomic uint64_t waiting_end; /* no place at or behind it is in use */
	_Atomic uint64_t pushes; /* what the engine has under way, see struct table_busy */
	_Atomic uint64_t pulls;
	_Atomic uint64_t compactions;
	_Atomic int64_t waits_since_ms; /* see table_worker_waits(); 0: nobody */
	_Atomic uint32_t socket;
	_Atomic uint32_t greedy; /* see table_worker_is_greedy() */
	_Atomic uint32_t streams[TABLE_STREAMS_MAX]; /* place of the slot + 1, 0 for none */
	_Atomic uint64_t waiting[TABLE_WAITING_MAX]; /* the user's key, KEY_FREE for none */
};

/*
 * Another size is another layout by itself.  Whoever gives a field of the same
 * size another meaning changes the magic.
 */
static const uint64_t table_layout = (uint64_t)sizeof(struct header) << 40 |
				     (uint64_t)sizeof(struct worker) << 20 | sizeof(struct slot);

struct table {
	struct header *header;
	struct worker *workers;
	_Atomic uint64_t *due;
	_Atomic uint64_t *used;
	struct slot *slots;
	size_t len;
	int fd;
};

enum {
	KEY_FREE = 0,
	KEY_CHANGING = 1, /* its words are changing hands; only inside the bracket */
};

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static size_t due_at(void)
{
	return round_up(sizeof(struct header), PAGE) + sizeof(struct worker) * TABLE_WORKERS_MAX;
}

static size_t bitmap_len(uint64_t nslots)
{
	return round_up((size_t)(nslots + 7) / 8, PAGE);
}

static size_t slots_at(uint64_t nslots)
{
	return due_at() + 2 * bitmap_len(nslots);
}

static size_t table_len(uint64_t nslots)
{
	return slots_at(nslots) + (size_t)nslots * sizeof(struct slot);
}

static struct table *view(void *base, size_t len, uint64_t nslots, int fd)
{
	struct table *t = alloc_zeroed(1, sizeof *t);
	char *bytes = base;

	t->header = base;
	t->workers = (void *)(bytes + round_up(sizeof(struct header), PAGE));
	t->due = (void *)(bytes + due_at());
	t->used = (void *)(bytes + due_at() + bitmap_len(nslots));
	t->slots = (void *)(bytes + slots_at(nslots));
	t->len = len;
	t->fd = fd;
	return t;
}

static struct table *failed(const char *call, const char *path, int fd)
{
	log_error("table.failed", "call=%s path=%s error=\"%s\"", call, path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return NULL;
}

static uint64_t power_of_two(uint64_t n)
{
	uint64_t p = 64;

	while (p < n)
		p *= 2;
	return p;
}

struct table *table_create(const char *path, uint32_t nslots)
{
	char beside[PATH_MAX];
	/* Probes stay short when the table is never more than half full. */
	uint64_t n = power_of_two((uint64_t)nslots * 2);
	size_t len = table_len(n);

	if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside) {
		errno = ENAMETOOLONG;
		return failed("open", path, -1);
	}
	if (unlink(beside) < 0 && errno != ENOENT)
		return failed("unlink", beside, -1);
	int fd = open(beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return failed("open", beside, -1);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || ftruncate(fd, (off_t)len) < 0)
		return failed("ftruncate", beside, fd);
	void *base = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return failed("mmap", beside, fd);
	struct table *t = view(base, len, n, fd);
	t->header->layout = table_layout;
	t->header->nslots = n;
	if (getrandom(t->header->secret, sizeof t->header->secret, 0) !=
	    (ssize_t)sizeof t->header->secret) {
		failed("getrandom", path, -1);
		table_free(t);
		return NULL;
	}
	t->header->magic = table_magic;
	if (rename(beside, path) < 0) {
		failed("rename", path, -1);
		table_free(t);
		return NULL;
	}
	return t;
}

/* `fd` becomes the table's, unless what it holds has another layout: NULL. */
static struct table *map_existing(int fd, int protection)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || (size_t)st.st_size < slots_at(64))
		return NULL;
	void *base = mmap(NULL, (size_t)st.st_size, protection, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return NULL;
	const struct header *h = base;
	if (h->magic != table_magic || h->layout != table_layout ||
	    table_len(h->nslots) != (size_t)st.st_size) {
		munmap(base, (size_t)st.st_size);
		return NULL;
	}
	return view(base, (size_t)st.st_size, h->nslots, fd);
}

const struct table *table_map_readonly(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	/* If nobody holds the lock, it is left over from a run that is gone. */
	bool held = flock(fd, LOCK_SH | LOCK_NB) < 0;
	const struct table *t = held ? map_existing(fd, PROT_READ) : NULL;
	if (t == NULL)
		close(fd);
	return t;
}

struct table *table_adopt(int fd)
{
	return map_existing(fd, PROT_READ | PROT_WRITE);
}

int table_fd(const struct table *t)
{
	return t->fd;
}

void table_free(const struct table *t)
{
	if (t == NULL)
		return;
	munmap(t->header, t->len);
	close(t->fd);
	free((void *)(uintptr_t)t);
}

static uint64_t key_of(const struct table *t, const struct user_id *id)
{
	uint64_t key = siphash(t->header->secret, id->text, strlen(id->text));

	return key > KEY_CHANGING ? key : key + 2;
}

static struct slot *slot_at(const struct table *t, uint64_t place)
{
	return &t->slots[place & (t->header->nslots - 1)];
}

static uint32_t place_of(const struct table *t, const struct slot *s)
{
	return (uint32_t)(s - t->slots);
}

static void write_id(struct slot *s, const struct user_id *id)
{
	uint64_t words[8];

	memcpy(words, id->text, sizeof words);
	for (int i = 0; i < 8; i++)
		s->id[i] = words[i];
}

bool slot_is_of(const struct slot *s, const struct user_id *id)
{
	struct user_id present;

	slot_id(s, &present);
	return memcmp(present.text, id->text, sizeof present.text) == 0;
}

struct slot *table_find(const struct table *t, const struct user_id *id)
{
	uint64_t key = key_of(t, id);

	for (unsigned n = 0; n < PROBES_MAX; n++) {
		struct slot *s = slot_at(t, key + n);
		uint64_t found = s->key;
		if (found == key && slot_is_of(s, id))
			return s;
		if (found == KEY_FREE)
			return NULL;
	}
	return NULL;
}

static void clear_words(struct slot *s)
{
	s->loaded = 0;
	s->checked = 0;
	s->suspect = 0;
	s->wal_long = 0;
	s->wal_kib = 0;
	s->spool_kib = 0;
	s->files = FILES_UNKNOWN;
	s->committed = 0;
	s->dirty_since_ms = 0;
	s->stored = 0;
	s->txid = 0;
	s->error = 0;
	s->failures = 0;
	s->failed_since_ms = 0;
	s->conflict = 0;
	s->keep = KEEP_UNDECIDED;
	s->clear_at = 0;
	s->writer = 0;
	s->lock_wanted_ms = 0;
	s->lock_again_ms = 0;
	s->last_success_ms = 0;
	s->last_took_ms = 0;
	s->next_attempt_ms = 0;
	s->held_until_ms = 0;
	s->pull_error = 0;
	s->pull_wanted = 0;
	s->pull_failed_ms = 0;
}

/*
 * A lock of the file that is mapped, whatever its name means by now, on a
 * descriptor of one's own: threads exclude each other, too.
 */
int table_change_begin(const struct table *t)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", t->fd);
	int rc, change = open(path, O_RDWR | O_CLOEXEC);
	if (change < 0) {
		failed("open", path, -1);
		return -1;
	}
	do
		rc = fcntl(change, F_OFD_SETLKW, &all);
	while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		failed("fcntl", path, change);
		return -1;
	}
	return change;
}

void table_change_end(int change)
{
	close(change);
}

/*
 * The key is written last: whoever dies before leaves a free slot.  One that
 * is still changing has lost its writer, for nobody else is in the bracket.
 */
static void give(const struct table *t, struct slot *s, const struct user_id *id)
{
	uint32_t place = place_of(t, s);

	atomic_fetch_or(&t->used[place / 64], UINT64_C(1) << place % 64);
	write_id(s, id);
	s->key = key_of(t, id);
}

struct slot *table_place(struct table *t, const struct user_id *id)
{
	uint64_t key = key_of(t, id);

	for (unsigned n = 0; n < PROBES_MAX; n++) {
		struct slot *s = slot_at(t, key + n);
		if (s->key == KEY_CHANGING)
			clear_words(s);
		else if (s->key != KEY_FREE)
			continue;
		give(t, s, id);
		return s;
	}
	return NULL;
}

enum table_result table_add(struct table *t, const struct user_id *id, struct slot **out)
{
	enum table_result result = TABLE_FOUND;

	*out = table_find(t, id);
	if (*out != NULL)
		return TABLE_FOUND;
	int change = table_change_begin(t);
	if (change < 0)
		return TABLE_FULL;
	*out = table_find(t, id);
	if (*out == NULL) {
		*out = table_place(t, id);
		result = *out != NULL ? TABLE_ADDED : TABLE_FULL;
	}
	table_change_end(change);
	return result;
}

static bool could_be_replaced(const struct slot *s)
{
	struct slot_view v;

	slot_read(s, &v);
	/* Somebody may be loading one that is not loaded. */
	return slot_is_loaded(s) && s->key > KEY_CHANGING && !slot_is_dirty(&v) &&
	       v.failed_since_ms == 0 && !v.conflict && !v.pushing &&
	       (!v.pull_wanted || v.files == FILES_PRESENT);
}

struct slot *table_candidate(const struct table *t, const struct user_id *id, unsigned nth)
{
	uint64_t key = key_of(t, id);

	for (unsigned n = 0; n < PROBES_MAX; n++) {
		struct slot *s = slot_at(t, key + n);
		if (could_be_replaced(s) && nth-- == 0)
			return s;
	}
	return NULL;
}

bool table_replace(struct table *t, struct slot *s, const struct user_id *old,
		   const struct user_id *id)
{
	if (s->key != key_of(t, old) || !slot_is_of(s, old) || !could_be_replaced(s))
		return false;
	/* Nobody finds the slot meanwhile. */
	s->key = KEY_CHANGING;
	clear_words(s);
	give(t, s, id);
	return true;
}

/* The first slot at or after `*place` whose bit is set; `*place` moves behind it. */
static struct slot *next_marked(const struct table *t, const _Atomic uint64_t *bitmap,
				uint32_t *place)
{
	for (uint64_t p = *place; p < t->header->nslots; p = (p / 64 + 1) * 64) {
		uint64_t bits = bitmap[p / 64] >> p % 64;
		if (bits == 0)
			continue;
		p += (uint64_t)__builtin_ctzll(bits);
		*place = (uint32_t)p + 1;
		return &t->slots[p];
	}
	*place = (uint32_t)t->header->nslots;
	return NULL;
}

const struct slot *table_next(const struct table *t, const struct slot *after)
{
	uint32_t place = after == NULL ? 0 : place_of(t, after) + 1;
	const struct slot *s;

	do
		s = next_marked(t, t->used, &place);
	while (s != NULL && s->key <= KEY_CHANGING);
	return s;
}

bool table_pusher_lives(const struct table *t, const struct slot *s)
{
	return table_mark_lives(t, s->owner);
}

bool table_mark_lives(const struct table *t, uint64_t mark)
{
	return mark != 0 && table_worker_mark(t, table_mark_worker(mark)) == mark;
}

unsigned table_mark_worker(uint64_t mark)
{
	assert(mark != 0);
	return (unsigned)(mark >> 32) - 1;
}

uint64_t table_worker_mark(const struct table *t, unsigned worker)
{
	assert(worker < TABLE_WORKERS_MAX);
	return table_mark(worker, t->workers[worker].epoch);
}

uint64_t table_mark(unsigned worker, uint32_t epoch)
{
	return (uint64_t)(worker + 1) << 32 | epoch;
}

uint32_t table_mark_epoch(uint64_t mark)
{
	return (uint32_t)mark;
}

void table_set_due(struct table *t, const struct slot *s)
{
	uint32_t place = place_of(t, s);

	atomic_fetch_or(&t->due[place / 64], UINT64_C(1) << place % 64);
}

void table_clear_due(struct table *t, const struct slot *s)
{
	uint32_t place = place_of(t, s);

	atomic_fetch_and(&t->due[place / 64], ~(UINT64_C(1) << place % 64));
}

struct slot *table_next_due(struct table *t, uint32_t *place)
{
	return next_marked(t, t->due, place);
}

void table_worker_born(struct table *t, unsigned worker, uint32_t pid)
{
	assert(worker < TABLE_WORKERS_MAX);
	if (t->header->workers_end <= worker)
		t->header->workers_end = worker + 1;
	t->workers[worker].pid = pid;
}

void table_worker_died(struct table *t, unsigned worker)
{
	assert(worker < TABLE_WORKERS_MAX);
	struct worker *w = &t->workers[worker];
	uint64_t serving = atomic_exchange(&w->serving, 0);

	w->pid = 0;
	w->epoch++;
	w->party = 0;
	w->leaving = 0;
	w->pushes = 0;
	w->pulls = 0;
	w->compactions = 0;
	for (int i = 0; i < TABLE_STREAMS_MAX; i++)
		w->streams[i] = 0;
	for (int i = 0; i < TABLE_WAITING_MAX; i++)
		w->waiting[i] = KEY_FREE;
	w->waiting_end = 0;
	w->waits_since_ms = 0;
	w->greedy = 0;
	if (serving == 0)
		return;
	struct slot *s = &t->slots[serving - 1];
	slot_commit(s);
	table_set_due(t, s);
}

void table_worker_serves(struct table *t, unsigned worker, const struct slot *s)
{
	t->workers[worker].serving = (uint64_t)place_of(t, s) + 1;
}

void table_worker_rests(struct table *t, unsigned worker)
{
	t->workers[worker].serving = 0;
	t->workers[worker].requests++;
}

bool table_worker_get(const struct table *t, unsigned worker, struct worker_word *out)
{
	assert(worker < TABLE_WORKERS_MAX);
	const struct worker *w = &t->workers[worker];

	out->epoch = w->epoch;
	out->pid = w->pid;
	out->requests = w->requests;
	return out->pid != 0;
}

void table_worker_is_busy(struct table *t, unsigned worker, const struct table_busy *b)
{
	struct worker *w = &t->workers[worker];

	w->pushes = b->pushes;
	w->pulls = b->pulls;
	w->compactions = b->compactions;
}

void table_busy(const struct table *t, struct table_busy *out)
{
	*out = (struct table_busy){ 0 };
	for (unsigned worker = 0; worker < TABLE_WORKERS_MAX; worker++) {
		const struct worker *w = &t->workers[worker];
		out->pushes += w->pushes;
		out->pulls += w->pulls;
		out->compactions += w->compactions;
	}
}

int table_stream_open(struct table *t, unsigned worker, const struct slot *s)
{
	for (int i = 0; i < TABLE_STREAMS_MAX; i++) {
		if (t->workers[worker].streams[i] != 0)
			continue;
		t->workers[worker].streams[i] = place_of(t, s) + 1;
		return i;
	}
	return -1;
}

void table_stream_close(struct table *t, unsigned worker, int place)
{
	t->workers[worker].streams[place] = 0;
}

unsigned table_streams(const struct table *t, const struct slot *s)
{
	uint32_t wanted = place_of(t, s) + 1;
	unsigned n = 0;

	for (unsigned worker = 0; worker < TABLE_WORKERS_MAX; worker++) {
		if (t->workers[worker].pid == 0)
			continue;
		for (int i = 0; i < TABLE_STREAMS_MAX; i++)
			n += t->workers[worker].streams[i] == wanted;
	}
	return n;
}

int table_wait_begin(struct table *t, unsigned worker, const struct user_id *id)
{
	struct worker *w = &t->workers[worker];

	for (unsigned i = 0; i < TABLE_WAITING_MAX; i++) {
		if (w->waiting[i] != KEY_FREE)
			continue;
		w->waiting[i] = key_of(t, id);
		if (i >= w->waiting_end)
			w->waiting_end = i + 1;
		return (int)i;
	}
	return -1;
}

void table_wait_end(struct table *t, unsigned worker, int place)
{
	struct worker *w = &t->workers[worker];
	uint64_t end = w->waiting_end;

	w->waiting[place] = KEY_FREE;
	while (end > 0 && w->waiting[end - 1] == KEY_FREE)
		end--;
	w->waiting_end = end;
}

unsigned table_waiting(const struct table *t, const struct user_id *id)
{
	uint64_t key = key_of(t, id);
	unsigned n = 0;

	for (unsigned worker = 0; worker < TABLE_WORKERS_MAX; worker++) {
		const struct worker *w = &t->workers[worker];
		uint64_t end = w->pid != 0 ? w->waiting_end : 0;
		for (uint64_t i = 0; i < end; i++)
			n += w->waiting[i] == key;
	}
	return n;
}

void table_worker_is_greedy(struct table *t, unsigned worker, bool greedy)
{
	t->workers[worker].greedy = greedy;
}

void table_worker_waits(struct table *t, unsigned worker, int64_t since_ms)
{
	t->workers[worker].waits_since_ms = since_ms;
}

static bool share_a_socket(const struct table *t, unsigned a, unsigned b)
{
	return a != b && t->workers[a].party == t->workers[b].party &&
	       t->workers[a].socket == t->workers[b].socket;
}

unsigned table_others_greedy(const struct table *t, unsigned worker)
{
	unsigned n = 0;

	for (unsigned other = 0; other < t->header->workers_end; other++)
		n += t->workers[other].greedy != 0 && share_a_socket(t, worker, other);
	return n;
}

int64_t table_others_wait_since(const struct table *t, unsigned worker)
{
	int64_t oldest_ms = 0;

	for (unsigned other = 0; other < t->header->workers_end; other++) {
		int64_t since_ms = t->workers[other].waits_since_ms;
		if (since_ms != 0 && (oldest_ms == 0 || since_ms < oldest_ms) &&
		    share_a_socket(t, worker, other))
			oldest_ms = since_ms;
	}
	return oldest_ms;
}

void table_worker_leaves(struct table *t, unsigned worker)
{
	t->workers[worker].leaving = 1;
}

void table_worker_joins(struct table *t, unsigned worker, uint32_t party, unsigned socket)
{
	t->workers[worker].socket = socket;
	t->workers[worker].party = party;
}

bool table_worker_is_in(const struct table *t, unsigned worker, uint32_t party)
{
	return t->workers[worker].party == party;
}

int table_worker_staying(const struct table *t, uint32_t party)
{
	for (unsigned worker = 0; worker < TABLE_WORKERS_MAX; worker++) {
		if (table_worker_is_in(t, worker, party) && t->workers[worker].leaving == 0)
			return (int)worker;
	}
	return -1;
}

struct store_words *table_store(const struct table *t)
{
	return &t->header->store;
}

struct metrics *table_metrics(const struct table *t)
{
	return &t->header->metrics;
}

bool table_claim_sweep(struct table *t, unsigned worker)
{
	uint64_t mark = t->header->sweeper;

	if (mark == UINT64_MAX)
		return false;
	if (table_mark_lives(t, mark))
		return false;
	return atomic_compare_exchange_strong(&t->header->sweeper, &mark,
					      table_worker_mark(t, worker));
}

void table_sweep_done(struct table *t)
{
	t->header->sweeper = UINT64_MAX;
}
