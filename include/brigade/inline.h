/* SPDX-License-Identifier: MIT */
/*
 * The short ways of reading a value and of building one, compiled into their caller. Part of <brigade/value.h>; each
 * does what the function of the library by that name does. That is still there, and is what callers without
 * optimisation, other compilers, pointers to functions, and who defines BRG_NO_INLINE get.
 *
 * They rely on this much of the layout, which is part of the ABI. A value's flat block begins BRG_INLINE_BLOCK bytes
 * after its address; offsets count from there. A node begins with 8 bytes: type (8 bits), extra (8), zero (16), count
 * (32). Numbers have their 8 bytes next, strings their bytes. Lists and sets have offsets of their children next, 32
 * bits each; maps first the offset of the table of their keys, which has offsets from its 8th byte on. Type
 * BRG_INLINE_REF: count is the offset of the node meant. Every block was built by the library or checked whole when it
 * came: these hold in it. A builder begins as brg__inline_builder.
 */
#ifndef BRIGADE_INLINE_H
#define BRIGADE_INLINE_H

#include <brigade/value.h>

#if defined(__GNUC__) && defined(__OPTIMIZE__) && defined(__BYTE_ORDER__) && !defined(BRG_NO_INLINE)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BRG_INLINE extern __inline __attribute__((__gnu_inline__, __always_inline__, __artificial__))
#endif
#endif

#define BRG_INLINE_BLOCK 32u
#define BRG_INLINE_REF 24u

/* `want` is BRG_INLINE_WANT_... where one of those may come next. A key node is of type BRG_INLINE_KEY, zero-padded. */
typedef struct brg__inline_builder {
    brg_value *value;
    uint32_t used;     /* bytes of the block */
    uint32_t capacity; /* of the block */
    uint32_t want;
    uint32_t want_after; /* the next value */
    uint32_t *children;  /* offsets of values that wait for their container */
    uint32_t child_count;
    uint32_t child_capacity;
    uint32_t next_key;  /* where in the block the offset of the key stands that is expected next, */
    uint32_t keys_left; /* where this is not 0 */
} brg__inline_builder;

#define BRG_INLINE_WANT_VALUE 0u
#define BRG_INLINE_WANT_KEY 1u
#define BRG_INLINE_KEY 25u

#ifdef BRG_INLINE

