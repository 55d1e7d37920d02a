/* SPDX-License-Identifier: MIT */
/* Pools and workers on each kind of loop, as a program uses them: one of brigade's, any other by its descriptor,
 * libuv's. */
#include "record.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <brigade/uv.h>

#define BOUND SCENARIO_BOUND
#define BOUND_MS ((int)(SCENARIO_BOUND / 1000000))
#define SUBMITTERS 4
#define SUBMITS 300

/* ---- four threads submit, the owner's callbacks run -------------------------------------------------------------- */

typedef struct loop_crowd {
    brg_pool *pool;
    brg_loop *loop;
    pthread_t threads[SUBMITTERS];
    pthread_t owner;
    int next[SUBMITTERS]; /* by the owner's callbacks */
    int done, wrong;
    atomic_int numbers, refused;
} loop_crowd;

typedef struct loop_ticket {
    loop_crowd *crowd;
    int thread, number;
} loop_ticket;

static void ticket_done(const brg_result *result, void *user_data)
{
    loop_ticket *ticket = user_data;
    loop_crowd *crowd = ticket->crowd;
    crowd->done++;
    crowd->wrong += result->status != BRG_OK || pthread_self() != crowd->owner;
    crowd->wrong += crowd->next[ticket->thread]++ != ticket->number;
    free(ticket);
}

static void *crowd_submit(void *argument)
{
    loop_crowd *crowd = argument;
    int thread = atomic_fetch_add(&crowd->numbers, 1);
    for (int i = 0; i < SUBMITS; i++) {
        loop_ticket *ticket = malloc(sizeof(*ticket));
        if (ticket != NULL)
            *ticket = (loop_ticket){crowd, thread, i};
        if (ticket == NULL ||
            brg_pool_submit(crowd->pool, "noop", NULL, brg_submit_opts(.done = ticket_done, .user_data = ticket),
                            NULL) != BRG_OK) {
            atomic_fetch_add(&crowd->refused, 1);
            free(ticket);
        }
    }
    return NULL;
}

/* One worker: tasks end in the order they were queued in, so each thread's callbacks come in its order. */
static void crowd_start(loop_crowd *crowd, brg_isolation isolation, brg_loop *loop)
{
    memset(crowd, 0, sizeof(*crowd));
    crowd->loop = loop;
    crowd->owner = pthread_self();
    crowd->pool = scenario_pool(isolation, brg_pool_opts(.loop = loop, .workers_max = 1));
    assert_int_equal(brg_loop_destroy(loop), BRG_STATE); /* it is in use */
    for (int i = 0; i < SUBMITTERS; i++)
        assert_int_equal(pthread_create(&crowd->threads[i], NULL, crowd_submit, crowd), 0);
}

static void crowd_end(loop_crowd *crowd)
{
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(crowd->threads[i], NULL);
    assert_int_equal(brg_pool_drain(crowd->pool, BOUND), BRG_OK);
    assert_int_equal(crowd->refused, 0);
    assert_int_equal(crowd->done, SUBMITTERS * SUBMITS);
    assert_int_equal(crowd->wrong, 0);
    assert_int_equal(brg_loop_pending(crowd->loop), 0);
    brg_pool_destroy(crowd->pool);
}

