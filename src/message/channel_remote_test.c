/* SPDX-License-Identifier: MIT */
/*
 * Channels between processes that are all in this one, over the links of channel_fake.h, which deliver one by one, in
 * an order that chance decides. Ports wander among them while numbered
 * messages are posted; the model knows what must arrive where.
 *
 * Chance also decides when what is sent is written (a link's backlog) and when ports depart after their frame was
 * published.
 */
#include "message/channel_fake.h"

#define CHANNELS_MAX 24

/* ---- the model --------------------------------------------------------------------------------------------------- */

typedef struct port_label {
    uint32_t channel, end;
} port_label;

typedef struct message {
    port_label from;
    uint64_t number;
    uint32_t port_count;
    port_label ports[MESSAGE_PORTS_MAX];
    uint32_t size;
} message;

typedef struct held {
    port_label label;
    brg_port *port;
    int proc;
} held;

static held holding[2 * CHANNELS_MAX];
static uint32_t holding_count, channel_total;
static uint64_t sent[CHANNELS_MAX][2], received[CHANNELS_MAX][2];
static bool closed_here[CHANNELS_MAX][2], close_heard[CHANNELS_MAX][2];
static bool may_lose; /* a process died */
static uint64_t full_count, moved_count, lost_count;

static brg_value *message_value(const message *text)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    char bytes[sizeof(message) + 256] = {0};
    memcpy(bytes, text, sizeof(*text));
    check(brg_builder_create(&builder, NULL) == BRG_OK);
    brg_builder_bytes(builder, bytes, sizeof(*text) + text->size);
    check(brg_builder_finish(builder, &value, NULL) == BRG_OK);
    brg_builder_destroy(builder);
    return value;
}

static void hold(port_label label, brg_port *port, int proc)
{
    check(holding_count < 2 * CHANNELS_MAX);
    holding[holding_count++] = (held){label, port, proc};
}

static held unhold(uint32_t index)
{
    held it = holding[index];
    holding[index] = holding[--holding_count];
    return it;
}

static void open_channel(int proc)
{
    if (channel_total == CHANNELS_MAX)
        return;
    static const uint32_t limits[] = {1, 2, 5, 16, 200};
    brg_channel_options options = {.size = sizeof(options), .messages_max = limits[chance(5)]};
    options.bytes_max = chance(2) == 0 ? 0 : 300 + chance(2000);
    brg_port *ports[2];
    check(brg_channel_create(&ports[0], &ports[1], &options, NULL) == BRG_OK);
    for (uint32_t end = 0; end < 2; end++)
        hold((port_label){channel_total, end}, ports[end], proc);
    channel_total++;
}

/* Only channels with a higher number go through one with a lower: no circles. */
static uint32_t pick_riders(held *riders, const held *through)
{
    uint32_t count = 0;
    if (chance(3) != 0)
        return 0;
    for (uint32_t i = 0; i < holding_count && count < MESSAGE_PORTS_MAX; i++)
        if (holding[i].proc == through->proc && holding[i].label.channel > through->label.channel && chance(3) == 0 &&
            !brg_port_is_closed(holding[i].port))
            riders[count++] = holding[i];
    return count;
}

static void drop_rider(brg_port *port)
{
    for (uint32_t i = 0; i < holding_count; i++)
        if (holding[i].port == port) {
            unhold(i);
            return;
        }
}

static void post_one(uint32_t index)
{
    held through = holding[index], riders[MESSAGE_PORTS_MAX];
    port_label label = through.label;
    uint32_t count = pick_riders(riders, &through);
    message text = {.from = label, .number = sent[label.channel][label.end], .port_count = count, .size = chance(256)};
    for (uint32_t i = 0; i < count; i++)
        text.ports[i] = riders[i].label;
    brg_value *value = message_value(&text);
    if (count > 0) {
        value->objects = calloc(count, sizeof(*value->objects));
        value->object_count = count;
        for (uint32_t i = 0; i < count; i++)
            value->objects[i] = (brg__object){.type = BRG_TYPE_PORT, .xfd = -1, .xpointer = riders[i].port};
    }
    brg_error error;
    brg_status status = brg_port_post(through.port, value, 0, &error);
    if (status == BRG_OK) {
        sent[label.channel][label.end]++;
        moved_count += count;
        for (uint32_t i = 0; i < count; i++)
            drop_rider(riders[i].port);
        return;
    }
    check(status == BRG_FULL || status == BRG_CLOSED);
    full_count += status == BRG_FULL;
    for (uint32_t i = 0; i < count; i++)
        value->objects[i].xpointer = NULL; /* still ours */
    brg_value_unref(value);
}

