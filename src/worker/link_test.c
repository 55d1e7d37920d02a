/* SPDX-License-Identifier: MIT */
/* Both sides of a link in one process: what travels in values, what is given back, what fails, and the end at any
 * time. */
#include "os/test_support.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "base/util.h"
#include "message/region.h"
#include "os/fault.h"
#include "worker/link_fixture.h"

#define SIZE ((size_t)8192)

static link_pair pair;

static int open_pair(void **state)
{
    (void)state;
    return link_pair_open(&pair) ? 0 : -1;
}

static int close_pair(void **state)
{
    (void)state;
    link_pair_close(&pair);
    brg__region_trim();
    bool clean = pair.owner.refs == 0 && pair.worker.refs == 0 && brg_ports_open() == 0 && brg__channels_open() == 0;
    return clean ? 0 : -1;
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

static brg_builder *builder_new(void)
{
    brg_builder *builder = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    return builder;
}

static brg_value *finish(brg_builder *builder)
{
    brg_value *value = NULL;
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    brg_builder_destroy(builder);
    return value;
}

static brg_value *value_int(int64_t number)
{
    brg_builder *builder = builder_new();
    brg_builder_int(builder, number);
    return finish(builder);
}

static int64_t int_of(const brg_value *value)
{
    int64_t number = -1;
    assert_int_equal(brg_view_int(brg_value_root(value), &number), BRG_OK);
    return number;
}

static brg_value *value_port(brg_port **port)
{
    brg_builder *builder = builder_new();
    brg_builder_port(builder, port);
    return finish(builder);
}

static brg_buffer *region_buffer(unsigned char fill)
{
    brg_buffer *buffer = NULL;
    assert_int_equal(brg_buffer_create_region(&buffer, SIZE, NULL), BRG_OK);
    memset(brg_buffer_data(buffer), fill, SIZE);
    return buffer;
}

/* Keeps the caller's handle. */
static brg_value *value_buffer(brg_buffer *buffer)
{
    brg_builder *builder = builder_new();
    brg_buffer *given = brg_buffer_ref(buffer);
    brg_builder_buffer(builder, &given);
    return finish(builder);
}

static brg_value *value_fds(int count)
{
    brg_builder *builder = builder_new();
    brg_builder_list(builder);
    for (int i = 0; i < count; i++) {
        int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
        brg_builder_fd(builder, &fd);
    }
    brg_builder_end(builder);
    return finish(builder);
}

static void send_over(link_side *from, brg_value *value)
{
    assert_int_equal(link_side_send(from, value), BRG_OK);
    brg_value_unref(value);
    link_pair_run(&pair);
    assert_false(pair.owner.bad || pair.worker.bad || pair.owner.broken || pair.worker.broken);
}

static brg_value *received(link_side *side)
{
    assert_true(side->kept_count > 0);
    return side->kept[--side->kept_count];
}

static brg_port *receive_port(link_side *side)
{
    brg_port *port = NULL;
    brg_value *value = received(side);
    assert_int_equal(brg_view_take_port(brg_value_root(value), &port), BRG_OK);
    brg_value_unref(value);
    return port;
}

static void expect_on(brg_port *port, int64_t number)
{
    brg_value *value = NULL;
    assert_int_equal(brg_port_receive(port, &value, 0), BRG_OK);
    assert_int_equal(int_of(value), number);
    brg_value_unref(value);
}

static void post_on(brg_port *port, int64_t number)
{
    assert_int_equal(brg_port_post(port, value_int(number), 0, NULL), BRG_OK);
    link_pair_run(&pair);
}

/* ---- ports ----------------------------------------------------------------------------------------------------- */

static void port_goes_and_comes_home(void **state)
{
    (void)state;
    brg_port *one = NULL, *other = NULL;
    assert_int_equal(brg_channel_create(&one, &other, NULL, NULL), BRG_OK);
    assert_int_equal(brg_port_post(one, value_int(1), 0, NULL), BRG_OK);
    send_over(&pair.owner, value_port(&other));
    brg_port *there = receive_port(&pair.worker);
    post_on(one, 2);
    expect_on(there, 1);
    post_on(there, 10);
    expect_on(one, 10);
    send_over(&pair.worker, value_port(&there)); /* with one message unread: it comes along */
    other = receive_port(&pair.owner);
    expect_on(other, 2);
    post_on(one, 3);
    expect_on(other, 3);
    assert_int_equal(pair.owner.link.ports.count, 0); /* both sides have forgotten the number */
    assert_int_equal(pair.worker.link.ports.count, 0);
    brg_port_destroy(one);
    brg_port_destroy(other);
}

static void death_closes_ports(void **state)
{
    (void)state;
    brg_port *one = NULL, *other = NULL;
    assert_int_equal(brg_channel_create(&one, &other, NULL, NULL), BRG_OK);
    send_over(&pair.owner, value_port(&other));
    assert_false(brg_port_is_closed(one));
    brg__link_die(&pair.owner.link);
    brg_value *late = value_int(1);
    assert_int_equal(brg_port_post(one, late, 0, NULL), BRG_CLOSED);
    assert_int_equal(link_side_send(&pair.owner, late), BRG_CLOSED);
    brg_value_unref(late);
    brg_port_destroy(one);
}

/* What came after the end leaves nothing in the tables, which nobody would empty. */
static void dead_link_takes_nothing_in(void **state)
{
    (void)state;
    brg_port *one = NULL, *other = NULL;
    assert_int_equal(brg_channel_create(&one, &other, NULL, NULL), BRG_OK);
    brg_value *value = value_port(&other);
    assert_int_equal(link_side_send(&pair.worker, value), BRG_OK);
    brg_value_unref(value);
    brg_buffer *buffer = region_buffer(1);
    value = value_buffer(buffer);
    assert_int_equal(link_side_send(&pair.worker, value), BRG_OK);
    brg_value_unref(value);
    brg__link_die(&pair.owner.link);
    link_side_take_all(&pair.owner);
    assert_int_equal(pair.owner.link.ports.count, 0);
    assert_int_equal(pair.owner.link.regions.count, 0);
    brg_buffer_unref(buffer);
    brg_port_destroy(one);
}

/* ---- regions --------------------------------------------------------------------------------------------------- */

static void region_is_sent_once(void **state)
{
    (void)state;
    brg_buffer *buffer = region_buffer(7);
    send_over(&pair.owner, value_buffer(buffer));
    brg_value *first = received(&pair.worker);
    const unsigned char *seen = brg_buffer_bytes(brg_view_buffer(brg_value_root(first)));
    assert_int_equal(seen[SIZE - 1], 7);
    assert_int_equal(pair.owner.link.packets_sent, 1);
    send_over(&pair.owner, value_buffer(buffer));
    brg_value *second = received(&pair.worker);
    assert_ptr_equal(brg_buffer_bytes(brg_view_buffer(brg_value_root(second))), seen);
    assert_int_equal(pair.owner.link.packets_sent, 1);
    ((unsigned char *)brg_buffer_data(buffer))[0] = 99; /* the same memory */
    assert_int_equal(seen[0], 99);
    send_over(&pair.worker, first); /* home: it is the owner's own mapping, no packet */
    brg_value *home = received(&pair.owner);
    assert_ptr_equal(brg_buffer_bytes(brg_view_buffer(brg_value_root(home))), brg_buffer_bytes(buffer));
    assert_int_equal(pair.worker.link.packets_sent, 0);
    brg_value_unref(home);
    brg_value_unref(second);
    brg_buffer_unref(buffer);
}

/* What a worker has seen reads as zero through a mapping that it kept, and is not used for anything else. */
static void seen_memory_is_given_up(void **state)
{
    (void)state;
    struct stat about;
    size_t offset = 0;
    brg_buffer *buffer = region_buffer(7);
    send_over(&pair.owner, value_buffer(buffer));
    brg_value *there = received(&pair.worker);
    const brg__region *region = brg__buffer_region(brg_view_buffer(brg_value_root(there)), &offset);
    int kept = fcntl(region->fd, F_DUPFD_CLOEXEC, 0);
    const unsigned char *mapped = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, kept, 0);
    assert_ptr_not_equal(mapped, MAP_FAILED);
    brg_buffer_unref(buffer);
    brg_value_unref(there);
    link_pair_run(&pair);
    assert_int_equal(fstat(kept, &about), 0);
    assert_int_equal(about.st_blocks, 0);
    for (int i = 0; i < 20; i++) {
        brg_buffer *secret = region_buffer(0x55);
        for (size_t k = 0; k < SIZE; k++)
            assert_int_equal(mapped[k], 0);
        brg_buffer_unref(secret);
    }
    assert_int_equal(pair.owner.link.regions.count, 0);
    assert_int_equal(pair.worker.link.regions.count, 0);
    munmap((void *)mapped, SIZE);
    close(kept);
}

