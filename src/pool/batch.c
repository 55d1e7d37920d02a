/* SPDX-License-Identifier: MIT */
#include "pool/batch.h"

void brg__batch_add_locked(brg_pool *pool, brg_task *task) { brg__task_schedule_locked(pool, task); }
void brg__batch_remove_locked(brg_pool *pool, brg_task *task) { (void)pool, (void)task; }
void brg__batch_taken_locked(brg_pool *pool, brg_task *carrier) { (void)pool, (void)carrier; }
void brg__batch_put_back_locked(brg_pool *pool, brg_task *carrier) { (void)pool, (void)carrier; }
bool brg__batch_is_taken(const brg_task *task) { return (void)task, false; }
void brg__batch_cancel_locked(brg_task *task) { (void)task; }
void brg__batches_free(brg_pool *pool) { (void)pool; }
uint64_t brg__batches_ripen_locked(brg_pool *pool, uint64_t now) { return (void)pool, (void)now, UINT64_MAX; }
brg_status brg__batch_run(brg_context *context, brg_task *carrier, brg__outcome *outcome)
{
    (void)context, (void)carrier, (void)outcome;
    return BRG_UNSUPPORTED;
}
