/* SPDX-License-Identifier: MIT */
/*
 * Completions: many threads post, the owner thread runs.
 *
 * Posting is one compare-and-swap on a stack (Treiber 1986); the owner takes the whole stack with one exchange and
 * reverses it, so order is kept. The owner sleeps on an eventfd that is written at most once per sleep: it sets
 * `xarmed`, looks at the stack again, and only then sleeps; a post that finds the stack empty takes `xarmed` with an
 * exchange and writes if it was set. Posts onto a non-empty stack need not look: the first of them did, or
 * the owner's second look sees them all.
 *
 * `xpending` counts completions still to come and holds the loop (uv_ref) while it is not zero.
 */
#include "loop/loop.h"

#include "base/options.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/thread.h"

#define LOOP_BATCH_DEFAULT 1024

struct brg_loop {
    brg_loop_options options;
    const brg__loop_adapter *adapter;
    void *adapter_state;
    uint32_t owner;      /* brg__thread_id */
    uint32_t generation; /* a forked child must not touch it: epoll and eventfd are the parent's */
    int event;
    bool held;              /* the adapter was told to keep the loop alive */
    bool refuses_runs;      /* a worker's, that is asked to end */
    bool found_nothing;     /* the last dispatch: the descriptor may have been written late */
    brg__list users;        /* brg__loop_user */
    brg__completion *ready; /* taken from xposted, in order; owner thread */
    BRG__ALIGNED(64) brg__completion *xposted;
    uint32_t xarmed;                    /* the owner sleeps, or is about to */
    BRG__ALIGNED(64) uint64_t xpending; /* apart from what those write who post: it is the owner's mostly */
    uint32_t xusers, xstop;
};

brg_status brg__loop_new(brg_loop **out, const brg_loop_options *options, brg_error *error)
{
    brg_loop_options read;
    brg_status status = brg__options_read(&read, sizeof(read), options, "brg_loop_options", error);
    if (status != BRG_OK)
        return status;
    brg_loop *loop = brg__calloc_aligned(sizeof(*loop));
    if (loop == NULL)
        return brg__error_memory(error, "a loop");
    loop->options = read;
    if (loop->options.batch_max == 0)
        loop->options.batch_max = LOOP_BATCH_DEFAULT;
    brg__list_init(&loop->users);
    loop->owner = brg__thread_id();
    loop->generation = brg__fork_generation();
    status = brg__event_create(&loop->event, error);
    if (status != BRG_OK) {
        brg__mfree_aligned(loop);
        return status;
    }
    loop->xarmed = 1; /* nothing was looked at yet: the first post must signal */
    *out = loop;
    return BRG_OK;
}

void brg__loop_set_adapter(brg_loop *loop, const brg__loop_adapter *adapter, void *state)
{
    loop->adapter = adapter;
    loop->adapter_state = state;
}

void *brg__loop_adapter_state(const brg_loop *loop) { return loop->adapter_state; }

brg_status brg_loop_create(brg_loop **out, const brg_loop_options *options, brg_error *error)
{
    brg_loop *loop = NULL;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "loop", "out must not be NULL");
    brg_status status = brg__loop_new(&loop, options, error);
    if (status != BRG_OK)
        return status;
    if (!loop->options.external) { /* NOLINT(clang-analyzer-core.NullDereference): it is set on success */
        status = brg__loop_uv_own(loop, error);
        if (status != BRG_OK) {
            brg__fd_close(&loop->event);
            brg__mfree_aligned(loop);
            return status;
        }
    }
    *out = loop;
    return BRG_OK;
}

static bool loop_is_forked(const brg_loop *loop) { return loop->generation != brg__fork_generation(); }

int brg_loop_fd(const brg_loop *loop) { return loop->event; }
size_t brg_loop_pending(const brg_loop *loop) { return (size_t)brg_load_relaxed(&loop->xpending); }
bool brg__loop_is_owner(const brg_loop *loop) { return loop->owner == brg__thread_id(); }
void brg__loop_attach(brg_loop *loop) { brg_add_relaxed(&loop->xusers, 1u); }
void brg__loop_detach(brg_loop *loop) { brg_sub_acq_rel(&loop->xusers, 1u); }

void brg__loop_user_add(brg_loop *loop, brg__loop_user *user) { brg__list_push_back(&loop->users, &user->node); }

void brg__loop_user_remove(brg__loop_user *user)
{
    if (brg__node_is_linked(&user->node))
        brg__list_remove(&user->node);
}

void brg__loop_refuse_runs(brg_loop *loop)
{
    loop->refuses_runs = true;
    brg_loop_stop(loop);
}

void brg__loop_nudge(brg_loop *loop)
{
    if (brg_exchange_seq_cst(&loop->xarmed, 0u) != 0)
        brg__event_signal(loop->event);
}

void brg__loop_post(brg_loop *loop, brg__completion *completion)
{
    brg__completion *head = brg_load_relaxed(&loop->xposted);
    do
        completion->next = head;
    while (!brg_cas_seq_cst(&loop->xposted, &head, completion)); /* pairs with the exchange in loop_take */
    if (head == NULL && brg_load_seq_cst(&loop->xarmed) != 0)
        brg__loop_nudge(loop);
}

/* Tells the adapter whether completions are out. Owner thread. */
static void loop_update_hold(brg_loop *loop)
{
    bool wanted = brg_load_relaxed(&loop->xpending) != 0;
    if (wanted == loop->held)
        return;
    loop->held = wanted;
    if (loop->adapter != NULL && loop->adapter->hold != NULL)
        loop->adapter->hold(loop, wanted);
}

