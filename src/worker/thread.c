/* SPDX-License-Identifier: MIT */
/*
 * Thread workers. The thread loads the module, runs its hooks, and then serves messages and the source's tasks until
 * asked to end. It sleeps at worker->gate, which posts, the source and ask() wake.
 *
 * Ending one that does not return: threads cannot be killed, so after the grace it is abandoned. That may only happen
 * while it is in user code: entering sets xwhere, leaving and abandoning race by compare-and-swap, and the loser of
 * leaving touches nothing shared but its own references. Its result is dropped, its memory freed if it ever returns.
 */
#include <string.h>

#include "message/object.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/thread.h"
#include "worker/module.h"
#include "worker/worker.h"

static size_t xthread_lost; /* abandoned and still running */

size_t brg_workers_lost(void) { return brg_load_relaxed(&xthread_lost); }

/* ---- context operations: on the worker's thread, possibly inside user code --------------------------------- */

static brg_status thread_post(brg_context *context, brg_value *message, uint64_t timeout_ns, brg_error *error)
{
    brg_worker *worker = context->owner;
    size_t size = brg__value_copied_bytes(message);
    if (size > worker->options.message_bytes_max)
        return brg_error_set(error, BRG_TOO_LARGE, "worker", "the message has %zu bytes, message_bytes_max is %zu",
                             size, worker->options.message_bytes_max);
    brg_status status = brg__mailbox_push(&worker->inbox, message, timeout_ns == 0 ? 0 : brg__deadline(timeout_ns));
    if (status != BRG_OK)
        return brg_error_set(error, status, "worker", "post: %s", brg_status_text(status));
    brg__worker_deliver(worker);
    return BRG_OK;
}

static bool thread_has_message(void *argument)
{
    brg_worker *worker = argument;
    return !brg__mailbox_is_empty(&worker->outbox) || brg_load_acquire(&worker->xstop) != 0;
}

static brg_status thread_receive(brg_context *context, brg_value **message, uint64_t timeout_ns)
{
    brg_worker *worker = context->owner;
    uint64_t deadline = brg__deadline(timeout_ns);
    for (;;) {
        brg_status status = brg__mailbox_pop(&worker->outbox, message);
        if (status != BRG_EMPTY)
            return status;
        if (timeout_ns == 0)
            return BRG_EMPTY;
        if (brg__spinner_spin(&worker->spinner, NULL, thread_has_message, worker))
            continue;
        brg__gate_prepare(&worker->gate);
        if (thread_has_message(worker)) {
            brg__gate_cancel(&worker->gate);
            continue;
        }
        if (!brg__gate_wait(&worker->gate, deadline, BRG__FUTEX_PRIVATE) && brg__mailbox_is_empty(&worker->outbox))
            return BRG_TIMED_OUT;
    }
}

static int thread_cancel_fd(brg_context *context)
{
    brg_worker *worker = context->owner;
    brg__lock_acquire(&worker->life_lock);
    int fd = worker->xcancel_event;
    brg__lock_release(&worker->life_lock);
    if (fd < 0 && brg__event_create(&fd, NULL) == BRG_OK) {
        brg__lock_acquire(&worker->life_lock);
        worker->xcancel_event = fd;
        brg__lock_release(&worker->life_lock);
    }
    if (fd >= 0 && brg_context_cancelled(context))
        brg__event_signal(fd);
    return fd;
}

static bool thread_asked(brg_context *context) { return brg_load_acquire(&((brg_worker *)context->owner)->xstop) != 0; }

static int thread_bell(brg_context *context)
{
    brg_worker *worker = context->owner;
    int fd = -1;
    if (worker->xbell >= 0 || brg__event_create(&fd, NULL) != BRG_OK)
        return worker->xbell;
    brg__lock_acquire(&worker->life_lock);
    worker->xbell = fd;
    brg__lock_release(&worker->life_lock);
    return fd;
}

/* For thread_end, should this thread be abandoned. */
static void thread_founded(brg_context *context)
{
    brg_worker *worker = context->owner;
    brg__lock_acquire(&worker->life_lock);
    worker->family = brg__family_ref(context->family);
    brg__lock_release(&worker->life_lock);
}

