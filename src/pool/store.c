/* SPDX-License-Identifier: MIT */
/* See store.h. */
#include "pool/store.h"

#include <stdlib.h>
#include <string.h>

#include "os/atomic.h"
#include "os/memory.h"

_Static_assert(sizeof(brg__chunk) == 8192, "a chunk is two pages");

static brg__chunk *store_chunk(brg__node *node) { return brg__container_of(node, brg__chunk, node); }

brg__store *brg__store_new(uint64_t mask, uint64_t capacity, bool keeps_newest)
{
    brg__store *store = brg__calloc(1, sizeof(*store));
    if (store == NULL)
        return NULL;
    store->xreferences = 1;
    store->mask = mask;
    store->keeps_newest = keeps_newest;
    uint64_t chunks = capacity / BRG__CHUNK_RECORDS + (capacity % BRG__CHUNK_RECORDS != 0);
    store->chunks_max = (uint32_t)brg__min(brg__max(chunks, 1), UINT32_MAX / 2);
    brg__lock_init(&store->lock, BRG__RANK_LEAF, "events");
    brg__list_init(&store->chunks);
    brg__list_init(&store->free);
    return store;
}

void brg__store_ref(brg__store *store) { brg_add_relaxed(&store->xreferences, 1u); }

static void store_free_list(brg__list *list)
{
    brg__node *node;
    while ((node = brg__list_pop_front(list)) != NULL)
        brg__mfree_aligned(store_chunk(node));
}

