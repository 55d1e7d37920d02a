/* SPDX-License-Identifier: MIT */
/*
 * A worker from its owner's side: creation, posting, waiting, the end. What differs between thread and process is in
 * thread.c and process.c; how events reach the owner is in delivery.c.
 */
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/library.h"
#include "os/memory.h"
#include "os/thread.h"
#include "worker/limits.h"
#include "worker/registry.h"
#include "worker/service.h"

#define WORKER_MAILBOX_DEFAULT 1024
#define WORKER_MAILBOX_MAX ((uint32_t)1 << 20)
#define WORKER_MESSAGE_BYTES_DEFAULT ((size_t)64 << 20)
#define WORKER_MESSAGE_BYTES_MAX ((size_t)512 << 20)
#define WORKER_ARENA_DEFAULT ((size_t)256 << 20)
#define WORKER_STACK_DEFAULT ((size_t)1 << 20)
#define WORKER_FILES_DEFAULT 256
#define WORKER_RETRY_NS BRG_MILLISECONDS(1) /* ending a thread that is in library code is tried again */

static uint64_t xworker_ids; /* the last one given */

void brg__worker_ids_of_process(int64_t process_id, uint64_t started_ns)
{
    uint64_t seconds = started_ns / 1000000000u & 0x1ffffffu;
    brg_store_relaxed(&xworker_ids, (uint64_t)process_id << 41 | seconds << 16);
}

/* ---- creation ------------------------------------------------------------------------------------------- */

static brg_status worker_check_body(const brg_worker_options *options, bool has_source, brg_error *error)
{
    int bodies = (options->module != NULL) + (options->linked_module != NULL) + (options->entry != NULL);
    if (bodies > 1)
        return brg_error_set(error, BRG_INVALID, "worker", "give one of module, linked_module and entry, not several");
    if (options->isolation == BRG_ISOLATION_PROCESS) {
        if (options->linked_module != NULL || options->entry != NULL)
            return brg_error_set(
                error, BRG_UNSUPPORTED, "worker",
                "a process worker needs .module, a shared object: it cannot see this program's functions");
        if (options->module == NULL)
            return brg_error_set(error, BRG_INVALID, "worker",
                                 "a process worker needs .module, the path of a shared object");
    } else if (options->isolation != BRG_ISOLATION_THREAD) {
        return brg_error_set(error, BRG_INVALID, "worker", "isolation %d is neither thread nor process",
                             (int)options->isolation);
    } else if (bodies == 0 && !has_source) {
        return brg_error_set(error, BRG_INVALID, "worker",
                             "a worker needs a module, a linked_module or an entry function");
    }
    if (options->module != NULL && !brg__library_exists(options->module))
        return brg_error_set(error, BRG_NOT_FOUND, "worker", "module %s: no such file", options->module);
    brg_status status = brg__world_check(options, error);
    return status == BRG_OK ? brg__streams_check(options, error) : status;
}

static brg_status worker_defaults(brg_worker_options *options, brg_error *error)
{
    if (options->spin_ns == BRG_FOREVER)
        return brg_error_set(error, BRG_INVALID, "worker", "spin_ns must be bounded; use no_spin or some microseconds");
    if (options->mailbox_max > WORKER_MAILBOX_MAX)
        return brg_error_set(error, BRG_INVALID, "worker", "mailbox_max %u is above %u", options->mailbox_max,
                             WORKER_MAILBOX_MAX);
    if (options->message_bytes_max > WORKER_MESSAGE_BYTES_MAX)
        return brg_error_set(error, BRG_INVALID, "worker", "message_bytes_max %zu is above %zu",
                             options->message_bytes_max, WORKER_MESSAGE_BYTES_MAX);
    if (options->mailbox_max == 0)
        options->mailbox_max = WORKER_MAILBOX_DEFAULT;
    if (options->message_bytes_max == 0)
        options->message_bytes_max = WORKER_MESSAGE_BYTES_DEFAULT;
    if (options->start_timeout_ns == 0)
        options->start_timeout_ns = BRG_SECONDS(30);
    if (options->grace_ns == 0)
        options->grace_ns = BRG_MILLISECONDS(500);
    if (options->spin_ns == 0)
        options->spin_ns = BRG_MICROSECONDS(50);
    if (options->no_spin)
        options->spin_ns = 0;
    if (options->limits.arena_bytes_max == 0)
        options->limits.arena_bytes_max = WORKER_ARENA_DEFAULT;
    if (options->limits.files_max == 0)
        options->limits.files_max = WORKER_FILES_DEFAULT;
    if (options->limits.stack_bytes == 0 && options->isolation == BRG_ISOLATION_THREAD)
        options->limits.stack_bytes = WORKER_STACK_DEFAULT;
    return BRG_OK;
}