static const brg__context_ops thread_context_ops = {.post = thread_post,
                                                    .receive = thread_receive,
                                                    .cancel_fd = thread_cancel_fd,
                                                    .asked = thread_asked,
                                                    .bell = thread_bell,
                                                    .founded = thread_founded};

/* ---- the thread --------------------------------------------------------------------------------------------- */

typedef enum thread_outcome { THREAD_GOES_ON, THREAD_IS_LOST } thread_outcome;

/* User code that is none of the source's comes: others are to be woken for its tasks meanwhile. */
static void thread_leave_source(brg_worker *worker)
{
    if (worker->source != NULL)
        worker->source->leave(worker->source_owner, worker);
}

/* One message to the module's handler. */
static thread_outcome thread_handle(brg_worker *worker, brg_context *context, brg_value *message)
{
    thread_leave_source(worker);
    brg__worker_enter_user(worker);
    brg_status status = brg__context_handle_message(context, message);
    brg_value_unref(message);
    if (!brg__worker_leave_user(worker))
        return THREAD_IS_LOST;
    if (status != BRG_OK)
        brg__worker_error(worker, &context->failure);
    return THREAD_GOES_ON;
}

/* One message by id to the module's hook. */
static thread_outcome thread_handle_direct(brg_worker *worker, brg_context *context, brg__direct_post *post)
{
    thread_leave_source(worker);
    brg__worker_enter_user(worker);
    brg_status status = brg__direct_call_hook(context, post);
    brg__direct_end(post, status, &context->failure); /* also when it was abandoned: it holds the message */
    return brg__worker_leave_user(worker) ? THREAD_GOES_ON : THREAD_IS_LOST;
}

/* A message to its handler, its owner's or one by id, or the end. */
static bool thread_has_mail(brg_worker *worker)
{
    return thread_has_message(worker) || brg__direct_is_waiting(&worker->direct);
}

static bool thread_has_work(void *argument)
{
    brg_worker *worker = argument;
    return thread_has_mail(worker) || (worker->source != NULL && worker->source->ready(worker->source_owner, worker));
}

/* Not the source: when the thread is abandoned meanwhile, it may be gone. Who wakes us clears the gate. */
static bool thread_is_rung(void *argument)
{
    brg_worker *worker = argument;
    return brg__gate_is_woken(&worker->gate) || thread_has_mail(worker);
}

/* Sleeps in the worker's loop: what runs there is user code. */
static thread_outcome thread_sleep_in_loop(brg_worker *worker, brg_context *context)
{
    const brg__source *source = worker->source;
    brg__gate_prepare_event(&worker->gate, worker->xbell);
    if (!thread_has_mail(worker) && (source == NULL || source->sleep(worker->source_owner, worker))) {
        brg__worker_enter_user(worker);
        brg__context_loop_wait(context, thread_is_rung, worker, UINT64_MAX);
        if (!brg__worker_leave_user(worker))
            return THREAD_IS_LOST;
    }
    brg__gate_cancel(&worker->gate);
    return THREAD_GOES_ON;
}

static void thread_sleep(brg_worker *worker)
{
    const brg__source *source = worker->source;
    brg__gate_prepare(&worker->gate);
    if (thread_has_mail(worker) || (source != NULL && !source->sleep(worker->source_owner, worker)))
        brg__gate_cancel(&worker->gate);
    else
        brg__gate_wait(&worker->gate, UINT64_MAX, BRG__FUTEX_PRIVATE);
}

/* Spins if it may, then sleeps until there is something to do. */
static thread_outcome thread_idle(brg_worker *worker, brg_context *context)
{
    const brg__source *source = worker->source;
    thread_outcome outcome = THREAD_GOES_ON;
    if (thread_has_work(worker))
        return outcome;
    brg__context_idle_begin(context);
    bool found = false;
    if (source == NULL || source->spin(worker->source_owner, worker, true)) {
        found = brg__spinner_spin(&worker->spinner, NULL, thread_has_work, worker);
        if (source != NULL)
            source->spin(worker->source_owner, worker, false);
    }
    if (!found) {
        if (context->loop != NULL)
            outcome = thread_sleep_in_loop(worker, context);
        else
            thread_sleep(worker);
        if (source != NULL && outcome == THREAD_GOES_ON)
            source->wake(worker->source_owner, worker);
    }
    brg__context_idle_end(context);
    return outcome;
}

