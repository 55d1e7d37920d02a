/* SPDX-License-Identifier: MIT */
/*
 * Fork and join inside a task: recursive work over the thread workers of a pool, at the cost of a function call and a
 * few memory accesses per fork. What is forked may run on any idle worker of the pool; what nobody took runs in the
 * join. Workers that wait in a join help with other forks, so it cannot deadlock, however few there are.
 *
 *     static void sum(brg_context *context, void *argument)
 *     {
 *         range *all = argument, left, right;
 *         if (split(all, &left, &right)) {
 *             brg_fork fork;
 *             brg_fork_start(context, &fork, sum, &left);
 *             sum(context, &right);
 *             brg_fork_join(context, &fork);
 *             all->total = left.total + right.total;
 *         } ...
 *
 * The same code runs everywhere: in a process worker, in a worker outside a pool and where `context` is NULL, each fork
 * simply runs inside brg_fork_start.
 *
 * After: Blumofe, Leiserson, Scheduling multithreaded computations by work stealing (1999); the deque is that of Chase,
 * Lev, Dynamic circular work-stealing deque (2005), with the orders of Lê, Pop, Cohen, Zappa Nardelli (2013).
 */
#ifndef BRIGADE_FORK_H
#define BRIGADE_FORK_H

#include <brigade/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * `context` is that of the worker it runs on, not always that of who forked it: use this one. Its brg_context_cancelled
 * tells whether the task that forked was asked to end; brg_context_alloc's memory lives until the function returns.
 * What else belongs to a task it may lack: brg_context_cancel_fd, brg_context_attempt and brg_context_progress are
 * those of the worker it runs on. brg_context_fail does not make the task fail: say through `argument` that something
 * did.
 */
typedef void (*brg_fork_fn)(brg_context *context, void *argument);

/* Memory of the caller's, on its stack as a rule. Its fields are the library's. */
typedef struct brg_fork {
    brg_fork_fn run;
    void *argument;
    const uint64_t *xcancel;
    uint64_t ticket;
    uint32_t xstate;
} brg_fork;

/*
 * Lets fn(argument) run on this or another worker of the pool. `fork` must be joined by the same function that started
 * it, before it returns, best in reverse order. Worker's own thread.
 */
BRG_API void brg_fork_start(brg_context *context, brg_fork *fork, brg_fork_fn fn, void *argument);

/* Returns when it has run; what it wrote is seen. Worker's own thread. */
BRG_API void brg_fork_join(brg_context *context, brg_fork *fork);

/*
 * Runs body(context, first, end, argument) for pieces of [first, end), at most `grain` long (0: chosen by halving until
 * there are about eight pieces per worker), over the pool's workers, and returns when all have run. Worker's own
 * thread.
 */
typedef void (*brg_fork_range_fn)(brg_context *context, uint64_t first, uint64_t end, void *argument);
BRG_API void brg_fork_range(brg_context *context, uint64_t first, uint64_t end, uint64_t grain, brg_fork_range_fn body,
                            void *argument);

#ifdef __cplusplus
}
#endif

#endif