#ifdef __cplusplus
extern "C" {
#endif

BRG_INLINE const unsigned char *brg__inline_block(const brg_value *value)
{
    return (const unsigned char *)value + BRG_INLINE_BLOCK;
}

BRG_INLINE uint32_t brg__inline_u32(const unsigned char *at)
{
    uint32_t number;
    __builtin_memcpy(&number, at, sizeof(number));
    return number;
}

/* The first word of the view's node; 0 where there is none. */
BRG_INLINE uint64_t brg__inline_head(brg_view view)
{
    uint64_t head = 0;
    if (view.value != NULL)
        __builtin_memcpy(&head, brg__inline_block(view.value) + view.offset, sizeof(head));
    return head;
}

BRG_INLINE const unsigned char *brg__inline_content(brg_view view)
{
    return brg__inline_block(view.value) + view.offset + 8;
}

BRG_INLINE brg_view brg__inline_view(const brg_value *value, uint32_t offset, uint32_t depth)
{
    brg_view view;
    view.value = value;
    view.offset = offset;
    view.depth = depth;
    return view;
}

BRG_INLINE brg_view brg_value_root(const brg_value *value)
{
    if (value == NULL)
        return brg__inline_view(NULL, 0, 0);
    return brg__inline_view(value, brg__inline_u32(brg__inline_block(value) + 8), 1);
}

BRG_INLINE brg_type brg_view_type(brg_view view) { return (brg_type)(brg__inline_head(view) & 0xff); }

BRG_INLINE brg_status brg_view_bool(brg_view view, bool *out)
{
    uint64_t head = brg__inline_head(view);
    if ((head & 0xff) != BRG_TYPE_BOOL)
        return BRG_WRONG_TYPE;
    *out = (head >> 8 & 0xff) != 0;
    return BRG_OK;
}

/* The functions of the library, under names that are not in the way of these here. */
extern BRG_API brg_status brg__library_view_int(brg_view view, int64_t *out) __asm__("brg_view_int");
extern BRG_API brg_status brg__library_view_double(brg_view view, double *out) __asm__("brg_view_double");

BRG_INLINE brg_status brg_view_int(brg_view view, int64_t *out)
{
    if (brg__inline_head(view) != BRG_TYPE_INT)
        return brg__library_view_int(view, out);
    __builtin_memcpy(out, brg__inline_content(view), sizeof(*out));
    return BRG_OK;
}

BRG_INLINE brg_status brg_view_double(brg_view view, double *out)
{
    if (brg__inline_head(view) != BRG_TYPE_DOUBLE)
        return brg__library_view_double(view, out);
    __builtin_memcpy(out, brg__inline_content(view), sizeof(*out));
    return BRG_OK;
}

BRG_INLINE const char *brg_view_string(brg_view view, size_t *size_bytes)
{
    uint64_t head = brg__inline_head(view);
    if ((head & 0xff) != BRG_TYPE_STRING)
        return NULL;
    if (size_bytes != NULL)
        *size_bytes = (size_t)(head >> 32);
    return (const char *)brg__inline_content(view);
}

BRG_INLINE size_t brg_view_count(brg_view view)
{
    uint64_t head = brg__inline_head(view);
    uint32_t type = head & 0xff;
    return type == BRG_TYPE_LIST || type == BRG_TYPE_MAP || type == BRG_TYPE_SET ? (size_t)(head >> 32) : 0;
}

BRG_INLINE brg_view brg_view_at(brg_view view, size_t index)
{
    uint64_t head = brg__inline_head(view);
    uint32_t type = head & 0xff;
    if ((type != BRG_TYPE_LIST && type != BRG_TYPE_MAP && type != BRG_TYPE_SET) || index >= head >> 32)
        return brg__inline_view(NULL, 0, 0);
    const unsigned char *block = brg__inline_block(view.value);
    uint32_t offset = brg__inline_u32(block + view.offset + (type == BRG_TYPE_MAP ? 12 : 8) + index * 4);
    if (__builtin_expect(block[offset] == BRG_INLINE_REF, 0))
        offset = brg__inline_u32(block + offset + 4);
    return brg__inline_view(view.value, offset, view.depth + 1);
}

BRG_INLINE const char *brg_view_key_at(brg_view view, size_t index, size_t *size_bytes)
{
    uint64_t head = brg__inline_head(view);
    if ((head & 0xff) != BRG_TYPE_MAP || index >= head >> 32)
        return NULL;
    const unsigned char *block = brg__inline_block(view.value);
    const unsigned char *key = block +
                               brg__inline_u32(block + brg__inline_u32(brg__inline_content(view)) + 8 + index * 4);
    if (size_bytes != NULL)
        *size_bytes = brg__inline_u32(key + 4);
    return (const char *)key + 8;
}

/* ---- building ------------------------------------------------------------------------------------------ */

extern BRG_API void brg__library_builder_bool(brg_builder *builder, bool value) __asm__("brg_builder_bool");
extern BRG_API void brg__library_builder_int(brg_builder *builder, int64_t value) __asm__("brg_builder_int");
extern BRG_API void brg__library_builder_double(brg_builder *builder, double value) __asm__("brg_builder_double");
extern BRG_API void brg__library_builder_key(brg_builder *builder, const char *key) __asm__("brg_builder_key");

/* The place of the next value, a node of `size_bytes`, if one is wanted and there is room; else NULL. */
BRG_INLINE unsigned char *brg__inline_take(brg_builder *builder, uint32_t size_bytes)
{
    brg__inline_builder *head = (brg__inline_builder *)(void *)builder;
    uint32_t used = head->used, child = head->child_count;
    if (__builtin_expect(head->want != BRG_INLINE_WANT_VALUE || (uint64_t)used + size_bytes > head->capacity ||
                             child >= head->child_capacity,
                         0))
        return NULL;
    head->want = head->want_after;
    head->used = used + size_bytes;
    head->child_count = child + 1;
    head->children[child] = used;
    return (unsigned char *)head->value + BRG_INLINE_BLOCK + used;
}

BRG_INLINE void brg__inline_put(unsigned char *at, uint64_t word) { __builtin_memcpy(at, &word, sizeof(word)); }

BRG_INLINE void brg_builder_bool(brg_builder *builder, bool value)
{
    unsigned char *at = brg__inline_take(builder, 8);
    if (at != NULL)
        brg__inline_put(at, BRG_TYPE_BOOL | (uint64_t)value << 8);
    else
        brg__library_builder_bool(builder, value);
}

BRG_INLINE void brg_builder_int(brg_builder *builder, int64_t value)
{
    unsigned char *at = brg__inline_take(builder, 16);
    if (at != NULL) {
        brg__inline_put(at, BRG_TYPE_INT);
        brg__inline_put(at + 8, (uint64_t)value);
    } else {
        brg__library_builder_int(builder, value);
    }
}

BRG_INLINE void brg_builder_double(brg_builder *builder, double value)
{
    unsigned char *at = brg__inline_take(builder, 16);
    if (at != NULL) {
        brg__inline_put(at, BRG_TYPE_DOUBLE);
        __builtin_memcpy(at + 8, &value, sizeof(value));
    } else {
        brg__library_builder_double(builder, value);
    }
}

/* Whether the expected key is this one of `size_bytes` bytes, a number known at compile time; the zero at its end is
 * compared too, as that makes whole words of many. */
BRG_INLINE bool brg__inline_is_key(const unsigned char *node, const char *key, size_t size_bytes)
{
    uint64_t head;
    __builtin_memcpy(&head, node, sizeof(head));
    return head == (BRG_INLINE_KEY | (uint64_t)size_bytes << 32) &&
           __builtin_memcmp(node + 8, key, size_bytes + 1) == 0;
}

/* Keys of a length known at compile time, as literals are, which the map before had as well. */
BRG_INLINE void brg_builder_key(brg_builder *builder, const char *key)
{
    brg__inline_builder *head = (brg__inline_builder *)(void *)builder;
    if (key != NULL && __builtin_constant_p(__builtin_strlen(key)) && __builtin_strlen(key) <= 32 &&
        head->keys_left > 0 && head->want == BRG_INLINE_WANT_KEY) {
        const unsigned char *block = brg__inline_block(head->value);
        if (brg__inline_is_key(block + brg__inline_u32(block + head->next_key), key, __builtin_strlen(key))) {
            head->next_key += 4;
            head->keys_left--;
            head->want = BRG_INLINE_WANT_VALUE;
            return;
        }
    }
    brg__library_builder_key(builder, key);
}

#ifdef __cplusplus
}
#endif

#endif
#endif
