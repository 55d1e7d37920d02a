/* SPDX-License-Identifier: MIT */
/* Hooks: once for each task, wherever it settles, with no lock held, and never one inside the other. */
/* cmocka wants these before its own header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>

#include <brigade/pool.h>

#include "os/memory.h"
#include "pool/hooked.h"
#include "pool/pool.h"

#define CHAIN 20000
#define EACH 1000

typedef struct chain {
    brg__hooked hooked;
    brg_task *xtask;
    int left, depth, deepest;
    bool cancels;
    atomic_int hooks;
    atomic_uint done;
} chain;

static brg_status nothing(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    (void)context, (void)state;
    *output = input == NULL ? NULL : brg_value_ref(input);
    return BRG_OK;
}

static brg_pool *pool_of(uint32_t workers)
{
    brg_pool *pool = NULL;
    assert_int_equal(
        brg_pool_create(&pool, brg_pool_opts(.workers_max = workers, .queue_max = 1, .grace_ns = BRG_FOREVER), NULL),
        BRG_OK);
    return pool;
}

static void open_chain(chain *self, brg_pool *pool, brg__hook_fn hook, const brg_submit_options *options)
{
    brg_error error;
    self->hooked = (brg__hooked){.pool = pool, .run = nothing, .hook = hook};
    assert_int_equal(brg__hooked_init(&self->hooked, options, &error), BRG_OK);
}

/* Submits the next; `cancels`: which settles it at once, under the lock. */
static void chain_on(chain *self)
{
    if (self->left-- == 0) {
        atomic_store(&self->done, 1);
        return;
    }
    brg_error error;
    bool cancels = self->cancels; /* its hook may be running by the time submit returns */
    if (brg__hooked_submit(&self->hooked, NULL, self, &self->xtask, &error) != BRG_OK || !cancels)
        return;
    brg_task *task = brg_task_ref(self->xtask); /* it waits, and nobody else ends it */
    (void)brg_task_cancel(task);
    brg_task_unref(task);
}

static void chain_hook(brg_task *task, void *user_data)
{
    chain *self = user_data;
    atomic_fetch_add(&self->hooks, 1);
    assert_int_equal(brg_task_result(task)->status, self->cancels ? BRG_CANCELLED : BRG_OK);
    if (++self->depth > self->deepest)
        self->deepest = self->depth;
    chain_on(self);
    self->depth--;
}

/* Each task is cancelled by the hook of the one before, so it settles inside that hook's call. */
static void make_no_deep_stack(void **state)
{
    (void)state;
    brg_pool *pool = pool_of(1);
    chain self = {.left = CHAIN, .cancels = true};
    open_chain(&self, pool, chain_hook, brg_submit_opts(.delay_ns = BRG_SECONDS(1000)));
    chain_on(&self);
    assert_int_equal(atomic_load(&self.hooks), CHAIN); /* all of them, on this thread */
    assert_int_equal(self.deepest, 1);
    assert_int_equal(atomic_load(&self.done), 1);
    brg__hooked_done(&self.hooked);
    brg_pool_destroy(pool);
}

static void follow_each_other_on_a_worker(void **state)
{
    (void)state;
    brg_pool *pool = pool_of(1);
    chain self = {.left = CHAIN};
    open_chain(&self, pool, chain_hook, NULL);
    chain_on(&self);
    while (atomic_load(&self.done) == 0)
        assert_int_equal(brg_pool_wait_idle(pool, BRG_FOREVER), BRG_OK);
    assert_int_equal(atomic_load(&self.hooks), CHAIN);
    assert_int_equal(self.deepest, 1);
    brg__hooked_done(&self.hooked);
    brg_pool_destroy(pool);
}

typedef struct output {
    brg_value *value;
    brg_task *xtask;
    brg_status status;
    int hooks;
} output;

static void keep_output(brg_task *task, void *user_data)
{
    output *self = user_data;
    self->status = brg_task_result(task)->status;
    self->value = brg__hooked_take_output(task);
    brg__mfree(brg__hooked_take_error(task));
    self->hooks++;
}

/* Values are handed on; the queue of one does not bound them, and they leave its room to others. */
static void take_what_tasks_leave(void **state)
{
    (void)state;
    static output outputs[EACH];
    brg_pool *pool = pool_of(2);
    chain self = {.left = 0};
    open_chain(&self, pool, keep_output, NULL);
    brg_value *input = NULL;
    assert_int_equal(brg_value_int(&input, 5, NULL), BRG_OK);
    for (int i = 0; i < EACH; i++) {
        brg_error error;
        assert_int_equal(brg__hooked_submit(&self.hooked, brg_value_ref(input), &outputs[i], &outputs[i].xtask, &error),
                         BRG_OK);
    }
    assert_int_equal(brg_pool_drain(pool, BRG_FOREVER), BRG_OK);
    brg_error error;
    assert_int_equal(brg__hooked_submit(&self.hooked, NULL, &outputs[0], &outputs[0].xtask, &error), BRG_CLOSED);
    brg_pool_destroy(pool); /* the hooks have run, and the pool's memory stays for the reference */
    for (int i = 0; i < EACH; i++) {
        assert_int_equal(outputs[i].hooks, 1);
        assert_int_equal(outputs[i].status, BRG_OK);
        assert_ptr_equal(outputs[i].value, input);
        brg_value_unref(outputs[i].value);
    }
    brg_value_unref(input);
    brg__hooked_done(&self.hooked);
}

static brg_status quiet(brg_context *context, void *argument)
{
    (void)context, (void)argument;
    return BRG_OK;
}

static void take_no_room_from_others(void **state)
{
    (void)state;
    static output outputs[EACH];
    brg_error error;
    brg_pool *pool = pool_of(1);
    chain self = {.left = 0};
    open_chain(&self, pool, keep_output, brg_submit_opts(.delay_ns = BRG_SECONDS(1000)));
    for (int i = 0; i < EACH; i++)
        assert_int_equal(brg__hooked_submit(&self.hooked, NULL, &outputs[i], &outputs[i].xtask, &error), BRG_OK);
    assert_false(brg_pool_is_full(pool));
    assert_int_equal(brg_pool_call(pool, quiet, NULL, NULL, NULL), BRG_OK);
    brg_pool_destroy(pool);
    for (int i = 0; i < EACH; i++) {
        assert_int_equal(outputs[i].hooks, 1);
        assert_int_equal(outputs[i].status, BRG_CANCELLED);
    }
    brg__hooked_done(&self.hooked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(make_no_deep_stack), cmocka_unit_test(follow_each_other_on_a_worker),
        cmocka_unit_test(take_what_tasks_leave), cmocka_unit_test(take_no_room_from_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
