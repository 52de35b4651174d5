/*
 * clock.h - the two kinds of time. What measures is monotonic; what is shown or compared with
 * an end date is wall time in UTC.
 */
#ifndef BASTION_CLOCK_H
#define BASTION_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* CLOCK_BOOTTIME: does not jump, goes on while the machine sleeps (leases and deadlines must end). */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
/* Unix seconds and microseconds. */
int64_t clock_wall(void);
int64_t clock_wall_us(void);

/* "2026-11-22T20:15:00Z" into out (size >= 21). */
char *clock_format(char *out, size_t size, int64_t unix_s);
/* The reverse, also "2026-11-22" and "2026-11-22T20:15Z"; UTC. 0, or -1. */
int clock_parse(const char *text, int64_t *unix_s);

/* "90s", "30m", "2h", "7d", "1h30m" to seconds, 1 s to 10 years. 0, or -1. */
int duration_parse(const char *text, uint32_t *seconds);
/* The largest two units that say it: "1h30m", "45s", "7d". Size >= 16. */
char *duration_format(char *out, size_t size, uint64_t seconds);

#endif
