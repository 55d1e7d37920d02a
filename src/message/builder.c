/* SPDX-License-Identifier: MIT */
/*
 * The builder writes nodes where they will stay: into the block of the value that brg_builder_finish hands out.
 * A leaf goes to the block's end and its offset on the stack `children`. brg_builder_end takes the open
 * container's children off that stack: just its table of offsets, and puts the container itself there. So nodes
 * come out in the post-order that flat.h asks for, and nothing is moved. Keys: builder_keys.c.
 *
 * After a failure `failure.status` is set, nothing is wanted and every call returns at once; brg_builder_finish
 * reports and clears it. The paths that appending takes when all is well call nothing, so that they need no stack.
 */
#define BRG_NO_INLINE /* here are the functions that brigade/inline.h has short ways of */

#include "message/builder.h"

#include <stdarg.h>
#include <stdio.h>

#include "message/graph.h"
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

static void builder_trim(brg__offsets *offsets)
{
    offsets->count = 0;
    if (offsets->capacity <= BUILDER_KEPT_BYTES / sizeof(*offsets->at))
        return;
    brg__mfree(offsets->at);
    *offsets = (brg__offsets){NULL, 0, 0};
}

/* Ready for the next value, whatever became of the last. */
static void builder_reset(brg_builder *builder)
{
    for (uint32_t i = 0; i < builder->object_count; i++)
        brg__object_drop(&builder->objects[i]);
    brg__mfree(builder->objects);
    brg__value_free(builder->value);
    builder_trim(&builder->children);
    builder_trim(&builder->keys);
    builder_trim(&builder->marks);
    memset(builder->shapes, 0, sizeof(builder->shapes));
    builder->generation++;
    builder->has_refs = false;
    builder->has_zero_keys = false;
    builder->keys_left = 0;
    builder->sets_spent = 0;
    builder->open_ref_count = 0;
    builder->transfer_count = 0;
    builder->value = NULL;
    builder->capacity = 0;
    builder->used = BRG__FLAT_FIRST;
    builder->objects = NULL;
    builder->object_count = 0;
    builder->object_capacity = 0;
    brg__mfree(builder->object_slots);
    builder->object_slots = NULL;
    builder->object_slot_count = 0;
    builder->depth = 0;
    builder->want = BRG__WANT_VALUE;
    builder->want_after = BRG__WANT_NOTHING;
    builder->failure.status = BRG_OK;
}

void brg__builder_done(brg_builder *builder)
{
    builder_reset(builder);
    brg__mfree(builder->children.at);
    brg__mfree(builder->keys.at);
    brg__mfree(builder->marks.at);
    brg__mfree(builder->open_refs);
    brg__mfree(builder->transfers);
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

void brg__builder_fail_memory(brg_builder *builder)
{
    if (builder->failure.status == BRG_OK)
        brg__error_memory(&builder->failure, "building a value");
    builder->want = BRG__WANT_FAILED;
}

bool brg__builder_grow_block(brg_builder *builder, uint64_t size)
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
        value = brg__value_resize(builder->value, capacity);
    if (value == NULL) {
        brg__builder_fail_memory(builder);
        return false;
    }
    builder->value = value;
    builder->capacity = (uint32_t)capacity;
    return true;
}

static bool builder_grow_offsets(brg_builder *builder, brg__offsets *offsets)
{
    uint32_t capacity = offsets->capacity == 0 ? 64 : offsets->capacity * 2;
    uint32_t *at = brg__realloc(offsets->at, (size_t)capacity * sizeof(*at));
    if (at == NULL) {
        brg__builder_fail_memory(builder);
        return false;
    }
    offsets->at = at;
    offsets->capacity = capacity;
    return true;
}

