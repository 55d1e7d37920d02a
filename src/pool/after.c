/* SPDX-License-Identifier: MIT */
#include "pool/extras.h"

brg_status brg__after_join_locked(brg_task *task, const brg_submit_options *options)
{
    (void)task, (void)options;
    return BRG_UNSUPPORTED;
}
bool brg__after_is_blocked_locked(const brg_task *task) { return (void)task, false; }
void brg__after_settled_locked(brg_task *task, brg_task_state state) { (void)task, (void)state; }
void brg__after_free(brg__after *after) { (void)after; }
brg_task *brg__after_first_locked(const brg_task *task) { return (void)task, NULL; }
