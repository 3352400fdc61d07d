/*
 * Time in milliseconds.
 *
 * clock_mono_ms() never jumps and is the same in every process of the machine
 * until it reboots: for everything that waits.  clock_wall_ms() counts from
 * the Unix epoch and may jump: for people and signatures.  clock_mono_us() is
 * for those who compare it with their own reading of the same clock.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_wall_ms(void);

#endif
