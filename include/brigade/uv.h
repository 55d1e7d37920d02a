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

#ifdef __cplusplus
}
#endif

#endif
