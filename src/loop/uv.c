/* SPDX-License-Identifier: MIT */
/*
 * The loop on libuv: a poll handle on the loop's eventfd, referenced only while completions are out. The handle
 * outlives the brg_loop until libuv has closed it, so it lives in an allocation of its own. The descriptor may close
 * at once: libuv forgets it in uv_poll_stop.
 */
#include <brigade/uv.h>

#include "loop/loop.h"
#include "os/fd.h"
#include "os/memory.h"

typedef struct loop_uv {
    uv_poll_t poll;
    uv_loop_t *uv;
    uv_loop_t own; /* used where uv == &own */
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
    if (brg_loop_pending(loop) != 0)
        uv_run(state->uv, UV_RUN_DEFAULT);
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

static void loop_uv_close(brg_loop *loop)
{
    loop_uv *state = brg__loop_adapter_state(loop);
    bool own = state->uv == &state->own;
    uv_poll_stop(&state->poll);
    uv_close((uv_handle_t *)&state->poll, loop_uv_closed);
    if (!own)
        return;                                  /* freed when the user's loop runs next */
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
