/* SPDX-License-Identifier: MIT */
/* Flows in traces and events: every chunk once, on its worker, between the start and the end of its flow. */
#include <stdio.h>

#include "marks.h"
#include "plug.h"
#include "tracing.h"
#include "watch.h"

#define BOUND SCENARIO_BOUND

/* ---- what a trace has of flows ----------------------------------------------------------------------------------- */

enum { PIECES_MAX = 4096 };

typedef struct piece {
    int64_t flow, first, end, tid;
    double from, to; /* times */
    const char *name, *status;
} piece;

/* Of one trace: the names are the value's. */
typedef struct pieces {
    brg_value *value;
    piece chunks[PIECES_MAX], flows[PIECES_MAX];
    size_t chunk_count, flow_count;
} pieces;

static piece *piece_read(piece *one, brg_view event)
{
    brg_view args = brg_view_get(event, "args");
    *one = (piece){.flow = brg_view_get_int(args, "flow", -1),
                   .first = brg_view_get_int(args, "first", 0),
                   .end = brg_view_get_int(args, "end", 0),
                   .tid = brg_view_get_int(event, "tid", -1),
                   .from = brg_view_get_double(event, "ts", -1),
                   .name = brg_view_get_string(event, "name", ""),
                   .status = brg_view_get_string(args, "status", "")};
    one->to = one->from + brg_view_get_double(event, "dur", 0);
    return one;
}

static void pieces_take(pieces *self, brg_view event)
{
    const char *phase = brg_view_get_string(event, "ph", ""), *kind = brg_view_get_string(event, "cat", "");
    if (strcmp(kind, "chunk") == 0) {
        assert_string_equal(phase, "X");
        assert_true(self->chunk_count < PIECES_MAX);
        piece *chunk = piece_read(&self->chunks[self->chunk_count++], event);
        assert_int_equal(brg_view_get_int(brg_view_get(event, "args"), "elements", -1), chunk->end - chunk->first);
        assert_true(chunk->end > chunk->first);
    } else if (strcmp(kind, "flow") == 0 && phase[0] == 'b') {
        assert_true(self->flow_count < PIECES_MAX);
        piece *flow = piece_read(&self->flows[self->flow_count++], event);
        flow->end = brg_view_get_int(brg_view_get(event, "args"), "elements", -1);
    } else if (strcmp(kind, "flow") == 0) {
        assert_string_equal(phase, "e"); /* it follows its begin */
        self->flows[self->flow_count - 1].to = brg_view_get_double(event, "ts", -1);
    }
}

/* Reads it, and checks that each chunk lies in the time of its flow, if that has a start. */
static pieces *pieces_read(brg_trace *trace)
{
    pieces *self = calloc(1, sizeof(*self));
    assert_non_null(self);
    self->value = tracing_read(trace);
    (void)tracing_check(self->value);
    brg_view events = brg_view_get(brg_value_root(self->value), "traceEvents");
    for (size_t i = 0; i < brg_view_count(events); i++)
        pieces_take(self, brg_view_at(events, i));
    for (size_t i = 0; i < self->chunk_count; i++)
        for (size_t k = 0; k < self->flow_count; k++) {
            const piece *chunk = &self->chunks[i], *flow = &self->flows[k];
            if (chunk->flow != flow->flow)
                continue;
            assert_string_equal(chunk->name, flow->name);
            assert_true(chunk->from >= flow->from && chunk->to <= flow->to + 0.001); /* ends are rounded sums */
        }
    return self;
}

static void pieces_free(pieces *self)
{
    brg_value_unref(self->value);
    free(self);
}

static int piece_compare(const void *a, const void *b)
{
    const piece *one = a, *other = b;
    if (one->flow != other->flow)
        return one->flow < other->flow ? -1 : 1;
    return one->first < other->first ? -1 : one->first > other->first;
}

