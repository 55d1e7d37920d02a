/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/test_support.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "os/fd.h"

static int ends[2];

static int open_pair(void **state)
{
    (void)state;
    return brg__socket_pair(ends, NULL);
}

static int close_pair(void **state)
{
    (void)state;
    brg__fd_close(&ends[0]);
    brg__fd_close(&ends[1]);
    return 0;
}

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

static void packets_keep_their_bounds(void **state)
{
    (void)state;
    char bytes[16];
    assert_int_equal(brg__socket_send(ends[0], "one", 3, NULL, 0, NULL), BRG_OK);
    assert_int_equal(brg__socket_send(ends[0], "three", 5, NULL, 0, NULL), BRG_OK);
    size_t size = sizeof(bytes);
    assert_int_equal(brg__socket_receive(ends[1], bytes, &size, NULL, NULL, NULL), BRG_OK);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "one", 3);
    size = sizeof(bytes);
    assert_int_equal(brg__socket_receive(ends[1], bytes, &size, NULL, NULL, NULL), BRG_OK);
    assert_int_equal(size, 5);
    assert_memory_equal(bytes, "three", 5);
}

static void nothing_there_is_empty(void **state)
{
    (void)state;
    char bytes[4] = "abc";
    size_t size = sizeof(bytes), count = 1;
    int fd = 77;
    assert_int_equal(brg__socket_receive(ends[1], bytes, &size, &fd, &count, NULL), BRG_EMPTY);
    assert_int_equal(size, sizeof(bytes));
    assert_int_equal(count, 1);
    assert_int_equal(fd, 77);
}

static void the_end_is_closed(void **state)
{
    (void)state;
    char bytes[4];
    size_t size = sizeof(bytes);
    brg__socket_send(ends[0], "x", 1, NULL, 0, NULL);
    brg__fd_close(&ends[0]);
    assert_int_equal(brg__socket_receive(ends[1], bytes, &size, NULL, NULL, NULL), BRG_OK);
    size = sizeof(bytes);
    assert_int_equal(brg__socket_receive(ends[1], bytes, &size, NULL, NULL, NULL), BRG_CLOSED);
    assert_int_equal(brg__socket_send(ends[1], "x", 1, NULL, 0, NULL), BRG_CLOSED);
}

/* The peer went with our packet unread: the kernel says ECONNRESET. */
static void an_unread_end_is_closed(void **state)
{
    (void)state;
    char bytes[4];
    size_t size = sizeof(bytes);
    brg__socket_send(ends[1], "x", 1, NULL, 0, NULL);
    brg__fd_close(&ends[0]);
    assert_int_equal(brg__socket_receive(ends[1], bytes, &size, NULL, NULL, NULL), BRG_CLOSED);
}

static void a_reader_that_does_not_read_makes_it_full(void **state)
{
    (void)state;
    char bytes[1024] = {0};
    brg_status status;
    int sent = 0;
    while ((status = brg__socket_send(ends[0], bytes, sizeof(bytes), NULL, 0, NULL)) == BRG_OK)
        assert_true(++sent < 1000000);
    assert_int_equal(status, BRG_FULL);
    size_t size = sizeof(bytes);
    while (brg__socket_receive(ends[1], bytes, &size, NULL, NULL, NULL) == BRG_OK)
        sent--;
    assert_int_equal(sent, 0);
}

static void empty_and_overloaded_packets_are_refused(void **state)
{
    (void)state;
    int fds[BRG__SEND_FDS_MAX + 1] = {0};
    assert_int_equal(brg__socket_send(ends[0], "", 0, NULL, 0, NULL), BRG_INVALID);
    assert_int_equal(brg__socket_send(ends[0], "x", 1, fds, BRG__SEND_FDS_MAX + 1, NULL), BRG_INVALID);
}

