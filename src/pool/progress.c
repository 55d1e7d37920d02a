/* SPDX-License-Identifier: MIT */
/*
 * Progress of a running task: a list of values with a window.
 *
 * Who sends: the function of a task on a thread worker, or the pump of a process worker's replies. Who takes: the
 * owner's loop, or a thread that pulls. `xsent` and `xtaken` count the values of the present attempt; a sender waits,
 * or a process that did not is a liar, when their difference is the window. A value is taken once its callback has
 * returned.
 *
 * The loop: a completion is posted when the list is no longer empty and none is out; it delivers what was there when it
 * ran. The completion of the task's end comes behind it and delivers the rest before `done`. Nothing is posted any more
 * once the task has settled: that is decided under the same lock.
 *
 * Attempts have numbers. A thread that was abandoned in an attempt keeps a reference and its number; what it sends
 * later is refused. `worker` is the process that is told what was taken; it is there while it has the task, since its
 * slot is emptied under the pool's lock, and only after the attempt was ended under that.
 *
 * Lock: `lock` (CHANNEL), below the pool's. What is marked x is also read without it.
 */
#include "pool/progress.h"

#include "os/clock.h"
#include "os/memory.h"
#include "os/waiter.h"

#define PROGRESS_WINDOW_DEFAULT 16
#define PROGRESS_WINDOW_MAX ((uint32_t)1 << 30)

typedef struct progress_item {
    brg__node node;
    brg_value *value;
    uint32_t attempt;
} progress_item;

struct brg__progress {
    uint32_t xreferences; /* the task's, senders', of a posted completion */
    brg_loop *loop;
    brg_progress_fn on_progress; /* NULL: it is pulled from */
    void *user_data;
    uint32_t window;
    size_t bytes_max;
    uint32_t xhandles; /* of one that is pulled from */

    brg__lock lock;
    brg__list items;
    uint32_t xcount; /* of them */
    uint32_t xattempt;
    uint32_t xsent, xtaken; /* of this attempt */
    bool xis_closed;        /* the task settled */
    bool xis_deaf;          /* nobody listens any more */
    bool is_posted;
    brg__completion completion;
    brg_worker *worker; /* process: which runs the attempt */
    uint64_t ticket;
    brg__waiter *sender, *receiver; /* who may wait; a wake too many harms nobody */
};

static void progress_wake(brg__waiter *waiter)
{
    if (waiter != NULL)
        brg__waiter_wake(waiter);
}

/* ---- making and freeing ------------------------------------------------------------------------------------------ */

brg_status brg__progress_init(brg_task *task, const brg_submit_options *options)
{
    bool has_handle = brg__task_is(task, BRG__TASK_HANDLE);
    if (options->on_progress == NULL && (options->progress_max == 0 || !has_handle))
        return BRG_OK;
    brg__progress *progress = brg__calloc(1, sizeof(*progress));
    if (progress == NULL)
        return BRG_NO_MEMORY;
    progress->xreferences = progress->xhandles = 1;
    progress->loop = task->pool->options.loop;
    progress->on_progress = options->on_progress;
    progress->user_data = options->user_data;
    progress->window = options->progress_max != 0 ? options->progress_max : PROGRESS_WINDOW_DEFAULT;
    progress->window = (uint32_t)brg__min(progress->window, PROGRESS_WINDOW_MAX);
    progress->bytes_max = task->pool->options.message_bytes_max;
    brg__lock_init(&progress->lock, BRG__RANK_CHANNEL, "progress");
    brg__list_init(&progress->items);
    task->progress = progress;
    return BRG_OK;
}

static void progress_free_item(progress_item *item)
{
    brg_value_unref(item->value);
    brg__mfree(item);
}

static void progress_free_items(brg__list *items)
{
    brg__node *node;
    while ((node = brg__list_pop_front(items)) != NULL)
        progress_free_item(brg__container_of(node, progress_item, node));
}

void brg__progress_free(brg__progress *progress)
{
    if (progress == NULL || brg_sub_acq_rel(&progress->xreferences, 1u) != 1)
        return;
    progress_free_items(&progress->items);
    brg__mfree(progress);
}

void brg__progress_no_done(const brg_result *result, void *user_data) { (void)result, (void)user_data; }

uint32_t brg__progress_window(const brg__progress *progress) { return progress == NULL ? 0 : progress->window; }

/* ---- taking ------------------------------------------------------------------------------------------------------ */

