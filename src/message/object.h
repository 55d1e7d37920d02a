/* SPDX-License-Identifier: MIT */
/* The objects behind the handles brg_value and brg_buffer, and those that travel in a value. */
#ifndef BRG_MESSAGE_OBJECT_H
#define BRG_MESSAGE_OBJECT_H

#include <brigade/value.h>

#include "message/flat.h"
#include "message/region.h"

/*
 * What travels beside a value's flat block. A node of type BUFFER, PORT, FD, SHARED or TOKEN holds its index. Several
 * nodes may hold the same index: they are the same object. Buffers, shareds and tokens are references; ports and
 * descriptors belong to the value until somebody takes them (the slot then holds NULL or -1).
 */
typedef struct brg__object {
    uint32_t type; /* brg_type */
    int32_t xfd;   /* of BRG_TYPE_FD, else -1 */
    void *xpointer;
} brg__object;

struct brg_value {
    uint32_t xrefs; /* holders; only ref and unref touch it */
    uint32_t object_count;
    size_t size_bytes; /* of the block */
    union {
        brg__object *objects; /* object_count of them, owned; NULL where there are none */
        brg_value *next_kept; /* of memory that waits for its next value: value_memory.c */
    };
    size_t room;                        /* bytes there are for the block */
    _Alignas(16) unsigned char block[]; /* where brigade/inline.h looks for it */
};

_Static_assert(offsetof(brg_value, block) == BRG_INLINE_BLOCK, "part of the ABI");

/* A value with room for a block of `size_bytes`, one reference, no objects, the block unset. NULL: out of memory. */
brg_value *brg__value_allocate(size_t size_bytes);
/* With room for so much, its content kept; NULL: out of memory, it is as it was. */
brg_value *brg__value_resize(brg_value *value, size_t size_bytes);
/* Its memory only; objects are somebody's matter. Accepts NULL. */
void brg__value_free(brg_value *value);

/* The object of a view of that type; NULL where view or object are of another one. */
brg__object *brg__view_object(brg_view view, brg_type type);

/* Child `index`, which it has, of any container: a part of an error too. */
brg_view brg__view_child(brg_view view, size_t index);

/*
 * That each node's object is of its type, and arrays lie inside their buffers; for values that came from elsewhere,
 * once their objects are in their slots. BRG_MALFORMED. (Readers check it again: what fails here gives NULL and
 * BRG_WRONG_TYPE there.)
 */
brg_status brg__value_check_objects(const brg_value *value, brg_error *error);

/* Whether the value holds what can be taken only once: a port or a descriptor. */
bool brg__value_has_movables(const brg_value *value);

/* Bytes of a value that are copied on the way to another process, which regions are not: what message_bytes_max
 * limits. */
size_t brg__value_copied_bytes(const brg_value *value);

/* Whether nothing that can be taken only once was taken yet. Any thread. */
bool brg__value_is_whole(const brg_value *value);

/* Lets go of what a slot holds: unrefs, closes. Leaves it empty. */
void brg__object_drop(brg__object *object);

/*
 * A buffer of `size_bytes` bytes that are not set, on the heap. Errors: BRG_NO_MEMORY; BRG_TOO_LARGE above PTRDIFF_MAX.
 */
brg_status brg__buffer_allocate(brg_buffer **out, size_t size_bytes, brg_error *error);

/* One for the worker that is `viewer` in region.h, its content unspecified; 0: for anybody in this process. As
 * brg_buffer_create else. */
brg_status brg__buffer_create_for(brg_buffer **out, size_t size_bytes, uint64_t viewer, brg_error *error);

/* The region a buffer lies in, borrowed, and where; NULL for one on the heap. */
brg__region *brg__buffer_region(const brg_buffer *buffer, size_t *offset);

/* A buffer over bytes [offset, offset + size) of a region, which gets one more user. */
brg_status brg__buffer_from_region(brg_buffer **out, brg__region *region, size_t offset, size_t size, bool frozen,
                                   brg_error *error);

#endif
