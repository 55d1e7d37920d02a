/* SPDX-License-Identifier: MIT */
/* The builder's insides: for builder*.c, and those who keep one on their stack. */
#ifndef BRG_MESSAGE_BUILDER_H
#define BRG_MESSAGE_BUILDER_H

#include <brigade/value.h>

#include "base/util.h"
#include "message/object.h"

/* What may come next. */
typedef enum brg__builder_want {
    BRG__WANT_VALUE,
    BRG__WANT_KEY,
    BRG__WANT_NOTHING, /* the root is there */
    BRG__WANT_FAILED   /* failure.status is set: so that appending has just `want` to look at */
} brg__builder_want;

typedef struct brg__builder_frame {
    uint32_t first;      /* index in `children` of the open container's first child */
    uint32_t key_first;  /* index in `keys` of its first key that was written */
    uint32_t key_count;  /* keys so far, where they are written */
    uint32_t keys_node;  /* the keys node that all of them agree with; 0: they are written */
    uint32_t keys_count; /* of that node */
    uint32_t keys_left;  /* of those, while this is not the innermost container: then the builder has it */
    uint32_t mark;       /* one more than the number of its mark; 0: none */
    uint32_t ref_first;  /* refs to it are in `open_refs` from here on */
    uint8_t type;
    uint8_t height; /* of its highest child so far */
} brg__builder_frame;

/* Offsets of nodes that wait for their container. */
typedef struct brg__offsets {
    uint32_t *at;
    uint32_t count;
    uint32_t capacity;
} brg__offsets;

#define BRG__MARK_OPEN UINT32_MAX

typedef struct brg__builder_ref {
    uint32_t offset; /* of the ref, or of the node of a transfer */
    uint32_t number; /* of the mark, or of the entry */
} brg__builder_ref;

#define BRG__BUILDER_SHAPES 16

struct brg_builder {
    /* These are brg__inline_builder. */
    brg_value *value;  /* the block grows in here; NULL until there is a node */
    uint32_t used;     /* bytes of the block, header included */
    uint32_t capacity; /* 0 without a value */
    brg__builder_want want;
    brg__builder_want want_after; /* want, once the value it wants is there */
    brg__offsets children;
    uint32_t next_key;  /* where in the block the offset of the key stands that is expected next */
    uint32_t keys_left; /* how many keys are expected from there on; 0: none */

    uint32_t first_capacity; /* of the next value: about the size of the last one */
    uint32_t depth;          /* open containers */
    brg__offsets keys;
    uint32_t shapes[BRG__BUILDER_SHAPES]; /* keys nodes, by the hash of their first key; 0: none */
    brg__object *objects;
    uint32_t object_count;
    uint32_t object_capacity;
    uint32_t *object_slots; /* once there are many: a hash table of their indices, plus 1 */
    uint32_t object_slot_count;
    uint64_t sets_spent; /* brg__set_check */
    brg__offsets marks;  /* offset of the marked node, or BRG__MARK_OPEN */
    uint32_t generation;
    bool has_refs;
    bool has_zero_keys;          /* a zero byte is in some key: strcmp does not tell such keys apart */
    brg__builder_ref *open_refs; /* refs to containers that are open, in order */
    uint32_t open_ref_count;
    uint32_t open_ref_capacity;
    brg__builder_ref *transfers; /* nodes that stand for entries of a transfer list */
    uint32_t transfer_count;
    uint32_t transfer_capacity;
    brg_error failure; /* the first one; status BRG_OK while there is none, the rest then unset */
    brg__builder_frame frames[BRG_VALUE_DEPTH_MAX];
};

_Static_assert(offsetof(brg_builder, used) == offsetof(brg__inline_builder, used) &&
                   offsetof(brg_builder, capacity) == offsetof(brg__inline_builder, capacity) &&
                   offsetof(brg_builder, want) == offsetof(brg__inline_builder, want) &&
                   offsetof(brg_builder, want_after) == offsetof(brg__inline_builder, want_after) &&
                   offsetof(brg_builder, children) == offsetof(brg__inline_builder, children) &&
                   offsetof(brg_builder, children.count) == offsetof(brg__inline_builder, child_count) &&
                   offsetof(brg_builder, children.capacity) == offsetof(brg__inline_builder, child_capacity) &&
                   offsetof(brg_builder, next_key) == offsetof(brg__inline_builder, next_key) &&
                   offsetof(brg_builder, keys_left) == offsetof(brg__inline_builder, keys_left) &&
                   sizeof(brg__builder_want) == sizeof(uint32_t) && BRG__WANT_VALUE == 0 && BRG__WANT_KEY == 1,
               "part of the ABI");

