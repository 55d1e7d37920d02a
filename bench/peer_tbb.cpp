/* SPDX-License-Identifier: MIT */
/* oneTBB: tasks put into an arena of workers, as a pool in front of which the submitter stands. */
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>

#include "harness.h"
#include "load.h"

namespace {

struct tbb_pool {
    explicit tbb_pool(int workers = BENCH_WORKERS)
        : limit(oneapi::tbb::global_control::max_allowed_parallelism, size_t(workers) + 1), arena(workers, 0)
    {
    }

    /* Runs work(i) for each i below `count` as a task of its own. */
    template <typename Work> void run(size_t count, const Work &work)
    {
        left.store(count);
        for (size_t i = 0; i < count; i++)
            arena.enqueue([this, &work, i] {
                work(i);
                if (left.fetch_sub(1, std::memory_order_acq_rel) == 1)
                    left.notify_one();
            });
        for (size_t now = left.load(); now != 0; now = left.load(std::memory_order_acquire))
            left.wait(now);
    }

    oneapi::tbb::global_control limit;
    oneapi::tbb::task_arena arena;
    std::atomic<size_t> left{0};
};

void tbb_batch(tbb_pool &pool, size_t count)
{
    pool.run(count, [](size_t) {});
}

void tbb_empty(int, char **)
{
    tbb_pool pool;
    tbb_batch(pool, BENCH_EMPTY_TASKS / 10);
    uint64_t before_ns = bench_now_ns();
    tbb_batch(pool, BENCH_EMPTY_TASKS);
    bench_print("empty", double(bench_now_ns() - before_ns) / double(BENCH_EMPTY_TASKS));
}

void tbb_round(void *state) { tbb_batch(*static_cast<tbb_pool *>(state), 1); }

void tbb_hot(int, char **)
{
    tbb_pool pool;
    bench_round_trips("hot", tbb_round, &pool);
}

void tbb_run_load(void *state, const uint64_t *turns)
{
    static_cast<tbb_pool *>(state)->run(BENCH_LOAD_TASKS, [turns](size_t i) { bench_load_turn(turns[i]); });
}

void tbb_load(int argc, char **argv)
{
    tbb_pool pool;
    bench_load_measure(argc, argv, tbb_run_load, &pool);
}

void tbb_run_scale(void *state, size_t count, uint64_t turns)
{
    tbb_pool *pool = static_cast<tbb_pool *>(state);
    if (turns > 0)
        pool->run(count, [turns](size_t) { bench_load_turn(turns); });
    else
        tbb_batch(*pool, count);
}

void tbb_scale(int argc, char **argv)
{
    tbb_pool pool(std::atoi(bench_argument(argc, argv, 0, "workers")));
    uint64_t turns = bench_load_turns(std::strtoull(bench_argument(argc, argv, 1, "nanoseconds"), nullptr, 10));
    bench_scale_measure(turns, tbb_run_scale, &pool);
}

} // namespace

int main(int argc, char **argv)
{
    static const bench_command commands[] = {
        {"empty", tbb_empty}, {"hot", tbb_hot}, {"load", tbb_load}, {"scale", tbb_scale}, {nullptr, nullptr}};
    return bench_main(commands, argc, argv);
}
