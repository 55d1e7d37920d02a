/* SPDX-License-Identifier: MIT */
/* A reading of a pool, from the inside. */
#ifndef BRG_POOL_METRICS_READ_H
#define BRG_POOL_METRICS_READ_H

#include "pool/metrics.h"

typedef struct brg__metrics_named {
    brg_metrics_of_task seen;
    uint8_t index;
    bool is_there;
} brg__metrics_named;

struct brg_metrics {
    brg_metrics_of_pool pool;
    brg__histogram times[BRG__TIME_COUNT]; /* since the pool was created */
    brg_metrics_of_worker *workers;
    size_t worker_count, task_count;
    brg__metrics_named tasks[BRG__NAME_COUNT];
    char name[256]; /* of the pool */
};

/* The task that runs in the slot; NULL: none. Its name may be read. Lock held. */
const brg_task *brg__slot_runs_locked(brg__slot *slot);
/* Copies text, as UTF-8 whatever somebody called his worker. */
void brg__metrics_text(char *to, size_t size, const char *from);
/* For people. */
const char *brg__task_shown_name(const brg_task *task);

#endif