static void take_message(const held *at, brg_value *value)
{
    message text;
    size_t size = 0;
    const void *bytes = brg_view_bytes(brg_value_root(value), &size);
    check(bytes != NULL && size >= sizeof(text));
    memcpy(&text, bytes, sizeof(text));
    check(size == sizeof(text) + text.size);
    port_label label = at->label;
    check(text.from.channel == label.channel && text.from.end == 1 - label.end);
    uint64_t *next = &received[label.channel][label.end];
    if (may_lose)
        check(text.number >= *next);
    else
        check(text.number == *next);
    *next = text.number + 1;
    for (uint32_t i = 0; i < text.port_count; i++) {
        brg_port *port = brg_exchange_acq_rel(&value->objects[i].xpointer, NULL);
        check(port != NULL);
        hold(text.ports[i], port, at->proc);
    }
    brg_value_unref(value);
}

static bool receive_one(uint32_t index)
{
    held at = holding[index];
    port_label label = at.label;
    brg_value *value = NULL;
    brg_status status = brg_port_receive(at.port, &value, 0);
    if (status == BRG_OK) {
        check(!close_heard[label.channel][label.end] && !closed_here[label.channel][label.end]);
        take_message(&at, value);
        return true;
    }
    if (status == BRG_MALFORMED) {
        check(may_lose);
        lost_count++;
        return true;
    }
    check(status == BRG_EMPTY || status == BRG_CLOSED);
    if (status == BRG_CLOSED) {
        close_heard[label.channel][label.end] = true;
        if (!closed_here[label.channel][label.end] && !may_lose)
            check(received[label.channel][label.end] == sent[label.channel][1 - label.end]);
    } else {
        check(!close_heard[label.channel][label.end]);
    }
    return false;
}

static void close_one(uint32_t index)
{
    port_label label = holding[index].label;
    closed_here[label.channel][label.end] = true;
    if (chance(2) == 0) {
        brg_port_close(holding[index].port);
        return;
    }
    held it = unhold(index);
    brg_port_destroy(it.port);
}

static void kill_process(int proc)
{
    may_lose = true;
    for (int i = 0; i < 2 * LINKS; i++) {
        if (sides[i].proc != proc && sides[i].other->proc != proc)
            continue;
        if (sides[i].dead)
            continue;
        sides[i].dead = true;
        step_late(&sides[i]);
        brg__node *node;
        while ((node = brg__list_pop_front(&sides[i].out)) != NULL) {
            frame *item = brg__container_of(node, frame, node);
            if (item->value != NULL)
                brg_value_unref(item->value);
            free(item);
        }
        while (sides[i].entry_count > 0) {
            brg__end *end = sides[i].entries[0].end;
            uint64_t id = sides[i].entries[0].id;
            brg__end_ref(end);
            brg__end_closed(end, &sides[i].remote);
            entry *known = side_entry(&sides[i], id);
            if (known != NULL)
                side_remove(&sides[i], known);
            brg__end_unref(end);
        }
    }
    for (uint32_t i = holding_count; i > 0; i--)
        if (holding[i - 1].proc == proc)
            brg_port_destroy(unhold(i - 1).port);
}

static void one_step(uint32_t close_chance)
{
    uint32_t what = chance(100);
    if (what < 45) {
        step_in(&sides[chance(2 * LINKS)]);
    } else if (what < 50) {
        step_late(&sides[chance(2 * LINKS)]);
    } else if (holding_count == 0) {
        open_channel(0);
    } else if (what < 75) {
        post_one(chance(holding_count));
    } else if (what < 98 || chance(close_chance) != 0) {
        receive_one(chance(holding_count));
    } else {
        close_one(chance(holding_count));
    }
}

/* Delivers and takes all there is. */
static void settle_all(void)
{
    bool any = true;
    while (any) {
        links_settle();
        any = false;
        for (uint32_t i = 0; i < holding_count; i++)
            while (receive_one(i))
                any = true;
    }
}

