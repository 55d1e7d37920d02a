/* SPDX-License-Identifier: MIT */
/*
 * Work that takes time: loops of a calibrated number of turns, which cost the same however often their thread is
 * interrupted, and the three imbalanced loads of 1000 of them.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_LOAD_TASKS ((size_t)1000)

/* So many turns of the loop. */
void bench_load_turn(uint64_t turns);

/* How many turns take `ns` nanoseconds here; takes a few milliseconds to find out. */
uint64_t bench_load_turns(uint64_t ns);

/*
 * argv[0] is the load: `uniform` 100 us each; `mixed` 90 % 10 us and 10 % 1 ms, shuffled; `heavy-first` the same with
 * the heavy ones at every other place from the start. Calls `run` again and again, which must run each task once,
 * bench_load_turn(turns[i]), and return when all have run; prints as `makespan` the median of how much longer it took
 * than the ideal, which is the time that the same turns take, dealt out evenly to BENCH_WORKERS plain threads, right
 * before it.
 */
void bench_load_measure(int argc, char **argv, void (*run)(void *state, const uint64_t *turns), void *state);

/*
 * How many tasks of `turns` each finish in a second: `run` must run `count` of them, bench_load_turn(turns), and return
 * when all have run. Prints `rate`.
 */
void bench_scale_measure(uint64_t turns, void (*run)(void *state, size_t count, uint64_t turns), void *state);

#ifdef __cplusplus
}
#endif

#endif
