/* SPDX-License-Identifier: MIT */
/* Submitting: checks, admission, the queue, and waking at most one worker. */
#include <string.h>

#include "base/options.h"
#include "os/clock.h"
#include "os/thread.h"
#include "pool/pool.h"

/* ---- the queue, with its bounds ------------------------------------------------------------------------------ */

static void submit_enqueued_locked(brg_pool *pool, brg_task *task)
{
    brg_store_relaxed(&task->place, (uint8_t)BRG__PLACE_QUEUE);
    uint32_t queued = pool->xqueued + 1;
    brg_store_relaxed(&pool->xqueued, queued);
    pool->queued_bytes += task->input_bytes;
    if (queued > pool->queued_peak)
        pool->queued_peak = queued;
}

static void submit_dequeued_locked(brg_pool *pool, brg_task *task)
{
    brg_store_relaxed(&pool->xqueued, pool->xqueued - 1);
    pool->queued_bytes -= task->input_bytes;
    if (task->expiry_if_linked != NULL) {
        brg__heap_remove(&pool->expiries, &task->expiry);
        task->expiry_if_linked = NULL;
    }
}

/* When the waiting task's time is over: queue timeout or deadline, whichever is first. */
static void submit_watch_expiry_locked(brg_pool *pool, brg_task *task)
{
    uint64_t at = task->attempts == 0 ? brg__min(task->start_by_ns, task->deadline_ns) : task->deadline_ns;
    if (at == UINT64_MAX)
        return;
    brg__heap_insert(&pool->expiries, &task->expiry, at);
    task->expiry_if_linked = &task->expiry;
    brg__pool_timer_at(pool, at);
}

brg_task *brg__task_pop_locked(brg_pool *pool)
{
    brg_task *task = pool->options.queue->pop(pool->queue);
    if (task != NULL)
        submit_dequeued_locked(pool, task);
    return task;
}

void brg__task_push_front_locked(brg_pool *pool, brg_task *task)
{
    pool->options.queue->push_front(pool->queue, task);
    submit_enqueued_locked(pool, task);
    if (task->has_clock)
        submit_watch_expiry_locked(pool, task);
}

void brg__task_unqueue_locked(brg_pool *pool, brg_task *task)
{
    pool->options.queue->remove(pool->queue, task);
    submit_dequeued_locked(pool, task);
}

/* ---- admission -------------------------------------------------------------------------------------------------- */

void brg__pool_room_locked(brg_pool *pool)
{
    if (BRG__LIKELY(pool->room_waiters == 0))
        return;
    brg_store_release(&pool->xroom_epoch, pool->xroom_epoch + 1);
    brg__futex_wake(&pool->xroom_epoch, INT32_MAX, BRG__FUTEX_PRIVATE);
}

static bool submit_is_full_locked(const brg_pool *pool, size_t bytes)
{
    return pool->xqueued >= pool->options.queue_max ||
           (pool->queued_bytes + bytes > pool->options.queue_bytes_max && pool->queued_bytes != 0);
}

/* Waits for room with the lock released meanwhile. BRG_OK with the lock held and room there, or mode and breaker to be
 * looked at. */
static brg_status submit_wait_locked(brg_pool *pool, size_t bytes)
{
    uint64_t timeout = pool->options.admission_timeout_ns;
    uint64_t deadline = brg__deadline(timeout == 0 ? BRG_FOREVER : timeout);
    while (pool->mode == BRG__POOL_OPEN && submit_is_full_locked(pool, bytes)) {
        uint32_t epoch = pool->xroom_epoch;
        pool->room_waiters++;
        brg__lock_release(&pool->lock);
        bool in_time = brg__futex_wait(&pool->xroom_epoch, epoch, deadline, BRG__FUTEX_PRIVATE);
        brg__lock_acquire(&pool->lock);
        pool->room_waiters--;
        if (!in_time && pool->mode == BRG__POOL_OPEN && submit_is_full_locked(pool, bytes))
            return BRG_TIMED_OUT;
    }
    return BRG_OK;
}

/* With the lock held: whether a task may come in. */
static brg_status submit_admit_locked(brg_pool *pool, size_t bytes)
{
    if (pool->mode != BRG__POOL_OPEN)
        return BRG_CLOSED;
    if (submit_is_full_locked(pool, bytes)) {
        if (pool->options.admission == BRG_ADMISSION_REJECT) {
            pool->rejected++;
            return BRG_FULL;
        }
        brg_status status = submit_wait_locked(pool, bytes);
        if (status != BRG_OK) {
            pool->rejected++;
            return status;
        }
        if (pool->mode != BRG__POOL_OPEN)
            return BRG_CLOSED;
    }
    return pool->breaker_until != 0 ? BRG_UNAVAILABLE : BRG_OK;
}

