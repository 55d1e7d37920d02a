/* SPDX-License-Identifier: MIT */
/*
 * Named locks as their users see them: one handle, whose claim lies in this process (the program) or, in a process
 * worker, in the program behind the uplink.
 *
 * `xstate` only goes forward: waiting -> held -> lost, or waiting -> refused. It changes under `guard`, on whatever
 * thread the news comes: under the hub's lock, or from the uplink; then either the thread that waits is woken or the
 * handle's one completion is posted, which tells the owner in order. Lock order: the hub's or remote_lock, then guard
 * (LEAF).
 *
 * References: the user's handle, a posted completion, the hub's timer, a call on its way. What is left when the user
 * lets go only finds `is_released` and lets go too.
 *
 * In a process worker a wait is given up by releasing: the program hears the release after the request, whichever way
 * it went. So a grant may still arrive for a handle that is refused already, and is ignored.
 */
#include <string.h>

#include <brigade/token.h>

#include "base/options.h"
#include "loop/loop.h"
#include "message/names.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/memory.h"
#include "os/waiter.h"
#include "worker/locks.h"

#define LOCK_TOKEN_LOOK_NS BRG_MILLISECONDS(10) /* a thread that waits looks at its token this often */

typedef enum lock_state { LOCK_WAITING = 0, LOCK_HELD, LOCK_LOST, LOCK_REFUSED } lock_state;

struct brg_lock {
    brg__lock_claim claim;     /* in the program */
    brg__uplink_call call;     /* in a process worker: the request; claim.id is its number */
    brg__node remote_node;     /* in remote_locks */
    brg__uplink_call farewell; /* the release notice; its request is made beforehand: releasing needs no memory */
    bool is_remote;

    brg__lock guard;
    uint32_t xreferences;
    uint32_t xstate; /* lock_state */
    brg_status refusal;
    bool is_released, is_posted, knows_outcome, knows_loss; /* the latter two: its owner was told. Owner thread */
    brg__waiter *waiter;                                    /* of a thread that waits, or NULL */
    brg__completion completion;
    brg__loop_user loop_user;
    bool is_on_loop; /* owner thread */
    brg_token_watch *watch;
    brg_lock_options options;
    size_t name_size;
    char name[];
};

static brg__lock remote_lock = BRG__LOCK_INIT(BRG__RANK_SERVICE, "named locks of this worker");
static brg__list remote_locks = {{&remote_locks.head, &remote_locks.head}}; /* brg_lock by remote_node */
static uint64_t remote_last_id;

static lock_state lock_get_state(const brg_lock *lock) { return (lock_state)brg_load_acquire(&lock->xstate); }

static void lock_ref(brg_lock *lock) { brg_add_relaxed(&lock->xreferences, 1u); }

static void lock_unref(brg_lock *lock)
{
    if (brg_sub_acq_rel(&lock->xreferences, 1u) != 1)
        return;
    if (!lock->is_remote)
        brg_value_unref(lock->farewell.request); /* else it was sent: nothing is freed before */
    brg_token_unref(lock->options.token);
    brg__mfree(lock);
}

/* ---- news ------------------------------------------------------------------------------------------------------ */

/* Any thread, the hub's lock held or none. False when it changes nothing any more. */
static bool lock_move(brg_lock *lock, lock_state from, lock_state to, brg_status refusal)
{
    brg__lock_acquire(&lock->guard);
    bool moved = lock_get_state(lock) == from;
    if (moved) {
        lock->refusal = refusal;
        brg_store_release(&lock->xstate, (uint32_t)to); /* pairs with lock_get_state */
        if (lock->options.loop != NULL && !lock->is_released && !lock->is_posted) {
            lock->is_posted = true;
            lock_ref(lock);
            brg__loop_post(lock->options.loop, &lock->completion);
        }
    }
    brg__waiter *waiter = lock->waiter;
    brg__lock_release(&lock->guard);
    if (moved && waiter != NULL)
        brg__waiter_wake(waiter);
    return moved;
}

static brg_status lock_explain(const brg_lock *lock, brg_error *error)
{
    return brg_error_set(error, lock->refusal, "lock", "lock \"%.100s\": %s", lock->name,
                         lock->refusal == BRG_FULL ? "not available" : brg_status_text(lock->refusal));
}

