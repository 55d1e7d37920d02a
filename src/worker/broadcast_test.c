/* SPDX-License-Identifier: MIT */
/* Broadcast by name: in threads of the program and, through a link that is played, in process workers. */
#include "worker/uplink_fixture.h"

#include <brigade/broadcast.h>
#include <brigade/port.h>

static brg_loop *loop;

static brg_broadcast *open_name(const char *name, const brg_broadcast_options *options)
{
    brg_broadcast *broadcast = NULL;
    brg_error error;
    brg_status status = brg_broadcast_open(&broadcast, name, options, &error);
    if (status != BRG_OK)
        fprintf(stderr, "%s\n", error.message);
    fixture_check(status == BRG_OK);
    return broadcast;
}

static brg_value *number_value(int64_t from, int64_t number)
{
    brg_value *value = NULL;
    fixture_check(brg_value_map(&value, NULL, brg_field_int("from", from), brg_field_int("number", number)) == BRG_OK);
    return value;
}

static void post_number(brg_broadcast *broadcast, int64_t number)
{
    fixture_check(brg_broadcast_post(broadcast, number_value(0, number), FIXTURE_BOUND_NS, NULL) == BRG_OK);
}

static int64_t number_of(const brg_value *value) { return brg_view_get_int(brg_value_root(value), "number", -1); }

/* The next one's number; -1 when there is none. */
static int64_t next_number(brg_broadcast *broadcast)
{
    brg_value *value = NULL;
    brg_status status = brg_broadcast_receive(broadcast, &value, 0);
    if (status != BRG_OK) {
        fixture_check(status == BRG_EMPTY);
        return -1;
    }
    int64_t number = number_of(value);
    brg_value_unref(value);
    return number;
}

/* ---- in the program -------------------------------------------------------------------------------------------- */

static void all_others_hear_and_the_sender_does_not(void **state)
{
    (void)state;
    brg_broadcast *one = open_name("news", NULL), *two = open_name("news", NULL), *three = open_name("news", NULL);
    brg_broadcast *other = open_name("weather", NULL);
    assert_string_equal(brg_broadcast_name(one), "news");
    for (int i = 0; i < 3; i++)
        post_number(one, i);
    post_number(two, 9);
    assert_int_equal(next_number(one), 9);
    assert_int_equal(next_number(one), -1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next_number(two), i);
        assert_int_equal(next_number(three), i);
    }
    assert_int_equal(next_number(two), -1);
    assert_int_equal(next_number(three), 9);
    assert_int_equal(next_number(other), -1);
    brg_broadcast_close(two);
    post_number(one, 4);
    assert_int_equal(next_number(three), 4);
    brg_broadcast_close(three);
    post_number(one, 5); /* nobody hears it, which is no error */
    brg_broadcast_close(one);
    brg_broadcast_close(other);
    brg_broadcast_close(NULL);
    assert_int_equal(brg_ports_open(), 0);
}

static void receivers_share_one_value(void **state)
{
    (void)state;
    brg_broadcast *one = open_name("shared", NULL), *two = open_name("shared", NULL),
                  *three = open_name("shared", NULL);
    brg_value *posted = number_value(0, 1), *second = NULL, *third = NULL;
    brg_value *mine = brg_value_ref(posted);
    assert_int_equal(brg_broadcast_post(one, posted, 0, NULL), BRG_OK);
    assert_int_equal(brg_broadcast_receive(two, &second, 0), BRG_OK);
    assert_int_equal(brg_broadcast_receive(three, &third, 0), BRG_OK);
    assert_ptr_equal(brg_value_data(second), brg_value_data(mine));
    assert_ptr_equal(brg_value_data(third), brg_value_data(mine));
    brg_value_unref(second);
    brg_value_unref(third);
    brg_value_unref(mine);
    brg_broadcast_close(one);
    brg_broadcast_close(two);
    brg_broadcast_close(three);
}

