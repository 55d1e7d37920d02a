/* SPDX-License-Identifier: MIT */
#include "os/test_support.h"

#include <poll.h>
#include <uv.h>

#include <brigade/uv.h>

#include "message/channel.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/thread.h"

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static void open_channel(brg_port **one, brg_port **other, uint32_t messages_max)
{
    brg_channel_options options = {.size = sizeof(options), .messages_max = messages_max};
    assert_int_equal(brg_channel_create(one, other, &options, NULL), BRG_OK);
}

static brg_value *number_value(int64_t number)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    if (brg_builder_create(&builder, NULL) != BRG_OK)
        abort();
    brg_builder_int(builder, number);
    if (brg_builder_finish(builder, &value, NULL) != BRG_OK)
        abort();
    brg_builder_destroy(builder);
    return value;
}

static int64_t number_of(const brg_value *value)
{
    int64_t number = -1;
    brg_view_int(brg_value_root(value), &number);
    return number;
}

/* A value with a port beside it, as the builder makes them. */
static brg_value *port_value(int64_t number, brg_port *port)
{
    brg_value *value = number_value(number);
    value->objects = calloc(1, sizeof(*value->objects));
    value->objects[0] = (brg__object){.type = BRG_TYPE_PORT, .xfd = -1, .xpointer = port};
    value->object_count = 1;
    return value;
}

static brg_port *take_port(brg_value *value) { return brg_exchange_acq_rel(&value->objects[0].xpointer, NULL); }

static brg_status post_number(brg_port *port, int64_t number, uint64_t timeout_ns)
{
    brg_value *value = number_value(number);
    brg_status status = brg_port_post(port, value, timeout_ns, NULL);
    if (status != BRG_OK)
        brg_value_unref(value);
    return status;
}

static int64_t receive_number(brg_port *port, uint64_t timeout_ns, brg_status *status)
{
    brg_value *value = NULL;
    brg_status result = brg_port_receive(port, &value, timeout_ns);
    int64_t number = result == BRG_OK ? number_of(value) : -1;
    brg_value_unref(value);
    if (status != NULL)
        *status = result;
    return number;
}

static int nothing_is_left(void **state)
{
    (void)state;
    return brg_ports_open() == 0 && brg__channels_open() == 0 ? 0 : -1;
}

/* ---- by receiving ------------------------------------------------------------------------------------------------ */

static void messages_arrive_in_order_both_ways(void **state)
{
    (void)state;
    brg_port *a, *b;
    open_channel(&a, &b, 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(post_number(a, i, 0), BRG_OK);
        assert_int_equal(post_number(b, 1000 + i, 0), BRG_OK);
    }
    assert_int_equal(brg_port_waiting(b), 100);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(receive_number(b, 0, NULL), i);
        assert_int_equal(receive_number(a, 0, NULL), 1000 + i);
    }
    brg_status status;
    receive_number(a, 0, &status);
    assert_int_equal(status, BRG_EMPTY);
    receive_number(a, 1000, &status);
    assert_int_equal(status, BRG_TIMED_OUT);
    brg_port_destroy(a);
    brg_port_destroy(b);
}

static void limits_hold_but_one_message_always_passes(void **state)
{
    (void)state;
    brg_port *a, *b;
    open_channel(&a, &b, 2);
    assert_int_equal(post_number(a, 1, 0), BRG_OK);
    assert_int_equal(post_number(a, 2, 0), BRG_OK);
    assert_int_equal(post_number(a, 3, 0), BRG_FULL);
    assert_int_equal(post_number(a, 3, 1000), BRG_TIMED_OUT);
    assert_int_equal(post_number(b, 9, 0), BRG_OK);
    assert_int_equal(receive_number(b, 0, NULL), 1);
    assert_int_equal(post_number(a, 3, 0), BRG_OK);
    brg_port_destroy(a);
    brg_port_destroy(b);
    brg_channel_options options = {.size = sizeof(options), .bytes_max = 1};
    assert_int_equal(brg_channel_create(&a, &b, &options, NULL), BRG_OK);
    assert_int_equal(post_number(a, 1, 0), BRG_OK);
    assert_int_equal(post_number(a, 2, 0), BRG_FULL);
    assert_int_equal(receive_number(b, 0, NULL), 1);
    assert_int_equal(post_number(a, 2, 0), BRG_OK);
    brg_port_destroy(a);
    brg_port_destroy(b);
    options.messages_max = 1048577;
    assert_int_equal(brg_channel_create(&a, &b, &options, NULL), BRG_INVALID);
}

