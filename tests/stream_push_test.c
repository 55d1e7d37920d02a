/* SPDX-License-Identifier: MIT */
/* Streams that are pushed into, that run on a loop, and whose source wakes them. */
#include "scenario.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/random.h"
#include "streaming.h"
#include "watch.h"

#define PUSHERS 4

static brg_stream *pushed(brg_stream_options *options)
{
    brg_stream *stream = NULL;
    brg_error error;
    if (brg_stream_create(&stream, options, &error) != BRG_OK)
        fail_msg("stream: %s", error.message);
    return stream;
}

static brg_value *number(int64_t n)
{
    brg_value *value = NULL;
    assert_int_equal(brg_value_int(&value, n, NULL), BRG_OK);
    return value;
}

/* ---- pushes ------------------------------------------------------------------------------------------------------ */

static void push_says_full_late_and_closed(void **state)
{
    (void)state;
    streaming_gate gate = {0};
    brg_error error;
    brg_stream_item item;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    brg_stream *stream = pushed(
        brg_stream_opts(.pool = pool, .run = streaming_first_waits, .state = &gate, .in_flight_max = 3));
    for (int i = 0; i < 3; i++)
        assert_int_equal(brg_stream_push(stream, number(i), NULL, 0, NULL), BRG_OK);
    brg_value *left = number(3);
    assert_int_equal(brg_stream_push(stream, left, NULL, 0, &error), BRG_FULL);
    assert_int_equal(brg_stream_push(stream, left, NULL, BRG_MILLISECONDS(1), &error), BRG_TIMED_OUT);
    assert_int_equal(brg_stream_next(stream, &item, 0), BRG_EMPTY);
    atomic_store(&gate.open, true);
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
    assert_int_equal(brg_stream_push(stream, left, NULL, 0, &error), BRG_FULL); /* it is still looked at */
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
    assert_int_equal(brg_stream_push(stream, left, NULL, BOUND, &error), BRG_OK); /* it is the stream's */
    brg_stream_end(stream);
    left = number(4);
    assert_int_equal(brg_stream_push(stream, left, NULL, 0, &error), BRG_CLOSED);
    brg_value_unref(left); /* still ours */
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
    assert_int_equal(item.index, 3);
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_CLOSED);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

typedef struct pusher {
    pthread_t thread;
    brg_stream *stream;
    int64_t first;
    atomic_int *left;
    brg_status status;
} pusher;

static void *push_many(void *argument)
{
    pusher *self = argument;
    for (int64_t i = 0; i < MANY && self->status == BRG_OK; i++) {
        brg_value *value = number(self->first + i);
        self->status = brg_stream_push(self->stream, value, NULL, BOUND, NULL);
        if (self->status != BRG_OK)
            brg_value_unref(value);
    }
    if (atomic_fetch_sub(self->left, 1) == 1)
        brg_stream_end(self->stream);
    return NULL;
}

static void push_begin(pusher *pushers, brg_stream *stream, atomic_int *left)
{
    for (int i = 0; i < PUSHERS; i++) {
        pushers[i] = (pusher){.stream = stream, .first = (int64_t)i * 1000000000, .left = left};
        assert_int_equal(pthread_create(&pushers[i].thread, NULL, push_many, &pushers[i]), 0);
    }
}

static void push_end(pusher *pushers, brg_status status)
{
    for (int i = 0; i < PUSHERS; i++) {
        pthread_join(pushers[i].thread, NULL);
        assert_int_equal(pushers[i].status, status);
    }
}

