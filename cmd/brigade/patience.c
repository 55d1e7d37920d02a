/* SPDX-License-Identifier: MIT */
#include "patience.h"

#include "cli.h"

#define PATIENCE_START_NS BRG_SECONDS(30) /* where nothing else was said */
#define PATIENCE_STARTS 3                 /* so many times what a start may take are too long */
#define PATIENCE_FAILURES 5
#define PATIENCE_LOOK_NS BRG_SECONDS(1) /* longer between two looks: it was stopped, and its workers perhaps, too */
#define PATIENCE_RUNS_NS 1e18           /* years: more fits no uint64_t */

/* What is as good as no bound counts nothing. */
static uint64_t patience_bounded(uint64_t ns) { return ns > BRG_SECONDS(100000) ? 0 : ns; }

static void patience_restart(patience *self)
{
    self->looked_ns = cli_now_ns();
    self->waited_ns = 0;
}

static bool patience_is_over(patience *self, uint64_t most)
{
    uint64_t now = cli_now_ns(), passed = now - self->looked_ns;
    self->looked_ns = now;
    self->waited_ns += passed < PATIENCE_LOOK_NS ? passed : PATIENCE_LOOK_NS;
    return self->waited_ns > most;
}

patience patience_of(const brg_pool_options *pool)
{
    uint64_t start_ns = pool->start_timeout_ns;
    uint64_t attempt_ns = patience_bounded(pool->run_timeout_ns) + patience_bounded(pool->retry_delay_ns) +
                          patience_bounded(pool->retry_delay_max_ns) + patience_bounded(pool->batch_delay_ns);
    uint32_t attempts = pool->attempts_max == 0 ? 1 : pool->attempts_max;
    return (patience){.start_ns = start_ns == 0 || start_ns > BRG_SECONDS(3600) ? PATIENCE_START_NS : start_ns,
                      .tasks_ns = attempt_ns * attempts,
                      .attempts_max = attempts,
                      .failures_max = pool->breaker_failures == 0 ? PATIENCE_FAILURES : pool->breaker_failures};
}

void patience_begin(patience *self, uint64_t failures)
{
    self->nearest = UINT64_MAX;
    patience_restart(self);
    self->failures = failures;
}

bool patience_lasts(patience *self, const brg_pool_stats *stats, uint32_t wanted, uint64_t tasks_ns,
                    const char *command, brg_error *error)
{
    uint64_t online = stats->workers_online;
    uint64_t distance = online > wanted ? online - wanted : wanted - online;
    uint64_t most = PATIENCE_STARTS * self->start_ns + tasks_ns;
    if (distance < self->nearest) {
        if (self->nearest != UINT64_MAX)
            self->failures = stats->workers_start_failed;
        self->nearest = distance;
        patience_restart(self);
    } else if (stats->workers_start_failed - self->failures >= self->failures_max) {
        brg_error_set(error, BRG_START_FAILED, command,
                      "%llu of %u workers are there, and the others do not start: %llu starts failed",
                      (unsigned long long)online, wanted, (unsigned long long)stats->workers_start_failed);
        return false;
    } else if (patience_is_over(self, most)) {
        brg_error_set(error, BRG_TIMED_OUT, command,
                      "%llu worker%s online, not %u, and that has not got better for %.3g s: do they hang when they "
                      "start? --start-timeout says how long one may take",
                      (unsigned long long)online, online == 1 ? " is" : "s are", wanted, (double)most / 1e9);
        return false;
    }
    return true;
}

void patience_begin_results(patience *self, uint64_t settled)
{
    self->settled = settled;
    patience_restart(self);
}

bool patience_lasts_results(patience *self, uint64_t settled, double run_ns, const char *command, brg_error *error)
{
    double runs_ns = run_ns * self->attempts_max;
    uint64_t most = PATIENCE_STARTS * self->start_ns + self->tasks_ns +
                    (uint64_t)(runs_ns < PATIENCE_RUNS_NS ? runs_ns : PATIENCE_RUNS_NS);
    if (settled != self->settled) {
        patience_begin_results(self, settled);
    } else if (patience_is_over(self, most)) {
        brg_error_set(error, BRG_TIMED_OUT, command,
                      "no task has ended for %.3g s: do they hang? --timeout says how long one may run",
                      (double)most / 1e9);
        return false;
    }
    return true;
}
