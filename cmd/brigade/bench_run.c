/* SPDX-License-Identifier: MIT */
/*
 * One round: a pool of its own, warm before the clock starts; then each task is submitted when its time has come. A task
 * that could not be submitted in time, since the submitter was late, has waited all the same: waiting is counted from when
 * it should have come (Tene, How not to measure latency, 2013).
 */
#include <brigade/uv.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "patience.h"

#define RUN_START_MS 5 /* from the last preparation to the first arrival */

typedef struct bench_runner bench_runner;

typedef struct run_ticket {
    bench_runner *runner;
    uint64_t submitted_ns;
} run_ticket;

struct bench_runner {
    bench_all *all;
    const bench_load *load;
    bench_stage *stage;
    uv_poll_t alarm;
    int clock; /* a timerfd: libuv's timers know milliseconds only */
    brg_pool *pool;
    run_ticket *tickets;
    histogram *waits;
    double slowdowns[BENCH_CLASSES_MAX];
    size_t next, outstanding, warming;
    uint64_t started_ns, ended_ns, failed;
    bool alarmed, closing, refused;
};

static void run_fail(bench_runner *self, const brg_error *error)
{
    if (self->all->first_error.status == BRG_OK)
        self->all->first_error = *error;
    self->failed++;
}

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static void run_done(const brg_result *result, void *user_data)
{
    run_ticket *ticket = user_data;
    bench_runner *self = ticket->runner;
    const bench_item *item = &self->load->items[ticket - self->tickets];
    self->outstanding--;
    if (self->closing)
        return;
    if (result->status != BRG_OK) {
        run_fail(self, result->error);
        if (result->status == BRG_UNAVAILABLE || result->status == BRG_NOT_FOUND)
            self->refused = true;
        return;
    }
    uint64_t due = self->started_ns + item->arrival_ns;
    uint64_t late = ticket->submitted_ns > due ? ticket->submitted_ns - due : 0, wait = late + result->queued_ns;
    uint64_t end = ticket->submitted_ns + result->queued_ns + result->run_ns;
    double length = (double)self->all->options.classes[item->class_index].length_ns;
    histogram_add(&self->waits[item->class_index], wait);
    self->slowdowns[item->class_index] += (double)(wait + result->run_ns) / length;
    self->ended_ns = end > self->ended_ns ? end : self->ended_ns;
}

static brg_status run_submit(bench_runner *self, size_t index, brg_error *error)
{
    const bench_options *options = &self->all->options;
    const bench_item *item = &self->load->items[index];
    const bench_class *class = &options->classes[item->class_index];
    brg_submit_options submit = options->pool.submit;
    brg_value *input = brg_value_ref(self->load->inputs[item->class_index]);
    bool is_fair = self->all->options.pool.pool.queue == brg_queue_fair;
    submit.done = run_done;
    submit.user_data = &self->tickets[index];
    submit.error = error;
    submit.priority = class->priority;
    submit.key = is_fair ? item->class_index + 1 : item->key;
    if (submit.deadline_ns == 0) /* an order of deadlines, which none misses */
        submit.deadline_ns = BRG_SECONDS(300) + 1000 * class->length_ns;
    self->tickets[index] = (run_ticket){self, cli_now_ns()};
    brg_status status = brg_pool_submit(self->pool, options->task, input, &submit, NULL);
    if (status == BRG_OK)
        self->outstanding++;
    else
        brg_value_unref(input);
    return status;
}

/* Submits what is due, and sets the alarm for what comes next. */
static void run_submit_due(bench_runner *self)
{
    const bench_load *load = self->load;
    while (self->next < load->count && !self->refused) {
        brg_error error;
        uint64_t due = self->started_ns + load->items[self->next].arrival_ns, now = cli_now_ns();
        if (due > now) {
            struct itimerspec at = {.it_value = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)}};
            timerfd_settime(self->clock, TFD_TIMER_ABSTIME, &at, NULL);
            return;
        }
        if (run_submit(self, self->next++, &error) != BRG_OK)
            run_fail(self, &error);
    }
}

