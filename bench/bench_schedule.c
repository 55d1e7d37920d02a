/* SPDX-License-Identifier: MIT */
/* brigade's pool, what distributing costs: imbalanced loads, many workers, long queues, each policy, batches. */
#include <string.h>

#include <brigade.h>

#include "harness.h"
#include "load.h"
#include "queued.h"

#define SCHEDULE_TASK_BYTES 576 /* about what a waiting task takes */
#define SCHEDULE_KEYS 1000
#define SCHEDULE_DEADLINE_NS BRG_SECONDS(3600) /* the first; never reached */
#define SCHEDULE_DEADLINES ((uint64_t)1 << 30) /* ns that they are spread over */

static void schedule_check(brg_status status, const brg_error *error, const char *what)
{
    if (status != BRG_OK)
        bench_fail("%s: %s: %s", what, brg_status_text(status), error != NULL ? error->message : "");
}

/* argv[first]: "thread", or "process", then the module, which thread workers take too where it is named. */
static brg_pool *schedule_open(int argc, char **argv, int first, brg_pool_options *options)
{
    brg_error error;
    brg_pool *pool = NULL;
    if (strcmp(bench_argument(argc, argv, first, "isolation"), "process") == 0)
        options->isolation = BRG_ISOLATION_PROCESS;
    if (options->isolation == BRG_ISOLATION_PROCESS || first + 1 < argc)
        options->module = bench_argument(argc, argv, first + 1, "module");
    options->workers_max = options->workers_max != 0 ? options->workers_max : BENCH_WORKERS;
    schedule_check(brg_pool_create(&pool, options, &error), &error, "brg_pool_create");
    return pool;
}

static void schedule_wait(void *pool)
{
    schedule_check(brg_pool_wait_idle(pool, BRG_FOREVER), NULL, "brg_pool_wait_idle");
}

static void schedule_call(brg_pool *pool, brg_call_fn call, const void *argument)
{
    schedule_check(brg_pool_call(pool, call, (void *)(uintptr_t)argument, NULL, NULL), NULL, "brg_pool_call");
}

static void schedule_submit(brg_pool *pool, const char *name, brg_value *input)
{
    schedule_check(brg_pool_submit(pool, name, input, NULL, NULL), NULL, "brg_pool_submit");
}

static brg_status schedule_noop(brg_context *context, void *argument)
{
    (void)context;
    (void)argument;
    return BRG_OK;
}

static brg_status schedule_turn(brg_context *context, void *argument)
{
    (void)context;
    bench_load_turn(*(const uint64_t *)argument);
    return BRG_OK;
}

static brg_value *schedule_turns_value(uint64_t turns)
{
    brg_error error;
    brg_value *value = NULL;
    schedule_check(brg_value_int(&value, (int64_t)turns, &error), &error, "brg_value_int");
    return value;
}

/* ---- imbalanced loads ---------------------------------------------------------------------------------------- */

static void schedule_load_threads(void *pool, const uint64_t *turns)
{
    for (size_t i = 0; i < BENCH_LOAD_TASKS; i++)
        schedule_call(pool, schedule_turn, &turns[i]);
    schedule_wait(pool);
}

static void schedule_load_processes(void *pool, const uint64_t *turns)
{
    for (size_t i = 0; i < BENCH_LOAD_TASKS; i++)
        schedule_submit(pool, "turn", schedule_turns_value(turns[i]));
    schedule_wait(pool);
}

/* argv: the load, isolation, module, as bench_load_measure has it. */
static void schedule_load(int argc, char **argv)
{
    brg_pool *pool = schedule_open(argc, argv, 1, brg_pool_opts(.name = "load"));
    bool process = strcmp(argv[1], "process") == 0;
    bench_load_measure(argc, argv, process ? schedule_load_processes : schedule_load_threads, pool);
    brg_pool_destroy(pool);
}

/* ---- how throughput grows with the workers ------------------------------------------------------------------- */

static void schedule_scale_threads(void *pool, size_t count, uint64_t turns)
{
    for (size_t i = 0; i < count; i++)
        schedule_call(pool, turns > 0 ? schedule_turn : schedule_noop, &turns);
    schedule_wait(pool);
}

