/* SPDX-License-Identifier: MIT */
/* Workers that were quick so far, and are not this time: what waits is not theirs alone. */
#include <semaphore.h>

#include "scenario.h"

#define WORKERS 3
#define QUICK 2000

/* Tasks that end only when all of them have begun. */
typedef struct meeting {
    brg_pool *pool;
    sem_t here, all;
} meeting;

static brg_status nothing(brg_context *context, void *argument)
{
    (void)context, (void)argument;
    return BRG_OK;
}

static void call_quick(brg_pool *pool, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(brg_pool_call(pool, nothing, NULL, NULL, NULL), BRG_OK);
}

/* So many that the averages say that tasks are short, whatever went before. */
static void be_quick(brg_pool *pool)
{
    call_quick(pool, QUICK);
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
}

static brg_status meet(brg_context *context, void *argument)
{
    meeting *self = argument;
    (void)context;
    sem_post(&self->here);
    while (sem_wait(&self->all) != 0)
        ;
    return BRG_OK;
}

/* The others are its own, and it does not wait for them in a way that the pool could see. */
static brg_status call_the_others(brg_context *context, void *argument)
{
    meeting *self = argument;
    for (int i = 1; i < WORKERS; i++)
        if (brg_pool_call(self->pool, meet, self, NULL, NULL) != BRG_OK)
            return BRG_FAILED;
    return meet(context, argument);
}

static void wait_for_all(meeting *self)
{
    for (int i = 0; i < WORKERS; i++)
        while (sem_wait(&self->here) != 0)
            ;
    for (int i = 0; i < WORKERS; i++)
        sem_post(&self->all);
    assert_int_equal(brg_pool_wait_idle(self->pool, SCENARIO_BOUND), BRG_OK);
}

static void meet_often(meeting *self, void (*begin)(meeting *self))
{
    const brg_queue_policy *queues[] = {brg_queue_fifo, brg_queue_lifo, brg_queue_priority};
    for (size_t q = 0; q < sizeof(queues) / sizeof(queues[0]); q++) {
        self->pool = scenario_function_pool(
            brg_pool_opts(.workers_max = WORKERS, .queue = queues[q], .queue_max = 2 * QUICK));
        assert_int_equal(sem_init(&self->here, 0, 0), 0);
        assert_int_equal(sem_init(&self->all, 0, 0), 0);
        for (int i = 0; i < 20; i++) {
            be_quick(self->pool);
            begin(self);
            wait_for_all(self);
        }
        brg_pool_destroy(self->pool);
        sem_destroy(&self->here);
        sem_destroy(&self->all);
    }
}

static void begin_from_outside(meeting *self)
{
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(brg_pool_call(self->pool, meet, self, NULL, NULL), BRG_OK);
}

static void begin_from_inside(meeting *self)
{
    assert_int_equal(brg_pool_call(self->pool, call_the_others, self, NULL, NULL), BRG_OK);
}

/* While a worker runs what looks like one more short task. */
static void begin_behind_a_short_one(meeting *self)
{
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(brg_pool_call(self->pool, nothing, NULL, NULL, NULL), BRG_OK);
        assert_int_equal(brg_pool_call(self->pool, meet, self, NULL, NULL), BRG_OK);
    }
}

static void long_ones_after_short_ones(void **state)
{
    (void)state;
    meeting self;
    meet_often(&self, begin_from_outside);
}

static void long_ones_among_short_ones(void **state)
{
    (void)state;
    meeting self;
    meet_often(&self, begin_behind_a_short_one);
}

static void a_long_one_that_submits_others(void **state)
{
    (void)state;
    meeting self;
    meet_often(&self, begin_from_inside);
}

/* Taken with a long one in one hand, while all that was left in the queue went to another, and a third sleeps: at any
 * moment of the look at who is not back. */
static void a_long_one_in_the_hand_of_another(void **state)
{
    (void)state;
    meeting self = {.pool = scenario_function_pool(brg_pool_opts(.workers_max = WORKERS, .queue_max = 2 * QUICK))};
    assert_int_equal(sem_init(&self.here, 0, 0), 0);
    assert_int_equal(sem_init(&self.all, 0, 0), 0);
    for (uint32_t i = 0; i < 1500; i++) {
        call_quick(self.pool, 100);
        assert_int_equal(brg_pool_wait_idle(self.pool, SCENARIO_BOUND), BRG_OK);
        call_quick(self.pool, 20 + i * 7919 % 200);
        assert_int_equal(brg_pool_call(self.pool, meet, &self, NULL, NULL), BRG_OK);
        assert_int_equal(brg_pool_call(self.pool, meet, &self, NULL, NULL), BRG_OK);
        assert_int_equal(brg_pool_call(self.pool, nothing, NULL, NULL, NULL), BRG_OK);
        assert_int_equal(brg_pool_call(self.pool, meet, &self, NULL, NULL), BRG_OK);
        wait_for_all(&self);
    }
    brg_pool_destroy(self.pool);
    sem_destroy(&self.here);
    sem_destroy(&self.all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_ones_after_short_ones),
        cmocka_unit_test(long_ones_among_short_ones),
        cmocka_unit_test(a_long_one_that_submits_others),
        cmocka_unit_test(a_long_one_in_the_hand_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
