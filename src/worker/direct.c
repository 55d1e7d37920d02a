/* SPDX-License-Identifier: MIT */
/*
 * A message by id: new -> queued -> running -> settled, or settled from any of them (timeout, the target ended).
 * Settling is what its poster hears, once; a handler that runs meanwhile goes on and what it says is dropped.
 *
 * Behind a link nothing queues here but before the worker has started: a post is sent at once, counts as running until
 * the worker says that it has been handled, and the bounds of the target count what was sent.
 *
 * All of it happens under direct_lock, but handlers.
 */
#include "worker/direct.h"

#include <string.h>

#include "base/table.h"
#include "message/names.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/memory.h"
#include "worker/context.h"
#include "worker/direct_hub.h"

static brg__lock direct_lock = BRG__LOCK_INIT(BRG__RANK_SERVICE, "messages by id");
static brg__table direct_targets; /* by id */
static uint64_t direct_last_number;
static brg__direct_target direct_program;
static brg__direct_target *direct_home; /* of a process worker */

void brg__direct_lock(void) { brg__lock_acquire(&direct_lock); }
void brg__direct_unlock(void) { brg__lock_release(&direct_lock); }

static brg__direct_post *direct_post_of(brg__node *node) { return brg__container_of(node, brg__direct_post, node); }

/* ---- posts ----------------------------------------------------------------------------------------------------- */

void brg__direct_post_init(brg__direct_post *post, uint64_t from, const brg_value *message)
{
    post->from = from;
    post->message = brg_value_ref(message);
    post->bytes = brg_value_size_with_buffers(message);
    post->references = 1;
}

static void direct_free(brg__direct_post *post)
{
    brg_value_unref(post->message);
    post->free(post);
}

void brg__direct_ref_locked(brg__direct_post *post) { post->references++; }
bool brg__direct_unref_locked(brg__direct_post *post) { return --post->references == 0; }

void brg__direct_unref(brg__direct_post *post)
{
    brg__lock_acquire(&direct_lock);
    bool last = brg__direct_unref_locked(post);
    brg__lock_release(&direct_lock);
    if (last)
        direct_free(post);
}

static void direct_update_waiting_locked(brg__direct_target *target)
{
    bool waits = target->state == BRG__DIRECT_READY && target->handler == NULL && !brg__list_is_empty(&target->queue);
    brg_store_release(&target->xwaiting, waits ? 1u : 0u); /* pairs with brg__direct_is_waiting */
}

/* Its reference is the caller's then. */
static void direct_detach_locked(brg__direct_post *post)
{
    brg__direct_target *target = post->target;
    brg__list_remove(&post->node);
    target->count--;
    target->bytes -= post->bytes;
    post->target = NULL;
    direct_update_waiting_locked(target);
}

/* The caller holds a reference beside the target's. */
void brg__direct_settle_locked(brg__direct_post *post, brg_status status, const brg_error *error)
{
    if (post->stage == BRG__DIRECT_SETTLED)
        return;
    post->stage = BRG__DIRECT_SETTLED;
    post->status = status;
    if (status != BRG_OK)
        post->error = *error;
    post->error.status = status;
    if (post->timer.fire != NULL && brg__supervisor_timer_set(&post->timer, UINT64_MAX))
        post->references--;
    if (post->target != NULL) {
        direct_detach_locked(post);
        post->references--;
    }
    post->settled(post);
}

static void direct_settle_plain_locked(brg__direct_post *post, brg_status status)
{
    brg_error error;
    memset(&error, 0, sizeof(error));
    const char *text = brg_status_text(status);
    if (status == BRG_TIMED_OUT)
        text = "the worker did not handle the message in time";
    else if (status == BRG_CLOSED)
        text = "the worker ended before it had handled the message";
    else if (status == BRG_UNSUPPORTED)
        text = "the worker has no handler for messages by id";
    brg_error_set(&error, status, "worker", "%s", text);
    brg__direct_settle_locked(post, status, &error);
}

