/* SPDX-License-Identifier: MIT */
/* Submitting: checks, admission, the task filled and handed over. */
#include <string.h>

#include "base/options.h"
#include "os/clock.h"
#include "pool/caller.h"
#include "pool/extras.h"
#include "pool/metrics.h"
#include "pool/observe.h"
#include "pool/pool.h"
#include "pool/submit.h"

/* ---- filling a task ---------------------------------------------------------------------------------------------- */

static const uint8_t submit_bands[] = {
    [BRG_PRIORITY_NORMAL] = 2, [BRG_PRIORITY_URGENT] = 0, [BRG_PRIORITY_HIGH] = 1, [BRG_PRIORITY_LOW] = 3};

uint8_t brg__submit_band(brg_priority priority) { return submit_bands[priority]; }

/* The clocks of a task that has any. */
static void submit_fill_clocks_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options,
                                      uint64_t queue_timeout)
{
    task->started_ns = 0;
    task->heartbeat_ns = brg__task_is(task, BRG__TASK_INTERNAL) ? 0 : pool->options.heartbeat_ns;
    task->submitted_ns = brg__now();
    task->deadline_ns = UINT64_MAX;
    if (options->deadline_ns != 0)
        task->deadline_ns = brg__add_saturated(task->submitted_ns, options->deadline_ns);
    task->item.due_ns = task->deadline_ns;
    task->run_timeout_ns = options->run_timeout_ns != 0 ? options->run_timeout_ns : pool->options.run_timeout_ns;
    task->start_by_ns = queue_timeout == UINT64_MAX
                            ? UINT64_MAX
                            : brg__add_saturated(task->submitted_ns,
                                                 brg__add_saturated(queue_timeout, options->delay_ns));
}

/* What every task has. */
static void submit_fill_plain(brg_pool *pool, brg_task *task, const brg__work *work)
{
    task->item.key = 0;
    task->item.due_ns = UINT64_MAX;
    task->item.since_ns = 0;
    task->item.cost = 1;
    task->item.band = submit_bands[BRG_PRIORITY_NORMAL];
    task->item.reserved_1 = 0;            /* its lane */
    task->item.reserved_2 = BRG_SEAT_ANY; /* until it is put somewhere */
    task->call = work->call;
    task->argument = work->argument;
    task->done = work->done;
    task->user_data = work->user_data;
    task->xstate = BRG_TASK_QUEUED;
    task->kind = work->kind;
    task->cancel_asked = task->has_result = false;
    task->slot = NULL;
    task->input = work->input;
    task->input_bytes = work->input_bytes;
    task->attempts = task->crashes = 0;
    task->attempts_max = pool->options.attempts_max;
    task->measured = 0;
    task->extras = NULL;
}

void brg__submit_fill_locked(brg_pool *pool, brg_task *task, const brg__work *work, const brg_submit_options *options,
                             bool has_handle)
{
    const brg_pool_options *defaults = &pool->options;
    submit_fill_plain(pool, task, work);
    task->goes_alone = false;
    task->age = 0;
    task->item.key = options->key;
    task->item.band = submit_bands[options->priority];
    task->done = options->done;
    task->user_data = options->user_data;
    if (options->attempts_max != 0)
        task->attempts_max = options->attempts_max;
    if (has_handle || options->token != NULL || options->group != NULL) { /* it may be cancelled in a worker's hand */
        task->kind |= BRG__TASK_HANDLE;
        task->xreferences = has_handle ? 2 : 1;
        task->id = pool->submitted + 1;
        task->ticket = 0;
    }
    if (work->name != NULL)
        memcpy(task->name, work->name, strlen(work->name) + 1);
    uint64_t queue_timeout = options->queue_timeout_ns != 0 ? options->queue_timeout_ns : defaults->queue_timeout_ns;
    if (defaults->timing || queue_timeout != UINT64_MAX || (options->deadline_ns | options->delay_ns) != 0 ||
        options->run_timeout_ns != 0 || defaults->run_timeout_ns != UINT64_MAX || defaults->heartbeat_ns != 0) {
        task->kind |= BRG__TASK_CLOCK;
        submit_fill_clocks_locked(pool, task, options, queue_timeout);
    }
    brg__metrics_submit_locked(pool, task);
}