static void own_loop_runs_callbacks(void **state)
{
    brg_loop *loop = NULL;
    loop_crowd crowd;
    assert_int_equal(brg_loop_create(&loop, brg_loop_opts(.spin_ns = BRG_MICROSECONDS(20)), NULL), BRG_OK);
    crowd_start(&crowd, scenario_isolation(state), loop);
    while (crowd.done < SUBMITTERS * SUBMITS)
        assert_int_equal(brg_loop_run(loop), BRG_OK); /* returns whenever nothing is out at the moment */
    crowd_end(&crowd);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void any_loop_watches_the_descriptor(void **state)
{
    brg_loop *loop = NULL;
    loop_crowd crowd;
    assert_int_equal(brg_loop_create(&loop, brg_loop_opts(.external = true, .batch_max = 8), NULL), BRG_OK);
    crowd_start(&crowd, scenario_isolation(state), loop);
    while (crowd.done < SUBMITTERS * SUBMITS) {
        struct pollfd poller = {.fd = brg_loop_fd(loop), .events = POLLIN};
        assert_int_equal(poll(&poller, 1, BOUND_MS), 1);
        assert_true(brg_loop_dispatch(loop) <= 8);
    }
    crowd_end(&crowd);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* ---- libuv ------------------------------------------------------------------------------------------------------- */

typedef struct ticking {
    scenario_gate gate;
    uv_timer_t timer;
    int ticks, done;
} ticking;

static void ticking_tick(uv_timer_t *timer)
{
    ticking *self = timer->data;
    if (++self->ticks != 3)
        return;
    assert_int_equal(self->done, 0);
    scenario_gate_release(&self->gate); /* the task could not end before: the loop never waited for it */
    uv_close((uv_handle_t *)timer, NULL);
}

static void ticking_done(const brg_result *result, void *user_data)
{
    ticking *self = user_data;
    assert_int_equal(result->status, BRG_OK);
    self->done++;
}

static void uv_loop_goes_on_and_ends(void **state)
{
    uv_loop_t uv;
    brg_loop *loop = NULL;
    ticking self = {.ticks = 0};
    scenario_gate_open(&self.gate);
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(brg_loop_create_uv(&loop, &uv, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = loop));
    assert_int_equal(brg_pool_submit(pool, "noop", scenario_gate_input(&self.gate, true),
                                     brg_submit_opts(.done = ticking_done, .user_data = &self), NULL),
                     BRG_OK);
    scenario_gate_reached(&self.gate);
    uv_timer_init(&uv, &self.timer);
    self.timer.data = &self;
    uv_timer_start(&self.timer, ticking_tick, 1, 1);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0); /* ends: nothing is out, though the pool lives */
    assert_int_equal(self.ticks, 3);
    assert_int_equal(self.done, 1);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&uv), 0);
    scenario_gate_close(&self.gate);
}

static void uv_loop_waits_for_a_worker(void **state)
{
    uv_loop_t uv;
    recorder record = {.act = record_terminate_online};
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(brg_loop_create_uv(&record.loop, &uv, NULL, NULL), BRG_OK);
    record_start(&record, scenario_isolation(state),
                 brg_worker_opts(.start_timeout_ns = BRG_SECONDS(600), .grace_ns = BRG_SECONDS(600)));
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_string_equal(record.events, "ox");
    record_end(&record);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&uv), 0);
}

/* ---- stop, and loops inside callbacks ---------------------------------------------------------------------------- */

typedef struct stopping {
    brg_loop *loop;
    brg_pool *pool;
    scenario_gate gate;
    int done;
    atomic_bool runs;
} stopping;

static void *stop_from_outside(void *argument)
{
    stopping *self = argument;
    while (!atomic_load(&self->runs))
        sched_yield();
    brg_loop_stop(self->loop);
    return NULL;
}

static void note_it_runs(const brg_result *result, void *user_data)
{
    (void)result;
    stopping *self = user_data;
    self->done++;
    atomic_store(&self->runs, true);
}

static void stop_leaves_what_is_out(void **state)
{
    stopping self = {.done = 0};
    pthread_t thread;
    scenario_gate_open(&self.gate);
    assert_int_equal(brg_loop_create(&self.loop, NULL, NULL), BRG_OK);
    self.pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = self.loop, .workers_max = 2));
    const brg_submit_options options = *brg_submit_opts(.done = note_it_runs, .user_data = &self);
    assert_int_equal(brg_pool_submit(self.pool, "noop", scenario_gate_input(&self.gate, true), &options, NULL), BRG_OK);
    scenario_gate_reached(&self.gate);
    assert_int_equal(brg_pool_submit(self.pool, "noop", NULL, &options, NULL), BRG_OK);
    assert_int_equal(pthread_create(&thread, NULL, stop_from_outside, &self), 0);
    assert_int_equal(brg_loop_run(self.loop), BRG_OK); /* one task is held: only stop ends this */
    pthread_join(thread, NULL);
    assert_int_equal(self.done, 1);
    assert_int_equal(brg_loop_pending(self.loop), 1);
    scenario_gate_release(&self.gate);
    assert_int_equal(brg_loop_run(self.loop), BRG_OK);
    assert_int_equal(self.done, 2);
    brg_pool_destroy(self.pool);
    assert_int_equal(brg_loop_destroy(self.loop), BRG_OK);
    scenario_gate_close(&self.gate);
}

