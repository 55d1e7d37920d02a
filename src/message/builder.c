/* SPDX-License-Identifier: MIT */
/*
 * The builder writes nodes where they will stay: into the block of the value that brg_builder_finish hands out.
 * A leaf goes to the block's end and its offset on the stack `children`. brg_builder_end takes the open
 * container's children off that stack, which in a map are key, value, key, value: just its table of offsets, and
 * puts the container itself there. So nodes come out in the post-order that flat.h asks for, and nothing is moved.
 *
 * After a failure `failure.status` is set, nothing is wanted and every call returns at once; brg_builder_finish
 * reports and clears it. The paths that appending takes when all is well call nothing, so that they need no stack.
 */
#include "message/builder.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/util.h"
#include "message/keys.h"
#include "message/object.h"
#include "message/utf8.h"
#include "os/memory.h"

#define BUILDER_FIRST_BYTES 512u
#define BUILDER_KEPT_BYTES (1u << 20) /* most that an idle builder keeps or foresees */

void brg__builder_init(brg_builder *builder)
{
    memset(builder, 0, offsetof(brg_builder, failure));
    builder->failure.status = BRG_OK;
    builder->used = BRG__FLAT_FIRST;
    builder->first_capacity = BUILDER_FIRST_BYTES;
    builder->want_after = BRG__WANT_NOTHING;
}

/* Ready for the next value, whatever became of the last. */
static void builder_reset(brg_builder *builder)
{
    for (uint32_t i = 0; i < builder->buffer_count; i++)
        brg_buffer_unref(builder->buffers[i]);
    brg__mfree(builder->buffers);
    brg__mfree(builder->value);
    if (builder->child_capacity > BUILDER_KEPT_BYTES / sizeof(*builder->children)) {
        brg__mfree(builder->children);
        builder->children = NULL;
        builder->child_capacity = 0;
    }
    builder->value = NULL;
    builder->capacity = 0;
    builder->used = BRG__FLAT_FIRST;
    builder->buffers = NULL;
    builder->buffer_count = 0;
    builder->buffer_capacity = 0;
    builder->child_count = 0;
    builder->depth = 0;
    builder->want = BRG__WANT_VALUE;
    builder->want_after = BRG__WANT_NOTHING;
    builder->failure.status = BRG_OK;
}

void brg__builder_done(brg_builder *builder)
{
    builder_reset(builder);
    brg__mfree(builder->children);
}

brg_status brg_builder_create(brg_builder **out, brg_error *error)
{
    brg_builder *builder = brg__malloc(sizeof(*builder));
    if (builder == NULL)
        return brg__error_memory(error, "creating a builder");
    brg__builder_init(builder);
    *out = builder;
    return BRG_OK;
}

void brg_builder_destroy(brg_builder *builder)
{
    if (builder == NULL)
        return;
    brg__builder_done(builder);
    brg__mfree(builder);
}

void brg__builder_fail(brg_builder *builder, brg_status status, const char *format, ...)
{
    char message[sizeof(builder->failure.message)];
    if (builder->failure.status != BRG_OK)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    brg_error_set(&builder->failure, status, "value", "%s", message);
    builder->want = BRG__WANT_FAILED;
}

static void builder_fail_memory(brg_builder *builder)
{
    if (builder->failure.status == BRG_OK)
        brg__error_memory(&builder->failure, "building a value");
    builder->want = BRG__WANT_FAILED;
}

static bool builder_grow_block(brg_builder *builder, uint64_t size)
{
    uint64_t wanted = builder->used + size;
    if (wanted > BRG_VALUE_BYTES_MAX) {
        brg__builder_fail(builder, BRG_TOO_LARGE, "a value takes at most %zu bytes; big data belongs into buffers",
                          BRG_VALUE_BYTES_MAX);
        return false;
    }
    uint64_t capacity = brg__max(brg__max(wanted, (uint64_t)builder->capacity * 2), builder->first_capacity);
    capacity = brg__min(capacity, BRG_VALUE_BYTES_MAX);
    brg_value *value;
    if (builder->value == NULL)
        value = brg__value_allocate(capacity);
    else
        value = brg__realloc(builder->value, sizeof(*value) + capacity);
    if (value == NULL) {
        builder_fail_memory(builder);
        return false;
    }
    builder->value = value;
    builder->capacity = (uint32_t)capacity;
    return true;
}

