/* SPDX-License-Identifier: MIT */
/*
 * Progress that a process worker had no right to send: forged here in its reply ring while its task waits for its end.
 * Each lie ends the worker, and nothing else.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/wire.h"
#include "pool/progress.h"
#include "worker/process.h"

typedef struct forgery {
    brg_pool *pool;
    brg_task *task; /* it runs, and waits until it is asked to end; or NULL */
    brg_worker *worker;
    brg__ring_producer ring; /* the worker's replies */
} forgery;

static const char *progress_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/progress.so", directory == NULL ? "." : directory);
    return path;
}

/* Its worker has begun with the task: it will not be taken back. */
static void wait_begun(brg_pool *pool)
{
    for (bool begun = false; !begun; sched_yield()) {
        brg__lock_acquire(&pool->lock);
        const brg__slot *slot = pool->slots[0];
        const brg__ahead *ahead = &slot->ahead[slot->ahead_first];
        begun = slot->ahead_count == 1 && brg_load_acquire(ahead->sent.xclaim) == BRG__CLAIM_TAKEN;
        brg__lock_release(&pool->lock);
    }
}

/* A pool of one worker, which runs "silent" with such a window; UINT32_MAX: nothing. */
static void begin(forgery *self, uint32_t window)
{
    brg_error error;
    memset(self, 0, sizeof(*self));
    if (brg_pool_create(&self->pool,
                        brg_pool_opts(.isolation = BRG_ISOLATION_PROCESS, .module = progress_module(), .workers_max = 1,
                                      .grace_ns = BRG_SECONDS(60), .start_timeout_ns = BRG_SECONDS(100000)),
                        &error) != BRG_OK)
        fail_msg("pool: %s", error.message);
    brg_task *warm = NULL;
    assert_int_equal(brg_pool_submit(self->pool, "count", NULL, NULL, &warm), BRG_OK);
    assert_int_equal(brg_task_wait(warm, BRG_FOREVER), BRG_OK);
    brg_task_unref(warm);
    if (window != UINT32_MAX) {
        assert_int_equal(
            brg_pool_submit(self->pool, "silent", NULL, brg_submit_opts(.progress_max = window), &self->task), BRG_OK);
        wait_begun(self->pool);
    }
    brg__lock_acquire(&self->pool->lock);
    self->worker = self->pool->slots[0]->worker;
    brg__worker_ref(self->worker);
    brg__lock_release(&self->pool->lock);
    brg__segment *segment = brg__process_of(self->worker)->segment;
    brg__ring_producer_init(&self->ring, &segment->reply, (char *)segment + segment->reply_offset, segment->area_bytes,
                            -1, 0);
    self->ring.tail = self->ring.next = brg_load_acquire(&segment->reply.xtail);
    self->ring.head = brg_load_acquire(&segment->reply.xhead);
}

/* Returns when it was read: by this thread, or by the supervisor where that is about it. */
static void forge(forgery *self, uint64_t ticket, const void *payload, size_t bytes)
{
    const brg__process *process = brg__process_of(self->worker);
    brg__frame *frame = NULL;
    assert_int_equal(brg__ring_reserve(&self->ring, bytes, &frame), BRG_OK);
    frame->kind = BRG__REPLY_PROGRESS;
    frame->id = ticket;
    if (bytes != 0)
        memcpy(frame + 1, payload, bytes);
    brg__ring_publish(&self->ring);
    for (bool read = false; !read; sched_yield()) {
        brg__isolation_process.pump(self->worker);
        brg__isolation_process.unpump(self->worker);
        read = brg_load_relaxed(&process->xconsumed) == self->ring.tail || brg_load_relaxed(&process->xbroken);
    }
}

static void forge_value(forgery *self, uint64_t ticket, int64_t n)
{
    _Alignas(8) char bytes[256];
    brg_value *value = NULL;
    assert_int_equal(brg_value_int(&value, n, NULL), BRG_OK);
    size_t size = brg__wire_size(value, NULL);
    assert_true(size <= sizeof(bytes));
    brg__wire_write(value, NULL, bytes);
    brg_value_unref(value);
    forge(self, ticket, bytes, size);
}

static int64_t pull(forgery *self)
{
    brg_value *value = NULL;
    int64_t n = -1;
    assert_int_equal(brg_task_progress(self->task, &value, BRG_FOREVER), BRG_OK);
    assert_int_equal(brg_view_int(brg_value_root(value), &n), BRG_OK);
    brg_value_unref(value);
    return n;
}

/* The worker was found out; another one works. */
static void end(forgery *self)
{
    brg_exit exit;
    assert_int_equal(brg_worker_wait(self->worker, BRG_FOREVER, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_PROTOCOL);
    brg__worker_unref(self->worker);
    if (self->task != NULL) {
        assert_int_equal(brg_task_wait(self->task, BRG_FOREVER), BRG_OK);
        assert_int_equal(brg_task_result(self->task)->status, BRG_PROTOCOL);
        brg_task_unref(self->task);
    }
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit(self->pool, "count", NULL, NULL, &task), BRG_OK);
    assert_int_equal(brg_task_wait(task, BRG_FOREVER), BRG_OK);
    assert_int_equal(brg_task_result(task)->status, BRG_OK);
    brg_task_unref(task);
    brg_pool_destroy(self->pool);
}

static void of_another_task(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        forgery self;
        begin(&self, 4);
        const uint64_t tickets[] = {self.task->ticket + 1, self.task->ticket - 1, 0};
        forge_value(&self, tickets[i], 1);
        brg_value *value = NULL;
        assert_int_not_equal(brg_task_progress(self.task, &value, 0), BRG_OK);
        end(&self);
    }
}

static void where_nobody_listens(void **state)
{
    (void)state;
    forgery self;
    begin(&self, 0);
    forge_value(&self, self.task->ticket, 1);
    end(&self);
    begin(&self, UINT32_MAX); /* no task at all */
    forge_value(&self, 1, 1);
    end(&self);
}

static void that_is_no_value(void **state)
{
    (void)state;
    static const _Alignas(8) unsigned char garbage[64] = {0xff, 0xff, 0xff, 0x7f, 1, 2, 3};
    forgery self;
    begin(&self, 4);
    forge(&self, self.task->ticket, NULL, 0);
    end(&self);
    begin(&self, 4);
    forge(&self, self.task->ticket, garbage, sizeof(garbage));
    end(&self);
}

/* What is within the window arrives, and room comes with what is taken; one too many is a lie. */
static void beyond_the_window(void **state)
{
    (void)state;
    forgery self;
    begin(&self, 2);
    uint64_t ticket = self.task->ticket;
    const brg__segment *segment = brg__process_of(self.worker)->segment;
    forge_value(&self, ticket, 10);
    forge_value(&self, ticket, 11);
    assert_int_equal(pull(&self), 10);
    assert_int_equal(brg_load_acquire(&segment->xprogress_taken), ticket << 32 | 1);
    forge_value(&self, ticket, 12);
    assert_int_equal(brg_worker_get_state(self.worker), BRG_WORKER_ONLINE);
    forge_value(&self, ticket, 13);
    assert_int_equal(pull(&self), 11);
    assert_int_equal(pull(&self), 12);
    brg_value *value = NULL;
    assert_int_equal(brg_task_progress(self.task, &value, BRG_FOREVER), BRG_CLOSED);
    end(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_another_task),
        cmocka_unit_test(where_nobody_listens),
        cmocka_unit_test(that_is_no_value),
        cmocka_unit_test(beyond_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