/* ---- submit ------------------------------------------------------------------------------------------------------ */

typedef struct submit_work {
    const char *name; /* or */
    brg_call_fn call;
    void *argument;
    brg_value *input;
    size_t input_bytes;
} submit_work;

/* The clocks of a task that has any. */
static void submit_fill_clocks_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options,
                                      uint64_t queue_timeout)
{
    task->started_ns = 0;
    task->submitted_ns = brg__now();
    task->deadline_ns = UINT64_MAX;
    if (options->deadline_ns != 0)
        task->deadline_ns = brg__add_saturated(task->submitted_ns, options->deadline_ns);
    task->run_timeout_ns = options->run_timeout_ns != 0 ? options->run_timeout_ns : pool->options.run_timeout_ns;
    task->start_by_ns = queue_timeout == UINT64_MAX ? UINT64_MAX
                                                    : brg__add_saturated(task->submitted_ns, queue_timeout);
    submit_watch_expiry_locked(pool, task);
}

static void submit_fill_locked(brg_pool *pool, brg_task *task, const submit_work *work,
                               const brg_submit_options *options, bool has_handle)
{
    const brg_pool_options *defaults = &pool->options;
    task->call = work->call;
    task->argument = work->argument;
    task->done = options->done;
    task->user_data = options->user_data;
    task->xstate = BRG_TASK_QUEUED;
    task->has_handle = has_handle;
    task->cancel_asked = false;
    task->slot = NULL;
    task->input = work->input;
    task->input_bytes = work->input_bytes;
    task->attempts = task->crashes = 0;
    task->attempts_max = options->attempts_max != 0 ? options->attempts_max : defaults->attempts_max;
    if (has_handle) {
        task->xreferences = 2;
        task->id = pool->submitted + 1;
        task->ticket = 0;
    }
    if (work->name != NULL)
        memcpy(task->name, work->name, strlen(work->name) + 1);
    uint64_t queue_timeout = options->queue_timeout_ns != 0 ? options->queue_timeout_ns : defaults->queue_timeout_ns;
    task->has_clock = defaults->timing || queue_timeout != UINT64_MAX || options->deadline_ns != 0 ||
                      options->run_timeout_ns != 0 || defaults->run_timeout_ns != UINT64_MAX;
    if (task->has_clock)
        submit_fill_clocks_locked(pool, task, options, queue_timeout);
}

static brg_status submit_error(const brg_pool *pool, const brg_submit_options *options, brg_status status)
{
    brg_error *error = options->error;
    switch (status) {
    case BRG_FULL:
        return brg_error_set(error, status, "pool",
                             "the queue is full: queue_max is %u tasks, queue_bytes_max %zu bytes",
                             pool->options.queue_max, pool->options.queue_bytes_max);
    case BRG_TIMED_OUT:
        return brg_error_set(error, status, "pool", "the queue had no room within admission_timeout_ns");
    case BRG_CLOSED:
        return brg_error_set(error, status, "pool", "the pool is shutting down and takes no new tasks");
    case BRG_UNAVAILABLE:
        return brg_error_set(error, status, "pool", "workers do not start: %s", pool->start_error.message);
    case BRG_NO_MEMORY:
        return brg_error_set(error, status, "pool", "out of memory for a task");
    default:
        return status;
    }
}

static brg_status submit_task(brg_pool *pool, const submit_work *work, const brg_submit_options *options,
                              brg_task **handle)
{
    if (pool->options.admission == BRG_ADMISSION_BLOCK && brg__pool_is_own_worker(pool) &&
        brg_load_relaxed(&pool->xqueued) >= pool->options.queue_max)
        return brg_error_set(options->error, BRG_DEADLOCK, "pool",
                             "a task of this pool must not wait for room in its queue");
    brg__lock_acquire(&pool->lock);
    brg_status status = submit_admit_locked(pool, work->input_bytes);
    brg_task *task = status == BRG_OK ? brg__task_new_locked(pool) : NULL;
    if (task == NULL) {
        if (status == BRG_OK)
            status = BRG_NO_MEMORY;
        submit_error(pool, options, status);
        brg__lock_release(&pool->lock);
        return status;
    }
    submit_fill_locked(pool, task, work, options, handle != NULL);
    if (options->done != NULL) {
        pool->with_done++;
        brg__loop_hold(pool->options.loop);
    }
    if (handle != NULL) {
        brg__pool_ref(pool);
        *handle = task;
    }
    pool->submitted++;
    pool->options.queue->push(pool->queue, task);
    submit_enqueued_locked(pool, task);
    brg_worker *wake = NULL;
    if (brg__pool_has_processes(pool)) {
        brg__pool_view view = brg__pool_view_locked(pool);
        brg__slot *slot = pool->options.placement->next(&view);
        if (slot != NULL)
            brg__slot_feed_locked(slot);
    } else {
        wake = brg__pool_wake_locked(pool);
    }
    brg__lock_release(&pool->lock);
    if (wake != NULL) {
        brg__gate_wake(&wake->gate, BRG__FUTEX_PRIVATE);
        brg__worker_unref(wake);
    }
    return BRG_OK;
}

