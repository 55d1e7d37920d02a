/* SPDX-License-Identifier: MIT */
/* Flows over values, in both isolations. */
#include "scenario.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "base/random.h"

#define BOUND SCENARIO_BOUND

static brg_pool *make_pool(void **state, const brg_pool_options *given)
{
    char module[512];
    snprintf(module, sizeof(module), "%s/flow.so", getenv("TEST_MODULE_DIR"));
    brg_pool_options options = *given;
    options.module = module;
    return scenario_pool(scenario_isolation(state), &options);
}

/* 0 to count - 1, with a map that does `what` at `where`. */
static brg_value *numbers(size_t count, const char *what, size_t where, const char *log)
{
    brg_builder *builder = NULL;
    brg_value *list = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_list(builder);
    for (size_t i = 0; i < count; i++) {
        bool acts = what != NULL && i == where;
        if (!acts && log == NULL) {
            brg_builder_int(builder, (int64_t)i);
            continue;
        }
        brg_builder_map(builder);
        brg_builder_key(builder, "n");
        brg_builder_int(builder, (int64_t)i);
        if (acts) {
            brg_builder_key(builder, "do");
            brg_builder_string(builder, what);
        }
        if (log != NULL) {
            brg_builder_key(builder, "log");
            brg_builder_string(builder, log);
        }
        brg_builder_end(builder);
    }
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &list, NULL), BRG_OK);
    brg_builder_destroy(builder);
    return list;
}

/* Twice the numbers, without that at `skipped`. */
static void expect_doubled(const brg_value *list, size_t count, size_t skipped)
{
    brg_view root = brg_value_root(list);
    assert_int_equal(brg_view_type(root), BRG_TYPE_LIST);
    assert_int_equal(brg_view_count(root), count - (skipped < count));
    for (size_t i = 0, at = 0; i < count; i++) {
        int64_t number = -1;
        if (i == skipped)
            continue;
        assert_int_equal(brg_view_int(brg_view_at(root, at++), &number), BRG_OK);
        assert_int_equal(number, 2 * (int64_t)i);
    }
}

static void lists_are_mapped_in_order(void **state)
{
    uint64_t random = 7;
    for (uint32_t workers = 1; workers <= 3; workers++) {
        brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = workers));
        for (int i = 0; i < 20; i++) {
            size_t count = brg__random_below(&random, i < 5 ? 4 : 5000);
            brg_value *items = numbers(count, NULL, 0, NULL), *out = NULL;
            brg_error error;
            brg_status status = brg_map_values(
                pool, "double", items, &out,
                brg_flow_opts(.chunk_max = i % 3 == 0 ? 1 + brg__random_below(&random, 100) : 0,
                              .workers_max = brg__random_below(&random, 4)),
                &error);
            if (status != BRG_OK)
                fail_msg("%s", error.message);
            expect_doubled(out, count, SIZE_MAX);
            brg_value_unref(out);
            brg_value_unref(items);
        }
        brg_pool_destroy(pool);
    }
}

static void expect_rule(brg_pool *pool, const char *what, size_t where, brg_status status, bool in_process)
{
    enum { COUNT = 500 };
    brg_value *items = numbers(COUNT, what, where, NULL), *out = NULL;
    brg_error error;
    size_t failures = 0;
    assert_int_equal(brg_map_values(pool, "double", items, &out,
                                    brg_flow_opts(.errors = BRG_FLOW_SKIP, .failures = &failures), &error),
                     BRG_OK);
    expect_doubled(out, COUNT, where);
    assert_int_equal(failures, 1);
    brg_value_unref(out);
    out = NULL;
    assert_int_equal(brg_map_values(pool, "double", items, &out, brg_flow_opts(.errors = BRG_FLOW_COLLECT), &error),
                     BRG_OK);
    brg_view one = brg_view_at(brg_value_root(out), where);
    assert_int_equal(brg_view_count(brg_value_root(out)), COUNT);
    assert_int_equal(brg_view_error(one, &error), BRG_OK);
    assert_int_equal(error.status, status);
    int64_t detail = -1;
    if (!in_process) {
        assert_int_equal(brg_view_int(brg_view_error_detail(one), &detail), BRG_OK);
        assert_int_equal(detail, where);
    }
    brg_value_unref(out);
    for (int go_on = 0; go_on < 2; go_on++) {
        out = NULL;
        assert_int_equal(brg_map_values(pool, "double", items, &out,
                                        brg_flow_opts(.errors = go_on ? BRG_FLOW_GO_ON : BRG_FLOW_STOP), &error),
                         status);
        assert_int_equal(error.status, status);
        assert_true(in_process || error.code == (int64_t)where);
        assert_null(out);
    }
    brg_value_unref(items);
}

