/* SPDX-License-Identifier: BSD-3-Clause */
/* Rates, durations and sizes as people write and read them; always with a decimal point. */
#ifndef COMMON_UNITS_H
#define COMMON_UNITS_H

#include <stddef.h>
#include <stdint.h>

/* Large enough for all that is formatted here. */
#define UNITS_MAX 32

/*
 * "1000", "1k", "2.5kHz", "10 khz" in 1/s; "max" is 0: as fast as it goes. Up to 1 GHz.
 * Returns 0, -EINVAL when it is not a rate, or -ERANGE.
 */
int parse_rate(const char *text, double *ret_hz);

/*
 * "5" or "5s", "1.5 s", "500ms", "20us", "2min", "1h", "1d", "2 weeks", "1month", "1y" and the
 * words from seconds to years; a month is 30.44 days, a year 365.25.
 * Returns 0, -EINVAL when it is not a duration, or -ERANGE when it is 0 or above 100 years.
 */
int parse_duration(const char *text, uint64_t *ret_ns);

/*
 * "512", "512 B", "64K", "1.5G", "4GB", "2TiB" in bytes, by 1024; a fraction of a byte is rounded.
 * Returns 0, -EINVAL when it is not a size, or -ERANGE when it is above 4096 TiB.
 */
int parse_size(const char *text, uint64_t *ret_bytes);

/* A whole number, 1 to max. Returns 0, -EINVAL or -ERANGE. */
int parse_count(const char *text, uint64_t max, uint64_t *ret);

/*
 * Three significant digits or more and a unit: "0 ns", "850 ns", "12.3 us", "1.50 s", "2 min 05 s",
 * "3 h 04 min", "2 d 03 h". @micro is "u" or, where the terminal can show it, "\u00b5".
 */
void format_duration(uint64_t ns, const char *micro, char buf[static UNITS_MAX]);
/* "512 B", "1.50 KiB", "3.21 GiB" */
void format_bytes(uint64_t bytes, char buf[static UNITS_MAX]);
/* "1,234,567" */
void format_count(uint64_t count, char buf[static UNITS_MAX]);

#endif
