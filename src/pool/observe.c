/* SPDX-License-Identifier: MIT */
/*
 * What happens in a pool, told to its probes and to the stores of its watches and traces.
 *
 * A worker's thread writes without the lock. It marks slot->xrecording meanwhile, so that who removes a store, under
 * the lock, can wait until no thread is in it: some instructions long. The places of its chunks are in the slot.
 *
 * A task without a handle has no number, and no name lies within reach of a record: both are given at submit while
 * anybody watches (BRG__TASK_NUMBERED). Names are kept once each, to the end of all records; beyond NAMES_MAX different
 * ones they are "(other)".
 */
#include "pool/observe.h"

#include <string.h>

#include "os/clock.h"
#include "os/memory.h"
#include "os/thread.h"

#define NAMES_MAX 4096
#define NAMES_BUCKETS 1024

#define OBSERVE_DEFINE(NAME, name, group, value) BRG__PROBE_DEFINE(name)
BRG_EVENT_MAP(OBSERVE_DEFINE)
#undef OBSERVE_DEFINE

/* ---- names ------------------------------------------------------------------------------------------------------- */

typedef struct names_entry {
    struct names_entry *next;
    char text[];
} names_entry;

struct brg__names {
    uint32_t xreferences;
    uint32_t count;
    names_entry *buckets[NAMES_BUCKETS]; /* under the pool's lock */
};

typedef struct brg__observers {
    brg__store *xstores[BRG__OBSERVERS_MAX];
    uint32_t xbound;                        /* none has this index or a higher one */
    brg__chunk *chunks[BRG__OBSERVERS_MAX]; /* written under the lock */
    brg__names *names;
} brg__observers;

void brg__names_unref(brg__names *names)
{
    if (names == NULL || brg_sub_acq_rel(&names->xreferences, 1u) != 1)
        return;
    for (size_t i = 0; i < NAMES_BUCKETS; i++)
        while (names->buckets[i] != NULL) {
            names_entry *entry = names->buckets[i];
            names->buckets[i] = entry->next;
            brg__mfree(entry);
        }
    brg__mfree(names);
}

brg__names *brg__names_of(brg_pool *pool)
{
    brg_add_relaxed(&pool->observers->names->xreferences, 1u);
    return pool->observers->names;
}