/* A region of one worker that its owner showed another one is not used again by the first. */
static void release_tells_who_has_seen_it(void **state)
{
    (void)state;
    link_pair second;
    size_t offset = 0;
    assert_true(link_pair_open(&second));
    brg_buffer *buffer = region_buffer(7);
    brg__region *region = brg__buffer_region(buffer, &offset);
    brg__region_ref(region);
    send_over(&pair.worker, value_buffer(buffer));
    brg_value *relayed = received(&pair.owner);
    assert_int_equal(link_side_send(&second.owner, relayed), BRG_OK);
    link_pair_run(&second);
    brg_value_unref(relayed);
    brg_buffer_unref(buffer);
    link_side_drop_kept(&second.worker);
    link_pair_run(&second);
    link_pair_run(&pair);
    assert_int_equal(region->xusers, 0);
    assert_int_equal(region->xretired, 1);
    brg__region_unref(region);
    link_pair_close(&second);
}

static void shared_keeps_its_identity(void **state)
{
    (void)state;
    brg_shared *shared = NULL;
    assert_int_equal(brg_shared_create(&shared, brg_shared_opts(.size_bytes = SIZE), NULL), BRG_OK);
    brg_builder *builder = builder_new();
    brg_builder_shared(builder, shared);
    send_over(&pair.owner, finish(builder));
    brg_value *there = received(&pair.worker);
    brg_shared *theirs = brg_view_shared(brg_value_root(there));
    assert_non_null(theirs);
    assert_int_equal(brg_shared_store32(theirs, 16, 4711), BRG_OK);
    uint32_t word = 0;
    assert_int_equal(brg_shared_load32(shared, 16, &word), BRG_OK);
    assert_int_equal(word, 4711);
    send_over(&pair.worker, there);
    brg_value *home = received(&pair.owner);
    assert_ptr_equal(brg_view_shared(brg_value_root(home)), shared);
    brg_value_unref(home);
    brg_shared_unref(shared);
    link_pair_run(&pair);
}

