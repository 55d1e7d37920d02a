/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

static bool heap_is_before(const brg__heap *heap, const brg__heap_item *a, const brg__heap_item *b)
{
    return heap->is_before == NULL ? a->key < b->key : heap->is_before(a, b);
}

/* Joins two trees whose roots have no siblings; either may be NULL. */
static brg__heap_item *heap_meld(const brg__heap *heap, brg__heap_item *a, brg__heap_item *b)
{
    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (heap_is_before(heap, b, a)) {
        brg__heap_item *swap = a;
        a = b;
        b = swap;
    }
    b->previous = a;
    b->sibling = a->child;
    if (a->child != NULL)
        a->child->previous = b;
    a->child = b;
    return a;
}

/* The two-pass pairing: melds neighbours left to right, then the results right to left. No recursion: lists grow. */
static brg__heap_item *heap_combine(const brg__heap *heap, brg__heap_item *first)
{
    brg__heap_item *pairs = NULL; /* a stack through sibling */
    while (first != NULL) {
        brg__heap_item *a = first, *b = first->sibling;
        first = b == NULL ? NULL : b->sibling;
        a->sibling = NULL;
        if (b != NULL)
            b->sibling = NULL;
        brg__heap_item *pair = heap_meld(heap, a, b);
        pair->sibling = pairs;
        pairs = pair;
    }
    brg__heap_item *root = NULL;
    while (pairs != NULL) {
        brg__heap_item *next = pairs->sibling;
        pairs->sibling = NULL;
        root = heap_meld(heap, root, pairs);
        pairs = next;
    }
    return root;
}

static void heap_set_root(brg__heap *heap, brg__heap_item *root)
{
    heap->root = root;
    if (root != NULL)
        root->previous = root;
}

void brg__heap_insert(brg__heap *heap, brg__heap_item *item, uint64_t key)
{
    item->child = item->sibling = NULL;
    item->key = key;
    heap_set_root(heap, heap_meld(heap, heap->root, item));
}

void brg__heap_remove(brg__heap *heap, brg__heap_item *item)
{
    brg__heap_item *orphans = heap_combine(heap, item->child);
    if (heap->root == item) {
        heap_set_root(heap, orphans);
    } else {
        if (item->previous->child == item)
            item->previous->child = item->sibling;
        else
            item->previous->sibling = item->sibling;
        if (item->sibling != NULL)
            item->sibling->previous = item->previous;
        heap_set_root(heap, heap_meld(heap, heap->root, orphans));
    }
    item->child = item->sibling = item->previous = NULL;
}