static void many_threads_push(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    brg_stream *stream = pushed(brg_stream_opts(.pool = pool, .task = "jitter", .in_flight_max = 12));
    atomic_int left = PUSHERS;
    pusher pushers[PUSHERS];
    int64_t next[PUSHERS] = {0};
    brg_stream_item item;
    brg_status status;
    uint64_t count = 0;
    push_begin(pushers, stream, &left);
    for (; (status = brg_stream_next(stream, &item, BOUND)) == BRG_OK; count++) {
        int64_t n = streaming_number(item.output) - STEP;
        assert_int_equal(item.index, count);
        assert_int_equal(n % 1000000000, next[n / 1000000000]++); /* of each thread in its order */
    }
    assert_int_equal(status, BRG_CLOSED);
    assert_int_equal(count, PUSHERS * MANY);
    assert_true(streaming_counts(stream).in_flight_peak <= 12);
    push_end(pushers, BRG_OK);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

static void pushers_that_wait_hear_of_the_end(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    for (int how = 0; how < 2; how++) {
        brg_stream *stream = pushed(
            brg_stream_opts(.pool = pool, .task = how == 0 ? "jitter" : "picky", .in_flight_max = 4));
        atomic_int left = PUSHERS + 1;
        pusher pushers[PUSHERS];
        brg_stream_item item;
        push_begin(pushers, stream, &left);
        assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
        if (how == 0)
            brg_stream_cancel(stream);
        while (brg_stream_next(stream, &item, BOUND) == BRG_OK)
            ;
        push_end(pushers, BRG_CLOSED);
        brg_stream_destroy(stream);
    }
    brg_pool_destroy(pool);
}

static brg_status push_more(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    brg_stream *stream = *(brg_stream **)state;
    int64_t n = streaming_number(input);
    brg_error error;
    (void)context, (void)output;
    for (int i = 0; i < 2 && n > 0; i++) {
        brg_value *value = number(n - 1);
        brg_status status = brg_stream_push(stream, value, NULL, 0, &error);
        if (status != BRG_OK)
            brg_value_unref(value);
        if (status != BRG_OK)
            return status;
    }
    return BRG_OK;
}

/* A tree: what a crawler does. */
static void stages_may_push(void **state)
{
    (void)state;
    brg_stream *stream = NULL;
    brg_stream_item item;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2));
    const brg_stage stage = BRG_STAGE(.pool = pool, .run = push_more, .state = &stream, .queue_max = 255);
    stream = pushed(brg_stream_opts(.stages = &stage, .stage_count = 1, .in_flight_max = 255));
    assert_int_equal(brg_stream_push(stream, number(6), NULL, 0, NULL), BRG_OK);
    for (int i = 0; i < 127; i++)
        assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
    brg_stream_end(stream);
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_CLOSED);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

static brg_status push_until_full(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    brg_stream *stream = *(brg_stream **)state;
    brg_status status;
    (void)context, (void)input, (void)output;
    while ((status = brg_stream_push(stream, NULL, NULL, BOUND, NULL)) == BRG_OK)
        ;
    return status;
}

static void a_stage_must_not_wait_for_room(void **state)
{
    (void)state;
    brg_stream *stream = NULL;
    brg_stream_item item;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    stream = pushed(brg_stream_opts(.pool = pool, .run = push_until_full, .state = &stream));
    assert_int_equal(brg_stream_push(stream, NULL, NULL, 0, NULL), BRG_OK);
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_FAILED);
    assert_int_equal(brg_stream_get_error(stream, NULL), BRG_DEADLOCK);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

static void drop_counts(void *tag, void *user_data)
{
    (void)tag;
    atomic_fetch_add((atomic_int *)user_data, 1);
}

static void refuses_what_is_not_for_it(void **state)
{
    (void)state;
    brg_error error;
    streaming run = {.count = 1};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    streaming_crowd crowd = {.now = 0};
    brg_stream *stream = streaming_create(&run,
                                          brg_stream_opts(.pool = pool, .run = streaming_count_in, .state = &crowd));
    brg_stage_counts counts = {.size = sizeof(counts)};
    assert_int_equal(brg_stream_push(stream, NULL, NULL, 0, &error), BRG_INVALID);
    assert_int_equal(brg_stream_get_stage(stream, 1, &counts), BRG_RANGE);
    assert_int_equal(brg_stream_push(NULL, NULL, NULL, 0, &error), BRG_INVALID);
    assert_int_equal(brg_stream_next(NULL, NULL, 0), BRG_INVALID);
    brg_stream_destroy(stream);
    brg_stream_destroy(NULL);
    brg_pool_destroy(pool);
}

/* ---- a source that has nothing for a while ----------------------------------------------------------------------- */

typedef struct feed {
    pthread_mutex_t lock;
    int ready, given, count;
    brg_stream *stream;
} feed;

static brg_status feed_source(brg_value **item, void **tag, void *user_data)
{
    feed *self = user_data;
    (void)tag;
    pthread_mutex_lock(&self->lock);
    brg_status status = self->given == self->count ? BRG_CLOSED : self->given == self->ready ? BRG_EMPTY : BRG_OK;
    if (status == BRG_OK)
        *item = number(self->given++);
    pthread_mutex_unlock(&self->lock);
    return status;
}

