/* SPDX-License-Identifier: MIT */
/*
 * A process worker that gets no processor for a while: its tasks are taken back, and lie in its ring until it passes
 * them. Where they leave no room for the next one nobody answers who would have it looked at again.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "scenario.h"

#define TASKS 8
#define ROUNDS 20
#define IN_VAIN 9000       /* more than a ring of the least size has room for */
#define DESCRIPTORS_MAX 64 /* of one message */

static const uint32_t sizes[] = {20000, 30000, 12000};

static brg_task *submit_large(brg_pool *pool, uint32_t size)
{
    static char text[30001];
    memset(text, 'x', size);
    text[size] = '\0';
    return scenario_submit(pool, "noop", scenario_string("text", text), NULL);
}

static void run_some(brg_pool *pool, uint32_t count, uint32_t size)
{
    for (uint32_t i = 0; i < count; i++) {
        brg_task *task = submit_large(pool, size);
        assert_int_equal(scenario_result(task)->status, BRG_OK);
        brg_task_unref(task);
    }
}

static pid_t process_of(const brg_pool *pool, size_t index)
{
    brg_metrics *metrics = scenario_metrics(pool);
    assert_non_null(brg_metrics_worker(metrics, index));
    pid_t process = (pid_t)brg_metrics_worker(metrics, index)->process_id;
    brg_metrics_free(metrics);
    assert_true(process > 0);
    return process;
}

static int settled(brg_task *const *tasks)
{
    int count = 0;
    for (int i = 0; i < TASKS; i++)
        count += brg_task_result(tasks[i]) != NULL;
    return count;
}

/*
 * Stops it with so much of its ring behind it, until others did at least so many, and for long enough that the pool takes
 * back what it does not begin.
 */
static void stop_for_a_while(brg_pool *pool, pid_t process, uint32_t before, uint32_t size, int least)
{
    brg_task *tasks[TASKS];
    run_some(pool, 50, 10); /* short ones: several go to it at a time */
    run_some(pool, before, size);
    assert_int_equal(kill(process, SIGSTOP), 0);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = submit_large(pool, size);
    for (int i = 0; i < TASKS || settled(tasks) < least; i++) {
        brg_status status = brg_task_wait(tasks[i % TASKS], BRG_MILLISECONDS(2));
        assert_true(status == BRG_TIMED_OUT || status == BRG_OK);
    }
    assert_int_equal(kill(process, SIGCONT), 0);
    for (int i = 0; i < TASKS; i++) {
        assert_int_equal(scenario_result(tasks[i])->status, BRG_OK);
        brg_task_unref(tasks[i]);
    }
}

static void stopped_and_continued(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 1));
    run_some(pool, 1, 10);
    pid_t process = process_of(pool, 0);
    for (uint32_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            stop_for_a_while(pool, process, round % 7, sizes[i], 0);
    brg_pool_destroy(pool);
}

/* What its ring has no room for goes to another, also while it stands still; only one may be its own. */
static void another_goes_on(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.workers_max = 2, .workers_min = 2));
    while (scenario_stats(pool).workers_online < 2)
        run_some(pool, 1, 10);
    pid_t process = process_of(pool, 0);
    for (uint32_t round = 0; round < ROUNDS; round++)
        stop_for_a_while(pool, process, round % 7, sizes[round % 3], TASKS - 1);
    brg_pool_destroy(pool);
}

static brg_value *one_descriptor_too_many(void)
{
    brg_builder *builder = NULL;
    brg_value *input = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_list(builder);
    for (int i = 0; i <= DESCRIPTORS_MAX; i++) {
        int fd = dup(STDERR_FILENO);
        assert_true(fd >= 0);
        brg_builder_fd(builder, &fd);
    }
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &input, NULL), BRG_OK);
    brg_builder_destroy(builder);
    return input;
}

/* A task that could not be sent leaves something in the ring of a worker that sleeps: it passes that, too. */
static void sent_in_vain(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.workers_max = 1, .message_bytes_max = 4096));
    brg_value *input = one_descriptor_too_many();
    run_some(pool, 1, 10);
    for (int i = 0; i < IN_VAIN; i++)
        scenario_expect(pool, "noop", brg_value_ref(input), BRG_TOO_LARGE);
    brg_value_unref(input);
    run_some(pool, 1, 10);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_PROCESS(stopped_and_continued), SCENARIO_PROCESS(another_goes_on),
                                       SCENARIO_PROCESS(sent_in_vain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
