/* SPDX-License-Identifier: MIT */
/* A model of what a watch may tell: each task's events keep to their grammar, each worker's to its life. */
#ifndef TESTS_TALE_H
#define TESTS_TALE_H

#include "scenario.h"

#include <brigade/events.h>

typedef struct tale_task {
    uint8_t state; /* 0 unseen, 1 waits, 2 runs, 3 settled */
    uint32_t attempt, retries;
    brg_status status;
} tale_task;

typedef struct tale_worker {
    uint64_t id;
    uint8_t state; /* 1 starting, 2 online, 3 ended */
} tale_worker;

typedef struct tale {
    tale_task *tasks; /* by number */
    uint64_t task_count;
    tale_worker *workers;
    size_t worker_count;
    uint64_t counts[BRG_EVENT_COUNT];
    uint64_t by_state[BRG_TASK_LOST + 1];
    uint64_t lost, calls;
    size_t largest; /* the most events in one call */
    bool needs_all; /* nothing may be missing */
    bool is_over;
} tale;

/* Fails the test at the first event that breaks the rules; for on_events, `user_data` a zeroed tale. */
void tale_listen(const brg_event *events, size_t count, uint64_t lost, void *user_data);
void tale_free(tale *self);

brg_loop *tale_loop(void); /* an external one */
/* Waits until the pool is idle, ends it and the loop: every task settled and every worker ended, and their counts are
 * those of the pool. */
void tale_finish(brg_loop *loop, brg_pool *pool, tale *self);
/* For brg_trace_print: counts the bytes, `user_data` a size_t. */
brg_status tale_forget(void *user_data, const char *text, size_t size);

#endif
