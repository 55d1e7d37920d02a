/* SPDX-License-Identifier: MIT */
/* brigade's fork and join, in a task of a pool of two thread workers. */
#include <brigade.h>

#include "forks.h"

typedef struct fork_call {
    uint64_t number, size; /* skynet: the first leaf, and how many */
    forks_board board;
    uint64_t result;
} fork_call;

static void fork_fib(brg_context *context, void *argument)
{
    fork_call *call = argument;
    call->result = call->number;
    if (call->number < 2)
        return;
    fork_call one = {.number = call->number - 1}, two = {.number = call->number - 2};
    brg_fork fork;
    brg_fork_start(context, &fork, fork_fib, &one);
    fork_fib(context, &two);
    brg_fork_join(context, &fork);
    call->result = one.result + two.result;
}

static void fork_skynet(brg_context *context, void *argument)
{
    fork_call *call = argument, children[FORKS_SKYNET_CHILDREN];
    brg_fork forks[FORKS_SKYNET_CHILDREN];
    call->result = call->number;
    if (call->size == 1)
        return;
    for (uint64_t i = 0, size = call->size / FORKS_SKYNET_CHILDREN; i < FORKS_SKYNET_CHILDREN; i++) {
        children[i].number = call->number + i * size;
        children[i].size = size;
        brg_fork_start(context, &forks[i], fork_skynet, &children[i]);
    }
    call->result = 0;
    for (int i = FORKS_SKYNET_CHILDREN - 1; i >= 0; i--) {
        brg_fork_join(context, &forks[i]);
        call->result += children[i].result;
    }
}

static void fork_queens(brg_context *context, void *argument)
{
    fork_call *call = argument, children[FORKS_QUEENS];
    brg_fork forks[FORKS_QUEENS];
    int count = 0;
    for (uint32_t left = forks_free(&call->board); left != 0; left &= left - 1, count++) {
        children[count].board = forks_place(&call->board, left & -left);
        brg_fork_start(context, &forks[count], fork_queens, &children[count]);
    }
    call->result = forks_is_full(&call->board);
    while (count-- > 0) {
        brg_fork_join(context, &forks[count]);
        call->result += children[count].result;
    }
}

typedef struct fork_run {
    brg_pool *pool;
    brg_fork_fn run;
    fork_call call;
} fork_run;

static brg_status fork_task(brg_context *context, void *argument)
{
    fork_run *run = argument;
    run->run(context, &run->call);
    return BRG_OK;
}

static uint64_t fork_once(void *state)
{
    fork_run *run = state;
    brg_task *task = NULL;
    if (brg_pool_submit_call(run->pool, fork_task, run, NULL, &task) != BRG_OK ||
        brg_task_wait(task, BRG_FOREVER) != BRG_OK)
        bench_fail("the task could not be run");
    brg_task_unref(task);
    return run->call.result;
}

static void fork_measure(const char *key, double divisor, uint64_t expected, brg_fork_fn fn, fork_call call)
{
    brg_error error;
    fork_run run = {.run = fn, .call = call};
    if (brg_pool_create(&run.pool, brg_pool_opts(.workers_max = BENCH_WORKERS), &error) != BRG_OK)
        bench_fail("brg_pool_create: %s", error.message);
    forks_measure(key, divisor, expected, fork_once, &run);
    brg_pool_destroy(run.pool);
}

static void measure_fib(int argc, char **argv)
{
    (void)argc, (void)argv;
    fork_measure("fib", FORKS_FIB_COUNT, FORKS_FIB_RESULT, fork_fib, (fork_call){.number = FORKS_FIB});
}

static void measure_skynet(int argc, char **argv)
{
    (void)argc, (void)argv;
    fork_measure("skynet", 1e6, FORKS_SKYNET_RESULT, fork_skynet, (fork_call){.size = FORKS_SKYNET_LEAVES});
}

static void measure_queens(int argc, char **argv)
{
    (void)argc, (void)argv;
    fork_measure("queens", 1e6, FORKS_QUEENS_RESULT, fork_queens, (fork_call){.number = 0});
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {
        {"fib", measure_fib}, {"skynet", measure_skynet}, {"queens", measure_queens}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
