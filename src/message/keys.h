/* SPDX-License-Identifier: MIT */
/* Keys of one map: whether each stands there once, and their order. */
#ifndef BRG_MESSAGE_KEYS_H
#define BRG_MESSAGE_KEYS_H

#include <brigade/status.h>

/*
 * Looks for a key that is twice among those whose `entry_count` offsets stand at `table`. The key nodes are
 * in `block` and checked. BRG_OK: each once. BRG_INVALID: *repeated is the index of an entry whose key came before.
 * BRG_NO_MEMORY: no scratch memory (never for 16 entries and fewer). O(entries) for ordinary keys, and
 * O(entries log entries) for keys chosen to collide.
 */
brg_status brg__keys_check(const unsigned char *block, const unsigned char *table, uint32_t entry_count,
                           uint32_t *repeated);

/* Whether two key nodes, which may be of different blocks, hold the same bytes. */
bool brg__key_equal(const unsigned char *a, const unsigned char *b);

/* Entry indices 0 .. entry_count - 1 into `order`, sorted by key (some total order over key bytes). */
void brg__keys_sort(const unsigned char *block, const unsigned char *table, uint32_t entry_count, uint32_t *order);

#endif