/* Gives timers, I/O and ports of the worker's loop their turn between messages and tasks. */
static thread_outcome thread_turn(brg_worker *worker, brg_context *context)
{
    if (BRG__LIKELY(context->loop == NULL))
        return THREAD_GOES_ON;
    thread_leave_source(worker);
    brg__worker_enter_user(worker);
    brg__context_loop_turn(context);
    return brg__worker_leave_user(worker) ? THREAD_GOES_ON : THREAD_IS_LOST;
}

static thread_outcome thread_serve(brg_worker *worker, brg_context *context)
{
    bool handles = context->module != NULL && context->module->message != NULL;
    while (brg_load_acquire(&worker->xstop) == 0) {
        bool did = false;
        brg_value *message = NULL;
        if (handles && !brg__mailbox_is_empty(&worker->outbox) &&
            brg__mailbox_pop(&worker->outbox, &message) == BRG_OK) {
            did = true;
            if (thread_handle(worker, context, message) == THREAD_IS_LOST)
                return THREAD_IS_LOST;
        }
        brg__direct_post *post = brg__direct_is_waiting(&worker->direct) ? brg__direct_begin(&worker->direct) : NULL;
        if (post != NULL) {
            did = true;
            if (thread_handle_direct(worker, context, post) == THREAD_IS_LOST)
                return THREAD_IS_LOST;
        }
        if (worker->source != NULL && worker->source->run(worker->source_owner, worker, context)) {
            did = true;
            if (brg_load_acquire(&worker->xwhere) == BRG__IN_ABANDONED)
                return THREAD_IS_LOST;
        }
        if ((did ? thread_turn(worker, context) : thread_idle(worker, context)) == THREAD_IS_LOST)
            return THREAD_IS_LOST;
    }
    return THREAD_GOES_ON;
}

/* Module and hooks; BRG_OK when the worker may serve. Runs as user code. */
static brg_status thread_begin(brg_worker *worker, brg_context *context, brg_exit *exit)
{
    brg_status status = BRG_OK;
    if (worker->options.module != NULL || worker->options.linked_module != NULL)
        status = brg__module_shared(worker->options.module, worker->options.linked_module, &context->module,
                                    &exit->error);
    if (status == BRG_OK && (status = brg__context_start(context)) != BRG_OK)
        exit->error = context->failure;
    if (status != BRG_OK)
        exit->status = BRG_START_FAILED;
    return status;
}

/* The life of the thread up to its end; `exit` says how it went. */
static thread_outcome thread_live(brg_worker *worker, brg_context *context, brg_exit *exit)
{
    brg__worker_enter_user(worker);
    brg_status status = thread_begin(worker, context, exit);
    if (!brg__worker_leave_user(worker))
        return THREAD_IS_LOST;
    if (status != BRG_OK)
        return THREAD_GOES_ON;
    brg__usage_online(context->usage);
    brg__direct_ready(&worker->direct, brg__direct_has_hook(context->module));
    brg__worker_started(worker);
    if (worker->options.entry == NULL) {
        if (thread_serve(worker, context) == THREAD_IS_LOST)
            return THREAD_IS_LOST;
    } else {
        brg__worker_enter_user(worker);
        brg__context_begin(context, 0, 0);
        status = worker->options.entry(context, worker->options.entry_argument);
        exit->status = brg__context_conclude(context, status, "entry function");
        if (exit->status != BRG_OK)
            exit->error = context->failure;
        brg__context_end(context);
        if (!brg__worker_leave_user(worker))
            return THREAD_IS_LOST;
    }
    thread_leave_source(worker);
    brg__worker_enter_user(worker);
    brg__context_finish(context);
    return brg__worker_leave_user(worker) ? THREAD_GOES_ON : THREAD_IS_LOST;
}

static bool thread_is_cancelled(void *argument) { return brg_context_cancelled(argument); }

