/* SPDX-License-Identifier: MIT */
/* First in, first out: one list. Everything O(1). */
#include "pool/policy.h"
#include "pool/pool.h"

static void fifo_init(void *state) { brg__list_init(state); }
static void fifo_push(void *state, brg_task *task) { brg__list_push_back(state, &task->queue_node); }
static void fifo_push_front(void *state, brg_task *task) { brg__list_push_front(state, &task->queue_node); }

static brg_task *fifo_pop(void *state)
{
    brg__node *node = brg__list_pop_front(state);
    return node == NULL ? NULL : brg__container_of(node, brg_task, queue_node);
}

static void fifo_remove(void *state, brg_task *task)
{
    (void)state;
    brg__list_remove(&task->queue_node);
}

static const brg_queue_policy fifo = {.name = "fifo",
                                      .state_bytes = sizeof(brg__list),
                                      .init = fifo_init,
                                      .push = fifo_push,
                                      .push_front = fifo_push_front,
                                      .pop = fifo_pop,
                                      .remove = fifo_remove};
const brg_queue_policy *const brg_queue_fifo = &fifo;