/* Submits the next, then waits for it right here: a loop inside a callback of the same loop. */
static void nested_done(const brg_result *result, void *user_data)
{
    stopping *self = user_data;
    assert_int_equal(result->status, BRG_OK);
    int before = ++self->done;
    if (before == 5)
        return;
    assert_int_equal(
        brg_pool_submit(self->pool, "noop", NULL, brg_submit_opts(.done = nested_done, .user_data = self), NULL),
        BRG_OK);
    struct pollfd poller = {.fd = brg_loop_fd(self->loop), .events = POLLIN};
    while (brg_loop_dispatch(self->loop) == 0 && self->done == before) /* first: it makes the descriptor tell again */
        assert_int_equal(poll(&poller, 1, BOUND_MS), 1);
    assert_int_equal(self->done, 5);
}

static void dispatch_inside_a_callback(void **state)
{
    stopping self = {.done = 0};
    assert_int_equal(brg_loop_create(&self.loop, NULL, NULL), BRG_OK);
    self.pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.loop = self.loop));
    assert_int_equal(
        brg_pool_submit(self.pool, "noop", NULL, brg_submit_opts(.done = nested_done, .user_data = &self), NULL),
        BRG_OK);
    assert_int_equal(brg_loop_run(self.loop), BRG_OK);
    assert_int_equal(self.done, 5);
    assert_int_equal(brg_loop_pending(self.loop), 0);
    brg_pool_destroy(self.pool);
    assert_int_equal(brg_loop_destroy(self.loop), BRG_OK);
}

/* ---- the libuv loop of one that brigade runs --------------------------------------------------------------------- */

static void tick(uv_timer_t *timer)
{
    if (++*(int *)timer->data == 3)
        uv_timer_stop(timer);
}

static void handles_of_ones_own_keep_it_running(void **state)
{
    (void)state;
    brg_loop *loop = NULL, *external = NULL;
    uv_timer_t timer, open;
    int ticks = 0;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_int_equal(brg_loop_create(&external, brg_loop_opts(.external = true), NULL), BRG_OK);
    assert_null(brg_loop_uv(external));
    assert_null(brg_loop_uv(NULL));
    assert_int_equal(brg_loop_run(loop), BRG_OK); /* nothing keeps it */
    assert_int_equal(uv_timer_init(brg_loop_uv(loop), &timer), 0);
    timer.data = &ticks;
    uv_timer_start(&timer, tick, 1, 1);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(ticks, 3);
    uv_timer_init(brg_loop_uv(loop), &open); /* both are open still */
    open.data = &ticks;
    uv_timer_start(&open, tick, 1000000000, 0);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    assert_int_equal(ticks, 3);
    assert_true(uv_is_closing((uv_handle_t *)&open));
    assert_int_equal(brg_loop_destroy(external), BRG_OK);
}

static void stop_from_a_timer(uv_timer_t *timer) { brg_loop_stop(timer->data); }

static void stop_ends_a_run_with_handles(void **state)
{
    (void)state;
    brg_loop *loop = NULL;
    uv_timer_t soon, never;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    uv_timer_init(brg_loop_uv(loop), &soon);
    uv_timer_init(brg_loop_uv(loop), &never);
    soon.data = loop;
    for (int i = 0; i < 2; i++) {
        uv_timer_start(&soon, stop_from_a_timer, 1, 0);
        uv_timer_start(&never, stop_from_a_timer, 1000000000, 0);
        assert_int_equal(brg_loop_run(loop), BRG_OK);
    }
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(own_loop_runs_callbacks),
        SCENARIO_BOTH(any_loop_watches_the_descriptor),
        SCENARIO_BOTH(uv_loop_goes_on_and_ends),
        SCENARIO_BOTH(uv_loop_waits_for_a_worker),
        SCENARIO_BOTH(stop_leaves_what_is_out),
        SCENARIO_BOTH(dispatch_inside_a_callback),
        cmocka_unit_test(handles_of_ones_own_keep_it_running),
        cmocka_unit_test(stop_ends_a_run_with_handles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
