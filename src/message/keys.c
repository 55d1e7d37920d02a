/* SPDX-License-Identifier: MIT */
/*
 * Repeated keys. A few are compared with each other. Up to KEYS_MASK_MAX are compared only where their hashes meet in a
 * mask of 64 bits, that is seldom. More go through a table of entry numbers, open addressing and linear probing
 * (Knuth, TAOCP 3, 6.4, algorithm L), at most half full. The hash has no secret, so a hostile sender can make keys
 * collide: the probes have a budget, and past it the entries are sorted instead (heapsort: Williams 1964, Floyd
 * 1964), which no input can make quadratic.
 *
 * Key nodes are zero-padded to whole words (checked before they come here), so they are hashed and compared by words.
 */
#include "message/keys.h"

#include <string.h>

#include "base/util.h"
#include "message/flat.h"
#include "os/memory.h"

#define KEYS_PAIRS_MAX 4
#define KEYS_MASK_MAX 16
#define KEYS_PROBES_PER_ENTRY 8
#define KEYS_BYTES_PER_PROBE 256 /* that are compared in the time of one more probe */

static uint32_t keys_key(const unsigned char *table, uint32_t entry)
{
    return brg__flat_u32(table, (size_t)entry * sizeof(uint32_t));
}

/* Multiply and fold each word: the mixing step of wyhash (Wang Yi) without its secret. */
static uint32_t keys_hash(const unsigned char *key)
{
    size_t size = brg__flat_head(key, 0).count;
    uint64_t hash = size;
    for (size_t at = 0; at <= size; at += sizeof(uint64_t)) {
        hash = (hash ^ brg__flat_u64(key, BRG__HEAD_BYTES + at)) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

bool brg__key_equal(const unsigned char *a, const unsigned char *b)
{
    /* The first word holds type and size; what follows has at least one word, the end of a short key in it. */
    if (brg__flat_u64(a, 0) != brg__flat_u64(b, 0) || brg__flat_u64(a, 8) != brg__flat_u64(b, 8))
        return false;
    uint32_t size = brg__flat_head(a, 0).count;
    return size < 8 || memcmp(a + 16, b + 16, size - 8) == 0;
}

static int keys_compare(const unsigned char *block, const unsigned char *table, uint32_t left, uint32_t right)
{
    const unsigned char *a = block + keys_key(table, left), *b = block + keys_key(table, right);
    uint32_t a_size = brg__flat_head(a, 0).count, b_size = brg__flat_head(b, 0).count;
    if (a_size != b_size)
        return a_size < b_size ? -1 : 1;
    return memcmp(a + BRG__HEAD_BYTES, b + BRG__HEAD_BYTES, a_size);
}

/* Restores the heap (largest first) below `at` in order[0 .. count). */
static void keys_sift(const unsigned char *block, const unsigned char *table, uint32_t *order, size_t at, size_t count)
{
    uint32_t moved = order[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && keys_compare(block, table, order[child], order[child + 1]) < 0)
            child++;
        if (keys_compare(block, table, moved, order[child]) >= 0)
            break;
        order[at] = order[child];
    }
    order[at] = moved;
}

void brg__keys_sort(const unsigned char *block, const unsigned char *table, uint32_t entry_count, uint32_t *order)
{
    for (uint32_t i = 0; i < entry_count; i++)
        order[i] = i;
    for (size_t at = entry_count / 2; at-- > 0;)
        keys_sift(block, table, order, at, entry_count);
    for (size_t left = entry_count; left-- > 1;) {
        uint32_t largest = order[0];
        order[0] = order[left];
        order[left] = largest;
        keys_sift(block, table, order, 0, left);
    }
}

static brg_status keys_check_sorted(const unsigned char *block, const unsigned char *table, uint32_t entry_count,
                                    uint32_t *order, uint32_t *repeated)
{
    brg__keys_sort(block, table, entry_count, order);
    for (uint32_t i = 1; i < entry_count; i++) {
        if (keys_compare(block, table, order[i - 1], order[i]) == 0) {
            *repeated = order[i] > order[i - 1] ? order[i] : order[i - 1];
            return BRG_INVALID;
        }
    }
    return BRG_OK;
}

static brg_status keys_check_few(const unsigned char *block, const unsigned char *table, uint32_t entry_count,
                                 uint32_t *repeated)
{
    uint64_t seen = entry_count <= KEYS_PAIRS_MAX ? UINT64_MAX : 0;
    for (uint32_t entry = 0; entry < entry_count; entry++) {
        const unsigned char *key = block + keys_key(table, entry);
        uint64_t bit = seen == UINT64_MAX ? 1 : UINT64_C(1) << (keys_hash(key) & 63);
        for (uint32_t other = 0; (seen & bit) != 0 && other < entry; other++) {
            if (brg__key_equal(key, block + keys_key(table, other))) {
                *repeated = entry;
                return BRG_INVALID;
            }
        }
        seen |= bit;
    }
    return BRG_OK;
}

/* `slots` are `slot_count` zeroed numbers, a power of two and at least 2 * entry_count. */
static brg_status keys_check_hashed(const unsigned char *block, const unsigned char *table, uint32_t entry_count,
                                    uint32_t *slots, size_t slot_count, uint32_t *repeated)
{
    uint64_t budget = (uint64_t)entry_count * KEYS_PROBES_PER_ENTRY;
    for (uint32_t entry = 0; entry < entry_count; entry++) {
        const unsigned char *key = block + keys_key(table, entry);
        size_t slot = keys_hash(key) & (slot_count - 1);
        for (; slots[slot] != 0; slot = (slot + 1) & (slot_count - 1)) {
            if (brg__key_equal(key, block + keys_key(table, slots[slot] - 1))) {
                *repeated = entry;
                return BRG_INVALID;
            }
            uint64_t size = brg__flat_u64(key, 0) == brg__flat_u64(block + keys_key(table, slots[slot] - 1), 0)
                                ? brg__flat_head(key, 0).count
                                : 0;
            if (budget <= size / KEYS_BYTES_PER_PROBE)
                return keys_check_sorted(block, table, entry_count, slots, repeated);
            budget -= 1 + size / KEYS_BYTES_PER_PROBE;
        }
        slots[slot] = entry + 1;
    }
    return BRG_OK;
}

brg_status brg__keys_check(const unsigned char *block, const unsigned char *table, uint32_t entry_count,
                           uint32_t *repeated)
{
    if (entry_count <= KEYS_MASK_MAX)
        return keys_check_few(block, table, entry_count, repeated);
    size_t slot_count = 4;
    while (slot_count / 2 < entry_count)
        slot_count *= 2;
    uint32_t *slots = brg__calloc(slot_count, sizeof(*slots));
    if (slots == NULL)
        return BRG_NO_MEMORY;
    brg_status status = keys_check_hashed(block, table, entry_count, slots, slot_count, repeated);
    brg__mfree(slots);
    return status;
}
