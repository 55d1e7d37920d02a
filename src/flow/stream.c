/* SPDX-License-Identifier: MIT */
/* How streams begin and end, and what they count. */
#include "flow/stream.h"

#include <string.h>

#include "base/options.h"
#include "message/shared.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/thread.h"

#define STREAM_BYTES_DEFAULT ((size_t)256 << 20)

/* ---- options ----------------------------------------------------------------------------------------------------- */

static brg_status stream_check(const brg_stream_options *options, brg_error *error)
{
    const char *wrong = NULL;
    if (options->stage_count != 0 && options->stages == NULL)
        wrong = "stage_count is not zero, but stages is NULL";
    else if (options->stage_count > BRG_STAGES_MAX)
        wrong = "stage_count is more than 64";
    else if (options->stage_count != 0 && options->pool != NULL)
        wrong = "both stages and pool are given: pool is the short form for one stage";
    else if (options->stage_count == 0 && options->pool == NULL)
        wrong = "there is no stage: give stages, or pool with task or run";
    else if (options->in_flight_max > BRG__STREAM_CAPACITY_MAX)
        wrong = "in_flight_max is more than 1048576";
    else if ((unsigned)options->rule > BRG_STREAM_COLLECT)
        wrong = "rule is none of BRG_STREAM_STOP, _SKIP and _COLLECT";
    else if (options->on_item == NULL && (options->on_room != NULL || options->on_end != NULL))
        wrong = "on_room and on_end need on_item; brg_stream_next tells of the end itself";
    else if (options->on_room != NULL && options->source != NULL)
        wrong = "on_room is for streams without a source";
    return wrong == NULL ? BRG_OK : brg_error_set(error, BRG_INVALID, "stream", "%s", wrong);
}

/* Stage `index` as given; the short form is stage 0. */
static brg_status stream_read_stage(const brg_stream_options *options, uint32_t index, brg_stage *stage,
                                    brg_error *error)
{
    if (options->stage_count == 0) {
        *stage = (brg_stage){.size = sizeof(*stage), .pool = options->pool, .task = options->task};
        stage->run = options->run;
        stage->state = options->state;
        stage->submit = options->submit;
    } else {
        const char *at = (const char *)options->stages + index * options->stages->size;
        brg_status status = brg__options_read(stage, sizeof(*stage), at, "brg_stage", error);
        if (status != BRG_OK)
            return status;
    }
    if (stage->pool == NULL)
        return brg_error_set(error, BRG_INVALID, "stream", "stage %u has no pool", index);
    if ((stage->task == NULL) == (stage->run == NULL))
        return brg_error_set(error, BRG_INVALID, "stream", "stage %u has %s: one of both is needed", index,
                             stage->task == NULL ? "neither task nor run" : "task and run");
    if (stage->running_max > BRG__STREAM_CAPACITY_MAX || stage->queue_max > BRG__STREAM_CAPACITY_MAX)
        return brg_error_set(error, BRG_INVALID, "stream", "running_max or queue_max of stage %u is more than %u",
                             index, BRG__STREAM_CAPACITY_MAX);
    return BRG_OK;
}

static brg_status stream_init_stage(brg_stream *stream, uint32_t index, const brg_stage *given, brg_error *error)
{
    brg__stream_stage *stage = &stream->stages[index];
    brg__hooked hooked = {.pool = given->pool, .run = given->run, .state = given->state, .hook = brg__stream_settled};
    char *name = given->task == NULL ? NULL : brg__strdup(given->task);
    if (given->task != NULL && name == NULL)
        return brg__error_memory(error, "a stage's name");
    hooked.name = name;
    brg_status status = brg__hooked_init(&hooked, given->submit, error);
    if (status != BRG_OK) {
        brg__mfree(name);
        return status;
    }
    stage->hooked = hooked;
    stage->running_max = given->running_max;
    stage->queue_max = given->queue_max;
    uint64_t share = brg__min(brg__hooked_least(&hooked), BRG__STREAM_CAPACITY_MAX);
    stage->share = given->running_max != 0 ? given->running_max : (uint32_t)share;
    stage->since_ns = brg__now();
    return BRG_OK;
}

