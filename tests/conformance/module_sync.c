/* SPDX-License-Identifier: MIT */
/* Commands about what lies on shared memory: one function of brigade/sync.h each, at "offset". */
#include "module.h"

#include <string.h>

static size_t sync_offset(const conf_call *call) { return (size_t)call_int(call, "offset", 0); }

static brg_status sync_mutex_lock(conf_call *call)
{
    return brg_mutex_lock(call->party->shared, sync_offset(call), call_timeout(call));
}

static brg_status sync_mutex_unlock(conf_call *call)
{
    return brg_mutex_unlock(call->party->shared, sync_offset(call));
}

/* "times" times: lock, add 1 without atomics to the word at "counter", unlock. */
static brg_status sync_mutex_count(conf_call *call)
{
    volatile uint32_t *word = (volatile uint32_t *)((char *)brg_shared_data(call->party->shared) +
                                                    call_int(call, "counter", 0));
    brg_status status = BRG_OK;
    for (int64_t i = call_int(call, "times", 1); i > 0 && status == BRG_OK; i--) {
        status = brg_mutex_lock(call->party->shared, sync_offset(call), BRG_FOREVER);
        if (status != BRG_OK)
            break;
        *word = *word + 1;
        status = brg_mutex_unlock(call->party->shared, sync_offset(call));
    }
    return status;
}

static brg_status sync_rwlock_read(conf_call *call)
{
    return brg_rwlock_read(call->party->shared, sync_offset(call), call_timeout(call));
}

static brg_status sync_rwlock_write(conf_call *call)
{
    return brg_rwlock_write(call->party->shared, sync_offset(call), call_timeout(call));
}

static brg_status sync_rwlock_end_read(conf_call *call)
{
    return brg_rwlock_end_read(call->party->shared, sync_offset(call));
}

static brg_status sync_rwlock_end_write(conf_call *call)
{
    return brg_rwlock_end_write(call->party->shared, sync_offset(call));
}

/* Waits for the word at "counter" to be no longer 0, as conditions are meant to be used. */
static brg_status sync_condition_wait(conf_call *call)
{
    size_t mutex = (size_t)call_int(call, "mutex", 0);
    uint32_t word = 0;
    brg_status status = brg_mutex_lock(call->party->shared, mutex, call_timeout(call));
    if (status != BRG_OK)
        return status;
    while (status == BRG_OK) {
        status = brg_shared_load32(call->party->shared, (size_t)call_int(call, "counter", 0), &word);
        if (status == BRG_OK && word != 0)
            break;
        status = brg_condition_wait(call->party->shared, sync_offset(call), mutex, call_timeout(call));
    }
    brg_status unlocked = brg_mutex_unlock(call->party->shared, mutex);
    return status != BRG_OK ? status : unlocked;
}

static brg_status sync_semaphore_acquire(conf_call *call)
{
    return brg_semaphore_acquire(call->party->shared, sync_offset(call), call_timeout(call));
}

static brg_status sync_semaphore_release(conf_call *call)
{
    return brg_semaphore_release(call->party->shared, sync_offset(call), (uint32_t)call_int(call, "count", 1));
}

/* "times" rounds; adds 1 at "counter" before each, and says how often it found it too small after it. */
static brg_status sync_barrier(conf_call *call)
{
    brg_status status = BRG_OK;
    int64_t led = 0, early = 0, parties = call_int(call, "parties", 1);
    size_t counter = (size_t)call_int(call, "counter", 0);
    for (int64_t round = 1; round <= call_int(call, "times", 1) && status == BRG_OK; round++) {
        bool leader = false;
        uint32_t seen = 0;
        brg_shared_add32(call->party->shared, counter, 1, NULL);
        status = brg_barrier_wait(call->party->shared, sync_offset(call), call_timeout(call), &leader);
        brg_shared_load32(call->party->shared, counter, &seen);
        early += seen < round * parties;
        led += leader;
    }
    call_add_int(call, "led", led);
    call_add_int(call, "early", early);
    return status;
}

static brg_status sync_latch_count_down(conf_call *call)
{
    return brg_latch_count_down(call->party->shared, sync_offset(call), (uint32_t)call_int(call, "count", 1));
}

static brg_status sync_latch_wait(conf_call *call)
{
    return brg_latch_wait(call->party->shared, sync_offset(call), call_timeout(call));
}

/* Does it where it is the one to do so: adds 1 at "counter". With "hold" it does not end it. */
static brg_status sync_once(conf_call *call)
{
    bool run = false;
    brg_status status = brg_once_begin(call->party->shared, sync_offset(call), call_timeout(call), &run);
    call_add_int(call, "ran", run);
    if (!run || call_flag(call, "hold"))
        return status;
    brg_shared_add32(call->party->shared, (size_t)call_int(call, "counter", 0), 1, NULL);
    brg_status ended = brg_once_end(call->party->shared, sync_offset(call), true);
    return status != BRG_OK ? status : ended;
}

/* Pushes "first", "first" + 1, ...: "count" of them. */
static brg_status sync_queue_push(conf_call *call)
{
    brg_status status = BRG_OK;
    uint64_t first = (uint64_t)call_int(call, "first", 0);
    for (uint64_t i = 0; i < (uint64_t)call_int(call, "count", 1) && status == BRG_OK; i++) {
        uint64_t item = first + i;
        status = brg_queue_push(call->party->shared, sync_offset(call), &item, sizeof(item), call_timeout(call));
    }
    return status;
}

/* Takes items until the queue is closed; says their sum and how many. */
static brg_status sync_queue_drain(conf_call *call)
{
    int64_t sum = 0, count = 0;
    uint64_t item;
    brg_status status;
    while ((status = brg_queue_pop(call->party->shared, sync_offset(call), &item, sizeof(item), call_timeout(call))) ==
           BRG_OK) {
        sum += (int64_t)item;
        count++;
    }
    call_add_int(call, "sum", sum);
    call_add_int(call, "count", count);
    return status == BRG_CLOSED ? BRG_OK : status;
}

const conf_command party_sync_commands[] = {{"mutex_lock", sync_mutex_lock},
                                            {"mutex_unlock", sync_mutex_unlock},
                                            {"mutex_count", sync_mutex_count},
                                            {"rwlock_read", sync_rwlock_read},
                                            {"rwlock_write", sync_rwlock_write},
                                            {"rwlock_end_read", sync_rwlock_end_read},
                                            {"rwlock_end_write", sync_rwlock_end_write},
                                            {"condition_wait", sync_condition_wait},
                                            {"semaphore_acquire", sync_semaphore_acquire},
                                            {"semaphore_release", sync_semaphore_release},
                                            {"barrier", sync_barrier},
                                            {"latch_count_down", sync_latch_count_down},
                                            {"latch_wait", sync_latch_wait},
                                            {"once", sync_once},
                                            {"queue_push", sync_queue_push},
                                            {"queue_drain", sync_queue_drain},
                                            {NULL, NULL}};
