/* SPDX-License-Identifier: MIT */
/* brigade's pool: empty tasks, round trips, results on a loop, a stuck worker replaced. */
#include <string.h>

#include <brigade.h>
#include <brigade/uv.h>

#include "harness.h"

#define POOL_STUCK_TIMEOUT_NS BRG_MILLISECONDS(20)

/* The two kinds of pool every subcommand measures: function tasks on threads, a module's tasks in processes. */
typedef struct pool_subject {
    brg_pool *pool;
    bool process;
} pool_subject;

static void pool_check(brg_status status, const brg_error *error, const char *what)
{
    if (status != BRG_OK)
        bench_fail("%s: %s: %s", what, brg_status_text(status), error != NULL ? error->message : "");
}

static brg_status pool_noop(brg_context *context, void *argument)
{
    (void)context;
    (void)argument;
    return BRG_OK;
}

static void pool_submit(const pool_subject *subject, const brg_submit_options *options, brg_task **task)
{
    brg_status status;
    if (subject->process)
        status = brg_pool_submit(subject->pool, "noop", NULL, options, task);
    else
        status = brg_pool_submit_call(subject->pool, pool_noop, NULL, options, task);
    pool_check(status, NULL, "submit");
}

static void pool_batch(const pool_subject *subject, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (subject->process)
            pool_submit(subject, NULL, NULL);
        else
            pool_check(brg_pool_call(subject->pool, pool_noop, NULL, NULL, NULL), NULL, "brg_pool_call");
    }
    pool_check(brg_pool_wait_idle(subject->pool, BRG_FOREVER), NULL, "brg_pool_wait_idle");
}

/* argv: "thread", or "process MODULE". */
static pool_subject pool_open(int argc, char **argv, brg_pool_options *options)
{
    brg_error error;
    pool_subject subject = {NULL, strcmp(bench_argument(argc, argv, 0, "isolation"), "process") == 0};
    options->workers_max = options->workers_max != 0 ? options->workers_max : BENCH_WORKERS;
    if (subject.process) {
        options->isolation = BRG_ISOLATION_PROCESS;
        options->module = bench_argument(argc, argv, 1, "module");
    }
    pool_check(brg_pool_create(&subject.pool, options, &error), &error, "brg_pool_create");
    return subject;
}

static void pool_measure_empty(int argc, char **argv, brg_pool_options *options)
{
    pool_subject subject = pool_open(argc, argv, options);
    pool_batch(&subject, BENCH_EMPTY_TASKS / 10);
    uint64_t before_ns = bench_now_ns();
    pool_batch(&subject, BENCH_EMPTY_TASKS);
    bench_print("empty", (double)(bench_now_ns() - before_ns) / (double)BENCH_EMPTY_TASKS);
    brg_pool_destroy(subject.pool);
}

/* The default bound on the queue; a submitter that runs ahead waits. */
static void pool_empty(int argc, char **argv)
{
    pool_measure_empty(argc, argv, brg_pool_opts(.admission = BRG_ADMISSION_BLOCK));
}

typedef struct pool_seen {
    uint64_t events, lost;
} pool_seen;

static void pool_look(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    pool_seen *seen = user_data;
    (void)events;
    seen->events += count;
    seen->lost += lost;
}

/* The lives of all tasks are told on the loop, which turns once for a thousand submits. */
static void pool_empty_watched(int argc, char **argv)
{
    brg_loop *loop = NULL;
    pool_seen seen = {0, 0};
    pool_check(brg_loop_create(&loop, NULL, NULL), NULL, "brg_loop_create");
    pool_subject subject = pool_open(
        argc, argv,
        brg_pool_opts(.loop = loop, .admission = BRG_ADMISSION_BLOCK,
                      .watch = brg_watch_opts(.mask = BRG_EVENTS_TASKS, .on_events = pool_look, .user_data = &seen,
                                              .capacity = 1 << 20)));
    uint64_t before_ns = bench_now_ns();
    for (size_t i = 0; i < BENCH_EMPTY_TASKS; i++) {
        if (i % 1000 == 0)
            (void)brg_loop_dispatch(loop);
        pool_check(brg_pool_call(subject.pool, pool_noop, NULL, NULL, NULL), NULL, "brg_pool_call");
    }
    pool_check(brg_pool_wait_idle(subject.pool, BRG_FOREVER), NULL, "brg_pool_wait_idle");
    bench_print("empty", (double)(bench_now_ns() - before_ns) / (double)BENCH_EMPTY_TASKS);
    brg_pool_destroy(subject.pool);
    brg_loop_destroy(loop);
    if (seen.events + seen.lost < 3 * (uint64_t)BENCH_EMPTY_TASKS)
        bench_fail("%llu events of %llu are missing", (unsigned long long)(seen.events + seen.lost),
                   3 * (unsigned long long)BENCH_EMPTY_TASKS);
}