static void *feed_run(void *argument)
{
    feed *self = argument;
    for (int i = 0; i < self->count; i++) {
        pthread_mutex_lock(&self->lock);
        self->ready++;
        pthread_mutex_unlock(&self->lock);
        brg_stream_wake(self->stream);
    }
    return NULL;
}

static int expect_numbers(brg_stream *stream)
{
    brg_stream_item item;
    brg_status status;
    int count = 0;
    for (; (status = brg_stream_next(stream, &item, BOUND)) == BRG_OK; count++)
        assert_int_equal(streaming_number(item.output), count + STEP);
    assert_int_equal(status, BRG_CLOSED);
    return count;
}

static void asks_again_when_woken(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    feed self = {.lock = PTHREAD_MUTEX_INITIALIZER, .count = MANY};
    pthread_t thread;
    self.stream = pushed(brg_stream_opts(.pool = pool, .task = "step", .source = feed_source, .user_data = &self));
    assert_int_equal(pthread_create(&thread, NULL, feed_run, &self), 0);
    assert_int_equal(expect_numbers(self.stream), MANY);
    pthread_join(thread, NULL);
    brg_stream_destroy(self.stream);
    brg_pool_destroy(pool);
}

/* ---- on a loop --------------------------------------------------------------------------------------------------- */

typedef enum looped_plan {
    LOOPED_PLAIN = 0,
    LOOPED_PAUSES,
    LOOPED_DESTROYS,        /* in on_item */
    LOOPED_DESTROYS_AT_END, /* in on_end */
    LOOPED_CANCELS
} looped_plan;

typedef struct looped {
    streaming run; /* first: the source's */
    looped_plan plan;
    brg_stream *stream;
    brg_loop *loop;
    pthread_t owner;
    uint64_t items, ends, rooms;
    bool in_order, is_paused, pushes;
    brg_status end;
    brg_stream_counts counts;
} looped;

static brg_status looped_source(brg_value **item, void **tag, void *user_data)
{
    assert_true(pthread_equal(pthread_self(), ((looped *)user_data)->owner));
    return streaming_source(item, tag, user_data);
}

static void looped_on_item(const brg_stream_item *item, void *user_data)
{
    looped *self = user_data;
    assert_true(pthread_equal(pthread_self(), self->owner));
    assert_false(self->is_paused);
    assert_int_equal(item->status, BRG_OK);
    assert_int_equal(streaming_number(item->output), item->index + STEP);
    self->in_order = self->in_order && item->index == self->items;
    self->items++;
    if (self->plan == LOOPED_DESTROYS && self->items == 10) {
        brg_stream_destroy(self->stream);
        assert_int_equal(streaming_number(item->output), item->index + STEP); /* ours until we return */
        self->stream = NULL;
    } else if (self->plan == LOOPED_CANCELS && self->items == 10) {
        brg_stream_cancel(self->stream);
    } else if (self->plan == LOOPED_PAUSES && self->items % 100 == 0) {
        brg_stream_pause(self->stream);
        self->is_paused = true;
        brg_loop_stop(self->loop);
    }
}

static void looped_on_end(const brg_stream_counts *counts, const brg_error *error, void *user_data)
{
    looped *self = user_data;
    self->ends++;
    self->counts = *counts;
    self->end = error == NULL ? BRG_OK : error->status;
    if (self->plan == LOOPED_DESTROYS_AT_END) {
        brg_stream_destroy(self->stream);
        self->stream = NULL;
    }
}

static void looped_begin(looped *self, brg_stream_options *options)
{
    brg_error error;
    self->owner = pthread_self();
    self->in_order = true;
    options->on_item = looped_on_item;
    options->on_end = looped_on_end;
    options->source = self->pushes ? NULL : looped_source;
    options->user_data = self;
    if (brg_stream_create(&self->stream, options, &error) != BRG_OK)
        fail_msg("stream: %s", error.message);
}