static void each_rule_of_errors_holds(void **state)
{
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2));
    for (size_t where = 0; where < 500; where += 61)
        expect_rule(pool, "fail", where, BRG_FAILED, false);
    brg_pool_destroy(pool);
}

static void a_crash_costs_one_element(void **state)
{
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2));
    expect_rule(pool, "crash", 0, BRG_CRASHED, true);
    expect_rule(pool, "crash", 250, BRG_CRASHED, true);
    expect_rule(pool, "exit", 499, BRG_EXITED, true);
    brg_pool_destroy(pool);
}

static void a_timeout_costs_one_element(void **state)
{
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2, .run_timeout_ns = BRG_MILLISECONDS(50)));
    brg_value *items = numbers(300, "spin", 200, NULL), *out = NULL;
    size_t failures = 0;
    assert_int_equal(brg_map_values(pool, "double", items, &out,
                                    brg_flow_opts(.errors = BRG_FLOW_SKIP, .failures = &failures), NULL),
                     BRG_OK);
    assert_true(failures >= 1); /* on a machine that stands still others may be late, too */
    assert_true(brg_view_count(brg_value_root(out)) == 300 - failures);
    brg_value_unref(out);
    brg_value_unref(items);
    brg_pool_destroy(pool);
}

/* With attempts left, the one that crashes alone is tried again. */
static void attempts_are_counted(void **state)
{
    char log[] = "/tmp/brigade-flow-XXXXXX";
    int fd = mkstemp(log);
    assert_true(fd >= 0);
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 1, .attempts_max = 3));
    brg_value *items = numbers(1, "crash", 0, log), *out = NULL;
    brg_error error;
    assert_int_equal(brg_map_values(pool, "double", items, &out, NULL, &error), BRG_CRASHED);
    assert_int_equal(lseek(fd, 0, SEEK_END), 3 * 2);
    brg_value_unref(items);
    brg_pool_destroy(pool);
    close(fd);
    unlink(log);
}

/* Whatever crashes, every other element is run, and none without need twice. */
static void nothing_is_lost(void **state)
{
    enum { COUNT = 200 };
    char log[] = "/tmp/brigade-flow-XXXXXX";
    int fd = mkstemp(log);
    assert_true(fd >= 0);
    bool in_process = scenario_isolation(state) == BRG_ISOLATION_PROCESS;
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2));
    brg_value *items = numbers(COUNT, in_process ? "crash" : "fail", 77, log), *out = NULL;
    assert_int_equal(brg_map_values(pool, "double", items, &out, brg_flow_opts(.errors = BRG_FLOW_SKIP), NULL), BRG_OK);
    expect_doubled(out, COUNT, 77);
    FILE *file = fdopen(fd, "r");
    uint32_t counts[COUNT] = {0};
    int number;
    rewind(file);
    while (fscanf(file, "%d", &number) == 1) {
        assert_in_range(number, 0, COUNT - 1);
        counts[number]++;
    }
    for (int i = 0; i < COUNT; i++)
        assert_in_range(counts[i], 1, in_process ? 2 : 1); /* in the chunk, and alone */
    fclose(file);
    unlink(log);
    brg_value_unref(out);
    brg_value_unref(items);
    brg_pool_destroy(pool);
}