static void thread_main(void *argument)
{
    brg_worker *worker = argument;
    brg_context context;
    brg_exit exit;
    memset(&exit, 0, sizeof(exit));
    brg__context_init(&context, &thread_context_ops, worker, NULL);
    context.worker_id = worker->id;
    context.worker_name = worker->name;
    context.isolation = BRG_ISOLATION_THREAD;
    context.is_pooled = worker->source != NULL;
    context.pool_index = worker->pool_index;
    context.pool_tags = worker->pool_tags;
    context.init_data = worker->options.init_data;
    context.xcancel = &worker->xcancel;
    context.arena_max = worker->options.limits.arena_bytes_max;
    context.world = &worker->world;
    context.usage = worker->usage;
    context.direct = &worker->direct;
    brg__waiter *waiter = brg__waiter_current();
    if (waiter != NULL) {
        waiter->asked = thread_is_cancelled;
        waiter->asked_argument = &context;
    }
    brg_store_seq_cst(&worker->xwaiter, waiter); /* pairs with brg__worker_cancel_task */
    brg__usage_thread_begins(worker);
    brg__context_set_current(&context);
    thread_outcome outcome = thread_live(worker, &context, &exit);
    brg__context_leave(&context);
    brg__context_set_current(NULL);
    if (waiter != NULL)
        waiter->asked = NULL;
    brg__context_done(&context);
    brg__usage_thread_ends(worker);
    if (outcome == THREAD_IS_LOST)
        brg_sub_relaxed(&xthread_lost, (size_t)1);
    else
        brg__worker_ended(worker, BRG__LIFE_ENDED, &exit);
    brg__worker_unref(worker);
}

/* ---- the owner's side ----------------------------------------------------------------------------------------- */

static void thread_wake_direct(brg__direct_target *target)
{
    brg__gate_wake(&brg__container_of(target, brg_worker, direct)->gate, BRG__FUTEX_PRIVATE);
}

static brg_status thread_start(brg_worker *worker, brg_error *error)
{
    brg__thread thread;
    brg_status status = brg__direct_open(&worker->direct, worker->id, NULL, thread_wake_direct, error);
    if (status != BRG_OK)
        return status;
    status = brg__thread_start(&thread, worker->name, worker->options.limits.stack_bytes, thread_main, worker, error);
    if (status == BRG_OK)
        brg__thread_detach(&thread);
    else
        brg__direct_close(&worker->direct);
    return status;
}

static brg_status thread_post_to(brg_worker *worker, brg_value *message, uint64_t deadline_ns, brg_error *error)
{
    (void)error;
    return brg__mailbox_push(&worker->outbox, message, deadline_ns);
}

static void thread_ask(brg_worker *worker)
{
    brg_store_release(&worker->xstop, 1u); /* pairs with thread_serve */
    brg__worker_cancel_task(worker, UINT64_MAX);
    brg__lock_acquire(&worker->life_lock);
    if (worker->xbell >= 0) /* it may run its loop inside user code */
        brg__event_signal(worker->xbell);
    brg__lock_release(&worker->life_lock);
    brg__mailbox_hurry(&worker->inbox); /* it posts no more if it waits for room */
    brg__gate_wake(&worker->gate, BRG__FUTEX_PRIVATE);
}

/* Abandons the thread, if it is in user code now. */
static bool thread_end(brg_worker *worker)
{
    uint32_t where = BRG__IN_USER_CODE;
    if (!brg_cas_acq_rel(&worker->xwhere, &where, (uint32_t)BRG__IN_ABANDONED))
        return brg__worker_is_over(worker);
    brg_add_relaxed(&xthread_lost, (size_t)1);
    brg_exit exit;
    memset(&exit, 0, sizeof(exit));
    exit.status = BRG_LOST;
    brg_error_set(&exit.error, BRG_LOST, "worker",
                  "the thread did not end within %llu ms of being asked and was abandoned",
                  (unsigned long long)(worker->options.grace_ns / 1000000));
    brg__worker_ended(worker, BRG__LIFE_ABANDONED, &exit);
    brg__lock_acquire(&worker->life_lock);
    brg__family *family = worker->family == NULL ? NULL : brg__family_ref(worker->family);
    brg__lock_release(&worker->life_lock);
    brg__family_close(family); /* what it made ends all the same */
    brg__family_unref(family);
    return true;
}

int64_t brg_worker_process_id(const brg_worker *worker)
{
    return worker->options.isolation == BRG_ISOLATION_PROCESS ? brg__process_worker_id(worker) : 0;
}

const brg__isolation_ops brg__isolation_thread = {
    .start = thread_start, .post = thread_post_to, .ask = thread_ask, .end = thread_end};
