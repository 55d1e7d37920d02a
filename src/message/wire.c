/* SPDX-License-Identifier: MIT */
/*
 * One stretch of 64-bit words: bytes of the block, number of objects, what stands for each object; then the block, then
 * the bytes of each inline buffer, padded to 8 bytes with zeros. A NULL value is nothing at all.
 *
 * The reader trusts nothing and the bytes may change under it, so each word is loaded exactly once, atomically (the
 * compiler must not load it again), and the block is checked only in the private copy. Buffers are copied as their
 * sizes are read: a buffer's size is checked against what is left before memory for it is asked for.
 */
#include "message/wire.h"

#include "base/util.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/memory.h"

#define WIRE_WORD sizeof(uint64_t)
#define WIRE_HEAD (2 * WIRE_WORD)

_Static_assert(sizeof(brg__wire_object) == 6 * sizeof(uint64_t), "an object is six words on the wire");
_Static_assert(offsetof(brg__wire_object, flags) == 4, "type and flags share a word");

/* How object `index` travels. */
static brg__wire_object wire_object(const brg_value *value, const brg__wire_object *objects, uint32_t index)
{
    if (objects != NULL)
        return objects[index];
    return (brg__wire_object){
        .type = BRG_TYPE_BUFFER, .flags = BRG__WIRE_INLINE, .size = brg_buffer_size(value->objects[index].xpointer)};
}

size_t brg__wire_size(const brg_value *value, const brg__wire_object *objects)
{
    if (value == NULL)
        return 0;
    uint64_t size = WIRE_HEAD + value->object_count * sizeof(brg__wire_object) + value->size_bytes;
    for (uint32_t i = 0; i < value->object_count; i++) {
        brg__wire_object object = wire_object(value, objects, i);
        if ((object.flags & BRG__WIRE_INLINE) != 0)
            size = brg__add_saturated(size, brg__align_up(object.size, WIRE_WORD));
    }
    return size;
}

void brg__wire_write(const brg_value *value, const brg__wire_object *objects, void *to)
{
    if (value == NULL)
        return;
    uint64_t *words = to;
    words[0] = value->size_bytes;
    words[1] = value->object_count;
    unsigned char *heads = (unsigned char *)to + WIRE_HEAD;
    unsigned char *at = heads + value->object_count * sizeof(brg__wire_object);
    memcpy(at, value->block, value->size_bytes);
    at += value->size_bytes;
    for (uint32_t i = 0; i < value->object_count; i++) {
        brg__wire_object object = wire_object(value, objects, i);
        memcpy(heads + i * sizeof(object), &object, sizeof(object));
        if ((object.flags & BRG__WIRE_INLINE) == 0 || object.size == 0)
            continue;
        size_t padded = brg__align_up(object.size, WIRE_WORD);
        memset(at + padded - WIRE_WORD, 0, WIRE_WORD);
        memcpy(at, brg_buffer_bytes(value->objects[i].xpointer), object.size);
        at += padded;
    }
}

static brg_status wire_malformed(brg_error *error, const char *what)
{
    return brg_error_set(error, BRG_MALFORMED, "value", "malformed message: %s", what);
}

static brg__wire_object wire_load(const uint64_t *words)
{
    uint64_t copy[sizeof(brg__wire_object) / WIRE_WORD] = {0};
    for (size_t i = 0; i < brg__count_of(copy); i++)
        copy[i] = brg_load_relaxed(&words[i]);
    brg__wire_object object;
    memcpy(&object, copy, sizeof(object));
    return object;
}

/* The buffer whose `size` bytes stand at *from, `*left` in all. */
static brg_status wire_read_inline(brg__object *to, uint64_t size, bool frozen, const unsigned char **from,
                                   uint64_t *left, brg_error *error)
{
    if (size > *left || brg__align_up(size, WIRE_WORD) > *left)
        return wire_malformed(error, "a buffer runs past its end");
    brg_buffer *buffer = NULL;
    brg_status status = brg__buffer_allocate(&buffer, size, error);
    if (status != BRG_OK)
        return status;
    memcpy(brg_buffer_data(buffer), *from, size);
    if (frozen)
        brg_buffer_freeze(buffer);
    *to = (brg__object){.type = BRG_TYPE_BUFFER, .xfd = -1, .xpointer = buffer};
    *from += brg__align_up(size, WIRE_WORD);
    *left -= brg__align_up(size, WIRE_WORD);
    return BRG_OK;
}