void brg__loop_hold(brg_loop *loop)
{
    uint64_t before = brg_add_relaxed(&loop->xpending, (uint64_t)1);
    if (before != 0)
        return;
    if (brg__loop_is_owner(loop))
        loop_update_hold(loop);
    else
        brg__loop_nudge(loop); /* the owner updates when it looks */
}

void brg__loop_unhold(brg_loop *loop)
{
    if (brg_sub_relaxed(&loop->xpending, (uint64_t)1) == 1 && brg__loop_is_owner(loop))
        loop_update_hold(loop);
}

/* Moves what was posted to `ready`; false when there is nothing. */
static bool loop_take(brg_loop *loop)
{
    if (loop->ready != NULL)
        return true;
    if (brg_load_relaxed(&loop->xposted) == NULL)
        return false;
    brg__completion *stack = brg_exchange_acquire(&loop->xposted, (brg__completion *)NULL);
    while (stack != NULL) {
        brg__completion *next = stack->next;
        stack->next = loop->ready;
        loop->ready = stack;
        stack = next;
    }
    return true;
}

/* Runs up to `limit` completions. */
static size_t loop_run_ready(brg_loop *loop, size_t limit)
{
    size_t count = 0;
    while (count < limit && loop_take(loop)) {
        brg__completion *completion = loop->ready;
        loop->ready = completion->next;
        completion->run(completion);
        count++;
    }
    return count;
}

brg_status brg_loop_destroy(brg_loop *loop)
{
    if (loop == NULL || loop_is_forked(loop))
        return BRG_OK;
    if (brg_load_acquire(&loop->xusers) != 0)
        return BRG_STATE;
    while (loop_run_ready(loop, SIZE_MAX) != 0)
        ; /* of workers that were destroyed: no callbacks, only their last references */
    if (loop->adapter != NULL && loop->adapter->close != NULL)
        loop->adapter->close(loop);
    brg__fd_close(&loop->event);
    brg__mfree_aligned(loop);
    return BRG_OK;
}

void brg__loop_end_resident(brg_loop *loop)
{
    if (loop == NULL || loop_is_forked(loop))
        return;
    brg__node *node;
    while ((node = brg__list_pop_front(&loop->users)) != NULL) {
        brg__loop_user *user = brg__container_of(node, brg__loop_user, node);
        user->ending(user);
    }
    brg__loop_detach(loop); /* the worker's own */
    (void)brg_loop_destroy(loop);
}

/* Marks the loop as about to sleep; false when something was posted meanwhile. */
static bool loop_arm(brg_loop *loop)
{
    brg_store_seq_cst(&loop->xarmed, 1u);
    if (brg_load_seq_cst(&loop->xposted) == NULL)
        return true;
    brg_store_relaxed(&loop->xarmed, 0u);
    return false;
}

/* Looks for posts up to spin_ns while completions are out. */
static bool loop_spin(brg_loop *loop)
{
    if (loop->options.spin_ns == 0 || brg_load_relaxed(&loop->xpending) == 0)
        return false;
    uint64_t end = brg__add_saturated(brg__now_real(), loop->options.spin_ns);
    do {
        for (int i = 0; i < 16; i++) {
            if (brg_load_relaxed(&loop->xposted) != NULL)
                return true;
            brg__cpu_pause();
        }
    } while (brg__now_real() < end);
    return false;
}

size_t brg_loop_dispatch(brg_loop *loop)
{
    if (BRG__UNLIKELY(loop_is_forked(loop)))
        return 0;
    size_t count = 0, limit = loop->options.batch_max;
    /* Somebody took the mark, so the descriptor was or will be written: where that came only after we had looked, it
     * wakes us for nothing until we clear it. */
    if (brg_exchange_seq_cst(&loop->xarmed, 0u) == 0 || loop->found_nothing)
        brg__event_clear(loop->event);
    do {
        count += loop_run_ready(loop, limit - count);
        if (count >= limit) { /* let other I/O have its turn; the descriptor stays readable */
            brg__event_signal(loop->event);
            break;
        }
    } while (loop_spin(loop) || !loop_arm(loop));
    loop->found_nothing = count == 0;
    loop_update_hold(loop);
    if (brg_load_relaxed(&loop->xstop) != 0 && loop->adapter != NULL && loop->adapter->stop != NULL)
        loop->adapter->stop(loop);
    return count;
}

bool brg__loop_dispatch_until(brg_loop *loop, bool (*done)(void *argument), void *argument, uint64_t deadline_ns)
{
    for (;;) {
        brg_loop_dispatch(loop);
        if (done(argument))
            return true;
        if (!brg__fd_wait_readable(loop->event, deadline_ns)) {
            brg_loop_dispatch(loop);
            return done(argument);
        }
    }
}

brg_status brg_loop_run(brg_loop *loop)
{
    if (loop_is_forked(loop))
        return BRG_FORKED;
    if (loop->adapter == NULL || loop->adapter->run == NULL)
        return BRG_STATE;
    brg_store_relaxed(&loop->xstop, 0u);
    brg_status status = BRG_OK;
    while (status == BRG_OK && !loop->refuses_runs) {
        status = loop->adapter->run(loop);
        if (brg_load_relaxed(&loop->xstop) != 0 || brg_loop_pending(loop) == 0)
            break;
    } /* else an old stop */
    return status == BRG_OK && loop->refuses_runs ? BRG_CLOSED : status;
}

void brg_loop_stop(brg_loop *loop)
{
    if (loop_is_forked(loop))
        return;
    brg_store_relaxed(&loop->xstop, 1u);
    brg__loop_nudge(loop);
}
