/* SPDX-License-Identifier: MIT */
/* How a stream ends early: what is past the end goes out, what runs is cancelled. */
#include "flow/stream.h"

#define END_SCAN 4096u /* nodes looked at in one section, for tasks to cancel */
#define END_CANCEL 16u /* tasks cancelled after it */

bool brg__stream_is_past_end_locked(const brg_stream *stream, const brg__stream_node *node)
{
    return stream->is_cancelled ||
           (stream->is_stopped && (stream->options.unordered || node->index > stream->end_index));
}

void brg__stream_set_end_locked(brg_stream *stream, uint64_t index, brg_status status, const brg_error *error)
{
    stream->is_closed = true;
    if (stream->end_status != BRG_OK && index >= stream->end_index)
        return;
    stream->end_status = status;
    stream->end_index = index;
    stream->end_error = error != NULL ? *error : *brg__error_of_status(status);
    stream->end_error.status = status;
}

void brg__stream_cancel_all_locked(brg_stream *stream)
{
    if (stream->is_cancelled || brg__stream_has_ended_locked(stream))
        return;
    if (stream->end_status == BRG_OK) {
        brg__stream_set_end_locked(stream, stream->taken, BRG_CANCELLED, NULL);
        brg_error_set(&stream->end_error, BRG_CANCELLED, "stream", "the stream was cancelled");
    }
    stream->is_closed = stream->is_cancelled = stream->needs_sweep = true;
}

void brg__stream_cancel_all(brg_stream *stream, bool is_hook)
{
    brg__stream_lock(stream);
    brg__stream_cancel_all_locked(stream);
    brg__stream_unlock(stream, is_hook);
}

/* ---- cancelling -------------------------------------------------------------------------------------------------- */

static void end_sweep_list_locked(brg_stream *stream, brg__stream_list *list)
{
    brg__stream_list kept = {0};
    brg__stream_node *node;
    while ((node = brg__stream_pop_node(list)) != NULL)
        if (brg__stream_is_past_end_locked(stream, node))
            brg__stream_out_locked(stream, node);
        else
            brg__stream_push_node(&kept, node);
    *list = kept;
}

void brg__stream_sweep_locked(brg_stream *stream)
{
    for (uint32_t i = 0; i < stream->stage_count; i++) {
        end_sweep_list_locked(stream, &stream->stages[i].queue);
        end_sweep_list_locked(stream, &stream->stages[i].blocked);
    }
    brg_store_relaxed(&stream->xsweeps, stream->xsweeps + 1);
}

/*
 * A task that is not known yet, because it is on its way to its pool, is cancelled by who submits it, who looks at
 * xsweeps after it is known. The fences order the two stores before the two loads, so that one of both sees the other's.
 */
void brg__stream_cancel_tasks(brg_stream *stream)
{
    brg_task *tasks[END_CANCEL];
    uint32_t at = 0, used, count;
    brg_fence_seq_cst();
    do {
        count = 0;
        brg__stream_lock(stream);
        used = stream->nodes_used;
        for (uint32_t end = (uint32_t)brg__min(used, at + END_SCAN); at < end && count < END_CANCEL; at++) {
            brg__stream_node *node = &stream->nodes[at];
            brg_task *task = node->place == BRG__STREAM_SUBMITTED ? brg_load_acquire(&node->xtask) : NULL;
            if (task != NULL && brg__stream_is_past_end_locked(stream, node))
                tasks[count++] = brg_task_ref(task); /* it is there until its hook had the lock */
        }
        brg__lock_release(&stream->lock);
        for (uint32_t i = 0; i < count; i++) {
            (void)brg_task_cancel(tasks[i]);
            brg_task_unref(tasks[i]);
        }
    } while (at < used);
}
