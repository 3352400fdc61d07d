/*
 * CRC-64/GO-ISO, the checksum of LTX files: reflected, polynomial
 * 0xD800000000000000, initial value and final xor all ones.
 */
#ifndef LTX_CRC64_H
#define LTX_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Start with 0; pass the previous result to continue. */
uint64_t crc64_update(uint64_t crc, const void *bytes, size_t len);

#endif