bool brg__offsets_push(brg_builder *builder, brg__offsets *offsets, uint32_t offset)
{
    if (offsets->count == offsets->capacity && !builder_grow_offsets(builder, offsets))
        return false;
    offsets->at[offsets->count++] = offset;
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

__attribute__((noinline)) bool brg__builder_prepare(brg_builder *builder, brg__builder_want offered, uint64_t size)
{
    if (builder->want != offered) {
        builder_refuse(builder);
        return false;
    }
    return (builder->used + size <= builder->capacity || brg__builder_grow_block(builder, size)) &&
           (builder->children.count < builder->children.capacity || builder_grow_offsets(builder, &builder->children));
}

void brg_builder_nil(brg_builder *builder)
{
    unsigned char *at = brg__builder_append(builder, BRG__HEAD_BYTES);
    if (at != NULL)
        brg__builder_put(at, BRG_TYPE_NIL, 0, 0);
}

void brg_builder_bool(brg_builder *builder, bool value)
{
    unsigned char *at = brg__builder_append(builder, BRG__HEAD_BYTES);
    if (at != NULL)
        brg__builder_put(at, BRG_TYPE_BOOL, value, 0);
}

static inline void builder_put_number(brg_builder *builder, brg_type type, uint64_t bits)
{
    unsigned char *at = brg__builder_take(builder, BRG__HEAD_BYTES + sizeof(bits));
    brg__builder_put(at, (uint8_t)type, 0, 0);
    brg__builder_put_u64(at + BRG__HEAD_BYTES, bits);
}

static __attribute__((noinline)) void builder_add_number_slowly(brg_builder *builder, brg_type type, uint64_t bits)
{
    if (brg__builder_prepare(builder, BRG__WANT_VALUE, BRG__HEAD_BYTES + sizeof(bits)))
        builder_put_number(builder, type, bits);
}

static inline void builder_add_number(brg_builder *builder, brg_type type, uint64_t bits)
{
    if (brg__builder_is_ready(builder, BRG__WANT_VALUE, BRG__HEAD_BYTES + sizeof(bits)))
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

void brg_builder_timestamp(brg_builder *builder, int64_t ns)
{
    builder_add_number(builder, BRG_TYPE_TIMESTAMP, (uint64_t)ns);
}

/* The last word is zeroed first: it holds the padding, and of a string the zero at its end. */
static __attribute__((noinline)) void builder_add_content(brg_builder *builder, brg_type type, const void *bytes,
                                                          size_t size_bytes)
{
    if (size_bytes > BRG_VALUE_BYTES_MAX) {
        brg__builder_fail(builder, BRG_TOO_LARGE, "%zu bytes do not fit into a value; put them into a buffer",
                          size_bytes);
        return;
    }
    if (type == BRG_TYPE_STRING && !brg__utf8_check(bytes, size_bytes)) {
        brg__builder_fail(builder, BRG_INVALID, "a string is not UTF-8; brg_builder_bytes takes any bytes");
        return;
    }
    uint64_t size = brg__align_up(BRG__HEAD_BYTES + size_bytes + (type == BRG_TYPE_STRING), 8);
    unsigned char *at = brg__builder_append(builder, size);
    if (at == NULL)
        return;
    brg__builder_put_u64(at + size - sizeof(uint64_t), 0);
    brg__builder_put(at, (uint8_t)type, 0, (uint32_t)size_bytes); /* empty bytes are this word only: after the zero */
    if (size_bytes > 0)
        memcpy(at + BRG__HEAD_BYTES, bytes, size_bytes);
}

/* Many strings are ASCII of less than 16 bytes: those are checked and copied in registers. */
void brg_builder_string_n(brg_builder *builder, const char *string, size_t size)
{
    uint64_t first, second = 0;
    bool is_long = size >= sizeof(first);
    if (!is_long) {
        first = brg__utf8_short(string, size);
    } else if (BRG__LIKELY(size < 2 * sizeof(first))) {
        memcpy(&first, string, sizeof(first));
        second = brg__utf8_short(string + sizeof(first), size - sizeof(first));
    } else {
        builder_add_content(builder, BRG_TYPE_STRING, string, size);
        return;
    }
    uint64_t node_size = BRG__HEAD_BYTES + sizeof(first) + (is_long ? sizeof(second) : 0);
    if (BRG__UNLIKELY(((first | second) & BRG__UTF8_HIGH_BITS) != 0 ||
                      !brg__builder_is_ready(builder, BRG__WANT_VALUE, node_size))) {
        builder_add_content(builder, BRG_TYPE_STRING, string, size);
        return;
    }
    unsigned char *at = brg__builder_take(builder, node_size);
    brg__builder_put(at, BRG_TYPE_STRING, 0, (uint32_t)size);
    brg__builder_put_u64(at + BRG__HEAD_BYTES, first);
    if (is_long)
        brg__builder_put_u64(at + BRG__HEAD_BYTES + sizeof(first), second);
}

void brg_builder_string(brg_builder *builder, const char *string)
{
    if (string == NULL)
        brg__builder_fail(builder, BRG_INVALID, "a string is NULL; brg_builder_nil stores nothing");
    else
        brg_builder_string_n(builder, string, strlen(string));
}

void brg_builder_bytes(brg_builder *builder, const void *bytes, size_t size_bytes)
{
    builder_add_content(builder, BRG_TYPE_BYTES, bytes, size_bytes);
}

void brg__builder_open(brg_builder *builder, brg_type type)
{
    if (builder->want != BRG__WANT_VALUE) {
        builder_refuse(builder);
        return;
    }
    if (builder->depth == BRG_VALUE_DEPTH_MAX) {
        brg__builder_fail(builder, BRG_TOO_LARGE, "lists and maps nest at most %d deep", BRG_VALUE_DEPTH_MAX);
        return;
    }
    if (builder->depth > 0)
        builder->frames[builder->depth - 1].keys_left = builder->keys_left;
    builder->keys_left = 0;
    brg__builder_frame *frame = &builder->frames[builder->depth++];
    frame->first = builder->children.count;
    frame->key_first = builder->keys.count;
    frame->key_count = 0;
    frame->keys_node = 0;
    frame->mark = 0;
    frame->ref_first = builder->open_ref_count;
    frame->type = (uint8_t)type;
    frame->height = 0;
    builder->want_after = type == BRG_TYPE_MAP ? BRG__WANT_KEY : BRG__WANT_VALUE;
    builder->want = builder->want_after;
}

void brg_builder_list(brg_builder *builder) { brg__builder_open(builder, BRG_TYPE_LIST); }
void brg_builder_map(brg_builder *builder) { brg__builder_open(builder, BRG_TYPE_MAP); }
void brg_builder_set(brg_builder *builder) { brg__builder_open(builder, BRG_TYPE_SET); }

bool brg__builder_raise(brg_builder *builder, uint8_t height)
{
    if (builder->depth + height > BRG_VALUE_DEPTH_MAX) {
        brg__builder_fail(builder, BRG_TOO_LARGE, "lists and maps nest at most %d deep", BRG_VALUE_DEPTH_MAX);
        return false;
    }
    if (builder->depth > 0 && height > builder->frames[builder->depth - 1].height)
        builder->frames[builder->depth - 1].height = height;
    return true;
}

/*
 * The table of a container, padded. In pairs, since a few offsets have only just been pushed: a wider load would
 * have to wait until their stores leave the store buffer. A map's begins with the offset of its keys.
 */
static inline void builder_put_table(unsigned char *at, const uint32_t *children, uint32_t count)
{
    uint32_t i = 0;
    for (; i + 1 < count; i += 2)
        brg__builder_put_u64(at + (size_t)i * sizeof(*children), children[i] | (uint64_t)children[i + 1] << 32);
    if (i < count)
        brg__builder_put_u64(at + (size_t)i * sizeof(*children), children[i]);
}

static inline void builder_put_map(unsigned char *at, uint32_t keys, const uint32_t *children, uint32_t count)
{
    brg__builder_put_u64(at, keys | (count > 0 ? (uint64_t)children[0] << 32 : 0));
    if (count > 1)
        builder_put_table(at + sizeof(uint64_t), children + 1, count - 1);
}

static void builder_check_set(brg_builder *builder, uint32_t set)
{
    uint32_t repeated = 0;
    brg_status status = brg__set_check(builder->value->block, set, &builder->sets_spent, &repeated);
    if (status == BRG_NO_MEMORY)
        brg__builder_fail_memory(builder);
    else if (status == BRG_TOO_LARGE)
        brg__builder_fail(builder, status, "the elements of a set are too alike to be told apart in bounded time");
    else if (status != BRG_OK)
        brg__builder_fail(builder, BRG_INVALID, "a set has its element %u twice", repeated);
}

/* What is wanted once the innermost container is closed. */
static brg__builder_want builder_want_outside(const brg_builder *builder)
{
    if (builder->depth == 0)
        return BRG__WANT_NOTHING;
    return builder->frames[builder->depth - 1].type == BRG_TYPE_MAP ? BRG__WANT_KEY : BRG__WANT_VALUE;
}

/* Closes the innermost container: writes its node, whose children are the stack from its frame's `first` on. */
static void builder_close(brg_builder *builder)
{
    brg__builder_frame *frame = &builder->frames[builder->depth - 1];
    uint32_t first = frame->first, count = builder->children.count - first, keys = 0;
    uint8_t type = frame->type, height = (uint8_t)(frame->height + 1);
    if (type == BRG_TYPE_MAP && count > 0) {
        keys = brg__builder_close_keys(builder, frame);
        if (keys == 0)
            return;
    }
    builder->depth--;
    brg__builder_resume_keys(builder);
    builder->want_after = builder_want_outside(builder);
    builder->want = BRG__WANT_VALUE;
    uint64_t entries = (uint64_t)count + (type == BRG_TYPE_MAP);
    unsigned char *at = brg__builder_append(builder, brg__align_up(BRG__HEAD_BYTES + entries * sizeof(uint32_t), 8));
    if (at == NULL)
        return;
    uint32_t offset = (uint32_t)(at - builder->value->block);
    brg__builder_put(at, type, height, count);
    if (type == BRG_TYPE_MAP)
        builder_put_map(at + BRG__HEAD_BYTES, keys, builder->children.at + first, count);
    else
        builder_put_table(at + BRG__HEAD_BYTES, builder->children.at + first, count);
    builder->children.at[first] = offset;
    builder->children.count = first + 1;
    brg__builder_raise(builder, height);
    if (frame->mark != 0)
        brg__builder_close_mark(builder, frame, offset);
    if (type == BRG_TYPE_SET && count > 1)
        builder_check_set(builder, offset);
}

/* An error gets nil for a detail or a cause that was not given. */
static void builder_complete_error(brg_builder *builder)
{
    const brg__builder_frame *frame = &builder->frames[builder->depth - 1];
    while (builder->failure.status == BRG_OK && builder->children.count - frame->first < BRG__ERROR_CHILDREN)
        brg_builder_nil(builder);
    if (builder->children.count - frame->first > BRG__ERROR_CHILDREN)
        brg__builder_fail(builder, BRG_STATE, "an error takes a detail and a cause, nothing more");
}

void brg_builder_end(brg_builder *builder)
{
    if (builder->failure.status != BRG_OK)
        return;
    if (builder->depth == 0) {
        brg__builder_fail(builder, BRG_STATE, "brg_builder_end without an open list or map");
        return;
    }
    if (builder->frames[builder->depth - 1].type == BRG_TYPE_ERROR)
        builder_complete_error(builder);
    else if (builder->want != builder->want_after)
        brg__builder_fail(builder, BRG_STATE, "the last key of a map has no value");
    if (builder->failure.status == BRG_OK)
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
        brg_value *fitted = brg__value_resize(value, builder->used);
        value = fitted != NULL ? fitted : value;
    }
    return value;
}

brg_status brg__builder_finish(brg_builder *builder, brg_value **out, brg_error *error)
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
    brg__flat_header header = {BRG__FLAT_MAGIC, BRG__FLAT_VERSION, builder->has_refs ? BRG__FLAT_HAS_REFS : 0,
                               builder->children.at[0], builder->object_count};
    memcpy(value->block, &header, sizeof(header));
    value->size_bytes = builder->used;
    value->object_count = builder->object_count;
    value->objects = builder->objects;
    builder->value = NULL;
    builder->objects = NULL;
    builder->object_count = 0;
    builder_reset(builder);
    *out = value;
    return BRG_OK;
}

brg_status brg_builder_finish(brg_builder *builder, brg_value **out, brg_error *error)
{
    if (builder->transfer_count > 0)
        brg__builder_fail(builder, BRG_STATE, "a value with transfers needs brg_builder_finish_transfer");
    return brg__builder_finish(builder, out, error);
}
