/* SPDX-License-Identifier: MIT */
/* Torture of streams and pipelines: pulled and pushed, in order and as they come, all rules of errors, all ends. */
#include "failing.h"

#include "base/util.h"

enum { ITEMS = 40 };

typedef struct items {
    brg_stream *stream; /* a source that says it is empty wakes it */
    brg_loop *loop;
    int64_t made, limit;
    uint64_t came, failed, dropped;
    int ends;
    bool unordered, naps, was_asleep, cancels;
    uint64_t last;
    brg_status status; /* of the end */
} items;

static brg_status next_item(brg_value **item, void **tag, void *user_data)
{
    items *self = user_data;
    if (self->made == self->limit)
        return BRG_CLOSED;
    if (self->naps && self->made % 8 == 5 && !self->was_asleep) {
        self->was_asleep = true;
        brg_stream_wake(self->stream);
        return BRG_EMPTY;
    }
    self->was_asleep = false;
    brg_value *value = failing_number(self->made);
    if (value == NULL)
        return BRG_NO_MEMORY;
    *item = value;
    *tag = self;
    self->made++;
    return BRG_OK;
}

static void drop_item(void *tag, void *user_data)
{
    failing_expect(tag == user_data, "a tag is another's");
    ((items *)user_data)->dropped++;
}

static void take_item(items *self, const brg_stream_item *item)
{
    failing_expect(self->unordered || self->came == 0 || item->index > self->last, "an item is out of its place");
    failing_worked(item->status, item->error, "an item");
    failing_expect(item->tag == self, "a tag is another's");
    self->last = item->index;
    self->came++;
    self->failed += item->status != BRG_OK;
}

static void expect_end(items *self, const brg_stream *stream, const brg_stream_options *options)
{
    brg_stream_counts counts = {.size = sizeof(counts)};
    brg_stage_counts stage = {.size = sizeof(stage)};
    brg_error error = {.status = BRG_OK};
    failing_worked(brg_stream_get_counts(stream, &counts), NULL, "brg_stream_get_counts");
    failing_worked(brg_stream_get_stage(stream, 0, &stage), NULL, "brg_stream_get_stage");
    failing_expect(counts.taken == counts.delivered + counts.skipped + counts.dropped + counts.in_flight,
                   "the counts are not those of all items");
    failing_expect(counts.delivered == self->came, "it counts other items than came");
    failing_expect(options->rule == BRG_STREAM_COLLECT || self->failed == 0, "a failed item came");
    failing_worked(brg_stream_get_error(stream, &error), &error, "the end of a stream");
}

static void all_are_there(const items *self)
{
    failing_expect((int64_t)(self->came + self->dropped) == self->made, "an item is lost");
}

/* ---- pulled by who consumes -------------------------------------------------------------------------------------- */

static brg_stream *make_stream(const brg_stream_options *options)
{
    brg_stream *stream = FAILING_UNTOUCHED;
    brg_error error = {.status = BRG_OK};
    if (failing_worked(brg_stream_create(&stream, options, &error), &error, "brg_stream_create"))
        return stream;
    failing_expect(stream == FAILING_UNTOUCHED, "a failed create changed its output");
    return NULL;
}

static void read_items(items *self, const brg_stream_options *options)
{
    brg_stream_item item;
    brg_status status = BRG_CLOSED;
    if (self->stream != NULL) {
        while ((status = brg_stream_next(self->stream, &item, FAILING_LONG)) == BRG_OK || status == BRG_NO_MEMORY) {
            if (status == BRG_OK)
                take_item(self, &item);
            else if (brg_stream_get_error(self->stream, NULL) != BRG_OK)
                break; /* that is why it ended */
            if (self->cancels && self->came == 10)
                brg_stream_cancel(self->stream);
        }
        failing_expect(status != BRG_TIMED_OUT && status != BRG_EMPTY, "a stream does not end");
        expect_end(self, self->stream, options);
        brg_stream_destroy(self->stream);
    }
    all_are_there(self);
}

