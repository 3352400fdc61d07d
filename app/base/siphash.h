/*
 * SipHash-2-4: a hash of short keys whose collisions nobody can aim for
 * without the secret.  Source: Aumasson and Bernstein, 2012.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint64_t secret[2], const void *bytes, size_t len);

#endif
