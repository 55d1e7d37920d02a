/* SPDX-License-Identifier: MIT */
/* brigade on a libuv loop of the user's: the one public header that includes a third party's. */
#ifndef BRIGADE_UV_H
#define BRIGADE_UV_H

#include <uv.h>

#include <brigade/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Attaches to `uv`, which the caller owns, runs and closes. While completions are out the loop stays alive;
 * otherwise brigade does not hold it. After brg_loop_destroy run `uv` once more so that its handle closes.
 * Call it on the thread that runs `uv`, which becomes the owner thread. Errors: BRG_NO_MEMORY, BRG_SYSTEM.
 */
BRG_API brg_status brg_loop_create_uv(brg_loop **out, uv_loop_t *uv, const brg_loop_options *options, brg_error *error);

/*
 * The libuv loop under a loop: of one that brigade runs (brg_loop_create, brg_context_loop) for timers and I/O of one's
 * own, which then keep brg_loop_run running; of an attached one the caller's. NULL for an external loop. Borrowed: do
 * not run, stop or close it. Handles still open when the loop ends are closed without their callbacks; their memory
 * must stay until then. Owner thread.
 */
BRG_API uv_loop_t *brg_loop_uv(brg_loop *loop);

#ifdef __cplusplus
}
#endif

#endif
