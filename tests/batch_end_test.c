/* SPDX-License-Identifier: MIT */
/* Batches that end with their worker or their time, and the pool around them. */
#include "batching.h"
#include "crowd.h"
#include "watch.h"

/* ---- ends of workers --------------------------------------------------------------------------------------------- */

/* The one that ends its workers is found: its neighbours live. */
static void a_poison_member_is_found(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 4, .attempts_max = 10, .crash_limit = 2);
    brg_task *tasks[4];
    for (int i = 0; i < 4; i++)
        tasks[i] = submit(pool, i == 2 ? "crash" : "double", i);
    for (int i = 0; i < 4; i++)
        if (i != 2)
            expect_number(tasks[i], 2 * i, 1);
    const brg_result *result = scenario_result(tasks[2]);
    assert_int_equal(result->error->status, BRG_POISONED);
    assert_int_equal(result->attempts, 2); /* in its batch, and alone */
    expect(tasks[2], BRG_POISONED);
    assert_int_equal(scenario_stats(pool).workers_crashed, 2);
    brg_pool_destroy(pool);
}

static void a_crash_without_retry_ends_the_batch(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 3);
    brg_task *one = submit(pool, "silent", 1), *bad = submit(pool, "crash", 2), *other = submit(pool, "double", 3);
    assert_int_equal(scenario_result(one)->attempts, 1);
    expect(one, BRG_CRASHED);
    expect(bad, BRG_CRASHED);
    expect(other, BRG_CRASHED);
    brg_pool_destroy(pool);
}

static void a_member_with_a_port_does_not_run_twice(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 2, .attempts_max = 3);
    brg_port *ours = NULL, *theirs = NULL;
    brg_value *heard = NULL;
    assert_int_equal(brg_channel_create(&ours, &theirs, NULL, NULL), BRG_OK);
    brg_task *bad = submit(pool, "exit", 1), *port = scenario_submit(pool, "work", with_port(&theirs, 2), NULL);
    expect(port, BRG_EXITED);
    expect(bad, BRG_POISONED);
    assert_int_equal(brg_port_receive(ours, &heard, SCENARIO_BOUND), BRG_CLOSED);
    brg_port_destroy(ours);
    brg_pool_destroy(pool);
}

/* It listens when it is asked: the others have not had their time, and get it. */
static void a_run_timeout_is_its_owners(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 3, .grace_ns = LONG);
    brg_task *one = submit(pool, "silent", 1);
    brg_task *late = scenario_submit(pool, "work", order("spin", 2),
                                     brg_submit_opts(.run_timeout_ns = BRG_MILLISECONDS(5)));
    brg_task *two = submit(pool, "double", 3);
    expect(late, BRG_TIMED_OUT);
    assert_int_equal(scenario_result(one)->attempts, 1);
    expect(one, BRG_OK);
    expect_number(two, 6, 0);
    brg_pool_destroy(pool);
}

/* The others would get their time, but the pool was stopped meanwhile: it is that which ends them. */
static void a_run_timeout_of_another_in_a_stopped_pool(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 2, .grace_ns = LONG);
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *one = submit_meeting(pool, &gate, "silent", 1);
    brg_task *late = scenario_submit(pool, "work", order("spin", 2),
                                     brg_submit_opts(.run_timeout_ns = BRG_MILLISECONDS(1)));
    scenario_gate_reached(&gate);
    (void)brg_pool_stop(pool, 0);
    scenario_gate_release(&gate);
    expect(late, BRG_TIMED_OUT);
    expect(one, BRG_CANCELLED);
    scenario_gate_close(&gate);
    brg_pool_destroy(pool);
}

/* Until the member runs in a batch of its own; what the batch before had to say, if it came to it, is passed over. */
static void wait_until_alone(const crowd *here)
{
    struct pollfd poller = {.fd = here->reach, .events = POLLIN};
    char count;
    do {
        assert_int_equal(poll(&poller, 1, (int)(SCENARIO_BOUND / 1000000)), 1);
        assert_int_equal(read(here->reach, &count, 1), 1);
    } while (count != '1');
}

static bool nobody_is_lost(void *argument)
{
    (void)argument;
    return brg_workers_lost() == 0;
}

/* It does not listen: its worker is ended, perhaps before it came to the gate. A thread is abandoned, and goes on with
 * what it has. */
