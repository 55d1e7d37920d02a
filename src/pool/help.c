/* SPDX-License-Identifier: MIT */
#include "pool/help.h"

brg_status brg__help_task(brg_task *task, brg__slot *slot, uint64_t deadline_ns)
{
    (void)task, (void)slot, (void)deadline_ns;
    return BRG_DEADLOCK;
}
void brg__help_cancel_locked(brg_task *task) { (void)task; }
