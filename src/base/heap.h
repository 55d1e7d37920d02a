/* SPDX-License-Identifier: MIT */
/*
 * Intrusive pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): least key first, ties in any order. No allocation.
 *
 * A pairing heap whose inserts all join one root pays for a million of them in the next pop. Here inserts join trees of
 * about their size, as in a binary counter (Vuillemin's binomial queues, 1978), so that there is a forest of a few
 * trees, each paired well already: insert is O(1) amortised and O(log n) at worst, pop and remove O(log n) amortised
 * without the long one. A zeroed item is in no heap, a zeroed heap is empty.
 */
#ifndef BRG_BASE_HEAP_H
#define BRG_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct brg__heap_item {
    struct brg__heap_item *child;    /* first child */
    struct brg__heap_item *sibling;  /* next sibling */
    struct brg__heap_item *previous; /* previous sibling, or the parent for a first child; itself for a root */
    uint64_t key;
} brg__heap_item;

#define BRG__HEAP_TREES 48

typedef struct brg__heap {
    brg__heap_item *least;                  /* of all; a root, or as small as one */
    uint64_t used;                          /* bit i: trees[i] is there */
    brg__heap_item *trees[BRG__HEAP_TREES]; /* number i of about 2^i items */
    /* Another order than by key; NULL: by key. Whether `a` must come out before `b`. */
    bool (*is_before)(const brg__heap_item *a, const brg__heap_item *b);
} brg__heap;

static inline bool brg__heap_is_linked(const brg__heap_item *item) { return item->previous != NULL; }

/* `item` must be in no heap. */
void brg__heap_insert(brg__heap *heap, brg__heap_item *item, uint64_t key);
/* The item with the least key, still in the heap; NULL when empty. */
static inline brg__heap_item *brg__heap_peek(const brg__heap *heap) { return heap->least; }
/* Removes `item`, which must be in `heap`. */
void brg__heap_remove(brg__heap *heap, brg__heap_item *item);

#endif
