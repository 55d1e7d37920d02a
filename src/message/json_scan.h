/* SPDX-License-Identifier: MIT */
/* A look at JSON text before jansson gets it: how deep it nests, and whole numbers past int64. */
#ifndef BRG_MESSAGE_JSON_SCAN_H
#define BRG_MESSAGE_JSON_SCAN_H

#include <brigade/status.h>

/* A whole number that does not fit int64. */
typedef struct brg__json_wide {
    size_t ordinal; /* among the text's numbers, from 0 */
    bool is_uint;   /* it fits uint64: `integer`; else `number` */
    uint64_t integer;
    double number;
} brg__json_wide;

typedef struct brg__json_scan {
    char *text; /* a copy with 0 for each wide number, as long as the original; NULL where there are none */
    brg__json_wide *wides;
    size_t wide_count;
    size_t wide_capacity;
} brg__json_scan;

/*
 * The text may be malformed: jansson will say so, and at the right place. Errors: BRG_TOO_LARGE for nesting past
 * BRG_VALUE_DEPTH_MAX; BRG_NO_MEMORY.
 */
brg_status brg__json_scan_init(brg__json_scan *scan, const char *text, size_t size_bytes, brg_error *error);
void brg__json_scan_done(brg__json_scan *scan);

#endif