static void descriptors_travel(void **state)
{
    (void)state;
    int event, fds[3] = {-7, -7, -7};
    char byte;
    size_t size = 1, count = 3;
    assert_int_equal(brg__event_create(&event, NULL), BRG_OK);
    assert_int_equal(brg__socket_send(ends[0], "x", 1, &event, 1, NULL), BRG_OK);
    brg__event_signal(event);
    brg__fd_close(&event);
    assert_int_equal(brg__socket_receive(ends[1], &byte, &size, fds, &count, NULL), BRG_OK);
    assert_int_equal(count, 1);
    assert_true(brg__event_clear(fds[0]));
    assert_true((fcntl(fds[0], F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(fds[1], -1);
    assert_int_equal(fds[2], -1);
    brg__fd_close(&fds[0]);
}

static void surplus_descriptors_are_closed(void **state)
{
    (void)state;
    int fds[BRG__SEND_FDS_MAX] = {0, 0, 0, 0}, got = -1;
    char byte;
    size_t size = 1, count = 1;
    int before = count_open();
    assert_int_equal(brg__socket_send(ends[0], "x", 1, fds, BRG__SEND_FDS_MAX, NULL), BRG_OK);
    assert_int_equal(brg__socket_receive(ends[1], &byte, &size, &got, &count, NULL), BRG_OK);
    assert_int_equal(count, 1);
    assert_true(got >= 0);
    assert_int_equal(count_open(), before + 1);
    brg__fd_close(&got);
    assert_int_equal(brg__socket_send(ends[0], "x", 1, fds, BRG__SEND_FDS_MAX, NULL), BRG_OK);
    size = 1;
    assert_int_equal(brg__socket_receive(ends[1], &byte, &size, NULL, NULL, NULL), BRG_OK);
    assert_int_equal(count_open(), before);
}

/* What a hostile peer sends: as many descriptors as a packet holds, and none of the bytes promised. */
static void send_raw(size_t size, size_t fd_count)
{
    static char bytes[64], control[CMSG_SPACE(253 * sizeof(int))] __attribute__((aligned(16)));
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = CMSG_SPACE(fd_count * sizeof(int))};
    memset(control, 0, sizeof(control));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fd_count * sizeof(int)); /* all of them descriptor 0 */
    assert_true(sendmsg(ends[0], &message, MSG_NOSIGNAL) >= 0);
}

static void a_flood_of_descriptors_is_closed(void **state)
{
    (void)state;
    char byte;
    size_t size = 1, count = 2;
    int got[2] = {-1, -1}, before = count_open();
    send_raw(1, 253);
    assert_int_equal(brg__socket_receive(ends[1], &byte, &size, got, &count, NULL), BRG_OK);
    assert_int_equal(count, 2);
    assert_int_equal(count_open(), before + 2);
    brg__fd_close(&got[0]);
    brg__fd_close(&got[1]);
}

static void a_cut_packet_is_malformed_and_leaks_nothing(void **state)
{
    (void)state;
    char bytes[8];
    size_t size = sizeof(bytes), count = 1;
    int got = 77, before = count_open();
    send_raw(sizeof(bytes) + 1, 3);
    assert_int_equal(brg__socket_receive(ends[1], bytes, &size, &got, &count, NULL), BRG_MALFORMED);
    assert_int_equal(got, 77);
    assert_int_equal(count_open(), before);
    /* The next packet is whole again. */
    assert_int_equal(brg__socket_send(ends[0], "x", 1, NULL, 0, NULL), BRG_OK);
    assert_int_equal(brg__socket_receive(ends[1], bytes, &size, &got, &count, NULL), BRG_OK);
    assert_int_equal(count, 0);
    assert_int_equal(got, -1);
}

static void an_empty_packet_with_descriptors_leaks_nothing(void **state)
{
    (void)state;
    char byte;
    size_t size = 1, count = 1;
    int got = 77, before = count_open();
    send_raw(0, 3);
    assert_int_equal(brg__socket_receive(ends[1], &byte, &size, &got, &count, NULL), BRG_CLOSED);
    assert_int_equal(got, 77);
    assert_int_equal(count_open(), before);
}

int main(void)
{
#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)
    const struct CMUnitTest tests[] = {
        WITH_PAIR(packets_keep_their_bounds),
        WITH_PAIR(nothing_there_is_empty),
        WITH_PAIR(the_end_is_closed),
        WITH_PAIR(an_unread_end_is_closed),
        WITH_PAIR(a_reader_that_does_not_read_makes_it_full),
        WITH_PAIR(empty_and_overloaded_packets_are_refused),
        WITH_PAIR(descriptors_travel),
        WITH_PAIR(surplus_descriptors_are_closed),
        WITH_PAIR(a_flood_of_descriptors_is_closed),
        WITH_PAIR(a_cut_packet_is_malformed_and_leaks_nothing),
        WITH_PAIR(an_empty_packet_with_descriptors_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
