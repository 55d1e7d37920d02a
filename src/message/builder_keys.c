/* SPDX-License-Identifier: MIT */
/*
 * Keys of maps. A map whose keys are those of an earlier map, in the same order, names that one's keys node: nothing is
 * written but its values. Which one it will be is guessed at the first key, from a small table of keys nodes by the
 * hash of their first key (hidden classes: Chambers, Ungar and Lee, 1989). Where a later key differs, those that
 * agreed are written after all, and the map gets a node of its own.
 */
#define BRG_NO_INLINE /* here are the functions that brigade/inline.h has short ways of */

#include "message/builder.h"
#include "message/keys.h"
#include "message/utf8.h"

static inline uint32_t keys_slot(uint64_t first, size_t size)
{
    return (uint32_t)(((first ^ size) * UINT64_C(0x9e3779b97f4a7c15)) >> 60);
}

_Static_assert(BRG__BUILDER_SHAPES == 16, "keys_slot gives 4 bits");

static inline uint64_t keys_first_word(const char *key, size_t size)
{
    uint64_t word;
    if (size < sizeof(word))
        return brg__utf8_short(key, size);
    memcpy(&word, key, sizeof(word));
    return word;
}

/* Whether the key node at `node` holds these bytes, whose first word is `first`. */
static inline bool keys_match(const unsigned char *node, const char *key, size_t size, uint64_t first)
{
    if (brg__flat_u64(node, 0) != (BRG__TAG_KEY | (uint64_t)size << 32) || brg__flat_u64(node, 8) != first)
        return false;
    if (size <= 8)
        return true;
    if (size < 16)
        return brg__flat_u64(node, 16) == brg__utf8_short(key + 8, size - 8);
    return memcmp(node + 16, key + 8, size - 8) == 0;
}

static bool keys_write(brg_builder *builder, const char *key, size_t size_bytes)
{
    uint64_t size = brg__align_up(BRG__HEAD_BYTES + size_bytes + 1, 8);
    if (builder->used + size > builder->capacity && !brg__builder_grow_block(builder, size))
        return false;
    if (!brg__offsets_push(builder, &builder->keys, builder->used))
        return false;
    unsigned char *at = builder->value->block + builder->used;
    brg__builder_put_u64(at + size - sizeof(uint64_t), 0);
    brg__builder_put(at, BRG__TAG_KEY, 0, (uint32_t)size_bytes);
    if (size_bytes > 0)
        memcpy(at + BRG__HEAD_BYTES, key, size_bytes);
    builder->used += (uint32_t)size;
    return true;
}

/* Writes the keys that the frame has in common with its guess, which was wrong. */
static bool keys_part(brg_builder *builder, brg__builder_frame *frame)
{
    uint32_t from = frame->keys_node;
    frame->key_count = frame->keys_count - builder->keys_left;
    frame->keys_node = 0;
    builder->keys_left = 0;
    for (uint32_t i = 0; i < frame->key_count; i++) {
        uint32_t key = brg__flat_u32(builder->value->block, from + BRG__HEAD_BYTES + (size_t)i * sizeof(uint32_t));
        uint64_t size = brg__head_size(brg__flat_head(builder->value->block, key));
        if (builder->used + size > builder->capacity && !brg__builder_grow_block(builder, size))
            return false;
        if (!brg__offsets_push(builder, &builder->keys, builder->used))
            return false;
        memcpy(builder->value->block + builder->used, builder->value->block + key, size);
        builder->used += (uint32_t)size;
    }
    return true;
}

static __attribute__((noinline)) void keys_add_new(brg_builder *builder, brg__builder_frame *frame, const char *key,
                                                   size_t size_bytes)
{
    if (size_bytes > BRG_VALUE_BYTES_MAX) {
        brg__builder_fail(builder, BRG_TOO_LARGE, "a key of %zu bytes does not fit into a value", size_bytes);
        return;
    }
    if (!brg__utf8_check(key, size_bytes)) {
        brg__builder_fail(builder, BRG_INVALID, "a key is not UTF-8");
        return;
    }
    if ((frame->keys_node != 0 && !keys_part(builder, frame)) || !keys_write(builder, key, size_bytes))
        return;
    builder->has_zero_keys = builder->has_zero_keys || (size_bytes > 0 && memchr(key, 0, size_bytes) != NULL);
    frame->key_count++;
    builder->want = BRG__WANT_VALUE;
}

