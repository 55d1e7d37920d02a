/* SPDX-License-Identifier: MIT */
/*
 * The loop on libuv: a poll handle on the loop's eventfd, referenced only while completions are out. The handle
 * outlives the brg_loop until libuv has closed it, so it lives in an allocation of its own. The descriptor may close
 * at once: libuv forgets it in uv_poll_stop.
 */
#include <brigade/uv.h>

#include "loop/loop.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/memory.h"

typedef struct loop_uv {
    uv_poll_t poll;
    uv_loop_t *uv;
    uv_loop_t own; /* used where uv == &own */

    /* A worker's. */
    brg__loop_resident resident;
    uv_poll_t bell;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t deadline;
    uint64_t slept_ns; /* so far */
} loop_uv;

static void loop_uv_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    brg_loop_dispatch(poll->data);
}

static void loop_uv_hold(brg_loop *loop, bool held)
{
    loop_uv *state = brg__loop_adapter_state(loop);
    if (held)
        uv_ref((uv_handle_t *)&state->poll);
    else
        uv_unref((uv_handle_t *)&state->poll);
}

static brg_status loop_uv_run(brg_loop *loop)
{
    loop_uv *state = brg__loop_adapter_state(loop);
    brg_loop_dispatch(loop);
    uv_run(state->uv, UV_RUN_DEFAULT); /* returns at once when neither we nor handles of the user's keep it */
    return BRG_OK;
}

static void loop_uv_stop(brg_loop *loop)
{
    loop_uv *state = brg__loop_adapter_state(loop);
    uv_stop(state->uv);
}

static void loop_uv_closed(uv_handle_t *handle)
{
    loop_uv *state = (loop_uv *)handle;
    if (state->uv != &state->own)
        brg__mfree(state);
}

static void loop_uv_close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void loop_uv_close(brg_loop *loop)
{
    loop_uv *state = brg__loop_adapter_state(loop);
    bool own = state->uv == &state->own;
    uv_poll_stop(&state->poll);
    uv_close((uv_handle_t *)&state->poll, loop_uv_closed);
    if (!own)
        return; /* freed when the user's loop runs next */
    uv_walk(state->uv, loop_uv_close_handle, NULL);
    while (uv_loop_close(state->uv) == UV_EBUSY) /* an old uv_stop makes uv_run return at once */
        uv_run(state->uv, UV_RUN_NOWAIT);
    brg__mfree(state);
}

static const brg__loop_adapter loop_uv_borrowed = {.hold = loop_uv_hold, .close = loop_uv_close, .stop = NULL};
static const brg__loop_adapter loop_uv_owned = {
    .hold = loop_uv_hold, .run = loop_uv_run, .stop = loop_uv_stop, .close = loop_uv_close};

static brg_status loop_uv_error(brg_error *error, const char *what, int code)
{
    return brg__error_errno(error, what, -code);
}

/* `state->uv` is initialised. On failure the caller frees what it made. */
static brg_status loop_uv_watch(brg_loop *loop, loop_uv *state, brg_error *error)
{
    int code = uv_poll_init(state->uv, &state->poll, brg_loop_fd(loop));
    if (code == 0) {
        state->poll.data = loop;
        code = uv_poll_start(&state->poll, UV_READABLE, loop_uv_readable);
    }
    if (code != 0)
        return loop_uv_error(error, "uv_poll", code);
    uv_unref((uv_handle_t *)&state->poll);
    return BRG_OK;
}

brg_status brg__loop_uv_own(brg_loop *loop, brg_error *error)
{
    loop_uv *state = brg__calloc(1, sizeof(*state));
    if (state == NULL)
        return brg__error_memory(error, "a loop");
    state->own.backend_fd = -1;
    int code = uv_loop_init(&state->own);
    if (code != 0) {
        brg__fd_close(&state->own.backend_fd); /* libuv leaves its epoll open when what follows fails */
        brg__mfree(state);
        return loop_uv_error(error, "uv_loop_init", code);
    }
    state->uv = &state->own;
    brg_status status = loop_uv_watch(loop, state, error);
    if (status != BRG_OK) {
        uv_loop_close(&state->own);
        brg__mfree(state);
        return status;
    }
    brg__loop_set_adapter(loop, &loop_uv_owned, state);
    return BRG_OK;
}

uv_loop_t *brg_loop_uv(brg_loop *loop)
{
    const loop_uv *state = loop == NULL ? NULL : brg__loop_adapter_state(loop);
    return state == NULL ? NULL : state->uv;
}