static void worker_free(brg_worker *worker)
{
    brg__registry_remove(worker);
    if (worker->ops != NULL && worker->ops->free != NULL)
        worker->ops->free(worker);
    brg__list_for_each(node, &worker->errors)
        brg__mfree(node);
    brg__mailbox_done(&worker->inbox);
    brg__mailbox_done(&worker->outbox);
    brg__fd_close(&worker->xcancel_event);
    brg__fd_close(&worker->xbell);
    brg__streams_free(worker);
    brg__world_done(&worker->world);
    brg__family_unref(worker->family);
    brg_value_unref(worker->options.init_data);
    brg__mfree((char *)worker->options.module);
    brg__mfree((char *)worker->options.helper);
    brg__mfree_aligned(worker);
}

void brg__worker_ref(brg_worker *worker) { brg_add_relaxed(&worker->xreferences, 1u); }

void brg__worker_unref(brg_worker *worker)
{
    if (brg_sub_acq_rel(&worker->xreferences, 1u) == 1)
        worker_free(worker);
}

/* What can fail before the worker starts. */
static brg_status worker_prepare(brg_worker *worker, const brg_worker_options *options, brg_error *error)
{
    worker->options.module = worker->options.helper = NULL;
    if (options->module != NULL && (worker->options.module = brg__strdup(options->module)) == NULL)
        return brg__error_memory(error, "a worker");
    if (options->helper != NULL && (worker->options.helper = brg__strdup(options->helper)) == NULL)
        return brg__error_memory(error, "a worker");
    brg_status status = brg__mailbox_init(&worker->inbox, options->mailbox_max, &worker->inbox_gate, error);
    if (status == BRG_OK)
        status = brg__mailbox_init(&worker->outbox, options->mailbox_max, &worker->gate, error);
    if (status == BRG_OK)
        status = brg__supervisor_ensure(error);
    if (status == BRG_OK)
        status = brg__world_make(&worker->world, options,
                                 worker->source == NULL ? NULL : worker->source->heritage(worker->source_owner), error);
    if (status == BRG_OK)
        status = brg__streams_make(worker, error);
    if (status == BRG_OK)
        status = brg__registry_add(worker, error);
    worker->options.arguments = worker->options.environment = NULL; /* the caller's; copied */
    return status;
}

/* ---- as part of the worker that made it ----------------------------------------------------------------------- */

static brg_worker *worker_of(brg__member *member) { return brg__container_of(member, brg_worker, member); }
static void worker_member_hold(brg__member *member) { brg__worker_ref(worker_of(member)); }
static void worker_member_ask(brg__member *member) { brg__worker_ask(worker_of(member)); }

static void worker_member_end(brg__member *member, brg_loop *loop)
{
    brg_worker *worker = worker_of(member);
    brg__streams_drop(worker);
    brg__worker_ask(worker);
    brg_worker_wait(worker, BRG_FOREVER, NULL);
    if (loop != NULL && worker->options.loop == loop)
        brg__worker_leave_loop(worker);
    brg__worker_unref(worker);
}

/* A pool's workers end with the pool. */
static brg_status worker_join_family(brg_worker *worker, brg_error *error)
{
    worker->member.hold = worker_member_hold;
    worker->member.ask = worker_member_ask;
    worker->member.end = worker_member_end;
    return worker->source != NULL ? BRG_OK : brg__family_join(&worker->member, error);
}

/* ---- creation, continued -------------------------------------------------------------------------------------- */

