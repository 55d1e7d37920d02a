/* SPDX-License-Identifier: MIT */
#include "flows.h"

flows_cheap flows_cheap_make(void)
{
    flows_cheap cheap = {(float *)bench_alloc(FLOWS_CHEAP * sizeof(float)),
                         (float *)bench_alloc(FLOWS_CHEAP * sizeof(float))};
    for (size_t i = 0; i < FLOWS_CHEAP; i++)
        cheap.in[i] = (float)(i % 1000);
    return cheap;
}

void flows_cheap_run(const flows_cheap *cheap, size_t first, size_t end)
{
    const float *in = cheap->in;
    float *out = cheap->out;
    for (size_t i = first; i < end; i++)
        out[i] = in[i] * in[i];
}

void flows_measure_cheap(void (*run)(void *state), void *state) { bench_round_trips("cheap", run, state); }
