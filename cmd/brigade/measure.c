/* SPDX-License-Identifier: MIT */
/*
 * Everything runs on one libuv loop. Each result submits the next task, so as many as `wanted` are always out: some ms of
 * work for each worker, that none ever waits for the submitter.
 *
 * The rate is results over time, between two results. Where a task takes long there are few, they come in bursts, and that
 * would be off by a burst; there each worker's own rate is taken, from its first result to its last, and those are summed.
 */
#include "measure.h"

#include <brigade/uv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define MEASURE_TICK_MS 5
#define MEASURE_AHEAD_NS 2000000.0 /* work that waits, for each worker */
#define MEASURE_AHEAD_MOST 256
#define MEASURE_AHEAD_LEAST 3
#define MEASURE_TASKS_LEAST 20 /* in a round */
#define MEASURE_SHORT 10       /* so many for each worker are counted together */
#define MEASURE_LONG 3         /* else so many for each worker are enough */
#define MEASURE_WARM_PART 8    /* of a round, before it */
#define MEASURE_END_NS 1000000000u
#define MEASURE_RUNS 4     /* and so many tasks: workers that are too many finish theirs; they may all share one CPU */
#define MEASURE_SEATS 4096 /* a power of two, above any number of workers */
#define MEASURE_TRIES 16

/* What one worker did in a round, found by its id. */
typedef struct measure_seats {
    struct measure_seat {
        uint64_t worker_id, first_ns, last_ns;
        uint32_t tasks;
    } list[MEASURE_SEATS];
} measure_seats;

/* ---- tasks ------------------------------------------------------------------------------------------------------- */

static void measure_fill(measure *self);

static void measure_count_seat(measure *self, uint64_t worker_id, uint64_t now)
{
    for (uint64_t i = worker_id;; i++) {
        struct measure_seat *seat = &self->seats->list[i % MEASURE_SEATS];
        if (seat->worker_id != 0 && seat->worker_id != worker_id)
            continue;
        if (seat->worker_id == 0)
            *seat = (struct measure_seat){.worker_id = worker_id, .first_ns = now};
        seat->last_ns = now;
        seat->tasks++;
        return;
    }
}

static bool measure_is_short(const measure *self, uint64_t ns) { return self->run_ns * MEASURE_SHORT < (double)ns; }

static void measure_done(const brg_result *result, void *user_data)
{
    measure *self = user_data;
    self->outstanding--;
    if (self->closing)
        return;
    self->settled++;
    if (result->status != BRG_OK) {
        self->failed++;
        if (self->first_error.status == BRG_OK)
            self->first_error = *result->error;
        if (result->status == BRG_UNAVAILABLE || result->status == BRG_START_FAILED)
            self->refused = true;
    }
    self->run_ns += ((double)result->run_ns - self->run_ns) / (self->settled < 64 ? (double)self->settled : 64);
    if (result->run_ns > self->longest_ns)
        self->longest_ns = result->run_ns;
    if (self->is_counting && result->status == BRG_OK) {
        histogram_add(&self->times, result->run_ns);
        if (self->seats != NULL) {
            self->last_ns = cli_now_ns();
            measure_count_seat(self, result->worker_id, self->last_ns);
        }
    }
    measure_fill(self);
}

static brg_status measure_submit(measure *self, brg_error *error)
{
    brg_submit_options submit = *self->submit;
    brg_value *input = self->input_count == 0 ? NULL : brg_value_ref(self->inputs[self->next_input]);
    submit.done = measure_done;
    submit.user_data = self;
    submit.error = error;
    brg_status status = brg_pool_submit(self->pool, self->task, input, &submit, NULL);
    if (status != BRG_OK) {
        brg_value_unref(input);
        return status;
    }
    self->outstanding++;
    self->next_input = self->input_count == 0 ? 0 : (self->next_input + 1) % self->input_count;
    return BRG_OK;
}