static void check_nothing_is_missing(void)
{
    for (uint32_t i = 0; i < holding_count && !may_lose; i++) {
        port_label label = holding[i].label;
        if (!closed_here[label.channel][label.end])
            check(received[label.channel][label.end] == sent[label.channel][1 - label.end]);
        if (closed_here[label.channel][1 - label.end])
            check(close_heard[label.channel][label.end] || closed_here[label.channel][label.end]);
    }
    /* All was received: there is room everywhere. */
    for (uint32_t i = 0; i < holding_count; i++) {
        if (brg_port_is_closed(holding[i].port))
            continue;
        brg_value *value = message_value(
            &(message){.from = holding[i].label, .number = sent[holding[i].label.channel][holding[i].label.end]});
        brg_status status = brg_port_post(holding[i].port, value, 0, NULL);
        if (status != BRG_OK)
            print_error("%s: channel %u, end %u, process %d\n", brg_status_name(status), holding[i].label.channel,
                        holding[i].label.end, holding[i].proc);
        check(status == BRG_OK);
        sent[holding[i].label.channel][holding[i].label.end]++;
    }
    settle_all();
}

static void run_model(uint64_t with_seed, uint32_t steps, bool with_deaths)
{
    seed = chance_state = with_seed;
    backlog_percent = chance(3) * 20;
    late_percent = chance(3) * 40;
    holding_count = channel_total = 0;
    may_lose = false;
    memset(sent, 0, sizeof(sent));
    memset(received, 0, sizeof(received));
    memset(closed_here, 0, sizeof(closed_here));
    memset(close_heard, 0, sizeof(close_heard));
    links_init();
    for (int proc = 0; proc < PROCS;
         proc++) /* a way from each process to each neighbour, over channels of the nearer one */
        open_channel(proc);
    /* Give one end of the channels of 0 and 1 to the neighbours by hand: through a link's first frame. */
    for (int link = 0; link < LINKS; link++) {
        side *from = &sides[2 * link];
        open_channel(from->proc);
        held far = unhold(holding_count - 1);
        port_name name = {.id = from->last_id += 2};
        brg__end *end = NULL;
        brg__departures departures = {NULL, NULL};
        check(brg__port_leave(far.port, &from->remote, &name.id, &name.back, &end) == BRG_OK);
        brg__end_terms(end, &name.terms);
        side_add(from, name.id, end);
        brg__departures_add(&departures, far.port);
        brg__departures_run(&departures);
        hold(far.label, import_port(from->other, &name), from->other->proc);
    }
    while (channel_total < CHANNELS_MAX)
        open_channel((int)chance(PROCS));
    uint32_t close_chance = chance(2) == 0 ? 1 : 20;
    for (uint32_t i = 0; i < steps; i++) {
        one_step(close_chance);
        if (with_deaths && i == steps / 2)
            kill_process(1 + (int)chance(PROCS - 1));
    }
    settle_all();
    check_nothing_is_missing();
    while (holding_count > 0)
        brg_port_destroy(unhold(chance(holding_count)).port);
    links_settle();
    check(brg_ports_open() == 0);
    check(brg__channels_open() == 0);
    links_done();
}

