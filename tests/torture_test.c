/* SPDX-License-Identifier: MIT */
/*
 * After curl's torture tests: each scenario is run again and again, failing the 1st, 2nd, ... n-th call of each entry
 * of the library's door to the kernel, until a run in which none failed. Whatever fails, every call works or says why
 * not, every accepted task settles exactly once, nothing hangs and nothing stays behind.
 */
#define _GNU_SOURCE 1
#include "scenario.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <brigade/uv.h>

#include "os/fault.h"
#include "os/sys.h"
#include "watch.h"

#define TORTURE_RUN_SECONDS 100 /* far more than a run takes: a run that hangs is named, and ends the test */

static char torture_now[128];

static void torture_hangs(int signal)
{
    (void)signal;
    static const char text[] = "this run hangs: ";
    if (write(2, text, sizeof(text) - 1) > 0 && write(2, torture_now, strlen(torture_now)) > 0 && write(2, "\n", 1) > 0)
        abort();
    abort();
}

/* In a forked child cmocka's way out leads into the parent's test. */
static bool torture_in_child;

#define torture_fail(...)                                                                                              \
    do {                                                                                                               \
        if (!torture_in_child)                                                                                         \
            fail_msg(__VA_ARGS__);                                                                                     \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fputc('\n', stderr);                                                                                           \
        _exit(2);                                                                                                      \
    } while (0)

/* ---- what every call promises ------------------------------------------------------------------------------------ */

static bool worked(brg_status status, const brg_error *error, const char *what)
{
    if (status == BRG_OK)
        return true;
    if (strcmp(brg_status_name(status), "BRG_?") == 0)
        torture_fail("%s: %s returned %d", torture_now, what, (int)status);
    if (error != NULL && (error->status != status || error->message[0] == '\0'))
        torture_fail("%s: %s returned %s with the error %s \"%s\"", torture_now, what, brg_status_name(status),
                     brg_status_name(error->status), error->message);
    return false;
}

static void expect(bool holds, const char *what)
{
    if (!holds)
        torture_fail("%s: %s", torture_now, what);
}

/* ---- pools ------------------------------------------------------------------------------------------------------- */

enum { TORTURE_TASKS = 8 };

typedef struct torture_task {
    brg_task *task;
    brg_status submitted;
    int done; /* how often its callback ran */
    brg_status status;
} torture_task;

static void torture_done(const brg_result *result, void *user_data)
{
    torture_task *task = user_data;
    task->done++;
    task->status = result->status;
    worked(result->status, result->error, "a task");
}

