/* SPDX-License-Identifier: MIT */
#include "pool/caller.h"

bool brg__caller_may_run(const brg_pool *pool, const brg_submit_options *options)
{
    return (void)pool, (void)options, false;
}
void brg__caller_run(brg_pool *pool, brg_task *task) { (void)pool, (void)task; }
