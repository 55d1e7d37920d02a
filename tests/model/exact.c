/* SPDX-License-Identifier: MIT */
/*
 * Where all is known: one worker, or several, held at a gate while one thread submits. What waits is a list, so is what the
 * model expects; which is refused or dropped, what a cancel does, what the counts say, and in which order the tasks
 * begin once the gate opens, is exact.
 */
#include "model.h"

#include <stdio.h>

#define WAITING_MAX 200
#define BANDS 4

typedef struct exact_task {
    brg_task *task;
    uint32_t id, key, band;
    uint64_t deadline_ns;
    brg_status expected;
    bool is_waiting;
} exact_task;

typedef struct exact_run {
    model_run *run;
    uint64_t *random;
    uint32_t workers, queue_max;
    exact_task tasks[WAITING_MAX];
    uint32_t count, waiting; /* count: made, refused ones are not */
    uint64_t refused, dropped;
    brg_task *held[4];
} exact_run;

static const char *exact_queue(const exact_run *self) { return self->run->options.queue->name; }
static bool exact_is(const exact_run *self, const brg_queue_policy *queue) { return self->run->options.queue == queue; }

/* ---- holding ----------------------------------------------------------------------------------------------------- */

static brg_value *exact_input(const exact_run *self, uint32_t id, int64_t spin_us)
{
    model_run *run = self->run;
    brg_builder *builder = NULL;
    brg_value *input = NULL;
    MODEL_MUST(run, brg_builder_create(&builder, NULL) == BRG_OK, "no memory");
    brg_builder_map(builder);
    brg_builder_key(builder, "board");
    brg_builder_shared(builder, run->shared);
    brg_builder_key(builder, "id");
    brg_builder_int(builder, id);
    brg_builder_key(builder, "spin_us");
    brg_builder_int(builder, spin_us);
    brg_builder_end(builder);
    MODEL_MUST(run, brg_builder_finish(builder, &input, NULL) == BRG_OK, "no memory");
    brg_builder_destroy(builder);
    return input;
}

static brg_task *exact_submit(exact_run *self, const char *name, brg_value *input, brg_submit_options *options)
{
    brg_task *task = NULL;
    brg_error error = {0};
    options->size = sizeof(*options);
    options->error = &error;
    brg_status status = brg_pool_submit(self->run->pool, name, input, options, &task);
    if (status == BRG_OK)
        return task;
    brg_value_unref(input);
    MODEL_MUST(self->run, status == BRG_FULL, "%s: %s", brg_status_name(status), error.message);
    return NULL;
}

/*
 * Each worker gets one task that waits at the gate. Before that each runs a long one: a pool that has seen long tasks
 * sends its processes one at a time, so that all that comes later waits where the policies see it.
 */
static void exact_hold(exact_run *self)
{
    model_run *run = self->run;
    for (uint32_t i = 0; i < self->workers * 2; i++) {
        const char *name = i < self->workers ? "work" : "hold";
        brg_submit_options options = {0};
        brg_task *task = exact_submit(self, name, exact_input(self, WAITING_MAX + 1 + i, 25000), &options);
        MODEL_MUST(run, task != NULL, "a task to hold a worker was refused");
        if (i >= self->workers) {
            self->held[i - self->workers] = task;
            uint32_t there;
            while ((there = atomic_load(&run->board->held)) <= i - self->workers)
                brg_shared_wait32(run->shared, offsetof(board, held), there, BRG_SECONDS(1));
            continue;
        }
        MODEL_MUST(run, brg_task_wait(task, MODEL_BOUND) == BRG_OK, "work");
        brg_task_unref(task);
    }
}

/* ---- while they are held ----------------------------------------------------------------------------------------- */

/* Which one goes to make room for a task of `band`; NULL: none. */
static exact_task *exact_victim(exact_run *self, uint32_t band)
{
    bool oldest = self->run->options.admission == BRG_ADMISSION_DROP_OLDEST;
    exact_task *victim = NULL;
    for (uint32_t i = 0; i < self->count; i++) {
        exact_task *one = &self->tasks[i];
        if (!one->is_waiting || one->band < band || (victim != NULL && one->band < victim->band))
            continue;
        if (victim == NULL || one->band > victim->band || !oldest)
            victim = one;
    }
    return victim;
}

static void exact_settle(exact_run *self, exact_task *one, brg_status status)
{
    one->is_waiting = false;
    one->expected = status;
    self->waiting--;
}

/* Whether there is room once all that are no more urgent are gone: else none goes. */
static bool exact_can_drop(const exact_run *self, uint32_t band)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < self->count; i++)
        left += self->tasks[i].is_waiting && self->tasks[i].band < band;
    return self->run->options.admission != BRG_ADMISSION_REJECT && left < self->queue_max;
}

/* What a submit makes of a full queue: the limit may have become smaller than what waits. */
static bool exact_make_room(exact_run *self, uint32_t band)
{
    if (self->waiting >= self->queue_max && !exact_can_drop(self, band))
        return false;
    while (self->waiting >= self->queue_max) {
        exact_settle(self, exact_victim(self, band), BRG_FULL);
        self->dropped++;
    }
    return true;
}

