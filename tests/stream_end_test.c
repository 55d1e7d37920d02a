/* SPDX-License-Identifier: MIT */
/* How streams end: errors by each rule, workers that die, pools that end, cancels; and what they refuse. */
#include "scenario.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "batching.h"
#include "streaming.h"
#include "watch.h"

static brg_status same_value(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    (void)context, (void)state;
    *output = brg_value_ref(input);
    return BRG_OK;
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

/* Ten of each hundred fail in stage `bad` of three: those that end in 3. */
static void expect_rule(brg_pool *pool, uint32_t bad, brg_stream_rule rule, bool unordered)
{
    brg_stage stages[3];
    for (uint32_t i = 0; i < 3; i++)
        stages[i] = (brg_stage)BRG_STAGE(.pool = pool, .task = i == bad ? "picky" : "jitter");
    streaming run = {.count = 200};
    brg_stream *stream = streaming_create(
        &run, brg_stream_opts(.stages = stages, .stage_count = 3, .rule = rule, .unordered = unordered));
    brg_stream_item item;
    brg_status status;
    uint64_t good = 0, failed = 0, next = 0;
    while ((status = brg_stream_next(stream, &item, BOUND)) == BRG_OK) {
        if (!unordered && rule == BRG_STREAM_COLLECT)
            assert_int_equal(item.index, next++);
        if (item.status == BRG_OK) {
            assert_int_not_equal(item.index % 10, 3);
            assert_int_equal(streaming_number(item.output), item.index + 3 * STEP);
            assert_null(item.error);
            good++;
            continue;
        }
        assert_int_equal(rule, BRG_STREAM_COLLECT);
        assert_int_equal(item.status, BRG_FAILED);
        assert_int_equal(item.index % 10, 3);
        assert_int_equal(item.stage, bad);
        assert_int_equal(item.error->code, 33);
        assert_int_equal(streaming_number(item.detail), item.index + (int64_t)bad * STEP);
        assert_null(item.output);
        failed++;
    }
    brg_error error;
    brg_stream_counts counts = streaming_counts(stream);
    assert_int_equal(counts.taken, counts.delivered + counts.skipped + counts.dropped);
    if (rule == BRG_STREAM_STOP) {
        assert_int_equal(status, BRG_FAILED);
        assert_int_equal(brg_stream_get_error(stream, &error), BRG_FAILED);
        assert_int_equal(error.code, 33);
        assert_int_equal(brg_stream_next(stream, &item, 0), BRG_FAILED);
        assert_true(counts.failed >= 1);
        if (!unordered)
            assert_int_equal(good, 3); /* 0, 1 and 2, whatever failed first */
        assert_true(counts.taken < 200 || unordered || counts.dropped > 0);
    } else {
        assert_int_equal(status, BRG_CLOSED);
        assert_int_equal(good, 180);
        assert_int_equal(failed, rule == BRG_STREAM_COLLECT ? 20 : 0);
        assert_int_equal(counts.skipped, rule == BRG_STREAM_SKIP ? 20 : 0);
        assert_int_equal(counts.failed, 20);
        assert_int_equal(streaming_stage(stream, bad).failed, 20);
    }
    brg_stream_destroy(stream);
}

static void follows_each_rule_at_each_stage(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    for (uint32_t bad = 0; bad < 3; bad++)
        for (int rule = BRG_STREAM_STOP; rule <= BRG_STREAM_COLLECT; rule++)
            for (int unordered = 0; unordered < 2; unordered++)
                expect_rule(pool, bad, (brg_stream_rule)rule, unordered != 0);
    brg_pool_destroy(pool);
}

/* An error is told only when nothing of the stream runs any more: what it stops is asked to end. */
static void stop_ends_what_runs(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    const brg_stage stages[] = {BRG_STAGE(.pool = pool, .task = "picky", .running_max = 1),
                                BRG_STAGE(.pool = pool, .task = "wait", .running_max = 1)};
    streaming run = {.count = 100, .first = 13}; /* the first fails */
    brg_stream *stream = streaming_create(&run, brg_stream_opts(.stages = stages, .stage_count = 2));
    brg_stream_item item;
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_FAILED);
    brg_stream_destroy(stream);
    run = (streaming){.count = 100, .first = 4}; /* the 9th, while the 4th waits */
    stream = streaming_create(&run, brg_stream_opts(.stages = stages, .stage_count = 2, .unordered = true));
    assert_int_equal(brg_stream_next(stream, &item, BRG_MILLISECONDS(1)), BRG_TIMED_OUT);
    brg_stream_cancel(stream);
    assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_CANCELLED);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

