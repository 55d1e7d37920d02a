/* SPDX-License-Identifier: MIT */
/* oneTBB's task_group, on this thread and another one. */
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_group.h>

#include "forks.h"

namespace {

using oneapi::tbb::task_group;

uint64_t tbb_fib(uint64_t n)
{
    if (n < 2)
        return n;
    uint64_t one = 0;
    task_group group;
    group.run([&one, n] { one = tbb_fib(n - 1); });
    uint64_t two = tbb_fib(n - 2);
    group.wait();
    return one + two;
}

uint64_t tbb_skynet(uint64_t first, uint64_t size)
{
    if (size == 1)
        return first;
    uint64_t results[FORKS_SKYNET_CHILDREN], sum = 0;
    task_group group;
    for (uint64_t i = 0, part = size / FORKS_SKYNET_CHILDREN; i < FORKS_SKYNET_CHILDREN; i++)
        group.run([&results, i, first, part] { results[i] = tbb_skynet(first + i * part, part); });
    group.wait();
    for (uint64_t result : results)
        sum += result;
    return sum;
}

uint64_t tbb_queens(const forks_board &board)
{
    uint64_t results[FORKS_QUEENS], sum = forks_is_full(&board);
    int count = 0;
    task_group group;
    for (uint32_t left = forks_free(&board); left != 0; left &= left - 1, count++) {
        forks_board next = forks_place(&board, left & -left);
        group.run([&results, count, next] { results[count] = tbb_queens(next); });
    }
    group.wait();
    while (count-- > 0)
        sum += results[count];
    return sum;
}

uint64_t tbb_run_fib(void *) { return tbb_fib(FORKS_FIB); }
uint64_t tbb_run_skynet(void *) { return tbb_skynet(0, FORKS_SKYNET_LEAVES); }
uint64_t tbb_run_queens(void *) { return tbb_queens(forks_board{0, 0, 0}); }

void tbb_measure_fib(int, char **) { forks_measure("fib", FORKS_FIB_COUNT, FORKS_FIB_RESULT, tbb_run_fib, nullptr); }
void tbb_measure_skynet(int, char **) { forks_measure("skynet", 1e6, FORKS_SKYNET_RESULT, tbb_run_skynet, nullptr); }
void tbb_measure_queens(int, char **) { forks_measure("queens", 1e6, FORKS_QUEENS_RESULT, tbb_run_queens, nullptr); }

} // namespace

int main(int argc, char **argv)
{
    static const bench_command commands[] = {
        {"fib", tbb_measure_fib}, {"skynet", tbb_measure_skynet}, {"queens", tbb_measure_queens}, {nullptr, nullptr}};
    oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism, BENCH_WORKERS);
    return bench_main(commands, argc, argv);
}