/* The chunks of each flow that is done are all of its elements, each once. */
static void pieces_are_all(pieces *self)
{
    qsort(self->chunks, self->chunk_count, sizeof(self->chunks[0]), piece_compare);
    for (size_t k = 0; k < self->flow_count; k++) {
        const piece *flow = &self->flows[k];
        int64_t reached = 0;
        assert_string_equal(flow->status, "BRG_OK");
        for (size_t i = 0; i < self->chunk_count; i++) {
            if (self->chunks[i].flow != flow->flow)
                continue;
            assert_int_equal(self->chunks[i].first, reached);
            assert_string_equal(self->chunks[i].status, "BRG_OK");
            reached = self->chunks[i].end;
        }
        assert_int_equal(reached, flow->end);
    }
}

/* ---- arrays ------------------------------------------------------------------------------------------------------ */

static void each_chunk_is_a_slice(void **state)
{
    (void)state;
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.trace = trace, .workers_max = 3));
    uint64_t counted = 0;
    for (size_t count = 0; count < 5; count++)
        assert_int_equal(brg_parallel_for(pool, count * 1000, marks_count, &counted,
                                          brg_flow_opts(.name = "count them", .chunk_min = 10, .chunk_max = 100), NULL),
                         BRG_OK);
    assert_int_equal(counted, 10000);
    pieces *all = pieces_read(trace);
    assert_int_equal(all->flow_count, 5);
    assert_true(all->chunk_count >= 100);
    pieces_are_all(all);
    for (size_t i = 0; i < all->chunk_count; i++) {
        assert_in_range(all->chunks[i].tid % 100000, 1, 3); /* 0 is the pool's */
        assert_string_equal(all->chunks[i].name, "count them");
        assert_true(all->chunks[i].end - all->chunks[i].first <= 100);
    }
    pieces_free(all);
    brg_pool_stats stats = scenario_stats(pool);
    assert_int_equal(stats.submitted, 0); /* in a trace, and in no count */
    assert_int_equal(stats.done, 0);
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

static brg_status another(brg_context *context, size_t first, size_t end, void *state)
{
    return marks_count(context, first, end, state);
}

/* Without a name it is the function's, or where that lies. */
static void functions_have_their_names(void **state)
{
    (void)state;
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.trace = trace, .workers_max = 1));
    uint64_t counted = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(brg_parallel_for(pool, 100, i == 1 ? another : marks_count, &counted, NULL, NULL), BRG_OK);
    pieces *all = pieces_read(trace);
    assert_int_equal(all->flow_count, 3);
    assert_string_not_equal(all->flows[0].name, "");
    assert_string_equal(all->flows[0].name, all->flows[2].name);
    if (strcmp(all->flows[0].name, "(function)") != 0)
        assert_string_not_equal(all->flows[0].name, all->flows[1].name);
    pieces_are_all(all);
    pieces_free(all);
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

typedef struct nest {
    brg_pool *pool;
    uint32_t depth;
    uint64_t xleaves;
} nest;

static brg_status nest_range(brg_context *context, size_t first, size_t end, void *state)
{
    nest *n = state;
    nest below = {.pool = n->pool, .depth = n->depth - 1};
    (void)context;
    for (size_t i = first; i < end; i++) {
        if (n->depth == 0) {
            __atomic_fetch_add(&n->xleaves, 1, __ATOMIC_RELAXED);
            continue;
        }
        brg_status status = brg_parallel_for(n->pool, 4, nest_range, &below, brg_flow_opts(.name = "inner"), NULL);
        if (status != BRG_OK)
            return status;
    }
    __atomic_fetch_add(&n->xleaves, below.xleaves, __ATOMIC_RELAXED);
    return BRG_OK;
}

static brg_status nest_task(brg_context *context, void *argument) { return nest_range(context, 0, 1, argument); }

