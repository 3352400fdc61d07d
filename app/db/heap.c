#include "db/heap.h"

#include "base/log.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>

static sqlite3_mem_methods standard;
static _Thread_local struct heap_share *charged;

static int64_t size_of(void *memory)
{
	return memory != NULL ? standard.xSize(memory) : 0;
}

static void *take(int len)
{
	if (charged != NULL && charged->used + len > charged->most)
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

	if (charged != NULL && charged->used + len - before > charged->most)
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
