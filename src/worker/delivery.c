/* SPDX-License-Identifier: MIT */
/*
 * From a worker to its owner. Without a loop the owner takes messages from the inbox itself. With one, a single
 * completion per worker is posted when there is something new; it calls back in the order online, messages and errors,
 * exit. It holds a reference, so a worker destroyed inside one of its callbacks stays until the delivery is done; after
 * each callback the delivery looks whether that happened.
 */
#include "base/util.h"
#include "os/atomic.h"
#include "os/memory.h"
#include "os/thread.h"
#include "worker/worker.h"

#define DELIVERY_BATCH 64   /* messages of one worker before others have their turn */
#define DELIVERY_ERRORS 256 /* waiting errors of one worker; further ones are dropped */

typedef struct delivery_error {
    brg__node node;
    bool is_message; /* for on_message_error */
    brg_error error;
} delivery_error;

static void delivery_queue_error(brg_worker *worker, bool is_message, const brg_error *error)
{
    delivery_error *item = brg__malloc(sizeof(*item));
    if (item == NULL)
        return; /* the failing hook shows in exit as well; nothing else is lost */
    item->is_message = is_message;
    item->error = *error;
    brg__lock_acquire(&worker->life_lock);
    bool room = worker->error_count < DELIVERY_ERRORS;
    if (room) {
        brg__list_push_back(&worker->errors, &item->node);
        worker->error_count++;
    }
    brg__lock_release(&worker->life_lock);
    if (room)
        brg__worker_deliver(worker);
    else
        brg__mfree(item);
}

void brg__worker_error(brg_worker *worker, const brg_error *error)
{
    if (worker->options.on_error != NULL)
        delivery_queue_error(worker, false, error);
}

void brg__worker_message_error(brg_worker *worker, const brg_error *error)
{
    if (worker->options.loop == NULL) {
        brg_add_acq_rel(&worker->xgarbled, 1u);
        brg__worker_deliver(worker);
    } else if (worker->options.on_message_error != NULL) {
        delivery_queue_error(worker, true, error);
    }
}

brg_status brg__worker_pop(brg_worker *worker, brg_value **message)
{
    uint32_t garbled = brg_load_acquire(&worker->xgarbled);
    while (garbled != 0)
        if (brg_cas_acq_rel(&worker->xgarbled, &garbled, garbled - 1))
            return BRG_MALFORMED;
    brg_status status = brg__mailbox_pop(&worker->inbox, message);
    if (status == BRG_OK && worker->ops->took != NULL)
        worker->ops->took(worker);
    return status;
}

static bool delivery_is_dead(brg_worker *worker) { return brg_load_relaxed(&worker->xdestroyed) != 0; }

static void delivery_errors(brg_worker *worker)
{
    while (!delivery_is_dead(worker)) {
        brg__lock_acquire(&worker->life_lock);
        brg__node *node = brg__list_pop_front(&worker->errors);
        if (node != NULL)
            worker->error_count--;
        brg__lock_release(&worker->life_lock);
        if (node == NULL)
            return;
        delivery_error *item = brg__container_of(node, delivery_error, node);
        if (item->is_message)
            worker->options.on_message_error(worker, &item->error, worker->options.user_data);
        else
            worker->options.on_error(worker, &item->error, worker->options.user_data);
        brg__mfree(item);
    }
}

/* Up to a batch of messages; true when more are left. */
static bool delivery_messages(brg_worker *worker)
{
    for (int i = 0; i < DELIVERY_BATCH && !delivery_is_dead(worker); i++) {
        brg_value *message = NULL;
        if (brg__worker_pop(worker, &message) != BRG_OK)
            return false;
        if (worker->options.on_message != NULL)
            worker->options.on_message(worker, message, worker->options.user_data);
        brg_value_unref(message);
    }
    return !delivery_is_dead(worker);
}