brg_status brg__submit_error(const brg_pool *pool, const brg_submit_options *options, brg_status status)
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
    case BRG_DEADLOCK:
        return brg_error_set(error, status, "pool", "a task of this pool must not wait for room in its queue");
    case BRG_RANGE:
        return brg_error_set(error, BRG_INVALID, "pool",
                             "tasks of this pool ask for more than %d different sets of tags", BRG__LANES_MAX);
    default:
        return status;
    }
}

/* ---- submit ------------------------------------------------------------------------------------------------------ */

/* The task is the pool's: from here on it settles. */
void brg__submit_accept_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options)
{
    if (options->done != NULL) {
        pool->with_done++;
        brg__loop_hold(pool->options.loop);
    }
    if (brg__task_is(task, BRG__TASK_HANDLE) && task->xreferences == 2)
        brg__pool_ref(pool); /* the handle's */
    pool->submitted++;
    brg__see_submitted_locked(pool, task);
}

static bool submit_fits_a_worker(const brg_pool *pool, uint64_t tags)
{
    uint32_t count = (uint32_t)brg__min(pool->options.worker_tags_count, brg_load_relaxed(&pool->options.workers_max));
    for (uint32_t i = 0; i < count; i++)
        if ((pool->options.worker_tags[i] & tags) == tags)
            return true;
    return false;
}

/* What it takes beside the task itself: a lane for its tags, its extras. */
brg_status brg__submit_prepare_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options)
{
    if (BRG__LIKELY((options->tags | options->after_count) == 0 && options->token == NULL && options->group == NULL &&
                    options->on_progress == NULL && options->progress_max == 0))
        return BRG_OK;
    if (options->tags != 0 && !submit_fits_a_worker(pool, options->tags)) /* there are fewer by now */
        return brg_error_set(options->error, BRG_INVALID, "pool", "no worker of the pool has all the tags any more");
    int lane = brg__schedule_lane(&pool->schedule, options->tags);
    if (lane < 0)
        return lane == -1 ? BRG_NO_MEMORY : BRG_RANGE;
    task->item.reserved_1 = (uint8_t)lane;
    return brg__extras_join_locked(pool, task, options);
}

static void submit_queue_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options)
{
    brg__pool_count_locked(pool, task);
    if (brg__task_is(task, BRG__TASK_EXTRAS) && brg__extras_is_blocked_locked(task)) {
        task->start_delay_ns = options->delay_ns;
        brg__task_block_locked(pool, task);
        brg__extras_settle_doomed_locked(task);
    } else if (BRG__UNLIKELY(options->delay_ns != 0)) {
        brg__task_delay_locked(pool, task, brg__add_saturated(task->submitted_ns, options->delay_ns));
    } else {
        brg__task_ready_locked(pool, task);
    }
}

static brg_status submit_task(brg_pool *pool, const brg__work *work, const brg_submit_options *options,
                              brg_task **handle)
{
    bool may_run_here = pool->options.admission == BRG_ADMISSION_CALLER_RUNS && brg__caller_may_run(pool, options);
    const brg_item wanted = {.band = submit_bands[options->priority]};
    brg_status status = options->token == NULL ? BRG_OK : brg__bunch_hold(pool, options->token, options->error);
    if (status != BRG_OK)
        return status;
    brg__pool_lock(pool);
    status = brg__pool_admit_locked(pool, &wanted, work->input_bytes, may_run_here);
    bool run_here = status == BRG_FULL && may_run_here;
    brg_task *task = status == BRG_OK || run_here ? brg__task_new_locked(pool) : NULL;
    if (task != NULL) {
        brg__submit_fill_locked(pool, task, work, options, handle != NULL);
        status = brg__submit_prepare_locked(pool, task, options);
    } else if (status == BRG_OK || run_here) {
        status = BRG_NO_MEMORY;
    }
    if (status != BRG_OK) {
        brg__submit_error(pool, options, status);
        if (task != NULL)
            brg__task_discard(task);
        if (options->token != NULL)
            brg__bunch_unhold_locked(pool, options->token);
        brg__pool_unlock(pool);
        return status == BRG_RANGE ? BRG_INVALID : status;
    }
    brg__submit_accept_locked(pool, task, options);
    if (handle != NULL)
        *handle = task;
    if (BRG__UNLIKELY(run_here && brg__task_is(task, BRG__TASK_EXTRAS)))
        run_here = !brg__extras_is_blocked_locked(task);
    if (run_here) {
        task->place = BRG__PLACE_NESTED;
        task->xcancel = NULL;
        pool->inline_run++;
    } else {
        submit_queue_locked(pool, task, options);
    }
    if (options->token != NULL)
        brg__bunch_unhold_locked(pool, options->token);
    brg__pool_unlock(pool);
    if (run_here)
        brg__caller_run(pool, task);
    return BRG_OK;
}