static const char *names_keep_locked(brg__names *names, const char *text)
{
    names_entry **bucket = &names->buckets[brg_key(text) % NAMES_BUCKETS];
    for (names_entry *entry = *bucket; entry != NULL; entry = entry->next)
        if (strcmp(entry->text, text) == 0)
            return entry->text;
    size_t size = strlen(text) + 1;
    names_entry *entry = names->count < NAMES_MAX ? brg__malloc(sizeof(*entry) + size) : NULL;
    if (entry == NULL)
        return "(other)";
    memcpy(entry->text, text, size);
    entry->next = *bucket;
    *bucket = entry;
    names->count++;
    return entry->text;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static void observe_store(brg_pool *pool, brg__slot *writer, brg__record *record)
{
    brg__observers *observers = pool->observers;
    brg__chunk **chunks = writer != NULL ? writer->chunks : observers->chunks;
    if (writer != NULL)
        (void)brg_exchange_seq_cst(&writer->xrecording, 1u); /* before looking: pairs with brg__observers_remove */
    record->time_ns = brg__now_real();
    uint32_t bound = brg_load_seq_cst(&observers->xbound);
    for (uint32_t i = 0; i < bound; i++) {
        brg__store *store = brg_load_seq_cst(&observers->xstores[i]); /* pairs with brg__observers_add */
        if (store != NULL && (store->mask & BRG_EVENT_BIT(record->type)) != 0)
            brg__store_write(store, &chunks[i], writer == NULL ? 0 : writer->index + 1, record);
    }
    if (writer != NULL)
        brg_store_release(&writer->xrecording, 0u);
}

/* One probe for each kind of event, all with the same arguments, the most useful first: bpftrace 0.17 knows six. */
static void observe_probe(const brg_pool *pool, const void *task, const char *name, const brg__record *record)
{
    const char *pool_name = pool->options.name;
    const void *call = record->is_function ? (const void *)(uintptr_t)record->is.function : NULL;
    uint64_t worker = record->worker_id, value = record->value;
    int status = record->status;
    unsigned attempt = record->attempt;
    switch ((brg_event_type)record->type) {
#define OBSERVE_PROBE(NAME, name_, group, value_)                                                                      \
    case BRG_EVENT_##NAME:                                                                                             \
        BRG__PROBE8(name_, pool_name, task, name, worker, status, value, attempt, call);                               \
        break;
        BRG_EVENT_MAP(OBSERVE_PROBE)
#undef OBSERVE_PROBE
    default:
        break;
    }
    (void)pool_name, (void)name, (void)call, (void)worker, (void)value, (void)status, (void)attempt; /* no probes */
}

static brg__record observe_record(const brg__sight *sight)
{
    return (brg__record){.type = (uint8_t)sight->type,
                         .status = (int16_t)sight->status,
                         .worker_id = sight->worker_id,
                         .worker_index = sight->slot == NULL ? UINT16_MAX
                                                             : (uint16_t)brg__min(sight->slot->index, UINT16_MAX),
                         .value = sight->value,
                         .batch = sight->batch};
}

static brg_priority observe_priority(uint8_t band)
{
    static const brg_priority priorities[] = {BRG_PRIORITY_URGENT, BRG_PRIORITY_HIGH, BRG_PRIORITY_NORMAL,
                                              BRG_PRIORITY_LOW};
    return band < brg__count_of(priorities) ? priorities[band] : BRG_PRIORITY_NORMAL;
}

void brg__observe_task(brg_pool *pool, brg__slot *writer, const brg_task *task, const brg__sight *sight)
{
    if (brg__task_is(task, BRG__TASK_INTERNAL | BRG__TASK_CARRIER))
        return;
    brg__record record = observe_record(sight);
    bool is_numbered = brg__task_is(task, BRG__TASK_NUMBERED);
    if (is_numbered || brg__task_is(task, BRG__TASK_HANDLE))
        record.task = task->id;
    record.key = task->item.key;
    record.priority = (uint8_t)observe_priority(task->item.band);
    if (sight->type != BRG_EVENT_TASK_CANCEL_ASKED) /* it may run, and count them, meanwhile */
        record.attempt = (uint16_t)brg__min(task->attempts, UINT16_MAX);
    record.is_function = task->call != NULL;
    if (task->call != NULL)
        record.is.function = task->call;
    else
        record.is.name = is_numbered ? task->event_name : NULL;
    observe_probe(pool, task, task->call == NULL ? task->name : "", &record);
    if ((brg_load_acquire(&pool->xobserved) & BRG_EVENT_BIT(sight->type)) != 0)
        observe_store(pool, writer, &record);
}

void brg__observe_other_locked(brg_pool *pool, const brg__sight *sight)
{
    brg__record record = observe_record(sight);
    observe_probe(pool, NULL, "", &record);
    if ((brg_load_acquire(&pool->xobserved) & BRG_EVENT_BIT(sight->type)) != 0)
        observe_store(pool, NULL, &record);
}

void brg__observe_flow_locked(brg_pool *pool, const brg__seen *flow, const brg__sight *sight, uint64_t key)
{
    brg__record record = observe_record(sight);
    record.task = flow->number;
    record.key = key;
    record.is_function = flow->name[0] == '\0';
    if (record.is_function)
        record.is.function = flow->function;
    else
        record.is.name = pool->observers == NULL ? NULL : names_keep_locked(pool->observers->names, flow->name);
    observe_probe(pool, flow, flow->name, &record);
    if ((brg_load_acquire(&pool->xobserved) & BRG_EVENT_BIT(sight->type)) != 0 && pool->mode < BRG__POOL_CLOSED)
        observe_store(pool, NULL, &record); /* the end of the pool is the last that is told */
}

void brg__observe_submit_locked(brg_pool *pool, brg_task *task)
{
    if (brg_load_relaxed(&pool->xobserved) != 0) {
        task->kind |= BRG__TASK_NUMBERED;
        task->id = pool->submitted;
        task->event_name = task->call == NULL ? names_keep_locked(pool->observers->names, task->name) : NULL;
    }
    brg__observe_task(pool, NULL, task,
                      &(brg__sight){.type = BRG_EVENT_TASK_SUBMITTED, .value = brg__pool_waiting_locked(pool)});
}

void brg__observe_settle(brg_pool *pool, brg__slot *writer, const brg_task *task, brg_status status, uint64_t worker_id,
                         uint64_t run_ns)
{
    const brg__slot *slot = writer;
    if (slot == NULL && task->attempts != 0 && worker_id != 0)
        slot = task->slot;
    brg__observe_task(
        pool, writer, task,
        &(brg__sight){
            .type = BRG_EVENT_TASK_SETTLED, .status = status, .slot = slot, .worker_id = worker_id, .value = run_ns});
}

/* A thread's task is its own, and a batch's are several: only where it runs is known here. */
void brg__observe_overdue_locked(brg__slot *slot, uint64_t ticket)
{
    brg__sight sight = {.type = BRG_EVENT_TASK_OVERDUE,
                        .status = BRG_TIMED_OUT,
                        .slot = slot,
                        .worker_id = slot->worker == NULL ? 0 : slot->worker->id};
    for (uint32_t i = 0; i < slot->ahead_count; i++) {
        const brg__ahead *ahead = &slot->ahead[(slot->ahead_first + i) % BRG__AHEAD_MAX];
        bool is_batch = ahead->task != NULL && brg__task_is(ahead->task, BRG__TASK_CARRIER);
        if (ahead->task != NULL && ahead->ticket == ticket && !is_batch) {
            brg__observe_task(slot->pool, NULL, ahead->task, &sight);
            return;
        }
    }
    brg__observe_other_locked(slot->pool, &sight);
}

/* ---- who observes ------------------------------------------------------------------------------------------------ */

static brg_status observers_begin_locked(brg_pool *pool)
{
    if (pool->observers != NULL)
        return BRG_OK;
    brg__observers *observers = brg__calloc(1, sizeof(*observers));
    brg__names *names = brg__calloc(1, sizeof(*names));
    if (observers == NULL || names == NULL) {
        brg__mfree(observers);
        brg__mfree(names);
        return BRG_NO_MEMORY;
    }
    names->xreferences = 1;
    observers->names = names;
    pool->observers = observers;
    return BRG_OK;
}

/* The union of what they want. The order: stores first, then what makes workers look at them. */
static void observers_mask_locked(brg_pool *pool)
{
    uint64_t mask = 0;
    uint32_t bound = 0;
    for (uint32_t i = 0; i < BRG__OBSERVERS_MAX; i++)
        if (pool->observers->xstores[i] != NULL) {
            mask |= pool->observers->xstores[i]->mask;
            bound = i + 1;
        }
    brg_store_seq_cst(&pool->observers->xbound, bound);
    brg_store_release(&pool->xobserved, mask); /* pairs with the loads before observe_store */
}

static brg_status observers_add_locked(brg_pool *pool, brg__store *store, brg_error *error)
{
    if (pool->mode >= BRG__POOL_CLOSED)
        return brg_error_set(error, BRG_CLOSED, "pool", "the pool has ended");
    if (observers_begin_locked(pool) != BRG_OK)
        return brg__error_memory(error, "what watches a pool");
    for (uint32_t i = 0; i < BRG__OBSERVERS_MAX; i++) {
        if (pool->observers->xstores[i] != NULL)
            continue;
        brg__store_ref(store);
        brg_store_seq_cst(&pool->observers->xstores[i], store); /* pairs with observe_store */
        observers_mask_locked(pool);
        return BRG_OK;
    }
    return brg_error_set(error, BRG_FULL, "pool", "%d watches and traces are on the pool already", BRG__OBSERVERS_MAX);
}

brg_status brg__observers_add(brg_pool *pool, brg__store *store, brg_error *error)
{
    if (pool->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "pool", "the pool belongs to the parent of this forked process");
    brg__pool_lock(pool);
    brg_status status = observers_add_locked(pool, store, error);
    brg__pool_unlock(pool);
    return status;
}

/* Until no worker is in it, and with its chunks closed. */
static void observers_clear_locked(brg_pool *pool, uint32_t index)
{
    brg_store_seq_cst(&pool->observers->xstores[index], (brg__store *)NULL);
    observers_mask_locked(pool);
    pool->observers->chunks[index] = NULL;
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        brg__slot *slot = pool->slots[i];
        while (brg_load_seq_cst(&slot->xrecording) != 0) /* pairs with observe_store */
            brg__thread_yield();
        slot->chunks[index] = NULL;
    }
}

