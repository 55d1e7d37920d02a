/* SPDX-License-Identifier: MIT */
/* How brg_item.link is used: by queue policies, and where a task waits outside of them. */
#ifndef BRG_POOL_QUEUE_H
#define BRG_POOL_QUEUE_H

#include <brigade/policy.h>

#include "base/heap.h"
#include "base/list.h"

#define BRG__LINK_BYTES (sizeof(void *) * 4)

_Static_assert(offsetof(brg_item, link) == 0, "links become items by a cast");
_Static_assert(sizeof(((brg_item *)0)->link) == BRG__LINK_BYTES, "as brigade/policy.h says");
_Static_assert(sizeof(brg__node) <= BRG__LINK_BYTES, "a list's links fit");
_Static_assert(sizeof(brg__heap_item) <= BRG__LINK_BYTES, "a heap's links fit");

static inline brg__node *brg__item_node(brg_item *item) { return (brg__node *)(void *)item->link; }
static inline brg_item *brg__node_item(brg__node *node) { return (brg_item *)(void *)node; }
static inline brg__heap_item *brg__item_heap(brg_item *item) { return (brg__heap_item *)(void *)item->link; }
static inline brg_item *brg__heap_to_item(const brg__heap_item *link) { return (brg_item *)(uintptr_t)link; }

#endif