static void schedule_scale_processes(void *pool, size_t count, uint64_t turns)
{
    brg_value *input = turns > 0 ? schedule_turns_value(turns) : NULL;
    for (size_t i = 0; i < count; i++)
        schedule_submit(pool, input != NULL ? "turn" : "noop", input != NULL ? brg_value_ref(input) : NULL);
    schedule_wait(pool);
    brg_value_unref(input);
}

/* argv: workers, nanoseconds of a task, isolation, module. */
static void schedule_scale(int argc, char **argv)
{
    uint32_t workers = (uint32_t)strtoul(bench_argument(argc, argv, 0, "workers"), NULL, 10);
    uint64_t turns = bench_load_turns(strtoull(bench_argument(argc, argv, 1, "nanoseconds"), NULL, 10));
    brg_pool *pool = schedule_open(argc, argv, 2,
                                   brg_pool_opts(.workers_max = workers, .admission = BRG_ADMISSION_BLOCK));
    bool process = strcmp(argv[2], "process") == 0;
    bench_scale_measure(turns, process ? schedule_scale_processes : schedule_scale_threads, pool);
    brg_pool_destroy(pool);
}

/* ---- what a policy costs ------------------------------------------------------------------------------------- */

static void schedule_fill_nothing(brg_submit_options *options, uint64_t index)
{
    (void)options;
    (void)index;
}

static void schedule_fill_priority(brg_submit_options *options, uint64_t index)
{
    options->priority = (brg_priority)(index % 4);
}

static void schedule_fill_key(brg_submit_options *options, uint64_t index) { options->key = 1 + index % SCHEDULE_KEYS; }

/* Scattered by Fibonacci hashing (Knuth, The art of computer programming, 6.4). */
static void schedule_fill_deadline(brg_submit_options *options, uint64_t index)
{
    options->deadline_ns = SCHEDULE_DEADLINE_NS + index * UINT64_C(11400714819323198485) % SCHEDULE_DEADLINES;
}

typedef struct schedule_kind {
    const char *name;
    const brg_queue_policy *const *queue;
    const brg_placement_policy *const *placement;
    void (*fill)(brg_submit_options *options, uint64_t index); /* what the policy looks at */
} schedule_kind;

static const schedule_kind schedule_kinds[] = {
    {"fifo", &brg_queue_fifo, NULL, schedule_fill_nothing},
    {"lifo", &brg_queue_lifo, NULL, schedule_fill_nothing},
    {"priority", &brg_queue_priority, NULL, schedule_fill_priority},
    {"weighted", &brg_queue_weighted, NULL, schedule_fill_priority},
    {"deadline", &brg_queue_deadline, NULL, schedule_fill_deadline},
    {"fair", &brg_queue_fair, NULL, schedule_fill_key},
    {"fifo-deadlines", &brg_queue_fifo, NULL, schedule_fill_deadline}, /* that is, deadline less its order */
    {"round-robin", NULL, &brg_placement_round_robin, schedule_fill_nothing},
    {"least-busy", NULL, &brg_placement_least_busy, schedule_fill_nothing},
    {"random", NULL, &brg_placement_random, schedule_fill_nothing},
    {"two-choices", NULL, &brg_placement_two_choices, schedule_fill_nothing},
    {"sticky", NULL, &brg_placement_sticky, schedule_fill_key},
    {"stealing", NULL, &brg_placement_stealing, schedule_fill_nothing},
    {NULL, NULL, NULL, NULL}};

typedef struct schedule_subject {
    brg_pool *pool;
    const schedule_kind *kind;
} schedule_subject;

/* argv[0]: the policy. Thread workers. */
static schedule_subject schedule_subject_open(int argc, char **argv, brg_pool_options *options)
{
    brg_error error;
    const char *name = bench_argument(argc, argv, 0, "policy");
    schedule_subject subject = {NULL, schedule_kinds};
    while (subject.kind->name != NULL && strcmp(subject.kind->name, name) != 0)
        subject.kind++;
    if (subject.kind->name == NULL)
        bench_fail("no policy is called %s", name);
    options->queue = subject.kind->queue != NULL ? *subject.kind->queue : NULL;
    options->placement = subject.kind->placement != NULL ? *subject.kind->placement : NULL;
    options->workers_max = BENCH_WORKERS;
    schedule_check(brg_pool_create(&subject.pool, options, &error), &error, "brg_pool_create");
    return subject;
}