void brg__observers_remove(brg_pool *pool, brg__store *store)
{
    bool found = false;
    if (pool->generation != brg__fork_generation())
        return; /* its lock and its threads are the parent's */
    brg__pool_lock(pool);
    for (uint32_t i = 0; pool->observers != NULL && i < BRG__OBSERVERS_MAX; i++)
        if (pool->observers->xstores[i] == store) {
            observers_clear_locked(pool, i);
            found = true;
        }
    brg__pool_unlock(pool);
    if (found)
        brg__store_unref(store);
}

void brg__observers_end(brg_pool *pool)
{
    brg__store *stores[BRG__OBSERVERS_MAX] = {NULL};
    brg__pool_lock(pool);
    for (uint32_t i = 0; pool->observers != NULL && i < BRG__OBSERVERS_MAX; i++) {
        stores[i] = pool->observers->xstores[i];
        if (stores[i] != NULL)
            observers_clear_locked(pool, i);
    }
    brg__pool_unlock(pool);
    for (uint32_t i = 0; i < BRG__OBSERVERS_MAX; i++)
        brg__store_unref(stores[i]);
}

void brg__observers_free(brg_pool *pool)
{
    if (pool->observers == NULL)
        return;
    for (uint32_t i = 0; i < BRG__OBSERVERS_MAX; i++) /* a forked child's, or one that never began */
        brg__store_unref(pool->observers->xstores[i]);
    brg__names_unref(pool->observers->names);
    brg__mfree(pool->observers);
}

const char *brg_event_name(brg_event_type type)
{
    static const char *const names[] = {
#define OBSERVE_NAME(NAME, name, group, value) #name,
        BRG_EVENT_MAP(OBSERVE_NAME)
#undef OBSERVE_NAME
    };
    return (unsigned)type < brg__count_of(names) ? names[type] : "?";
}