static void exact_new(exact_run *self)
{
    static const uint32_t bands[] = {2, 0, 1, 3};
    if (self->count == WAITING_MAX)
        return;
    exact_task *one = &self->tasks[self->count];
    brg_submit_options options = {.priority = (brg_priority)model_pick(self->random, BANDS),
                                  .key = model_pick(self->random, 4)};
    if (model_chance(self->random, 2))
        options.deadline_ns = BRG_SECONDS(10000 + model_pick(self->random, 8) * 1000); /* from now on, each */
    *one = (exact_task){.id = self->count + 1,
                        .key = (uint32_t)options.key,
                        .band = bands[options.priority],
                        .deadline_ns = options.deadline_ns == 0 ? UINT64_MAX : options.deadline_ns,
                        .expected = BRG_OK};
    bool has_room = exact_make_room(self, one->band);
    one->task = exact_submit(self, "work", exact_input(self, one->id, 0), &options);
    model_note(&self->run->actors[0], "submit %u band %u key %u%s", one->id, one->band, one->key,
               one->task == NULL ? ": full" : "");
    MODEL_MUST(self->run, (one->task != NULL) == has_room, "task %u, %u wait of %u", one->id, self->waiting,
               self->queue_max);
    for (uint32_t i = 0; i < self->count; i++)
        MODEL_MUST(self->run, (brg_task_result(self->tasks[i].task) == NULL) == self->tasks[i].is_waiting,
                   "task %u, when %u was submitted", self->tasks[i].id, one->id);
    if (one->task == NULL) {
        self->refused++;
        return;
    }
    one->is_waiting = true;
    self->waiting++;
    self->count++;
}

static void exact_cancel(exact_run *self)
{
    if (self->count == 0)
        return;
    exact_task *one = &self->tasks[model_pick(self->random, self->count)];
    brg_status status = brg_task_cancel(one->task);
    model_note(&self->run->actors[0], "cancel %u: %s", one->id, brg_status_name(status));
    MODEL_MUST(self->run, status == (one->is_waiting ? BRG_OK : BRG_STATE), "task %u: %s", one->id,
               brg_status_name(status));
    if (one->is_waiting)
        exact_settle(self, one, BRG_CANCELLED);
    MODEL_MUST(self->run, brg_task_result(one->task) != NULL, "task %u has not settled at once", one->id);
}

static void exact_tune(exact_run *self)
{
    brg_pool_options changes = {.size = sizeof(changes), .queue_max = 1 + model_pick(self->random, 60)};
    MODEL_MUST(self->run, brg_pool_tune(self->run->pool, &changes, NULL) == BRG_OK, "queue_max %u", changes.queue_max);
    model_note(&self->run->actors[0], "queue_max %u", changes.queue_max);
    self->queue_max = changes.queue_max;
}

static void exact_look(const exact_run *self)
{
    brg_pool_stats stats = scenario_stats(self->run->pool);
    MODEL_MUST(self->run, stats.queued == self->waiting, "%llu of %u wait", (unsigned long long)stats.queued,
               self->waiting);
    MODEL_MUST(self->run, stats.running == self->workers, "%llu run", (unsigned long long)stats.running);
    MODEL_MUST(self->run, stats.rejected == self->refused && stats.dropped == self->dropped,
               "rejected %llu dropped %llu", (unsigned long long)stats.rejected, (unsigned long long)stats.dropped);
}

/* ---- in which order they begin ----------------------------------------------------------------------------------- */

static uint64_t exact_start(const exact_run *self, const exact_task *one)
{
    return atomic_load(&self->run->board->lines[one->id].first_start);
}

/* Whether `a`, submitted before `b`, must begin before it: 1; after it: -1; 0: the policy leaves it open here. */
static int exact_order(const exact_run *self, const exact_task *a, const exact_task *b)
{
    if (exact_is(self, brg_queue_lifo))
        return -1;
    if (exact_is(self, brg_queue_priority))
        return a->band <= b->band ? 1 : -1;
    if (exact_is(self, brg_queue_deadline))
        return a->deadline_ns <= b->deadline_ns ? 1 : -1;
    if (exact_is(self, brg_queue_weighted))
        return a->band == b->band ? 1 : 0;
    if (exact_is(self, brg_queue_fair))
        return a->key == b->key ? 1 : 0;
    return 1;
}

static void exact_check_order(const exact_run *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        const exact_task *a = &self->tasks[i];
        for (uint32_t k = i + 1; k < self->count && a->expected == BRG_OK; k++) {
            const exact_task *b = &self->tasks[k];
            int order = b->expected == BRG_OK ? exact_order(self, a, b) : 0;
            MODEL_MUST(self->run, order == 0 || (order > 0) == (exact_start(self, a) < exact_start(self, b)),
                       "%s: task %u began as %llu, task %u as %llu", exact_queue(self), a->id,
                       (unsigned long long)exact_start(self, a), b->id, (unsigned long long)exact_start(self, b));
        }
    }
}