/* ---- create ------------------------------------------------------------------------------------------------------ */

static void stream_done_stages(brg_stream *stream)
{
    for (uint32_t i = 0; i < stream->stage_count; i++) {
        brg__stream_stage *stage = &stream->stages[i];
        brg__hooked_done(&stage->hooked);
        brg__mfree((char *)stage->hooked.name);
        stage->hooked.name = NULL;
    }
}

void brg__stream_unref(brg_stream *stream)
{
    if (brg_sub_acq_rel(&stream->xreferences, 1u) != 1)
        return;
    stream_done_stages(stream);
    brg_token_unref(stream->options.token);
    brg__mfree(stream->nodes);
    brg__mfree(stream->ring);
    brg__mfree(stream);
}

/* Places for all that may be in flight: memory that is not touched before it is needed. */
static brg_status stream_init_places(brg_stream *stream, brg_error *error)
{
    uint64_t most = 0, now = 0;
    for (uint32_t i = 0; i < stream->stage_count; i++) {
        const brg__stream_stage *stage = &stream->stages[i];
        most += stage->running_max != 0 ? stage->running_max : brg__max(stage->share, BRG__STREAM_SHARE_MAX);
        now += stage->share;
    }
    stream->is_measured = stream->options.in_flight_max == 0;
    most = stream->is_measured ? brg__min(brg__max(4 * most, BRG__STREAM_LIMIT_MIN), BRG__STREAM_CAPACITY_MAX)
                               : stream->options.in_flight_max;
    stream->capacity = (uint32_t)most;
    stream->limit = (uint32_t)(stream->is_measured ? brg__min(brg__max(4 * now, BRG__STREAM_LIMIT_MIN), most) : most);
    stream->nodes = brg__calloc(stream->capacity, sizeof(stream->nodes[0]));
    if (!stream->options.unordered)
        stream->ring = brg__calloc(stream->capacity, sizeof(brg__stream_node *));
    if (stream->nodes == NULL || (stream->ring == NULL && !stream->options.unordered))
        return brg__error_memory(error, "a stream's items");
    return BRG_OK;
}

static void stream_cancel_later(brg__later *later)
{
    brg_stream *stream = brg__container_of(later, brg_stream, later);
    brg__stream_lock(stream);
    if (stream->is_destroying) {
        brg__lock_release(&stream->lock);
    } else {
        brg__stream_cancel_all_locked(stream);
        brg__stream_unlock(stream, true);
    }
    brg__stream_unref(stream);
}

/* On whatever thread, with whatever locks: the supervisor does it. */
static void stream_token_cancelled(void *user_data)
{
    brg_stream *stream = user_data;
    brg_add_relaxed(&stream->xreferences, 1u);
    brg__hooked_later(&stream->later);
}

static void stream_token_released(void *user_data) { brg__stream_unref(user_data); }

static brg_status stream_init_token(brg_stream *stream, brg_token *token, brg_error *error)
{
    if (token == NULL)
        return BRG_OK;
    stream->options.token = brg_token_ref(token);
    stream->later.run = stream_cancel_later;
    brg_add_relaxed(&stream->xreferences, 1u); /* the watch's */
    brg_status status = brg__token_watch(token, stream_token_cancelled, stream_token_released, stream, &stream->watch,
                                         error);
    if (status != BRG_OK)
        brg_sub_relaxed(&stream->xreferences, 1u);
    return status;
}

static brg_status stream_init_loop(brg_stream *stream, brg_error *error)
{
    brg_stream_options *options = &stream->options;
    if (options->on_item == NULL)
        return BRG_OK;
    if (options->loop == NULL)
        options->loop = brg__hooked_loop(stream->stages[0].hooked.pool);
    if (options->loop == NULL)
        return brg_error_set(error, BRG_INVALID, "stream",
                             "on_item needs a loop, of the first stage's pool or its own; without one use "
                             "brg_stream_next");
    if (!brg__loop_is_owner(options->loop))
        return brg_error_set(error, BRG_INVALID, "stream", "with on_item a stream is made on the thread of its loop");
    stream->turn.run = brg__stream_turn;
    return BRG_OK;
}

