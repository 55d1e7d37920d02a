/* SPDX-License-Identifier: MIT */
/*
 * Where delimiters, line ends and quotes stand: a bit for each byte, found with vector compares (Langdale and Lemire,
 * "Parsing gigabytes of JSON per second", VLDB Journal 2019, stage 1; simdcsv does the same for CSV).
 */
#ifndef BRIGADE_ANALYZE_MASKS_H
#define BRIGADE_ANALYZE_MASKS_H

#include <stddef.h>
#include <stdint.h>

#define MASKS_BYTES 64 /* of one mask */

/* Masks of `count` times 64 bytes, all readable. */
void analyze_masks(const char *data, size_t count, char delimiter, uint64_t *masks);

#endif
