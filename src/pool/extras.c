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
    extras->needs = options->tags;
    brg_status status = BRG_OK;
    if (options->on_progress != NULL || options->progress_max != 0)
        status = brg__progress_init(task, options);
    if (status == BRG_OK && options->after_count != 0)
        status = brg__after_join_locked(task, options);
    if (status == BRG_OK && options->token != NULL)
        status = brg__bunch_join_locked(task, options->token);
    if (status == BRG_OK && options->group != NULL)
        brg__group_join_locked(options->group, task); /* last: it cannot fail */
    return status;
}

bool brg__extras_is_blocked_locked(const brg_task *task)
{
    return task->extras->after != NULL && brg__after_is_blocked_locked(task);
}

void brg__extras_settled_locked(brg_task *task, brg_task_state state)
{
    brg__extras *extras = task->extras;
    if (extras->bunch != NULL)
        brg__bunch_leave_locked(task);
    if (extras->progress != NULL)
        brg__progress_settled_locked(task);
    if (extras->group != NULL)
        brg__group_settled_locked(task, state);
    if (extras->after != NULL)
        brg__after_settled_locked(task, state);
}

void brg__extras_free(brg__extras *extras)
{
    brg__progress_free(extras->progress);
    brg__after_free(extras->after);
    brg__mfree(extras);
}