static void close_comes_after_what_was_posted(void **state)
{
    (void)state;
    brg_port *a, *b;
    brg_status status;
    open_channel(&a, &b, 0);
    assert_int_equal(post_number(a, 1, 0), BRG_OK);
    assert_int_equal(post_number(b, 2, 0), BRG_OK);
    brg_port_close(a);
    brg_port_close(a);
    assert_true(brg_port_is_closed(b));
    assert_int_equal(post_number(b, 3, 0), BRG_CLOSED);
    assert_int_equal(post_number(a, 3, 0), BRG_CLOSED);
    receive_number(a, 0, &status);
    assert_int_equal(status, BRG_CLOSED);
    assert_int_equal(receive_number(b, BRG_FOREVER, NULL), 1);
    receive_number(b, BRG_FOREVER, &status);
    assert_int_equal(status, BRG_CLOSED);
    brg_port_destroy(b);
    brg_port_destroy(a);
    brg_port_destroy(NULL);
}

static void ports_travel_in_values_with_what_waits(void **state)
{
    (void)state;
    brg_port *a, *b, *c, *d;
    open_channel(&a, &b, 0);
    open_channel(&c, &d, 0);
    assert_int_equal(post_number(c, 1, 0), BRG_OK);
    assert_int_equal(brg_port_post(a, port_value(7, d), 0, NULL), BRG_OK);
    assert_int_equal(post_number(c, 2, 0), BRG_OK);
    brg_value *value = NULL;
    assert_int_equal(brg_port_receive(b, &value, 0), BRG_OK);
    d = take_port(value);
    brg_value_unref(value);
    assert_int_equal(receive_number(d, 0, NULL), 1);
    assert_int_equal(receive_number(d, 0, NULL), 2);
    assert_int_equal(post_number(d, 3, 0), BRG_OK);
    assert_int_equal(receive_number(c, 0, NULL), 3);
    brg_port_destroy(a);
    brg_port_destroy(b);
    brg_port_destroy(c);
    brg_port_destroy(d);
}

static void refused_values_stay_whole(void **state)
{
    (void)state;
    brg_port *a, *b, *c, *d;
    brg_error error;
    open_channel(&a, &b, 0);
    open_channel(&c, &d, 0);
    brg_port *wrong[] = {a, b, NULL};
    for (int i = 0; i < 3; i++) {
        brg_value *value = port_value(1, wrong[i]);
        assert_int_equal(brg_port_post(a, value, 0, &error), BRG_INVALID);
        assert_ptr_equal(take_port(value), wrong[i]);
        brg_value_unref(value);
    }
    brg_value *value = number_value(1);
    value->objects = calloc(1, sizeof(*value->objects));
    value->objects[0] = (brg__object){.type = BRG_TYPE_FD, .xfd = -1};
    value->object_count = 1;
    assert_int_equal(brg_port_post(a, value, 0, &error), BRG_INVALID);
    brg_value_unref(value);
    brg_port_close(b);
    value = port_value(1, d);
    assert_int_equal(brg_port_post(a, value, 0, &error), BRG_CLOSED);
    assert_ptr_equal(take_port(value), d);
    brg_value_unref(value);
    brg_port_destroy(a);
    brg_port_destroy(b);
    brg_port_destroy(c);
    brg_port_destroy(d);
}