static void gives_what_came_before_an_error_of_the_source(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    for (int unordered = 0; unordered < 2; unordered++) {
        streaming run = {.count = 50, .ends_with = BRG_MALFORMED};
        brg_stream *stream = streaming_create(
            &run, brg_stream_opts(.pool = pool, .task = "jitter", .unordered = unordered != 0));
        brg_stream_item item;
        for (int i = 0; i < 50; i++)
            assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
        assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_MALFORMED);
        brg_error error;
        assert_int_equal(brg_stream_get_error(stream, &error), BRG_MALFORMED);
        assert_non_null(strstr(error.message, "item 50"));
        brg_stream_destroy(stream);
    }
    brg_pool_destroy(pool);
}

static void an_end_is_never_taken_for_a_good_one(void **state)
{
    (void)state;
    static const brg_status odd[] = {BRG_CLOSED, BRG_EMPTY, BRG_TIMED_OUT, BRG_DEADLOCK};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        streaming run = {.count = 5};
        brg_status fails_with = odd[i];
        brg_stream *stream = streaming_create(
            &run, brg_stream_opts(.pool = pool, .run = streaming_fail_with, .state = &fails_with));
        brg_stream_item item;
        assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_FAILED);
        assert_int_equal(brg_stream_get_error(stream, NULL), odd[i]);
        brg_stream_destroy(stream);
    }
    brg_pool_destroy(pool);
}

static void retries_as_the_stage_says(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .retry_on = BRG_RETRY_FAILED));
    streaming run = {.count = 100};
    brg_stream *stream = streaming_create(
        &run, brg_stream_opts(.pool = pool, .run = streaming_fail_twice, .submit = brg_submit_opts(.attempts_max = 3)));
    brg_stream_item item;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
        assert_int_equal(item.attempts, 3);
    }
    assert_int_equal(streaming_counts(stream).retried, 200);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

/* Stages of tasks that take batches, which fail and succeed alone. As many as fill whole batches: none waits longer. */
enum { BATCH = 16, BATCHED = 63 * BATCH };

static brg_status batch_source(brg_value **item, void **tag, void *user_data)
{
    int *next = user_data;
    (void)tag;
    if (*next == BATCHED)
        return BRG_CLOSED;
    *item = order(*next % 10 == 3 ? "fail" : "succeed", *next);
    (*next)++;
    return BRG_OK;
}

