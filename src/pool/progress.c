/* SPDX-License-Identifier: MIT */
#include "pool/extras.h"

brg_status brg__progress_init(brg_task *task, const brg_submit_options *options)
{
    (void)task, (void)options;
    return BRG_UNSUPPORTED;
}
void brg__progress_flush(brg_task *task) { (void)task; }
void brg__progress_settled_locked(brg_task *task) { (void)task; }
void brg__progress_free(brg__progress *progress) { (void)progress; }