/* The readers check that slices lie inside each other. */
static void flows_in_flows_and_tasks_nest(void **state)
{
    (void)state;
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.trace = trace, .workers_max = 3));
    nest n[4];
    brg_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        n[i] = (nest){.pool = pool, .depth = 3};
        assert_int_equal(brg_pool_submit_call(pool, nest_task, &n[i], NULL, &tasks[i]), BRG_OK);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(scenario_result(tasks[i])->status, BRG_OK);
        assert_int_equal(n[i].xleaves, 64);
        brg_task_unref(tasks[i]);
    }
    pieces *all = pieces_read(trace);
    assert_int_equal(all->flow_count, 4 * (1 + 4 + 16));
    pieces_are_all(all);
    assert_int_equal(tracing_check(all->value).tasks, 4);
    pieces_free(all);
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static brg_value *value_list(size_t count)
{
    brg_builder *builder = NULL;
    brg_value *list = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_list(builder);
    for (size_t i = 0; i < count; i++)
        brg_builder_int(builder, (int64_t)i);
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &list, NULL), BRG_OK);
    brg_builder_destroy(builder);
    return list;
}

static void values_have_their_tasks_name(void **state)
{
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.trace = trace, .workers_max = 2));
    brg_value *items = value_list(300), *out = NULL;
    assert_int_equal(brg_map_values(pool, "echo", items, &out, brg_flow_opts(.chunk_max = 10), NULL), BRG_OK);
    brg_value_unref(out);
    pieces *all = pieces_read(trace);
    assert_int_equal(all->flow_count, 1);
    assert_string_equal(all->flows[0].name, "echo");
    assert_int_equal(all->flows[0].end, 300);
    pieces_are_all(all);
    for (size_t i = 0; i < all->chunk_count; i++)
        assert_in_range(all->chunks[i].tid % 100000, 1, 2);
    pieces_free(all);
    brg_value_unref(items);
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

/* A chunk that fails as a whole is there, and its elements once more, each alone. */
static void chunks_that_crash_are_in_it(void **state)
{
    (void)state;
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_pool(BRG_ISOLATION_PROCESS, brg_pool_opts(.trace = trace, .workers_max = 1,
                                                                        .restart_min_ns = 1, .breaker_failures = 100));
    brg_value *items = value_list(6), *out = NULL;
    size_t failures = 0;
    assert_int_equal(brg_map_values(pool, "abort", items, &out,
                                    brg_flow_opts(.errors = BRG_FLOW_SKIP, .chunk_min = 3, .failures = &failures),
                                    NULL),
                     BRG_OK);
    assert_int_equal(failures, 6);
    brg_value_unref(out);
    pieces *all = pieces_read(trace);
    assert_int_equal(all->flow_count, 1);
    size_t large = 0, alone = 0;
    for (size_t i = 0; i < all->chunk_count; i++) {
        const piece *chunk = &all->chunks[i];
        assert_string_not_equal(chunk->status, "BRG_OK");
        assert_string_not_equal(chunk->status, "running");
        large += chunk->end - chunk->first == 3;
        alone += chunk->end - chunk->first == 1;
    }
    assert_int_equal(large, 2);
    assert_int_equal(alone, 6);
    pieces_free(all);
    brg_value_unref(items);
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

/* ---- what goes on, and what is lost ------------------------------------------------------------------------------ */

typedef struct calling {
    brg_pool *pool;
    plug plug;
} calling;

static brg_status plug_range(brg_context *context, size_t first, size_t end, void *state)
{
    (void)first, (void)end;
    return plug_task(context, state);
}

static brg_status call_plugged(brg_context *context, void *argument)
{
    calling *c = argument;
    (void)context;
    return brg_parallel_for(c->pool, 2, plug_range, &c->plug, brg_flow_opts(.name = "plugged", .chunk_min = 2), NULL);
}

static void what_goes_on_is_in_it(void **state)
{
    (void)state;
    brg_trace *trace = tracing_new(NULL), *late = tracing_new(NULL);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.trace = trace, .workers_max = 1));
    brg_pool *other = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    calling c = {.pool = pool};
    brg_task *task = NULL;
    assert_int_equal(brg_pool_submit_call(other, call_plugged, &c, NULL, &task), BRG_OK);
    plug_wait(&c.plug, 1);
    pieces *all = pieces_read(trace);
    assert_int_equal(all->flow_count, 1);
    assert_int_equal(all->chunk_count, 1);
    assert_string_equal(all->flows[0].status, "running");
    assert_string_equal(all->chunks[0].status, "running");
    pieces_free(all);
    assert_int_equal(brg_trace_add(late, pool, NULL), BRG_OK); /* in the middle */
    plug_pull(&c.plug);
    assert_int_equal(scenario_result(task)->status, BRG_OK);
    all = pieces_read(trace);
    pieces_are_all(all);
    pieces_free(all);
    all = pieces_read(late); /* ends without starts are left out */
    assert_int_equal(all->flow_count + all->chunk_count, 0);
    pieces_free(all);
    brg_task_unref(task);
    brg_pool_destroy(pool);
    brg_pool_destroy(other);
    brg_trace_destroy(trace);
    brg_trace_destroy(late);
}