static inline void keys_take(brg_builder *builder)
{
    builder->next_key += (uint32_t)sizeof(uint32_t);
    builder->keys_left--;
    builder->want = BRG__WANT_VALUE;
}

/* The key node that the innermost map, whose keys are guessed, would have next. */
static inline const unsigned char *keys_guess(const brg_builder *builder)
{
    return builder->value->block + brg__flat_u32(builder->value->block, builder->next_key);
}

void brg__builder_add_key(brg_builder *builder, const char *key, size_t size_bytes)
{
    if (BRG__UNLIKELY(builder->want != BRG__WANT_KEY)) {
        brg__builder_prepare(builder, BRG__WANT_KEY, 0); /* which says why not */
        return;
    }
    brg__builder_frame *frame = &builder->frames[builder->depth - 1];
    uint64_t first = keys_first_word(key, size_bytes);
    if (frame->key_count == 0 && frame->keys_node == 0) {
        frame->keys_node = builder->shapes[keys_slot(first, size_bytes)];
        if (frame->keys_node != 0) {
            frame->keys_count = brg__flat_head(builder->value->block, frame->keys_node).count;
            builder->keys_left = frame->keys_count;
            builder->next_key = frame->keys_node + BRG__HEAD_BYTES;
        }
    }
    if (builder->keys_left > 0 && BRG__LIKELY(keys_match(keys_guess(builder), key, size_bytes, first)))
        keys_take(builder);
    else
        keys_add_new(builder, frame, key, size_bytes);
}

void brg_builder_key_n(brg_builder *builder, const char *key, size_t size_bytes)
{
    brg__builder_add_key(builder, key, size_bytes);
}

/* Mostly it is the guessed one: then its length need not be known. */
void brg_builder_key(brg_builder *builder, const char *key)
{
    if (BRG__UNLIKELY(key == NULL))
        brg__builder_fail(builder, BRG_INVALID, "a key is NULL");
    else if (BRG__LIKELY(builder->want == BRG__WANT_KEY && builder->keys_left > 0 && !builder->has_zero_keys) &&
             BRG__LIKELY(strcmp(key, (const char *)keys_guess(builder) + BRG__HEAD_BYTES) == 0))
        keys_take(builder);
    else
        brg__builder_add_key(builder, key, strlen(key));
}

static void keys_check(brg_builder *builder, const uint32_t *keys, uint32_t count)
{
    uint32_t repeated;
    const unsigned char *block = builder->value->block;
    brg_status status = brg__keys_check(block, (const unsigned char *)keys, count, &repeated);
    if (status == BRG_NO_MEMORY)
        brg__builder_fail_memory(builder);
    else if (status != BRG_OK)
        brg__builder_fail(builder, BRG_INVALID, "a map has the key \"%s\" twice",
                          (const char *)block + keys[repeated] + BRG__HEAD_BYTES);
}

uint32_t brg__builder_close_keys(brg_builder *builder, brg__builder_frame *frame)
{
    if (frame->keys_node != 0) {
        if (builder->keys_left == 0)
            return frame->keys_node;
        if (!keys_part(builder, frame))
            return 0;
    }
    uint32_t count = frame->key_count;
    uint64_t size = brg__align_up(BRG__HEAD_BYTES + (uint64_t)count * sizeof(uint32_t), 8);
    if (builder->used + size > builder->capacity && !brg__builder_grow_block(builder, size))
        return 0;
    const uint32_t *keys = builder->keys.at + frame->key_first;
    keys_check(builder, keys, count);
    if (builder->failure.status != BRG_OK)
        return 0;
    uint32_t offset = builder->used;
    unsigned char *at = builder->value->block + offset;
    brg__builder_put_u64(at + size - sizeof(uint64_t), 0);
    brg__builder_put(at, BRG__TAG_KEYS, 0, count);
    memcpy(at + BRG__HEAD_BYTES, keys, (size_t)count * sizeof(*keys));
    const unsigned char *first = builder->value->block + keys[0];
    builder->shapes[keys_slot(brg__flat_u64(first, 8), brg__flat_head(first, 0).count)] = offset;
    builder->used += (uint32_t)size;
    builder->keys.count = frame->key_first;
    return offset;
}