static void runs_on_a_loop(void **state)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2); /* which has no loop itself */
    for (int plan = LOOPED_PLAIN; plan <= LOOPED_CANCELS; plan++) {
        looped self = {.plan = (looped_plan)plan, .loop = loop, .run = {.count = MANY}};
        looped_begin(&self, brg_stream_opts(.pool = pool, .task = "jitter", .loop = loop));
        assert_int_equal(self.run.taken, 0); /* nothing is called inside create */
        assert_int_equal(brg_loop_destroy(loop), BRG_STATE);
        do {
            assert_int_equal(brg_loop_run(loop), BRG_OK);
            if (self.is_paused) { /* it fills up, and goes on from here */
                self.is_paused = false;
                brg_stream_resume(self.stream);
            }
        } while (self.stream != NULL && self.ends == 0);
        assert_true(self.in_order);
        assert_int_equal(self.ends, plan == LOOPED_DESTROYS ? 0 : 1);
        assert_int_equal(self.items, plan == LOOPED_DESTROYS || plan == LOOPED_CANCELS ? 10 : MANY);
        assert_int_equal(self.end, plan == LOOPED_CANCELS ? BRG_CANCELLED : BRG_OK);
        if (self.ends != 0)
            assert_int_equal(self.counts.taken, self.counts.delivered + self.counts.dropped);
        brg_stream_destroy(self.stream);
    }
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void room_push_all(looped *self)
{
    while (self->run.taken < self->run.count) {
        brg_value *value = number((int64_t)self->run.taken);
        brg_status status = brg_stream_push(self->stream, value, NULL, 0, NULL);
        if (status != BRG_OK) {
            assert_int_equal(status, BRG_FULL);
            assert_int_equal(brg_stream_push(self->stream, value, NULL, BOUND, NULL), BRG_DEADLOCK);
            brg_value_unref(value);
            return;
        }
        self->run.taken++;
    }
    brg_stream_end(self->stream);
}

static void on_room(void *user_data)
{
    looped *self = user_data;
    self->rooms++;
    room_push_all(self);
}

static void tells_of_room(void **state)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    looped self = {.loop = loop, .run = {.count = MANY}, .pushes = true};
    looped_begin(&self,
                 brg_stream_opts(.pool = pool, .task = "step", .loop = loop, .in_flight_max = 8, .on_room = on_room));
    room_push_all(&self);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(self.items, MANY);
    assert_int_equal(self.ends, 1);
    assert_true(self.rooms > 0);
    brg_stream_destroy(self.stream);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* ---- at random --------------------------------------------------------------------------------------------------- */

static uint64_t dice(uint64_t *seed) { return brg__random_next(seed) >> 33; }

typedef struct chance {
    uint64_t count, taken;
    uint64_t source_ends_badly;
    atomic_uint_fast64_t dropped;
} chance;

static brg_status chance_source(brg_value **item, void **tag, void *user_data)
{
    chance *self = user_data;
    if (self->taken == self->count)
        return self->source_ends_badly ? BRG_MALFORMED : BRG_CLOSED;
    *item = number((int64_t)self->taken);
    *tag = (void *)(uintptr_t)++self->taken;
    return BRG_OK;
}

static void chance_drop(void *tag, void *user_data)
{
    assert_non_null(tag);
    atomic_fetch_add(&((chance *)user_data)->dropped, 1);
}