static brg_worker *worker_new(const brg_worker_options *options, const brg__source *source, void *source_owner,
                              void *slot)
{
    brg_worker *worker = brg__calloc_aligned(sizeof(*worker));
    if (worker == NULL)
        return NULL;
    worker->options = *options;
    worker->options.init_data = NULL; /* taken once nothing can fail any more */
    worker->id = brg_add_relaxed(&xworker_ids, (uint64_t)1) + 1;
    if (options->name != NULL)
        snprintf(worker->name, sizeof(worker->name), "%s", options->name);
    else
        snprintf(worker->name, sizeof(worker->name), "brigade-%llu", (unsigned long long)worker->id);
    worker->options.name = worker->name;
    worker->generation = brg__fork_generation();
    worker->xreferences = 1;
    worker->source = source;
    worker->source_owner = source_owner;
    worker->slot = slot;
    worker->pool_index = UINT32_MAX;
    if (source != NULL && source->place != NULL)
        source->place(slot, &worker->pool_index, &worker->pool_tags);
    worker->xcancel_event = worker->xbell = -1;
    worker->usage = &worker->own_usage;
    brg__lock_init(&worker->life_lock, BRG__RANK_LEAF, "worker life");
    brg__list_init(&worker->errors);
    brg__spinner_init(&worker->spinner, options->spin_ns);
    brg__spinner_init(&worker->receive_spinner, options->spin_ns);
    worker->ops = options->isolation == BRG_ISOLATION_PROCESS ? &brg__isolation_process : &brg__isolation_thread;
    return worker;
}

void brg__worker_set_timer(brg_worker *worker, uint64_t deadline_ns)
{
    if (deadline_ns != UINT64_MAX)
        brg__worker_ref(worker);
    if (brg__supervisor_timer_set(&worker->timer, deadline_ns))
        brg__worker_unref(worker); /* the earlier setting's */
}

/* The worker did not start in time, or its grace is over. */
static void worker_time_over(brg_worker *worker)
{
    if (brg__worker_is_over(worker))
        return;
    if (brg_load_acquire(&worker->xasked) == 0) {
        if (brg__worker_state(worker) != BRG_WORKER_STARTING)
            return; /* it came online in time */
        brg__worker_end_now(worker, BRG_START_FAILED, "the worker was not online within its start timeout");
        return;
    }
    if (!worker->ops->end(worker))
        brg__worker_set_timer(worker, brg__deadline(WORKER_RETRY_NS));
}

static void worker_timer(brg__timer *timer)
{
    brg_worker *worker = brg__container_of(timer, brg_worker, timer);
    worker_time_over(worker);
    brg__worker_unref(worker); /* the setting's that fired */
}

brg_status brg__worker_create(brg_worker **out, const brg_worker_options *given, const brg__source *source,
                              void *source_owner, void *slot, brg_error *error)
{
    brg_worker_options options = *given;
    brg_status status = worker_check_body(&options, source != NULL, error);
    if (status == BRG_OK)
        status = worker_defaults(&options, error);
    if (status != BRG_OK)
        return status;
    brg_worker *worker = worker_new(&options, source, source_owner, slot);
    if (worker == NULL)
        return brg__error_memory(error, "a worker");
    worker->timer.fire = worker_timer;
    status = worker_prepare(worker, &options, error);
    if (status == BRG_OK) {
        worker->options.init_data = options.init_data; /* ours from here: the new thread may read it at once */
        brg__worker_ref(worker);                       /* the running worker's own */
        if (options.loop != NULL) {
            brg__loop_attach(options.loop);
            brg__loop_hold(options.loop);
            worker->keeps_loop = true;
        }
        status = worker_join_family(worker, error);
        if (status == BRG_OK)
            status = worker->ops->start(worker, error);
        if (status == BRG_OK) {
            brg__streams_started(worker);
            brg__limits_watch(worker);
            brg__worker_set_timer(worker, brg__deadline(options.start_timeout_ns));
            if (brg__worker_is_over(worker)) /* already: its end did not see the timer */
                brg__worker_set_timer(worker, UINT64_MAX);
            *out = worker;
            return BRG_OK;
        }
        if (options.loop != NULL) {
            brg__loop_unhold(options.loop);
            brg__loop_detach(options.loop);
        }
        brg__family_leave(&worker->member);
        worker->xreferences = 1;
        worker->options.init_data = NULL;
    }
    brg__worker_unref(worker);
    return status;
}

