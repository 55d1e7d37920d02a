/* SPDX-License-Identifier: MIT */
/* Task handles: waiting, cancelling, looking. */
#include "os/clock.h"
#include "os/thread.h"
#include "pool/batch.h"
#include "pool/caller.h"
#include "pool/help.h"
#include "pool/observe.h"
#include "pool/pool.h"
#include "pool/progress.h"

#define TASK_PUMPED_MAX 4 /* process workers a waiting thread looks at itself */

const char *brg_task_state_name(brg_task_state state)
{
    static const char *const names[] = {"queued", "running", "done", "failed", "cancelled", "timed out", "lost"};
    return (unsigned)state < brg__count_of(names) ? names[state] : "?";
}

brg_task_state brg_task_get_state(const brg_task *task)
{
    return (brg_task_state)(brg_load_acquire(&task->xstate) & BRG__TASK_STATE_MASK);
}

static bool task_is_settled(const brg_task *task) { return brg_task_get_state(task) >= BRG_TASK_DONE; }

const brg_result *brg_task_result(const brg_task *task) { return task_is_settled(task) ? &task->result : NULL; }
uint64_t brg_task_id(const brg_task *task) { return task->id; }

brg_task *brg_task_ref(brg_task *task)
{
    brg_add_relaxed(&task->xreferences, 1u);
    brg__pool_ref(task->pool);
    if (task->progress != NULL)
        brg__progress_listen(task->progress, true);
    return task;
}

