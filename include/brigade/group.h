/* SPDX-License-Identifier: MIT */
/*
 * Groups: tasks that belong together are waited for and cancelled together.
 *
 *     brg_group_create(&group, pool, &error);
 *     for (...) brg_pool_submit(pool, "tile", tile, brg_submit_opts(.group = group), NULL);
 *     brg_group_wait(group, BRG_FOREVER);
 */
#ifndef BRIGADE_GROUP_H
#define BRIGADE_GROUP_H

#include <brigade/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Errors: BRG_INVALID; BRG_NO_MEMORY; BRG_FORKED. Any thread. End it with brg_group_unref; its tasks go on. */
BRG_API brg_status brg_group_create(brg_group **out, brg_pool *pool, brg_error *error);

/* Another holder; the last unref lets go of it, once its tasks have settled. unref accepts NULL. Any thread. */
BRG_API brg_group *brg_group_ref(brg_group *group);
BRG_API void brg_group_unref(brg_group *group);

/*
 * Waits until none of its tasks is left to settle: BRG_OK, however they ended. On a thread worker of the pool it helps
 * as brg_task_wait does, running tasks of the group. Errors: BRG_TIMED_OUT; BRG_DEADLOCK in a task of the group;
 * BRG_CANCELLED when the waiting task is asked to end. Any thread.
 */
BRG_API brg_status brg_group_wait(brg_group *group, uint64_t timeout_ns);

/* Cancels those of its tasks that have not settled, as brg_task_cancel. Later submits are not affected. Any thread. */
BRG_API void brg_group_cancel(brg_group *group);

typedef void (*brg_group_done_fn)(brg_group *group, void *user_data);

/*
 * Runs done(group, user_data) once on the pool's loop, after the callbacks of its tasks, when none is left to settle;
 * soon if none is now. Errors: BRG_INVALID (a pool without a loop, or a function that waits already); BRG_CLOSED (the
 * pool has ended); BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_group_when_done(brg_group *group, brg_group_done_fn done, void *user_data, brg_error *error);

/* How its tasks ended so far. */
typedef struct brg_group_counts {
    size_t size;
    uint64_t submitted, done, failed, cancelled, timed_out, lost;
    uint64_t pending; /* submitted and not settled */
} brg_group_counts;

/* Fills `out`, whose size field the caller set. Any thread. */
BRG_API brg_status brg_group_get_counts(const brg_group *group, brg_group_counts *out);

#ifdef __cplusplus
}
#endif

#endif