/* Fair: as long as two keys both have tasks, neither gets two turns more than the other. */
static void exact_check_fair(const exact_run *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        const exact_task *a = &self->tasks[i];
        uint64_t start = exact_start(self, a);
        uint32_t before[4] = {0}, left[4] = {0};
        for (uint32_t k = 0; k < self->count; k++)
            if (self->tasks[k].expected == BRG_OK)
                (exact_start(self, &self->tasks[k]) <= start ? before : left)[self->tasks[k].key]++;
        for (uint32_t key = 0; key < 4 && a->expected == BRG_OK; key++)
            MODEL_MUST(self->run, left[key] == 0 || before[a->key] <= before[key] + 1,
                       "key %u had %u turns, key %u, which waits, %u", a->key, before[a->key], key, before[key]);
    }
}

static void exact_check_ends(exact_run *self)
{
    for (uint32_t i = 0; i < self->count; i++) {
        const exact_task *one = &self->tasks[i];
        MODEL_MUST(self->run, brg_task_wait(one->task, MODEL_BOUND) == BRG_OK, "task %u", one->id);
        const brg_result *result = brg_task_result(one->task);
        MODEL_MUST(self->run, result->status == one->expected, "task %u: %s, not %s", one->id,
                   brg_status_name(result->status), brg_status_name(one->expected));
        uint32_t starts = atomic_load(&self->run->board->lines[one->id].starts);
        MODEL_MUST(self->run, starts == (one->expected == BRG_OK), "task %u ran %u times", one->id, starts);
    }
}

/* Round robin among workers that all were held: each in its turn. */
static void exact_check_turns(const exact_run *self)
{
    if (self->run->options.placement != brg_placement_round_robin)
        return;
    for (uint32_t i = 0; i + self->workers < self->count; i++) {
        const exact_task *a = &self->tasks[i], *b = &self->tasks[i + self->workers];
        if (a->expected != BRG_OK || b->expected != BRG_OK)
            continue;
        MODEL_MUST(self->run, brg_task_result(a->task)->worker_id == brg_task_result(b->task)->worker_id,
                   "tasks %u and %u of %u workers", a->id, b->id, self->workers);
    }
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static void exact_choose(exact_run *self)
{
    const brg_queue_policy *queues[] = {brg_queue_fifo,     brg_queue_lifo,     brg_queue_priority,
                                        brg_queue_weighted, brg_queue_deadline, brg_queue_fair};
    const brg_admission admissions[] = {BRG_ADMISSION_REJECT, BRG_ADMISSION_DROP_OLDEST, BRG_ADMISSION_DROP_NEWEST};
    brg_pool_options *options = &self->run->options;
    self->workers = model_chance(self->random, 3) ? 1 + model_pick(self->random, 4) : 1;
    self->queue_max = 2 + model_pick(self->random, 100);
    options->workers_max = self->workers;
    options->queue = queues[model_pick(self->random, 6)];
    options->placement = self->workers > 1 ? brg_placement_round_robin : brg_placement_pull;
    options->scaling = brg_scaling_fixed;
    options->start_timeout_ns = options->grace_ns = BRG_SECONDS(1000);
    options->admission = admissions[model_pick(self->random, 3)];
    options->queue_max = self->queue_max;
    options->no_spin = model_chance(self->random, 2);
    self->run->actor_count = 1;
}

static void exact_act(exact_run *self)
{
    for (uint32_t i = 20 + model_pick(self->random, 200); i > 0; i--) {
        uint32_t what = model_pick(self->random, 100);
        if (what < 80)
            exact_new(self);
        else if (what < 92)
            exact_cancel(self);
        else if (what < 94)
            exact_tune(self);
        else
            exact_look(self);
    }
}

static void exact_open_gate(exact_run *self)
{
    atomic_store(&self->run->board->gate, 1u);
    brg_shared_notify(self->run->shared, offsetof(board, gate), UINT32_MAX, NULL);
}

void model_play_exact(uint64_t seed, bool is_process)
{
    static model_run run;
    static exact_run self;
    uint64_t random = seed * 2 + is_process;
    memset(&run, 0, sizeof(run));
    self = (exact_run){.run = &run, .random = &random};
    run.seed = seed;
    run.options.size = sizeof(run.options);
    run.options.isolation = is_process ? BRG_ISOLATION_PROCESS : BRG_ISOLATION_THREAD;
    run.actors[0].name = 'o';
    exact_choose(&self);
    model_open(&run, &random);
    model_watch(&run);
    exact_hold(&self);
    exact_act(&self);
    exact_open_gate(&self);
    exact_check_ends(&self);
    if (self.workers == 1)
        exact_check_order(&self);
    if (self.workers == 1 && exact_is(&self, brg_queue_fair))
        exact_check_fair(&self);
    exact_check_turns(&self);
    for (uint32_t i = 0; i < self.count; i++)
        brg_task_unref(self.tasks[i].task);
    for (uint32_t i = 0; i < self.workers; i++)
        brg_task_unref(self.held[i]);
    brg_pool_destroy(run.pool);
    model_close(&run);
    model_watch(NULL);
}