static void pool_empty_traced(int argc, char **argv)
{
    brg_trace *trace = NULL;
    pool_check(brg_trace_create(&trace, NULL, NULL), NULL, "brg_trace_create");
    pool_measure_empty(argc, argv, brg_pool_opts(.admission = BRG_ADMISSION_BLOCK, .trace = trace));
    brg_trace_destroy(trace);
}

/* Room for every task at once, as the peers have it. */
static void pool_empty_unbounded(int argc, char **argv)
{
    pool_measure_empty(argc, argv, brg_pool_opts(.queue_max = 2 * (uint32_t)BENCH_EMPTY_TASKS));
}

/*
 * With and without measuring: a few nanoseconds of difference. Two pools in one process take turns, a batch of some
 * milliseconds each, so that both see the same machine; the medians are compared.
 */
#define POOL_TURNS 201
#define POOL_TURN_TASKS ((size_t)100000)
#define POOL_TURN_TASKS_PROCESS ((size_t)20000)

static double pool_turn(const pool_subject *subject)
{
    size_t tasks = subject->process ? POOL_TURN_TASKS_PROCESS : POOL_TURN_TASKS;
    uint64_t before_ns = bench_now_ns();
    pool_batch(subject, tasks);
    return (double)(bench_now_ns() - before_ns) / (double)tasks;
}

static int pool_compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static void pool_metrics(int argc, char **argv)
{
    static double ns[2][POOL_TURNS];
    pool_subject subjects[2];
    for (int i = 0; i < 2; i++) {
        subjects[i] = pool_open(argc, argv, brg_pool_opts(.admission = BRG_ADMISSION_BLOCK, .no_metrics = i == 1));
        (void)pool_turn(&subjects[i]);
    }
    for (int turn = 0; turn < POOL_TURNS; turn++)
        for (int i = 0; i < 2; i++) {
            int which = (turn + i) % 2; /* each goes first as often as the other */
            ns[which][turn] = pool_turn(&subjects[which]);
        }
    for (int i = 0; i < 2; i++) {
        qsort(ns[i], POOL_TURNS, sizeof(ns[i][0]), pool_compare);
        brg_pool_destroy(subjects[i].pool);
    }
    bench_print("on", ns[0][POOL_TURNS / 2]);
    bench_print("off", ns[1][POOL_TURNS / 2]);
    bench_print("ratio", ns[0][POOL_TURNS / 2] / ns[1][POOL_TURNS / 2]);
}

static void pool_round(void *state)
{
    brg_task *task = NULL;
    pool_submit(state, NULL, &task);
    pool_check(brg_task_wait(task, BRG_FOREVER), NULL, "brg_task_wait");
    brg_task_unref(task);
}

static void pool_hot(int argc, char **argv)
{
    pool_subject subject = pool_open(argc, argv, brg_pool_opts(.name = "hot"));
    bench_round_trips("hot", pool_round, &subject);
    brg_pool_destroy(subject.pool);
}

typedef struct pool_flow {
    pool_subject subject;
    bench_flow flow;
    uint64_t in_flight;
} pool_flow;

