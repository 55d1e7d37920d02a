/* SPDX-License-Identifier: MIT */
/* oneTBB's parallel_pipeline, on this thread and another one: a source in order, empty stages, a sink in order. */
#include <cstdlib>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_pipeline.h>

#include "harness.h"

namespace {

constexpr uint64_t pipeline_items = 10000000;
constexpr size_t pipeline_tokens = 1024; /* as many as ours has in flight */

using oneapi::tbb::filter;
using oneapi::tbb::filter_mode;
using oneapi::tbb::flow_control;
using oneapi::tbb::make_filter;

void pipeline_pass(int stages, uint64_t count)
{
    uint64_t next = 0, came = 0;
    filter<void, uint64_t> chain = make_filter<void, uint64_t>(filter_mode::serial_in_order,
                                                               [&](flow_control &control) {
                                                                   if (next == count)
                                                                       control.stop();
                                                                   return next++;
                                                               });
    for (int i = 0; i < stages; i++)
        chain = chain & make_filter<uint64_t, uint64_t>(filter_mode::parallel, [](uint64_t item) { return item; });
    oneapi::tbb::parallel_pipeline(
        pipeline_tokens, chain & make_filter<uint64_t, void>(filter_mode::serial_in_order, [&](uint64_t item) {
                             if (item != came++)
                                 bench_fail("an item is out of its place");
                         }));
    if (came != count)
        bench_fail("items are missing");
}

void pipeline_measure(int argc, char **argv)
{
    int stages = atoi(bench_argument(argc, argv, 0, "stages"));
    oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism, BENCH_WORKERS);
    pipeline_pass(stages, pipeline_items / 100);
    uint64_t before_ns = bench_now_ns();
    pipeline_pass(stages, pipeline_items);
    bench_print("item", double(bench_now_ns() - before_ns) / double(pipeline_items));
}

} /* namespace */

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"ordered", pipeline_measure}, {nullptr, nullptr}};
    return bench_main(commands, argc, argv);
}
