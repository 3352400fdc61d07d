/*
 * UTF-8 as Unicode defines it: no overlong form, no surrogate, nothing above
 * U+10FFFF.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stddef.h>

/* How many bytes from the start are valid; `len` when all are. */
size_t utf8_valid_prefix(const char *text, size_t len);

#endif