static void pool_again(const brg_result *result, void *user_data)
{
    pool_flow *flow = user_data;
    pool_check(result->status, result->error, "task");
    if (!bench_flow_next(&flow->flow, flow->in_flight))
        return;
    if (flow->subject.process)
        pool_submit(&flow->subject, brg_submit_opts(.done = pool_again, .user_data = flow), NULL);
    else
        pool_check(brg_pool_call(flow->subject.pool, pool_noop, NULL, pool_again, flow), NULL, "brg_pool_call");
}

static void pool_measure_flow(int argc, char **argv, uint64_t spin_ns)
{
    brg_error error;
    uv_loop_t uv;
    brg_loop *loop = NULL;
    pool_flow flow = {.in_flight = strtoull(bench_argument(argc, argv, 0, "tasks in flight"), NULL, 10)};
    if (uv_loop_init(&uv) != 0)
        bench_fail("uv_loop_init failed");
    pool_check(brg_loop_create_uv(&loop, &uv, brg_loop_opts(.spin_ns = spin_ns), &error), &error, "brg_loop_create_uv");
    flow.subject = pool_open(argc - 1, argv + 1, brg_pool_opts(.loop = loop));
    bench_flow_open(&flow.flow);
    for (uint64_t i = 0; i < flow.in_flight; i++)
        pool_submit(&flow.subject, brg_submit_opts(.done = pool_again, .user_data = &flow), NULL);
    uv_run(&uv, UV_RUN_DEFAULT);
    bench_flow_print(&flow.flow, "flow");
    brg_pool_destroy(flow.subject.pool);
    pool_check(brg_loop_destroy(loop), NULL, "brg_loop_destroy");
    uv_run(&uv, UV_RUN_DEFAULT); /* lets brigade's handle close */
    uv_loop_close(&uv);
}

static void pool_run_flow(int argc, char **argv) { pool_measure_flow(argc, argv, 0); }

static void pool_run_flow_spin(int argc, char **argv) { pool_measure_flow(argc, argv, BRG_MICROSECONDS(50)); }

/* From the deadline of a deaf task to the end of the task queued behind it, on the only worker. */
static void pool_stuck_round(void *state)
{
    const pool_subject *subject = state;
    brg_task *stuck = NULL;
    brg_task *next = NULL;
    uint64_t start_ns = bench_now_ns();
    pool_check(brg_pool_submit(subject->pool, "stuck", NULL, NULL, &stuck), NULL, "brg_pool_submit");
    pool_submit(subject, NULL, &next);
    pool_check(brg_task_wait(next, BRG_FOREVER), NULL, "brg_task_wait");
    uint64_t end_ns = bench_now_ns();
    if (brg_task_result(next)->status != BRG_OK)
        bench_fail("the task behind the stuck one failed: %s", brg_status_text(brg_task_result(next)->status));
    pool_check(brg_task_wait(stuck, BRG_FOREVER), NULL, "brg_task_wait");
    if (brg_task_get_state(stuck) != BRG_TASK_TIMED_OUT)
        bench_fail("the stuck task settled as %s", brg_task_state_name(brg_task_get_state(stuck)));
    brg_task_unref(stuck);
    brg_task_unref(next);
    bench_print("stuck", (double)(end_ns - start_ns - POOL_STUCK_TIMEOUT_NS) / 1e6);
}

static void pool_stuck(int argc, char **argv)
{
    /* The only worker; grace of a nanosecond: killed at the deadline. */
    pool_subject subject = pool_open(
        argc, argv, brg_pool_opts(.workers_max = 1, .run_timeout_ns = POOL_STUCK_TIMEOUT_NS, .grace_ns = 1));
    pool_batch(&subject, 1);
    pool_stuck_round(&subject);
    brg_pool_destroy(subject.pool);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"empty", pool_empty},
                                             {"empty-unbounded", pool_empty_unbounded},
                                             {"empty-watched", pool_empty_watched},
                                             {"empty-traced", pool_empty_traced},
                                             {"metrics", pool_metrics},
                                             {"hot", pool_hot},
                                             {"flow", pool_run_flow},
                                             {"flow-spin", pool_run_flow_spin},
                                             {"stuck", pool_stuck},
                                             {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