/* ---- a worker's loop ------------------------------------------------------------------------------------------- */

static void loop_uv_rung(uv_poll_t *poll, int status, int events)
{
    loop_uv *state = poll->data;
    (void)status;
    (void)events;
    brg__event_clear(state->resident.bell);
    state->resident.rung(state->resident.argument);
}

static void loop_uv_sleeps(uv_prepare_t *prepare)
{
    loop_uv *state = prepare->data;
    state->resident.sleeps(state->resident.argument);
}

static void loop_uv_woke(uv_check_t *check)
{
    loop_uv *state = check->data;
    uint64_t slept = uv_metrics_idle_time(state->uv), before = state->slept_ns;
    state->slept_ns = slept;
    state->resident.woke(state->resident.argument, slept - before);
}

static void loop_uv_late(uv_timer_t *timer) { (void)timer; }

/* None of these keeps the loop running. */
static int loop_uv_reside(loop_uv *state)
{
    uv_loop_configure(state->uv, UV_METRICS_IDLE_TIME);
    uv_prepare_init(state->uv, &state->prepare);
    uv_check_init(state->uv, &state->check);
    uv_timer_init(state->uv, &state->deadline);
    state->prepare.data = state->check.data = state->bell.data = state;
    uv_prepare_start(&state->prepare, loop_uv_sleeps);
    uv_check_start(&state->check, loop_uv_woke);
    uv_unref((uv_handle_t *)&state->prepare);
    uv_unref((uv_handle_t *)&state->check);
    uv_unref((uv_handle_t *)&state->deadline);
    int code = uv_poll_init(state->uv, &state->bell, state->resident.bell);
    if (code == 0)
        code = uv_poll_start(&state->bell, UV_READABLE, loop_uv_rung);
    if (code == 0)
        uv_unref((uv_handle_t *)&state->bell);
    return code;
}

brg_status brg__loop_create_resident(brg_loop **out, const brg__loop_resident *resident, brg_error *error)
{
    brg_loop *loop = NULL;
    brg_status status = brg_loop_create(&loop, NULL, error);
    if (status != BRG_OK)
        return status;
    loop_uv *state = brg__loop_adapter_state(loop);
    state->resident = *resident;
    int code = loop_uv_reside(state);
    if (code != 0) {
        (void)brg_loop_destroy(loop);
        return loop_uv_error(error, "uv_poll", code);
    }
    brg__loop_attach(loop); /* so that only brg__loop_end_resident ends it */
    *out = loop;
    return BRG_OK;
}

/* libuv does not sleep unless a handle keeps the loop: for the round, the bell does. */
void brg__loop_round(brg_loop *loop, uint64_t deadline_ns)
{
    loop_uv *state = brg__loop_adapter_state(loop);
    brg_loop_dispatch(loop);
    if (deadline_ns == 0) {
        uv_run(state->uv, UV_RUN_NOWAIT);
        return;
    }
    if (deadline_ns != UINT64_MAX) {
        uint64_t now = brg__now(), left = deadline_ns > now ? deadline_ns - now : 0;
        uv_update_time(state->uv);
        uv_timer_start(&state->deadline, loop_uv_late, (left + 999999) / 1000000, 0);
        uv_unref((uv_handle_t *)&state->deadline);
    }
    uv_ref((uv_handle_t *)&state->bell);
    uv_run(state->uv, UV_RUN_ONCE);
    uv_unref((uv_handle_t *)&state->bell);
    if (deadline_ns != UINT64_MAX)
        uv_timer_stop(&state->deadline);
}

brg_status brg_loop_create_uv(brg_loop **out, uv_loop_t *uv, const brg_loop_options *options, brg_error *error)
{
    if (out == NULL || uv == NULL)
        return brg_error_set(error, BRG_INVALID, "loop", "out and uv must not be NULL");
    brg_loop *loop = NULL;
    brg_status status = brg__loop_new(&loop, options, error);
    if (status != BRG_OK)
        return status;
    loop_uv *state = brg__calloc(1, sizeof(*state));
    if (state == NULL) {
        brg_loop_destroy(loop);
        return brg__error_memory(error, "a loop");
    }
    state->uv = uv;
    status = loop_uv_watch(loop, state, error);
    if (status != BRG_OK) {
        brg__mfree(state);
        brg_loop_destroy(loop);
        return status;
    }
    brg__loop_set_adapter(loop, &loop_uv_borrowed, state);
    *out = loop;
    return BRG_OK;
}
