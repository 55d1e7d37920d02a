/* SPDX-License-Identifier: MIT */
/* Messages by id, the sender's side: waiting for the outcome, or hearing of it on a loop. */
#include <string.h>

#include "base/options.h"
#include "loop/loop.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/waiter.h"
#include "worker/direct_hub.h"

static brg_status direct_check(const brg_value *message, uint64_t timeout_ns, brg_error *error)
{
    if (message == NULL)
        return brg_error_set(error, BRG_INVALID, "worker", "a message must not be NULL");
    if (timeout_ns == 0)
        return brg_error_set(error, BRG_INVALID, "worker", "a timeout of 0 leaves no time to handle the message");
    return brg__service_check_fork(error);
}

/* ---- waiting --------------------------------------------------------------------------------------------------- */

typedef struct waiting_post {
    brg__direct_post post;
    brg__waiter *waiter;
    uint32_t xdone;
} waiting_post;

static void waiting_settled(brg__direct_post *post)
{
    waiting_post *waiting = brg__container_of(post, waiting_post, post);
    brg_store_release(&waiting->xdone, 1u); /* pairs with waiting_is_done */
    brg__waiter_wake(waiting->waiter);
}

static void waiting_free(brg__direct_post *post) { brg__mfree(brg__container_of(post, waiting_post, post)); }

static bool waiting_is_done(void *argument)
{
    waiting_post *waiting = argument;
    return brg_load_acquire(&waiting->xdone) != 0;
}

static brg_status direct_post_here(uint64_t worker_id, const brg_value *message, uint64_t timeout_ns, brg_error *error)
{
    waiting_post *waiting = brg__calloc(1, sizeof(*waiting));
    if (waiting == NULL || (waiting->waiter = brg__waiter_current()) == NULL) {
        brg__mfree(waiting);
        return brg__error_memory(error, "a message by id");
    }
    brg__direct_post *post = &waiting->post;
    brg__direct_post_init(post, brg__service_self(), message);
    post->settled = waiting_settled;
    post->free = waiting_free;
    brg_status status = brg__direct_submit(post, worker_id, BRG_FOREVER, error);
    if (status == BRG_OK) {
        brg_status waited = brg__service_wait(waiting_is_done, waiting, brg__deadline(timeout_ns));
        if (waited != BRG_OK)
            brg__direct_give_up(post, waited); /* it may have been settled meanwhile: then that counts */
        status = post->status;
        if (status != BRG_OK && error != NULL)
            *error = post->error;
    }
    brg__direct_unref(post);
    return status;
}

static brg_status direct_post_there(uint64_t worker_id, const brg_value *message, uint64_t timeout_ns, brg_error *error)
{
    const uint64_t words[BRG__SERVICE_WORDS] = {worker_id, timeout_ns};
    return brg__uplink_call_wait(BRG__SERVICE_DIRECT, words, message, brg__deadline(timeout_ns), NULL, error);
}

brg_status brg_worker_post_to(uint64_t worker_id, brg_value *message, uint64_t timeout_ns, brg_error *error)
{
    brg_status status = direct_check(message, timeout_ns, error);
    if (status != BRG_OK)
        return status;
    status = brg__uplink_exists() ? direct_post_there(worker_id, message, timeout_ns, error)
                                  : direct_post_here(worker_id, message, timeout_ns, error);
    if (status == BRG_OK)
        brg_value_unref(message);
    return status;
}

/* ---- on a loop ------------------------------------------------------------------------------------------------- */

/* The completion holds the poster's reference on a post here; there, the whole. */
typedef struct loop_post {
    brg__direct_post post; /* in the program */
    brg__uplink_call call; /* in a process worker */
    brg__completion completion;
    brg_direct_options options;
    brg_status status; /* there; with post.error */
    bool is_remote;
} loop_post;

static void loop_post_free(brg__direct_post *post) { brg__mfree(brg__container_of(post, loop_post, post)); }