static void outputs_may_be_nothing_or_large(void **state)
{
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2, .message_bytes_max = 100000));
    brg_builder *builder = NULL;
    brg_value *items = NULL, *out = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_list(builder);
    for (int i = 0; i < 40; i++) {
        brg_builder_map(builder);
        brg_builder_key(builder, "do");
        brg_builder_string(builder, i % 4 == 0 ? "nothing" : "large");
        brg_builder_key(builder, "bytes");
        brg_builder_int(builder, 30000);
        brg_builder_key(builder, "padding");
        char padding[20000] = {0};
        brg_builder_bytes(builder, padding, sizeof(padding));
        brg_builder_end(builder);
    }
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &items, NULL), BRG_OK);
    brg_builder_destroy(builder);
    brg_error error;
    brg_status status = brg_map_values(pool, "double", items, &out, brg_flow_opts(.chunk_min = 20), &error);
    if (status != BRG_OK)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < 40; i++) {
        size_t size = 0;
        brg_view one = brg_view_at(brg_value_root(out), i);
        assert_int_equal(brg_view_type(one), i % 4 == 0 ? BRG_TYPE_NIL : BRG_TYPE_BYTES);
        (void)brg_view_bytes(one, &size);
        assert_int_equal(size, i % 4 == 0 ? 0 : 30000);
    }
    brg_value_unref(out);
    brg_value_unref(items);
    brg_pool_destroy(pool);
}

static void an_unknown_task_is_named(void **state)
{
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 1));
    brg_value *items = numbers(10, NULL, 0, NULL), *out = NULL;
    brg_error error;
    assert_int_equal(brg_map_values(pool, "no such", items, &out, NULL, &error), BRG_NOT_FOUND);
    assert_non_null(strstr(error.message, "no such"));
    assert_int_equal(brg_map_values(pool, "\002each", items, &out, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_map_values(pool, "", items, &out, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_map_values(pool, "double", NULL, &out, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_map_values(pool, "double", items, NULL, NULL, &error), BRG_INVALID);
    brg_value_unref(items);
    assert_int_equal(brg_value_int(&items, 1, NULL), BRG_OK);
    assert_int_equal(brg_map_values(pool, "double", items, &out, NULL, &error), BRG_WRONG_TYPE);
    assert_non_null(strstr(error.message, "list"));
    assert_null(out);
    brg_value_unref(items);
    brg_pool_destroy(pool);
}

/* ---- reduce ------------------------------------------------------------------------------------------------------ */

static void results_are_reduced_in_order(void **state)
{
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2));
    const size_t counts[] = {0, 1, 2, 31, 32, 33, 1024, 1025, 3000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        brg_value *items = numbers(counts[i], NULL, 0, NULL), *out = NULL;
        brg_error error;
        int64_t sum = -1;
        assert_int_equal(brg_map_reduce_values(pool, "double", "sum", items, &out, NULL, &error), BRG_OK);
        assert_int_equal(brg_view_int(brg_value_root(out), &sum), BRG_OK);
        assert_int_equal(sum, counts[i] == 0 ? 0 : (int64_t)(counts[i] * (counts[i] - 1)));
        brg_value_unref(out);
        out = NULL;
        assert_int_equal(brg_map_reduce_values(pool, "name", "join", items, &out, NULL, &error), BRG_OK);
        const char *at = brg_view_string(brg_value_root(out), NULL);
        for (size_t k = 0; k < counts[i]; k++) {
            char *end;
            assert_int_equal(strtoull(at, &end, 10), k);
            at = end + 1;
        }
        assert_string_equal(at, "");
        brg_value_unref(out);
        brg_value_unref(items);
    }
    brg_pool_destroy(pool);
}

static void a_failed_reduce_is_told(void **state)
{
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2));
    brg_value *items = numbers(100, NULL, 0, NULL), *out = NULL;
    brg_error error;
    assert_int_equal(brg_map_reduce_values(pool, "name", "sum", items, &out, NULL, &error), BRG_FAILED);
    assert_string_equal(error.message, "no number");
    assert_int_equal(brg_map_reduce_values(pool, "name", "no such", items, &out, NULL, &error), BRG_NOT_FOUND);
    assert_null(out);
    brg_value_unref(items);
    brg_pool_destroy(pool);
}

/* ---- tokens, loops, ends ----------------------------------------------------------------------------------------- */

typedef struct told {
    uint32_t count;
    brg_status status;
    size_t outputs;
} told;

static void on_done(const brg_result *result, void *user_data)
{
    told *t = user_data;
    t->count++;
    t->status = result->status;
    t->outputs = result->output == NULL ? 0 : brg_view_count(brg_value_root(result->output));
}

