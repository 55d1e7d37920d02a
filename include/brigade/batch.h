/* SPDX-License-Identifier: MIT */
/*
 * Batches: a module's task that takes many inputs at once, for work that is cheaper together (a model, a database, a
 * SIMD kernel). Callers submit single tasks as ever; the pool puts up to batch_size of one name, priority, key and tags
 * together, waits at most batch_delay_ns for more, and each settles on its own.
 *
 *     static brg_status embed(brg_context *context, brg_batch *batch);
 *     BRG_MODULE(model, .batch_tasks = BRG_BATCH_TASKS({"embed", embed}));
 *
 * All of it is for the worker's own thread, inside the function.
 */
#ifndef BRIGADE_BATCH_H
#define BRIGADE_BATCH_H

#include <brigade/context.h>
#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_batch brg_batch;

/*
 * Runs a batch. Every task in it that the function said nothing about settles with what it returns; best is to say
 * something of each. An error it returns does not touch those that have an answer.
 */
typedef brg_status (*brg_batch_fn)(brg_context *context, brg_batch *batch);

/* How many tasks there are, at least 1; fixed while the function runs. */
BRG_API uint32_t brg_batch_count(const brg_batch *batch);

/* The input of one; borrowed until return, NULL when nothing was sent or there is no such index. */
BRG_API const brg_value *brg_batch_input(const brg_batch *batch, uint32_t index);

/* Whether that one was asked to end: its answer is of no use any more. Only when all are is the worker ended. */
BRG_API bool brg_batch_cancelled(const brg_batch *batch, uint32_t index);

/* The answer of one: it succeeded, with an output (taken; may be NULL). The last answer counts. */
BRG_API void brg_batch_succeed(brg_batch *batch, uint32_t index, brg_value *output);

/* ... or it failed, as brg_context_fail_with. `detail` is taken; may be NULL. */
BRG_API void brg_batch_fail(brg_batch *batch, uint32_t index, brg_status status, int64_t code, brg_value *detail,
                            const char *format, ...) BRG_PRINTF(6, 7);

#ifdef __cplusplus
}
#endif

#endif