/*
 * Memory or descriptors failed us, not the other side: the objects from `first` on are taken and let go of, for what
 * they were it believes to be here.
 */
static void wire_skip_objects(brg__carrier *carrier, const uint64_t *words, size_t first, size_t count)
{
    for (size_t i = first; carrier != NULL && i < count; i++) {
        brg__wire_object object = wire_load(words + i * (sizeof(object) / WIRE_WORD));
        brg__object taken = {.xfd = -1};
        if ((object.flags & BRG__WIRE_INLINE) == 0 && carrier->import(carrier, &object, &taken, NULL) == BRG_OK)
            brg__object_drop(&taken);
    }
}

/* The objects, which stand at `words`, and their bytes, `left` in all, at `from`, into value->objects. */
static brg_status wire_read_objects(brg_value *value, brg__carrier *carrier, const uint64_t *words, size_t count,
                                    const unsigned char *from, uint64_t left, brg_error *error)
{
    if (count > 0) {
        value->objects = brg__calloc(count, sizeof(*value->objects));
        if (value->objects == NULL) {
            wire_skip_objects(carrier, words, 0, count);
            return brg__error_memory(error, "receiving a value");
        }
    }
    for (size_t i = 0; i < count; i++) {
        brg__wire_object object = wire_load(words + i * (sizeof(object) / WIRE_WORD));
        brg_status status;
        if (object.type == BRG_TYPE_BUFFER && (object.flags & BRG__WIRE_INLINE) != 0)
            status = wire_read_inline(&value->objects[i], object.size, (object.flags & BRG__WIRE_FROZEN) != 0, &from,
                                      &left, error);
        else if (carrier == NULL)
            status = wire_malformed(error, "an object that cannot come this way");
        else
            status = carrier->import(carrier, &object, &value->objects[i], error);
        if (status == BRG_NO_MEMORY || status == BRG_SYSTEM)
            wire_skip_objects(carrier, words, i + 1, count);
        if (status != BRG_OK)
            return status;
        value->object_count++;
    }
    return left == 0 ? BRG_OK : wire_malformed(error, "bytes after its end");
}

brg_status brg__wire_read(brg_value **out, brg__carrier *carrier, const void *bytes, size_t size_bytes,
                          brg_error *error)
{
    if (size_bytes == 0) {
        *out = NULL;
        return BRG_OK;
    }
    if (size_bytes < WIRE_HEAD || (uintptr_t)bytes % WIRE_WORD != 0)
        return wire_malformed(error, "too short or misaligned");
    const uint64_t *words = bytes;
    uint64_t block_bytes = brg_load_relaxed(&words[0]), count = brg_load_relaxed(&words[1]);
    uint64_t left = size_bytes - WIRE_HEAD;
    if (count > UINT32_MAX || count > left / sizeof(brg__wire_object))
        return wire_malformed(error, "more objects than bytes");
    left -= count * sizeof(brg__wire_object);
    if (block_bytes > left)
        return wire_malformed(error, "the value runs past its end");
    if (block_bytes > BRG_VALUE_BYTES_MAX)
        return brg_error_set(error, BRG_TOO_LARGE, "value", "a value of more than %zu bytes", BRG_VALUE_BYTES_MAX);
    brg_value *value = brg__value_allocate(block_bytes);
    if (value == NULL) {
        wire_skip_objects(carrier, words + 2, 0, count);
        return brg__error_memory(error, "receiving a value");
    }
    const unsigned char *from = (const unsigned char *)bytes + WIRE_HEAD + count * sizeof(brg__wire_object);
    memcpy(value->block, from, block_bytes);
    /* The block first: it is cheap to refuse, and says how many objects there must be. */
    brg_status status = brg__flat_check(value->block, block_bytes, count, error);
    if (status == BRG_NO_MEMORY)
        wire_skip_objects(carrier, words + 2, 0, count);
    if (status == BRG_OK)
        status = wire_read_objects(value, carrier, words + 2, count, from + block_bytes, left - block_bytes, error);
    if (status == BRG_OK && count > 0)
        status = brg__value_check_objects(value, error);
    if (status != BRG_OK) {
        brg_value_unref(value);
        return status;
    }
    *out = value;
    return BRG_OK;
}

bool brg__wire_is_plain(const void *bytes, size_t size_bytes)
{
    return size_bytes >= WIRE_HEAD && brg_load_relaxed(&((const uint64_t *)bytes)[1]) == 0;
}