static brg_status submit_read_options(const brg_pool *pool, const brg_submit_options *from, brg_submit_options *to)
{
    brg_status status = brg__options_read(to, sizeof(*to), from, "brg_submit_options", NULL);
    brg_error *error = from != NULL && from->size >= sizeof(*from) ? from->error : NULL;
    if (status != BRG_OK)
        return brg_error_set(error, status, "pool",
                             "brg_submit_options of a newer header, or without its size: use brg_submit_opts");
    if (pool->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "pool", "the pool belongs to the parent of this forked process");
    if (to->done != NULL && pool->options.loop == NULL)
        return brg_error_set(error, BRG_INVALID, "pool",
                             "done needs a pool with a loop; without one take a handle and wait on it");
    return BRG_OK;
}

brg_status brg_pool_submit(brg_pool *pool, const char *name, brg_value *input, const brg_submit_options *given,
                           brg_task **task)
{
    brg_submit_options options;
    if (pool == NULL)
        return BRG_INVALID;
    brg_status status = submit_read_options(pool, given, &options);
    if (status != BRG_OK)
        return status;
    if (name == NULL || name[0] == '\0' || strlen(name) > BRG_TASK_NAME_MAX)
        return brg_error_set(options.error, BRG_INVALID, "pool", "a task name has 1 to %d bytes", BRG_TASK_NAME_MAX);
    if (pool->options.module == NULL && pool->options.linked_module == NULL)
        return brg_error_set(options.error, BRG_INVALID, "pool",
                             "this pool has no module, so no task named \"%s\": use brg_pool_submit_call", name);
    submit_work work = {.name = name, .input = input};
    if (input != NULL)
        work.input_bytes = brg_value_size_with_buffers(input);
    size_t copied = input == NULL ? 0 : brg__value_copied_bytes(input);
    if (copied > pool->options.message_bytes_max)
        return brg_error_set(options.error, BRG_TOO_LARGE, "pool", "the input has %zu bytes, message_bytes_max is %zu",
                             copied, pool->options.message_bytes_max);
    if (input != NULL && !brg__value_is_whole(input))
        return brg_error_set(options.error, BRG_INVALID, "pool",
                             "a port or descriptor was taken out of the input; build a new one without it");
    return submit_task(pool, &work, &options, task);
}

brg_status brg_pool_submit_call(brg_pool *pool, brg_call_fn call, void *argument, const brg_submit_options *given,
                                brg_task **task)
{
    brg_submit_options options;
    if (pool == NULL)
        return BRG_INVALID;
    brg_status status = submit_read_options(pool, given, &options);
    if (status != BRG_OK)
        return status;
    if (call == NULL)
        return brg_error_set(options.error, BRG_INVALID, "pool", "the function must not be NULL");
    if (brg__pool_has_processes(pool))
        return brg_error_set(options.error, BRG_UNSUPPORTED, "pool",
                             "process workers cannot see this program's functions: put the task into a module");
    submit_work work = {.call = call, .argument = argument};
    return submit_task(pool, &work, &options, task);
}

brg_status brg_pool_call(brg_pool *pool, brg_call_fn call, void *argument, brg_done_fn done, void *user_data)
{
    if (pool == NULL || call == NULL || brg__pool_has_processes(pool) || pool->generation != brg__fork_generation() ||
        (done != NULL && pool->options.loop == NULL))
        return brg_pool_submit_call(pool, call, argument, brg_submit_opts(.done = done, .user_data = user_data), NULL);
    brg_submit_options options = {.size = sizeof(options), .done = done, .user_data = user_data};
    submit_work work = {.call = call, .argument = argument};
    return submit_task(pool, &work, &options, NULL);
}
