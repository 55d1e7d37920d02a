/* SPDX-License-Identifier: MIT */
/* Every entry fails once: the call says so, leaves its outputs alone, leaks nothing, and works the next time. */
#define _GNU_SOURCE 1
#include "os/test_support.h"

#include <dirent.h>
#include <errno.h>

#include "base/util.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/pipe.h"
#include "os/process.h"
#include "os/sys.h"
#include "os/thread.h"

#define SIZE 8192

static int sockets[2], memfd = -1, event = -1;

static brg_status expect_untouched(brg_status status, bool untouched)
{
    if (status != BRG_OK)
        assert_true(untouched);
    return status;
}

static brg_status use_allocate(brg_error *error)
{
    void *memory = brg__calloc(3, 5);
    if (memory == NULL)
        return brg__error_memory(error, "testing");
    brg__mfree(memory);
    return BRG_OK;
}

static brg_status use_reallocate(brg_error *error)
{
    char *memory = malloc(8), *larger = brg__realloc(memory, 100);
    if (larger == NULL) {
        memory[7] = 1; /* still ours */
        free(memory);
        return brg__error_memory(error, "testing");
    }
    brg__mfree(larger);
    return BRG_OK;
}

static brg_status use_memfd(brg_error *error)
{
    int fd = 77;
    brg_status status = expect_untouched(brg__memfd_create(&fd, "test", SIZE, error), fd == 77);
    if (status == BRG_OK)
        brg__fd_close(&fd);
    return status;
}

static brg_status use_reserve(brg_error *error) { return brg__memfd_reserve(memfd, 0, SIZE, error); }

static brg_status use_map(brg_error *error)
{
    void *memory = &memfd;
    brg_status status = expect_untouched(brg__map_shared(&memory, memfd, SIZE, error), memory == &memfd);
    if (status == BRG_OK)
        brg__unmap(memory, SIZE);
    return status;
}

static brg_status use_pipe(brg_error *error)
{
    int fds[2];
    brg_status status = brg__pipe_create(fds, 0, error);
    if (status == BRG_OK) {
        brg__fd_close(&fds[0]);
        brg__fd_close(&fds[1]);
    }
    return status;
}

static brg_status use_poller(brg_error *error)
{
    brg__poller poller = {.epoll = 77, .wake = 78};
    brg_status status = expect_untouched(brg__poller_init(&poller, error), poller.epoll == 77 && poller.wake == 78);
    if (status == BRG_OK)
        brg__poller_done(&poller);
    return status;
}

static brg_status use_socket_pair(brg_error *error)
{
    int ends[2] = {77, 78};
    brg_status status = expect_untouched(brg__socket_pair(ends, error), ends[0] == 77 && ends[1] == 78);
    if (status == BRG_OK)
        for (int i = 0; i < 2; i++)
            brg__fd_close(&ends[i]);
    return status;
}

static brg_status use_sockets(brg_error *error)
{
    char byte = 'x';
    size_t size = 1, count = 1;
    int fd = 77;
    brg_status status = brg__socket_send(sockets[0], &byte, 1, &event, 1, error);
    if (status != BRG_OK)
        return status;
    status = expect_untouched(brg__socket_receive(sockets[1], &byte, &size, &fd, &count, error), fd == 77);
    if (status != BRG_OK) /* not lost */
        assert_int_equal(brg__socket_receive(sockets[1], &byte, &size, &fd, &count, error), BRG_OK);
    brg__fd_close(&fd);
    return status;
}

static void do_nothing(void *argument) { (void)argument; }

static brg_status use_thread(brg_error *error)
{
    brg__thread thread;
    brg_status status = brg__thread_start(&thread, "test", 0, do_nothing, NULL, error);
    if (status == BRG_OK)
        brg__thread_join(&thread);
    return status;
}

static brg_status use_spawn(brg_error *error)
{
    char name[] = "true";
    char *argv[] = {name, NULL};
    pid_t pid = 77;
    int pidfd = 78;
    brg__process_end end;
    brg_status status = expect_untouched(brg__process_spawn(&pid, &pidfd, "/bin/true", argv, event, error),
                                         pid == 77 && pidfd == 78);
    if (status == BRG_OK) {
        assert_true(brg__fd_wait_readable(pidfd, UINT64_MAX));
        assert_true(brg__process_reap(pidfd, &end));
        brg__fd_close(&pidfd);
    }
    return status;
}