static void circles_are_refused(void **state)
{
    (void)state;
    brg_port *a, *b, *c, *d, *e, *f;
    brg_error error;
    open_channel(&a, &b, 0);
    open_channel(&c, &d, 0);
    open_channel(&e, &f, 0);
    assert_int_equal(brg_port_post(a, port_value(1, d), 0, NULL), BRG_OK); /* d waits at b */
    assert_int_equal(brg_port_post(c, port_value(1, f), 0, NULL), BRG_OK); /* f waits at d */
    brg_value *value = port_value(1, b);
    assert_int_equal(brg_port_post(c, value, 0, &error), BRG_INVALID);
    assert_int_equal(brg_port_post(e, value, 0, &error), BRG_INVALID);
    take_port(value);
    brg_value_unref(value);
    brg_port_destroy(b); /* and with it all that waits in it */
    assert_true(brg_port_is_closed(c) && brg_port_is_closed(e));
    brg_port_destroy(a);
    brg_port_destroy(c);
    brg_port_destroy(e);
}

static void long_chains_of_dropped_ports_need_no_stack(void **state)
{
    (void)state;
    brg_port *first = NULL, *last = NULL;
    for (int i = 0; i < 200000; i++) {
        brg_port *a, *b;
        open_channel(&a, &b, 1);
        if (last != NULL)
            assert_int_equal(brg_port_post(a, port_value(i, last), 0, NULL), BRG_OK);
        brg_port_destroy(a);
        last = b;
    }
    (void)first;
    brg_port_destroy(last);
    assert_int_equal(brg_ports_open(), 0);
}

static void many_channels_leave_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        brg_port *a, *b;
        open_channel(&a, &b, 0);
        assert_int_equal(post_number(a, i, 0), BRG_OK);
        brg_port_destroy(i % 2 ? a : b);
        brg_port_destroy(i % 2 ? b : a);
    }
    assert_int_equal(brg_ports_open(), 0);
    assert_int_equal(brg__channels_open(), 0);
}

/* ---- on a loop --------------------------------------------------------------------------------------------------- */

typedef struct heard {
    brg_port *port;
    int64_t numbers[256];
    int count, closes, rooms, releases;
    int destroy_at; /* in the callback of this message */
    int close_at;
    brg_loop *loop;
    char *log;
    char letter;
} heard;

static void hear_message(brg_port *port, brg_value *message, void *user_data)
{
    heard *self = user_data;
    assert_ptr_equal(port, self->port);
    if (self->log != NULL)
        strncat(self->log, &self->letter, 1);
    self->numbers[self->count++ % 256] = number_of(message);
    if (self->count == self->close_at)
        brg_port_close(port);
    if (self->count == self->destroy_at)
        brg_port_destroy(port);
}
static void hear_room(brg_port *port, void *user_data)
{
    (void)port;
    ((heard *)user_data)->rooms++;
}
static void hear_close(brg_port *port, void *user_data)
{
    heard *self = user_data;
    self->closes++;
    if (self->destroy_at < 0)
        brg_port_destroy(port);
}
static void hear_release(void *user_data) { ((heard *)user_data)->releases++; }

static void start_port(heard *self, uint32_t batch_max)
{
    brg_port_options options = {.size = sizeof(options),
                                .loop = self->loop,
                                .batch_max = batch_max,
                                .on_message = hear_message,
                                .on_room = hear_room,
                                .on_close = hear_close,
                                .release = hear_release,
                                .user_data = self};
    assert_int_equal(brg_port_start(self->port, &options, NULL), BRG_OK);
}

static brg_loop *external_loop(uint32_t batch_max)
{
    brg_loop *loop = NULL;
    brg_loop_options options = {.size = sizeof(options), .external = true, .batch_max = batch_max};
    assert_int_equal(brg_loop_create(&loop, &options, NULL), BRG_OK);
    return loop;
}

static void dispatch_all(brg_loop *loop)
{
    while (brg_loop_dispatch(loop) != 0)
        ;
}