void brg_task_unref(brg_task *task)
{
    if (task == NULL)
        return;
    brg_pool *pool = task->pool;
    if (task->progress != NULL)
        brg__progress_listen(task->progress, false);
    brg__task_drop(task, NULL);
    brg__pool_unref(pool);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

typedef struct task_wait {
    brg_task *task;
    brg_worker *workers[TASK_PUMPED_MAX];
    uint32_t worker_count;
} task_wait;

static _Thread_local brg__spinner task_spinner;

/* For process workers: those whose replies may settle the task, referenced. */
static void task_wait_begin(task_wait *wait)
{
    brg_task *task = wait->task;
    brg_pool *pool = task->pool;
    if (!brg__pool_has_processes(pool))
        return;
    brg__lock_acquire(&pool->lock);
    for (uint32_t i = 0; i < pool->slot_count && wait->worker_count < TASK_PUMPED_MAX; i++) {
        brg__slot *slot = pool->slots[i];
        bool useful = task->slot != NULL ? task->slot == slot : slot->ahead_count != 0;
        if (slot->worker == NULL || !useful)
            continue;
        brg__worker_ref(slot->worker);
        wait->workers[wait->worker_count++] = slot->worker;
    }
    brg__lock_release(&pool->lock);
}

static bool task_wait_ready(void *argument)
{
    task_wait *wait = argument;
    for (uint32_t i = 0; i < wait->worker_count; i++)
        brg__isolation_process.pump(wait->workers[i]);
    return task_is_settled(wait->task);
}

static void task_wait_end(task_wait *wait)
{
    for (uint32_t i = 0; i < wait->worker_count; i++) {
        brg__isolation_process.unpump(wait->workers[i]);
        brg__worker_unref(wait->workers[i]);
    }
}

static bool task_spin(brg_task *task)
{
    const brg_pool_options *options = &task->pool->options;
    if (options->no_spin)
        return false;
    if (task_spinner.max_ns != options->spin_ns)
        brg__spinner_init(&task_spinner, options->spin_ns);
    task_wait wait = {.task = task};
    task_wait_begin(&wait);
    bool settled = brg__spinner_spin(&task_spinner, NULL, task_wait_ready, &wait);
    task_wait_end(&wait);
    return settled;
}

/* Sleeps until it settled; marks it so that settling wakes. */
static bool task_sleep(brg_task *task, uint64_t deadline_ns)
{
    uint32_t state = brg_load_acquire(&task->xstate);
    while ((state & BRG__TASK_STATE_MASK) < BRG_TASK_DONE) {
        if ((state & BRG__TASK_WAITED) == 0 && !brg_cas_seq_cst(&task->xstate, &state, state | BRG__TASK_WAITED))
            continue;
        if (!brg__futex_wait(&task->xstate, state | BRG__TASK_WAITED, deadline_ns, BRG__FUTEX_PRIVATE))
            return task_is_settled(task);
        state = brg_load_acquire(&task->xstate);
    }
    return true;
}

brg_status brg_task_wait(brg_task *task, uint64_t timeout_ns)
{
    if (task == NULL)
        return BRG_INVALID;
    if (task_is_settled(task))
        return BRG_OK;
    if (task->pool->generation != brg__fork_generation())
        return BRG_FORKED;
    brg__slot *own = brg__pool_own_slot(task->pool);
    if (own != NULL)
        return brg__help_task(task, own, brg__deadline(timeout_ns));
    if (timeout_ns == 0)
        return BRG_TIMED_OUT;
    uint64_t deadline = brg__deadline(timeout_ns);
    if (task_spin(task))
        return BRG_OK;
    return task_sleep(task, deadline) ? BRG_OK : BRG_TIMED_OUT;
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

/* Queued to nobody's: the caller may settle it. The hand keeps a reference until it comes to the task; it may come at
 * once, so there is one before. */
static bool task_claim_of_hand(brg_task *task)
{
    brg_add_relaxed(&task->xreferences, 1u);
    uint32_t state = brg_load_relaxed(&task->xstate);
    while ((state & BRG__TASK_STATE_MASK) == BRG_TASK_QUEUED)
        if (brg_cas_acq_rel(&task->xstate, &state, state | (uint32_t)BRG_TASK_RUNNING))
            return true;
    brg_sub_acq_rel(&task->xreferences,
                    1u); /* never the last: a handle, or what its end needs our lock for, keeps it */
    return false;
}

bool brg__task_withdraw_locked(brg_task *task)
{
    if (brg_load_relaxed(&task->place) <= BRG__PLACE_BLOCKED) {
        brg__task_unwait_locked(task->pool, task);
        brg__pool_room_locked(task->pool);
    } else if (!task_claim_of_hand(task)) {
        return false;
    }
    brg__task_settle_plain(task, BRG_CANCELLED, "the task was cancelled before it started");
    return true;
}

brg_status brg__task_cancel_locked(brg_task *task)
{
    static const char before[] = "the task was cancelled before it started";
    if (task_is_settled(task))
        return BRG_STATE;
    task->cancel_asked = true;
    brg__slot *slot = task->slot;
    brg__see_task_cancel_asked_locked(task->pool, task, slot, BRG_CANCELLED, 0);
    uint8_t place = brg_load_relaxed(&task->place);
    if (place <= BRG__PLACE_BLOCKED || (place == BRG__PLACE_BATCH && !brg__batch_is_taken(task))) {
        brg__task_unwait_locked(task->pool, task);
        brg__pool_room_locked(task->pool);
        brg__task_settle_plain(task, BRG_CANCELLED, before);
    } else if (place == BRG__PLACE_BATCH) {
        brg__batch_cancel_locked(task);
    } else if (place == BRG__PLACE_NESTED) {
        brg__caller_cancel_locked(task);
    } else if (slot != NULL && brg__help_is_suspended_locked(slot, task)) {
        task->end_why = BRG_CANCELLED;
        brg__slot_ask_end_locked(slot, task->ticket, BRG_CANCELLED);
    } else if (brg__pool_has_processes(task->pool)) {
        if (slot != NULL && brg__slot_take_back_locked(slot, task))
            brg__task_settle_plain(task, BRG_CANCELLED, before);
        else if (slot != NULL)
            brg__slot_ask_end_locked(slot, task->ticket, BRG_CANCELLED);
    } else if (task_claim_of_hand(task)) {
        brg__task_settle_plain(task, BRG_CANCELLED, before);
    } else if (slot != NULL) { /* it runs: its worker showed it before it could start, see hand_pop */
        uint64_t ticket = brg_load_acquire(&slot->xticket);
        if (ticket != 0 && brg_load_relaxed(&slot->xrunning) == task)
            brg__slot_ask_end_locked(slot, ticket, BRG_CANCELLED);
    }
    return BRG_OK;
}

brg_status brg_task_cancel(brg_task *task)
{
    if (task == NULL)
        return BRG_INVALID;
    brg_pool *pool = task->pool;
    if (pool->generation != brg__fork_generation())
        return BRG_FORKED;
    brg__pool_lock(pool);
    brg_status status = brg__task_cancel_locked(task);
    if (status == BRG_OK)
        brg__pool_check_idle_locked(pool);
    brg__pool_unlock(pool);
    return status;
}