static void goes_in_batches(void **state)
{
    int next = 0, good = 0, bad = 0;
    brg_pool *pool = batch_pool(state, .workers_max = 2, .batch_size = BATCH, .batch_delay_ns = LONG);
    brg_stream *stream = NULL;
    const brg_stream_options *options = brg_stream_opts(.pool = pool, .task = "work", .source = batch_source,
                                                        .user_data = &next, .rule = BRG_STREAM_COLLECT);
    assert_int_equal(brg_stream_create(&stream, options, NULL), BRG_OK);
    brg_stream_item item;
    for (uint64_t i = 0; brg_stream_next(stream, &item, BOUND) == BRG_OK; i++) {
        assert_int_equal(item.index, i);
        if (item.status == BRG_OK)
            assert_int_equal(brg_view_get_int(brg_value_root(item.output), "n", -1), 2 * i);
        good += item.status == BRG_OK;
        bad += item.status != BRG_OK && i % 10 == 3;
    }
    assert_int_equal(bad, (BATCHED + 6) / 10);
    assert_int_equal(good, BATCHED - bad);
    assert_int_equal(scenario_stats(pool).batches, BATCHED / BATCH);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

/* ---- workers that die -------------------------------------------------------------------------------------------- */

static void loses_nothing_when_workers_die(void **state)
{
    (void)state;
    brg_pool *pool = streaming_pool_that_dies(2);
    const brg_submit_options tries = {.size = sizeof(tries), .attempts_max = 1000};
    const brg_stage stages[] = {BRG_STAGE(.pool = pool, .task = "step", .submit = &tries),
                                BRG_STAGE(.pool = pool, .task = "mortal", .submit = &tries),
                                BRG_STAGE(.pool = pool, .task = "step", .submit = &tries)};
    int count = WATCH_SANITIZED ? 100 : 400;
    streaming run = {.count = (uint64_t)count};
    brg_stream *stream = streaming_create(&run, brg_stream_opts(.stages = stages, .stage_count = 3));
    assert_int_equal(streaming_expect_order(stream, 3), count);
    assert_true(streaming_stage(stream, 1).retried >= (uint64_t)(count / 11));
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

/* How many different ones were killed, this one included. */
static int kills_note(pid_t *killed, int count, pid_t pid)
{
    for (int i = 0; i < count; i++)
        if (killed[i] == pid)
            return count;
    assert_true(count < 256);
    killed[count] = pid;
    return count + 1;
}

static void loses_nothing_when_workers_are_killed(void **state)
{
    (void)state;
    brg_pool *one = streaming_pool_that_dies(2), *other = streaming_pool_that_dies(1);
    const brg_submit_options tries = {.size = sizeof(tries), .attempts_max = 1000};
    const brg_stage stages[] = {BRG_STAGE(.pool = one, .task = "signed", .submit = &tries),
                                BRG_STAGE(.pool = other, .task = "signed", .submit = &tries),
                                BRG_STAGE(.pool = one, .task = "signed", .submit = &tries)};
    int count = WATCH_SANITIZED ? 500 : 3000, kills = 0;
    pid_t killed[256];
    for (int unordered = 0; unordered < 2; unordered++) {
        streaming run = {.count = (uint64_t)count};
        /* Fewer in flight than there are between two kills: the next one hits a worker that came later. */
        brg_stream *stream = streaming_create(&run, brg_stream_opts(.stages = stages, .stage_count = 3,
                                                                    .unordered = unordered != 0, .in_flight_max = 16));
        char *seen = calloc((size_t)count, 1);
        brg_stream_item item;
        for (int i = 0; i < count; i++) {
            brg_status status = brg_stream_next(stream, &item, BOUND);
            if (status != BRG_OK)
                fail_msg("item %d: %s", i, brg_status_name(status));
            brg_view root = brg_value_root(item.output);
            assert_true(item.index < (uint64_t)count && !seen[item.index]);
            assert_true(unordered != 0 || item.index == (uint64_t)i);
            assert_int_equal(brg_view_get_int(root, "n", -1), item.index + 3 * STEP);
            seen[item.index] = 1;
            if (i % 37 == 36) {
                pid_t pid = (pid_t)brg_view_get_int(root, "pid", 0);
                assert_true(pid > 0);
                kill(pid, SIGKILL); /* whatever it does just now, or did */
                kills = kills_note(killed, kills, pid);
            }
        }
        assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_CLOSED);
        free(seen);
        brg_stream_destroy(stream);
    }
    assert_true(kills > 10);
    assert_true(scenario_stats(one).workers_crashed + 2 >=
                (uint64_t)kills); /* both of the last may not be missed yet */
    brg_pool_destroy(one);
    brg_pool_destroy(other);
}

typedef struct deaf {
    atomic_bool open;
    atomic_int inside, left;
} deaf;

static brg_status hear_nothing(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    deaf *self = state;
    (void)context;
    atomic_fetch_add(&self->inside, 1);
    while (!atomic_load(&self->open))
        sched_yield();
    *output = brg_value_ref(input); /* still there, though its stream is not */
    atomic_fetch_add(&self->left, 1);
    return BRG_OK;
}

/* Threads that do not listen are abandoned with what they have; the stream and its pool do not wait for them. */
static bool nobody_is_lost(void *argument)
{
    (void)argument;
    return brg_workers_lost() == 0;
}

static void leaves_a_deaf_stage_behind(void **state)
{
    (void)state;
    deaf self = {.open = false};
    streaming run = {.count = 10};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 2, .grace_ns = 1));
    brg_stream *stream = streaming_create(&run, brg_stream_opts(.pool = pool, .run = hear_nothing, .state = &self));
    brg_stream_item item;
    assert_int_equal(brg_stream_next(stream, &item, 0), BRG_EMPTY);
    while (atomic_load(&self.inside) < 2)
        sched_yield();
    brg_stream_destroy(stream);
    assert_int_equal(atomic_load(&run.dropped), run.taken);
    brg_pool_destroy(pool);
    int inside = atomic_load(&self.inside);
    atomic_store(&self.open, true);
    while (atomic_load(&self.left) < inside)
        sched_yield();
    assert_true(watch_until(nobody_is_lost, NULL));
}