static void token_is_cancelled_there_too(void **state)
{
    (void)state;
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    brg_builder *builder = builder_new();
    brg_builder_token(builder, token);
    send_over(&pair.owner, finish(builder));
    brg_value *there = received(&pair.worker);
    assert_false(brg_token_is_cancelled(brg_view_token(brg_value_root(there))));
    brg_token_cancel(token);
    assert_true(brg_token_is_cancelled(brg_view_token(brg_value_root(there))));
    brg_value_unref(there);
    brg_token_unref(token);
}

/* ---- no room --------------------------------------------------------------------------------------------------- */

static void fill_ring(void)
{
    brg_value *value = value_int(1);
    while (link_side_send(&pair.owner, value) == BRG_OK)
        ;
    brg_value_unref(value);
}

/* A message that finds no room stays whole. */
static void refused_message_stays_whole(void **state)
{
    (void)state;
    int next = link_fixture_next_fd();
    brg_port *one = NULL, *other = NULL;
    brg_buffer *buffer = region_buffer(1);
    assert_int_equal(brg_channel_create(&one, &other, NULL, NULL), BRG_OK);
    fill_ring();
    brg_builder *builder = builder_new();
    brg_buffer *given = brg_buffer_ref(buffer);
    brg_builder_list(builder);
    brg_builder_port(builder, &other);
    brg_builder_buffer(builder, &given);
    brg_builder_end(builder);
    brg_value *value = finish(builder);
    assert_int_equal(link_side_send(&pair.owner, value), BRG_FULL);
    assert_true(brg__value_is_whole(value));
    assert_int_equal(pair.owner.link.ports.count, 0);
    assert_int_equal(pair.owner.link.regions.count, 0);
    link_pair_run(&pair);
    link_side_drop_kept(&pair.worker);
    send_over(&pair.owner, value);
    brg_value *there = received(&pair.worker);
    assert_int_equal(brg_view_take_port(brg_view_at(brg_value_root(there), 0), &other), BRG_OK);
    brg_buffer_unref(buffer);
    brg_value_unref(there);
    post_on(other, 5);
    expect_on(one, 5);
    brg_port_destroy(one);
    brg_port_destroy(other);
    link_pair_run(&pair);
    brg__region_trim();
    assert_int_equal(link_fixture_next_fd(), next);
}