/* The newest that finds no room is dropped, for the slow one alone. */
static void a_slow_receiver_misses_what_it_has_no_room_for(void **state)
{
    (void)state;
    brg_broadcast *sender = open_name("slow", NULL), *fast = open_name("slow", NULL);
    brg_broadcast *slow = open_name("slow", brg_broadcast_opts(.messages_max = 3));
    for (int i = 0; i < 10; i++)
        post_number(sender, i);
    assert_int_equal(brg_broadcast_dropped(slow), 7);
    assert_int_equal(brg_broadcast_dropped(fast), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(next_number(slow), i);
    assert_int_equal(next_number(slow), -1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(next_number(fast), i);
    post_number(sender, 10);
    assert_int_equal(next_number(slow), 10);
    assert_int_equal(brg_broadcast_dropped(slow), 7);
    brg_broadcast_close(sender);
    brg_broadcast_close(fast);
    brg_broadcast_close(slow);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    char name[BRG_BROADCAST_NAME_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    brg_broadcast *broadcast = NULL;
    assert_int_equal(brg_broadcast_open(&broadcast, name, NULL, NULL), BRG_INVALID);
    assert_int_equal(brg_broadcast_open(&broadcast, "", NULL, NULL), BRG_INVALID);
    assert_int_equal(brg_broadcast_open(&broadcast, NULL, NULL, NULL), BRG_INVALID);
    assert_int_equal(brg_broadcast_open(NULL, "a", NULL, NULL), BRG_INVALID);
    assert_int_equal(brg_broadcast_open(&broadcast, "a", brg_broadcast_opts(.messages_max = 1u << 21), NULL),
                     BRG_INVALID);
    assert_int_equal(brg_broadcast_open(&broadcast, "a",
                                        brg_broadcast_opts(.on_close = (void (*)(brg_broadcast *, void *))abort), NULL),
                     BRG_INVALID);
    broadcast = open_name("refused", NULL);
    assert_int_equal(brg_broadcast_post(broadcast, NULL, 0, NULL), BRG_INVALID);
    brg_broadcast_close(broadcast);
}

static void a_value_with_a_port_stays_with_its_sender(void **state)
{
    (void)state;
    brg_port *one = NULL, *other = NULL;
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    assert_int_equal(brg_channel_create(&one, &other, NULL, NULL), BRG_OK);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_port(builder, &other);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    brg_builder_destroy(builder);
    if (!brg__value_has_movables(value))
        skip();
    brg_broadcast *sender = open_name("ports", NULL), *hears = open_name("ports", NULL);
    brg_error error;
    assert_int_equal(brg_broadcast_post(sender, value, 0, &error), BRG_INVALID);
    assert_int_equal(next_number(hears), -1);
    assert_int_equal(brg_view_take_port(brg_value_root(value), &other), BRG_OK);
    brg_value_unref(value);
    brg_port_destroy(one);
    brg_port_destroy(other);
    brg_broadcast_close(sender);
    brg_broadcast_close(hears);
}

/* ---- on a loop ------------------------------------------------------------------------------------------------- */

typedef struct heard {
    int64_t sum;
    int count, released, closed;
    bool close_inside;
    brg_broadcast *answer_on;
} heard;

static void heard_message(brg_broadcast *broadcast, brg_value *message, void *user_data)
{
    heard *h = user_data;
    h->sum += number_of(message);
    h->count++;
    if (h->answer_on != NULL) /* posting from inside a callback */
        post_number(h->answer_on, 100 + number_of(message));
    if (h->close_inside)
        brg_broadcast_close(broadcast);
}

static void heard_close(brg_broadcast *broadcast, void *user_data)
{
    (void)broadcast;
    ((heard *)user_data)->closed++;
}

static void heard_release(void *user_data) { ((heard *)user_data)->released++; }

#define heard_opts(h)                                                                                                  \
    brg_broadcast_opts(.loop = loop, .on_message = heard_message, .on_close = heard_close, .release = heard_release,   \
                       .user_data = (h))

static void messages_arrive_on_the_loop(void **state)
{
    (void)state;
    heard first = {0}, second = {0};
    brg_broadcast *sender = open_name("looped", NULL);
    brg_broadcast *one = open_name("looped", heard_opts(&first)), *two = open_name("looped", heard_opts(&second));
    first.answer_on = one;
    brg_value *value = NULL;
    assert_int_equal(brg_broadcast_receive(one, &value, 0), BRG_STATE);
    for (int i = 0; i < 3; i++)
        post_number(sender, i);
    while (second.count < 6)
        (void)brg_loop_dispatch(loop);
    assert_int_equal(first.count, 3);
    assert_int_equal(second.sum, 3 + 303);
    for (int i = 0; i < 3; i++)
        assert_int_equal(next_number(sender), 100 + i);
    brg_broadcast_close(two);
    first.answer_on = NULL;
    first.close_inside = true;
    post_number(sender, 3);
    post_number(sender, 4); /* after which it is closed */
    while (first.released == 0)
        (void)brg_loop_dispatch(loop);
    assert_int_equal(first.count, 4);
    assert_int_equal(first.closed + second.closed, 0);
    assert_int_equal(second.released, 1);
    brg_broadcast_close(sender);
    assert_int_equal(brg_ports_open(), 0);
}

static void a_handle_keeps_its_loop_running_unless_told_not_to(void **state)
{
    (void)state;
    heard h = {0};
    brg_broadcast *sender = open_name("kept", NULL), *kept = open_name("kept", heard_opts(&h));
    post_number(sender, 1);
    brg_broadcast_keep_loop(kept, false);
    assert_int_equal(brg_loop_run(loop), BRG_OK); /* returns */
    brg_broadcast_keep_loop(kept, true);
    h.close_inside = true;
    post_number(sender, 2);
    assert_int_equal(brg_loop_run(loop), BRG_OK); /* runs until it is closed */
    assert_int_equal(h.released, 1);
    brg_broadcast_close(sender);
}

static void a_worker_that_ends_stops_listening(void **state)
{
    (void)state;
    brg_context context;
    memset(&context, 0, sizeof(context));
    context.worker_id = 51;
    brg__context_set_current(&context);
    brg_broadcast *left = open_name("left", brg_broadcast_opts(.messages_max = 1));
    brg__context_set_current(NULL);
    heard h = {0};
    brg_broadcast *stays = open_name("left", heard_opts(&h));
    brg__services_worker_gone(51);
    brg_value *value = NULL;
    for (int i = 0; i < 3; i++) {
        brg_broadcast *sender = open_name("left", NULL);
        post_number(sender, i);
        brg_broadcast_close(sender);
    }
    while (h.count < 3)
        (void)brg_loop_dispatch(loop);
    assert_int_equal(brg_broadcast_dropped(left), 0);
    assert_int_equal(brg_broadcast_receive(left, &value, 0), BRG_CLOSED);
    brg_broadcast_close(left);
    brg_broadcast_close(stays);
}

/* ---- a process worker ------------------------------------------------------------------------------------------ */

static void a_process_worker_hears_and_is_heard(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    brg_broadcast *here = open_name("across", NULL);
    fixture_enter(worker);
    brg_broadcast *there = open_name("across", brg_broadcast_opts(.messages_max = 2));
    assert_string_equal(brg_broadcast_name(there), "across");
    post_number(there, 1);
    fixture_leave();
    assert_int_equal(next_number(here), 1);
    for (int i = 2; i < 6; i++)
        post_number(here, i);
    fixture_enter(worker);
    assert_int_equal(next_number(there), 2);
    assert_int_equal(next_number(there), 3);
    assert_int_equal(next_number(there), -1);
    assert_int_equal(brg_broadcast_dropped(there), 2);
    brg_broadcast_close(there);
    fixture_leave();
    post_number(here, 9);
    brg_broadcast_close(here);
    assert_int_equal(brg_load_acquire(&worker->xprotocol), 0);
    fixture_worker_end(worker);
    assert_int_equal(brg_ports_open(), 0);
}

static void a_process_worker_that_dies_stops_listening(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    fixture_enter(worker);
    brg_broadcast *there = open_name("died", brg_broadcast_opts(.messages_max = 1));
    fixture_leave();
    brg_broadcast *here = open_name("died", NULL);
    fixture_worker_die(worker);
    for (int i = 0; i < 3; i++)
        post_number(here, i);
    assert_int_equal(worker->client.subscription_count, 0);
    brg_value *value = NULL;
    assert_int_equal(brg_broadcast_receive(there, &value, 0), BRG_CLOSED);
    brg_broadcast_close(there);
    brg_broadcast_close(here);
    fixture_worker_free(worker);
}

static void a_process_worker_has_a_limit(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    static brg_broadcast *all[BRG_BROADCASTS_WORKER_MAX];
    brg_broadcast *one_more = NULL;
    fixture_enter(worker);
    for (size_t i = 0; i < brg__count_of(all); i++)
        all[i] = open_name("limit", NULL);
    assert_int_equal(brg_broadcast_open(&one_more, "limit", NULL, NULL), BRG_TOO_LARGE);
    brg_broadcast_close(all[0]);
    all[0] = open_name("limit", NULL);
    for (size_t i = 0; i < brg__count_of(all); i++)
        brg_broadcast_close(all[i]);
    fixture_leave();
    fixture_worker_end(worker);
    assert_int_equal(brg_ports_open(), 0);
}

static void nonsense_is_a_protocol_error(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    static const uint64_t words[BRG__SERVICE_WORDS];
    const char *const requests[] = {"null",
                                    "{\"op\": \"none\"}",
                                    "{\"op\": \"open\"}",
                                    "{\"op\": \"open\", \"name\": \"\", \"messages\": 1, \"bytes\": 1}",
                                    "{\"op\": \"open\", \"name\": \"a\", \"messages\": 99999999, \"bytes\": 1}",
                                    "{\"op\": \"open\", \"name\": \"a\", \"messages\": -1, \"bytes\": 1}",
                                    "{\"op\": \"open\", \"name\": \"a\", \"messages\": 1}",
                                    "{\"op\": \"dropped\"}",
                                    "{\"op\": \"dropped\", \"id\": \"x\"}"};
    for (size_t i = 0; i < brg__count_of(requests); i++) {
        brg_value *request = NULL;
        assert_int_equal(brg_value_from_json(&request, requests[i], strlen(requests[i]), NULL), BRG_OK);
        fixture_enter(worker);
        assert_int_equal(brg__uplink_call_wait(BRG__SERVICE_BROADCAST, words, request, UINT64_MAX, NULL, NULL),
                         BRG_PROTOCOL);
        fixture_leave();
        brg_value_unref(request);
    }
    fixture_worker_end(worker);
    assert_int_equal(brg_ports_open(), 0);
}

/* ---- many ------------------------------------------------------------------------------------------------------ */

#define MANY_THREADS 4
#define MANY_MESSAGES 400

typedef struct member {
    brg__thread thread;
    int64_t index;
    brg_broadcast *broadcast;
    uint64_t heard;
} member;

static uint32_t xmany_posted;

/* Each posts and hears the others', in order per sender, none twice; guests come and go meanwhile. */
static void member_run(void *argument)
{
    member *m = argument;
    int64_t last[MANY_THREADS];
    memset(last, -1, sizeof(last));
    for (int64_t i = 0; i < MANY_MESSAGES; i++) {
        fixture_check(brg_broadcast_post(m->broadcast, number_value(m->index, i), FIXTURE_BOUND_NS, NULL) == BRG_OK);
        if (i % 16 == 0) {
            brg_broadcast *guest = open_name("many", brg_broadcast_opts(.messages_max = 1));
            brg_broadcast_close(guest);
        }
    }
    brg_add_seq_cst(&xmany_posted, 1u);
    while (m->heard + brg_broadcast_dropped(m->broadcast) < (MANY_THREADS - 1) * MANY_MESSAGES) {
        brg_value *value = NULL;
        brg_status status = brg_broadcast_receive(m->broadcast, &value, BRG_MILLISECONDS(10));
        if (status == BRG_TIMED_OUT)
            continue;
        fixture_check(status == BRG_OK);
        int64_t from = brg_view_get_int(brg_value_root(value), "from", -1), number = number_of(value);
        fixture_check(from >= 0 && from < MANY_THREADS && from != m->index && number > last[from]);
        last[from] = number;
        m->heard++;
        brg_value_unref(value);
    }
}

static void many_threads_hear_each_other_in_order(void **state)
{
    (void)state;
    member all[MANY_THREADS];
    for (int i = 0; i < MANY_THREADS; i++) /* one has little room */
        all[i] = (member){.index = i,
                          .broadcast = open_name("many", brg_broadcast_opts(.messages_max = i == 0 ? 8 : 4096))};
    for (int i = 0; i < MANY_THREADS; i++)
        assert_int_equal(brg__thread_start(&all[i].thread, "member", 0, member_run, &all[i], NULL), BRG_OK);
    for (int i = 0; i < MANY_THREADS; i++)
        brg__thread_join(&all[i].thread);
    for (int i = 1; i < MANY_THREADS; i++)
        assert_int_equal(all[i].heard, (MANY_THREADS - 1) * MANY_MESSAGES);
    for (int i = 0; i < MANY_THREADS; i++)
        brg_broadcast_close(all[i].broadcast);
    assert_int_equal(brg_ports_open(), 0);
}

static int setup(void **state)
{
    (void)state;
    return brg_loop_create(&loop, NULL, NULL);
}

static int teardown(void **state)
{
    (void)state;
    while (brg_loop_dispatch(loop) != 0)
        ;
    return brg_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_others_hear_and_the_sender_does_not),
        cmocka_unit_test(receivers_share_one_value),
        cmocka_unit_test(a_slow_receiver_misses_what_it_has_no_room_for),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_value_with_a_port_stays_with_its_sender),
        cmocka_unit_test(messages_arrive_on_the_loop),
        cmocka_unit_test(a_handle_keeps_its_loop_running_unless_told_not_to),
        cmocka_unit_test(a_worker_that_ends_stops_listening),
        cmocka_unit_test(a_process_worker_hears_and_is_heard),
        cmocka_unit_test(a_process_worker_that_dies_stops_listening),
        cmocka_unit_test(a_process_worker_has_a_limit),
        cmocka_unit_test(nonsense_is_a_protocol_error),
        cmocka_unit_test(many_threads_hear_each_other_in_order),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