/* Its slice ends with its worker: what the next one in its place runs does not lie in it. */
static void a_lost_chunk_ends_with_its_worker(void **state)
{
    (void)state;
    static calling c;
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_function_pool(
        brg_pool_opts(.trace = trace, .workers_max = 1, .grace_ns = 1, .restart_min_ns = 1));
    brg_task *task = NULL;
    memset(&c, 0, sizeof(c));
    c.pool = pool;
    assert_int_equal(brg_pool_submit_call(pool, call_plugged, &c, NULL, &task), BRG_OK);
    plug_wait(&c.plug, 1);
    assert_int_equal(brg_task_cancel(task), BRG_OK);
    assert_int_equal(scenario_result(task)->status, BRG_CANCELLED);
    uint64_t counted = 0;
    for (int i = 0; i < 2; i++) { /* before and after the lost thread comes back */
        assert_int_equal(brg_parallel_for(pool, 10, marks_count, &counted, NULL, NULL), BRG_OK);
        plug_pull(&c.plug);
        while (brg_workers_lost() != 0)
            sched_yield();
    }
    pieces *all = pieces_read(trace);
    assert_int_equal(counted, 20);
    assert_int_equal(all->flow_count, 3);
    size_t lost = 0;
    for (size_t i = 0; i < all->chunk_count; i++)
        lost += strcmp(all->chunks[i].status, "running") == 0;
    assert_int_equal(lost, 1);
    pieces_free(all);
    brg_task_unref(task);
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

typedef struct heard {
    uint64_t number, elements, ran, chunks_open, starts, ends, unstarted, failures;
    brg_status status;
    bool is_over; /* the flow */
} heard;

static void hear(const brg_event *events, size_t count, uint64_t lost, void *user_data)
{
    heard *self = user_data;
    assert_int_equal(lost, 0);
    for (size_t i = 0; i < count; i++) {
        const brg_event *event = &events[i];
        assert_true(event->type >= BRG_EVENT_FLOW_STARTED && event->type <= BRG_EVENT_CHUNK_ENDED);
        assert_string_equal(event->name, "told");
        assert_null(event->function);
        assert_true(event->task == self->number || event->type == BRG_EVENT_FLOW_STARTED);
        assert_true(self->is_over == (event->type == BRG_EVENT_FLOW_STARTED));
        switch (event->type) {
        case BRG_EVENT_FLOW_STARTED:
            assert_int_equal(event->task, self->number + 1);
            *self = (heard){.number = event->task, .elements = event->value};
            break;
        case BRG_EVENT_CHUNK_STARTED:
            assert_true(event->key + event->value <= self->elements);
            self->starts++;
            self->chunks_open++;
            self->ran += event->value;
            break;
        case BRG_EVENT_FLOW_ENDED:
            assert_int_equal(self->chunks_open, 0);
            self->is_over = true;
            self->status = event->status;
            self->failures = event->value;
            break;
        default:
            assert_int_not_equal(event->worker_id, 0);
            assert_true(event->worker_index < 2);
            self->chunks_open--;
            self->ends += event->type == BRG_EVENT_CHUNK_ENDED;
        }
    }
}

static bool has_heard(void *argument)
{
    void **all = argument;
    const heard *self = all[0];
    (void)brg_loop_dispatch(all[1]);
    return self->is_over;
}

static void told(const brg_result *result, void *user_data) { *(brg_status *)user_data = result->status; }

/* Both ways to call, a good one and one that fails. */
static void events_of_flows_in_order(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    brg_loop *loop = NULL;
    heard self = {.is_over = true};
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    brg_pool *pool = scenario_pool(
        isolation,
        brg_pool_opts(.workers_max = 2, .loop = loop,
                      .watch = brg_watch_opts(.mask = BRG_EVENTS_FLOWS, .on_events = hear, .user_data = &self)));
    brg_value *items = value_list(40);
    void *both[] = {&self, loop};
    for (uint64_t i = 0; i < 8; i++) {
        bool fails = i % 2 == 1, in_background = i % 4 >= 2;
        size_t failures = 0;
        brg_value *out = NULL;
        brg_status status = BRG_EMPTY;
        brg_flow_options options = {.size = sizeof(options), .name = "told", .failures = &failures, .chunk_max = 4};
        options.errors = BRG_FLOW_GO_ON;
        options.done = in_background ? told : NULL;
        options.user_data = &status;
        brg_status returned = brg_map_values(pool, fails ? "fail" : "echo", items, in_background ? NULL : &out,
                                             &options, NULL);
        if (in_background) {
            assert_int_equal(returned, BRG_OK);
            assert_int_equal(brg_pool_wait_idle(pool, BOUND), BRG_OK);
            while (status == BRG_EMPTY)
                (void)brg_loop_dispatch(loop);
        } else {
            status = returned;
        }
        assert_int_equal(status, fails ? BRG_FAILED : BRG_OK);
        assert_true(watch_until(has_heard, both));
        while (self.number != i + 1)
            (void)has_heard(both);
        assert_true(watch_until(has_heard, both));
        assert_int_equal(self.status, status);
        assert_int_equal(self.failures, fails ? 40 : 0);
        assert_int_equal(self.elements, 40);
        assert_true(self.ran >= 40 && self.starts >= 10);
        assert_true(isolation == BRG_ISOLATION_PROCESS || (self.ran == 40 && self.ends == self.starts));
        brg_value_unref(out);
    }
    brg_value_unref(items);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void names_that_are_too_long(void **state)
{
    (void)state;
    char name[BRG_TASK_NAME_MAX + 2];
    uint64_t counted = 0;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    brg_trace *trace = tracing_new(NULL);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.trace = trace, .workers_max = 1));
    SCENARIO_REFUSED(BRG_INVALID, "name",
                     brg_parallel_for(pool, 1, marks_count, &counted, brg_flow_opts(.name = name), &error));
    name[sizeof(name) - 2] = '\0';
    assert_int_equal(brg_parallel_for(pool, 1, marks_count, &counted, brg_flow_opts(.name = name), NULL), BRG_OK);
    assert_int_equal(brg_parallel_for(pool, 1, marks_count, &counted, brg_flow_opts(.name = "a\"\\\xff"), NULL),
                     BRG_OK);
    pieces *all = pieces_read(trace);
    assert_int_equal(all->flow_count, 2);
    assert_string_equal(all->flows[0].name, name);
    pieces_free(all);
    assert_int_equal(counted, 2);
    brg_pool_destroy(pool);
    brg_trace_destroy(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_chunk_is_a_slice),
        cmocka_unit_test(functions_have_their_names),
        cmocka_unit_test(flows_in_flows_and_tasks_nest),
        SCENARIO_BOTH(values_have_their_tasks_name),
        cmocka_unit_test(chunks_that_crash_are_in_it),
        cmocka_unit_test(what_goes_on_is_in_it),
        cmocka_unit_test(a_lost_chunk_ends_with_its_worker),
        SCENARIO_BOTH(events_of_flows_in_order),
        cmocka_unit_test(names_that_are_too_long),
    };
    return cmocka_run_group_tests_name("trace_flow", tests, NULL, NULL);
}