static brg_status queue_event(uint64_t id, const brg_value *value)
{
    const brg__frame head = {.kind = BRG__LINK_EVENT, .id = id};
    brg__departures departures = {0};
    brg_status status = brg__link_queue(&pair.owner.link, &head, value, &departures, NULL);
    brg__departures_run(&departures);
    return status;
}

static void too_many_descriptors(void **state)
{
    (void)state;
    brg_value *value = value_fds(BRG__LINK_PACKETS_MAX + 1);
    assert_int_equal(link_side_send(&pair.owner, value), BRG_TOO_LARGE);
    assert_true(brg__value_is_whole(value));
    fill_ring();
    assert_int_equal(queue_event(1, NULL), BRG_OK);         /* the backlog */
    assert_int_equal(queue_event(2, value), BRG_TOO_LARGE); /* is not told that it went, and lost then */
    assert_true(brg__value_is_whole(value));
    brg_value_unref(value);
    link_pair_run(&pair);
    send_over(&pair.owner, value_fds(0));
}

static void backlog_keeps_order(void **state)
{
    (void)state;
    fill_ring();
    for (uint64_t id = 1; id <= 200; id++) {
        brg_value *value = id % 10 == 0 ? value_fds(3) : NULL;
        assert_int_equal(queue_event(id, value), BRG_OK);
        brg_value_unref(value);
    }
    assert_true(pair.owner.link.backlog_count > 0);
    brg_value *value = value_int(1);
    assert_int_equal(link_side_send(&pair.owner, value), BRG_FULL); /* does not overtake */
    brg_value_unref(value);
    link_pair_run(&pair);
    assert_int_equal(pair.worker.calls, 200);
    for (uint64_t id = 1; id <= 200; id++)
        assert_int_equal(pair.worker.ids[id - 1], id);
    assert_false(pair.owner.broken || pair.worker.bad);
}

/* The socket is full before the ring: what was sent for nothing is closed over there, and numbers go on. */
static void full_socket(void **state)
{
    (void)state;
    int next = link_fixture_next_fd();
    brg_status status = BRG_OK;
    for (int i = 0; i < 200 && status == BRG_OK; i++) {
        brg_value *value = value_fds(BRG__LINK_PACKETS_MAX);
        status = link_side_send(&pair.owner, value);
        assert_int_equal(brg__value_is_whole(value), status != BRG_OK);
        brg_value_unref(value);
    }
    assert_int_equal(status, BRG_FULL);
    link_pair_run(&pair);
    assert_false(pair.worker.bad);
    send_over(&pair.owner, value_fds(5));
    link_side_drop_kept(&pair.worker);
    assert_int_equal(link_fixture_next_fd(), next);
}

/* The other side may have taken all that filled the socket, and sleep: what is left in the ring is for it. */
static void sent_for_nothing_wakes(void **state)
{
    (void)state;
    static char bytes[4096];
    brg_value *value = value_fds(1);
    while (brg__socket_send(pair.sockets[0], bytes, sizeof(bytes), NULL, 0, NULL) == BRG_OK)
        ;
    assert_int_equal(queue_event(1, value), BRG_OK);
    brg_value_unref(value);
    uint64_t tail = pair.owner.out.tail, wakes = pair.owner.wakes;
    brg__link_flush(&pair.owner.link);
    assert_true(pair.owner.out.tail != tail);
    assert_true(pair.owner.wakes != wakes);
    size_t size = sizeof(bytes), none = 0;
    while (brg__socket_receive(pair.sockets[1], bytes, &size, NULL, &none, NULL) == BRG_OK)
        size = sizeof(bytes);
    link_pair_run(&pair);
    assert_false(pair.worker.bad);
    assert_int_equal(pair.worker.calls, 1);
}

/* ---- a life ------------------------------------------------------------------------------------------------------ */

