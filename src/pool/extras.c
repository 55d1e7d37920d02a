/* SPDX-License-Identifier: MIT */
/* What few tasks have besides themselves, put together from its parts. */
#include "pool/extras.h"

#include "os/memory.h"

brg__extras *brg__extras_of_locked(brg_task *task)
{
    if (task->extras == NULL) {
        task->extras = brg__calloc(1, sizeof(*task->extras));
        if (task->extras != NULL)
            task->kind |= BRG__TASK_EXTRAS;
    }
    return task->extras;
}

brg_status brg__extras_join_locked(brg_pool *pool, brg_task *task, const brg_submit_options *options)
{
    (void)pool;
    brg__extras *extras = brg__extras_of_locked(task);
    if (extras == NULL)
        return BRG_NO_MEMORY;
    extras->task = task;
    extras->needs = options->tags;
    brg_status status = BRG_OK;
    if (options->on_progress != NULL || options->progress_max != 0)
        status = brg__progress_init(task, options);
    if (status == BRG_OK && options->after_count != 0)
        status = brg__after_join_locked(task, options);
    if (status != BRG_OK)
        return status;
    if (options->token != NULL) /* last what cannot fail */
        brg__bunch_join_locked(task, options->token);
    if (options->group != NULL)
        brg__group_join_locked(options->group, task);
    return BRG_OK;
}

bool brg__extras_is_blocked_locked(const brg_task *task)
{
    return (task->extras->after != NULL && brg__after_is_blocked_locked(task)) || brg__bunch_is_cancelled(task);
}

void brg__extras_settle_doomed_locked(brg_task *task)
{
    brg_pool *pool = task->pool;
    if (brg__bunch_is_cancelled(task))
        (void)brg__task_cancel_locked(task);
    else if (!brg__after_settle_if_doomed_locked(task))
        return;
    brg__pool_room_locked(pool);
    brg__pool_check_idle_locked(pool);
}

bool brg__extras_refuse_locked(brg_task *task)
{
    brg_pool *pool = task->pool;
    if (!brg__bunch_is_cancelled(task) && !brg__group_is_cancelled_locked(task))
        return false;
    bool was_telling = pool->is_telling;
    pool->is_telling = true; /* who takes must not find the queue changed under it: the unlock tells those behind it */
    brg__task_settle_plain(task, BRG_CANCELLED, "the task was cancelled before it started");
    pool->is_telling = was_telling;
    brg__pool_room_locked(pool);
    brg__pool_check_idle_locked(pool);
    return true;
}

void brg__extras_settled_locked(brg_task *task, brg_task_state state)
{
    brg__extras *extras = task->extras;
    if (extras->bunch != NULL)
        brg__bunch_leave_locked(task);
    if (task->progress != NULL)
        brg__progress_over_locked(task->progress, true);
    if (extras->group != NULL)
        brg__group_settled_locked(task, state);
    if (extras->after != NULL)
        brg__after_settled_locked(task);
}

void brg__extras_undo_locked(brg_task *task)
{
    brg__extras *extras = task->extras;
    if (extras->bunch != NULL)
        brg__bunch_leave_locked(task);
    if (extras->group != NULL)
        brg__group_leave_locked(task);
    if (extras->after != NULL)
        brg__after_leave_locked(extras->after);
}

void brg__extras_free(brg__extras *extras)
{
    brg__after_free(extras->after);
    brg__mfree(extras);
}
