/* SPDX-License-Identifier: MIT */
/*
 * Sweeps that are asked to end: by their token, or because a task that takes part is. Nothing more is claimed, and what
 * runs is told: brg_context_cancelled is true in it from then on, and the descriptor readable. It ends when it likes;
 * no worker is ended for it. An element that fails then was cancelled; one that succeeds has done its work.
 *
 * Who waits looks at the token every now and then. Where nobody waits, in the background and in callers who work
 * themselves, the token is watched. If that cannot be, as when too many wait for it, whoever ends a chunk looks at it.
 */
#include "flow/sweep_state.h"

#include "os/atomic.h"

void brg__sweep_ask_locked(brg__sweep *sweep, const char *why)
{
    if (sweep->xasked != 0)
        return;
    sweep->why_asked = why;
    if (!sweep->closed && sweep->next < sweep->count)
        brg__sweep_close_locked(sweep, BRG_CANCELLED, why);
    brg_store_seq_cst(&sweep->xasked, 1u); /* pairs with who makes a descriptor, and then looks */
    for (uint32_t i = 0; i <= sweep->strand_count; i++)
        if (sweep->strands[i].context != NULL)
            brg__strand_ring(sweep->strands[i].context, sweep->strands[i].nesting);
}

static void sweep_token_cancelled(void *user_data)
{
    brg__sweep *sweep = user_data;
    brg__lock_acquire(&sweep->lock);
    brg__sweep_ask_locked(sweep, "its token was cancelled");
    bool ends = sweep->has_begun && brg__sweep_ends_locked(sweep);
    brg__lock_release(&sweep->lock);
    if (ends)
        brg__sweep_tell(sweep, false);
}

static void sweep_token_released(void *user_data) { brg__sweep_unref(user_data); }

void brg__sweep_watch(brg__sweep *sweep)
{
    if (sweep->options.token == NULL)
        return;
    brg_add_relaxed(&sweep->xreferences, 1u);
    brg_status status = brg__token_watch(sweep->options.token, sweep_token_cancelled, sweep_token_released, sweep,
                                         &sweep->watch, NULL);
    if (status != BRG_OK)
        brg_sub_relaxed(&sweep->xreferences, 1u); /* never the last */
}

void brg__sweep_let_token_go(brg__sweep *sweep)
{
    brg_token_watch_destroy(sweep->watch);
    sweep->watch = NULL;
    brg_token_unref(sweep->options.token);
}
