/* SPDX-License-Identifier: MIT */
/* Streams that are filled to the last place before anybody consumes. */
#include "scenario.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "streaming.h"

enum { PLACES = 17 }; /* half of them are for the stage: the last ones get their place only when it is through */

typedef struct filling {
    atomic_int pushed;
    atomic_bool all;
    int rooms;
} filling;

/* Whether the thread that runs the tests sleeps: it waits for room then. */
static bool main_sleeps(void)
{
    char text[256] = "";
    FILE *file = fopen("/proc/self/stat", "re");
    const char *end = file == NULL || fgets(text, sizeof(text), file) == NULL ? NULL : strrchr(text, ')');
    if (file != NULL)
        fclose(file);
    return end != NULL && end[2] == 'S';
}

/* The first one stays until there is no room for another, and somebody waits for it: most likely. */
static brg_status filling_stage(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    filling *self = state;
    (void)context;
    while (streaming_number(input) == 0 && atomic_load(&self->pushed) < PLACES - 1)
        sched_yield();
    for (int i = 0; streaming_number(input) == 0 && i < 100 && !main_sleeps(); i++)
        sched_yield();
    *output = brg_value_ref(input);
    return BRG_OK;
}

static brg_stream *filling_stream(brg_pool *pool, filling *self, brg_stream_options *options)
{
    brg_stream *stream = NULL;
    const brg_stage stages[] = {
        BRG_STAGE(.pool = pool, .run = filling_stage, .state = self, .running_max = 2, .queue_max = PLACES - 3)};
    options->stages = stages;
    options->stage_count = 1;
    options->in_flight_max = PLACES;
    options->user_data = self;
    assert_int_equal(brg_stream_create(&stream, options, NULL), BRG_OK);
    return stream;
}

static brg_status push(filling *self, brg_stream *stream, int64_t n, uint64_t timeout_ns)
{
    brg_value *value = NULL;
    assert_int_equal(brg_value_int(&value, n, NULL), BRG_OK);
    brg_status status = brg_stream_push(stream, value, (void *)(uintptr_t)(n + 1), timeout_ns, NULL);
    if (status == BRG_OK)
        atomic_fetch_add(&self->pushed, 1);
    else
        brg_value_unref(value);
    return status;
}

static void a_push_gets_the_last_place(void **state)
{
    (void)state;
    filling self = {0};
    brg_stream_item item;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    brg_stream *stream = filling_stream(pool, &self, brg_stream_opts(0));
    for (int i = 0; i < PLACES; i++)
        assert_int_equal(push(&self, stream, i, BRG_FOREVER), BRG_OK);
    assert_int_equal(push(&self, stream, PLACES, 0), BRG_FULL);
    brg_stream_end(stream);
    assert_int_equal(streaming_expect_rest(stream, 0, 0), PLACES);
    assert_int_equal(brg_stream_next(stream, &item, 0), BRG_CLOSED);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

typedef struct pushing {
    filling *self;
    brg_stream *stream;
    brg_status status;
} pushing;

static void *push_rest(void *argument)
{
    pushing *rest = argument;
    for (int i = PLACES; i < 3 * PLACES - 1 && rest->status == BRG_OK; i++)
        rest->status = push(rest->self, rest->stream, i, BRG_FOREVER);
    return NULL;
}

/* Each place that the consumer frees is for who waits, also when it takes no more meanwhile. */
static void a_push_gets_each_place(void **state)
{
    (void)state;
    filling self = {0};
    pthread_t thread;
    brg_stream_item item;
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1));
    brg_stream *stream = filling_stream(pool, &self, brg_stream_opts(0));
    pushing rest = {.self = &self, .stream = stream};
    for (int i = 0; i < PLACES; i++)
        assert_int_equal(push(&self, stream, i, BRG_FOREVER), BRG_OK);
    assert_int_equal(pthread_create(&thread, NULL, push_rest, &rest), 0);
    for (int i = 0; i < 2 * PLACES; i++) {
        assert_int_equal(brg_stream_next(stream, &item, BRG_FOREVER), BRG_OK); /* and is through with the one before */
        while (atomic_load(&self.pushed) < PLACES + i)
            sched_yield();
    }
    pthread_join(thread, NULL);
    assert_int_equal(rest.status, BRG_OK);
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
}

/* ---- on a loop --------------------------------------------------------------------------------------------------- */

static void note_item(const brg_stream_item *item, void *user_data) { (void)item, (void)user_data; }

static void note_room(void *user_data) { ((filling *)user_data)->rooms++; }

static void room_is_told_while_it_is_paused(void **state)
{
    (void)state;
    filling self = {0};
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, brg_loop_opts(.external = true), NULL), BRG_OK);
    brg_pool *pool = scenario_function_pool(brg_pool_opts(.workers_max = 1, .loop = loop));
    brg_stream *stream = filling_stream(pool, &self,
                                        brg_stream_opts(.on_item = note_item, .on_room = note_room, .loop = loop));
    brg_stream_pause(stream);
    for (int i = 0; i < PLACES - 1; i++)
        assert_int_equal(push(&self, stream, i, 0), BRG_OK);
    while (push(&self, stream, PLACES - 1, 0) != BRG_OK) {
        int told = self.rooms;
        while (self.rooms == told)
            brg_loop_dispatch(loop);
    }
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_push_gets_the_last_place),
                                       cmocka_unit_test(a_push_gets_each_place),
                                       cmocka_unit_test(room_is_told_while_it_is_paused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