/* X(return type, entry, parameters) of the table, each with what uses it. */
static const struct {
    const char *entry;
    brg_status (*use)(brg_error *error);
    brg_status status;
    int os_errno;
} uses[] = {
    {"allocate", use_allocate, BRG_NO_MEMORY, ENOMEM},
    {"reallocate", use_reallocate, BRG_NO_MEMORY, ENOMEM},
    {"map", use_map, BRG_NO_MEMORY, ENOMEM},
    {"memfd", use_memfd, BRG_SYSTEM, EMFILE},
    {"truncate", use_memfd, BRG_SYSTEM, EFBIG},
    {"reserve", use_reserve, BRG_SYSTEM, ENOSPC},
    {"seal", use_memfd, BRG_SYSTEM, EPERM},
    {"event", use_poller, BRG_SYSTEM, EMFILE},
    {"pipe", use_pipe, BRG_SYSTEM, EMFILE},
    {"epoll_new", use_poller, BRG_SYSTEM, EMFILE},
    {"epoll_change", use_poller, BRG_SYSTEM, ENOSPC},
    {"socket_pair", use_socket_pair, BRG_SYSTEM, EMFILE},
    {"send", use_sockets, BRG_SYSTEM, ENOBUFS},
    {"receive", use_sockets, BRG_NO_MEMORY, ENOMEM},
    {"thread_start", use_thread, BRG_SYSTEM, EAGAIN},
    {"spawn", use_spawn, BRG_SYSTEM, EAGAIN},
    {"pidfd", use_spawn, BRG_SYSTEM, EMFILE},
};

static int count_open(void)
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    int count = 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void every_entry_fails_cleanly(void **state)
{
    (void)state;
    for (size_t i = 0; i < brg__count_of(uses); i++) {
        brg_error error;
        assert_int_equal(uses[i].use(&error), BRG_OK);
        int before = count_open();
        brg__fault_arm(uses[i].entry, 1);
        if (uses[i].use(&error) != uses[i].status || error.os_errno != uses[i].os_errno)
            fail_msg("%s: status %s, errno %d", uses[i].entry, brg_status_name(error.status), error.os_errno);
        assert_int_equal(error.status, uses[i].status);
        assert_string_equal(error.domain, "os");
        assert_true(brg__fault_fired());
        /* Once only. */
        assert_int_equal(uses[i].use(&error), BRG_OK);
        brg__fault_disarm();
        assert_int_equal(count_open(), before);
    }
}

static void no_entry_is_forgotten(void **state)
{
    (void)state;
#define CHECK(type, name, parameters)                                                                                  \
    {                                                                                                                  \
        size_t at = 0;                                                                                                 \
        while (at < brg__count_of(uses) && strcmp(uses[at].entry, #name) != 0)                                         \
            at++;                                                                                                      \
        assert_true(at < brg__count_of(uses));                                                                         \
    }
    BRG__SYS_MAP(CHECK)
#undef CHECK
}

static void nth_call_fails_and_calls_are_counted(void **state)
{
    (void)state;
    brg_error error;
    brg__fault_arm(NULL, 0);
    assert_int_equal(use_poller(&error), BRG_OK);
    uint64_t calls = brg__fault_calls();
    assert_int_equal(calls, 3);
    assert_false(brg__fault_fired());
    for (uint64_t nth = 1; nth <= calls; nth++) {
        brg__fault_arm(NULL, nth);
        assert_int_equal(use_poller(&error), BRG_SYSTEM);
        assert_true(brg__fault_fired());
        assert_int_equal(brg__fault_calls(), nth);
    }
    brg__fault_arm(NULL, calls + 1);
    assert_int_equal(use_poller(&error), BRG_OK);
    assert_false(brg__fault_fired());
    brg__fault_disarm();
    assert_int_equal(use_poller(&error), BRG_OK);
    assert_int_equal(brg__fault_calls(), calls);
}

static void fake_clock_stands_until_moved(void **state)
{
    (void)state;
    uint64_t real = brg__now_real();
    brg__fake_clock_install(10);
    assert_true(brg__now() == 10);
    assert_true(brg__deadline(5) == 15);
    brg__fake_clock_advance(7);
    assert_true(brg__now() == 17);
    assert_true(brg__now_real() >= real);
    brg__fake_clock_remove();
    assert_true(brg__now() >= real);
}

static int open_all(void **state)
{
    (void)state;
    return brg__socket_pair(sockets, NULL) == BRG_OK && brg__memfd_create(&memfd, "test", SIZE, NULL) == BRG_OK &&
                   brg__event_create(&event, NULL) == BRG_OK
               ? 0
               : -1;
}

static int close_all(void **state)
{
    (void)state;
    brg__fd_close(&sockets[0]);
    brg__fd_close(&sockets[1]);
    brg__fd_close(&memfd);
    brg__fd_close(&event);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_fails_cleanly),
        cmocka_unit_test(no_entry_is_forgotten),
        cmocka_unit_test(nth_call_fails_and_calls_are_counted),
        cmocka_unit_test(fake_clock_stands_until_moved),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