static bool builder_grow_children(brg_builder *builder)
{
    uint32_t capacity = builder->child_capacity == 0 ? 64 : builder->child_capacity * 2;
    uint32_t *children = brg__realloc(builder->children, (size_t)capacity * sizeof(*children));
    if (children == NULL) {
        builder_fail_memory(builder);
        return false;
    }
    builder->children = children;
    builder->child_capacity = capacity;
    return true;
}

/* Says why what the caller does is not what the builder wants. */
static void builder_refuse(brg_builder *builder)
{
    if (builder->want == BRG__WANT_NOTHING)
        brg__builder_fail(builder, BRG_STATE, "the value already has its root; only one fits");
    else if (builder->want == BRG__WANT_KEY)
        brg__builder_fail(builder, BRG_STATE, "a value in a map needs brg_builder_key before it");
    else if (builder->want == BRG__WANT_VALUE)
        brg__builder_fail(builder, BRG_STATE, "a key is due only in a map, once before each value");
}

static inline bool builder_is_ready(const brg_builder *builder, brg__builder_want offered, uint64_t size)
{
    return BRG__LIKELY(builder->want == offered && builder->used + size <= builder->capacity &&
                       builder->child_count < builder->child_capacity);
}

/* Makes it so, or a failure stick. */
static __attribute__((noinline)) bool builder_prepare(brg_builder *builder, brg__builder_want offered, uint64_t size)
{
    if (builder->want != offered) {
        builder_refuse(builder);
        return false;
    }
    return (builder->used + size <= builder->capacity || builder_grow_block(builder, size)) &&
           (builder->child_count < builder->child_capacity || builder_grow_children(builder));
}

/* A ready builder's next `size` bytes. Through locals, since for the compiler each store might change the fields. */
static inline unsigned char *builder_take(brg_builder *builder, brg__builder_want offered, uint64_t size, uint32_t root)
{
    uint32_t used = builder->used, child = builder->child_count;
    unsigned char *block = builder->value->block;
    builder->want = offered == BRG__WANT_KEY ? BRG__WANT_VALUE : builder->want_after;
    builder->used = used + (uint32_t)size;
    builder->child_count = child + 1;
    builder->children[child] = used + root;
    return block + used;
}

static inline unsigned char *builder_append(brg_builder *builder, brg__builder_want offered, uint64_t size,
                                            uint32_t root)
{
    if (!builder_is_ready(builder, offered, size) && !builder_prepare(builder, offered, size))
        return NULL;
    return builder_take(builder, offered, size, root);
}

unsigned char *brg__builder_append(brg_builder *builder, uint64_t size, uint32_t root)
{
    return builder_append(builder, BRG__WANT_VALUE, size, root);
}

static inline void builder_put(unsigned char *at, brg_type type, uint8_t extra, uint32_t count)
{
    brg__node node = {(uint8_t)type, extra, 0, count};
    memcpy(at, &node, sizeof(node));
}

static inline void builder_put_u64(unsigned char *at, uint64_t number) { memcpy(at, &number, sizeof(number)); }

void brg_builder_nil(brg_builder *builder)
{
    unsigned char *at = builder_append(builder, BRG__WANT_VALUE, BRG__NODE_BYTES, 0);
    if (at != NULL)
        builder_put(at, BRG_TYPE_NIL, 0, 0);
}

void brg_builder_bool(brg_builder *builder, bool value)
{
    unsigned char *at = builder_append(builder, BRG__WANT_VALUE, BRG__NODE_BYTES, 0);
    if (at != NULL)
        builder_put(at, BRG_TYPE_BOOL, value, 0);
}

static inline void builder_put_number(brg_builder *builder, brg_type type, uint64_t bits)
{
    unsigned char *at = builder_take(builder, BRG__WANT_VALUE, BRG__NODE_BYTES + sizeof(bits), 0);
    builder_put(at, type, 0, 0);
    builder_put_u64(at + BRG__NODE_BYTES, bits);
}

