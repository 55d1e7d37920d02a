/* SPDX-License-Identifier: MIT */
/*
 * The worker's side of its life: start, loop, streams, end.
 *
 * The end, in order: at-exit functions and worker_end, which are user code; then what the worker made ends, so that
 * nothing of it calls back any more; then its loop; then its FILEs, whose last bytes go to the owner before the exit
 * does.
 */
#include "loop/loop.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/memory.h"
#include "worker/context.h"
#include "worker/streams.h"

struct brg__at_exit {
    brg__at_exit *older;
    void (*fn)(void *argument);
    void *argument;
};

/* ---- start and end --------------------------------------------------------------------------------------------- */

brg_status brg_context_at_exit(brg_context *context, void (*fn)(void *argument), void *argument)
{
    if (fn == NULL)
        return BRG_INVALID;
    brg__at_exit *item = brg__malloc(sizeof(*item));
    if (item == NULL)
        return BRG_NO_MEMORY;
    *item = (brg__at_exit){.older = context->exits, .fn = fn, .argument = argument};
    context->exits = item;
    return BRG_OK;
}

/* Newest first; one that adds another has that run next. */
static void context_run_exits(brg_context *context)
{
    brg__at_exit *item;
    while ((item = context->exits) != NULL) {
        context->exits = item->older;
        item->fn(item->argument);
        brg__mfree(item);
    }
}

brg_status brg__context_start(brg_context *context)
{
    if (context->module == NULL || context->module->worker_start == NULL)
        return BRG_OK;
    brg__context_begin(context, 0, 0);
    brg_status status = brg__context_conclude(context, context->module->worker_start(context), "worker_start");
    brg__context_end(context);
    if (status != BRG_OK)
        context_run_exits(context);
    return status;
}

void brg__context_finish(brg_context *context)
{
    context_run_exits(context);
    if (context->module != NULL && context->module->worker_end != NULL)
        context->module->worker_end(context);
    context_run_exits(context); /* what worker_end added */
}

void brg__context_leave(brg_context *context)
{
    brg__family_end(context->family, context->loop);
    if (context->loop != NULL)
        brg__loop_end_resident(context->loop);
    context->loop = NULL;
    if (context->isolation == BRG_ISOLATION_THREAD && context->ops != NULL)
        brg__streams_close(context->owner, context->files);
    while (context->exits != NULL) { /* of a worker that was abandoned */
        brg__at_exit *item = context->exits;
        context->exits = item->older;
        brg__mfree(item);
    }
}

/* ---- loop -------------------------------------------------------------------------------------------------------- */

static void context_rung(void *argument)
{
    brg_context *context = argument;
    if (context->loop == NULL || context->loop_refuses || !context->ops->asked(context))
        return;
    context->loop_refuses = true;
    brg__loop_refuse_runs(context->loop);
}

/* What came until here rings for itself, so that the loop does not sleep over it. */
static void context_sleeps(void *argument)
{
    brg_context *context = argument;
    if (context->ops->loop_sleeps != NULL) {
        context->ops->loop_sleeps(context);
        if ((context->ready != NULL && context->ready(context->ready_argument)) ||
            (!context->loop_refuses && context->ops->asked(context)))
            brg__event_signal(context->ops->bell(context));
    }
    brg__context_idle_begin(context);
}

static void context_woke(void *argument, uint64_t slept_ns)
{
    brg_context *context = argument;
    brg__usage_idle_was(context->usage, slept_ns);
    if (context->ops->loop_woke != NULL)
        context->ops->loop_woke(context);
}

brg_loop *brg_context_loop(brg_context *context, brg_error *error)
{
    if (context->loop != NULL)
        return context->loop;
    int bell = context->ops->bell(context);
    if (bell < 0) {
        brg_error_set(error, BRG_SYSTEM, "worker", "no descriptor is left for the worker's loop");
        return NULL;
    }
    brg__loop_resident resident = {
        .bell = bell, .rung = context_rung, .sleeps = context_sleeps, .woke = context_woke, .argument = context};
    if (brg__loop_create_resident(&context->loop, &resident, error) != BRG_OK)
        return NULL;
    context_rung(context); /* the asking may have come before the bell */
    return context->loop;
}

void brg__context_loop_turn(brg_context *context)
{
    if (context->loop != NULL)
        brg__loop_round(context->loop, 0);
}

void brg__context_loop_wait(brg_context *context, bool (*ready)(void *argument), void *argument, uint64_t deadline_ns)
{
    context->ready = ready;
    context->ready_argument = argument;
    while (!ready(argument) && (deadline_ns == UINT64_MAX || brg__now() < deadline_ns))
        brg__loop_round(context->loop, deadline_ns);
    context->ready = NULL;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static FILE *context_file(brg_context *context, int stream)
{
    if (context->isolation == BRG_ISOLATION_PROCESS)
        return stream == 0 ? stdin : stream == 1 ? stdout : stderr;
    if (context->files[stream] == NULL)
        context->files[stream] = brg__streams_open(context->owner, stream);
    return context->files[stream];
}

FILE *brg_context_stdin(brg_context *context) { return context_file(context, 0); }
FILE *brg_context_stdout(brg_context *context) { return context_file(context, 1); }
FILE *brg_context_stderr(brg_context *context) { return context_file(context, 2); }