void brg__direct_give_up(brg__direct_post *post, brg_status status)
{
    brg__lock_acquire(&direct_lock);
    direct_settle_plain_locked(post, status);
    brg__lock_release(&direct_lock);
}

static void direct_timer_fired(brg__timer *timer)
{
    brg__direct_post *post = brg__container_of(timer, brg__direct_post, timer);
    brg__direct_give_up(post, BRG_TIMED_OUT);
    brg__direct_unref(post); /* the timer's */
}

/* All of a list, with their references. */
static void direct_settle_all_locked(brg__list *list, brg_status status, brg__list *dead)
{
    while (!brg__list_is_empty(list)) {
        brg__direct_post *post = direct_post_of(list->head.next);
        post->references++;
        direct_settle_plain_locked(post, status);
        if (brg__direct_unref_locked(post))
            brg__list_push_back(dead, &post->node);
    }
}

static void direct_free_all(brg__list *dead)
{
    brg__node *node;
    while ((node = brg__list_pop_front(dead)) != NULL)
        direct_free(direct_post_of(node));
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

/* Over the link, to a client that has started. The post is in `running` on success, in no list else. */
static brg_status direct_send_locked(brg__direct_target *target, brg__direct_post *post, brg_error *error)
{
    post->number = ++direct_last_number;
    const uint64_t words[BRG__SERVICE_WORDS] = {post->number, post->from};
    brg_value *message = brg_value_ref(post->message);
    brg_status status = target->client->ops->event(target->client, BRG__SERVICE_DIRECT, words, message, error);
    if (status != BRG_OK) {
        brg_value_unref(message);
        return status;
    }
    post->stage = BRG__DIRECT_RUNNING;
    brg__list_push_back(&target->running, &post->node);
    return BRG_OK;
}

static brg_status direct_room_locked(const brg__direct_target *target, const brg__direct_post *post, brg_error *error)
{
    if (target->count >= BRG__DIRECT_QUEUE_MAX)
        return brg_error_set(error, BRG_FULL, "worker", "%d messages wait for the worker already",
                             BRG__DIRECT_QUEUE_MAX);
    if (target->count != 0 && target->bytes + post->bytes > BRG__DIRECT_BYTES_MAX)
        return brg_error_set(error, BRG_FULL, "worker", "messages of %zu bytes wait for the worker already",
                             target->bytes);
    return BRG_OK;
}

static brg_status direct_put_locked(brg__direct_target *target, brg__direct_post *post, brg_error *error)
{
    if (target->state == BRG__DIRECT_DEAF && target->handler == NULL)
        return brg_error_set(error, BRG_UNSUPPORTED, "worker", "the worker has no handler for messages by id");
    brg_status status = direct_room_locked(target, post, error);
    if (status != BRG_OK)
        return status;
    if (target->client != NULL && target->state == BRG__DIRECT_READY) {
        status = direct_send_locked(target, post, error);
        if (status != BRG_OK)
            return status;
    } else {
        post->stage = BRG__DIRECT_QUEUED;
        brg__list_push_back(&target->queue, &post->node);
    }
    post->target = target;
    post->references++;
    target->count++;
    target->bytes += post->bytes;
    direct_update_waiting_locked(target);
    if (target->handler != NULL)
        brg__direct_handler_wake_locked(target->handler);
    else if (target->wake != NULL && target->state == BRG__DIRECT_READY)
        target->wake(target);
    return BRG_OK;
}

static brg_status direct_find_locked(const brg__direct_post *post, uint64_t to, brg__direct_target **out,
                                     brg_error *error)
{
    if (to == post->from)
        return brg_error_set(error, BRG_DEADLOCK, "worker", "a message by id cannot go to the sender itself");
    brg__direct_target *target = to == BRG_PROGRAM_ID ? &direct_program : brg__table_get(&direct_targets, to);
    if (target == NULL)
        return brg_error_set(error, BRG_NOT_FOUND, "worker", "there is no worker %llu", (unsigned long long)to);
    if (target->state == BRG__DIRECT_NONE)
        return brg_error_set(error, BRG_UNSUPPORTED, "worker", "the program has no handler for messages by id");
    *out = target;
    return BRG_OK;
}

brg_status brg__direct_submit(brg__direct_post *post, uint64_t to, uint64_t timeout_ns, brg_error *error)
{
    brg__direct_target *target = NULL;
    brg__lock_acquire(&direct_lock);
    brg_status status = direct_find_locked(post, to, &target, error);
    if (status == BRG_OK && target != NULL)
        status = direct_put_locked(target, post, error);
    if (status == BRG_OK && timeout_ns != BRG_FOREVER) {
        post->timer.fire = direct_timer_fired;
        post->references++;
        brg__supervisor_timer_set(&post->timer, brg__deadline(timeout_ns));
    }
    brg__lock_release(&direct_lock);
    return status;
}

brg_status brg__direct_submit_home(brg__direct_post *post, brg_error *error)
{
    brg__lock_acquire(&direct_lock);
    brg_status status = direct_home != NULL ? direct_put_locked(direct_home, post, error) : BRG_UNSUPPORTED;
    brg__lock_release(&direct_lock);
    return status;
}

/* ---- targets --------------------------------------------------------------------------------------------------- */

static void direct_init(brg__direct_target *target, uint64_t id)
{
    target->id = id;
    target->state = BRG__DIRECT_STARTING;
    brg__list_init(&target->queue);
    brg__list_init(&target->running);
}

brg_status brg__direct_open(brg__direct_target *target, uint64_t id, struct brg__service_client *client,
                            void (*wake)(brg__direct_target *target), brg_error *error)
{
    brg__lock_acquire(&direct_lock);
    brg_status status = brg__table_reserve(&direct_targets);
    if (status == BRG_OK) {
        direct_init(target, id);
        target->client = client;
        target->wake = wake;
        brg__table_put(&direct_targets, id, target);
    }
    brg__lock_release(&direct_lock);
    return status == BRG_OK ? BRG_OK : brg__error_memory(error, "a worker's messages by id");
}

void brg__direct_open_home(brg__direct_target *target, uint64_t id, void (*wake)(brg__direct_target *target))
{
    brg__lock_acquire(&direct_lock);
    direct_init(target, id);
    target->wake = wake;
    direct_home = target;
    brg__lock_release(&direct_lock);
}

/* What waited for a worker behind a link to start. */
static void direct_send_waiting_locked(brg__direct_target *target, brg__list *dead)
{
    while (!brg__list_is_empty(&target->queue)) {
        brg__direct_post *post = direct_post_of(target->queue.head.next);
        brg_error error;
        memset(&error, 0, sizeof(error));
        brg__list_remove(&post->node);
        brg_status status = direct_send_locked(target, post, &error);
        if (status == BRG_OK)
            continue;
        brg__list_push_back(&target->queue, &post->node); /* where settling finds it */
        post->references++;
        brg__direct_settle_locked(post, status, &error);
        if (brg__direct_unref_locked(post))
            brg__list_push_back(dead, &post->node);
    }
}

void brg__direct_ready(brg__direct_target *target, bool has_hook)
{
    brg__list dead;
    brg__list_init(&dead);
    brg__lock_acquire(&direct_lock);
    if (target->state == BRG__DIRECT_STARTING) {
        target->state = has_hook ? BRG__DIRECT_READY : BRG__DIRECT_DEAF;
        if (has_hook && target->client != NULL)
            direct_send_waiting_locked(target, &dead);
        else if (!has_hook && target->handler == NULL)
            direct_settle_all_locked(&target->queue, BRG_UNSUPPORTED, &dead);
        direct_update_waiting_locked(target);
    }
    brg__lock_release(&direct_lock);
    direct_free_all(&dead);
}

void brg__direct_close(brg__direct_target *target)
{
    if (target->state == BRG__DIRECT_NONE) /* opening failed, or never was */
        return;
    brg__list dead;
    brg__list_init(&dead);
    brg__lock_acquire(&direct_lock);
    if (target->state != BRG__DIRECT_CLOSED) {
        target->state = BRG__DIRECT_CLOSED;
        if (target->handler != NULL)
            brg__direct_handler_orphan_locked(target->handler);
        target->handler = NULL;
        if (target == direct_home)
            direct_home = NULL;
        else
            brg__table_remove(&direct_targets, target->id);
        if (direct_targets.count == 0) {
            brg__mfree(direct_targets.slots);
            direct_targets = (brg__table){0};
        }
        direct_settle_all_locked(&target->queue, BRG_CLOSED, &dead);
        direct_settle_all_locked(&target->running, BRG_CLOSED, &dead);
        direct_update_waiting_locked(target);
    }
    brg__lock_release(&direct_lock);
    direct_free_all(&dead);
}

brg__direct_target *brg__direct_own_locked(uint64_t id)
{
    if (id != BRG_PROGRAM_ID)
        return brg__uplink_exists() ? direct_home : brg__table_get(&direct_targets, id);
    if (direct_program.state == BRG__DIRECT_NONE) {
        direct_init(&direct_program, BRG_PROGRAM_ID);
        direct_program.state = BRG__DIRECT_DEAF;
    }
    return &direct_program;
}

void brg__direct_handler_changed_locked(brg__direct_target *target, brg__list *dead)
{
    if (target->handler == NULL && target->state == BRG__DIRECT_DEAF)
        direct_settle_all_locked(&target->queue, BRG_CLOSED, dead);
    direct_update_waiting_locked(target);
    if (target->handler == NULL && target->wake != NULL && !brg__list_is_empty(&target->queue))
        target->wake(target);
}

void brg__direct_free_all(brg__list *dead) { direct_free_all(dead); }

/* ---- handling -------------------------------------------------------------------------------------------------- */

brg__direct_post *brg__direct_begin_locked(brg__direct_target *target)
{
    if (brg__list_is_empty(&target->queue) || !brg__list_is_empty(&target->running))
        return NULL;
    brg__direct_post *post = direct_post_of(brg__list_pop_front(&target->queue));
    brg__list_push_back(&target->running, &post->node);
    post->stage = BRG__DIRECT_RUNNING;
    post->references++; /* of who runs it */
    direct_update_waiting_locked(target);
    return post;
}

brg__direct_post *brg__direct_begin(brg__direct_target *target)
{
    brg__lock_acquire(&direct_lock);
    brg__direct_post *post = target->state == BRG__DIRECT_READY && target->handler == NULL
                                 ? brg__direct_begin_locked(target)
                                 : NULL;
    brg__lock_release(&direct_lock);
    return post;
}

brg_status brg__direct_call_hook(brg_context *context, const brg__direct_post *post)
{
    brg__context_begin(context, 0, 0);
    brg_status status = context->module->direct(context, post->from, post->message);
    status = brg__context_conclude(context, status, "direct handler");
    brg__context_end(context);
    return status;
}

/* The poster is told BRG_FAILED, whatever the handler returned, with the handler's own words. */
void brg__direct_end(brg__direct_post *post, brg_status status, const brg_error *failure)
{
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (status != BRG_OK) {
        error = *failure;
        error.status = BRG_FAILED;
    }
    brg__lock_acquire(&direct_lock);
    brg__direct_settle_locked(post, status == BRG_OK ? BRG_OK : BRG_FAILED, &error);
    bool last = brg__direct_unref_locked(post);
    brg__lock_release(&direct_lock);
    if (last)
        direct_free(post);
}

bool brg__direct_waits(const brg_context *context)
{
    return context->direct != NULL && brg__direct_is_waiting(context->direct);
}

bool brg__direct_run(brg_context *context)
{
    brg__direct_post *post = brg__direct_waits(context) ? brg__direct_begin(context->direct) : NULL;
    if (post == NULL)
        return false;
    brg_status status = brg__direct_call_hook(context, post);
    brg__direct_end(post, status, &context->failure);
    return true;
}