/* One stream of random shape against what its options promise. */
static void chance_once(brg_pool *const *pools, uint64_t *seed)
{
    brg_stage stages[4];
    uint32_t stage_count = 1 + (uint32_t)(dice(seed) % 4), bad = UINT32_MAX;
    for (uint32_t i = 0; i < stage_count; i++) {
        stages[i] = (brg_stage)BRG_STAGE(.pool = pools[dice(seed) % 3], .task = "jitter");
        stages[i].running_max = (uint32_t)(dice(seed) % 5);
        stages[i].queue_max = (uint32_t)(dice(seed) % 4);
    }
    if (dice(seed) % 2 == 0)
        stages[bad = (uint32_t)(dice(seed) % stage_count)].task = "picky";
    chance self = {.count = dice(seed) % 300, .source_ends_badly = dice(seed) % 4 == 0};
    brg_stream_options options = {.size = sizeof(options), .stages = stages, .stage_count = stage_count};
    options.unordered = dice(seed) % 2 == 0;
    options.in_flight_max = dice(seed) % 3 == 0 ? 0 : 1 + (uint32_t)(dice(seed) % 20);
    options.rule = (brg_stream_rule)(dice(seed) % 3);
    options.source = chance_source;
    options.drop = chance_drop;
    options.user_data = &self;
    uint64_t leave_at = dice(seed) % 3 == 0 ? dice(seed) % 300 : UINT64_MAX;
    brg_stream *stream = pushed(&options);
    brg_stream_item item;
    brg_status status = BRG_OK;
    uint64_t got = 0, last = 0;
    char seen[300] = {0};
    while (got != leave_at && (status = brg_stream_next(stream, &item, BOUND)) == BRG_OK) {
        assert_true(item.index < self.taken && !seen[item.index]);
        assert_true(options.unordered || got == 0 || item.index > last);
        assert_int_equal((uintptr_t)item.tag, item.index + 1);
        bool is_bad = bad != UINT32_MAX && item.index % 10 == 3;
        assert_int_equal(item.status, is_bad ? BRG_FAILED : BRG_OK);
        assert_true(!is_bad || (options.rule == BRG_STREAM_COLLECT && item.stage == bad));
        if (!is_bad)
            assert_int_equal(streaming_number(item.output), item.index + stage_count * STEP);
        seen[item.index] = 1;
        last = item.index;
        got++;
    }
    brg_stream_counts counts = streaming_counts(stream);
    assert_true(options.in_flight_max == 0 || counts.in_flight_peak <= options.in_flight_max);
    bool fails = bad != UINT32_MAX && self.count > 3;
    if (got != leave_at) {
        assert_int_equal(counts.taken, counts.delivered + counts.skipped + counts.dropped);
        assert_int_equal(atomic_load(&self.dropped), counts.skipped + counts.dropped);
        if (fails && options.rule == BRG_STREAM_STOP) {
            assert_int_equal(status, BRG_FAILED);
            assert_true(options.unordered || got == 3);
        } else {
            assert_int_equal(status, self.source_ends_badly ? BRG_MALFORMED : BRG_CLOSED);
            assert_int_equal(counts.taken, self.count);
            uint64_t bads = bad != UINT32_MAX ? (self.count + 6) / 10 : 0;
            assert_int_equal(counts.failed, bads);
            assert_int_equal(got, self.count - (options.rule == BRG_STREAM_SKIP ? bads : 0));
        }
    }
    brg_stream_destroy(stream);
    assert_int_equal(got + atomic_load(&self.dropped), self.taken);
}

static void holds_at_random(void **state)
{
    (void)state;
    const char *given = getenv("BRG_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 1; /* the same choices each time */
    printf("BRG_TEST_SEED=%llu\n", (unsigned long long)seed);
    brg_pool *pools[] = {streaming_pool(BRG_ISOLATION_THREAD, 2), streaming_pool(BRG_ISOLATION_THREAD, 1),
                         streaming_pool(BRG_ISOLATION_PROCESS, 2)};
    for (int i = 0; i < (WATCH_SANITIZED ? 150 : 400); i++)
        chance_once(pools, &seed);
    for (int i = 0; i < 3; i++)
        brg_pool_destroy(pools[i]);
}

static void frees_what_is_pushed_and_not_consumed(void **state)
{
    atomic_int dropped = 0;
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    brg_stream *stream = pushed(
        brg_stream_opts(.pool = pool, .task = "jitter", .drop = drop_counts, .user_data = &dropped));
    for (int i = 0; i < 5; i++)
        assert_int_equal(brg_stream_push(stream, number(i), NULL, BOUND, NULL), BRG_OK);
    brg_stream_destroy(stream);
    assert_int_equal(atomic_load(&dropped), 5);
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(push_says_full_late_and_closed),
                                       SCENARIO_BOTH(many_threads_push),
                                       SCENARIO_BOTH(pushers_that_wait_hear_of_the_end),
                                       cmocka_unit_test(stages_may_push),
                                       cmocka_unit_test(a_stage_must_not_wait_for_room),
                                       cmocka_unit_test(refuses_what_is_not_for_it),
                                       SCENARIO_BOTH(asks_again_when_woken),
                                       SCENARIO_BOTH(runs_on_a_loop),
                                       SCENARIO_BOTH(tells_of_room),
                                       SCENARIO_BOTH(frees_what_is_pushed_and_not_consumed),
                                       cmocka_unit_test(holds_at_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
