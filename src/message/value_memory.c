/* SPDX-License-Identifier: MIT */
/*
 * Memory of values. Those of some size come and go at the rate of messages, are allocated on one thread and freed on
 * another; the C library gives their pages back to the system and faults them in again each time. So a few are kept
 * here, by size: four classes to each power of two, the last one freed first, as its bytes are likely still in a cache.
 *
 * Whoever finds the lock taken goes to the C library instead of waiting: also in a forked child, where whoever held it
 * is gone.
 */
#include "base/util.h"
#include "message/object.h"
#include "os/lock.h"
#include "os/memory.h"

#define KEPT_FIRST ((size_t)16 << 10) /* smallest and largest, head included */
#define KEPT_LAST ((size_t)1 << 20)
#define KEPT_CLASSES 25 /* from the one to the other */
#define KEPT_BYTES_MAX ((size_t)16 << 20)

_Static_assert(KEPT_FIRST << (KEPT_CLASSES / 4) == KEPT_LAST, "the last class is the largest");

static brg__lock kept_lock = BRG__LOCK_INIT(BRG__RANK_LEAF, "values kept");
static brg_value *kept[KEPT_CLASSES]; /* by `next_kept` */
static size_t kept_bytes;

static size_t kept_class_size(unsigned class) { return (KEPT_FIRST / 4 << class / 4) * (4 + class % 4); }

/* The largest class of at most `size` bytes, which is at least KEPT_FIRST. */
static unsigned kept_class_below(size_t size)
{
    unsigned power = (unsigned)(63 - __builtin_clzll(size / KEPT_FIRST));
    return 4 * power + (unsigned)(size / (KEPT_FIRST / 4 << power) - 4);
}

static bool kept_is_size(size_t size) { return size >= KEPT_FIRST && size <= KEPT_LAST; }

static brg_value *kept_take(unsigned class)
{
    if (!brg__lock_try_acquire(&kept_lock))
        return NULL;
    brg_value *value = kept[class];
    if (value != NULL) {
        kept[class] = value->next_kept;
        kept_bytes -= sizeof(*value) + value->room;
    }
    brg__lock_release(&kept_lock);
    return value;
}

static bool kept_put(brg_value *value)
{
    size_t size = sizeof(*value) + value->room;
    if (!kept_is_size(size) || !brg__lock_try_acquire(&kept_lock))
        return false;
    bool put = kept_bytes + size <= KEPT_BYTES_MAX;
    if (put) {
        unsigned class = kept_class_below(size);
        value->next_kept = kept[class];
        kept[class] = value;
        kept_bytes += size;
    }
    brg__lock_release(&kept_lock);
    return put;
}

brg_value *brg__value_allocate(size_t size_bytes)
{
    brg_value *value = NULL;
    size_t size = sizeof(*value) + size_bytes;
    if (kept_is_size(size)) {
        unsigned class = kept_class_below(size);
        class += kept_class_size(class) < size; /* any of that class is large enough */
        size = kept_class_size(class);
        value = kept_take(class);
    }
    if (value == NULL) {
        value = brg__malloc(size);
        if (value == NULL)
            return NULL;
        value->room = size - sizeof(*value);
    }
    value->xrefs = 1;
    value->object_count = 0;
    value->size_bytes = size_bytes;
    value->objects = NULL;
    return value;
}

brg_value *brg__value_resize(brg_value *value, size_t size_bytes)
{
    brg_value *resized = brg__realloc(value, sizeof(*value) + size_bytes);
    if (resized != NULL)
        resized->room = size_bytes;
    return resized;
}

void brg__value_free(brg_value *value)
{
    if (value != NULL && !kept_put(value))
        brg__mfree(value);
}