static void loop_post_tell(brg__completion *completion)
{
    loop_post *posted = brg__container_of(completion, loop_post, completion);
    brg_direct_options options = posted->options;
    brg_status status = posted->is_remote ? posted->status : posted->post.status;
    brg_error error = posted->post.error;
    if (posted->is_remote)
        brg__mfree(posted);
    else
        brg__direct_unref(&posted->post);
    brg__loop_unhold(options.loop);
    brg__loop_detach(options.loop);
    options.done(status == BRG_OK ? NULL : &error, options.user_data);
    if (options.release != NULL)
        options.release(options.user_data);
}

static void loop_post_settled(brg__direct_post *post)
{
    loop_post *posted = brg__container_of(post, loop_post, post);
    brg__loop_post(posted->options.loop, &posted->completion);
}

static void loop_post_answered(brg__uplink_call *call, brg_status status, const brg_value *answer)
{
    loop_post *posted = brg__container_of(call, loop_post, call);
    posted->status = status;
    if (status != BRG_OK)
        brg__service_error_read(status, answer, &posted->post.error);
    brg__loop_post(posted->options.loop, &posted->completion);
}

static brg_status loop_post_here(loop_post *posted, uint64_t worker_id, const brg_value *message, brg_error *error)
{
    if (posted->options.timeout_ns != BRG_FOREVER) {
        brg_status status = brg__supervisor_ensure(error);
        if (status != BRG_OK) {
            brg__mfree(posted);
            return status;
        }
    }
    brg__direct_post_init(&posted->post, brg__service_self(), message);
    posted->post.settled = loop_post_settled;
    posted->post.free = loop_post_free;
    brg_status status = brg__direct_submit(&posted->post, worker_id, posted->options.timeout_ns, error);
    if (status != BRG_OK)
        brg__direct_unref(&posted->post);
    return status;
}

static brg_status loop_post_there(loop_post *posted, uint64_t worker_id, const brg_value *message, brg_error *error)
{
    posted->is_remote = true;
    posted->call.service = BRG__SERVICE_DIRECT;
    posted->call.words[0] = worker_id;
    posted->call.words[1] = posted->options.timeout_ns;
    posted->call.completed = loop_post_answered;
    posted->call.request = brg_value_ref(message);
    brg_status status = brg__uplink_start(&posted->call, error);
    if (status != BRG_OK) {
        brg_value_unref(posted->call.request);
        brg__mfree(posted);
    }
    return status;
}

static brg_status loop_post_check(const brg_direct_options *options, brg_error *error)
{
    if (options->loop == NULL || options->done == NULL)
        return brg_error_set(error, BRG_INVALID, "worker", "an asynchronous post needs loop and done");
    if (!brg__loop_is_owner(options->loop))
        return brg_error_set(error, BRG_INVALID, "worker", "post on the thread that owns the loop");
    return BRG_OK;
}

brg_status brg_worker_post_to_async(uint64_t worker_id, brg_value *message, const brg_direct_options *given,
                                    brg_error *error)
{
    brg_direct_options options;
    brg_status status = brg__options_read(&options, sizeof(options), given, "brg_direct_options", error);
    if (status == BRG_OK && options.timeout_ns == 0)
        options.timeout_ns = BRG_FOREVER;
    if (status == BRG_OK)
        status = direct_check(message, options.timeout_ns, error);
    if (status == BRG_OK)
        status = loop_post_check(&options, error);
    if (status != BRG_OK)
        return status;
    loop_post *posted = brg__calloc(1, sizeof(*posted));
    if (posted == NULL)
        return brg__error_memory(error, "a message by id");
    posted->options = options;
    posted->completion.run = loop_post_tell;
    brg__loop_attach(options.loop); /* before it can be settled */
    brg__loop_hold(options.loop);
    status = brg__uplink_exists() ? loop_post_there(posted, worker_id, message, error)
                                  : loop_post_here(posted, worker_id, message, error);
    if (status != BRG_OK) {
        brg__loop_unhold(options.loop);
        brg__loop_detach(options.loop);
        return status;
    }
    brg_value_unref(message);
    return BRG_OK;
}