static __attribute__((noinline)) void builder_add_number_slowly(brg_builder *builder, brg_type type, uint64_t bits)
{
    if (builder_prepare(builder, BRG__WANT_VALUE, BRG__NODE_BYTES + sizeof(bits)))
        builder_put_number(builder, type, bits);
}

static inline void builder_add_number(brg_builder *builder, brg_type type, uint64_t bits)
{
    if (builder_is_ready(builder, BRG__WANT_VALUE, BRG__NODE_BYTES + sizeof(bits)))
        builder_put_number(builder, type, bits);
    else
        builder_add_number_slowly(builder, type, bits);
}

void brg_builder_int(brg_builder *builder, int64_t value)
{
    builder_add_number(builder, BRG_TYPE_INT, (uint64_t)value);
}

void brg_builder_uint(brg_builder *builder, uint64_t value)
{
    builder_add_number(builder, value <= INT64_MAX ? BRG_TYPE_INT : BRG_TYPE_UINT, value);
}

void brg_builder_double(brg_builder *builder, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    builder_add_number(builder, BRG_TYPE_DOUBLE, bits);
}

/* The last word is zeroed first: it holds the padding, and of a string the zero at its end. */
static __attribute__((noinline)) void builder_add_content(brg_builder *builder, brg__builder_want offered,
                                                          brg_type type, const void *bytes, size_t size_bytes)
{
    if (size_bytes > BRG_VALUE_BYTES_MAX) {
        brg__builder_fail(builder, BRG_TOO_LARGE, "%zu bytes do not fit into a value; put them into a buffer",
                          size_bytes);
        return;
    }
    if (type == BRG_TYPE_STRING && !brg__utf8_check(bytes, size_bytes)) {
        brg__builder_fail(builder, BRG_INVALID, "a %s is not UTF-8; brg_builder_bytes takes any bytes",
                          offered == BRG__WANT_KEY ? "key" : "string");
        return;
    }
    uint64_t size = brg__align_up(BRG__NODE_BYTES + size_bytes + (type == BRG_TYPE_STRING), 8);
    unsigned char *at = builder_append(builder, offered, size, 0);
    if (at == NULL)
        return;
    builder_put_u64(at + size - sizeof(uint64_t), 0);
    builder_put(at, type, 0, (uint32_t)size_bytes); /* empty bytes are this word only: after the zero */
    if (size_bytes > 0)
        memcpy(at + BRG__NODE_BYTES, bytes, size_bytes);
}

/* Most keys and many strings are ASCII of less than 16 bytes: those are checked and copied in registers. */
static inline void builder_add_string(brg_builder *builder, brg__builder_want offered, const char *string, size_t size)
{
    uint64_t first, second = 0;
    bool is_long = size >= sizeof(first);
    if (!is_long) {
        first = brg__utf8_short(string, size);
    } else if (BRG__LIKELY(size < 2 * sizeof(first))) {
        memcpy(&first, string, sizeof(first));
        second = brg__utf8_short(string + sizeof(first), size - sizeof(first));
    } else {
        builder_add_content(builder, offered, BRG_TYPE_STRING, string, size);
        return;
    }
    uint64_t node_size = BRG__NODE_BYTES + sizeof(first) + (is_long ? sizeof(second) : 0);
    if (BRG__UNLIKELY(((first | second) & BRG__UTF8_HIGH_BITS) != 0 ||
                      !builder_is_ready(builder, offered, node_size))) {
        builder_add_content(builder, offered, BRG_TYPE_STRING, string, size);
        return;
    }
    unsigned char *at = builder_take(builder, offered, node_size, 0);
    builder_put(at, BRG_TYPE_STRING, 0, (uint32_t)size);
    builder_put_u64(at + BRG__NODE_BYTES, first);
    if (is_long)
        builder_put_u64(at + BRG__NODE_BYTES + sizeof(first), second);
}

void brg_builder_string_n(brg_builder *builder, const char *string, size_t size_bytes)
{
    builder_add_string(builder, BRG__WANT_VALUE, string, size_bytes);
}

