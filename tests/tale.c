/* SPDX-License-Identifier: MIT */
#include "tale.h"

#include <stdio.h>

static tale_task *tale_task_of(tale *self, uint64_t number)
{
    if (number >= self->task_count) {
        uint64_t count = number * 2 + 64;
        self->tasks = realloc(self->tasks, count * sizeof(*self->tasks));
        assert_non_null(self->tasks);
        memset(self->tasks + self->task_count, 0, (count - self->task_count) * sizeof(*self->tasks));
        self->task_count = count;
    }
    return &self->tasks[number];
}

static tale_worker *tale_worker_of(tale *self, uint64_t id)
{
    for (size_t i = self->worker_count; i > 0; i--)
        if (self->workers[i - 1].id == id)
            return &self->workers[i - 1];
    self->workers = realloc(self->workers, (self->worker_count + 1) * sizeof(*self->workers));
    assert_non_null(self->workers);
    self->workers[self->worker_count] = (tale_worker){.id = id};
    return &self->workers[self->worker_count++];
}

static void tale_must(bool holds, const brg_event *event, int state, const char *what)
{
    if (!holds)
        fail_msg("%s of task %llu, worker %llu, attempt %u in state %d: %s", brg_event_name(event->type),
                 (unsigned long long)event->task, (unsigned long long)event->worker_id, event->attempt, state, what);
}

static brg_task_state tale_state_of(brg_status status)
{
    switch (status) {
    case BRG_OK:
        return BRG_TASK_DONE;
    case BRG_CANCELLED:
        return BRG_TASK_CANCELLED;
    case BRG_TIMED_OUT:
        return BRG_TASK_TIMED_OUT;
    case BRG_LOST:
        return BRG_TASK_LOST;
    default:
        return BRG_TASK_FAILED;
    }
}

static void tale_task_event(tale *self, const brg_event *event)
{
    if (event->task == 0) /* of a thread's running task, or from before the watch */
        return;
    tale_task *task = tale_task_of(self, event->task);
    int state = task->state;
    switch (event->type) {
    case BRG_EVENT_TASK_SUBMITTED:
        tale_must(state == 0, event, state, "it was submitted before");
        task->state = 1;
        break;
    case BRG_EVENT_TASK_STARTED:
        tale_must(state == 1, event, state, "it does not wait");
        tale_must(event->attempt == task->attempt + 1, event, state, "attempts are counted one by one");
        task->attempt++;
        task->state = 2;
        break;
    case BRG_EVENT_TASK_UNSTARTED:
    case BRG_EVENT_TASK_RETRIED:
        tale_must(state == 2, event, state, "it does not run");
        tale_must(event->attempt == task->attempt, event, state, "it is another attempt");
        task->attempt -= event->type == BRG_EVENT_TASK_UNSTARTED;
        task->retries += event->type == BRG_EVENT_TASK_RETRIED;
        task->state = 1;
        break;
    case BRG_EVENT_TASK_OVERDUE:
        tale_must(state == 2, event, state, "it does not run");
        break;
    case BRG_EVENT_TASK_CANCEL_ASKED: /* just after its end, too: both may happen at once */
        tale_must(state != 0, event, state, "it is not submitted");
        break;
    case BRG_EVENT_TASK_SETTLED:
        tale_must(state == 1 || state == 2, event, state, "it is not there");
        tale_must(event->attempt == task->attempt, event, state, "it is another attempt");
        task->state = 3;
        task->status = event->status;
        self->by_state[tale_state_of(event->status)]++;
        break;
    default:
        tale_must(state == 1, event, state, "it does not wait");
    }
}

static void tale_worker_event(tale *self, const brg_event *event)
{
    if (event->type == BRG_EVENT_WORKER_START_FAILED)
        return;
    tale_worker *worker = tale_worker_of(self, event->worker_id);
    int state = worker->state;
    assert_int_not_equal(event->worker_index, BRG_NO_WORKER_INDEX);
    switch (event->type) {
    case BRG_EVENT_WORKER_STARTING:
        tale_must(state == 0, event, state, "it was there before");
        worker->state = 1;
        break;
    case BRG_EVENT_WORKER_ONLINE:
        tale_must(state == 1, event, state, "it does not start");
        worker->state = 2;
        break;
    case BRG_EVENT_WORKER_ENDED:
        tale_must(state == 1 || state == 2, event, state, "it is not there");
        worker->state = 3;
        break;
    default:
        tale_must(state == 1 || state == 2, event, state, "it is not there");
    }
}

void tale_listen(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    tale *self = user_data;
    assert_false(self->is_over);
    assert_true(count != 0 || lost != 0);
    self->calls++;
    self->lost += lost;
    self->largest = count > self->largest ? count : self->largest;
    for (size_t i = 0; i < count; i++) {
        const brg_event *event = &events[i];
        assert_true((unsigned)event->type < BRG_EVENT_COUNT);
        assert_true(i == 0 || event->time_ns >= events[i - 1].time_ns);
        self->counts[event->type]++;
        if (!self->needs_all)
            continue;
        if (event->type < BRG_EVENT_WORKER_IDLE)
            tale_task_event(self, event);
        else if (event->type < BRG_EVENT_POOL_FULL)
            tale_worker_event(self, event);
    }
}

static void tale_check_end(tale *self, const brg_pool_stats *stats)
{
    uint64_t submitted = 0, retries = 0;
    self->is_over = true;
    assert_int_equal(self->lost, 0);
    for (uint64_t i = 0; i < self->task_count; i++) {
        if (self->tasks[i].state != 0 && self->tasks[i].state != 3)
            fail_msg("task %llu has not settled: state %d", (unsigned long long)i, self->tasks[i].state);
        submitted += self->tasks[i].state == 3;
        retries += self->tasks[i].retries;
    }
    for (size_t i = 0; i < self->worker_count; i++)
        assert_int_equal(self->workers[i].state, 3);
    assert_int_equal(submitted, stats->submitted);
    assert_int_equal(self->counts[BRG_EVENT_TASK_SUBMITTED], stats->submitted);
    assert_int_equal(self->counts[BRG_EVENT_TASK_SETTLED], stats->submitted);
    assert_int_equal(retries, stats->retried);
    assert_int_equal(self->by_state[BRG_TASK_DONE], stats->done);
    assert_int_equal(self->by_state[BRG_TASK_FAILED], stats->failed);
    assert_int_equal(self->by_state[BRG_TASK_CANCELLED], stats->cancelled);
    assert_int_equal(self->by_state[BRG_TASK_TIMED_OUT], stats->timed_out);
    assert_int_equal(self->by_state[BRG_TASK_LOST], stats->lost);
    assert_int_equal(self->counts[BRG_EVENT_WORKER_STARTING], self->counts[BRG_EVENT_WORKER_ENDED]);
}

void tale_free(tale *self)
{
    free(self->tasks);
    free(self->workers);
}

brg_loop *tale_loop(void)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, brg_loop_opts(.external = true), NULL), BRG_OK);
    return loop;
}

void tale_finish(brg_loop *loop, brg_pool *pool, tale *self)
{
    assert_int_equal(brg_pool_wait_idle(pool, SCENARIO_BOUND), BRG_OK);
    brg_pool_stats stats = scenario_stats(pool);
    brg_pool_destroy(pool);
    tale_check_end(self, &stats);
    assert_int_equal(brg_loop_pending(loop), 0);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

brg_status tale_forget(void *user_data, const char *text, size_t size)
{
    (void)text;
    *(size_t *)user_data += size;
    return BRG_OK;
}
