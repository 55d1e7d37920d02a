/* SPDX-License-Identifier: MIT */
/* Relays in the background: their turns are completions of the loop. relay.c has the notes. */
#include "flow/relay_state.h"

#include <string.h>

#include "os/atomic.h"

/* Whether no turn is on its way; from then on none comes. */
static bool relay_ends(brg__relay *self)
{
    brg__lock_acquire(&self->lock);
    self->is_over = !self->is_posted;
    brg__lock_release(&self->lock);
    return self->is_over;
}

static void relay_turn(brg__completion *completion)
{
    brg__relay *self = brg__container_of(completion, brg__relay, completion);
    if (!brg__relay_step(self) || !relay_ends(self))
        return;
    brg_pool *pool = self->pool;
    brg_value *output = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_result result = {.status = brg__relay_finish(self, &output, &error), .attempts = 1};
    result.state = result.status == BRG_OK          ? BRG_TASK_DONE
                   : result.status == BRG_CANCELLED ? BRG_TASK_CANCELLED
                                                    : BRG_TASK_FAILED;
    result.output = output;
    result.error = result.status == BRG_OK ? NULL : &error;
    brg_done_fn done = self->options.done;
    void *user_data = self->options.user_data;
    brg__strand_hold_pool(pool);
    brg__relay_free(self);
    done(&result, user_data);
    brg_value_unref(output);
    brg__strand_told(pool);
    brg__strand_drop_pool(pool);
}

/* On whatever thread: the next turn looks at the token. */
static void relay_token_cancelled(void *user_data)
{
    brg__relay *self = user_data;
    brg__lock_acquire(&self->lock);
    bool posts = !self->is_posted && !self->is_over;
    self->is_posted = self->is_posted || posts;
    brg__lock_release(&self->lock);
    if (posts)
        brg__strand_tell(self->pool, &self->completion);
}

static void relay_token_released(void *user_data) { brg__relay_unref(user_data); }

static brg_status relay_watch(brg__relay *self, brg_error *error)
{
    if (self->options.token == NULL)
        return BRG_OK;
    brg_add_relaxed(&self->xreferences, 1u);
    brg_status status = brg__token_watch(self->options.token, relay_token_cancelled, relay_token_released, self,
                                         &self->watch, error);
    if (status != BRG_OK)
        brg_sub_relaxed(&self->xreferences, 1u);
    return status;
}

brg_status brg__relay_run_in_background(brg__relay *self, brg_error *error)
{
    self->completion.run = relay_turn;
    self->is_posted = true;
    brg_status status = relay_watch(self, error);
    if (status == BRG_OK)
        status = brg__strand_expect(self->pool, error);
    if (status == BRG_OK)
        brg__strand_tell(self->pool, &self->completion);
    else {
        brg__seen_ended(&self->seen, status, 0, false);
        brg__relay_free(self);
    }
    return status;
}
