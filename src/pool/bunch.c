/* SPDX-License-Identifier: MIT */
#include "pool/extras.h"

brg_status brg__bunch_join_locked(brg_task *task, brg_token *token) { return (void)task, (void)token, BRG_UNSUPPORTED; }
void brg__bunch_leave_locked(brg_task *task) { (void)task; }
void brg__bunches_end(brg_pool *pool) { (void)pool; }