static void started_port_hears_all_then_the_close_once(void **state)
{
    (void)state;
    brg_port *a;
    heard b = {.loop = external_loop(0)};
    open_channel(&a, &b.port, 2);
    assert_int_equal(post_number(a, 1, 0), BRG_OK);
    start_port(&b, 0);
    assert_true(brg_port_keeps_loop(b.port));
    assert_int_equal(brg_loop_pending(b.loop), 1);
    brg_port_keep_loop(b.port, false);
    brg_port_keep_loop(b.port, false);
    assert_int_equal(brg_loop_pending(b.loop), 0);
    brg_port_keep_loop(b.port, true);
    brg_value *value = NULL;
    assert_int_equal(brg_port_receive(b.port, &value, 0), BRG_STATE);
    assert_int_equal(brg__port_can_travel(b.port), BRG_STATE);
    assert_int_equal(
        brg_port_start(
            b.port, &(brg_port_options){.size = sizeof(brg_port_options), .loop = b.loop, .on_message = hear_message},
            NULL),
        BRG_STATE);
    assert_int_equal(post_number(a, 2, 0), BRG_OK);
    assert_int_equal(b.count, 0);
    dispatch_all(b.loop);
    assert_int_equal(b.count, 2);
    assert_int_equal(post_number(a, 3, 0), BRG_OK);
    brg_port_destroy(a);
    dispatch_all(b.loop);
    assert_int_equal(b.numbers[2], 3);
    assert_int_equal(b.closes, 1);
    assert_int_equal(brg_loop_pending(b.loop), 0);
    brg_port_close(b.port);
    dispatch_all(b.loop);
    assert_int_equal(b.closes, 1);
    assert_int_equal(brg_loop_destroy(b.loop), BRG_STATE);
    brg_port_destroy(b.port);
    assert_int_equal(b.releases, 1);
    assert_int_equal(brg_loop_destroy(b.loop), BRG_OK);
}

static void poster_hears_of_room(void **state)
{
    (void)state;
    brg_port *a;
    heard b = {.loop = external_loop(0)};
    open_channel(&a, &b.port, 1);
    start_port(&b, 0);
    assert_int_equal(post_number(b.port, 1, 0), BRG_OK);
    dispatch_all(b.loop);
    assert_int_equal(b.rooms, 0);
    assert_int_equal(post_number(b.port, 2, 0), BRG_FULL);
    assert_int_equal(receive_number(a, 0, NULL), 1);
    dispatch_all(b.loop);
    assert_int_equal(b.rooms, 1);
    brg_port_destroy(b.port);
    brg_port_destroy(a);
    assert_int_equal(brg_loop_destroy(b.loop), BRG_OK);
}

static void ports_end_in_their_own_callbacks(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        brg_port *a;
        heard b = {.loop = external_loop(0)};
        open_channel(&a, &b.port, 0);
        if (how == 0)
            b.destroy_at = 2;
        else if (how == 1)
            b.close_at = 2;
        else
            b.destroy_at = -1;
        start_port(&b, 0);
        for (int i = 0; i < 4; i++)
            assert_int_equal(post_number(a, i, 0), BRG_OK);
        if (how == 2)
            brg_port_close(a);
        dispatch_all(b.loop);
        assert_int_equal(b.count, how == 2 ? 4 : 2);
        assert_int_equal(b.closes, how == 0 ? 0 : 1);
        assert_int_equal(post_number(a, 9, 0), BRG_CLOSED);
        if (how == 1)
            brg_port_destroy(b.port);
        assert_int_equal(b.releases, 1);
        brg_port_destroy(a);
        assert_int_equal(brg_loop_destroy(b.loop), BRG_OK);
    }
}