void brg_builder_string(brg_builder *builder, const char *string)
{
    if (string == NULL)
        brg__builder_fail(builder, BRG_INVALID, "a string is NULL; brg_builder_nil stores nothing");
    else
        builder_add_string(builder, BRG__WANT_VALUE, string, strlen(string));
}

void brg_builder_bytes(brg_builder *builder, const void *bytes, size_t size_bytes)
{
    builder_add_content(builder, BRG__WANT_VALUE, BRG_TYPE_BYTES, bytes, size_bytes);
}

void brg_builder_key_n(brg_builder *builder, const char *key, size_t size_bytes)
{
    builder_add_string(builder, BRG__WANT_KEY, key, size_bytes);
}

void brg_builder_key(brg_builder *builder, const char *key)
{
    if (key == NULL)
        brg__builder_fail(builder, BRG_INVALID, "a key is NULL");
    else
        builder_add_string(builder, BRG__WANT_KEY, key, strlen(key));
}

bool brg__builder_add_buffer(brg_builder *builder, brg_buffer *buffer, uint32_t *index)
{
    if (builder->buffer_count == builder->buffer_capacity) {
        uint32_t capacity = builder->buffer_capacity == 0 ? 4 : builder->buffer_capacity * 2;
        brg_buffer **buffers = brg__realloc(builder->buffers, (size_t)capacity * sizeof(*buffers));
        if (buffers == NULL) {
            builder_fail_memory(builder);
            return false;
        }
        builder->buffers = buffers;
        builder->buffer_capacity = capacity;
    }
    *index = builder->buffer_count;
    builder->buffers[builder->buffer_count++] = buffer;
    return true;
}

void brg_builder_buffer(brg_builder *builder, brg_buffer **buffer)
{
    if (buffer == NULL || *buffer == NULL) {
        brg__builder_fail(builder, BRG_INVALID, "a buffer is NULL, perhaps since it moved away before");
        return;
    }
    unsigned char *at = builder_append(builder, BRG__WANT_VALUE, BRG__NODE_BYTES, 0);
    uint32_t index;
    if (at == NULL || !brg__builder_add_buffer(builder, *buffer, &index))
        return;
    builder_put(at, BRG_TYPE_BUFFER, 0, index);
    *buffer = NULL;
}

static void builder_open(brg_builder *builder, brg_type type)
{
    if (builder->want != BRG__WANT_VALUE) {
        builder_refuse(builder);
        return;
    }
    if (builder->depth == BRG_VALUE_DEPTH_MAX) {
        brg__builder_fail(builder, BRG_TOO_LARGE, "lists and maps nest at most %d deep", BRG_VALUE_DEPTH_MAX);
        return;
    }
    builder->frames[builder->depth++] = (brg__builder_frame){builder->child_count, (uint8_t)type, 0};
    builder->want_after = type == BRG_TYPE_MAP ? BRG__WANT_KEY : BRG__WANT_VALUE;
    builder->want = builder->want_after;
}

void brg_builder_list(brg_builder *builder) { builder_open(builder, BRG_TYPE_LIST); }
void brg_builder_map(brg_builder *builder) { builder_open(builder, BRG_TYPE_MAP); }

void brg__builder_raise(brg_builder *builder, uint8_t height)
{
    if (builder->depth > 0 && height > builder->frames[builder->depth - 1].height)
        builder->frames[builder->depth - 1].height = height;
}

static void builder_check_keys(brg_builder *builder, uint32_t map, uint32_t entry_count)
{
    uint32_t repeated;
    const unsigned char *block = builder->value->block;
    brg_status status = brg__keys_check(block, block + map + BRG__NODE_BYTES, entry_count, &repeated);
    if (status == BRG_NO_MEMORY)
        builder_fail_memory(builder);
    else if (status != BRG_OK)
        brg__builder_fail(builder, BRG_INVALID, "a map has the key \"%s\" twice",
                          (const char *)block + brg__flat_child(block, map, (size_t)repeated * 2) + BRG__NODE_BYTES);
}

/*
 * The table of a container, padded. In pairs, since a few offsets have only just been pushed: a wider load would
 * have to wait until their stores leave the store buffer.
 */