static void a_stuck_batch_times_out(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 2, .grace_ns = BRG_MILLISECONDS(1));
    crowd here;
    crowd_open(&here);
    brg_task *stuck = submit_meeting(pool, &here.gate, "double", 1);
    brg_task *other = scenario_submit(pool, "work", order("fail", 2),
                                      brg_submit_opts(.run_timeout_ns = BRG_MILLISECONDS(20)));
    expect(other, BRG_TIMED_OUT);
    wait_until_alone(&here); /* its own time is not over: it runs again */
    assert_int_equal(brg_task_cancel(stuck), BRG_OK);
    expect(stuck, BRG_CANCELLED);
    assert_int_equal(scenario_stats(pool).timed_out, 1);
    crowd_release(&here, 2);
    assert_true(watch_until(nobody_is_lost, NULL));
    crowd_close(&here);
    brg_task *next = submit(pool, "double", 5), *then = submit(pool, "double", 6);
    expect_number(next, 10, 2);
    expect_number(then, 12, 2);
    brg_pool_destroy(pool);
}

static void a_failed_member_is_tried_again(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 2, .attempts_max = 2,
                                .retry_on = BRG_RETRY_TRANSIENT | BRG_RETRY_FAILED);
    brg_task *good = submit(pool, "double", 1), *later = submit(pool, "later", 2);
    expect_number(good, 2, 2);
    assert_int_equal(scenario_result(later)->attempts, 2);
    expect_number(later, 4, 1);
    brg_task *whole = submit(pool, "whole", 1), *silent = submit(pool, "silent", 2); /* alone it succeeds */
    expect(whole, BRG_FAILED);
    assert_int_equal(scenario_result(silent)->attempts, 2);
    expect(silent, BRG_OK);
    assert_int_equal(scenario_stats(pool).retried, 3);
    brg_pool_destroy(pool);
}

/* ---- the pool around them ---------------------------------------------------------------------------------------- */

static void admission_counts_members(void **state)
{
    brg_pool *pool = batch_pool(state, .queue_max = 2);
    brg_task *one = submit(pool, "double", 1), *two = submit(pool, "double", 2), *none = NULL;
    brg_value *input = order("double", 3);
    assert_int_equal(scenario_stats(pool).queued, 2);
    assert_int_equal(brg_pool_submit(pool, "work", input, NULL, &none), BRG_FULL);
    assert_int_equal(brg_task_cancel(one), BRG_OK);
    assert_int_equal(brg_pool_submit(pool, "work", input, NULL, &none), BRG_OK);
    assert_int_equal(brg_pool_drain(pool, SCENARIO_BOUND), BRG_OK);
    expect(one, BRG_CANCELLED);
    expect_number(two, 4, 2);
    expect_number(none, 6, 2);
    brg_pool_destroy(pool);
}

static void the_oldest_member_is_dropped(void **state)
{
    brg_pool *pool = batch_pool(state, .queue_max = 2, .admission = BRG_ADMISSION_DROP_OLDEST);
    brg_task *tasks[4];
    for (int i = 0; i < 4; i++)
        tasks[i] = submit(pool, "double", i);
    expect(tasks[0], BRG_FULL);
    expect(tasks[1], BRG_FULL);
    assert_int_equal(scenario_stats(pool).dropped, 2);
    assert_int_equal(brg_pool_drain(pool, SCENARIO_BOUND), BRG_OK);
    expect_number(tasks[2], 4, 2);
    expect_number(tasks[3], 6, 2);
    brg_pool_destroy(pool);
}

static void drain_runs_what_fills(void **state)
{
    brg_pool *pool = batch_pool(state, .workers_max = 2);
    brg_task *one = submit(pool, "double", 1);
    brg_task *other = scenario_submit(pool, "work", order("double", 2), brg_submit_opts(.key = 7));
    assert_int_equal(brg_pool_drain(pool, SCENARIO_BOUND), BRG_OK);
    expect_number(one, 2, 1);
    expect_number(other, 4, 1);
    brg_pool_destroy(pool);
}

static void stop_cancels_what_fills(void **state)
{
    brg_pool *pool = batch_pool(state, .workers_max = 2);
    busy other;
    busy_begin(&other, pool);
    brg_task *one = submit(pool, "double", 1), *two = submit(pool, "double", 2);
    assert_int_equal(brg_pool_stop(pool, 0), BRG_TIMED_OUT);
    expect(one, BRG_CANCELLED);
    expect(two, BRG_CANCELLED);
    busy_end(&other);
    assert_int_equal(brg_pool_stop(pool, SCENARIO_BOUND), BRG_OK);
    brg_pool_destroy(pool);
}