/* Tasks and groups of this pool, and of no other. */
static brg_status submit_check_others(const brg_pool *pool, const brg_submit_options *options)
{
    if (options->group != NULL && brg__group_pool(options->group) != pool)
        return brg_error_set(options->error, BRG_INVALID, "pool", "the group is of another pool");
    if (options->after_count != 0 && options->after == NULL)
        return brg_error_set(options->error, BRG_INVALID, "pool", "after_count is %zu, but after is NULL",
                             options->after_count);
    for (size_t i = 0; i < options->after_count; i++)
        if (options->after[i] == NULL || options->after[i]->pool != pool)
            return brg_error_set(options->error, BRG_INVALID, "pool", "after[%zu] is %s", i,
                                 options->after[i] == NULL ? "NULL" : "a task of another pool");
    return BRG_OK;
}

brg_status brg__submit_read_options(const brg_pool *pool, const brg_submit_options *from, brg_submit_options *to)
{
    brg_status status = brg__options_read(to, sizeof(*to), from, "brg_submit_options", NULL);
    brg_error *error = from != NULL && from->size >= sizeof(*from) ? from->error : NULL;
    if (status != BRG_OK)
        return brg_error_set(error, status, "pool",
                             "brg_submit_options of a newer header, or without its size: use brg_submit_opts");
    if (pool->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "pool", "the pool belongs to the parent of this forked process");
    if ((to->done != NULL || to->on_progress != NULL) && pool->options.loop == NULL)
        return brg_error_set(error, BRG_INVALID, "pool",
                             "done and on_progress need a pool with a loop; without one take a handle and wait on it");
    if ((unsigned)to->priority > BRG_PRIORITY_LOW)
        return brg_error_set(error, BRG_INVALID, "pool", "priority %d is unknown", (int)to->priority);
    if (to->tags != 0 && !submit_fits_a_worker(pool, to->tags))
        return brg_error_set(error, BRG_INVALID, "pool",
                             "no worker of the pool has all the tags 0x%llx: see worker_tags",
                             (unsigned long long)to->tags);
    if (to->on_progress != NULL && to->done == NULL)
        to->done = brg__progress_no_done;
    if (BRG__UNLIKELY(to->group != NULL || to->after_count != 0))
        return submit_check_others(pool, to);
    return BRG_OK;
}

brg_status brg__submit_check_input(const brg_pool *pool, const brg_value *input, size_t *bytes, brg_error *error)
{
    size_t copied = brg__value_copied_bytes(input);
    if (copied > pool->options.message_bytes_max)
        return brg_error_set(error, BRG_TOO_LARGE, "pool", "the input has %zu bytes, message_bytes_max is %zu", copied,
                             pool->options.message_bytes_max);
    if (!brg__value_is_whole(input))
        return brg_error_set(error, BRG_INVALID, "pool",
                             "a port or descriptor was taken out of the input; build a new one without it");
    *bytes = brg_value_size_with_buffers(input);
    return BRG_OK;
}

