/* SPDX-License-Identifier: MIT */
/* Taskflow's task groups, which before version 4 are its runtimes, on an executor of two threads. */
#include <taskflow/taskflow.hpp>

#include "forks.h"

namespace {

#if TF_VERSION >= 400000
using taskflow_origin = tf::Executor;

class taskflow_group {
  public:
    explicit taskflow_group(taskflow_origin &from) : origin(from), group(from.task_group()) {}
    template <typename F> void run(F &&work)
    {
        group.silent_async([work, &inner = origin] { work(inner); });
    }
    void wait() { group.corun(); }

  private:
    taskflow_origin &origin;
    tf::TaskGroup group;
};
#else
using taskflow_origin = tf::Runtime;

class taskflow_group {
  public:
    explicit taskflow_group(taskflow_origin &from) : origin(from) {}
    template <typename F> void run(F &&work)
    {
        origin.silent_async([work](tf::Runtime &runtime) { work(runtime); });
    }
    void wait() { origin.corun_all(); }

  private:
    taskflow_origin &origin;
};
#endif

uint64_t taskflow_fib(taskflow_origin &origin, uint64_t n)
{
    if (n < 2)
        return n;
    uint64_t one = 0;
    taskflow_group group(origin);
    group.run([&one, n](taskflow_origin &inner) { one = taskflow_fib(inner, n - 1); });
#if TF_VERSION >= 400000
    uint64_t two = taskflow_fib(origin, n - 2);
#else
    uint64_t two = 0; /* a runtime waits for all that it started: the other half needs its own */
    group.run([&two, n](taskflow_origin &inner) { two = taskflow_fib(inner, n - 2); });
#endif
    group.wait();
    return one + two;
}

uint64_t taskflow_skynet(taskflow_origin &origin, uint64_t first, uint64_t size)
{
    if (size == 1)
        return first;
    uint64_t results[FORKS_SKYNET_CHILDREN], sum = 0;
    taskflow_group group(origin);
    for (uint64_t i = 0, part = size / FORKS_SKYNET_CHILDREN; i < FORKS_SKYNET_CHILDREN; i++)
        group.run([&results, i, first, part](taskflow_origin &inner) {
            results[i] = taskflow_skynet(inner, first + i * part, part);
        });
    group.wait();
    for (uint64_t result : results)
        sum += result;
    return sum;
}

uint64_t taskflow_queens(taskflow_origin &origin, const forks_board &board)
{
    uint64_t results[FORKS_QUEENS], sum = forks_is_full(&board);
    int count = 0;
    taskflow_group group(origin);
    for (uint32_t left = forks_free(&board); left != 0; left &= left - 1, count++) {
        forks_board next = forks_place(&board, left & -left);
        group.run([&results, count, next](taskflow_origin &inner) { results[count] = taskflow_queens(inner, next); });
    }
    group.wait();
    while (count-- > 0)
        sum += results[count];
    return sum;
}

template <typename F> uint64_t taskflow_run(void *state, F &&work)
{
    tf::Executor &executor = *static_cast<tf::Executor *>(state);
#if TF_VERSION >= 400000
    return executor.async([&executor, &work] { return work(executor); }).get();
#else
    uint64_t result = 0;
    executor.async([&result, &work](tf::Runtime &runtime) { result = work(runtime); }).get();
    return result;
#endif
}

uint64_t taskflow_run_fib(void *state)
{
    return taskflow_run(state, [](taskflow_origin &origin) { return taskflow_fib(origin, FORKS_FIB); });
}

uint64_t taskflow_run_skynet(void *state)
{
    return taskflow_run(state, [](taskflow_origin &origin) { return taskflow_skynet(origin, 0, FORKS_SKYNET_LEAVES); });
}

uint64_t taskflow_run_queens(void *state)
{
    return taskflow_run(state, [](taskflow_origin &origin) { return taskflow_queens(origin, forks_board{0, 0, 0}); });
}

void taskflow_measure(const char *key, double divisor, uint64_t expected, uint64_t (*run)(void *state))
{
    tf::Executor executor(BENCH_WORKERS);
    forks_measure(key, divisor, expected, run, &executor);
}

void taskflow_measure_fib(int, char **)
{
    taskflow_measure("fib", FORKS_FIB_COUNT, FORKS_FIB_RESULT, taskflow_run_fib);
}
void taskflow_measure_skynet(int, char **)
{
    taskflow_measure("skynet", 1e6, FORKS_SKYNET_RESULT, taskflow_run_skynet);
}
void taskflow_measure_queens(int, char **)
{
    taskflow_measure("queens", 1e6, FORKS_QUEENS_RESULT, taskflow_run_queens);
}

} // namespace

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"fib", taskflow_measure_fib},
                                             {"skynet", taskflow_measure_skynet},
                                             {"queens", taskflow_measure_queens},
                                             {nullptr, nullptr}};
    return bench_main(commands, argc, argv);
}