static brg_pool *stream_pool(brg_isolation isolation, brg_loop *loop, uint32_t batch_size)
{
    return failing_pool(isolation, (brg_pool_options){.workers_max = 2,
                                                      .loop = loop,
                                                      .batch_size = batch_size,
                                                      .batch_delay_ns = 1000,
                                                      .attempts_max = 3,
                                                      .retry_on = BRG_RETRY_CRASH | BRG_RETRY_TRANSIENT});
}

static void pulled(brg_isolation isolation, brg_stream_rule rule, bool unordered)
{
    items self = {.limit = ITEMS, .unordered = unordered, .naps = true};
    brg_pool *pool = stream_pool(isolation, NULL, 0);
    if (pool == NULL)
        return;
    const brg_stage stages[] = {BRG_STAGE(.pool = pool, .task = "pass", .running_max = 2),
                                BRG_STAGE(.pool = pool, .task = "pick", .submit = brg_submit_opts(.attempts_max = 1)),
                                BRG_STAGE(.pool = pool, .task = "pass", .queue_max = 3)};
    brg_stream_options *options = brg_stream_opts(.stages = stages, .stage_count = 3, .source = next_item,
                                                  .drop = drop_item, .user_data = &self, .unordered = unordered,
                                                  .rule = rule, .in_flight_max = 16);
    self.stream = make_stream(options);
    read_items(&self, options);
    brg_pool_destroy(pool);
}

static void pulled_until_one_fails(brg_isolation isolation) { pulled(isolation, BRG_STREAM_STOP, false); }
static void pulled_and_skipped(brg_isolation isolation) { pulled(isolation, BRG_STREAM_SKIP, true); }
static void pulled_and_collected(brg_isolation isolation) { pulled(isolation, BRG_STREAM_COLLECT, false); }

/* Stages of two pools, the second in batches; workers die, and it is cancelled. */
static void pulled_and_cancelled(brg_isolation isolation)
{
    items self = {.limit = ITEMS, .unordered = true, .cancels = true};
    brg_pool *pool = stream_pool(isolation, NULL, 0), *batches = stream_pool(isolation, NULL, 4);
    if (pool != NULL && batches != NULL) {
        const brg_stage stages[] = {BRG_STAGE(.pool = pool, .task = "die"),
                                    BRG_STAGE(.pool = batches, .task = "many", .running_max = 8)};
        brg_stream_options *options = brg_stream_opts(.stages = stages, .stage_count = 2, .source = next_item,
                                                      .drop = drop_item, .user_data = &self, .unordered = true,
                                                      .rule = BRG_STREAM_COLLECT, .in_flight_max = 12);
        self.stream = make_stream(options);
        read_items(&self, options);
    }
    brg_pool_destroy(pool);
    brg_pool_destroy(batches);
}

/* ---- pushed, and read ---------------------------------------------------------------------------------------- */

static void push_items(items *self)
{
    brg_error error = {.status = BRG_OK};
    for (int64_t i = 0; i < self->limit; i++) {
        brg_value *value = failing_number(i);
        if (failing_worked(brg_stream_push(self->stream, value, self, FAILING_LONG, &error), &error, "brg_stream_push"))
            self->made++;
        else
            brg_value_unref(value);
        failing_expect(error.status != BRG_TIMED_OUT, "a stream takes nothing any more");
    }
    brg_stream_end(self->stream);
}

static void pushed(brg_isolation isolation)
{
    items self = {.limit = ITEMS};
    brg_token *token = NULL;
    brg_pool *pool = stream_pool(isolation, NULL, 0);
    if (pool == NULL)
        return;
    if (failing_worked(brg_token_create(&token, NULL), NULL, "brg_token_create")) {
        brg_stream_options *options = brg_stream_opts(.pool = pool, .task = "later", .drop = drop_item,
                                                      .user_data = &self, .rule = BRG_STREAM_COLLECT, .token = token,
                                                      .in_flight_max = ITEMS + 1);
        self.stream = make_stream(options);
        if (self.stream != NULL)
            push_items(&self);
        read_items(&self, options);
    }
    brg_token_unref(token);
    brg_pool_destroy(pool);
}

/* ---- on a loop --------------------------------------------------------------------------------------------------- */