brg_status brg__submit_read_named(brg_pool *pool, const char *name, brg_value *input, const brg_submit_options *given,
                                  brg_submit_options *options, brg__work *work)
{
    if (pool == NULL)
        return BRG_INVALID;
    brg_status status = brg__submit_read_options(pool, given, options);
    if (status != BRG_OK)
        return status;
    if (name == NULL || name[0] == '\0' || strlen(name) > BRG_TASK_NAME_MAX)
        return brg_error_set(options->error, BRG_INVALID, "pool", "a task name has 1 to %d bytes", BRG_TASK_NAME_MAX);
    if (name[0] > 0 && name[0] < ' ') /* names of the library's own: internal.h */
        return brg_error_set(options->error, BRG_INVALID, "pool", "a task name begins with no control character");
    if (pool->options.module == NULL && pool->options.linked_module == NULL)
        return brg_error_set(options->error, BRG_INVALID, "pool",
                             "this pool has no module, so no task named \"%s\": use brg_pool_submit_call", name);
    *work = (brg__work){.name = name, .input = input};
    return input == NULL ? BRG_OK : brg__submit_check_input(pool, input, &work->input_bytes, options->error);
}

brg_status brg_pool_submit(brg_pool *pool, const char *name, brg_value *input, const brg_submit_options *given,
                           brg_task **task)
{
    brg_submit_options options;
    brg__work work;
    brg_status status = brg__submit_read_named(pool, name, input, given, &options, &work);
    if (status != BRG_OK)
        return status;
    if (brg_load_relaxed(&pool->options.batch_size) > 1 && options.on_progress == NULL && options.progress_max == 0)
        work.kind = BRG__TASK_BATCHED; /* progress is of one task */
    return submit_task(pool, &work, &options, task);
}

brg_status brg_pool_submit_call(brg_pool *pool, brg_call_fn call, void *argument, const brg_submit_options *given,
                                brg_task **task)
{
    brg_submit_options options;
    if (pool == NULL)
        return BRG_INVALID;
    brg_status status = brg__submit_read_options(pool, given, &options);
    if (status != BRG_OK)
        return status;
    if (call == NULL)
        return brg_error_set(options.error, BRG_INVALID, "pool", "the function must not be NULL");
    if (brg__pool_has_processes(pool))
        return brg_error_set(options.error, BRG_UNSUPPORTED, "pool",
                             "process workers cannot see this program's functions: put the task into a module");
    brg__work work = {.call = call, .argument = argument};
    return submit_task(pool, &work, &options, task);
}

/* The short way, for a function and nothing more in a pool that has room; false: the long way is needed. */
static bool submit_plain(brg_pool *pool, const brg__work *work)
{
    brg__pool_lock(pool);
    brg_task *task = NULL;
    if (BRG__LIKELY(pool->is_plain && pool->mode == BRG__POOL_OPEN && pool->breaker_until == 0 &&
                    pool->waiting + 1 < pool->options.queue_high && pool->waiting < pool->options.queue_max))
        task = brg__task_new_locked(pool);
    if (BRG__UNLIKELY(task == NULL)) {
        brg__pool_unlock(pool);
        return false;
    }
    submit_fill_plain(pool, task, work);
    if (brg__sampler_is_next(&pool->sampler))
        brg__metrics_sample_locked(pool, task);
    if (work->done != NULL) {
        pool->with_done++;
        brg__loop_hold(pool->options.loop);
    }
    pool->submitted++;
    brg__see_submitted_locked(pool, task);
    task->expiry_if_linked = NULL;
    pool->waiting++;
    brg__pool_peak_locked(pool);
    brg__task_schedule_locked(pool, task);
    brg__pool_unlock(pool);
    return true;
}

brg_status brg_pool_call(brg_pool *pool, brg_call_fn call, void *argument, brg_done_fn done, void *user_data)
{
    brg__work work = {.call = call, .argument = argument, .done = done, .user_data = user_data};
    if (BRG__LIKELY(pool != NULL && call != NULL && !brg__pool_has_processes(pool) &&
                    pool->generation == brg__fork_generation() && (done == NULL || pool->options.loop != NULL)) &&
        submit_plain(pool, &work))
        return BRG_OK;
    return brg_pool_submit_call(pool, call, argument, brg_submit_opts(.done = done, .user_data = user_data), NULL);
}

/* FNV-1a (Fowler, Noll, Vo). */
uint64_t brg_key(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *at = text == NULL ? "" : text; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    return hash != 0 ? hash : 1;
}
