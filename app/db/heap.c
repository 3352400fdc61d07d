#include "db/heap.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>

static sqlite3_mem_methods standard;
static _Thread_local struct heap_share *charged;

enum {
	CLOCK_EACH = 64, /* of small pieces; */
	LARGE = 64 << 10, /* to fill one of these takes longer than to look */
};

static int64_t size_of(void *memory)
{
	return memory != NULL ? standard.xSize(memory) : 0;
}

static bool is_late(struct heap_share *share, int64_t len)
{
	if (share->until_ms == 0 || (++share->ntaken % CLOCK_EACH != 0 && len < LARGE))
		return false;
	share->late = clock_mono_ms() >= share->until_ms;
	return share->late;
}

static bool may_take(int64_t len)
{
	return charged == NULL || (charged->used + len <= charged->most && !is_late(charged, len));
}

static void *take(int len)
{
	if (!may_take(len))
		return NULL;
	void *memory = standard.xMalloc(len);
	if (charged != NULL)
		charged->used += size_of(memory);
	return memory;
}

static void give_back(void *memory)
{
	if (charged != NULL)
		charged->used -= size_of(memory);
	standard.xFree(memory);
}

static void *resize(void *old, int len)
{
	int64_t before = size_of(old);

	if (!may_take(len - before))
		return NULL;
	void *memory = standard.xRealloc(old, len);
	if (charged != NULL && memory != NULL)
		charged->used += size_of(memory) - before;
	return memory;
}

static void put_between(void)
{
	int rc = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &standard);

	if (rc == SQLITE_OK) {
		sqlite3_mem_methods ours = standard;
		ours.xMalloc = take;
		ours.xFree = give_back;
		ours.xRealloc = resize;
		rc = sqlite3_config(SQLITE_CONFIG_MALLOC, &ours);
	}
	if (rc != SQLITE_OK)
		log_warn("memory.unbounded", "error=\"%s\"", sqlite3_errstr(rc));
}

void heap_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, put_between);
}

void heap_charge(struct heap_share *share)
{
	charged = share;
}
