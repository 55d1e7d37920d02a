/* SPDX-License-Identifier: MIT */
/* The lists of <brigade/metrics.h> as tables. */
#ifndef BRG_POOL_METRICS_LIST_H
#define BRG_POOL_METRICS_LIST_H

#include <stdbool.h>

#include <brigade/metrics.h>

typedef struct brg__metric {
    const char *field, *unit, *help;
    bool is_counter, is_double;
    size_t offset;
} brg__metric;

extern const brg__metric brg__metrics_of_pool[], brg__metrics_of_worker[], brg__metrics_of_task[],
    brg__metrics_of_times[]; /* each ends with a field NULL */

uint64_t brg__metric_u64(const brg__metric *metric, const void *of);
double brg__metric_double(const brg__metric *metric, const void *of);

#endif