static void refuses_in_a_child(void **state)
{
    (void)state;
    streaming run = {.count = 10};
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    brg_stream *stream = streaming_create(&run, brg_stream_opts(.pool = pool, .run = same_value));
    pid_t pid = fork();
    if (pid == 0) {
        brg_stream_item item;
        brg_stream_counts counts = {.size = sizeof(counts)};
        bool refused = brg_stream_next(stream, &item, BOUND) == BRG_FORKED &&
                       brg_stream_get_counts(stream, &counts) == BRG_FORKED;
        brg_stream_cancel(stream);
        brg_stream_destroy(stream);
        _exit(refused ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(streaming_expect_order(stream, 0), 10);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

/* ---- pools that end ---------------------------------------------------------------------------------------------- */

static void ends_with_its_pool(void **state)
{
    for (int how = 0; how < 4; how++) {
        for (int rule = BRG_STREAM_STOP; rule <= BRG_STREAM_COLLECT; rule++) {
            brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
            streaming run = {.count = UINT64_MAX};
            brg_stream *stream = streaming_create(
                &run, brg_stream_opts(.pool = pool, .task = "jitter", .rule = (brg_stream_rule)rule));
            brg_stream_item item;
            for (int i = 0; i < 50; i++)
                assert_int_equal(brg_stream_next(stream, &item, BOUND), BRG_OK);
            if (how == 0)
                assert_int_equal(brg_pool_drain(pool, BOUND), BRG_OK);
            else if (how == 1)
                assert_int_equal(brg_pool_stop(pool, BOUND), BRG_OK);
            else if (how == 2)
                assert_int_equal(brg_pool_kill(pool, BOUND), BRG_OK);
            else
                brg_pool_destroy(pool); /* which is not as it should be, but safe */
            brg_status status;
            while ((status = brg_stream_next(stream, &item, BOUND)) == BRG_OK)
                ;
            brg_status why = brg_stream_get_error(stream, NULL);
            assert_true(why == BRG_CLOSED || (rule == BRG_STREAM_STOP && why == BRG_CANCELLED));
            assert_int_equal(status, why == BRG_CLOSED ? BRG_FAILED : BRG_CANCELLED);
            brg_stream_destroy(stream);
            if (how < 3)
                brg_pool_destroy(pool);
        }
    }
}

static void ends_when_workers_do_not_start(void **state)
{
    (void)state;
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS,
                                   brg_pool_opts(.workers_max = 1, .restart_min_ns = 1, .restart_max_ns = 1,
                                                 .breaker_failures = 2, .init_data = scenario_string("start", "fail")));
    streaming run = {.count = 1000, .empty = true};
    brg_stream *stream = streaming_create(&run, brg_stream_opts(.pool = pool, .task = "noop", .rule = BRG_STREAM_SKIP));
    brg_stream_item item;
    brg_status status = brg_stream_next(stream, &item, BOUND);
    assert_true(status == BRG_UNAVAILABLE || status == BRG_CLOSED);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

/* ---- cancelled, destroyed ---------------------------------------------------------------------------------------- */

static void cancels_at_any_moment(void **state)
{
    brg_pool *pool = streaming_pool(scenario_isolation(state), 2);
    const brg_stage stages[] = {BRG_STAGE(.pool = pool, .task = "jitter"), BRG_STAGE(.pool = pool, .task = "jitter")};
    for (int round = 0; round < (WATCH_SANITIZED ? 60 : 300); round++) {
        streaming run = {.count = UINT64_MAX};
        brg_token *token = NULL;
        assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
        brg_stream *stream = streaming_create(
            &run, brg_stream_opts(.stages = stages, .stage_count = 2, .unordered = round % 2 == 1, .token = token));
        brg_stream_item item;
        brg_status status = BRG_OK;
        for (int i = 0; i < round % 50 && status == BRG_OK; i++)
            status = brg_stream_next(stream, &item, BOUND);
        if (round % 3 == 0)
            brg_token_cancel(token);
        else if (round % 3 == 1)
            brg_stream_cancel(stream);
        if (round % 3 < 2) {
            while ((status = brg_stream_next(stream, &item, BOUND)) == BRG_OK)
                ;
            assert_int_equal(status, BRG_CANCELLED);
            brg_stream_counts counts = streaming_counts(stream);
            assert_int_equal(counts.taken, counts.delivered + counts.dropped);
            assert_int_equal(counts.failed, 0);
            assert_int_equal(atomic_load(&run.dropped), counts.dropped);
        }
        brg_token_unref(token);
        uint64_t delivered = streaming_counts(stream).delivered;
        brg_stream_destroy(stream);
        assert_int_equal(delivered + atomic_load(&run.dropped), run.taken); /* each one once */
    }
    brg_pool_destroy(pool);
}

static void a_cancelled_token_is_seen_at_once(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    brg_token_cancel(token);
    streaming run = {.count = UINT64_MAX};
    brg_stream *stream = streaming_create(&run, brg_stream_opts(.pool = pool, .run = same_value, .token = token));
    brg_stream_item item;
    brg_status status;
    while ((status = brg_stream_next(stream, &item, BOUND)) == BRG_OK)
        ;
    assert_int_equal(status, BRG_CANCELLED);
    brg_stream_destroy(stream);
    brg_token_unref(token);
    brg_pool_destroy(pool);
}

/* ---- from inside tasks ------------------------------------------------------------------------------------------- */

static brg_status consume_inside(brg_context *context, void *argument)
{
    brg_stream *stream = argument;
    brg_stream_item item;
    brg_status status;
    (void)context;
    while ((status = brg_stream_next(stream, &item, BOUND)) == BRG_OK)
        ;
    return status;
}

static void a_task_may_consume_but_not_wait_for_itself(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1)),
             *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    for (int own = 0; own < 2; own++) {
        streaming run = {.count = 1000};
        brg_stream *stream = streaming_create(&run, brg_stream_opts(.pool = pool, .run = same_value));
        brg_task *task = NULL;
        assert_int_equal(brg_pool_submit_call(own ? pool : other, consume_inside, stream, NULL, &task), BRG_OK);
        assert_int_equal(scenario_result(task)->status, own ? BRG_DEADLOCK : BRG_CLOSED);
        brg_task_unref(task);
        brg_stream_destroy(stream);
    }
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static void expect_refused(const brg_stream_options *options, brg_status status, const char *word)
{
    brg_error error;
    brg_stream *stream = NULL;
    memset(&error, 0, sizeof(error));
    assert_int_equal(brg_stream_create(&stream, options, &error), status);
    assert_null(stream);
    if (strstr(error.message, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.message, word);
}

static void on_item_of_none(const brg_stream_item *item, void *user_data) { (void)item, (void)user_data; }
static void on_room_of_none(void *user_data) { (void)user_data; }

static void says_what_is_wrong_with_options(void **state)
{
    (void)state;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    brg_pool *process = streaming_pool(BRG_ISOLATION_PROCESS, 1);
    const brg_stage none = BRG_STAGE(.pool = pool), both = BRG_STAGE(.pool = pool, .run = same_value, .task = "x"),
                    poolless = BRG_STAGE(.run = same_value);
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    expect_refused(brg_stream_opts(.in_flight_max = 1), BRG_INVALID, "no stage");
    expect_refused(brg_stream_opts(.stage_count = 1), BRG_INVALID, "stages is NULL");
    expect_refused(brg_stream_opts(.stage_count = 65, .stages = &none), BRG_INVALID, "64");
    expect_refused(brg_stream_opts(.stage_count = 1, .stages = &none, .pool = pool), BRG_INVALID, "short form");
    expect_refused(brg_stream_opts(.stage_count = 1, .stages = &none), BRG_INVALID, "neither task nor run");
    expect_refused(brg_stream_opts(.stage_count = 1, .stages = &both), BRG_INVALID, "task and run");
    expect_refused(brg_stream_opts(.stage_count = 1, .stages = &poolless), BRG_INVALID, "no pool");
    expect_refused(brg_stream_opts(.pool = pool, .run = same_value, .in_flight_max = 1u << 21), BRG_INVALID, "1048576");
    expect_refused(brg_stream_opts(.pool = pool, .run = same_value, .rule = (brg_stream_rule)3), BRG_INVALID, "rule");
    expect_refused(brg_stream_opts(.pool = pool, .run = same_value, .on_room = on_room_of_none), BRG_INVALID,
                   "on_item");
    expect_refused(brg_stream_opts(.pool = pool, .run = same_value, .on_item = on_item_of_none), BRG_INVALID, "loop");
    expect_refused(brg_stream_opts(.pool = pool, .task = "x"), BRG_INVALID, "no module");
    expect_refused(brg_stream_opts(.pool = process, .run = same_value), BRG_UNSUPPORTED, "process");
    expect_refused(brg_stream_opts(.pool = pool, .run = same_value, .submit = brg_submit_opts(.token = token)),
                   BRG_INVALID, "token");
    expect_refused(brg_stream_opts(.pool = pool, .run = same_value, .submit = brg_submit_opts(.tags = 1)), BRG_INVALID,
                   "tags");
    brg_token_unref(token);
    brg_pool_destroy(pool);
    brg_pool_destroy(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(follows_each_rule_at_each_stage),
                                       SCENARIO_BOTH(stop_ends_what_runs),
                                       SCENARIO_BOTH(gives_what_came_before_an_error_of_the_source),
                                       cmocka_unit_test(an_end_is_never_taken_for_a_good_one),
                                       cmocka_unit_test(retries_as_the_stage_says),
                                       SCENARIO_BOTH(goes_in_batches),
                                       cmocka_unit_test(loses_nothing_when_workers_die),
                                       cmocka_unit_test(leaves_a_deaf_stage_behind),
                                       cmocka_unit_test(refuses_in_a_child),
                                       cmocka_unit_test(loses_nothing_when_workers_are_killed),
                                       SCENARIO_BOTH(ends_with_its_pool),
                                       cmocka_unit_test(ends_when_workers_do_not_start),
                                       SCENARIO_BOTH(cancels_at_any_moment),
                                       cmocka_unit_test(a_cancelled_token_is_seen_at_once),
                                       cmocka_unit_test(a_task_may_consume_but_not_wait_for_itself),
                                       cmocka_unit_test(says_what_is_wrong_with_options)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