static bool lock_is_released(const brg_lock *lock) { return lock->is_released; }

/* Owner thread, which alone releases a handle with a loop: so is_released cannot change but inside the callbacks. */
static void lock_tell(brg__completion *completion)
{
    brg_lock *lock = brg__container_of(completion, brg_lock, completion);
    brg__lock_acquire(&lock->guard);
    lock->is_posted = false;
    lock_state state = lock_get_state(lock);
    brg__lock_release(&lock->guard);
    if (!lock_is_released(lock) && !lock->knows_outcome) {
        lock->knows_outcome = true;
        brg__loop_unhold(lock->options.loop);
        brg_error error;
        memset(&error, 0, sizeof(error));
        if (state == LOCK_REFUSED)
            lock_explain(lock, &error);
        lock->options.on_granted(lock, state == LOCK_REFUSED ? &error : NULL, lock->options.user_data);
    }
    if (!lock_is_released(lock) && !lock->knows_loss && state == LOCK_LOST) {
        lock->knows_loss = true;
        if (lock->options.on_lost != NULL)
            lock->options.on_lost(lock, lock->options.user_data);
    }
    lock_unref(lock);
}

/* ---- a claim in this process ----------------------------------------------------------------------------------- */

static brg_lock *lock_of(brg__lock_claim *claim) { return brg__container_of(claim, brg_lock, claim); }

static void lock_granted(brg__lock_claim *claim) { lock_move(lock_of(claim), LOCK_WAITING, LOCK_HELD, BRG_OK); }
static void lock_lost(brg__lock_claim *claim) { lock_move(lock_of(claim), LOCK_HELD, LOCK_LOST, BRG_OK); }
static void lock_refused(brg__lock_claim *claim, brg_status status)
{
    lock_move(lock_of(claim), LOCK_WAITING, LOCK_REFUSED, status);
}
static void lock_claim_ref(brg__lock_claim *claim) { lock_ref(lock_of(claim)); }
static void lock_claim_unref(brg__lock_claim *claim) { lock_unref(lock_of(claim)); }

static const brg__lock_claim_ops lock_claim_ops = {lock_granted, lock_lost, lock_refused, lock_claim_ref,
                                                   lock_claim_unref};

static brg_status lock_ask_here(brg_lock *lock, brg_error *error)
{
    brg__lock_terms terms = {.name = lock->name, .name_size = lock->name_size, .timeout_ns = BRG_FOREVER};
    terms.if_available = lock->options.if_available;
    terms.steal = lock->options.steal;
    if (lock->options.loop != NULL) { /* else the thread that waits keeps the time */
        terms.timeout_ns = lock->options.timeout_ns;
        if (terms.timeout_ns != BRG_FOREVER) {
            brg_status status = brg__supervisor_ensure(error);
            if (status != BRG_OK)
                return status;
        }
    }
    lock->claim.ops = &lock_claim_ops;
    lock->claim.worker_id = brg__service_self();
    lock->claim.is_shared = lock->options.mode == BRG_LOCK_SHARED;
    return brg__locks_claim(&lock->claim, &terms, error);
}

/* ---- a claim in the program, from a process worker ------------------------------------------------------------- */

static void lock_answered(brg__uplink_call *call, brg_status status, const brg_value *answer)
{
    (void)answer;
    brg_lock *lock = brg__container_of(call, brg_lock, call);
    lock_move(lock, LOCK_WAITING, status == BRG_OK ? LOCK_HELD : LOCK_REFUSED, status);
    lock_unref(lock);
}

static brg_status lock_request_value(const brg_lock *lock, brg_value **out, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    brg_builder_key(builder, "op");
    brg_builder_string(builder, "request");
    brg_builder_key(builder, "id");
    brg_builder_uint(builder, lock->claim.id);
    brg_builder_key(builder, "name");
    brg_builder_string_n(builder, lock->name, lock->name_size);
    brg_builder_key(builder, "shared");
    brg_builder_bool(builder, lock->options.mode == BRG_LOCK_SHARED);
    brg_builder_key(builder, "if_available");
    brg_builder_bool(builder, lock->options.if_available);
    brg_builder_key(builder, "steal");
    brg_builder_bool(builder, lock->options.steal);
    brg_builder_key(builder, "timeout");
    brg_builder_uint(builder, lock->options.timeout_ns);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, out, error);
    brg_builder_destroy(builder);
    return status;
}

