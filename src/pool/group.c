/* SPDX-License-Identifier: MIT */
#include "pool/extras.h"

void brg__group_join_locked(brg_group *group, brg_task *task) { (void)group, (void)task; }
void brg__group_settled_locked(brg_task *task, brg_task_state state) { (void)task, (void)state; }