/* So many of this attempt were taken, or dropped. Returns whom to wake. */
static brg__waiter *progress_count_taken_locked(brg__progress *progress, uint32_t count)
{
    brg_store_release(&progress->xtaken, progress->xtaken + count); /* pairs with progress_may_send */
    if (progress->worker != NULL)
        brg__process_progress_taken(progress->worker, progress->ticket, progress->xtaken);
    return progress->sender;
}

/* The next value, not yet counted as taken; NULL: none. */
static progress_item *progress_next(brg__progress *progress)
{
    brg__lock_acquire(&progress->lock);
    brg__node *node = brg__list_pop_front(&progress->items);
    if (node != NULL)
        brg_store_relaxed(&progress->xcount, progress->xcount - 1);
    brg__lock_release(&progress->lock);
    return node == NULL ? NULL : brg__container_of(node, progress_item, node);
}

static void progress_taken(brg__progress *progress, const progress_item *item)
{
    brg__waiter *waiter = NULL;
    brg__lock_acquire(&progress->lock);
    if (item->attempt == progress->xattempt)
        waiter = progress_count_taken_locked(progress, 1);
    brg__lock_release(&progress->lock);
    progress_wake(waiter);
}

/* Delivers up to `count`. Owner thread. */
static void progress_deliver(brg__progress *progress, uint32_t count)
{
    progress_item *item;
    while (count-- > 0 && (item = progress_next(progress)) != NULL) {
        progress->on_progress(item->value, progress->user_data);
        progress_taken(progress, item);
        progress_free_item(item);
    }
}

static void progress_run(brg__completion *completion)
{
    brg__progress *progress = brg__container_of(completion, brg__progress, completion);
    brg__lock_acquire(&progress->lock);
    progress->is_posted = false; /* what comes from now on posts again */
    uint32_t count = progress->xcount;
    brg__lock_release(&progress->lock);
    progress_deliver(progress, count);
    brg__progress_free(progress);
}