/* The numbers grow in the order in which the requests go out: remote_lock is held for both. */
static brg_status lock_ask_there(brg_lock *lock, brg_error *error)
{
    brg_value *request = NULL;
    lock->call.service = BRG__SERVICE_LOCKS;
    lock->call.completed = lock_answered;
    brg__lock_acquire(&remote_lock);
    lock->claim.id = remote_last_id + 1;
    brg_status status = lock_request_value(lock, &request, error);
    if (status == BRG_OK)
        status = brg_value_map(&lock->farewell.request, error, brg_field_string("op", "release"),
                               brg_field_int("id", (int64_t)lock->claim.id));
    if (status == BRG_OK) {
        lock_ref(lock); /* the call's */
        lock->call.request = request;
        status = brg__uplink_start(&lock->call, error);
        if (status == BRG_OK)
            request = NULL;
        else
            lock_unref(lock);
    }
    if (status == BRG_OK) {
        remote_last_id++;
        lock->is_remote = true;
        brg__list_push_back(&remote_locks, &lock->remote_node);
    }
    brg__lock_release(&remote_lock);
    brg_value_unref(request);
    return status;
}

void brg__locks_event(const uint64_t words[BRG__SERVICE_WORDS])
{
    brg__lock_acquire(&remote_lock);
    brg__list_for_each(node, &remote_locks) {
        brg_lock *lock = brg__container_of(node, brg_lock, remote_node);
        if (lock->claim.id == words[0])
            lock_move(lock, LOCK_HELD, LOCK_LOST, BRG_OK);
    }
    brg__lock_release(&remote_lock);
}

static void lock_left(brg__uplink_call *call, brg_status status, const brg_value *answer)
{
    (void)status, (void)answer;
    lock_unref(brg__container_of(call, brg_lock, farewell));
}

/* Tells the program, once. Where that fails, the program is gone, or the worker is. */
static void lock_leave_there(brg_lock *lock)
{
    brg__lock_acquire(&remote_lock);
    bool first = brg__node_is_linked(&lock->remote_node);
    if (first)
        brg__list_remove(&lock->remote_node);
    brg__lock_release(&remote_lock);
    if (!first)
        return;
    lock->farewell.service = BRG__SERVICE_LOCKS;
    lock->farewell.is_notice = true;
    lock->farewell.completed = lock_left;
    brg_value *request = lock->farewell.request;
    lock_ref(lock);
    if (brg__uplink_start(&lock->farewell, NULL) != BRG_OK) {
        brg_value_unref(request);
        lock_unref(lock);
    }
}

/* Nobody waits for it any more. It may have been granted or refused meanwhile. */
static void lock_give_up(brg_lock *lock, brg_status why)
{
    if (!lock->is_remote)
        brg__locks_refuse(&lock->claim, why);
    else if (lock_move(lock, LOCK_WAITING, LOCK_REFUSED, why))
        lock_leave_there(lock);
}

/* ---- public ---------------------------------------------------------------------------------------------------- */

static brg_status lock_check(const char *name, const brg_lock_options *options, brg_error *error)
{
    if (name == NULL)
        return brg_error_set(error, BRG_INVALID, "lock", "name must not be NULL");
    brg_status status = brg__name_check(name, strlen(name), "lock", error);
    if (status != BRG_OK)
        return status;
    if (options->mode != BRG_LOCK_EXCLUSIVE && options->mode != BRG_LOCK_SHARED)
        return brg_error_set(error, BRG_INVALID, "lock", "mode %d is neither exclusive nor shared", (int)options->mode);
    if (options->steal && options->mode == BRG_LOCK_SHARED)
        return brg_error_set(error, BRG_INVALID, "lock", "only an exclusive lock can be stolen");
    if (options->steal && options->if_available)
        return brg_error_set(error, BRG_INVALID, "lock", "give steal or if_available, not both");
    return BRG_OK;
}