static inline void builder_put_table(unsigned char *at, const uint32_t *children, uint32_t count)
{
    uint32_t i = 0;
    for (; i + 1 < count; i += 2)
        builder_put_u64(at + (size_t)i * sizeof(*children), children[i] | (uint64_t)children[i + 1] << 32);
    if (i < count)
        builder_put_u64(at + (size_t)i * sizeof(*children), children[i]);
}

/* Closes the innermost container: writes its node, whose children are the stack from its frame's `first` on. */
static void builder_close(brg_builder *builder)
{
    const brg__builder_frame *frame = &builder->frames[--builder->depth];
    uint32_t first = frame->first, child_count = builder->child_count - first;
    uint8_t type = frame->type, height = (uint8_t)(frame->height + 1);
    bool in_map = builder->depth > 0 && frame[-1].type == BRG_TYPE_MAP;
    builder->want_after = builder->depth == 0 ? BRG__WANT_NOTHING : in_map ? BRG__WANT_KEY : BRG__WANT_VALUE;
    builder->want = BRG__WANT_VALUE;
    uint32_t offset = builder->used;
    uint64_t size = brg__align_up(BRG__NODE_BYTES + (uint64_t)child_count * sizeof(uint32_t), 8);
    unsigned char *at = builder_append(builder, BRG__WANT_VALUE, size, 0);
    if (at == NULL)
        return;
    uint32_t count = type == BRG_TYPE_MAP ? child_count / 2 : child_count;
    builder_put(at, (brg_type)type, height, count);
    builder_put_table(at + BRG__NODE_BYTES, builder->children + first, child_count);
    builder->children[first] = offset;
    builder->child_count = first + 1;
    brg__builder_raise(builder, height);
    if (type == BRG_TYPE_MAP && count > 1)
        builder_check_keys(builder, offset, count);
}

void brg_builder_end(brg_builder *builder)
{
    if (builder->failure.status != BRG_OK)
        return;
    if (builder->depth == 0)
        brg__builder_fail(builder, BRG_STATE, "brg_builder_end without an open list or map");
    else if (builder->want != builder->want_after)
        brg__builder_fail(builder, BRG_STATE, "the last key of a map has no value");
    else
        builder_close(builder);
}

/* Cuts off what the block grew too far. Not worth a call where that is little; a failure to shrink does no harm. */
static brg_value *builder_fit(brg_builder *builder)
{
    brg_value *value = builder->value;
    uint32_t slack = builder->capacity - builder->used;
    uint64_t foreseen = brg__align_up(builder->used + builder->used / 8, 64);
    builder->first_capacity = (uint32_t)brg__min(brg__max(foreseen, BUILDER_FIRST_BYTES), BUILDER_KEPT_BYTES);
    if (slack > BUILDER_FIRST_BYTES && slack > builder->used / 4) {
        brg_value *fitted = brg__realloc(value, sizeof(*value) + builder->used);
        value = fitted != NULL ? fitted : value;
    }
    return value;
}

brg_status brg_builder_finish(brg_builder *builder, brg_value **out, brg_error *error)
{
    if (builder->depth > 0)
        brg__builder_fail(builder, BRG_STATE, "%u lists or maps are still open", builder->depth);
    else if (builder->want != BRG__WANT_NOTHING)
        brg__builder_fail(builder, BRG_STATE, "nothing was built");
    brg_status status = builder->failure.status;
    if (status != BRG_OK) {
        if (error != NULL)
            *error = builder->failure;
        builder_reset(builder);
        return status;
    }
    brg_value *value = builder_fit(builder);
    brg__flat_header header = {BRG__FLAT_MAGIC, BRG__FLAT_VERSION, 0, builder->children[0], builder->buffer_count};
    memcpy(value->block, &header, sizeof(header));
    value->size_bytes = builder->used;
    value->buffer_count = builder->buffer_count;
    value->buffers = builder->buffers;
    builder->value = NULL;
    builder->buffers = NULL;
    builder->buffer_count = 0;
    builder_reset(builder);
    *out = value;
    return BRG_OK;
}