brg_status brg_worker_create(brg_worker **out, const brg_worker_options *options, brg_error *error)
{
    brg_worker_options read;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "worker", "out must not be NULL");
    brg_status status = brg__options_read(&read, sizeof(read), options, "brg_worker_options", error);
    if (status != BRG_OK)
        return status;
    if (read.loop == NULL && (read.on_online != NULL || read.on_message != NULL || read.on_message_error != NULL ||
                              read.on_error != NULL || read.on_exit != NULL))
        return brg_error_set(error, BRG_INVALID, "worker",
                             "callbacks need a loop; without one use brg_worker_receive and brg_worker_wait");
    if (read.loop != NULL && !brg__loop_is_owner(read.loop))
        return brg_error_set(error, BRG_INVALID, "worker", "create the worker on the thread that owns its loop");
    return brg__worker_create(out, &read, NULL, NULL, NULL, error);
}

/* ---- life ------------------------------------------------------------------------------------------------- */

/* After a change of state: wakes those who wait for one. */
static void worker_tell_waiters(brg_worker *worker)
{
    brg_fence_seq_cst(); /* pairs with the one in worker_wait_state: it sees the state, or we see the waiter */
    if (brg_load_relaxed(&worker->xwaiters) != 0)
        brg__futex_wake(&worker->xstate, INT32_MAX, BRG__FUTEX_PRIVATE);
}

bool brg__worker_live(brg_worker *worker, brg__life_event event)
{
    brg__lock_acquire(&worker->life_lock);
    brg_worker_state before = brg__worker_state(worker);
    brg_worker_state after = brg__life_next(before, event);
    if (after != before)
        brg_store_release(&worker->xstate, (uint32_t)after); /* pairs with brg__worker_state */
    brg__lock_release(&worker->life_lock);
    if (after != before)
        worker_tell_waiters(worker);
    return after != before;
}

void brg__worker_started(brg_worker *worker)
{
    brg__lock_acquire(&worker->life_lock);
    worker->was_online = true;
    brg__lock_release(&worker->life_lock);
    brg__worker_live(worker, BRG__LIFE_STARTED);
    brg_store_release(&worker->xpending_online, 1u);
    brg__worker_deliver(worker);
    if (worker->source != NULL)
        worker->source->started(worker->source_owner, worker);
}

/* What a thread never took goes with it, ports and descriptors in it too. */
static void worker_drop_unread(brg_worker *worker)
{
    brg_value *unread;
    while (brg__mailbox_pop(&worker->outbox, &unread) == BRG_OK)
        brg_value_unref(unread);
}

void brg__worker_ended(brg_worker *worker, brg__life_event event, const brg_exit *exit)
{
    brg__streams_ended(worker);                              /* all that it wrote comes before its end */
    brg__mailbox_close(&worker->outbox);                     /* before it shows as ended: who saw that is refused */
    brg__mailbox_close(&worker->inbox);                      /* what is in it can still be taken */
    if (worker->options.isolation == BRG_ISOLATION_THREAD) { /* for a process its link does it */
        worker_drop_unread(worker);
        brg__direct_close(&worker->direct);
        brg__services_worker_gone(worker->id);
    }
    brg__lock_acquire(&worker->life_lock);
    if (brg__worker_is_over(worker)) {
        brg__lock_release(&worker->life_lock);
        return;
    }
    if (worker->exit.status == BRG_OK) /* else it was ended for a reason that says more */
        worker->exit = *exit;
    worker->exit.requested = brg_load_relaxed(&worker->xasked) == 1;
    worker->exit.exit_code = exit->exit_code;
    worker->exit.signal = exit->signal;
    if (!worker->was_online && !worker->exit.requested && worker->exit.status == BRG_OK) {
        worker->exit.status = BRG_START_FAILED;
        brg_error_set(&worker->exit.error, BRG_START_FAILED, "worker",
                      "the worker exited with code %d before it was online", exit->exit_code);
    }
    bool start_failed = !worker->was_online && worker->exit.status != BRG_OK && !worker->exit.requested;
    brg_store_release(&worker->xstate, (uint32_t)brg__life_next(brg__worker_state(worker), event));
    brg__lock_release(&worker->life_lock);
    worker_tell_waiters(worker);
    if (worker->ops->closed != NULL)
        worker->ops->closed(worker);
    brg__worker_set_timer(worker, UINT64_MAX);
    if (start_failed)
        brg__worker_error(worker, &worker->exit.error);
    if (worker->source != NULL)
        worker->source->ended(worker->source_owner, worker, &worker->exit);
    brg_store_release(&worker->xpending_exit, 1u);
    brg__worker_deliver(worker);
}