static void delivery_run(brg__completion *completion)
{
    brg_worker *worker = brg__container_of(completion, brg_worker, delivery);
    brg_store_seq_cst(&worker->xdelivery_posted, 0u); /* before looking: what comes later posts again */
    brg_fence_seq_cst();
    bool exiting = brg_load_acquire(&worker->xpending_exit) != 0; /* before the messages: they were sent before it */
    if (!delivery_is_dead(worker) && !worker->online_told && brg_load_acquire(&worker->xpending_online) != 0) {
        worker->online_told = true;
        if (worker->options.on_online != NULL)
            worker->options.on_online(worker, worker->options.user_data);
    }
    delivery_errors(worker);
    bool more = delivery_messages(worker);
    if (worker->streams != NULL && brg__streams_deliver(worker))
        more = true;
    if (!more && !delivery_is_dead(worker) && worker->ops->unpump != NULL && !exiting)
        worker->ops->unpump(worker); /* the inbox has room again: replies that waited for it may come */
    if (more) {
        brg__worker_deliver(worker);
    } else if (exiting && !delivery_is_dead(worker) && !worker->exit_told) {
        worker->exit_told = true;
        brg_worker_keep_loop(worker, false);
        if (worker->options.on_exit != NULL)
            worker->options.on_exit(worker, &worker->exit, worker->options.user_data);
    }
    brg__worker_unref(worker);
}

void brg__worker_deliver(brg_worker *worker)
{
    if (worker->options.loop == NULL) {
        brg__gate_wake(&worker->inbox_gate, BRG__FUTEX_PRIVATE);
        return;
    }
    brg_fence_seq_cst();
    if (brg_load_relaxed(&worker->xdelivery_posted) != 0 || brg_exchange_seq_cst(&worker->xdelivery_posted, 1u) != 0)
        return;
    /* Under the lock that destroy takes: after it the loop may be gone. */
    brg__lock_acquire(&worker->life_lock);
    if (!delivery_is_dead(worker)) {
        brg__worker_ref(worker);
        worker->delivery.run = delivery_run;
        brg__loop_post(worker->options.loop, &worker->delivery);
    }
    brg__lock_release(&worker->life_lock);
}

void brg_worker_keep_loop(brg_worker *worker, bool keep)
{
    if (worker == NULL || worker->options.loop == NULL || worker->has_left_loop || keep == worker->keeps_loop ||
        (keep && worker->exit_told))
        return;
    worker->keeps_loop = keep;
    if (keep)
        brg__loop_hold(worker->options.loop);
    else
        brg__loop_unhold(worker->options.loop);
}

bool brg_worker_keeps_loop(const brg_worker *worker) { return worker != NULL && worker->keeps_loop; }

/* From here on nothing is posted to the loop: posting looks at the mark under the lock. */
static void delivery_end(brg_worker *worker)
{
    brg__lock_acquire(&worker->life_lock);
    brg_store_relaxed(&worker->xdestroyed, 1u);
    brg__lock_release(&worker->life_lock);
}

void brg__worker_leave_loop(brg_worker *worker)
{
    if (worker->options.loop == NULL || worker->has_left_loop)
        return;
    delivery_end(worker);
    brg_worker_keep_loop(worker, false);
    worker->has_left_loop = true;
    brg__loop_detach(worker->options.loop);
}

void brg_worker_destroy(brg_worker *worker)
{
    if (worker == NULL)
        return;
    bool here = worker->generation == brg__fork_generation();
    if (here) {
        brg__family_leave(&worker->member);
        delivery_end(worker);
        brg__streams_drop(worker);
    }
    if (here && !brg__worker_is_over(worker)) {
        brg__worker_ask(worker);
        brg_worker_wait(worker, BRG_FOREVER, NULL);
    }
    if (here)
        brg__worker_leave_loop(worker);
    if (worker->options.release != NULL)
        worker->options.release(worker->options.user_data);
    brg__worker_unref(worker);
}