static void measure_fill(measure *self)
{
    brg_error error;
    while (!self->closing && !self->refused && self->outstanding < self->wanted) {
        brg_status status = measure_submit(self, &error);
        if (status == BRG_FULL && self->outstanding > 0)
            return; /* the next result makes room */
        if (status != BRG_OK) {
            self->refused = true;
            self->first_error = error;
        }
    }
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void measure_interrupted(uv_signal_t *handle, int number)
{
    (void)number;
    measure *self = handle->data;
    self->interrupts++;
    if (self->interrupts > 1 && self->pool != NULL)
        brg_pool_kill(self->pool, 0);
}

static void measure_tick(uv_timer_t *timer)
{
    measure *self = timer->data;
    self->was_late = true;
    if (self->tick != NULL)
        self->tick(self->tick_state);
}

/* Lets things happen; false when it is over. */
static bool measure_turn(measure *self)
{
    uv_run(&self->uv, UV_RUN_ONCE);
    return self->interrupts == 0 && !self->refused;
}

static void measure_watch(measure *self)
{
    uv_signal_init(&self->uv, &self->interrupt);
    uv_signal_init(&self->uv, &self->terminate);
    uv_timer_init(&self->uv, &self->timer);
    self->interrupt.data = self->terminate.data = self->timer.data = self;
    uv_signal_start(&self->interrupt, measure_interrupted, SIGINT);
    uv_signal_start(&self->terminate, measure_interrupted, SIGTERM);
    uv_timer_start(&self->timer, measure_tick, 0, MEASURE_TICK_MS);
}

bool measure_open(measure *self, pool_settings *settings, const char *module, uint32_t workers)
{
    brg_error error = {.status = BRG_OK};
    if (uv_loop_init(&self->uv) != 0)
        return cli_complain(self->command, "no event loop: out of memory or descriptors");
    self->is_open = true;
    self->submit = &settings->submit;
    measure_watch(self);
    brg_status status = brg_loop_create_uv(&self->loop, &self->uv, NULL, &error);
    if (status == BRG_OK) {
        settings->pool.loop = self->loop;
        settings->pool.module = module;
        settings->pool.workers_max = workers;
        settings->pool.timing = true;
        self->patience = patience_of(&settings->pool);
        settings->pool.init_data = settings->init == NULL ? NULL : brg_value_ref(settings->init);
        status = brg_pool_create(&self->pool, &settings->pool, &error);
        if (status != BRG_OK)
            brg_value_unref(settings->pool.init_data);
    }
    if (status == BRG_OK && settings->config != NULL) {
        brg_value *config = brg_value_ref(settings->config);
        status = brg_pool_configure(self->pool, config, &error);
        if (status != BRG_OK)
            brg_value_unref(config);
    }
    return status == BRG_OK || cli_complain(self->command, "%s", error.message);
}

static void measure_close_handle(uv_handle_t *handle, void *user_data)
{
    (void)user_data;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void measure_close(measure *self)
{
    if (!self->is_open)
        return;
    self->closing = true;
    if (self->pool != NULL) {
        uint64_t started = cli_now_ns();
        brg_pool_stop(self->pool, 0);
        while (self->outstanding > 0 && self->interrupts < 2 && cli_now_ns() - started < MEASURE_END_NS)
            uv_run(&self->uv, UV_RUN_ONCE);
    }
    brg_pool_destroy(self->pool);
    brg_loop_destroy(self->loop);
    self->pool = NULL;
    uv_walk(&self->uv, measure_close_handle, NULL);
    uv_run(&self->uv, UV_RUN_DEFAULT);
    uv_loop_close(&self->uv);
    free(self->seats);
    self->seats = NULL;
    self->is_open = false;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

bool measure_try(measure *self, brg_error *error)
{
    size_t tries = self->input_count == 0 ? 1 : self->input_count < MEASURE_TRIES ? self->input_count : MEASURE_TRIES;
    for (size_t i = 0; i < tries; i++) {
        uint64_t before = self->settled;
        self->wanted = 0;
        if (measure_submit(self, error) != BRG_OK)
            return false;
        while (self->settled == before)
            if (!measure_turn(self) && self->settled == before)
                break;
        if (self->refused || self->interrupts > 0)
            break;
    }
    self->next_input = 0;
    if (self->settled > self->failed && !self->refused && self->interrupts == 0)
        return true;
    *error = self->first_error;
    return false;
}

/* All workers of the new count are there, and no others. It is given up when they have come no nearer for too long. */
static bool measure_wait(measure *self, uint32_t workers)
{
    brg_pool_stats stats = {.size = sizeof(stats)};
    brg_pool_get_stats(self->pool, &stats);
    patience_begin(&self->patience, stats.workers_start_failed);
    do {
        if (!measure_turn(self))
            return false;
        if (!self->was_late) /* not after each result */
            continue;
        self->was_late = false;
        brg_pool_get_stats(self->pool, &stats);
        if (!patience_lasts(&self->patience, &stats, workers, (uint64_t)(MEASURE_RUNS * self->run_ns), self->command,
                            &self->first_error))
            return false;
    } while (stats.workers_online != workers);
    return true;
}

/* A turn while tasks run; false also when none has ended for too long. */
static bool measure_go_on(measure *self, uint32_t workers)
{
    if (!measure_turn(self))
        return false;
    if (!self->was_late)
        return true;
    self->was_late = false;
    return patience_lasts_results(&self->patience, self->settled, (double)MEASURE_RUNS * workers * self->longest_ns,
                                  self->command, &self->first_error);
}

/* And each had time for a first task. */
static bool measure_settle(measure *self, uint32_t workers, uint64_t ns)
{
    if (!measure_wait(self, workers))
        return false;
    uint64_t started = cli_now_ns(), settled = self->settled;
    patience_begin_results(&self->patience, settled);
    while (cli_now_ns() - started < ns / MEASURE_WARM_PART || self->settled - settled < workers)
        if (!measure_go_on(self, workers))
            return false;
    return true;
}

static double measure_seats_rate(const measure_seats *seats, uint64_t elapsed_ns)
{
    double rate = 0;
    for (size_t i = 0; i < MEASURE_SEATS; i++) {
        const struct measure_seat *seat = &seats->list[i];
        if (seat->tasks >= 2 && seat->last_ns > seat->first_ns)
            rate += (seat->tasks - 1) * 1e9 / (double)(seat->last_ns - seat->first_ns);
        else
            rate += seat->tasks * 1e9 / (double)elapsed_ns;
    }
    return rate;
}

/* The part that is counted. */
static bool measure_window(measure *self, uint32_t workers, uint64_t ns, measure_result *out)
{
    bool is_short = measure_is_short(self, ns);
    uint64_t least = (uint64_t)workers * (is_short ? MEASURE_SHORT : MEASURE_LONG), failed = self->failed;
    if (least < MEASURE_TASKS_LEAST && is_short)
        least = MEASURE_TASKS_LEAST;
    if (!is_short) {
        self->seats = calloc(1, sizeof(*self->seats));
        if (self->seats == NULL) {
            brg_error_set(&self->first_error, BRG_NO_MEMORY, "tune", "out of memory");
            return false;
        }
    }
    histogram_reset(&self->times);
    uint64_t cpu = measure_cpu_ns(), started = cli_now_ns(), now = started;
    self->is_counting = true;
    bool good = true;
    while (good && (now - started < ns || self->times.count + self->failed - failed < least)) {
        good = measure_go_on(self, workers);
        now = cli_now_ns();
    }
    self->is_counting = false;
    *out = (measure_result){.elapsed_ns = now - started, .tasks = self->times.count, .failed = self->failed - failed};
    uint64_t cpu_end = measure_cpu_ns();
    out->cpus = cpu == 0 || cpu_end < cpu ? -1 : (double)(cpu_end - cpu) / (double)(cli_now_ns() - started);
    out->rate = is_short ? (double)out->tasks * 1e9 / (double)out->elapsed_ns
                         : measure_seats_rate(self->seats, out->elapsed_ns);
    free(self->seats);
    self->seats = NULL;
    return good;
}

bool measure_round(measure *self, uint32_t workers, uint64_t ns, measure_result *out, brg_error *error)
{
    double ahead = self->run_ns > 0 ? MEASURE_AHEAD_NS / self->run_ns : MEASURE_AHEAD_MOST;
    ahead = ahead > MEASURE_AHEAD_MOST ? MEASURE_AHEAD_MOST : ahead < MEASURE_AHEAD_LEAST ? MEASURE_AHEAD_LEAST : ahead;
    if (brg_pool_tune(self->pool, brg_pool_opts(.workers_max = workers), error) != BRG_OK)
        return false;
    self->wanted = (size_t)(ahead * workers);
    measure_fill(self);
    if (measure_settle(self, workers, ns) && measure_window(self, workers, ns, out))
        return true;
    *error = self->first_error;
    return false;
}
