/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous waits. Each is in the list of its brg_shared, under async_lock, from when it is queued in the table
 * until it is over; whoever takes it out of the list completes it, so exactly once. Completions are posted under the
 * lock, in the order of the list, which is that of the tickets: FIFO holds up to the loop. Those without a loop run
 * after it.
 *
 * References: one of the handle, if there is one, and one of the wait itself, until it was delivered. A wait keeps
 * its brg_shared; so the last reference on that may go on the helper thread, which then frees it on its way out.
 *
 * The helper sleeps on the bell of this process's participant and wakes for the next deadline; it is started only when
 * another process can end a wait, or a deadline. Otherwise who notifies completes, in this process, at once.
 */
#include "message/shared.h"

#include "base/options.h"
#include "loop/loop.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"

struct brg_shared_wait {
    brg__completion completion;
    brg__node node; /* in shared->waits; a zeroed one is not, or is in the list of those to complete */
    uint32_t xrefs;
    bool queued;    /* under async_lock */
    uint32_t index; /* of its slot */
    uint64_t deadline_ns;
    brg_status status;
    brg_shared *shared;
    brg_shared_wait_options options;
    brg__loop_user loop_user; /* where its loop's thread began it */
};

static uint32_t *async_bell(brg_shared *shared)
{
    return &shared->header->participants[shared->participant % BRG__SHARED_PARTICIPANTS].xbell;
}

static void async_ring(brg_shared *shared)
{
    brg_add_seq_cst(async_bell(shared), 1u);
    brg__futex_wake(async_bell(shared), 1, BRG__FUTEX_SHARED);
}

/* ---- completing -------------------------------------------------------------------------------------------- */

void brg_shared_wait_unref(brg_shared_wait *wait)
{
    if (wait == NULL || brg_sub_acq_rel(&wait->xrefs, 1u) != 1)
        return;
    brg_shared *shared = wait->shared;
    brg__mfree(wait);
    brg_shared_unref(shared);
}

static void async_loop_attach(const brg_shared_wait *wait)
{
    brg_loop *loop = wait->options.loop;
    if (loop == NULL)
        return;
    brg__loop_attach(loop);
    if (!wait->options.is_background)
        brg__loop_hold(loop);
}

static void async_loop_detach(const brg_shared_wait *wait)
{
    brg_loop *loop = wait->options.loop;
    if (loop == NULL)
        return;
    if (!wait->options.is_background)
        brg__loop_unhold(loop);
    if (!brg__loop_is_owner(loop))
        brg__loop_nudge(loop); /* only the owner can let go of the loop's life */
    brg__loop_detach(loop);
}

/* Who posted it, under the lock, may not be through with the loop yet; after this the loop may go. */
static void async_await_poster(brg_shared_wait *wait)
{
    brg__lock_acquire(&wait->shared->async_lock);
    brg__lock_release(&wait->shared->async_lock);
}

static void async_run(brg__completion *completion)
{
    brg_shared_wait *wait = brg__container_of(completion, brg_shared_wait, completion);
    if (wait->options.loop != NULL)
        async_await_poster(wait);
    brg__loop_user_remove(&wait->loop_user);
    wait->options.done(wait->status, wait->options.user_data);
    if (wait->options.release != NULL)
        wait->options.release(wait->options.user_data);
    async_loop_detach(wait);
    brg_shared_wait_unref(wait);
}

/* Out of the list: to the loop, or to `rest`, whose waits the caller completes without a lock. */
static void async_finish_locked(brg_shared_wait *wait, brg_status status, brg__list *rest)
{
    brg__list_remove(&wait->node);
    wait->queued = false;
    wait->status = status;
    if (wait->options.loop != NULL)
        brg__loop_post(wait->options.loop, &wait->completion);
    else
        brg__list_push_back(rest, &wait->node);
}

static void async_run_rest(brg__list *rest)
{
    brg__node *node;
    while ((node = brg__list_pop_front(rest)) != NULL)
        async_run(&brg__container_of(node, brg_shared_wait, node)->completion);
}

/* Finishes what is over at `now`; returns the next deadline. */
static uint64_t async_sweep_locked(brg_shared *shared, uint64_t now, brg__list *rest)
{
    uint64_t next = UINT64_MAX;
    if (brg__list_is_empty(&shared->waits))
        return next;
    /* Under the table's lock, so that a batch is seen marked as a whole: else the second might be posted first. */
    brg__shared_lock(shared);
    brg__list_for_each(node, &shared->waits) {
        brg_shared_wait *wait = brg__container_of(node, brg_shared_wait, node);
        bool late = wait->deadline_ns <= now;
        if (brg__shared_dequeue_locked(shared, wait->index, late))
            async_finish_locked(wait, BRG_OK, rest);
        else if (late)
            async_finish_locked(wait, BRG_TIMED_OUT, rest);
        else
            next = brg__min(next, wait->deadline_ns);
    }
    brg__shared_unlock(shared);
    return next;
}