static void schedule_push_call(const schedule_subject *subject, brg_call_fn call, uint64_t index)
{
    brg_submit_options options = {.size = sizeof(options)};
    subject->kind->fill(&options, index);
    schedule_check(brg_pool_submit_call(subject->pool, call, NULL, &options, NULL), NULL, "brg_pool_submit_call");
}

static void schedule_push(void *state, uint64_t index) { schedule_push_call(state, schedule_noop, index); }

static void schedule_subject_wait(void *state) { schedule_wait(((const schedule_subject *)state)->pool); }

static void schedule_subject_batch(schedule_subject *subject, size_t count)
{
    for (size_t i = 0; i < count; i++)
        schedule_push(subject, i);
    schedule_subject_wait(subject);
}

/* argv: the policy. */
static void schedule_policy(int argc, char **argv)
{
    schedule_subject subject = schedule_subject_open(argc, argv, brg_pool_opts(.admission = BRG_ADMISSION_BLOCK));
    schedule_subject_batch(&subject, BENCH_EMPTY_TASKS / 10);
    uint64_t before_ns = bench_now_ns();
    schedule_subject_batch(&subject, BENCH_EMPTY_TASKS);
    bench_print("empty", (double)(bench_now_ns() - before_ns) / (double)BENCH_EMPTY_TASKS);
    brg_pool_destroy(subject.pool);
}

/* ---- long queues --------------------------------------------------------------------------------------------- */

static brg_status schedule_gate(brg_context *context, void *argument)
{
    (void)context;
    (void)argument;
    bench_gate_pass();
    return BRG_OK;
}

static void schedule_queued_hold(void *state) { schedule_push_call(state, schedule_gate, 0); }

static uint64_t schedule_queued_finished(void *state)
{
    brg_pool_stats stats = {.size = sizeof(stats)};
    schedule_check(brg_pool_get_stats(((const schedule_subject *)state)->pool, &stats), NULL, "brg_pool_get_stats");
    return stats.done;
}

/* argv: the policy, tasks. */
static void schedule_queued(int argc, char **argv)
{
    size_t count = strtoull(bench_argument(argc, argv, 1, "tasks"), NULL, 10);
    uint32_t room = (uint32_t)bench_queued_room(count);
    bench_queued_warm(count, SCHEDULE_TASK_BYTES);
    schedule_subject subject = schedule_subject_open(argc, argv, brg_pool_opts(.queue_max = room));
    bench_queued_measure(count, &(bench_queued){&subject, schedule_queued_hold, schedule_push, schedule_subject_wait,
                                                schedule_queued_finished});
    brg_pool_destroy(subject.pool);
}

/* ---- batches ------------------------------------------------------------------------------------------------- */

static void schedule_batches(brg_pool *pool, size_t count)
{
    for (size_t i = 0; i < count; i++)
        schedule_submit(pool, "noop-batch", NULL);
    schedule_wait(pool);
}

/* argv: tasks in a batch, isolation, module. */
static void schedule_batch(int argc, char **argv)
{
    uint32_t size = (uint32_t)strtoul(bench_argument(argc, argv, 0, "tasks in a batch"), NULL, 10);
    bench_argument(argc, argv, 2, "module");
    brg_pool *pool = schedule_open(argc, argv, 1, brg_pool_opts(.batch_size = size, .admission = BRG_ADMISSION_BLOCK));
    schedule_batches(pool, BENCH_EMPTY_TASKS / 10);
    uint64_t before_ns = bench_now_ns();
    schedule_batches(pool, BENCH_EMPTY_TASKS);
    bench_print("empty", (double)(bench_now_ns() - before_ns) / (double)BENCH_EMPTY_TASKS);
    brg_pool_destroy(pool);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"load", schedule_load},     {"scale", schedule_scale},
                                             {"policy", schedule_policy}, {"queued", schedule_queued},
                                             {"batch", schedule_batch},   {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