static void destroy_settles_all(void **state)
{
    brg_pool *pool = batch_pool(state, .workers_max = 2, .grace_ns = BRG_MILLISECONDS(1));
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_task *running[4], *filling[3];
    running[0] = submit_meeting(pool, &gate, "spin", 0);
    for (int i = 1; i < 4; i++)
        running[i] = submit(pool, "silent", i);
    scenario_gate_reached(&gate);
    scenario_gate_release(&gate);
    for (int i = 0; i < 3; i++)
        filling[i] = submit(pool, "double", i);
    brg_pool_destroy(pool);
    for (int i = 0; i < 4; i++)
        expect(running[i], BRG_CANCELLED);
    for (int i = 0; i < 3; i++)
        expect(filling[i], BRG_CANCELLED);
    scenario_gate_close(&gate);
}

static void batch_size_is_tuned(void **state)
{
    brg_pool *pool = batch_pool(state, .batch_size = 8);
    brg_task *tasks[5];
    for (int i = 0; i < 3; i++)
        tasks[i] = submit(pool, "double", i);
    brg_pool_options smaller = {.size = sizeof(smaller), .batch_size = 2};
    assert_int_equal(brg_pool_tune(pool, &smaller, NULL), BRG_OK);
    tasks[3] = submit(pool, "double", 3);
    for (int i = 0; i < 3; i++)
        expect_number(tasks[i], 2 * i, 3);
    tasks[4] = submit(pool, "double", 4);
    expect_number(tasks[3], 6, 2);
    expect_number(tasks[4], 8, 2);
    brg_pool_destroy(pool);
}

/* Callbacks on the loop, each once. */
typedef struct tally {
    int settled, done;
    int64_t sum;
} tally;

static void on_done(const brg_result *result, void *user_data)
{
    tally *counts = user_data;
    counts->settled++;
    counts->done += result->status == BRG_OK;
    counts->sum += result->output == NULL ? 0 : answer(result, "n");
}

static void run_under(void **state, const brg_queue_policy *queue, const brg_placement_policy *placement)
{
    enum { tasks = 400 };
    brg_loop *loop = NULL;
    tally counts = {0};
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = batch_pool(state, .loop = loop, .queue = queue, .placement = placement, .workers_max = 3,
                                .batch_delay_ns = BRG_MILLISECONDS(1), .batch_size = 7);
    for (int i = 0; i < tasks; i++)
        assert_int_equal(
            brg_pool_submit(pool, "work", order(i % 10 == 0 ? "fail" : "double", i),
                            brg_submit_opts(.done = on_done, .user_data = &counts, .key = (uint64_t)i % 3,
                                            .priority = (brg_priority)(i % 4), .deadline_ns = i % 5 == 0 ? LONG : 0),
                            NULL),
            BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(counts.settled, tasks);
    assert_int_equal(counts.done, tasks - tasks / 10);
    int64_t sum = 0;
    for (int i = 0; i < tasks; i++)
        sum += i % 10 == 0 ? 0 : 2 * i;
    assert_int_equal(counts.sum, sum);
    assert_int_equal(scenario_stats(pool).queued, 0);
    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
}

static void all_policies_take_batches(void **state)
{
    const brg_queue_policy *const queues[] = {brg_queue_fifo,     brg_queue_lifo,     brg_queue_priority,
                                              brg_queue_weighted, brg_queue_deadline, brg_queue_fair};
    const brg_placement_policy *const placements[] = {
        brg_placement_pull,        brg_placement_round_robin, brg_placement_least_busy, brg_placement_random,
        brg_placement_two_choices, brg_placement_sticky,      brg_placement_stealing};
    for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
        run_under(state, queues[i], brg_placement_pull);
    for (size_t i = 0; i < sizeof(placements) / sizeof(placements[0]); i++)
        run_under(state, brg_queue_fair, placements[i]);
}

/* Cancels at any moment: each settles once, as done or cancelled. */
static void cancels_race_with_batches(void **state)
{
    enum { rounds = 60, tasks = 24 };
    brg_pool *pool = batch_pool(state, .workers_max = 2, .batch_size = 5, .batch_delay_ns = BRG_MICROSECONDS(50));
    uint64_t seed = 88172645463325252u, cancelled = 0;
    for (int round = 0; round < rounds; round++) {
        brg_task *handles[tasks];
        for (int i = 0; i < tasks; i++) {
            handles[i] = submit(pool, "double", i);
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            if (seed % 3 == 0)
                (void)brg_task_cancel(handles[seed % (uint64_t)(i + 1)]);
        }
        for (int i = 0; i < tasks; i++) {
            const brg_result *result = scenario_result(handles[i]);
            cancelled += result->status == BRG_CANCELLED;
            if (result->status != BRG_CANCELLED)
                expect_number(handles[i], 2 * i, 0);
            else
                brg_task_unref(handles[i]);
        }
    }
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    assert_int_equal(scenario_stats(pool).cancelled, cancelled);
    assert_int_equal(scenario_stats(pool).done, rounds * tasks - cancelled);
    brg_pool_destroy(pool);
}

/* ---- tasks that wait for tasks ----------------------------------------------------------------------------------- */

typedef struct asker {
    brg_pool *pool;
    int64_t sum;
} asker;

/* Submits some and waits for them, the only worker: those that wait for company go now. */
static brg_status ask_and_wait(brg_context *context, void *argument)
{
    asker *self = argument;
    brg_task *tasks[3];
    (void)context;
    for (int i = 0; i < 3; i++)
        if (brg_pool_submit(self->pool, "work", order("double", i), NULL, &tasks[i]) != BRG_OK)
            return BRG_FAILED;
    for (int i = 0; i < 3; i++) {
        if (brg_task_wait(tasks[i], SCENARIO_BOUND) != BRG_OK)
            return BRG_FAILED;
        self->sum += answer(brg_task_result(tasks[i]), "n");
        brg_task_unref(tasks[i]);
    }
    return BRG_OK;
}

static void a_worker_runs_the_batch_it_waits_for(void **state)
{
    asker self = {.pool = batch_pool(state, .batch_size = 8)};
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(self.pool, ask_and_wait, &self, NULL, &task), BRG_OK);
    expect(task, BRG_OK);
    assert_int_equal(self.sum, 6);
    assert_int_equal(scenario_stats(self.pool).batches, 1);
    brg_pool_destroy(self.pool);
}

