/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/test_support.h"

#include <fcntl.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/thread.h"

typedef struct watched {
    brg__poll_source source;
    uint32_t calls;
    struct watched *removes; /* in its callback: removed, and freed */
    struct watched *adds;
} watched;

static brg__poller poller;
static watched *last_called;

static void on_ready(brg__poll_source *source)
{
    watched *self = brg__container_of(source, watched, source);
    self->calls++;
    last_called = self;
    if (self->removes != NULL) {
        watched *other = self->removes;
        self->removes = NULL;
        brg__poller_remove(&poller, &other->source);
        brg__fd_close(&other->source.fd);
        if (other != self)
            free(other);
    }
    if (self->adds != NULL)
        assert_int_equal(brg__poller_add(&poller, &self->adds->source, NULL), BRG_OK);
    self->adds = NULL;
}

static watched *watch_signalled(void)
{
    watched *made = calloc(1, sizeof(*made));
    assert_non_null(made);
    made->source.ready = on_ready;
    assert_int_equal(brg__event_create(&made->source.fd, NULL), BRG_OK);
    brg__event_signal(made->source.fd);
    return made;
}

static void unwatch(watched *made)
{
    brg__poller_remove(&poller, &made->source);
    brg__fd_close(&made->source.fd);
    free(made);
}

static int open_poller(void **state)
{
    (void)state;
    return brg__poller_init(&poller, NULL);
}

static int close_poller(void **state)
{
    (void)state;
    brg__poller_done(&poller);
    return poller.epoll == -1 && poller.wake == -1 ? 0 : -1;
}

static void events_are_signalled_and_cleared(void **state)
{
    (void)state;
    int fd = -1;
    assert_int_equal(brg__event_create(&fd, NULL), BRG_OK);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_false(brg__event_clear(fd));
    brg__event_signal(fd);
    brg__event_signal(fd);
    assert_true(brg__event_clear(fd));
    assert_false(brg__event_clear(fd));
    brg__fd_close(&fd);
    assert_int_equal(fd, -1);
    brg__fd_close(&fd);
}

static void ready_sources_are_called(void **state)
{
    (void)state;
    watched *one = watch_signalled(), *two = watch_signalled();
    assert_int_equal(brg__poller_add(&poller, &one->source, NULL), BRG_OK);
    assert_int_equal(brg__poller_add(&poller, &two->source, NULL), BRG_OK);
    brg__event_clear(two->source.fd);
    brg__poller_wait(&poller, UINT64_MAX);
    brg__poller_wait(&poller, UINT64_MAX); /* level-triggered */
    assert_int_equal(one->calls, 2);
    assert_int_equal(two->calls, 0);
    unwatch(one);
    brg__poller_wait(&poller, 0);
    brg__event_signal(two->source.fd);
    brg__poller_wait(&poller, UINT64_MAX);
    assert_int_equal(two->calls, 1);
    unwatch(two);
}

/* Whichever comes first removes and frees the other: a second call would touch freed memory. */
static void callback_removes_another_ready_source(void **state)
{
    (void)state;
    watched *one = watch_signalled(), *two = watch_signalled();
    one->removes = two;
    two->removes = one;
    assert_int_equal(brg__poller_add(&poller, &one->source, NULL), BRG_OK);
    assert_int_equal(brg__poller_add(&poller, &two->source, NULL), BRG_OK);
    brg__poller_wait(&poller, UINT64_MAX);
    assert_int_equal(last_called->calls, 1);
    assert_null(last_called->removes);
    unwatch(last_called);
}

static void callback_removes_itself(void **state)
{
    (void)state;
    watched *one = watch_signalled();
    one->removes = one;
    assert_int_equal(brg__poller_add(&poller, &one->source, NULL), BRG_OK);
    brg__poller_wait(&poller, UINT64_MAX);
    brg__poller_wait(&poller, 0);
    assert_int_equal(one->calls, 1);
    free(one);
}

static void callback_adds_a_source(void **state)
{
    (void)state;
    watched *one = watch_signalled(), *two = watch_signalled();
    one->adds = two;
    assert_int_equal(brg__poller_add(&poller, &one->source, NULL), BRG_OK);
    brg__poller_wait(&poller, UINT64_MAX);
    assert_int_equal(two->calls, 0);
    brg__poller_wait(&poller, UINT64_MAX);
    assert_int_equal(two->calls, 1);
    unwatch(one);
    unwatch(two);
}