void brg__progress_flush(brg__progress *progress)
{
    if (progress->on_progress != NULL)
        progress_deliver(progress, UINT32_MAX);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void progress_post_locked(brg__progress *progress)
{
    if (progress->on_progress == NULL || progress->is_posted)
        return;
    progress->is_posted = true;
    brg_add_relaxed(&progress->xreferences, 1u);
    progress->completion.run = progress_run;
    brg__loop_post(progress->loop, &progress->completion);
}

/* The item is the list's, or nobody listens and it is the caller's to drop: then *item stays. Returns whom to wake. */
static brg__waiter *progress_add_locked(brg__progress *progress, progress_item **item)
{
    brg_store_relaxed(&progress->xsent, progress->xsent + 1);
    if (progress->xis_deaf)
        return progress_count_taken_locked(progress, 1);
    (*item)->attempt = progress->xattempt;
    brg__list_push_back(&progress->items, &(*item)->node);
    brg_store_release(&progress->xcount, progress->xcount + 1); /* pairs with progress_may_pull */
    *item = NULL;
    progress_post_locked(progress);
    return progress->receiver;
}

static progress_item *progress_new_item(brg_value *value)
{
    progress_item *item = brg__calloc(1, sizeof(*item));
    if (item != NULL)
        item->value = value;
    return item;
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

/* Room, or no need of any. */
static bool progress_may_send(void *argument)
{
    const brg__progress_sender *sender = argument;
    brg__progress *progress = sender->progress;
    return brg_load_relaxed(&progress->xsent) - brg_load_acquire(&progress->xtaken) < progress->window ||
           brg_load_relaxed(&progress->xattempt) != sender->attempt || brg_load_relaxed(&progress->xis_deaf);
}

static brg_status progress_try(brg__progress_sender *sender, progress_item **item)
{
    brg__progress *progress = sender->progress;
    brg__waiter *waiter = NULL;
    brg_status status = BRG_OK;
    brg__lock_acquire(&progress->lock);
    if (progress->xattempt != sender->attempt) {
        status = BRG_CANCELLED;
    } else if (!progress->xis_deaf && progress->xsent - progress->xtaken >= progress->window) {
        status = BRG_FULL;
        progress->sender = brg__waiter_current();
    } else {
        waiter = progress_add_locked(progress, item);
    }
    brg__lock_release(&progress->lock);
    progress_wake(waiter);
    return status;
}

/* Until there is room, the task is asked to end, or the deadline. */
static brg_status progress_try_until(brg__progress_sender *sender, progress_item **item, uint64_t deadline_ns)
{
    brg__waiter *waiter = brg__waiter_current();
    brg__wait wait = {.ready = progress_may_send, .argument = sender, .until_asked = true};
    if (waiter == NULL)
        return BRG_NO_MEMORY;
    for (;;) {
        bool there = brg__waiter_wait(waiter, &wait, deadline_ns);
        if (!there)
            return brg__waiter_is_asked(waiter) ? BRG_CANCELLED : BRG_TIMED_OUT;
        brg_status status = progress_try(sender, item);
        if (status != BRG_FULL)
            return status;
    }
}

static brg_status progress_send(brg__teller *teller, brg_context *context, brg_value *value, uint64_t timeout_ns,
                                brg_error *error)
{
    brg__progress_sender *sender = brg__container_of(teller, brg__progress_sender, teller);
    size_t size = brg__value_copied_bytes(value);
    if (size > sender->progress->bytes_max)
        return brg_error_set(error, BRG_TOO_LARGE, "worker", "the value has %zu bytes, message_bytes_max is %zu", size,
                             sender->progress->bytes_max);
    progress_item *item = progress_new_item(value);
    if (item == NULL)
        return brg__error_memory(error, "a value of progress");
    brg_status status = progress_try(sender, &item);
    if (status == BRG_FULL && timeout_ns != 0) {
        brg__context_idle_begin(context);
        brg__usage_beat_held(context->usage, true);
        status = progress_try_until(sender, &item, brg__deadline(timeout_ns));
        brg__usage_beat_held(context->usage, false);
        brg__context_idle_end(context);
    }
    if (status != BRG_OK) {
        brg__mfree(item);
        return brg_error_set(error, status, "worker", "progress: %s", brg_status_text(status));
    }
    if (item != NULL)
        progress_free_item(item); /* nobody listens */
    return BRG_OK;
}

/* The attempt's number; nothing of an earlier one counts. */
static uint32_t progress_new_attempt_locked(brg__progress *progress)
{
    brg_store_relaxed(&progress->xsent, 0u);
    brg_store_relaxed(&progress->xtaken, 0u);
    progress->sender = NULL;
    brg_store_relaxed(&progress->xattempt, progress->xattempt + 1);
    return progress->xattempt;
}

brg__teller *brg__progress_begin(brg__progress_sender *sender, brg__progress *progress)
{
    brg_add_relaxed(&progress->xreferences, 1u);
    *sender = (brg__progress_sender){.teller = {.send = progress_send}, .progress = progress};
    brg__lock_acquire(&progress->lock);
    sender->attempt = progress_new_attempt_locked(progress);
    brg__lock_release(&progress->lock);
    return &sender->teller;
}

void brg__progress_end(brg__progress_sender *sender) { brg__progress_free(sender->progress); }

void brg__progress_over_locked(brg__progress *progress, bool settled)
{
    brg__lock_acquire(&progress->lock);
    brg__waiter *sender = progress->sender, *receiver = progress->receiver;
    (void)progress_new_attempt_locked(progress);
    progress->worker = NULL;
    progress->ticket = 0;
    if (settled)
        brg_store_release(&progress->xis_closed, true); /* pairs with progress_pull */
    brg__lock_release(&progress->lock);
    progress_wake(sender);
    if (settled)
        progress_wake(receiver);
}

/* ---- processes --------------------------------------------------------------------------------------------------- */

brg_status brg__progress_receive_locked(brg__progress *progress, brg_worker *worker, uint64_t ticket, brg_value *value)
{
    progress_item *item = progress_new_item(value);
    if (item == NULL)
        return BRG_NO_MEMORY;
    brg__waiter *waiter = NULL;
    brg_status status = BRG_OK;
    brg__lock_acquire(&progress->lock);
    if (progress->ticket != ticket) {
        (void)progress_new_attempt_locked(progress);
        progress->ticket = ticket;
        progress->worker = worker;
    }
    if (progress->xsent - progress->xtaken >= progress->window)
        status = BRG_PROTOCOL;
    else
        waiter = progress_add_locked(progress, &item);
    brg__lock_release(&progress->lock);
    progress_wake(waiter);
    if (status != BRG_OK)
        brg__mfree(item);
    else if (item != NULL)
        progress_free_item(item); /* nobody listens */
    return status;
}

/* ---- pulling ----------------------------------------------------------------------------------------------------- */

void brg__progress_listen(brg__progress *progress, bool more)
{
    if (more) {
        brg_add_relaxed(&progress->xhandles, 1u);
        return;
    }
    if (progress->on_progress != NULL || brg_sub_acq_rel(&progress->xhandles, 1u) != 1)
        return;
    brg__list dropped;
    brg__list_init(&dropped);
    brg__waiter *waiter = NULL;
    brg__lock_acquire(&progress->lock);
    brg_store_relaxed(&progress->xis_deaf, true);
    brg__node *node;
    while ((node = brg__list_pop_front(&progress->items)) != NULL) {
        if (brg__container_of(node, progress_item, node)->attempt == progress->xattempt)
            waiter = progress_count_taken_locked(progress, 1);
        brg__list_push_back(&dropped, node);
    }
    brg_store_relaxed(&progress->xcount, 0u);
    brg__lock_release(&progress->lock);
    progress_wake(waiter);
    progress_free_items(&dropped);
}

typedef struct progress_wait {
    brg_task *task;
    brg_worker *worker; /* a process that may have sent something: referenced. NULL: none to look at */
} progress_wait;

static bool progress_is_over(const brg_task *task)
{
    return brg_load_acquire(&task->progress->xis_closed) || brg_task_get_state(task) >= BRG_TASK_DONE;
}

static bool progress_may_pull(void *argument)
{
    const progress_wait *wait = argument;
    return brg_load_acquire(&wait->task->progress->xcount) != 0 || progress_is_over(wait->task);
}

static void progress_look(void *argument)
{
    const progress_wait *wait = argument;
    if (wait->worker != NULL)
        brg__isolation_process.pump(wait->worker);
}

static void progress_unlook(void *argument)
{
    const progress_wait *wait = argument;
    if (wait->worker != NULL)
        brg__isolation_process.unpump(wait->worker);
}

/* BRG_EMPTY: nothing now. */
static brg_status progress_pull(brg_task *task, brg_value **value)
{
    brg__progress *progress = task->progress;
    bool over = progress_is_over(task); /* before looking: what was sent before that is there */
    progress_item *item = progress_next(progress);
    if (item == NULL)
        return over ? BRG_CLOSED : BRG_EMPTY;
    progress_taken(progress, item);
    *value = item->value;
    brg__mfree(item);
    return BRG_OK;
}

static void progress_set_receiver(brg__progress *progress, brg__waiter *waiter)
{
    brg__lock_acquire(&progress->lock);
    progress->receiver = waiter;
    brg__lock_release(&progress->lock);
}

/* The process that has the task, referenced. */
static brg_worker *progress_worker(brg_task *task)
{
    brg_pool *pool = task->pool;
    if (!brg__pool_has_processes(pool))
        return NULL;
    brg__lock_acquire(&pool->lock);
    brg_worker *worker = task->slot == NULL ? NULL : task->slot->worker;
    if (worker != NULL)
        brg__worker_ref(worker);
    brg__lock_release(&pool->lock);
    return worker;
}

static brg_status progress_pull_until(brg_task *task, brg_value **value, uint64_t deadline_ns)
{
    brg__waiter *waiter = brg__waiter_current();
    if (waiter == NULL)
        return BRG_NO_MEMORY;
    progress_wait look = {.task = task, .worker = progress_worker(task)};
    brg__wait wait = {.ready = progress_may_pull,
                      .look = progress_look,
                      .unlook = progress_unlook,
                      .argument = &look,
                      .until_asked = true};
    progress_set_receiver(task->progress, waiter);
    bool there = brg__waiter_wait(waiter, &wait, deadline_ns);
    progress_set_receiver(task->progress, NULL);
    progress_unlook(&look);
    if (look.worker != NULL)
        brg__worker_unref(look.worker);
    brg_status status = progress_pull(task, value);
    if (status != BRG_EMPTY || there)
        return status;
    return brg__waiter_is_asked(waiter) ? BRG_CANCELLED : BRG_TIMED_OUT;
}

brg_status brg_task_progress(brg_task *task, brg_value **value, uint64_t timeout_ns)
{
    if (task == NULL || value == NULL || task->progress == NULL || task->progress->on_progress != NULL)
        return BRG_INVALID;
    if (task->pool->generation != brg__fork_generation())
        return BRG_FORKED;
    brg_status status = progress_pull(task, value);
    if (status != BRG_EMPTY || timeout_ns == 0)
        return status;
    return progress_pull_until(task, value, brg__deadline(timeout_ns));
}