static void the_loop_gets_the_list(void **state)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2, .loop = loop));
    told t[10] = {{0}};
    for (size_t i = 0; i < 10; i++) {
        brg_value *items = numbers(i * 100, "fail", i == 5 ? 250 : SIZE_MAX, NULL);
        assert_int_equal(
            brg_map_values(pool, "double", items, NULL, brg_flow_opts(.done = on_done, .user_data = &t[i]), NULL),
            BRG_OK);
        brg_value_unref(items);
    }
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(t[i].count, 1);
        assert_int_equal(t[i].status, i == 5 ? BRG_FAILED : BRG_OK);
        assert_int_equal(t[i].outputs, i == 5 ? 0 : i * 100);
    }
    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
}

/* What runs never ends by itself: destroying asks it to. */
static void destroying_the_pool_ends_it(void **state)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    for (int i = 0; i < 3; i++) {
        brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2, .loop = loop));
        told t = {0};
        brg_value *items = numbers(300, "spin", (size_t)i * 100, NULL);
        assert_int_equal(
            brg_map_values(pool, "double", items, NULL, brg_flow_opts(.done = on_done, .user_data = &t), NULL), BRG_OK);
        brg_pool_destroy(pool);
        assert_int_equal(t.count, 1);
        assert_int_equal(t.status, BRG_CANCELLED);
        brg_value_unref(items);
    }
    brg_loop_destroy(loop);
}

typedef struct canceller {
    brg_token *token;
    const char *log;
} canceller;

/* Waits until the element that never ends has begun. */
static brg_status cancel_when_begun(brg_context *context, void *argument)
{
    canceller *c = argument;
    (void)context;
    for (bool begun = false; !begun;) {
        FILE *file = fopen(c->log, "r");
        int number;
        while (file != NULL && fscanf(file, "%d", &number) == 1)
            begun = begun || number == 3;
        if (file != NULL)
            fclose(file);
        sched_yield();
    }
    brg_token_cancel(c->token);
    return BRG_OK;
}

static void a_token_ends_what_runs(void **state)
{
    char log[] = "/tmp/brigade-flow-XXXXXX";
    int fd = mkstemp(log);
    assert_true(fd >= 0);
    close(fd);
    canceller c = {.log = log};
    assert_int_equal(brg_token_create(&c.token, NULL), BRG_OK);
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2, .grace_ns = BRG_MILLISECONDS(50)));
    brg_value *items = numbers(100, "spin", 3, log), *out = NULL;
    brg_error error;
    assert_int_equal(brg_pool_call(other, cancel_when_begun, &c, NULL, NULL), BRG_OK);
    assert_int_equal(brg_map_values(pool, "double", items, &out, brg_flow_opts(.token = c.token), &error),
                     BRG_CANCELLED);
    assert_null(out);
    brg_value_unref(items);
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
    brg_token_unref(c.token);
    unlink(log);
}

static void wait_for_crashes(const brg_pool *pool, uint64_t count)
{
    while (scenario_stats(pool).workers_crashed < count)
        sched_yield();
}

/* Chunks that fail while elements of others are tried again: more ranges wait than there are chunks. */
static void crashes_pile_up(void **state)
{
    enum { CHUNK = 8 };
    char go[] = "/tmp/brigade-flow-XXXXXX";
    brg_loop *loop = NULL;
    brg_builder *builder = NULL;
    brg_value *items = NULL;
    told t = {0};
    size_t failures = 0;
    int fd = mkstemp(go);
    assert_true(fd >= 0);
    close(fd);
    unlink(go);
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_list(builder);
    for (int i = 0; i < 2 * CHUNK; i++) {
        brg_builder_map(builder);
        brg_builder_key(builder, "do");
        brg_builder_string(builder, i < CHUNK ? "crash" : "crash later");
        brg_builder_key(builder, "go");
        brg_builder_string(builder, go);
        brg_builder_end(builder);
    }
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &items, NULL), BRG_OK);
    brg_builder_destroy(builder);
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2, .loop = loop, .attempts_max = 3));
    assert_int_equal(brg_map_values(pool, "double", items, NULL,
                                    brg_flow_opts(.workers_max = 1, .chunk_min = CHUNK, .errors = BRG_FLOW_SKIP,
                                                  .failures = &failures, .done = on_done, .user_data = &t),
                                    NULL),
                     BRG_OK);
    (void)brg_loop_dispatch(loop); /* two chunks */
    wait_for_crashes(pool, 1);
    (void)brg_loop_dispatch(loop); /* the first element of the first, alone */
    wait_for_crashes(pool, 2);
    fd = open(go, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    wait_for_crashes(pool, 3);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.status, BRG_OK);
    assert_int_equal(t.outputs, 0);
    assert_int_equal(failures, 2 * CHUNK);
    brg_value_unref(items);
    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
    unlink(go);
}