void brg__worker_ask(brg_worker *worker)
{
    uint32_t none = 0;
    if (brg__worker_is_over(worker) || !brg_cas_acq_rel(&worker->xasked, &none, 1u))
        return;
    brg__worker_live(worker, BRG__LIFE_ASKED);
    worker->ops->ask(worker); /* first: who finds the mailbox closed sees the cancel flag */
    brg__streams_hurry(worker);
    brg__mailbox_close(&worker->outbox);
    brg__worker_set_timer(worker, brg__deadline(worker->options.grace_ns));
    if (brg__worker_is_over(worker)) /* already: its end did not see the timer, which would keep it for the grace */
        brg__worker_set_timer(worker, UINT64_MAX);
}

void brg__worker_end_now(brg_worker *worker, brg_status why, const char *message)
{
    brg__lock_acquire(&worker->life_lock);
    if (worker->exit.status == BRG_OK && !brg__worker_is_over(worker)) {
        worker->exit.status = why;
        brg_error_set(&worker->exit.error, why, "worker", "%s", message);
    }
    brg__lock_release(&worker->life_lock);
    uint32_t none = 0;
    if (brg_cas_acq_rel(&worker->xasked, &none, 2u)) {
        brg__worker_live(worker, BRG__LIFE_ASKED);
        worker->ops->ask(worker);
        brg__streams_hurry(worker);
        brg__mailbox_close(&worker->outbox);
    }
    brg__worker_set_timer(worker, 0);
}

void brg__worker_cancel_task(brg_worker *worker, uint64_t ticket)
{
    if (worker->options.isolation == BRG_ISOLATION_PROCESS) {
        brg__process_cancel(worker, ticket);
        return;
    }
    brg_store_seq_cst(&worker->xcancel, ticket); /* pairs with thread_cancel_fd, which looks after making the event */
    brg__worker_ring(worker, NULL, BRG__ANY_NESTING);
}

void brg__worker_nest(brg_worker *worker, brg_context *context, int by)
{
    brg__lock_acquire(&worker->life_lock);
    context->nesting += (uint32_t)by;
    brg__lock_release(&worker->life_lock);
}

void brg__worker_ring(brg_worker *worker, brg_context *context, uint32_t nesting)
{
    brg__lock_acquire(&worker->life_lock);
    bool hears = nesting == BRG__ANY_NESTING || context->nesting == nesting;
    if (hears && worker->xcancel_event >= 0)
        brg__event_signal(worker->xcancel_event);
    brg__lock_release(&worker->life_lock);
    if (!hears)
        return;
    brg__waiter *waiter = brg_load_seq_cst(&worker->xwaiter);
    if (waiter != NULL) /* it may wait for a lock or an answer */
        brg__waiter_wake(waiter);
}

/* ---- public ----------------------------------------------------------------------------------------------- */

static brg_status worker_check_fork(const brg_worker *worker, brg_error *error)
{
    if (worker->generation == brg__fork_generation())
        return BRG_OK;
    return brg_error_set(error, BRG_FORKED, "worker", "the worker belongs to the parent of this forked process");
}

brg_status brg_worker_post(brg_worker *worker, brg_value *message, uint64_t timeout_ns, brg_error *error)
{
    if (worker == NULL || message == NULL)
        return brg_error_set(error, BRG_INVALID, "worker", "worker and message must not be NULL");
    brg_status status = worker_check_fork(worker, error);
    if (status != BRG_OK)
        return status;
    size_t size = brg__value_copied_bytes(message);
    if (size > worker->options.message_bytes_max)
        return brg_error_set(error, BRG_TOO_LARGE, "worker", "the message has %zu bytes, message_bytes_max is %zu",
                             size, worker->options.message_bytes_max);
    uint64_t deadline = timeout_ns == 0 ? 0 : brg__deadline(timeout_ns);
    status = worker->ops->post(worker, message, deadline, error);
    if (status != BRG_OK)
        brg_error_set(error, status, "worker", "post: %s", brg_status_text(status));
    return status;
}

static bool worker_has_message(brg_worker *worker)
{
    return !brg__mailbox_is_empty(&worker->inbox) || brg_load_relaxed(&worker->xgarbled) != 0 ||
           brg__worker_is_over(worker);
}

static bool worker_inbox_ready(void *argument)
{
    brg_worker *worker = argument;
    if (worker->ops->pump != NULL)
        worker->ops->pump(worker);
    return worker_has_message(worker);
}