void brg__store_unref(brg__store *store)
{
    if (store == NULL || brg_sub_acq_rel(&store->xreferences, 1u) != 1)
        return;
    store_free_list(&store->chunks);
    store_free_list(&store->free);
    brg__mfree(store);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static brg__chunk *store_after(brg__store *store, const brg__chunk *chunk)
{
    return chunk->node.next == &store->chunks.head ? NULL : store_chunk(chunk->node.next);
}

static void store_leave_locked(brg__store *store, brg__chunk *chunk)
{
    if (store->cursor == chunk)
        store->cursor = store_after(store, chunk);
    brg__list_remove(&chunk->node);
}

/* Its writer goes on in another one. */
static void store_close_locked(brg__store *store, brg__chunk *chunk)
{
    chunk->is_open = false;
    store_leave_locked(store, chunk);
    brg__list_push_back(&store->chunks, &chunk->node);
}

/* The one that was closed first, without its records. */
static brg__chunk *store_reclaim_locked(brg__store *store)
{
    brg__list_for_each(node, &store->chunks) {
        brg__chunk *chunk = store_chunk(node);
        if (chunk->is_open)
            continue;
        store->overwritten += chunk->xused;
        store->horizon_ns = brg__max(store->horizon_ns, chunk->records[chunk->xused - 1].time_ns + 1);
        store_leave_locked(store, chunk);
        return chunk;
    }
    return NULL;
}

static brg__chunk *store_find_locked(brg__store *store)
{
    brg__node *node = brg__list_pop_front(&store->free);
    if (node != NULL)
        return store_chunk(node);
    if (store->chunk_count < store->chunks_max + store->writers) {
        brg__chunk *chunk = brg__calloc_aligned(sizeof(*chunk));
        if (chunk != NULL) {
            store->chunk_count++;
            return chunk;
        }
    }
    return store->keeps_newest ? store_reclaim_locked(store) : NULL;
}

/* The writer's chunk is full, or it has none; false: there is no other. */
static bool store_roll(brg__store *store, brg__chunk **place, uint32_t writer)
{
    brg__lock_acquire(&store->lock);
    if (*place != NULL)
        store_close_locked(store, *place);
    else
        store->writers++;
    brg__chunk *chunk = store_find_locked(store);
    *place = chunk;
    if (chunk == NULL) {
        store->writers--; /* it comes as a new one */
        if (!store->keeps_newest)
            brg_store_relaxed(&store->xis_full, 1u);
    } else {
        chunk->number = ++store->numbers;
        chunk->writer = writer;
        chunk->read = 0;
        chunk->is_open = true;
        brg_store_relaxed(&chunk->xused, 0u);
        brg__list_push_back(&store->chunks, &chunk->node);
    }
    bool is_urgent = store->more != NULL && store->numbers % (store->chunks_max / 2 + 1) == 0;
    brg__lock_release(&store->lock);
    if (is_urgent) /* half of it was filled: better told now than lost */
        store->more(store->more_argument, true);
    return chunk != NULL;
}

void brg__store_write(brg__store *store, brg__chunk **place, uint32_t writer, const brg__record *record)
{
    brg__chunk *chunk = *place;
    if (BRG__UNLIKELY(chunk == NULL || chunk->xused == BRG__CHUNK_RECORDS)) {
        if (brg_load_relaxed(&store->xis_full) != 0 || !store_roll(store, place, writer)) {
            brg_add_relaxed(&store->xlost, (uint64_t)1);
            if (store->more != NULL)
                store->more(store->more_argument, false);
            return;
        }
        chunk = *place;
    }
    uint32_t used = chunk->xused; /* ours alone to change */
    chunk->records[used] = *record;
    brg_store_release(&chunk->xused, used + 1); /* pairs with the readers' loads */
    if (store->more != NULL)
        store->more(store->more_argument, false);
}

/* ---- reading and giving back ------------------------------------------------------------------------------------- */

typedef struct store_reading {
    brg__chunk *heads; /* the chunk to read next of each writer, by next_head */
} store_reading;

static void reading_add(store_reading *reading, brg__chunk *chunk)
{
    chunk->next_same = chunk->next_head = NULL;
    for (brg__chunk *head = reading->heads; head != NULL; head = head->next_head)
        if (head->writer == chunk->writer) {
            while (head->next_same != NULL)
                head = head->next_same;
            head->next_same = chunk;
            return;
        }
    chunk->next_head = reading->heads;
    reading->heads = chunk;
}

/* Only the reader takes chunks out of a store that does not keep the newest: what is seen here stays. */
static void reading_begin(store_reading *reading, brg__store *store)
{
    reading->heads = NULL;
    brg__lock_acquire(&store->lock);
    brg__list_for_each(node, &store->chunks)
        reading_add(reading, store_chunk(node));
    brg__lock_release(&store->lock);
}

/* The one whose next record is the oldest of all; NULL: none is old enough. */
static brg__chunk **reading_oldest(store_reading *reading, uint64_t before_ns)
{
    brg__chunk **oldest = NULL;
    uint64_t time = before_ns;
    for (brg__chunk **at = &reading->heads; *at != NULL;) {
        brg__chunk *chunk = *at;
        if (chunk->read == brg_load_acquire(&chunk->xused)) { /* pairs with store_write */
            if (chunk->next_same != NULL)
                chunk->next_same->next_head = chunk->next_head;
            *at = chunk->next_same != NULL ? chunk->next_same : chunk->next_head;
            continue;
        }
        if (chunk->records[chunk->read].time_ns < time) {
            time = chunk->records[chunk->read].time_ns;
            oldest = at;
        }
        at = &chunk->next_head;
    }
    return oldest;
}

static void reading_end(brg__store *store)
{
    bool any = false;
    brg__lock_acquire(&store->lock);
    brg__list_for_each(node, &store->chunks) {
        brg__chunk *chunk = store_chunk(node);
        if (chunk->is_open || chunk->read != brg_load_relaxed(&chunk->xused))
            continue;
        brg__list_remove(node);
        brg__list_push_front(&store->free, node);
        any = true;
    }
    if (any)
        brg_store_relaxed(&store->xis_full, 0u);
    brg__lock_release(&store->lock);
}

bool brg__store_drain(brg__store *store, uint64_t before_ns, bool (*take)(void *argument, const brg__record *record),
                      void *argument)
{
    store_reading reading;
    reading_begin(&reading, store);
    brg__chunk **at;
    while ((at = reading_oldest(&reading, before_ns)) != NULL) {
        brg__chunk *chunk = *at;
        if (!take(argument, &chunk->records[chunk->read++]))
            break;
    }
    bool is_more = reading.heads != NULL; /* those that are read to their end are out of it */
    reading_end(store);
    return is_more;
}

uint64_t brg__store_take_lost(brg__store *store) { return brg_exchange_relaxed(&store->xlost, (uint64_t)0); }

/* ---- copying ----------------------------------------------------------------------------------------------------- */

static int copy_compare(const void *a, const void *b)
{
    const brg__record *one = a, *other = b;
    return one->time_ns < other->time_ns ? -1 : one->time_ns > other->time_ns;
}

/* Chunk by chunk, so that no writer waits for more than one. Those taken after number `last` had not begun when the
 * room was counted: there is none for them. */
static size_t copy_chunks(brg__store *store, uint64_t before_ns, uint64_t last, brg__record *records,
                          uint64_t *since_ns)
{
    size_t count = 0;
    brg__lock_acquire(&store->lock);
    store->cursor = brg__list_is_empty(&store->chunks) ? NULL : store_chunk(store->chunks.head.next);
    uint64_t copy = ++store->copies;
    while (store->cursor != NULL) {
        brg__chunk *chunk = store->cursor;
        bool is_new = chunk->number <= last && chunk->copied != copy; /* it may have been closed, and moved */
        uint32_t used = is_new ? brg_load_acquire(&chunk->xused) : 0; /* pairs with store_write */
        chunk->copied = copy;
        for (uint32_t i = 0; i < used; i++)
            if (chunk->records[i].time_ns < before_ns)
                records[count++] = chunk->records[i];
        store->cursor = store_after(store, chunk);
        brg__lock_release(&store->lock);
        brg__lock_acquire(&store->lock);
    }
    *since_ns = store->horizon_ns;
    brg__lock_release(&store->lock);
    return count;
}

bool brg__store_copy(brg__store *store, uint64_t before_ns, brg__record **records, size_t *count)
{
    *records = NULL;
    *count = 0;
    brg__lock_acquire(&store->lock);
    size_t room = (size_t)store->chunk_count * BRG__CHUNK_RECORDS;
    uint64_t last = store->numbers;
    brg__lock_release(&store->lock);
    if (room == 0)
        return true;
    *records = brg__malloc(room * sizeof(**records));
    if (*records == NULL)
        return false;
    uint64_t since_ns;
    size_t copied = copy_chunks(store, before_ns, last, *records, &since_ns);
    for (size_t i = 0; i < copied; i++)
        if ((*records)[i].time_ns >= since_ns)
            (*records)[(*count)++] = (*records)[i];
    qsort(*records, *count, sizeof(**records), copy_compare);
    return true;
}

void brg__store_count(brg__store *store, uint64_t *records, uint64_t *lost, uint64_t *bytes)
{
    *records = 0;
    brg__lock_acquire(&store->lock);
    brg__list_for_each(node, &store->chunks)
        *records += brg_load_relaxed(&store_chunk(node)->xused);
    *lost = store->overwritten + brg_load_relaxed(&store->xlost);
    *bytes = (uint64_t)store->chunk_count * sizeof(brg__chunk);
    brg__lock_release(&store->lock);
}