static brg_status stream_init(brg_stream *stream, const brg_stream_options *given, brg_error *error)
{
    brg_status status = BRG_OK;
    for (uint32_t i = 0; i < stream->stage_count && status == BRG_OK; i++) {
        brg_stage stage;
        status = stream_read_stage(given, i, &stage, error);
        if (status == BRG_OK)
            status = stream_init_stage(stream, i, &stage, error);
    }
    if (status == BRG_OK)
        status = stream_init_loop(stream, error);
    if (status == BRG_OK)
        status = stream_init_places(stream, error);
    if (status == BRG_OK) /* last what has a life of its own */
        status = stream_init_token(stream, given->token, error);
    return status;
}

brg_status brg_stream_create(brg_stream **out, const brg_stream_options *options, brg_error *error)
{
    brg_stream_options given;
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "stream", "out must not be NULL");
    brg_status status = brg__options_read(&given, sizeof(given), options, "brg_stream_options", error);
    if (status == BRG_OK)
        status = stream_check(&given, error);
    if (status != BRG_OK)
        return status;
    uint32_t count = given.stage_count == 0 ? 1 : given.stage_count;
    brg_stream *stream = brg__calloc(1, sizeof(*stream) + count * sizeof(stream->stages[0]));
    if (stream == NULL)
        return brg__error_memory(error, "a stream");
    stream->options = given;
    if (given.in_flight_bytes_max == 0)
        stream->options.in_flight_bytes_max = STREAM_BYTES_DEFAULT;
    stream->options.token = NULL;
    stream->options.stages = NULL;
    stream->options.submit = NULL;
    stream->generation = brg__fork_generation();
    stream->xreferences = 1;
    stream->stage_count = count;
    brg__lock_init(&stream->lock, BRG__RANK_FLOW, "stream");
    brg__list_init(&stream->pushers);
    status = stream_init(stream, &given, error);
    if (status != BRG_OK) {
        brg__stream_unref(stream);
        return status;
    }
    if (given.on_item != NULL) {
        stream->is_held = true;
        brg__loop_attach(stream->options.loop);
        brg__loop_hold(stream->options.loop);
    }
    *out = stream;
    brg__stream_lock(stream);
    brg__stream_unlock(stream, false); /* which posts its first turn, if it has a source */
    return BRG_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* None of its tasks is left, and no hook. */
static void stream_wait(brg_stream *stream)
{
    brg__stream_lock(stream);
    while (stream->submitted != 0) {
        uint32_t seen = stream->xsignal;
        stream->has_destroyer = true;
        brg__lock_release(&stream->lock);
        brg__futex_wait(&stream->xsignal, seen, UINT64_MAX, BRG__FUTEX_PRIVATE);
        brg__stream_lock(stream);
    }
    stream->has_destroyer = false;
    brg__lock_release(&stream->lock);
    uint32_t busy = brg_or_acq_rel(&stream->xbusy, BRG__STREAM_DESTROYED) | BRG__STREAM_DESTROYED;
    while (busy != BRG__STREAM_DESTROYED) {
        brg__futex_wait(&stream->xbusy, busy, UINT64_MAX, BRG__FUTEX_PRIVATE);
        busy = brg_load_acquire(&stream->xbusy);
    }
}

static void stream_drop_all(brg_stream *stream)
{
    brg__stream_node *node;
    bool delivers = false;
    brg__stream_lock(stream);
    while ((node = brg__stream_pop_locked(stream, &delivers)) != NULL) {
        brg__lock_release(&stream->lock);
        brg__stream_dispose(stream, node, true);
        brg__stream_lock(stream);
        brg__stream_give_back_locked(stream, node);
    }
    brg__lock_release(&stream->lock);
}

