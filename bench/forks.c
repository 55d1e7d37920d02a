/* SPDX-License-Identifier: MIT */
#include "forks.h"

void forks_measure(const char *key, double divisor, uint64_t expected, uint64_t (*run)(void *state), void *state)
{
    bench_samples samples = {NULL, 0, 0};
    for (int warm = 1; warm >= 0; warm--) {
        bench_samples_open(&samples, warm ? BENCH_WINDOW_NS / 4 : BENCH_WINDOW_NS);
        for (uint64_t before_ns = bench_now_ns(); bench_samples_wanted(&samples, before_ns);) {
            if (run(state) != expected)
                bench_fail("%s: the result is wrong", key);
            uint64_t after_ns = bench_now_ns();
            bench_samples_add(&samples, after_ns - before_ns);
            before_ns = after_ns;
        }
    }
    bench_print(key, bench_samples_close_us(&samples) * 1e3 / divisor);
}
