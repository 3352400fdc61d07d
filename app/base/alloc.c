#include "base/alloc.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static void *or_end(void *memory, size_t len)
{
	if (memory == NULL) {
		log_error("memory.exhausted", "wanted=%zu", len);
		abort();
	}
	return memory;
}

void *alloc_zeroed(size_t count, size_t size)
{
	return or_end(calloc(count ? count : 1, size ? size : 1), size);
}

void *alloc_resized(void *old, size_t len)
{
	return or_end(realloc(old, len ? len : 1), len);
}

char *alloc_string(const char *text)
{
	return or_end(strdup(text), strlen(text));
}