static void all_of_many_sources_are_served(void **state)
{
    (void)state;
    watched *many[50];
    for (int i = 0; i < 50; i++) {
        many[i] = watch_signalled();
        assert_int_equal(brg__poller_add(&poller, &many[i]->source, NULL), BRG_OK);
    }
    for (int i = 0; i < 8; i++)
        brg__poller_wait(&poller, UINT64_MAX);
    for (int i = 0; i < 50; i++) {
        assert_true(many[i]->calls > 0);
        unwatch(many[i]);
    }
}

static void hangup_is_ready(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(brg__socket_pair(ends, NULL), BRG_OK);
    watched one = {.source = {.fd = ends[0], .ready = on_ready}};
    assert_int_equal(brg__poller_add(&poller, &one.source, NULL), BRG_OK);
    brg__poller_wait(&poller, 0);
    assert_int_equal(one.calls, 0);
    brg__fd_close(&ends[1]);
    brg__poller_wait(&poller, UINT64_MAX);
    assert_int_equal(one.calls, 1);
    assert_true(brg__fd_wait_readable(ends[0], UINT64_MAX));
    brg__poller_remove(&poller, &one.source);
    brg__fd_close(&ends[0]);
}

static void wake_ends_one_wait(void **state)
{
    (void)state;
    brg__poller_wake(&poller);
    brg__poller_wake(&poller);
    brg__poller_wait(&poller, UINT64_MAX);
    /* The wake is used up: only time ends this one. */
    uint64_t deadline = brg__deadline(2000000);
    brg__poller_wait(&poller, deadline);
    assert_true(brg__now() >= deadline);
}

typedef struct sleeper {
    uint64_t deadline_ns;
    int fd; /* -1: waits on the poller */
    bool readable;
    uint32_t xstarted;
    uint32_t xdone;
} sleeper;

static void sleep_on_it(void *argument)
{
    sleeper *self = argument;
    brg_store_release(&self->xstarted, 1u);
    if (self->fd >= 0)
        self->readable = brg__fd_wait_readable(self->fd, self->deadline_ns);
    else
        brg__poller_wait(&poller, self->deadline_ns);
    brg_store_release(&self->xdone, 1u);
}

static void start_sleeper(brg__thread *thread, sleeper *self)
{
    assert_int_equal(brg__thread_start(thread, "sleeper", 0, sleep_on_it, self, NULL), BRG_OK);
    while (brg_load_acquire(&self->xstarted) == 0)
        brg__cpu_pause();
}

static void wake_from_another_thread(void **state)
{
    (void)state;
    sleeper self = {.deadline_ns = UINT64_MAX, .fd = -1};
    brg__thread thread;
    start_sleeper(&thread, &self);
    brg__poller_wake(&poller);
    brg__thread_join(&thread);
}

static void fake_time_ends_waits(void **state)
{
    (void)state;
    int fd = -1;
    assert_int_equal(brg__event_create(&fd, NULL), BRG_OK);
    brg__fake_clock_install(5000);
    sleeper on_poller = {.deadline_ns = brg__deadline(1000), .fd = -1};
    sleeper on_fd = {.deadline_ns = brg__deadline(1000), .fd = fd};
    brg__thread threads[2];
    start_sleeper(&threads[0], &on_poller);
    start_sleeper(&threads[1], &on_fd);
    brg__fake_clock_advance(999);
    for (uint64_t until = brg__now_real() + 10000000; brg__now_real() < until;)
        brg__cpu_pause();
    assert_int_equal(brg_load_acquire(&on_poller.xdone), 0);
    assert_int_equal(brg_load_acquire(&on_fd.xdone), 0);
    brg__fake_clock_advance(1);
    brg__thread_join(&threads[0]);
    brg__thread_join(&threads[1]);
    assert_false(on_fd.readable);
    brg__fake_clock_remove();
    brg__fd_close(&fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_signalled_and_cleared),
        cmocka_unit_test_setup_teardown(ready_sources_are_called, open_poller, close_poller),
        cmocka_unit_test_setup_teardown(callback_removes_another_ready_source, open_poller, close_poller),
        cmocka_unit_test_setup_teardown(callback_removes_itself, open_poller, close_poller),
        cmocka_unit_test_setup_teardown(callback_adds_a_source, open_poller, close_poller),
        cmocka_unit_test_setup_teardown(all_of_many_sources_are_served, open_poller, close_poller),
        cmocka_unit_test_setup_teardown(hangup_is_ready, open_poller, close_poller),
        cmocka_unit_test_setup_teardown(wake_ends_one_wait, open_poller, close_poller),
        cmocka_unit_test_setup_teardown(wake_from_another_thread, open_poller, close_poller),
        cmocka_unit_test_setup_teardown(fake_time_ends_waits, open_poller, close_poller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