void brg_stream_destroy(brg_stream *stream)
{
    if (stream == NULL || stream->generation != brg__fork_generation())
        return;
    brg_token_watch_destroy(stream->watch);
    brg__stream_lock(stream);
    brg__stream_cancel_all_locked(stream);
    stream->is_destroying = true;
    brg__stream_unlock(stream, false);
    stream_wait(stream);
    if (stream->held != NULL)
        brg__stream_dispose(stream, stream->held, false);
    stream_drop_all(stream);
    if (stream->is_held)
        brg__loop_unhold(stream->options.loop);
    stream->is_held = false;
    if (stream->options.on_item != NULL)
        brg__loop_detach(stream->options.loop);
    stream_done_stages(stream);
    brg__stream_unref(stream);
}

void brg_stream_cancel(brg_stream *stream)
{
    if (stream != NULL && stream->generation == brg__fork_generation())
        brg__stream_cancel_all(stream, false);
}

bool brg__stream_is_own_task(const brg_stream *stream)
{
    for (uint32_t i = 0; i < stream->stage_count; i++)
        if (brg__hooked_is_own_task(stream->stages[i].hooked.pool))
            return true;
    return false;
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

brg_status brg_stream_get_error(const brg_stream *stream, brg_error *error)
{
    if (stream == NULL)
        return BRG_INVALID;
    if (stream->generation != brg__fork_generation())
        return BRG_FORKED;
    brg_stream *self = (brg_stream *)stream; /* the lock is not part of what const promises */
    brg__stream_lock(self);
    brg_status status = stream->end_status;
    if (status != BRG_OK && error != NULL)
        *error = stream->end_error;
    brg__lock_release(&self->lock);
    return status;
}

brg_status brg_stream_get_counts(const brg_stream *stream, brg_stream_counts *out)
{
    if (stream == NULL || out == NULL || out->size < sizeof(size_t))
        return BRG_INVALID;
    if (stream->generation != brg__fork_generation())
        return BRG_FORKED;
    brg_stream *self = (brg_stream *)stream;
    brg_stream_counts counts = {.size = out->size};
    brg__stream_lock(self);
    counts.taken = stream->taken;
    counts.delivered = stream->delivered;
    counts.failed = stream->failed;
    counts.skipped = stream->skipped;
    counts.dropped = stream->dropped;
    counts.in_flight = stream->taken - stream->delivered - stream->skipped - stream->dropped;
    counts.in_flight_peak = stream->in_flight_peak;
    counts.in_flight_bytes = stream->bytes;
    counts.in_flight_bytes_peak = stream->bytes_peak;
    for (uint32_t i = 0; i < stream->stage_count; i++)
        counts.retried += stream->stages[i].retried;
    brg__lock_release(&self->lock);
    memcpy(out, &counts, brg__min(out->size, sizeof(counts)));
    return BRG_OK;
}

brg_status brg_stream_get_stage(const brg_stream *stream, uint32_t index, brg_stage_counts *out)
{
    if (stream == NULL || out == NULL || out->size < sizeof(size_t))
        return BRG_INVALID;
    if (stream->generation != brg__fork_generation())
        return BRG_FORKED;
    if (index >= stream->stage_count)
        return BRG_RANGE;
    brg_stream *self = (brg_stream *)stream;
    const brg__stream_stage *stage = &stream->stages[index];
    brg_stage_counts counts = {.size = out->size};
    brg__stream_lock(self);
    counts.done = stage->done;
    counts.failed = stage->failed;
    counts.retried = stage->retried;
    counts.queued = stage->queue.count;
    counts.running = stage->running;
    counts.blocked = stage->blocked.count;
    counts.running_max = stage->share;
    counts.queued_peak = stage->queued_peak;
    counts.running_peak = stage->running_peak;
    brg__lock_release(&self->lock);
    memcpy(out, &counts, brg__min(out->size, sizeof(counts)));
    return BRG_OK;
}