static void busy_ports_take_turns(void **state)
{
    (void)state;
    char log[64] = "";
    brg_loop *loop = external_loop(0);
    heard x = {.loop = loop, .log = log, .letter = 'x'}, y = {.loop = loop, .log = log, .letter = 'y'};
    brg_port *to_x, *to_y;
    open_channel(&to_x, &x.port, 0);
    open_channel(&to_y, &y.port, 0);
    start_port(&x, 2);
    start_port(&y, 3);
    for (int i = 0; i < 6; i++) {
        post_number(to_x, i, 0);
        post_number(to_y, i, 0);
    }
    dispatch_all(loop);
    assert_string_equal(log, "xxyyyxxyyyxx");
    brg_port_destroy(x.port);
    brg_port_destroy(y.port);
    brg_port_destroy(to_x);
    brg_port_destroy(to_y);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* Answers each message with one to itself, so that it never runs dry, until a timer of the same loop stops it. */
typedef struct busy {
    brg_port *to_self;
    uint64_t count;
} busy;
static void keep_busy(brg_port *port, brg_value *message, void *user_data)
{
    (void)port;
    busy *self = user_data;
    self->count++;
    brg_value *again = brg_value_ref(message);
    if (brg_port_post(self->to_self, again, 0, NULL) != BRG_OK)
        brg_value_unref(again);
}
typedef struct stopper {
    brg_port *ports[4];
    busy self[2];
} stopper;
static void stop_both(uv_timer_t *timer)
{
    stopper *both = timer->data;
    if (both->self[0].count <= 32 || both->self[1].count <= 32)
        return; /* it comes again */
    for (int i = 0; i < 4; i++)
        brg_port_destroy(both->ports[i]);
    uv_close((uv_handle_t *)timer, NULL);
}

static void busy_ports_do_not_starve_a_timer(void **state)
{
    (void)state;
    uv_loop_t uv;
    uv_timer_t timer;
    brg_loop *loop = NULL;
    stopper both = {.self = {{0}}};
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(brg_loop_create_uv(&loop, &uv, NULL, NULL), BRG_OK);
    for (int i = 0; i < 2; i++) {
        brg_port **ports = &both.ports[2 * i];
        open_channel(&ports[0], &ports[1], 0);
        both.self[i].to_self = ports[0];
        brg_port_options options = {
            .size = sizeof(options), .loop = loop, .on_message = keep_busy, .user_data = &both.self[i]};
        assert_int_equal(brg_port_start(ports[1], &options, NULL), BRG_OK);
        post_number(ports[0], 1, 0);
    }
    uv_timer_init(&uv, &timer);
    timer.data = &both;
    uv_timer_start(&timer, stop_both, 5, 1);
    uv_run(&uv, UV_RUN_DEFAULT); /* ends only if the timer came while both are busy */
    assert_true(both.self[0].count > 32 && both.self[1].count > 32);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&uv), 0);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

#define POSTS 20000

static void post_many(void *argument)
{
    for (int64_t i = 0; i < POSTS; i++)
        if (post_number(argument, i, BRG_FOREVER) != BRG_OK)
            abort();
}

static void threads_post_and_receive(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 4, 1024};
    for (int i = 0; i < 3; i++) {
        brg_port *a, *b;
        brg__thread thread;
        open_channel(&a, &b, limits[i]);
        assert_int_equal(brg__thread_start(&thread, "poster", 0, post_many, a, NULL), BRG_OK);
        for (int64_t n = 0; n < POSTS; n++)
            assert_int_equal(receive_number(b, TEST_BOUND_NS, NULL), n);
        brg__thread_join(&thread);
        brg_port_destroy(a);
        brg_port_destroy(b);
    }
}

typedef struct queued {
    brg_port *port;
    int64_t number;
    brg_status status;
} queued;

static void post_one(void *argument)
{
    queued *self = argument;
    self->status = post_number(self->port, self->number, BRG_FOREVER);
}

static void closing_frees_all_who_wait(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        brg_port *a, *b;
        brg__thread threads[3];
        queued posters[3];
        open_channel(&a, &b, 1);
        assert_int_equal(post_number(a, 0, 0), BRG_OK);
        for (int i = 0; i < 3; i++) {
            posters[i] = (queued){a, i + 1, BRG_OK};
            assert_int_equal(brg__thread_start(&threads[i], "poster", 0, post_one, &posters[i], NULL), BRG_OK);
        }
        int taken = round % 3;
        for (int i = 0; i < taken; i++)
            receive_number(b, TEST_BOUND_NS, NULL);
        brg_port_close(b);
        int posted = 0;
        for (int i = 0; i < 3; i++) {
            brg__thread_join(&threads[i]);
            posted += posters[i].status == BRG_OK;
            assert_true(posters[i].status == BRG_OK || posters[i].status == BRG_CLOSED);
        }
        assert_in_range(posted, 0, taken);
        brg_port_destroy(a);
        brg_port_destroy(b);
    }
}

static void close_port(void *argument) { brg_port_close(argument); }

static void receiver_wakes_when_the_other_side_closes(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        brg_port *a, *b;
        brg__thread thread;
        brg_status status;
        open_channel(&a, &b, 0);
        assert_int_equal(brg__thread_start(&thread, "closer", 0, close_port, a, NULL), BRG_OK);
        receive_number(b, BRG_FOREVER, &status);
        assert_int_equal(status, BRG_CLOSED);
        brg__thread_join(&thread);
        brg_port_destroy(a);
        brg_port_destroy(b);
    }
}

