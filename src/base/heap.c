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

static void heap_place(brg__heap *heap, uint32_t number, brg__heap_item *tree)
{
    heap->trees[number] = tree;
    if (tree == NULL) {
        heap->used &= ~((uint64_t)1 << number);
        return;
    }
    heap->used |= (uint64_t)1 << number;
    tree->previous = tree;
    tree->sibling = NULL;
}

/* One more tree: joined with those of its number, as a carry goes up. */
static void heap_add(brg__heap *heap, brg__heap_item *tree)
{
    uint32_t number = 0;
    for (; number < BRG__HEAP_TREES - 1 && (heap->used >> number & 1) != 0; number++) {
        tree = heap_meld(heap, heap->trees[number], tree);
        heap_place(heap, number, NULL);
    }
    heap_place(heap, number, heap_meld(heap, heap->trees[number], tree));
}

static brg__heap_item *heap_least(const brg__heap *heap)
{
    brg__heap_item *least = NULL;
    for (uint64_t used = heap->used; used != 0; used &= used - 1) {
        brg__heap_item *root = heap->trees[__builtin_ctzll(used)];
        if (least == NULL || heap_is_before(heap, root, least))
            least = root;
    }
    return least;
}

void brg__heap_insert(brg__heap *heap, brg__heap_item *item, uint64_t key)
{
    item->child = item->sibling = NULL;
    item->key = key;
    heap_add(heap, item);
    if (heap->least == NULL || heap_is_before(heap, item, heap->least))
        heap->least = item;
}

static void heap_unlink_root(brg__heap *heap, const brg__heap_item *item, brg__heap_item *orphans)
{
    for (uint64_t used = heap->used; used != 0; used &= used - 1) {
        uint32_t number = (uint32_t)__builtin_ctzll(used);
        if (heap->trees[number] == item) {
            heap_place(heap, number, orphans);
            return;
        }
    }
}

static void heap_unlink_inner(brg__heap *heap, const brg__heap_item *item, brg__heap_item *orphans)
{
    if (item->previous->child == item)
        item->previous->child = item->sibling;
    else
        item->previous->sibling = item->sibling;
    if (item->sibling != NULL)
        item->sibling->previous = item->previous;
    if (orphans != NULL)
        heap_add(heap, orphans);
}

void brg__heap_remove(brg__heap *heap, brg__heap_item *item)
{
    brg__heap_item *orphans = heap_combine(heap, item->child);
    if (item->previous == item)
        heap_unlink_root(heap, item, orphans);
    else
        heap_unlink_inner(heap, item, orphans);
    if (heap->least == item)
        heap->least = heap_least(heap);
    item->child = item->sibling = item->previous = NULL;
}