static void run_alarm(uv_poll_t *handle, int status, int events)
{
    bench_runner *self = handle->data;
    uint64_t times;
    (void)status;
    (void)events;
    if (read(self->clock, &times, sizeof(times)) > 0 && self->started_ns != 0)
        run_submit_due(self);
}

static void run_interrupted(uv_signal_t *handle, int number)
{
    (void)number;
    bench_stage *self = handle->data;
    self->interrupts++;
}

static void run_tick(uv_timer_t *timer) { (void)timer; }

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

bool bench_stage_open(bench_stage *self)
{
    brg_error error;
    if (uv_loop_init(&self->uv) != 0)
        return cli_complain("bench", "no event loop: out of memory or descriptors");
    self->is_open = true;
    uv_signal_init(&self->uv, &self->interrupt);
    uv_signal_init(&self->uv, &self->terminate);
    uv_timer_init(&self->uv, &self->ticker);
    self->interrupt.data = self->terminate.data = self;
    uv_signal_start(&self->interrupt, run_interrupted, SIGINT);
    uv_signal_start(&self->terminate, run_interrupted, SIGTERM);
    uv_timer_start(&self->ticker, run_tick, 0, RUN_START_MS);
    return brg_loop_create_uv(&self->loop, &self->uv, NULL, &error) == BRG_OK ||
           cli_complain("bench", "%s", error.message);
}

