/* SPDX-License-Identifier: MIT */
/* oneTBB's parallel_for, on this thread and another one. */
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>

#include "flows.h"
#include "load.h"

namespace {

using range = oneapi::tbb::blocked_range<size_t>;

void tbb_cheap(void *state)
{
    const flows_cheap *cheap = static_cast<const flows_cheap *>(state);
    oneapi::tbb::parallel_for(range(0, FLOWS_CHEAP),
                              [cheap](const range &part) { flows_cheap_run(cheap, part.begin(), part.end()); });
}

void tbb_load(void *, const uint64_t *turns)
{
    oneapi::tbb::parallel_for(range(0, BENCH_LOAD_TASKS), [turns](const range &part) {
        for (size_t i = part.begin(); i < part.end(); i++)
            bench_load_turn(turns[i]);
    });
}

void tbb_nothing(void *)
{
    oneapi::tbb::parallel_for(range(0, BENCH_WORKERS), [](const range &) {});
}

void tbb_measure_cheap(int, char **)
{
    flows_cheap cheap = flows_cheap_make();
    flows_measure_cheap(tbb_cheap, &cheap);
}

void tbb_measure_load(int argc, char **argv) { bench_load_measure(argc, argv, tbb_load, nullptr); }
void tbb_measure_start(int, char **) { bench_round_trips("start", tbb_nothing, nullptr); }

} // namespace

int main(int argc, char **argv)
{
    static const bench_command commands[] = {
        {"cheap", tbb_measure_cheap}, {"load", tbb_measure_load}, {"start", tbb_measure_start}, {nullptr, nullptr}};
    oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism, BENCH_WORKERS);
    return bench_main(commands, argc, argv);
}
