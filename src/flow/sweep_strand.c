/* SPDX-License-Identifier: MIT */
/* Strands of a sweep at work: claims, turns, and how their tasks end. sweep.c has the notes. */
#include "flow/sweep_state.h"
#include "os/atomic.h"
#include "os/clock.h"

#define SWEEP_TURN_NS BRG_MILLISECONDS(2)

/* A strand at work. */
typedef struct sweep_turn {
    brg__sweep *sweep;
    brg__sweep_strand *own;
    brg_context *context;
    bool has_task;
    uint64_t began, claimed; /* times */
    uint64_t first, end;     /* the chunk */
} sweep_turn;

/* Whether the strand, which has ended a chunk, goes back into the queue. */
static bool turn_is_over(const sweep_turn *turn, uint64_t now)
{
    return turn->has_task && now - turn->began >= SWEEP_TURN_NS && brg__strand_must_share(turn->sweep->pool);
}

static void turn_look_asked_locked(const sweep_turn *turn)
{
    brg__sweep *sweep = turn->sweep;
    if (sweep->is_over) /* and the token gone */
        return;
    if (brg_context_cancelled(turn->context))
        brg__sweep_ask_locked(sweep, "a worker of it was asked to end");
    else if (brg_token_is_cancelled(sweep->options.token))
        brg__sweep_ask_locked(sweep, "its token was cancelled");
}

/* The chunk before is done. Takes the next one; false: the strand has left the sweep, or waits again. */
static bool turn_claim(sweep_turn *turn)
{
    brg__sweep *sweep = turn->sweep;
    brg__sweep_strand *own = turn->own;
    uint64_t now = brg__now_real(), size = turn->end - turn->first;
    brg__lock_acquire(&sweep->lock);
    own->context = NULL;
    if (own->state == BRG__SWEEP_LOST) {
        brg__lock_release(&sweep->lock);
        return false;
    }
    if (size != 0)
        sweep->cost = brg__chunk_learn(sweep->cost, now - turn->claimed, size);
    turn_look_asked_locked(turn);
    bool has_more = !sweep->closed && sweep->next < sweep->count;
    bool goes_on = has_more && !turn_is_over(turn, now);
    if (goes_on) {
        size = brg__chunk_size(&sweep->rule, sweep->count - sweep->next, sweep->cost, own->last);
        turn->first = sweep->next;
        turn->end = sweep->next += size;
        turn->claimed = now;
        own->context = turn->context;
        own->nesting = brg__strand_nesting(turn->context);
        own->last = size;
    } else {
        sweep->running--;
        sweep->waiting += has_more;
        own->state = has_more ? BRG__SWEEP_WAITING : BRG__SWEEP_ENDED;
    }
    bool ends = brg__sweep_ends_locked(sweep);
    brg__lock_release(&sweep->lock);
    if (ends)
        brg__sweep_tell(sweep, false);
    return goes_on;
}

static void turn_chunk(void *argument, brg_context *context)
{
    sweep_turn *turn = argument;
    brg__sweep_work *work = turn->sweep->work;
    work->run(work, context, turn->first, turn->end, (uint32_t)(turn->own - turn->sweep->strands));
}

/* The strand counts as running already. */
static void turn_run(sweep_turn *turn)
{
    turn->began = brg__now_real();
    brg__seen *flow = &turn->sweep->seen;
    brg__asking asking;
    brg__strand_begin_asking(turn->context, &asking, &turn->sweep->xasked);
    while (turn_claim(turn)) {
        bool is_watched = brg__seen_is_watched(flow);
        if (BRG__UNLIKELY(is_watched))
            brg__seen_chunk_started(flow, turn->first, turn->end);
        brg__strand_call(turn->context, turn_chunk, turn);
        if (BRG__UNLIKELY(is_watched))
            brg__seen_chunk_ended(flow, turn->first, turn->claimed);
    }
    brg__strand_end_asking(turn->context, &asking);
}

void brg__sweep_strand_run(brg__strand *strand, brg_context *context)
{
    brg__sweep_strand *own = brg__container_of(strand, brg__sweep_strand, strand);
    brg__sweep *sweep = own->sweep;
    sweep_turn turn = {.sweep = sweep, .own = own, .context = context, .has_task = true};
    brg_add_relaxed(&sweep->xreferences, 1u); /* there is the task's */
    brg__lock_acquire(&sweep->lock);
    own->state = BRG__SWEEP_RUNNING;
    sweep->waiting--;
    sweep->running++;
    brg__lock_release(&sweep->lock);
    turn_run(&turn);
    brg__sweep_unref(sweep);
}

/* Its task settled. Under the pool's lock. */
bool brg__sweep_strand_ended(brg__strand *strand, brg_status status, const brg_error *error)
{
    brg__sweep_strand *own = brg__container_of(strand, brg__sweep_strand, strand);
    brg__sweep *sweep = own->sweep;
    const char *why = error != NULL && error->message[0] != '\0' ? error->message : brg_status_text(status);
    brg__lock_acquire(&sweep->lock);
    bool again = status == BRG_OK && own->state == BRG__SWEEP_WAITING && !sweep->closed;
    if (own->state == BRG__SWEEP_WAITING && !again) {
        own->state = BRG__SWEEP_ENDED;
        sweep->waiting--;
        if (sweep->waiting == 0 && sweep->running == 0 && sweep->next < sweep->count)
            brg__sweep_close_locked(sweep, status, why);
    } else if (own->state == BRG__SWEEP_RUNNING) { /* in a chunk that does not end */
        own->state = BRG__SWEEP_LOST;
        sweep->has_lost = true;
        sweep->running--;
        brg__sweep_close_locked(sweep, status, why);
    }
    bool ends = brg__sweep_ends_locked(sweep);
    brg__lock_release(&sweep->lock);
    if (ends)
        brg__sweep_tell(sweep, true);
    if (!again)
        brg__sweep_unref(sweep);
    return again;
}

void brg__sweep_take_part(brg__sweep *sweep, brg_context *context)
{
    brg__sweep_strand *own = &sweep->strands[sweep->strand_count];
    own->state = BRG__SWEEP_RUNNING;
    sweep_turn turn = {.sweep = sweep, .own = own, .context = context};
    turn_run(&turn);
}