void brg__builder_init(brg_builder *builder);
void brg__builder_done(brg_builder *builder);

/* Makes `status` stick unless an earlier failure did; want becomes BRG__WANT_FAILED. */
void brg__builder_fail(brg_builder *builder, brg_status status, const char *format, ...) BRG_PRINTF(3, 4);
void brg__builder_fail_memory(brg_builder *builder);

/* Makes room for `size` bytes and one child where `offered` is wanted; else a failure sticks. */
bool brg__builder_prepare(brg_builder *builder, brg__builder_want offered, uint64_t size);
bool brg__builder_grow_block(brg_builder *builder, uint64_t size);
bool brg__offsets_push(brg_builder *builder, brg__offsets *offsets, uint32_t offset);
bool brg__refs_push(brg_builder *builder, brg__builder_ref **refs, uint32_t *count, uint32_t *capacity,
                    brg__builder_ref ref);

/*
 * Takes an object of the caller's over, or, if the builder holds the same one already, the reference to it; its index.
 * On failure, which sticks, it stays the caller's. Ports and descriptors fail where the builder holds them.
 */
bool brg__builder_add_object(brg_builder *builder, brg_type type, void *pointer, int fd, uint32_t *index);
/* Whether the builder holds this object; its index. O(1). */
bool brg__builder_find_object(const brg_builder *builder, brg_type type, const void *pointer, int fd, uint32_t *index);
/* The same as brg__builder_add_object, and a node for it where one value is due. */
bool brg__builder_put_object(brg_builder *builder, brg_type type, void *pointer, int fd);

/* Whether a handle can go into a value; else *why. */
brg_status brg__handle_check(brg_type type, const void *pointer, int fd, const char **why);

/* Opens a container. */
void brg__builder_open(brg_builder *builder, brg_type type);

/* Raises the height of the innermost open container to hold a child of `height`; fails where it is too deep. */
bool brg__builder_raise(brg_builder *builder, uint8_t height);

/* builder_keys.c: one key; and the offset of the keys node of the innermost map, 0 with a failure stuck or without
 * keys. */
void brg__builder_add_key(brg_builder *builder, const char *key, size_t size_bytes);
uint32_t brg__builder_close_keys(brg_builder *builder, brg__builder_frame *frame);

/* The innermost open container's keys go on, where they were when one was opened in it. */
static inline void brg__builder_resume_keys(brg_builder *builder)
{
    if (builder->depth == 0)
        return;
    const brg__builder_frame *frame = &builder->frames[builder->depth - 1];
    builder->keys_left = frame->keys_left;
    builder->next_key = frame->keys_node + BRG__HEAD_BYTES +
                        (frame->keys_count - frame->keys_left) * (uint32_t)sizeof(uint32_t);
}

/* builder_refs.c: a mark on the innermost container, which is open, or on the last child. */
brg_mark brg__builder_mark(brg_builder *builder, bool is_open);
/* The container of `frame` now stands at `offset`. */
void brg__builder_close_mark(brg_builder *builder, const brg__builder_frame *frame, uint32_t offset);

/* The finished value, transfers apart: as brg_builder_finish. */
brg_status brg__builder_finish(brg_builder *builder, brg_value **out, brg_error *error);

static inline bool brg__builder_is_ready(const brg_builder *builder, brg__builder_want offered, uint64_t size)
{
    return BRG__LIKELY(builder->want == offered && builder->used + size <= builder->capacity &&
                       builder->children.count < builder->children.capacity);
}

/* A ready builder's next `size` bytes, a value. Through locals, since for the compiler each store might change the
 * fields. */
static inline unsigned char *brg__builder_take(brg_builder *builder, uint64_t size)
{
    uint32_t used = builder->used, child = builder->children.count;
    unsigned char *block = builder->value->block;
    builder->want = builder->want_after;
    builder->used = used + (uint32_t)size;
    builder->children.count = child + 1;
    builder->children.at[child] = used;
    return block + used;
}

/* Room for a node of `size` bytes (a multiple of 8) where one value is due: it becomes the next child. NULL: failed. */
static inline unsigned char *brg__builder_append(brg_builder *builder, uint64_t size)
{
    if (!brg__builder_is_ready(builder, BRG__WANT_VALUE, size) && !brg__builder_prepare(builder, BRG__WANT_VALUE, size))
        return NULL;
    return brg__builder_take(builder, size);
}

static inline void brg__builder_put(unsigned char *at, uint8_t type, uint8_t extra, uint32_t count)
{
    brg__head node = {type, extra, 0, count};
    memcpy(at, &node, sizeof(node));
}

static inline void brg__builder_put_u64(unsigned char *at, uint64_t number) { memcpy(at, &number, sizeof(number)); }

#endif