static brg_status lock_create(brg_lock **out, const char *name, const brg_lock_options *options, brg_error *error)
{
    brg_status status = brg__service_check_fork(error);
    if (status == BRG_OK)
        status = lock_check(name, options, error);
    if (status != BRG_OK)
        return status;
    size_t size = strlen(name);
    brg_lock *lock = brg__calloc(1, sizeof(*lock) + size + 1);
    if (lock == NULL)
        return brg__error_memory(error, "a named lock");
    lock->options = *options;
    if (options->timeout_ns == 0)
        lock->options.timeout_ns = BRG_FOREVER;
    if (options->token != NULL)
        brg_token_ref(options->token);
    memcpy(lock->name, name, size);
    lock->name_size = size;
    lock->completion.run = lock_tell;
    lock->xreferences = 1;
    brg__lock_init(&lock->guard, BRG__RANK_LEAF, "a named lock");
    *out = lock;
    return BRG_OK;
}

static brg_status lock_ask(brg_lock *lock, brg_error *error)
{
    if (brg_token_is_cancelled(lock->options.token))
        return brg_error_set(error, BRG_CANCELLED, "lock", "lock \"%.100s\": cancelled", lock->name);
    return brg__uplink_exists() ? lock_ask_there(lock, error) : lock_ask_here(lock, error);
}

static bool lock_is_settled(void *argument)
{
    brg_lock *lock = argument;
    return lock_get_state(lock) != LOCK_WAITING || brg_token_is_cancelled(lock->options.token);
}

/* Until it is held, refused or given up. */
static void lock_wait(brg_lock *lock)
{
    uint64_t deadline = brg__deadline(lock->options.timeout_ns);
    while (lock_get_state(lock) == LOCK_WAITING) {
        uint64_t until = deadline;
        if (lock->options.token != NULL)
            until = brg__min(until, brg__deadline(LOCK_TOKEN_LOOK_NS));
        brg_status status = brg__service_wait(lock_is_settled, lock, until);
        if (brg_token_is_cancelled(lock->options.token))
            lock_give_up(lock, BRG_CANCELLED);
        else if (status != BRG_OK && (status != BRG_TIMED_OUT || until == deadline))
            lock_give_up(lock, status);
    }
}

brg_status brg_lock_acquire(brg_lock **out, const char *name, const brg_lock_options *given, brg_error *error)
{
    brg_lock_options options;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "lock", "out must not be NULL");
    brg_status status = brg__options_read(&options, sizeof(options), given, "brg_lock_options", error);
    if (status != BRG_OK)
        return status;
    if (options.loop != NULL || options.on_granted != NULL || options.on_lost != NULL || options.release != NULL)
        return brg_error_set(error, BRG_INVALID, "lock", "callbacks on a loop need brg_lock_request");
    brg_lock *lock = NULL;
    status = lock_create(&lock, name, &options, error);
    if (status != BRG_OK)
        return status;
    lock->waiter = brg__waiter_current();
    status = lock->waiter != NULL ? lock_ask(lock, error) : brg__error_memory(error, "a named lock");
    if (status == BRG_OK) {
        lock_wait(lock);
        if (lock_get_state(lock) == LOCK_REFUSED)
            status = lock_explain(lock, error);
    }
    if (status != BRG_OK) {
        brg_lock_release(lock);
        return status;
    }
    *out = lock;
    return BRG_OK;
}

static void lock_token_cancelled(void *user_data) { lock_give_up(user_data, BRG_CANCELLED); }
static void lock_token_released(void *user_data) { lock_unref(user_data); }

static brg_status lock_watch_token(brg_lock *lock, brg_error *error)
{
    if (lock->options.token == NULL)
        return BRG_OK;
    lock_ref(lock);
    brg_status status = brg_token_on_cancel(lock->options.token,
                                            brg_token_watch_opts(.loop = lock->options.loop, .is_background = true,
                                                                 .cancelled = lock_token_cancelled,
                                                                 .release = lock_token_released, .user_data = lock),
                                            &lock->watch, error);
    if (status != BRG_OK)
        lock_unref(lock);
    return status;
}

/* Refusals that are on_granted's to tell. */
static bool lock_is_outcome(brg_status status) { return status == BRG_FULL || status == BRG_CANCELLED; }

