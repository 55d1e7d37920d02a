/* SPDX-License-Identifier: MIT */
/* Hash and equality of nodes, also while their value is being built or checked; sets; which nodes refs lead to. */
#ifndef BRG_MESSAGE_GRAPH_H
#define BRG_MESSAGE_GRAPH_H

#include "message/object.h"

/* A block and its objects. Without objects (NULL) two object nodes are the same if their numbers are. */
typedef struct brg__graph {
    const unsigned char *block;
    const brg__object *objects;
    uint32_t object_count;
} brg__graph;

/* The object of an object node, or NULL where the object is of another type than the node. */
const brg__object *brg__graph_object(const brg__graph *graph, brg__head node);

/* The typed array at `offset`; false where its buffer has not got all of it, or is none. */
bool brg__graph_array(const brg__graph *graph, uint32_t offset, brg_array *out);

/*
 * Whether the set at `offset` has an element twice; its number is *repeated. Its subtree must be checked, refs to
 * earlier nodes too; those to containers around, and objects, are only compared by number. BRG_OK: each once.
 * BRG_INVALID; BRG_NO_MEMORY; BRG_TOO_LARGE: not decided within work of the order of the block's size, for all its sets
 * together: *spent, 0 at first, adds up over them, in order of their offsets. O(bytes) for ordinary elements.
 */
brg_status brg__set_check(const unsigned char *block, uint32_t offset, uint64_t *spent, uint32_t *repeated);

/* A hash that equal nodes share; it looks at a bounded part of the node. */
uint64_t brg__graph_hash(const brg__graph *graph, uint32_t offset);

/* The nodes that refs lead to, once each, in order of their offsets. NULL and *count 0 where there are none. */
typedef struct brg__target {
    uint32_t offset;
    uint32_t number; /* for the caller; 0 at first */
    uint32_t extra;  /* the same */
} brg__target;

brg_status brg__targets_create(brg__target **out, uint32_t *count, const brg_value *value, brg_error *error);
brg__target *brg__targets_find(brg__target *targets, uint32_t count, uint32_t offset);

#endif
