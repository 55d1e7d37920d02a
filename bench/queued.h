/* SPDX-License-Identifier: MIT */
/*
 * What a long queue costs: the workers are held at a gate while tasks pile up behind them, then all of it is drained.
 */
#ifndef BENCH_QUEUED_H
#define BENCH_QUEUED_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs in each worker, held there until all workers are in it and the queue is full. */
void bench_gate_pass(void);

typedef struct bench_queued {
    void *state;
    void (*hold)(void *state);                 /* pushes one task that calls bench_gate_pass */
    void (*push)(void *state, uint64_t index); /* pushes one that does nothing */
    void (*wait)(void *state);                 /* returns when all have run */
    uint64_t (*finished)(void *state);         /* how many have run, about */
} bench_queued;

#define BENCH_QUEUED_WHOLE_MAX ((size_t)1000000)

/* The most tasks that bench_queued_measure(count) has in the queue at a time: room for them, made beforehand. */
size_t bench_queued_room(size_t count);

/* Touches what so many tasks of that size take and leaves it to malloc, if bench_queued_measure does not warm up. */
void bench_queued_warm(size_t count, size_t task_bytes);

/*
 * For a queue of `count` tasks prints, in ns, `submit`: what each further one costs to push; `drain`: what each costs
 * from the opening of the gate on, by BENCH_WORKERS workers. After a round to warm up. Above
 * BENCH_QUEUED_WHOLE_MAX there is one round, on memory of bench_queued_warm, in which only the first of the tasks are
 * drained, and the program ends here.
 */
void bench_queued_measure(size_t count, const bench_queued *subject);

#ifdef __cplusplus
}
#endif

#endif