static uint64_t async_collect(brg_shared *shared)
{
    brg__list rest;
    brg__list_init(&rest);
    brg__lock_acquire(&shared->async_lock);
    uint64_t next = async_sweep_locked(shared, brg__now(), &rest);
    brg__lock_release(&shared->async_lock);
    async_run_rest(&rest);
    return next;
}

/* The callbacks of waits without a loop may drop the caller's last reference. */
void brg__shared_async_collect(brg_shared *shared)
{
    brg_shared_ref(shared);
    async_collect(shared);
    brg_shared_unref(shared);
}

/* ---- the helper -------------------------------------------------------------------------------------------- */

static void async_help(void *argument)
{
    brg_shared *shared = argument;
    brg_store_relaxed(&shared->helper_id, brg__thread_id());
    while (brg_load_acquire(&shared->xstop) == 0) { /* pairs with the store in brg__shared_async_close */
        uint32_t bell = brg_load_seq_cst(async_bell(shared));
        uint64_t next = async_collect(shared);
        if (brg_load_acquire(&shared->xstop) == 0)
            brg__futex_wait(async_bell(shared), bell, next, BRG__FUTEX_SHARED);
    }
    if (shared->frees_itself)
        brg__shared_free(shared);
}

static brg_status async_start_helper_locked(brg_shared *shared, brg_error *error)
{
    if (shared->has_helper)
        return BRG_OK;
    brg_status status = brg__thread_start(&shared->helper, "brg-shared", 0, async_help, shared, error);
    shared->has_helper = status == BRG_OK;
    return status;
}

brg_status brg__shared_async_open(brg_shared *shared, brg_error *error)
{
    brg_status status = BRG_OK;
    brg__lock_acquire(&shared->async_lock);
    if (!brg__list_is_empty(&shared->waits))
        status = async_start_helper_locked(shared, error);
    if (status == BRG_OK)
        shared->has_others = true;
    brg__lock_release(&shared->async_lock);
    return status;
}

bool brg__shared_async_close(brg_shared *shared)
{
    if (!shared->has_helper || brg__shared_is_forked(shared))
        return true;
    if (brg_load_relaxed(&shared->helper_id) == brg__thread_id()) {
        shared->frees_itself = true;
        brg__thread_detach(&shared->helper);
        brg_store_release(&shared->xstop, 1u);
        return false;
    }
    brg_store_release(&shared->xstop, 1u);
    async_ring(shared);
    brg__thread_join(&shared->helper);
    return true;
}

/* ---- starting and cancelling ------------------------------------------------------------------------------- */

static brg_status async_read_options(brg_shared_wait_options *read, const brg_shared_wait_options *options,
                                     brg_error *error)
{
    brg_status status = brg__options_read(read, sizeof(*read), options, "brg_shared_wait_options", error);
    if (status != BRG_OK)
        return status;
    if (read->done == NULL)
        return brg_error_set(error, BRG_INVALID, "shared", "brg_shared_wait_options: done is needed");
    if (read->timeout_ns == 0)
        read->timeout_ns = BRG_FOREVER;
    return BRG_OK;
}

/* In the list and in the table, or in neither. */
static brg_status async_enqueue_locked(brg_shared_wait *wait, const brg__wait_key *key, brg_error *error)
{
    brg_shared *shared = wait->shared;
    brg_status status = BRG_OK;
    if (shared->has_others || wait->deadline_ns != UINT64_MAX)
        status = async_start_helper_locked(shared, error);
    if (status == BRG_OK) {
        status = brg__shared_enqueue(shared, key, true, &wait->index);
        if (status != BRG_OK && status != BRG_NOT_EQUAL)
            brg_error_set(error, status, "shared", "waiting at offset %zu: %s", key->offset, brg_status_text(status));
    }
    if (status == BRG_OK) {
        brg__list_push_back(&shared->waits, &wait->node);
        wait->queued = true;
    }
    return status;
}

/* Over before it began: on its loop it is over soon, without one at once. */
static void async_end_at_once(brg_shared_wait *wait)
{
    wait->status = BRG_NOT_EQUAL;
    if (wait->options.loop != NULL)
        brg__loop_post(wait->options.loop, &wait->completion);
    else
        async_run(&wait->completion);
}