static void post_then_destroy(void *argument)
{
    post_many(argument);
    brg_port_destroy(argument);
}

static void started_ports_hear_other_threads(void **state)
{
    (void)state;
    heard b = {.loop = external_loop(0)};
    brg_port *a;
    brg__thread thread;
    open_channel(&a, &b.port, 64);
    start_port(&b, 0);
    assert_int_equal(brg__thread_start(&thread, "poster", 0, post_then_destroy, a, NULL), BRG_OK);
    while (b.closes == 0) {
        struct pollfd fd = {.fd = brg_loop_fd(b.loop), .events = POLLIN};
        poll(&fd, 1, -1);
        brg_loop_dispatch(b.loop);
    }
    brg__thread_join(&thread);
    assert_int_equal(b.count, POSTS);
    brg_port_destroy(b.port);
    assert_int_equal(brg_loop_destroy(b.loop), BRG_OK);
}

static void started_ports_may_go_while_others_post(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        heard b = {.loop = external_loop(0), .destroy_at = 1 + i % 5};
        brg_port *a;
        brg__thread thread;
        open_channel(&a, &b.port, 1);
        start_port(&b, 0);
        queued posters = {a, 1, BRG_OK};
        assert_int_equal(brg__thread_start(&thread, "poster", 0, post_one, &posters, NULL), BRG_OK);
        brg_loop_dispatch(b.loop);
        if (b.count < b.destroy_at)
            brg_port_destroy(b.port);
        assert_int_equal(brg_loop_destroy(b.loop), BRG_OK);
        brg__thread_join(&thread);
        brg_port_destroy(a);
    }
}

/* ---- sinks ------------------------------------------------------------------------------------------------------- */

typedef struct drain {
    brg__sink sink;
    int64_t last;
    int closes;
} drain;
static void drain_value(brg__sink *sink, brg_value *value)
{
    drain *self = brg__container_of(sink, drain, sink);
    assert_int_equal(number_of(value), self->last + 1);
    self->last++;
}
static void drain_closed(brg__sink *sink) { brg__container_of(sink, drain, sink)->closes++; }

static void sinks_take_what_is_posted(void **state)
{
    (void)state;
    drain self = {.sink = {drain_value, drain_closed}};
    brg_port *port;
    brg__end *end;
    assert_int_equal(brg__channel_create_sink(&port, &end, &self.sink, 1, 1000, NULL), BRG_OK);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(post_number(port, i, 0), BRG_OK);
    assert_int_equal(self.last, 3);
    brg_value *value = number_value(5);
    assert_int_equal(brg__sink_post(end, value), BRG_OK);
    assert_int_equal(receive_number(port, 0, NULL), 5);
    brg_port_destroy(port);
    assert_int_equal(self.closes, 1);
    brg__sink_close(end);
    assert_int_equal(self.closes, 1);
    brg__end_unref(end);
}

#define port_case(name) cmocka_unit_test_teardown(name, nothing_is_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        port_case(messages_arrive_in_order_both_ways),
        port_case(limits_hold_but_one_message_always_passes),
        port_case(close_comes_after_what_was_posted),
        port_case(ports_travel_in_values_with_what_waits),
        port_case(refused_values_stay_whole),
        port_case(circles_are_refused),
        port_case(long_chains_of_dropped_ports_need_no_stack),
        port_case(many_channels_leave_nothing),
        port_case(started_port_hears_all_then_the_close_once),
        port_case(poster_hears_of_room),
        port_case(ports_end_in_their_own_callbacks),
        port_case(busy_ports_take_turns),
        port_case(busy_ports_do_not_starve_a_timer),
        port_case(threads_post_and_receive),
        port_case(closing_frees_all_who_wait),
        port_case(receiver_wakes_when_the_other_side_closes),
        port_case(started_ports_hear_other_threads),
        port_case(started_ports_may_go_while_others_post),
        port_case(sinks_take_what_is_posted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
