/* SPDX-License-Identifier: MIT */
/* Intrusive doubly linked lists: O(1) push, pop and removal, no allocation. A zeroed node is in no list. */
#ifndef BRG_BASE_LIST_H
#define BRG_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/util.h"

typedef struct brg__node {
    struct brg__node *next;
    struct brg__node *previous;
} brg__node;

typedef struct brg__list {
    brg__node head; /* head.next is the first, head.previous the last */
} brg__list;

static inline void brg__list_init(brg__list *list) { list->head.next = list->head.previous = &list->head; }
static inline bool brg__list_is_empty(const brg__list *list) { return list->head.next == &list->head; }
static inline bool brg__node_is_linked(const brg__node *node) { return node->next != NULL; }

static inline void brg__list_insert_before(brg__node *position, brg__node *node)
{
    node->next = position;
    node->previous = position->previous;
    position->previous->next = node;
    position->previous = node;
}

static inline void brg__list_push_back(brg__list *list, brg__node *node) { brg__list_insert_before(&list->head, node); }
static inline void brg__list_push_front(brg__list *list, brg__node *node)
{
    brg__list_insert_before(list->head.next, node);
}

static inline void brg__list_remove(brg__node *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
#ifndef __clang_analyzer__ /* which takes the next first node for this one */
    node->next = node->previous = NULL;
#endif
}

/* The first node, removed; NULL when empty. */
static inline brg__node *brg__list_pop_front(brg__list *list)
{
    if (brg__list_is_empty(list))
        return NULL;
    brg__node *node = list->head.next;
    brg__list_remove(node);
    return node;
}

/* Moves all of `from` to the end of `to`. */
static inline void brg__list_splice_back(brg__list *to, brg__list *from)
{
    if (brg__list_is_empty(from))
        return;
    brg__node *first = from->head.next, *last = from->head.previous, *tail = to->head.previous;
    tail->next = first;
    first->previous = tail;
    last->next = &to->head;
    to->head.previous = last;
    brg__list_init(from);
}

/* Safe against removal of `node` in the body. */
#define brg__list_for_each(node, list)                                                                                 \
    for (brg__node *node = (list)->head.next, *node##_next = node->next; node != &(list)->head;                        \
         node = node##_next, node##_next = node->next)

#endif
