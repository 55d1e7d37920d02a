/* SPDX-License-Identifier: MIT */
/* The objects behind the handles brg_value and brg_buffer. */
#ifndef BRG_MESSAGE_OBJECT_H
#define BRG_MESSAGE_OBJECT_H

#include <brigade/value.h>

#include "message/flat.h"

struct brg_value {
    uint32_t xrefs; /* holders; only ref and unref touch it */
    uint32_t buffer_count;
    size_t size_bytes;    /* of the block */
    brg_buffer **buffers; /* buffer_count of them, owned; NULL where there are none */
    _Alignas(8) unsigned char block[];
};

/* A value with room for a block of `size_bytes`, one reference, no buffers, the block unset. NULL: out of memory. */
brg_value *brg__value_allocate(size_t size_bytes);

/*
 * A buffer of `size_bytes` bytes that are not set. Errors: BRG_NO_MEMORY; BRG_TOO_LARGE above PTRDIFF_MAX.
 */
brg_status brg__buffer_allocate(brg_buffer **out, size_t size_bytes, brg_error *error);

#endif
