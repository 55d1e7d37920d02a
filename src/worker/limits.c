/* SPDX-License-Identifier: MIT */
/*
 * The limit on resident memory, which the kernel does not enforce (RLIMIT_RSS has no effect since Linux 2.4.30): the
 * supervisor looks ten times a second. Only of workers that have the limit.
 */
#include "worker/limits.h"

#include <stdio.h>

#include "os/clock.h"
#include "os/usage.h"
#include "worker/worker.h"

#define LIMITS_LOOK_NS BRG_MILLISECONDS(100)

static void limits_set(brg_worker *worker, uint64_t deadline_ns)
{
    if (deadline_ns != UINT64_MAX)
        brg__worker_ref(worker);
    if (brg__supervisor_timer_set(&worker->rss_timer, deadline_ns))
        brg__worker_unref(worker); /* the earlier setting's */
}

static void limits_look(brg__timer *timer)
{
    brg_worker *worker = brg__container_of(timer, brg_worker, rss_timer);
    uint64_t rss = 0, limit = worker->options.limits.rss_bytes_max;
    int64_t pid = brg_worker_process_id(worker); /* reaped on this thread: the number is still its own */
    if (!brg__worker_is_over(worker)) {
        if (pid > 0 && brg__rss_of_process((pid_t)pid, &rss) && rss > limit) {
            char message[160];
            snprintf(message, sizeof(message),
                     "worker %llu was ended: it has %llu bytes of resident memory, rss_bytes_max is %llu",
                     (unsigned long long)worker->id, (unsigned long long)rss, (unsigned long long)limit);
            brg__worker_end_now(worker, BRG_NO_MEMORY, message);
        } else {
            limits_set(worker, brg__deadline(LIMITS_LOOK_NS));
        }
    }
    brg__worker_unref(worker); /* the setting's that fired */
}

void brg__limits_watch(brg_worker *worker)
{
    if (worker->options.isolation != BRG_ISOLATION_PROCESS || worker->options.limits.rss_bytes_max == 0)
        return;
    worker->rss_timer.fire = limits_look;
    limits_set(worker, brg__deadline(LIMITS_LOOK_NS));
}