static uint64_t model_seed(void)
{
    const char *text = getenv("BRIGADE_TEST_SEED");
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static void run_models(uint64_t first, uint32_t runs, bool with_deaths)
{
    if (model_seed() != 0) {
        run_model(model_seed(), 3000, with_deaths);
        return;
    }
    const char *count = getenv("BRIGADE_TEST_RUNS");
    if (count != NULL)
        runs = (uint32_t)strtoul(count, NULL, 10);
    for (uint32_t i = 0; i < runs; i++)
        run_model(first + i, 3000, with_deaths);
}

static void wandering_ports_lose_nothing(void **state)
{
    (void)state;
    run_models(1, 300, false);
    if (model_seed() == 0)
        for (int i = 0; i < KINDS; i++)
            if (seen[i] == 0)
                fail_msg("no %s was ever seen", kind_names[i]);
    assert_true(full_count > 0 && moved_count > 0);
    for (int i = 0; i < KINDS; i++)
        print_message("%s %llu, ", kind_names[i], (unsigned long long)seen[i]);
    print_message("full %llu, moved %llu, lost markers %llu\n", (unsigned long long)full_count,
                  (unsigned long long)moved_count, (unsigned long long)lost_count);
}

static void processes_that_die_leave_nothing_behind(void **state)
{
    (void)state;
    run_models(1000001, 300, true);
}

/* ---- by hand ----------------------------------------------------------------------------------------------------- */

/* A channel of process 0 with one port at process 1; returns process 0's end of it. */
static brg__end *send_port(brg_port **here, brg_port **there, uint32_t messages_max)
{
    brg_channel_options options = {.size = sizeof(options), .messages_max = messages_max};
    brg_port *far = NULL;
    check(brg_channel_create(here, &far, &options, NULL) == BRG_OK);
    port_name name = {.id = sides[0].last_id += 2};
    brg__end *end = NULL;
    brg__departures departures = {NULL, NULL};
    check(brg__port_leave(far, &sides[0].remote, &name.id, &name.back, &end) == BRG_OK);
    brg__end_terms(end, &name.terms);
    side_add(&sides[0], name.id, end);
    brg__departures_add(&departures, far);
    brg__departures_run(&departures);
    *there = import_port(&sides[1], &name);
    return end;
}

static void hand_begin(void)
{
    seed = chance_state = 1;
    backlog_percent = late_percent = 0;
    links_init();
}

static void hand_end(void)
{
    links_settle();
    links_done();
    assert_int_equal(brg_ports_open(), 0);
    assert_int_equal(brg__channels_open(), 0);
}

static brg_value *plain_value(void) { return message_value(&(message){.number = 1}); }

static void lies_are_refused(void **state)
{
    (void)state;
    brg_port *here, *there, *back = NULL;
    brg__departures departures = {NULL, NULL};
    hand_begin();
    brg__end *end = send_port(&here, &there, 2);
    brg__remote *remote = &sides[0].remote;
    assert_int_equal(brg__end_credited(end, remote, 1, 0), BRG_PROTOCOL);
    assert_int_equal(brg_port_post(here, plain_value(), 0, NULL), BRG_OK);
    assert_int_equal(brg__end_credited(end, remote, 1, UINT64_MAX), BRG_PROTOCOL);
    assert_int_equal(brg__end_credited(end, remote, 2, 0), BRG_PROTOCOL);
    brg_value *value = plain_value();
    assert_int_equal(brg__end_bounced(end, remote, value), BRG_PROTOCOL); /* the port is not back */
    assert_int_equal(brg__end_fin_acked(end, remote), BRG_PROTOCOL);
    assert_int_equal(brg__end_arrived(end, remote, brg_value_ref(value), &departures), BRG_OK);
    assert_int_equal(brg__end_arrived(end, remote, brg_value_ref(value), &departures), BRG_OK);
    assert_int_equal(brg__end_arrived(end, remote, value, &departures), BRG_PROTOCOL); /* beyond the limit */
    assert_int_equal(brg__end_come_back(end, remote, &back), BRG_OK);
    brg_port *again = NULL;
    assert_int_equal(brg__end_come_back(end, remote, &again), BRG_PROTOCOL);
    assert_int_equal(brg__end_arrived(end, remote, value, &departures), BRG_PROTOCOL);
    assert_int_equal(brg__end_bounced(end, remote, brg_value_ref(value)), BRG_OK);
    assert_int_equal(brg__end_bounced(end, remote, value), BRG_PROTOCOL); /* more than was sent */
    brg_value_unref(value);
    brg__terms terms = {.messages_max = 0, .bytes_max = 1};
    brg__end *adopted = NULL;
    assert_int_equal(brg__end_adopt(remote, 99, &terms, &again, &adopted), BRG_PROTOCOL);
    terms.messages_max = 1u << 21;
    assert_int_equal(brg__end_adopt(remote, 99, &terms, &again, &adopted), BRG_PROTOCOL);
    assert_null(again);
    /* It lied: its link ends. */
    brg_port_destroy(back);
    brg_port_destroy(here);
    kill_process(1);
    brg_port_destroy(there);
    hand_end();
}

static void unreadable_values_are_heard_of_and_credited(void **state)
{
    (void)state;
    brg_port *here, *there;
    brg_error error;
    hand_begin();
    brg__end *end = send_port(&here, &there, 1);
    brg_error_set(&error, BRG_NO_MEMORY, "test", "no memory");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(brg_port_post(there, plain_value(), 0, NULL), BRG_OK);
        frame *item = brg__container_of(brg__list_pop_front(&sides[1].out), frame, node);
        assert_int_equal(item->kind, POST);
        brg__end_garbled(end, &sides[0].remote, false, &error);
        brg_value_unref(item->value);
        free(item);
        brg_value *value = NULL;
        assert_int_equal(brg_port_post(there, value = plain_value(), 0, NULL), BRG_FULL);
        brg_value_unref(value);
        assert_int_equal(brg_port_receive(here, &value, 0), BRG_MALFORMED);
        links_settle();
    }
    brg_port_destroy(here);
    brg_port_destroy(there);
    hand_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wandering_ports_lose_nothing),
        cmocka_unit_test(processes_that_die_leave_nothing_behind),
        cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(unreadable_values_are_heard_of_and_credited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
