/* SPDX-License-Identifier: MIT */
/* What flows over arrays leave behind: a mark for each index that ran. */
#ifndef TESTS_MARKS_H
#define TESTS_MARKS_H

#include "scenario.h"

typedef struct marks {
    uint8_t *xcounts;
    size_t count, chunk_min, chunk_max;
    uint32_t xbad;    /* ranges that break the rules */
    uint32_t xafter;  /* ranges that began after the return */
    uint32_t xclosed; /* the call has returned */
    size_t fails_at;  /* SIZE_MAX: never */
    uint32_t work;    /* turns per element, at most */
    brg_token *token; /* is cancelled at index `cancels_at` */
    size_t cancels_at;
} marks;

marks marks_new(size_t count); /* fails at no index, cancels at none */
brg_status marks_range(brg_context *context, size_t first, size_t end, void *state); /* a brg_range_fn; state: marks */
/* The call has returned: how many of them ran; none twice. */
size_t marks_end(marks *m);
/* Nothing ran after that. */
void marks_free(marks *m);

void marks_burn(uint32_t turns);
brg_status marks_count(brg_context *context, size_t first, size_t end, void *state); /* state: a uint64_t of elements */

#endif
