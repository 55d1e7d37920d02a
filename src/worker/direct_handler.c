/* SPDX-License-Identifier: MIT */
/*
 * Handlers of messages by id on a loop. A handler posts its one completion when there is something for it; it takes a
 * few messages at a time. A posted completion holds a reference, so a handler that is ended inside itself stays until
 * it returns.
 */
#include <string.h>

#include "base/options.h"
#include "loop/loop.h"
#include "os/memory.h"
#include "worker/direct_hub.h"

#define HANDLER_BATCH 16 /* messages before others on the loop get their turn */

struct brg_direct_handler {
    brg_direct_handler_options options;
    brg__completion completion;
    brg__loop_user loop_user;
    bool is_on_loop; /* owner thread */

    /* Under the hub's lock. */
    brg__direct_target *target; /* NULL once it was ended, or its worker was */
    uint32_t references;
    bool is_posted;
};

static void handler_unref(brg_direct_handler *handler)
{
    brg__direct_lock();
    bool last = --handler->references == 0;
    brg__direct_unlock();
    if (last)
        brg__mfree(handler);
}

void brg__direct_handler_wake_locked(brg_direct_handler *handler)
{
    if (handler->is_posted)
        return;
    handler->is_posted = true;
    handler->references++;
    brg__loop_post(handler->options.loop, &handler->completion);
}

void brg__direct_handler_orphan_locked(brg_direct_handler *handler) { handler->target = NULL; }

static brg__direct_post *handler_begin(brg_direct_handler *handler)
{
    brg__direct_lock();
    brg__direct_post *post = handler->target != NULL ? brg__direct_begin_locked(handler->target) : NULL;
    brg__direct_unlock();
    return post;
}

static void handler_handle(const brg_direct_handler *handler, brg__direct_post *post)
{
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status = handler->options.on_direct(post->from, post->message, handler->options.user_data, &error);
    if (status != BRG_OK && error.message[0] == '\0')
        brg_error_set(&error, BRG_FAILED, "worker", "the handler returned %s", brg_status_name(status));
    brg__direct_end(post, status, &error);
}

static void handler_run(brg__completion *completion)
{
    brg_direct_handler *handler = brg__container_of(completion, brg_direct_handler, completion);
    brg__direct_lock();
    handler->is_posted = false;
    brg__direct_unlock();
    for (int i = 0; i < HANDLER_BATCH; i++) {
        brg__direct_post *post = handler_begin(handler);
        if (post == NULL)
            break;
        handler_handle(handler, post);
    }
    brg__direct_lock();
    if (handler->target != NULL && !brg__list_is_empty(&handler->target->queue))
        brg__direct_handler_wake_locked(handler);
    brg__direct_unlock();
    handler_unref(handler);
}

static brg_status handler_check(const brg_direct_handler_options *options, brg_error *error)
{
    if (options->loop == NULL || options->on_direct == NULL)
        return brg_error_set(error, BRG_INVALID, "worker", "a handler of messages by id needs loop and on_direct");
    if (!brg__loop_is_owner(options->loop))
        return brg_error_set(error, BRG_INVALID, "worker", "register the handler on the thread that owns its loop");
    return BRG_OK;
}

static brg_status handler_register(brg_direct_handler *handler, brg_error *error)
{
    brg_status status = BRG_OK;
    brg__direct_lock();
    brg__direct_target *target = brg__direct_own_locked(brg__service_self());
    if (target == NULL || target->state == BRG__DIRECT_CLOSED)
        status = brg_error_set(error, BRG_STATE, "worker", "the worker has ended");
    else if (target->handler != NULL)
        status = brg_error_set(error, BRG_STATE, "worker", "there is a handler of messages by id already");
    if (status == BRG_OK && target != NULL) {
        handler->target = target;
        target->handler = handler;
        brg__direct_handler_changed_locked(target, NULL);
        if (!brg__list_is_empty(&target->queue))
            brg__direct_handler_wake_locked(handler);
    }
    brg__direct_unlock();
    return status;
}

/* It handles nothing any more, and its loop is free of it. */
static void handler_leave(brg_direct_handler *handler)
{
    brg__list dead;
    brg__list_init(&dead);
    brg__direct_lock();
    if (handler->target != NULL) {
        handler->target->handler = NULL;
        brg__direct_handler_changed_locked(handler->target, &dead);
        handler->target = NULL;
    }
    brg__direct_unlock();
    brg__direct_free_all(&dead);
    if (handler->options.keeps_loop)
        brg__loop_unhold(handler->options.loop);
    brg__loop_detach(handler->options.loop);
    handler->is_on_loop = false;
}

/* The loop, a worker's, ends before the handler was ended. */
static void handler_loop_ends(brg__loop_user *user)
{
    handler_leave(brg__container_of(user, brg_direct_handler, loop_user));
}

brg_status brg_direct_handle(brg_direct_handler **out, const brg_direct_handler_options *given, brg_error *error)
{
    brg_direct_handler_options options;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "worker", "out must not be NULL");
    brg_status status = brg__options_read(&options, sizeof(options), given, "brg_direct_handler_options", error);
    if (status == BRG_OK)
        status = brg__service_check_fork(error);
    if (status == BRG_OK)
        status = handler_check(&options, error);
    if (status != BRG_OK)
        return status;
    brg_direct_handler *handler = brg__calloc(1, sizeof(*handler));
    if (handler == NULL)
        return brg__error_memory(error, "a handler");
    handler->options = options;
    handler->completion.run = handler_run;
    handler->references = 1;
    status = handler_register(handler, error);
    if (status != BRG_OK) {
        brg__mfree(handler);
        return status;
    }
    handler->is_on_loop = true;
    handler->loop_user.ending = handler_loop_ends;
    brg__loop_user_add(options.loop, &handler->loop_user);
    brg__loop_attach(options.loop);
    if (options.keeps_loop)
        brg__loop_hold(options.loop);
    *out = handler;
    return BRG_OK;
}

void brg_direct_unhandle(brg_direct_handler *handler)
{
    if (handler == NULL)
        return;
    if (handler->is_on_loop) {
        brg__loop_user_remove(&handler->loop_user);
        handler_leave(handler);
    }
    if (handler->options.release != NULL)
        handler->options.release(handler->options.user_data);
    handler_unref(handler);
}
