/* SPDX-License-Identifier: MIT */
/*
 * One stretch of 64-bit words: bytes of the block, number of buffers, the size of each buffer; then the block, then
 * each buffer, padded to 8 bytes with zeros. A NULL value is nothing at all.
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

size_t brg__wire_size(const brg_value *value)
{
    if (value == NULL)
        return 0;
    uint64_t size = WIRE_HEAD + value->buffer_count * WIRE_WORD + value->size_bytes;
    for (uint32_t i = 0; i < value->buffer_count; i++)
        size = brg__add_saturated(size, brg__align_up(brg_buffer_size(value->buffers[i]), WIRE_WORD));
    return size;
}

void brg__wire_write(const brg_value *value, void *to)
{
    if (value == NULL)
        return;
    uint64_t *words = to;
    words[0] = value->size_bytes;
    words[1] = value->buffer_count;
    unsigned char *at = (unsigned char *)to + WIRE_HEAD + value->buffer_count * WIRE_WORD;
    memcpy(at, value->block, value->size_bytes);
    at += value->size_bytes;
    for (uint32_t i = 0; i < value->buffer_count; i++) {
        size_t size = brg_buffer_size(value->buffers[i]), padded = brg__align_up(size, WIRE_WORD);
        words[2 + i] = size;
        if (size == 0)
            continue;
        memset(at + padded - WIRE_WORD, 0, WIRE_WORD);
        memcpy(at, brg_buffer_data(value->buffers[i]), size);
        at += padded;
    }
}

static brg_status wire_malformed(brg_error *error, const char *what)
{
    return brg_error_set(error, BRG_MALFORMED, "value", "malformed message: %s", what);
}

/* The buffers, whose sizes stand at `sizes` and whose bytes, `left` in all, at `from`, into value->buffers. */
static brg_status wire_read_buffers(brg_value *value, const uint64_t *sizes, size_t buffer_count,
                                    const unsigned char *from, uint64_t left, brg_error *error)
{
    if (buffer_count > 0) {
        value->buffers = brg__calloc(buffer_count, sizeof(*value->buffers));
        if (value->buffers == NULL)
            return brg__error_memory(error, "receiving a value");
    }
    for (size_t i = 0; i < buffer_count; i++) {
        uint64_t size = brg_load_relaxed(&sizes[i]);
        if (size > left || brg__align_up(size, WIRE_WORD) > left)
            return wire_malformed(error, "a buffer runs past its end");
        brg_status status = brg__buffer_allocate(&value->buffers[i], size, error);
        if (status != BRG_OK)
            return status;
        value->buffer_count++;
        memcpy(brg_buffer_data(value->buffers[i]), from, size);
        from += brg__align_up(size, WIRE_WORD);
        left -= brg__align_up(size, WIRE_WORD);
    }
    return left == 0 ? BRG_OK : wire_malformed(error, "bytes after its end");
}

brg_status brg__wire_read(brg_value **out, const void *bytes, size_t size_bytes, brg_error *error)
{
    if (size_bytes == 0) {
        *out = NULL;
        return BRG_OK;
    }
    if (size_bytes < WIRE_HEAD || (uintptr_t)bytes % WIRE_WORD != 0)
        return wire_malformed(error, "too short or misaligned");
    const uint64_t *words = bytes;
    uint64_t block_bytes = brg_load_relaxed(&words[0]), buffer_count = brg_load_relaxed(&words[1]);
    uint64_t left = size_bytes - WIRE_HEAD;
    if (buffer_count > UINT32_MAX || buffer_count > left / WIRE_WORD)
        return wire_malformed(error, "more buffers than bytes");
    left -= buffer_count * WIRE_WORD;
    if (block_bytes > left)
        return wire_malformed(error, "the value runs past its end");
    if (block_bytes > BRG_VALUE_BYTES_MAX)
        return brg_error_set(error, BRG_TOO_LARGE, "value", "a value of more than %zu bytes", BRG_VALUE_BYTES_MAX);
    brg_value *value = brg__value_allocate(block_bytes);
    if (value == NULL)
        return brg__error_memory(error, "receiving a value");
    const unsigned char *from = (const unsigned char *)bytes + WIRE_HEAD + buffer_count * WIRE_WORD;
    memcpy(value->block, from, block_bytes);
    /* The block first: it is cheap to refuse, and says how many buffers there must be. */
    brg_status status = brg__flat_check(value->block, block_bytes, buffer_count, error);
    if (status == BRG_OK)
        status = wire_read_buffers(value, words + 2, buffer_count, from + block_bytes, left - block_bytes, error);
    if (status != BRG_OK) {
        brg_value_unref(value);
        return status;
    }
    *out = value;
    return BRG_OK;
}