/* Lets go of the name, or withdraws the request. Once; later calls do nothing. */
static void lock_let_go(brg_lock *lock)
{
    brg__lock_acquire(&lock->guard);
    bool first = !lock->is_released;
    lock->is_released = true;
    brg__lock_release(&lock->guard);
    if (first && lock->is_remote)
        lock_leave_there(lock);
    else if (first)
        brg__locks_drop(&lock->claim);
}

static void lock_leave_loop(brg_lock *lock)
{
    brg_token_watch_destroy(lock->watch);
    lock->watch = NULL;
    if (!lock->knows_outcome)
        brg__loop_unhold(lock->options.loop);
    brg__loop_detach(lock->options.loop);
    lock->is_on_loop = false;
}

/* The loop, a worker's, ends before the lock was released. */
static void lock_loop_ends(brg__loop_user *user)
{
    brg_lock *lock = brg__container_of(user, brg_lock, loop_user);
    lock_let_go(lock);
    lock_leave_loop(lock);
}

brg_status brg_lock_request(brg_lock **out, const char *name, const brg_lock_options *given, brg_error *error)
{
    brg_lock_options options;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "lock", "out must not be NULL");
    brg_status status = brg__options_read(&options, sizeof(options), given, "brg_lock_options", error);
    if (status != BRG_OK)
        return status;
    if (options.loop == NULL || options.on_granted == NULL)
        return brg_error_set(error, BRG_INVALID, "lock", "a request needs loop and on_granted");
    if (!brg__loop_is_owner(options.loop))
        return brg_error_set(error, BRG_INVALID, "lock", "request the lock on the thread that owns its loop");
    brg_lock *lock = NULL;
    status = lock_create(&lock, name, &options, error);
    if (status != BRG_OK)
        return status;
    lock->is_on_loop = true;
    lock->loop_user.ending = lock_loop_ends;
    brg__loop_user_add(options.loop, &lock->loop_user);
    brg__loop_attach(options.loop);
    brg__loop_hold(options.loop);
    status = lock_watch_token(lock, error);
    if (status == BRG_OK)
        status = lock_ask(lock, error);
    if (lock_is_outcome(status)) {
        lock_move(lock, LOCK_WAITING, LOCK_REFUSED, status);
        status = BRG_OK;
    }
    if (status != BRG_OK) {
        lock->options.release = NULL;
        brg_lock_release(lock);
        return status;
    }
    *out = lock;
    return BRG_OK;
}

void brg_lock_release(brg_lock *lock)
{
    if (lock == NULL || brg__service_check_fork(NULL) != BRG_OK)
        return;
    lock_let_go(lock);
    if (lock->is_on_loop) {
        brg__loop_user_remove(&lock->loop_user);
        lock_leave_loop(lock);
    }
    if (lock->options.release != NULL)
        lock->options.release(lock->options.user_data);
    lock_unref(lock);
}

bool brg_lock_is_held(const brg_lock *lock) { return lock_get_state(lock) == LOCK_HELD; }
bool brg_lock_is_lost(const brg_lock *lock) { return lock_get_state(lock) == LOCK_LOST; }
const char *brg_lock_name(const brg_lock *lock) { return lock->name; }
brg_lock_mode brg_lock_get_mode(const brg_lock *lock) { return lock->options.mode; }

brg_status brg_locks_query(brg_value **out, brg_error *error)
{
    static const uint64_t words[BRG__SERVICE_WORDS];
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "lock", "out must not be NULL");
    brg_status status = brg__service_check_fork(error);
    if (status != BRG_OK)
        return status;
    if (!brg__uplink_exists())
        return brg__locks_list(out, error);
    brg_value *request = NULL, *answer = NULL;
    status = brg_value_map(&request, error, brg_field_string("op", "query"));
    if (status == BRG_OK)
        status = brg__uplink_call_wait(BRG__SERVICE_LOCKS, words, request, UINT64_MAX, &answer, error);
    brg_value_unref(request);
    if (status == BRG_OK && answer == NULL)
        status = brg_error_set(error, BRG_PROTOCOL, "lock", "the program answered nothing");
    if (status == BRG_OK)
        *out = answer;
    return status;
}
