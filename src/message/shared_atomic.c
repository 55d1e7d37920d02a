/* SPDX-License-Identifier: MIT */
/*
 * Atomic operations on shared memory: a check, then the compiler's. One macro for each shape, one line for each
 * width.
 */
#include "message/shared.h"

/* The compiler inlines these widths, so it says the same of other processes' code. */
bool brg_is_lock_free(size_t width_bytes)
{
    return (width_bytes == 1 && __atomic_always_lock_free(1, 0)) ||
           (width_bytes == 2 && __atomic_always_lock_free(2, 0)) ||
           (width_bytes == 4 && __atomic_always_lock_free(4, 0)) ||
           (width_bytes == 8 && __atomic_always_lock_free(8, 0));
}

#define SHARED_AT(bits) ((uint##bits##_t *)(void *)(shared->data + offset))

#define SHARED_CHECK(bits)                                                                                             \
    brg_status status = brg__shared_check(shared, offset, sizeof(uint##bits##_t), sizeof(uint##bits##_t));             \
    if (status != BRG_OK)                                                                                              \
        return status;

#define SHARED_LOAD_STORE(bits)                                                                                        \
    brg_status brg_shared_load##bits(const brg_shared *shared, size_t offset, uint##bits##_t *out)                     \
    {                                                                                                                  \
        SHARED_CHECK(bits)                                                                                             \
        if (out == NULL)                                                                                               \
            return BRG_INVALID;                                                                                        \
        *out = __atomic_load_n(SHARED_AT(bits), __ATOMIC_SEQ_CST);                                                     \
        return BRG_OK;                                                                                                 \
    }                                                                                                                  \
    brg_status brg_shared_store##bits(brg_shared *shared, size_t offset, uint##bits##_t value)                         \
    {                                                                                                                  \
        SHARED_CHECK(bits)                                                                                             \
        __atomic_store_n(SHARED_AT(bits), value, __ATOMIC_SEQ_CST);                                                    \
        return BRG_OK;                                                                                                 \
    }

#define SHARED_CHANGE(name, bits, builtin)                                                                             \
    brg_status brg_shared_##name##bits(brg_shared *shared, size_t offset, uint##bits##_t value, uint##bits##_t *old)   \
    {                                                                                                                  \
        SHARED_CHECK(bits)                                                                                             \
        uint##bits##_t before = builtin(SHARED_AT(bits), value, __ATOMIC_SEQ_CST);                                     \
        if (old != NULL)                                                                                               \
            *old = before;                                                                                             \
        return BRG_OK;                                                                                                 \
    }

#define SHARED_COMPARE_EXCHANGE(bits)                                                                                  \
    brg_status brg_shared_compare_exchange##bits(brg_shared *shared, size_t offset, uint##bits##_t expected,           \
                                                 uint##bits##_t value, uint##bits##_t *old)                            \
    {                                                                                                                  \
        SHARED_CHECK(bits)                                                                                             \
        bool changed = __atomic_compare_exchange_n(SHARED_AT(bits), &expected, value, false, __ATOMIC_SEQ_CST,         \
                                                   __ATOMIC_SEQ_CST);                                                  \
        if (old != NULL)                                                                                               \
            *old = expected;                                                                                           \
        return changed ? BRG_OK : BRG_NOT_EQUAL;                                                                       \
    }

#define SHARED_WIDTH(bits)                                                                                             \
    SHARED_LOAD_STORE(bits)                                                                                            \
    SHARED_CHANGE(add, bits, __atomic_fetch_add)                                                                       \
    SHARED_CHANGE(sub, bits, __atomic_fetch_sub)                                                                       \
    SHARED_CHANGE(and, bits, __atomic_fetch_and)                                                                       \
    SHARED_CHANGE(or, bits, __atomic_fetch_or)                                                                         \
    SHARED_CHANGE(xor, bits, __atomic_fetch_xor)                                                                       \
    SHARED_CHANGE(exchange, bits, __atomic_exchange_n)                                                                 \
    SHARED_COMPARE_EXCHANGE(bits)

SHARED_WIDTH(8)
SHARED_WIDTH(16)
SHARED_WIDTH(32)
SHARED_WIDTH(64)