/* The loop, a worker's, ends: the wait leaves its queue, so that it takes no wake-up from others, and is never done. */
static void async_loop_ends(brg__loop_user *user)
{
    brg_shared_wait *wait = brg__container_of(user, brg_shared_wait, loop_user);
    brg_shared *shared = wait->shared;
    brg__lock_acquire(&shared->async_lock);
    bool queued = wait->queued;
    if (queued) {
        brg__shared_lock(shared);
        (void)brg__shared_dequeue_locked(shared, wait->index, true);
        brg__shared_unlock(shared);
        brg__list_remove(&wait->node);
        wait->queued = false;
    }
    brg__lock_release(&shared->async_lock);
    if (!queued) /* its completion is on the loop already, and stays there */
        return;
    if (wait->options.release != NULL)
        wait->options.release(wait->options.user_data);
    async_loop_detach(wait);
    brg_shared_wait_unref(wait);
}

static void async_abandon(brg_shared_wait *wait)
{
    brg__loop_user_remove(&wait->loop_user);
    async_loop_detach(wait);
    wait->xrefs = 1;
    brg_shared_wait_unref(wait);
}

brg_status brg__shared_wait_begin(brg_shared *shared, const brg__wait_key *key, const brg_shared_wait_options *options,
                                  bool at_once, brg_shared_wait **out, brg_error *error)
{
    if (brg__shared_is_forked(shared))
        return brg_error_set(error, BRG_FORKED, "shared", "the shared memory belongs to the parent of this process");
    brg_shared_wait *wait = brg__calloc(1, sizeof(*wait));
    if (wait == NULL)
        return brg__error_memory(error, "an asynchronous wait");
    uint64_t deadline = brg__deadline(options->timeout_ns);
    wait->completion.run = async_run;
    wait->xrefs = out != NULL ? 2 : 1;
    wait->shared = brg_shared_ref(shared);
    wait->options = *options;
    wait->deadline_ns = deadline;
    async_loop_attach(wait);
    if (options->loop != NULL && brg__loop_is_owner(options->loop)) {
        wait->loop_user.ending = async_loop_ends;
        brg__loop_user_add(options->loop, &wait->loop_user);
    }
    brg__lock_acquire(&shared->async_lock);
    brg_status status = async_enqueue_locked(wait, key, error);
    brg__lock_release(&shared->async_lock);
    /* From here on it may be over and gone. */
    if (status == BRG_OK && deadline != UINT64_MAX)
        async_ring(shared); /* the helper sleeps until another deadline */
    if (status != BRG_OK && !(status == BRG_NOT_EQUAL && at_once)) {
        async_abandon(wait);
        return status;
    }
    if (out != NULL)
        *out = wait;
    if (status == BRG_NOT_EQUAL)
        async_end_at_once(wait);
    return BRG_OK;
}

static brg_status wait_async(brg_shared *shared, const brg__wait_key *key, const brg_shared_wait_options *options,
                             brg_shared_wait **out, brg_error *error)
{
    brg_shared_wait_options read;
    brg_status status = async_read_options(&read, options, error);
    if (status == BRG_OK && read.loop == NULL)
        status = brg_error_set(error, BRG_INVALID, "shared", "brg_shared_wait_options: loop is needed");
    return status == BRG_OK ? brg__shared_wait_begin(shared, key, &read, false, out, error) : status;
}

brg_status brg_shared_wait_async32(brg_shared *shared, size_t offset, uint32_t expected,
                                   const brg_shared_wait_options *options, brg_shared_wait **out, brg_error *error)
{
    const brg__wait_key key = {.offset = offset, .width = sizeof(uint32_t), .expected = expected};
    return wait_async(shared, &key, options, out, error);
}

brg_status brg_shared_wait_async64(brg_shared *shared, size_t offset, uint64_t expected,
                                   const brg_shared_wait_options *options, brg_shared_wait **out, brg_error *error)
{
    const brg__wait_key key = {.offset = offset, .width = sizeof(uint64_t), .expected = expected};
    return wait_async(shared, &key, options, out, error);
}

void brg_shared_wait_cancel(brg_shared_wait *wait)
{
    brg_shared *shared = wait->shared;
    brg__list rest;
    if (brg__shared_is_forked(shared))
        return;
    brg__list_init(&rest);
    brg__lock_acquire(&shared->async_lock);
    if (wait->queued) {
        brg__shared_lock(shared);
        bool notified = brg__shared_dequeue_locked(shared, wait->index, true);
        brg__shared_unlock(shared);
        async_finish_locked(wait, notified ? BRG_OK : BRG_CANCELLED, &rest);
    }
    brg__lock_release(&shared->async_lock);
    async_run_rest(&rest);
}