brg_status brg_worker_receive(brg_worker *worker, brg_value **message, uint64_t timeout_ns)
{
    if (worker == NULL || message == NULL)
        return BRG_INVALID;
    if (worker->options.loop != NULL)
        return BRG_STATE;
    brg_status status = worker_check_fork(worker, NULL);
    if (status != BRG_OK)
        return status;
    uint64_t deadline = 0;
    for (;;) {
        status = brg__worker_pop(worker, message);
        if (status != BRG_EMPTY)
            return status;
        if (deadline == 0)
            deadline = timeout_ns == 0 ? 1 : brg__deadline(timeout_ns);
        bool there = timeout_ns == 0 ? worker_inbox_ready(worker)
                                     : brg__spinner_spin(&worker->receive_spinner, NULL, worker_inbox_ready, worker);
        if (worker->ops->unpump != NULL)
            worker->ops->unpump(worker);
        if (there)
            continue;
        if (timeout_ns == 0)
            return brg__worker_pop(worker, message);
        brg__gate_prepare(&worker->inbox_gate);
        if (worker_has_message(worker)) {
            brg__gate_cancel(&worker->inbox_gate);
            continue;
        }
        if (!brg__gate_wait(&worker->inbox_gate, deadline, BRG__FUTEX_PRIVATE)) {
            status = brg__worker_pop(worker, message);
            return status == BRG_EMPTY ? BRG_TIMED_OUT : status;
        }
    }
}

brg_status brg_worker_terminate(brg_worker *worker)
{
    if (worker == NULL)
        return BRG_INVALID;
    brg_status status = worker_check_fork(worker, NULL);
    if (status == BRG_OK)
        brg__worker_ask(worker);
    return status;
}

/*
 * Waits until the state is at least `least`. No spin: a new thread is often put on the CPU of its creator, who would
 * only keep it from running.
 */
static bool worker_wait_state(brg_worker *worker, brg_worker_state least, uint64_t timeout_ns)
{
    uint64_t deadline = brg__deadline(timeout_ns);
    bool reached = false, in_time = true;
    brg_add_seq_cst(&worker->xwaiters, 1u);
    brg_fence_seq_cst();
    while (!(reached = brg__worker_state(worker) >= least) && in_time) {
        uint32_t state = brg_load_acquire(&worker->xstate);
        in_time = state >= (uint32_t)least || brg__futex_wait(&worker->xstate, state, deadline, BRG__FUTEX_PRIVATE);
    }
    brg_sub_relaxed(&worker->xwaiters, 1u);
    return reached;
}

brg_status brg_worker_wait_online(brg_worker *worker, uint64_t timeout_ns, brg_error *error)
{
    brg_status status = worker_check_fork(worker, error);
    if (status != BRG_OK)
        return status;
    if (!worker_wait_state(worker, BRG_WORKER_ONLINE, timeout_ns))
        return brg_error_set(error, BRG_TIMED_OUT, "worker", "the worker is not online yet");
    brg__lock_acquire(&worker->life_lock);
    bool online = worker->was_online;
    brg__lock_release(&worker->life_lock);
    if (online)
        return BRG_OK;
    if (!worker_wait_state(worker, BRG_WORKER_EXITED, timeout_ns))
        return brg_error_set(error, BRG_TIMED_OUT, "worker", "the worker is ending and was never online");
    if (error != NULL) {
        *error = worker->exit.error;
        error->status = BRG_START_FAILED;
    }
    return brg_error_set(worker->exit.error.message[0] != '\0' ? NULL : error, BRG_START_FAILED, "worker",
                         "the worker ended before it was online");
}

brg_status brg_worker_wait(brg_worker *worker, uint64_t timeout_ns, brg_exit *out)
{
    brg_status status = worker_check_fork(worker, NULL);
    if (status != BRG_OK)
        return status;
    if (!worker_wait_state(worker, BRG_WORKER_EXITED, timeout_ns))
        return BRG_TIMED_OUT;
    if (out != NULL)
        *out = worker->exit;
    return BRG_OK;
}

uint64_t brg_worker_id(const brg_worker *worker) { return worker->id; }
const char *brg_worker_name(const brg_worker *worker) { return worker->name; }
brg_worker_state brg_worker_get_state(const brg_worker *worker) { return brg__worker_state(worker); }