static void run_close_handle(uv_handle_t *handle, void *user_data)
{
    (void)user_data;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void bench_stage_close(bench_stage *self)
{
    if (!self->is_open)
        return;
    brg_loop_destroy(self->loop);
    uv_walk(&self->uv, run_close_handle, NULL);
    uv_run(&self->uv, UV_RUN_DEFAULT);
    uv_loop_close(&self->uv);
    self->is_open = false;
}

static bool run_set_alarm(bench_runner *self)
{
    self->clock = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (self->clock < 0 || uv_poll_init(&self->stage->uv, &self->alarm, self->clock) != 0)
        return cli_complain("bench", "no timer: %s", strerror(errno));
    self->alarm.data = self;
    self->alarmed = true;
    return uv_poll_start(&self->alarm, UV_READABLE, run_alarm) == 0;
}

/* The pool's options for this choice; also left in `all`, for run_submit. */
static void run_set_options(bench_runner *self, const bench_choice *choice)
{
    brg_pool_options *pool = &self->all->options.pool.pool;
    size_t count = self->load->count;
    pool->loop = self->stage->loop;
    pool->module = self->all->module;
    pool->queue = pool_find_queue(choice->queue);
    pool->placement = pool_find_placement(choice->placement);
    pool->scaling = pool_find_scaling(choice->scaling);
    pool->isolation = strcmp(choice->isolation, "thread") == 0 ? BRG_ISOLATION_THREAD : BRG_ISOLATION_PROCESS;
    pool->workers_max = self->load->workers;
    pool->timing = true;
    if (pool->queue_max == 0)
        pool->queue_max = count < 65536 ? 65536 : (uint32_t)count;
}

static void run_warmed(const brg_result *result, void *user_data)
{
    bench_runner *self = user_data;
    self->warming--;
    if (result->status != BRG_OK && !self->closing) {
        run_fail(self, result->error);
        self->refused = true;
    }
}

static bool run_goes_on(bench_runner *self)
{
    uv_run(&self->stage->uv, UV_RUN_ONCE);
    return self->stage->interrupts == 0 && !self->refused;
}

/* At least so many workers are there. */
static bool run_wait_online(bench_runner *self, uint32_t wanted)
{
    brg_pool_stats stats = {.size = sizeof(stats)};
    brg_error error;
    patience waiting = patience_of(&self->all->options.pool.pool);
    patience_begin(&waiting, 0);
    do {
        if (!run_goes_on(self))
            return false;
        brg_pool_get_stats(self->pool, &stats);
        if (stats.workers_online < wanted && !patience_lasts(&waiting, &stats, wanted, 0, "bench", &error))
            return cli_complain("bench", "%s", error.message);
    } while (stats.workers_online < wanted);
    return true;
}

/* All workers there, each has run something, nothing is left to do. */
static bool run_warm_up(bench_runner *self)
{
    brg_error error;
    uint32_t count = 0;
    const brg_pool_options *pool = &self->all->options.pool.pool;
    bool fixed = pool->scaling == brg_scaling_fixed;
    if (pool->workers_min == BRG_NO_WORKERS && pool->warm_spares == 0)
        return true; /* none comes before there is a task */
    if (!run_wait_online(self, fixed ? self->load->workers : 1))
        return false;
    brg_value *input = NULL;
    if (brg_value_map(&input, &error, brg_field_int("us", 10)) != BRG_OK ||
        brg_pool_submit_all(
            self->pool, "spin", input,
            brg_submit_opts(.done = run_warmed, .user_data = self, .error = &error, .run_timeout_ns = BRG_SECONDS(60)),
            &count) != BRG_OK) {
        brg_value_unref(input);
        return cli_complain("bench", "%s", error.message);
    }
    self->warming += count;
    while (self->warming > 0)
        if (!run_goes_on(self))
            return false;
    return true;
}

static bool run_open(bench_runner *self, const bench_choice *choice)
{
    brg_error error = {.status = BRG_OK};
    self->tickets = calloc(self->load->count, sizeof(*self->tickets));
    self->waits = calloc(BENCH_CLASSES_MAX, sizeof(*self->waits));
    if (self->tickets == NULL || self->waits == NULL)
        return cli_complain("bench", "out of memory");
    if (!run_set_alarm(self))
        return false;
    run_set_options(self, choice);
    return brg_pool_create(&self->pool, &self->all->options.pool.pool, &error) == BRG_OK ||
           cli_complain("bench", "%s", error.message);
}

static void run_alarm_closed(uv_handle_t *handle) { ((bench_runner *)handle->data)->alarmed = false; }

static void run_close(bench_runner *self)
{
    self->closing = true;
    brg_pool_destroy(self->pool);
    if (self->alarmed) {
        uv_close((uv_handle_t *)&self->alarm, run_alarm_closed);
        while (self->alarmed)
            uv_run(&self->stage->uv, UV_RUN_ONCE);
    }
    if (self->clock >= 0)
        close(self->clock);
    free(self->waits);
    free(self->tickets);
}

static void run_figures(const bench_runner *self, bench_round *out)
{
    uint64_t elapsed = self->ended_ns > self->started_ns ? self->ended_ns - self->started_ns : 1;
    uint64_t done = 0;
    *out = (bench_round){.makespan = (double)elapsed / (double)self->load->ideal_ns, .failed = self->failed};
    for (size_t i = 0; i < self->all->options.class_count; i++) {
        const histogram *waits = &self->waits[i];
        out->classes[i] = (bench_figures){.p50_ns = histogram_percentile(waits, 0.5),
                                          .p99_ns = histogram_percentile(waits, 0.99),
                                          .p999_ns = histogram_percentile(waits, 0.999),
                                          .slowdown = waits->count == 0 ? 0 : self->slowdowns[i] / (double)waits->count,
                                          .tasks = waits->count};
        done += waits->count;
    }
    out->rate = (double)done * 1e9 / (double)elapsed;
}

bool bench_run(bench_all *all, const bench_choice *choice, bench_round *out)
{
    bench_runner self = {.all = all, .stage = &all->stage, .load = &all->load, .clock = -1};
    bool good = run_open(&self, choice) && run_warm_up(&self);
    if (good) {
        self.started_ns = cli_now_ns() + RUN_START_MS * 1000000u;
        run_submit_due(&self);
        while (good && (self.next < all->load.count || self.outstanding > 0))
            good = run_goes_on(&self);
        run_figures(&self, out);
        all->failed += self.failed;
    }
    if (self.refused)
        cli_complain("bench", "%s", all->first_error.message);
    run_close(&self);
    return good;
}