typedef struct killer {
    canceller canceller;
    brg_pool *pool;
} killer;

static brg_status kill_when_begun(brg_context *context, void *argument)
{
    killer *k = argument;
    brg_status status = cancel_when_begun(context, &k->canceller);
    return status == BRG_OK ? brg_pool_kill(k->pool, BRG_FOREVER) : status;
}

/* Elements that never began are no results, whatever the rule. */
static void a_pool_that_is_killed_gives_no_list(void **state)
{
    for (int rule = BRG_FLOW_GO_ON; rule <= BRG_FLOW_COLLECT; rule++) {
        char log[] = "/tmp/brigade-flow-XXXXXX";
        int fd = mkstemp(log);
        assert_true(fd >= 0);
        close(fd);
        brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
        killer k = {.canceller = {.log = log}, .pool = make_pool(state, brg_pool_opts(.workers_max = 1))};
        brg_value *items = numbers(6, "spin", 3, log), *out = NULL;
        brg_error error;
        assert_int_equal(brg_token_create(&k.canceller.token, NULL), BRG_OK);
        assert_int_equal(brg_pool_call(other, kill_when_begun, &k, NULL, NULL), BRG_OK);
        assert_int_equal(brg_map_values(k.pool, "double", items, &out,
                                        brg_flow_opts(.errors = (brg_flow_errors)rule, .chunk_min = 6), &error),
                         BRG_CANCELLED);
        assert_int_equal(error.status, BRG_CANCELLED);
        assert_null(out);
        brg_value_unref(items);
        brg_pool_destroy(other);
        brg_pool_destroy(k.pool);
        brg_token_unref(k.canceller.token);
        unlink(log);
    }
}

static void a_token_ends_what_runs_in_the_background(void **state)
{
    char log[] = "/tmp/brigade-flow-XXXXXX";
    int fd = mkstemp(log);
    assert_true(fd >= 0);
    close(fd);
    canceller c = {.log = log};
    brg_loop *loop = NULL;
    told t = {0};
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_int_equal(brg_token_create(&c.token, NULL), BRG_OK);
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    brg_pool *pool = make_pool(state, brg_pool_opts(.workers_max = 2, .loop = loop, .grace_ns = BRG_MILLISECONDS(50)));
    brg_value *items = numbers(4, "spin", 3, log);
    assert_int_equal(brg_pool_call(other, cancel_when_begun, &c, NULL, NULL), BRG_OK);
    assert_int_equal(brg_map_values(pool, "double", items, NULL,
                                    brg_flow_opts(.token = c.token, .done = on_done, .user_data = &t), NULL),
                     BRG_OK);
    assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.status, BRG_CANCELLED);
    brg_value_unref(items);
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
    brg_loop_destroy(loop);
    brg_token_unref(c.token);
    unlink(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(lists_are_mapped_in_order),
        SCENARIO_BOTH(each_rule_of_errors_holds),
        SCENARIO_PROCESS(a_crash_costs_one_element),
        SCENARIO_PROCESS(a_timeout_costs_one_element),
        SCENARIO_PROCESS(attempts_are_counted),
        SCENARIO_BOTH(nothing_is_lost),
        SCENARIO_BOTH(outputs_may_be_nothing_or_large),
        SCENARIO_BOTH(an_unknown_task_is_named),
        SCENARIO_BOTH(results_are_reduced_in_order),
        SCENARIO_BOTH(a_failed_reduce_is_told),
        SCENARIO_BOTH(the_loop_gets_the_list),
        SCENARIO_BOTH(destroying_the_pool_ends_it),
        SCENARIO_PROCESS(a_token_ends_what_runs),
        SCENARIO_PROCESS(crashes_pile_up),
        SCENARIO_BOTH(a_pool_that_is_killed_gives_no_list),
        SCENARIO_PROCESS(a_token_ends_what_runs_in_the_background),
    };
    return cmocka_run_group_tests_name("flow_values", tests, NULL, NULL);
}