static void on_item(const brg_stream_item *item, void *user_data)
{
    items *self = user_data;
    take_item(self, item);
    if (self->came == 5) {
        brg_stream_pause(self->stream);
        brg_stream_resume(self->stream);
    }
    if (self->cancels && self->came == 10)
        brg_stream_cancel(self->stream);
}

static void on_end(const brg_stream_counts *counts, const brg_error *error, void *user_data)
{
    items *self = user_data;
    failing_expect(self->ends++ == 0, "a stream ended twice");
    failing_expect(counts->in_flight == 0 && counts->delivered == self->came, "a stream ended too early");
    failing_worked(error == NULL ? BRG_OK : error->status, error, "the end of a stream");
}

static void with_loop(brg_isolation isolation, bool pushes, bool cancels)
{
    brg_loop *loop = failing_loop();
    brg_pool *pool = loop == NULL ? NULL : stream_pool(isolation, loop, 0);
    items self = {.limit = pushes ? 12 : ITEMS, .loop = loop, .naps = true, .cancels = cancels};
    if (pool != NULL) {
        brg_stream_options *options = brg_stream_opts(.pool = pool, .task = "pick", .drop = drop_item,
                                                      .user_data = &self, .on_item = on_item, .on_end = on_end,
                                                      .rule = BRG_STREAM_COLLECT, .in_flight_max = 16,
                                                      .source = pushes ? NULL : next_item);
        self.stream = make_stream(options);
        if (self.stream != NULL) {
            for (int64_t i = 0; pushes && i < self.limit; i++) {
                brg_value *value = failing_number(i);
                bool taken = failing_worked(brg_stream_push(self.stream, value, &self, 0, NULL), NULL, "a push");
                self.made += taken;
                if (!taken)
                    brg_value_unref(value);
            }
            brg_stream_end(self.stream);
            failing_worked(brg_loop_run(loop), NULL, "brg_loop_run");
            failing_expect(self.ends == 1, "a stream did not end");
            expect_end(&self, self.stream, options);
            brg_stream_destroy(self.stream);
        }
        all_are_there(&self);
        brg_pool_destroy(pool);
    }
    failing_loop_end(loop);
}

static void pulled_on_a_loop(brg_isolation isolation) { with_loop(isolation, false, false); }
static void pulled_on_a_loop_and_cancelled(brg_isolation isolation) { with_loop(isolation, false, true); }
static void pushed_on_a_loop(brg_isolation isolation) { with_loop(isolation, true, false); }

/* ---- pools that end ---------------------------------------------------------------------------------------------- */

static void pulled_and_stopped(brg_isolation isolation)
{
    items self = {.limit = ITEMS};
    brg_pool *pool = stream_pool(isolation, NULL, 0);
    if (pool == NULL)
        return;
    brg_stream_options *options = brg_stream_opts(.pool = pool, .task = "pass", .source = next_item, .drop = drop_item,
                                                  .user_data = &self, .in_flight_max = 8);
    self.stream = make_stream(options);
    if (self.stream != NULL) {
        brg_stream_item item;
        for (int i = 0; i < 4; i++)
            if (brg_stream_next(self.stream, &item, FAILING_LONG) == BRG_OK)
                take_item(&self, &item);
        (void)brg_pool_stop(pool, 0);
    }
    read_items(&self, options);
    brg_pool_destroy(pool);
}

/* ---- the torture ------------------------------------------------------------------------------------------------- */

static const failing_scenario scenarios[] = {
    FAILING_SCENARIO(pulled_until_one_fails), FAILING_SCENARIO(pulled_and_skipped),
    FAILING_SCENARIO(pulled_and_collected),   FAILING_SCENARIO(pulled_and_cancelled),
    FAILING_SCENARIO(pulled_and_stopped),     FAILING_SCENARIO(pushed),
    FAILING_SCENARIO(pulled_on_a_loop),       FAILING_SCENARIO(pulled_on_a_loop_and_cancelled),
    FAILING_SCENARIO(pushed_on_a_loop)};

static void torture_pipelines(void **state)
{
    failing_each(scenarios, brg__count_of(scenarios), scenario_isolation(state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCENARIO_BOTH(torture_pipelines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