/* Half the objects there are, one after the other, until `steps` were done; nothing is asserted, for calls may fail. */
static void live(int steps)
{
    brg_port *one = NULL, *other = NULL, *there = NULL;
    brg_buffer *buffer = NULL;
    brg_shared *shared = NULL;
    brg_value *value = NULL;
    for (int i = 0; i < steps; i++) {
        brg_builder *builder = NULL;
        link_side *from = i % 3 == 2 ? &pair.worker : &pair.owner;
        if (brg_builder_create(&builder, NULL) != BRG_OK)
            continue;
        brg_builder_list(builder);
        if (i % 4 == 0 && brg_channel_create(&one, &other, NULL, NULL) == BRG_OK) {
            brg_value *early = NULL;
            if (brg_value_map(&early, NULL, brg_field_int("i", i)) == BRG_OK &&
                brg_port_post(one, early, 0, NULL) != BRG_OK)
                brg_value_unref(early);
            brg_builder_port(builder, &other);
        }
        if (i % 4 == 1 && brg_buffer_create_region(&buffer, SIZE, NULL) == BRG_OK)
            brg_builder_buffer(builder, &buffer);
        if (i % 4 == 2 && brg_shared_create(&shared, brg_shared_opts(.size_bytes = 64), NULL) == BRG_OK)
            brg_builder_shared(builder, shared);
        if (i % 4 == 3) {
            int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
            brg_builder_fd(builder, &fd);
            brg__fd_close(&fd);
        }
        brg_builder_end(builder);
        if (brg_builder_finish(builder, &value, NULL) == BRG_OK) {
            (void)link_side_send(from, value);
            brg_value_unref(value);
        }
        brg_builder_destroy(builder);
        if (i % 2 == 1)
            link_pair_run(&pair);
        link_side *to = from->other;
        if (i % 4 == 0 && to->kept_count > 0)
            (void)brg_view_take_port(brg_view_at(brg_value_root(to->kept[to->kept_count - 1]), 0), &there);
        brg_port_destroy(there);
        brg_port_destroy(one);
        brg_port_destroy(other);
        brg_buffer_unref(buffer);
        brg_shared_unref(shared);
        one = other = there = NULL;
        buffer = NULL;
        shared = NULL;
        if (i % 5 == 4)
            link_side_drop_kept(&pair.worker);
    }
}

static void expect_no_lie(const char *what, uint64_t number)
{
    for (int i = 0; i < 2; i++) {
        const link_side *side = i == 0 ? &pair.owner : &pair.worker;
        if (side->bad)
            fail_msg("%s %llu: the %s takes a frame of kind %u about %llu for a lie: %s", what,
                     (unsigned long long)number, i == 0 ? "owner" : "worker", side->bad_kind,
                     (unsigned long long)side->bad_id, side->bad_why);
    }
}

static void it_may_die_at_any_time(void **state)
{
    (void)state;
    for (int steps = 0; steps < 24; steps++) {
        for (int who = 0; who < 2; who++) {
            int next = link_fixture_next_fd();
            assert_true(link_pair_open(&pair));
            live(steps);
            expect_no_lie("steps", (uint64_t)steps);
            brg__link_die(who == 0 ? &pair.owner.link : &pair.worker.link);
            live(3); /* with one side dead: what was on its way may have lost its memory */
            assert_int_equal(close_pair(NULL), 0);
            assert_int_equal(link_fixture_next_fd(), next);
        }
    }
}

/* Each call that may fail does, once: nothing leaks, and neither side takes the other for a liar. */
static void any_call_may_fail(void **state)
{
    (void)state;
    bool fired = true;
    for (uint64_t nth = 1; fired; nth++) {
        int next = link_fixture_next_fd();
        assert_true(link_pair_open(&pair));
        brg__fault_arm(NULL, nth);
        live(12);
        fired = brg__fault_fired();
        brg__fault_disarm();
        if (!pair.owner.broken && !pair.worker.broken)
            live(4);
        expect_no_lie("failing call", nth);
        if (close_pair(NULL) != 0 || link_fixture_next_fd() != next)
            fail_msg("failing call %llu leaks: references %d and %d, %zu ports, %zu channels, descriptor %d for %d",
                     (unsigned long long)nth, pair.owner.refs, pair.worker.refs, brg_ports_open(), brg__channels_open(),
                     link_fixture_next_fd(), next);
    }
}

int main(void)
{
#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        WITH_PAIR(port_goes_and_comes_home),    WITH_PAIR(death_closes_ports),
        WITH_PAIR(dead_link_takes_nothing_in),  WITH_PAIR(region_is_sent_once),
        WITH_PAIR(seen_memory_is_given_up),     WITH_PAIR(release_tells_who_has_seen_it),
        WITH_PAIR(shared_keeps_its_identity),   WITH_PAIR(token_is_cancelled_there_too),
        WITH_PAIR(refused_message_stays_whole), WITH_PAIR(too_many_descriptors),
        WITH_PAIR(backlog_keeps_order),         WITH_PAIR(full_socket),
        WITH_PAIR(sent_for_nothing_wakes),      cmocka_unit_test(it_may_die_at_any_time),
        cmocka_unit_test(any_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
