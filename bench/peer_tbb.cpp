/* SPDX-License-Identifier: MIT */
/* oneTBB: tasks put into an arena of two workers, as a pool in front of which the submitter stands. */
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <atomic>
#include <cstddef>

#include "harness.h"

namespace {

struct tbb_pool {
    oneapi::tbb::global_control limit{oneapi::tbb::global_control::max_allowed_parallelism, BENCH_WORKERS + 1};
    oneapi::tbb::task_arena arena{BENCH_WORKERS, 0};
    std::atomic<size_t> left{0};
};

void tbb_batch(tbb_pool &pool, size_t count)
{
    pool.left.store(count);
    for (size_t i = 0; i < count; i++)
        pool.arena.enqueue([&pool] {
            if (pool.left.fetch_sub(1, std::memory_order_acq_rel) == 1)
                pool.left.notify_one();
        });
    for (size_t left = pool.left.load(); left != 0; left = pool.left.load(std::memory_order_acquire))
        pool.left.wait(left);
}

void tbb_empty(int, char **)
{
    tbb_pool pool;
    tbb_batch(pool, BENCH_EMPTY_TASKS / 10);
    uint64_t before_ns = bench_now_ns();
    tbb_batch(pool, BENCH_EMPTY_TASKS);
    bench_print("empty", double(bench_now_ns() - before_ns) / double(BENCH_EMPTY_TASKS));
}

} // namespace

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"empty", tbb_empty}, {nullptr, nullptr}};
    return bench_main(commands, argc, argv);
}
