/*
 * Memory that is there or the process ends.
 *
 * Sizes that a client or the store chooses are limited before they get here,
 * so running out means that the machine is out of memory, and a worker that
 * ends is replaced with nothing lost.  The result is released with free().
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>

void *alloc_zeroed(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *alloc_resized(void *old, size_t len) __attribute__((returns_nonnull));
char *alloc_string(const char *text) __attribute__((malloc, returns_nonnull));

#endif
