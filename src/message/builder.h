/* SPDX-License-Identifier: MIT */
/* The builder's insides: for builder.c, graft.c and those who keep one on their stack. */
#ifndef BRG_MESSAGE_BUILDER_H
#define BRG_MESSAGE_BUILDER_H

#include <brigade/value.h>

/* What may come next. */
typedef enum brg__builder_want {
    BRG__WANT_VALUE,
    BRG__WANT_KEY,
    BRG__WANT_NOTHING, /* the root is there */
    BRG__WANT_FAILED   /* failure.status is set: so that appending has just `want` to look at */
} brg__builder_want;

typedef struct brg__builder_frame {
    uint32_t first; /* index in `children` of the open container's first child */
    uint8_t type;
    uint8_t height; /* of its highest child so far */
} brg__builder_frame;

struct brg_builder {
    brg_value *value;        /* the block grows in here; NULL until there is a node */
    uint32_t used;           /* bytes of the block, header included */
    uint32_t capacity;       /* 0 without a value */
    uint32_t first_capacity; /* of the next value: about the size of the last one */
    brg__builder_want want;
    brg__builder_want want_after; /* want, once the value it wants is there */
    uint32_t depth;               /* open containers */
    uint32_t *children;           /* nodes whose container is still open, by offset */
    uint32_t child_count;
    uint32_t child_capacity;
    brg_buffer **buffers;
    uint32_t buffer_count;
    uint32_t buffer_capacity;
    brg_error failure; /* the first one; status BRG_OK while there is none, the rest then unset */
    brg__builder_frame frames[BRG_VALUE_DEPTH_MAX];
};

void brg__builder_init(brg_builder *builder);
void brg__builder_done(brg_builder *builder);

/* Makes `status` stick unless an earlier failure did; want becomes BRG__WANT_FAILED. */
void brg__builder_fail(brg_builder *builder, brg_status status, const char *format, ...) BRG_PRINTF(3, 4);

/*
 * Room for `size` bytes of nodes (a multiple of 8) where one value is due, the last of them its root at `root` bytes
 * in: that one becomes the next child. NULL, with a failure stuck, where that cannot be.
 */
unsigned char *brg__builder_append(brg_builder *builder, uint64_t size, uint32_t root);

/* Takes a reference of the caller's over; its index. On failure, which sticks, the reference stays the caller's. */
bool brg__builder_add_buffer(brg_builder *builder, brg_buffer *buffer, uint32_t *index);

/* Raises the height of the innermost open container to hold a child of `height`. */
void brg__builder_raise(brg_builder *builder, uint8_t height);

#endif
