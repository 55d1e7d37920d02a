/* SPDX-License-Identifier: MIT */
/* brigade's workers: messages there and back, start, memory of an idle one. */
#include <stdatomic.h>
#include <string.h>

#include <brigade.h>

#include "harness.h"

#define WORKER_IDLE_COUNT 64

static void worker_check(brg_status status, const brg_error *error, const char *what)
{
    if (status != BRG_OK)
        bench_fail("%s: %s: %s", what, brg_status_text(status), error != NULL ? error->message : "");
}

/* When the body of a thread worker ran its first instruction; it then waits to be ended. */
static brg_status worker_body(brg_context *context, void *argument)
{
    _Atomic uint64_t *first_ns = argument;
    brg_value *message = NULL;
    atomic_store(first_ns, bench_now_ns());
    while (brg_context_receive(context, &message, BRG_FOREVER) == BRG_OK)
        brg_value_unref(message);
    return BRG_OK;
}

static brg_worker *worker_open(const brg_worker_options *options)
{
    brg_error error;
    brg_worker *worker = NULL;
    worker_check(brg_worker_create(&worker, options, &error), &error, "brg_worker_create");
    worker_check(brg_worker_wait_online(worker, BRG_SECONDS(30), &error), &error, "brg_worker_wait_online");
    return worker;
}

static void worker_round(void *state)
{
    brg_worker *worker = state;
    brg_error error;
    brg_value *message = NULL;
    worker_check(brg_value_map(&message, &error, brg_field_int("number", 42)), &error, "brg_value_map");
    worker_check(brg_worker_post(worker, message, BRG_FOREVER, &error), &error, "brg_worker_post");
    worker_check(brg_worker_receive(worker, &message, BRG_FOREVER), NULL, "brg_worker_receive");
    brg_value_unref(message);
}

static void worker_echo(int argc, char **argv)
{
    bool process = strcmp(bench_argument(argc, argv, 0, "isolation"), "process") == 0;
    brg_worker *worker = worker_open(
        brg_worker_opts(.module = bench_argument(argc, argv, 1, "module"),
                        .isolation = process ? BRG_ISOLATION_PROCESS : BRG_ISOLATION_THREAD));
    bench_round_trips("hot", worker_round, worker);
    brg_worker_destroy(worker);
}

static void worker_start_thread(int argc, char **argv)
{
    bench_samples first = {NULL, 0, 0};
    bench_samples seen = {NULL, 0, 0};
    uint64_t before_ns = bench_now_ns();
    (void)argc;
    (void)argv;
    bench_samples_open(&first, BENCH_WINDOW_NS);
    bench_samples_open(&seen, BENCH_WINDOW_NS);
    while (bench_samples_wanted(&first, before_ns)) {
        _Atomic uint64_t first_ns = 0;
        before_ns = bench_now_ns();
        brg_worker *worker = worker_open(brg_worker_opts(.entry = worker_body, .entry_argument = &first_ns));
        bench_samples_add(&seen, bench_now_ns() - before_ns);
        brg_worker_destroy(worker); /* the body has run to its end, so first_ns is there */
        if (first_ns != 0)
            bench_samples_add(&first, first_ns - before_ns);
    }
    bench_print("first", bench_samples_close_us(&first));
    bench_print("seen", bench_samples_close_us(&seen));
}

/* A worker more, of a module whose template is warm: another worker of it lives all the while. */
static void worker_start_process(int argc, char **argv)
{
    const brg_worker_options *options = brg_worker_opts(.isolation = BRG_ISOLATION_PROCESS,
                                                        .module = bench_argument(argc, argv, 0, "module"));
    bench_samples seen = {NULL, 0, 0};
    uint64_t before_ns = bench_now_ns();
    brg_worker *keeper = worker_open(options);
    worker_check(brg_worker_get_state(keeper) == BRG_WORKER_ONLINE ? BRG_OK : BRG_STATE, NULL, "the first worker");
    bench_samples_open(&seen, BENCH_WINDOW_NS);
    while (bench_samples_wanted(&seen, before_ns)) {
        before_ns = bench_now_ns();
        brg_worker *worker = worker_open(options);
        bench_samples_add(&seen, bench_now_ns() - before_ns);
        brg_worker_destroy(worker);
    }
    bench_print("seen", bench_samples_close_us(&seen));
    brg_worker_destroy(keeper);
}

static void worker_memory_thread(int argc, char **argv)
{
    static _Atomic uint64_t first_ns;
    brg_worker *workers[WORKER_IDLE_COUNT + 1];
    const brg_worker_options *options = brg_worker_opts(.entry = worker_body, .entry_argument = &first_ns);
    (void)argc;
    (void)argv;
    workers[0] = worker_open(options); /* what only the first one costs is not counted */
    double before_kb = bench_resident_kb();
    for (size_t i = 1; i <= WORKER_IDLE_COUNT; i++)
        workers[i] = worker_open(options);
    bench_print("memory", (bench_resident_kb() - before_kb) / WORKER_IDLE_COUNT);
    for (size_t i = 0; i <= WORKER_IDLE_COUNT; i++)
        brg_worker_destroy(workers[i]);
}

/* What each worker adds: its own proportional share, and what the owner keeps for it. */
static void worker_memory_process(int argc, char **argv)
{
    enum { COUNT = 8 };
    brg_worker *workers[COUNT + 1];
    double proportional_kb = 0;
    const brg_worker_options *options = brg_worker_opts(.isolation = BRG_ISOLATION_PROCESS,
                                                        .module = bench_argument(argc, argv, 0, "module"));
    workers[0] = worker_open(options);
    double before_kb = bench_resident_kb();
    for (size_t i = 1; i <= COUNT; i++)
        workers[i] = worker_open(options);
    double owner_kb = bench_resident_kb() - before_kb;
    for (size_t i = 1; i <= COUNT; i++) {
        double worker_kb = bench_proportional_kb(brg_worker_process_id(workers[i]));
        if (worker_kb < 0)
            bench_fail("cannot read the memory of worker %zu", i);
        proportional_kb += worker_kb;
    }
    bench_print("memory", (owner_kb + proportional_kb) / COUNT);
    for (size_t i = 0; i <= COUNT; i++)
        brg_worker_destroy(workers[i]);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"echo", worker_echo},
                                             {"start-thread", worker_start_thread},
                                             {"start-process", worker_start_process},
                                             {"memory-thread", worker_memory_thread},
                                             {"memory-process", worker_memory_process},
                                             {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