static brg_task *own_member;

static brg_status wait_for_own(brg_context *context, brg_batch *batch)
{
    (void)context;
    (void)batch;
    return brg_task_wait(own_member, SCENARIO_BOUND);
}

static const brg_module_batch_task own_tasks[] = {{"own", wait_for_own}, {NULL, NULL}};
static const brg_module own_module = {
    .size = sizeof(own_module), .abi = BRG_MODULE_ABI, .name = "own", .batch_tasks = own_tasks};

static void a_batch_cannot_wait_for_itself(void **state)
{
    (void)state;
    brg_pool *pool = NULL;
    assert_int_equal(brg_pool_create(&pool,
                                     brg_pool_opts(.linked_module = &own_module, .workers_max = 1, .batch_size = 2,
                                                   .batch_delay_ns = LONG, .grace_ns = LONG),
                                     NULL),
                     BRG_OK);
    own_member = scenario_submit(pool, "own", NULL, NULL);
    brg_task *other = scenario_submit(pool, "own", NULL, NULL);
    expect(other, BRG_DEADLOCK);
    expect(own_member, BRG_DEADLOCK);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_PROCESS(a_poison_member_is_found),
        SCENARIO_PROCESS(a_crash_without_retry_ends_the_batch),
        SCENARIO_PROCESS(a_member_with_a_port_does_not_run_twice),
        SCENARIO_BOTH(a_run_timeout_is_its_owners),
        SCENARIO_BOTH(a_run_timeout_of_another_in_a_stopped_pool),
        SCENARIO_BOTH(a_stuck_batch_times_out),
        SCENARIO_BOTH(a_failed_member_is_tried_again),
        SCENARIO_BOTH(admission_counts_members),
        SCENARIO_BOTH(the_oldest_member_is_dropped),
        SCENARIO_BOTH(drain_runs_what_fills),
        SCENARIO_BOTH(stop_cancels_what_fills),
        SCENARIO_BOTH(destroy_settles_all),
        SCENARIO_BOTH(batch_size_is_tuned),
        SCENARIO_BOTH(all_policies_take_batches),
        SCENARIO_BOTH(cancels_race_with_batches),
        SCENARIO_THREAD(a_worker_runs_the_batch_it_waits_for),
        SCENARIO_THREAD(a_batch_cannot_wait_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