static brg_status torture_function(brg_context *context, void *argument)
{
    (void)argument;
    return brg_context_alloc(context, 10000) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static void torture_submit(brg_pool *pool, torture_task *task, int i, bool with_done, bool by_function)
{
    static const char *const names[] = {"noop", "echo", "fail", "who", "poll_politely", "allocate", "echo", "noop"};
    brg_error error;
    brg_value *input = NULL;
    memset(&error, 0, sizeof(error));
    if (i % 2 == 1 && !worked(brg_value_map(&input, &error, brg_field_int("bytes", 5000)), &error, "brg_value_map")) {
        task->submitted = BRG_NO_MEMORY;
        return;
    }
    const brg_submit_options options = {.size = sizeof(options),
                                        .done = with_done ? torture_done : NULL,
                                        .user_data = task,
                                        .error = &error,
                                        .run_timeout_ns = i == 4 ? BRG_MILLISECONDS(2) : 0,
                                        .queue_timeout_ns = i == 5 ? BRG_SECONDS(1000) : 0};
    if (by_function)
        task->submitted = brg_pool_submit_call(pool, torture_function, NULL, &options, &task->task);
    else
        task->submitted = brg_pool_submit(pool, names[i], input, &options, &task->task);
    if (!worked(task->submitted, &error, "brg_pool_submit")) {
        expect(task->task == NULL, "a refused submit gave a handle");
        expect(task->submitted != BRG_UNAVAILABLE, "one failure opened the breaker");
    }
    if (task->submitted != BRG_OK || by_function)
        brg_value_unref(input);
}

static void torture_settled(torture_task *task)
{
    if (task->submitted != BRG_OK)
        return;
    expect(brg_task_wait(task->task, BRG_SECONDS(60)) == BRG_OK, "a task does not settle");
    const brg_result *result = brg_task_result(task->task);
    expect(result != NULL, "a settled task has no result");
    worked(result->status, result->error, "a task");
    expect(result->status != BRG_UNAVAILABLE && result->status != BRG_LOST, "one failure cost too much");
}

static void torture_pool(brg_isolation isolation, bool with_loop, bool by_function)
{
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (with_loop && !worked(brg_loop_create(&loop, NULL, &error), &error, "brg_loop_create")) {
        expect(loop == NULL, "a failed create gave a loop");
        return;
    }
    brg_value *init = NULL;
    brg_value_map(&init, NULL, brg_field_string("greeting", "hello"));
    brg_status status = brg_pool_create(&pool,
                                        brg_pool_opts(.isolation = isolation, .module = scenario_module(), .loop = loop,
                                                      .workers_max = 2, .init_data = init, .timing = true,
                                                      .restart_min_ns = BRG_MILLISECONDS(1), .breaker_failures = 4),
                                        &error);
    if (!worked(status, &error, "brg_pool_create")) {
        expect(pool == NULL, "a failed create gave a pool");
        brg_value_unref(init); /* still ours */
    } else {
        torture_task tasks[TORTURE_TASKS];
        memset(tasks, 0, sizeof(tasks));
        for (int i = 0; i < TORTURE_TASKS; i++)
            torture_submit(pool, &tasks[i], i, with_loop, by_function);
        if (tasks[6].task != NULL)
            brg_task_cancel(tasks[6].task);
        for (int i = 0; i < TORTURE_TASKS - 1; i++) /* destroy ends the last */
            torture_settled(&tasks[i]);
        brg_pool_destroy(pool);
        for (int i = 0; i < TORTURE_TASKS; i++) {
            torture_settled(&tasks[i]);
            expect(tasks[i].done == (with_loop && tasks[i].submitted == BRG_OK), "a callback did not run once");
            expect(tasks[i].task == NULL || tasks[i].done == 0 ||
                       brg_task_result(tasks[i].task)->status == tasks[i].status,
                   "a task settled twice");
            brg_task_unref(tasks[i].task);
        }
    }
    expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
}

static void pool_with_handles(brg_isolation isolation) { torture_pool(isolation, false, false); }
static void pool_with_a_loop(brg_isolation isolation) { torture_pool(isolation, true, false); }
static void pool_of_functions(brg_isolation isolation)
{
    if (isolation == BRG_ISOLATION_THREAD)
        torture_pool(isolation, false, true);
}

/* A worker is lost and replaced while calls fail. */
static void pool_whose_worker_crashes(brg_isolation isolation)
{
    brg_pool *pool = NULL;
    brg_error error;
    if (isolation != BRG_ISOLATION_PROCESS)
        return;
    memset(&error, 0, sizeof(error));
    if (!worked(brg_pool_create(&pool,
                                brg_pool_opts(.isolation = isolation, .module = scenario_module(), .workers_max = 1,
                                              .restart_min_ns = BRG_MILLISECONDS(1), .breaker_failures = 4),
                                &error),
                &error, "brg_pool_create"))
        return;
    static const char *const names[] = {"abort", "noop", "who"};
    for (int i = 0; i < 3; i++) {
        torture_task task = {0};
        task.submitted = brg_pool_submit(pool, names[i], NULL, brg_submit_opts(.error = &error), &task.task);
        worked(task.submitted, &error, "brg_pool_submit");
        torture_settled(&task);
        if (i == 0 && task.task != NULL)
            expect(brg_task_result(task.task)->status != BRG_OK, "an abort is a success");
        brg_task_unref(task.task);
    }
    brg_pool_destroy(pool);
}

static void torture_count(brg_pool *pool, const brg_metrics *metrics, void *user_data)
{
    (void)pool;
    expect(brg_metrics_pool(metrics)->tasks_submitted <= 2, "the event counts what was not there");
    ++*(int *)user_data;
}

static void torture_texts(const brg_metrics *metrics)
{
    char *json = NULL, *page = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    bool made = worked(brg_metrics_json(metrics, BRG_JSON_INDENT, &json, NULL, &error), &error, "brg_metrics_json");
    expect(made == (json != NULL), "failed JSON is there");
    made = worked(brg_metrics_prometheus(&metrics, 1, &page, NULL, &error), &error, "brg_metrics_prometheus");
    expect(made == (page != NULL), "a failed page is there");
    brg_free(json);
    brg_free(page);
}

static void pool_that_is_read(brg_isolation isolation)
{
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    brg_metrics *metrics = NULL;
    brg_error error;
    int told = 0;
    memset(&error, 0, sizeof(error));
    FILE *null = fopen("/dev/null", "w");
    if (worked(brg_loop_create(&loop, NULL, &error), &error, "brg_loop_create") &&
        worked(brg_pool_create(&pool,
                               brg_pool_opts(.isolation = isolation, .module = scenario_module(), .workers_max = 1,
                                             .loop = loop, .on_metrics = torture_count, .user_data = &told,
                                             .metrics_interval_ns = BRG_MILLISECONDS(1),
                                             .restart_min_ns = BRG_MILLISECONDS(1), .breaker_failures = 4),
                               &error),
               &error, "brg_pool_create")) {
        for (int i = 0; i < 2; i++) {
            torture_task task = {0};
            torture_submit(pool, &task, i, false, false);
            torture_settled(&task);
            brg_task_unref(task.task);
        }
        bool read = worked(brg_pool_metrics(pool, &metrics, &error), &error, "brg_pool_metrics");
        expect(read == (metrics != NULL), "a failed reading is there");
        if (read)
            torture_texts(metrics);
        worked(brg_pool_dump(pool, null), NULL, "brg_pool_dump");
        brg_metrics_free(metrics);
        brg_pool_destroy(pool);
    }
    fclose(null);
    expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
}

static void torture_see(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    (void)lost;
    for (size_t i = 0; i < count; i++)
        *(bool *)user_data = *(bool *)user_data || events[i].type == BRG_EVENT_POOL_CLOSED;
}

static brg_status torture_take(void *user_data, const char *text, size_t size)
{
    (void)text;
    *(size_t *)user_data += size;
    return BRG_OK;
}

/* What is watched and traced from its first moment, and what is not there then. */
static void pool_that_is_watched(brg_isolation isolation)
{
    brg_error error;
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    brg_trace *trace = NULL;
    brg_watch *watch = NULL;
    bool is_closed = false;
    size_t size = 0;
    memset(&error, 0, sizeof(error));
    if (!worked(brg_loop_create(&loop, NULL, &error), &error, "brg_loop_create"))
        return;
    worked(brg_trace_create(&trace, NULL, &error), &error, "brg_trace_create");
    brg_status status = brg_pool_create(
        &pool,
        brg_pool_opts(.isolation = isolation, .module = scenario_module(), .loop = loop, .workers_max = 2,
                      .trace = trace, .watch = brg_watch_opts(.on_events = torture_see, .user_data = &is_closed),
                      .restart_min_ns = BRG_MILLISECONDS(1), .breaker_failures = 4),
        &error);
    if (worked(status, &error, "brg_pool_create")) {
        torture_task task = {0};
        worked(
            brg_watch_create(&watch, pool, brg_watch_opts(.on_events = torture_see, .user_data = &is_closed), &error),
            &error, "brg_watch_create");
        task.submitted = brg_pool_submit(pool, "noop", NULL, brg_submit_opts(.error = &error), &task.task);
        worked(task.submitted, &error, "brg_pool_submit");
        torture_settled(&task);
        brg_task_unref(task.task);
        if (trace != NULL)
            worked(brg_trace_print(trace, torture_take, &size, &error), &error, "brg_trace_print");
        brg_pool_destroy(pool);
    } else {
        expect(pool == NULL, "a failed create gave a pool");
        expect(!is_closed, "a pool that never was told of its end");
    }
    brg_watch_destroy(watch);
    brg_trace_destroy(trace);
    expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static void torture_exit_count(brg_worker *worker, const brg_exit *exit, void *user_data)
{
    (void)worker;
    (void)exit;
    ++*(int *)user_data;
}

static void worker_with_a_mailbox(brg_isolation isolation)
{
    brg_worker *worker = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (!worked(
            brg_worker_create(&worker, brg_worker_opts(.isolation = isolation, .module = scenario_module()), &error),
            &error, "brg_worker_create")) {
        expect(worker == NULL, "a failed create gave a worker");
        return;
    }
    bool online = worked(brg_worker_wait_online(worker, BRG_SECONDS(60), &error), &error, "brg_worker_wait_online");
    for (int i = 0; i < 3 && online; i++) {
        brg_value *message = NULL, *answer = NULL;
        if (!worked(brg_value_map(&message, &error, brg_field_int("n", i)), &error, "brg_value_map"))
            continue;
        if (!worked(brg_worker_post(worker, message, BRG_SECONDS(60), &error), &error, "brg_worker_post")) {
            brg_value_unref(message);
            continue;
        }
        brg_status status = brg_worker_receive(worker, &answer,
                                               BRG_MILLISECONDS(200)); /* the handler may have failed */
        if (worked(status, NULL, "brg_worker_receive")) {
            brg_value_unref(answer);
        } else {
            expect(answer == NULL, "a failed receive gave a message");
            expect(brg__fault_fired(), "a message was lost for no reason");
        }
    }
    brg_worker_destroy(worker);
}

/* Messages by callback. The handler's own failures are reported, and cost an answer; nothing else does. */
typedef struct torture_chat {
    brg_loop *loop;
    int outstanding;
} torture_chat;

static void torture_less(torture_chat *chat)
{
    if (--chat->outstanding == 0)
        brg_loop_stop(chat->loop);
}

static void torture_message(brg_worker *worker, brg_value *message, void *user_data)
{
    (void)worker;
    expect(brg_view_get_int(brg_value_root(message), "n", -1) >= 0, "a message is broken");
    torture_less(user_data);
}

static void torture_error(brg_worker *worker, const brg_error *error, void *user_data)
{
    (void)worker;
    worked(error->status, error, "on_error");
    torture_less(user_data);
}

static void torture_exit(brg_worker *worker, const brg_exit *exit, void *user_data)
{
    (void)worker;
    expect(exit->status != BRG_PROTOCOL, "our failure was called the worker's");
    brg_loop_stop(((torture_chat *)user_data)->loop);
}

static void worker_that_answers_on_a_loop(brg_isolation isolation)
{
    brg_worker *worker = NULL;
    torture_chat chat = {0};
    brg_error error;
    if (isolation != BRG_ISOLATION_PROCESS) /* in a thread the failing call may be the handler's or the report's own */
        return;
    memset(&error, 0, sizeof(error));
    if (!worked(brg_loop_create(&chat.loop, NULL, &error), &error, "brg_loop_create"))
        return;
    if (worked(brg_worker_create(&worker,
                                 brg_worker_opts(.isolation = isolation, .module = scenario_module(), .loop = chat.loop,
                                                 .on_message = torture_message, .on_error = torture_error,
                                                 .on_exit = torture_exit, .user_data = &chat),
                                 &error),
               &error, "brg_worker_create")) {
        for (int i = 0; i < 40; i++) {
            brg_value *message = NULL;
            if (!worked(brg_value_map(&message, &error, brg_field_int("n", i)), &error, "brg_value_map"))
                continue;
            if (worked(brg_worker_post(worker, message, BRG_SECONDS(60), &error), &error, "brg_worker_post"))
                chat.outstanding++;
            else
                brg_value_unref(message);
        }
        if (chat.outstanding != 0)
            worked(brg_loop_run(chat.loop), NULL, "brg_loop_run");
        brg_worker_destroy(worker);
    }
    expect(brg_loop_destroy(chat.loop) == BRG_OK, "a loop is in use for ever");
}

static void worker_with_a_loop(brg_isolation isolation)
{
    brg_worker *worker = NULL;
    brg_loop *loop = NULL;
    brg_error error;
    int exits = 0;
    memset(&error, 0, sizeof(error));
    if (!worked(brg_loop_create(&loop, NULL, &error), &error, "brg_loop_create"))
        return;
    if (worked(brg_worker_create(&worker,
                                 brg_worker_opts(.isolation = isolation, .module = scenario_module(), .loop = loop,
                                                 .on_exit = torture_exit_count, .user_data = &exits),
                                 &error),
               &error, "brg_worker_create")) {
        worked(brg_worker_terminate(worker), NULL, "brg_worker_terminate");
        worked(brg_loop_run(loop), NULL, "brg_loop_run");
        expect(exits == 1, "on_exit did not run once");
        brg_worker_destroy(worker);
    }
    expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

static void loops_of_all_kinds(brg_isolation isolation)
{
    brg_loop *loop = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (isolation != BRG_ISOLATION_THREAD)
        return;
    if (worked(brg_loop_create(&loop, brg_loop_opts(.external = true), &error), &error, "brg_loop_create")) {
        expect(brg_loop_fd(loop) >= 0 && brg_loop_dispatch(loop) == 0 && brg_loop_run(loop) == BRG_STATE,
               "an external loop");
        expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
    }
    uv_loop_t uv;
    assert_int_equal(uv_loop_init(&uv), 0);
    if (worked(brg_loop_create_uv(&loop, &uv, NULL, &error), &error, "brg_loop_create_uv")) {
        uv_run(&uv, UV_RUN_NOWAIT);
        expect(brg_loop_destroy(loop) == BRG_OK, "a loop is in use for ever");
    }
    uv_run(&uv, UV_RUN_DEFAULT);
    expect(uv_loop_close(&uv) == 0, "something is left in the user's loop");
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

typedef struct torture_items {
    int made, dropped;
} torture_items;

static brg_status torture_source(brg_value **item, void **tag, void *user_data)
{
    torture_items *items = user_data;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (items->made == 2 * TORTURE_TASKS)
        return BRG_CLOSED;
    if (!worked(brg_value_map(item, &error, brg_field_int("bytes", 5000)), &error, "brg_value_map"))
        return BRG_NO_MEMORY;
    *tag = items;
    items->made++;
    return BRG_OK;
}

static void torture_drop(void *tag, void *user_data)
{
    expect(tag == user_data, "a tag is another's");
    ((torture_items *)user_data)->dropped++;
}

/* Each item comes out once, good or bad, or is dropped; the end says why. */
static void stream_of_two_stages(brg_isolation isolation)
{
    static const char *const second[] = {"who", "fail"};
    for (int rule = 0; rule < 2; rule++) {
        brg_pool *pool = NULL;
        brg_stream *stream = NULL;
        brg_error error;
        torture_items items = {.made = 0};
        memset(&error, 0, sizeof(error));
        const brg_pool_options *options = brg_pool_opts(.isolation = isolation, .module = scenario_module(),
                                                        .workers_max = 1, .restart_min_ns = 1, .breaker_failures = 4);
        if (!worked(brg_pool_create(&pool, options, &error), &error, "brg_pool_create"))
            return;
        const brg_stage stages[] = {BRG_STAGE(.pool = pool, .task = "echo"),
                                    BRG_STAGE(.pool = pool, .task = second[rule])};
        if (worked(brg_stream_create(&stream,
                                     brg_stream_opts(.stages = stages, .stage_count = 2, .source = torture_source,
                                                     .drop = torture_drop, .user_data = &items,
                                                     .rule = rule == 0 ? BRG_STREAM_COLLECT : BRG_STREAM_STOP),
                                     &error),
                   &error, "brg_stream_create")) {
            brg_stream_item item;
            brg_status status;
            int came = 0;
            for (; (status = brg_stream_next(stream, &item, BRG_SECONDS(60))) == BRG_OK; came++) {
                expect(item.index == (uint64_t)came, "an item is out of its place");
                worked(item.status, item.error, "an item");
            }
            expect(status != BRG_TIMED_OUT && status != BRG_EMPTY, "a stream does not end");
            expect(status != BRG_NO_MEMORY || came <= items.made, "more came than went in");
            brg_stream_destroy(stream);
            expect(came + items.dropped == items.made, "an item is lost");
        } else {
            expect(stream == NULL, "a failed create gave a stream");
        }
        brg_pool_destroy(pool);
    }
}

/* ---- flows ------------------------------------------------------------------------------------------------------- */

enum { TORTURE_ELEMENTS = 64 };

typedef struct torture_counts {
    uint32_t xcounts[TORTURE_ELEMENTS];
    uint32_t xlive; /* accumulators that hold memory */
} torture_counts;

static brg_status torture_range(brg_context *context, size_t first, size_t end, void *state)
{
    torture_counts *counts = state;
    for (size_t i = first; i < end; i++)
        __atomic_fetch_add(&counts->xcounts[i], 1, __ATOMIC_RELAXED);
    return brg_context_alloc(context, 100) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

static brg_status torture_fold(brg_context *context, size_t first, size_t end, void *accumulator, void *state)
{
    torture_counts *counts = state;
    char **own = accumulator;
    (void)context, (void)first, (void)end;
    if (*own == NULL) {
        *own = malloc(10);
        __atomic_fetch_add(&counts->xlive, 1, __ATOMIC_RELAXED);
    }
    return BRG_OK;
}

static void torture_discard(void *accumulator, void *state)
{
    torture_counts *counts = state;
    char **own = accumulator;
    if (*own != NULL)
        __atomic_fetch_sub(&counts->xlive, 1, __ATOMIC_RELAXED);
    free(*own);
}

static brg_status torture_combine(void *into, void *from, void *state)
{
    (void)into;
    torture_discard(from, state);
    return BRG_OK;
}

static void torture_arrays(brg_pool *pool)
{
    brg_error error;
    torture_counts counts;
    memset(&counts, 0, sizeof(counts));
    bool all = worked(
        brg_parallel_for(pool, TORTURE_ELEMENTS, torture_range, &counts, brg_flow_opts(.chunk_max = 4), &error), &error,
        "brg_parallel_for");
    for (int i = 0; i < TORTURE_ELEMENTS; i++)
        expect(counts.xcounts[i] <= 1 && (!all || counts.xcounts[i] == 1), "an element did not run once");
    for (int unordered = 0; unordered < 2; unordered++) {
        char *result = NULL;
        bool reduced = worked(brg_map_reduce(pool, TORTURE_ELEMENTS,
                                             brg_reduction_opts(.fold = torture_fold, .combine = torture_combine,
                                                                .discard = torture_discard, .state = &counts,
                                                                .accumulator_bytes = sizeof(result)),
                                             &result, brg_flow_opts(.chunk_max = 4, .unordered = unordered), &error),
                              &error, "brg_map_reduce");
        expect(reduced == (result != NULL), "a failed reduction left something");
        if (reduced)
            torture_discard(&result, &counts);
        expect(counts.xlive == 0, "an accumulator is lost");
    }
}

static void torture_values(brg_pool *pool)
{
    brg_error error;
    brg_builder *builder = NULL;
    brg_value *items = NULL, *out = NULL;
    if (!worked(brg_builder_create(&builder, &error), &error, "brg_builder_create"))
        return;
    brg_builder_list(builder);
    for (int i = 0; i < TORTURE_ELEMENTS; i++)
        brg_builder_int(builder, i);
    brg_builder_end(builder);
    if (worked(brg_builder_finish(builder, &items, &error), &error, "brg_builder_finish")) {
        if (worked(brg_map_values(pool, "echo", items, &out, brg_flow_opts(.chunk_max = 8), &error), &error,
                   "brg_map_values"))
            expect(brg_view_equal(brg_value_root(items), brg_value_root(out)), "an element is lost");
        else
            expect(out == NULL, "a failed map gave a list");
    }
    brg_value_unref(out);
    brg_value_unref(items);
    brg_builder_destroy(builder);
}

static void flows(brg_isolation isolation)
{
    brg_pool *pool = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (!worked(brg_pool_create(&pool,
                                brg_pool_opts(.isolation = isolation, .module = scenario_module(), .workers_max = 2,
                                              .restart_min_ns = BRG_MILLISECONDS(1), .breaker_failures = 4),
                                &error),
                &error, "brg_pool_create"))
        return;
    if (isolation == BRG_ISOLATION_THREAD)
        torture_arrays(pool);
    torture_values(pool);
    brg_pool_destroy(pool);
}

/* ---- the torture ------------------------------------------------------------------------------------------------- */

typedef struct torture_scenario {
    const char *name;
    void (*run)(brg_isolation isolation);
} torture_scenario;

#define TORTURE_SCENARIO(function)                                                                                     \
    {                                                                                                                  \
#function, function                                                                                            \
    }
static const torture_scenario scenarios[] = {TORTURE_SCENARIO(pool_with_handles),
                                             TORTURE_SCENARIO(pool_with_a_loop),
                                             TORTURE_SCENARIO(pool_of_functions),
                                             TORTURE_SCENARIO(pool_whose_worker_crashes),
                                             TORTURE_SCENARIO(pool_that_is_read),
                                             TORTURE_SCENARIO(pool_that_is_watched),
                                             TORTURE_SCENARIO(worker_with_a_mailbox),
                                             TORTURE_SCENARIO(worker_with_a_loop),
                                             TORTURE_SCENARIO(worker_that_answers_on_a_loop),
                                             TORTURE_SCENARIO(loops_of_all_kinds),
                                             TORTURE_SCENARIO(stream_of_two_stages),
                                             TORTURE_SCENARIO(flows)};

static const char *const entries[] = {
#define TORTURE_ENTRY(type, name, parameters) #name,
    BRG__SYS_MAP(TORTURE_ENTRY)
#undef TORTURE_ENTRY
};
enum {
    ENTRIES = sizeof(entries) / sizeof(entries[0]),
    SCENARIOS = sizeof(scenarios) / sizeof(scenarios[0]),
    CALLS_MAX = 1000
};

/* Fails the nth call of an entry during one run; false when it made fewer. */
static bool torture_once(const torture_scenario *scenario, brg_isolation isolation, const char *entry, uint64_t nth)
{
    snprintf(torture_now, sizeof(torture_now), "%s in a %s, failing %s number %llu", scenario->name,
             isolation == BRG_ISOLATION_THREAD ? "thread" : "process", entry, (unsigned long long)nth);
    alarm(TORTURE_RUN_SECONDS);
    brg__fault_arm(entry, nth);
    scenario->run(isolation);
    bool fired = brg__fault_fired();
    brg__fault_disarm();
    alarm(0);
    return fired;
}

static void torture_scenarios(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    uint64_t failed = 0;
    for (int i = 0; i < SCENARIOS; i++) {
        scenarios[i].run(isolation); /* supervisor and template are there from now on */
        int files = scenario_open_files();
        for (int entry = 0; entry < ENTRIES; entry++)
            for (uint64_t nth = 1; nth <= CALLS_MAX && torture_once(&scenarios[i], isolation, entries[entry], nth);
                 nth++) {
                failed++;
                if (!watch_until_files(files))
                    fail_msg("%s: %d descriptors are open, not %d", torture_now, scenario_open_files(), files);
            }
        scenarios[i].run(isolation); /* nothing is left broken */
    }
    assert_true(failed > 100);
    assert_int_equal(brg_workers_lost(), 0);
}

/*
 * The same from a cold start: in a forked child the library begins anew, so that starting the supervisor and the first
 * template fails, too. One scenario for each isolation.
 */
static bool torture_cold(const torture_scenario *scenario, brg_isolation isolation, const char *entry, uint64_t nth)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        torture_in_child = true;
        bool fired = torture_once(scenario, isolation, entry, nth);
        scenario->run(isolation); /* and the second try works */
        _exit(fired ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        fail_msg("cold start: %s, failing %s number %llu: status 0x%x", scenario->name, entry, (unsigned long long)nth,
                 (unsigned)status);
    return WEXITSTATUS(status) == 0;
}

static void torture_cold_starts(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    uint64_t failed = 0;
    if (WATCH_SANITIZED == 2)
        skip(); /* ThreadSanitizer does not let a child of a threaded program start threads */
    for (int entry = 0; entry < ENTRIES; entry++)
        for (uint64_t nth = 1; nth <= CALLS_MAX && torture_cold(&scenarios[0], isolation, entries[entry], nth); nth++)
            failed++;
    assert_true(failed > 20);
}

int main(void)
{
    signal(SIGALRM, torture_hangs);
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(torture_cold_starts), SCENARIO_BOTH(torture_scenarios)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
