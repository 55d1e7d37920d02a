/* SPDX-License-Identifier: MIT */
/* The byte queue behind captured streams: order, bound, waiting, the three ways it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "os/fault.h"
#include "worker/flow.h"

#define MAX 10000

static void bytes_come_out_in_order(void **state)
{
    (void)state;
    brg__flow flow;
    unsigned char out[777];
    size_t written = 0, got = 0;
    unsigned next_in = 0, next_out = 0;
    brg__flow_init(&flow, MAX);
    for (int round = 0; round < 2000; round++) { /* pieces of any size, wrapping and growing */
        unsigned char in[613];
        size_t size = (size_t)(round * 37 % 613) + 1;
        for (size_t i = 0; i < size; i++)
            in[i] = (unsigned char)(next_in + i);
        brg_status status = brg__flow_write(&flow, in, size, &written, 0);
        assert_int_equal(status, written == size ? BRG_OK : BRG_FULL);
        next_in += (unsigned)written;
        if (round % 3 == 0)
            continue;
        while (brg__flow_read(&flow, out, (size_t)(round % 700) + 1, &got, 0) == BRG_OK)
            for (size_t i = 0; i < got; i++)
                assert_int_equal(out[i], (unsigned char)next_out++);
    }
    assert_int_equal(next_in, next_out + flow.count);
    brg__flow_done(&flow);
}

static void bound_holds(void **state)
{
    (void)state;
    static char big[2 * MAX];
    brg__flow flow;
    size_t written = 1, got = 0;
    brg__flow_init(&flow, MAX);
    assert_int_equal(brg__flow_room(&flow), MAX);
    assert_int_equal(brg__flow_write(&flow, big, sizeof(big), &written, 0), BRG_FULL);
    assert_int_equal(written, MAX);
    assert_int_equal(brg__flow_room(&flow), 0);
    assert_int_equal(brg__flow_write(&flow, big, 1, &written, 1), BRG_TIMED_OUT); /* a deadline long ago */
    assert_int_equal(written, 0);
    assert_int_equal(brg__flow_force(&flow, big, 5), BRG_OK); /* but for the last bytes */
    assert_int_equal(flow.count, MAX + 5);
    assert_int_equal(brg__flow_room(&flow), 0);
    assert_int_equal(brg__flow_read(&flow, big, sizeof(big), &got, 0), BRG_OK);
    assert_int_equal(got, MAX + 5);
    assert_int_equal(brg__flow_read(&flow, big, 1, &got, 0), BRG_EMPTY);
    assert_int_equal(brg__flow_read(&flow, big, 1, &got, 1), BRG_TIMED_OUT);
    brg__flow_done(&flow);
}

static void closed_hurried_dropped(void **state)
{
    (void)state;
    static char big[MAX];
    brg__flow flow;
    size_t written = 0, got = 0;
    brg__flow_init(&flow, MAX);
    assert_int_equal(brg__flow_write(&flow, big, 100, &written, 0), BRG_OK);
    brg__flow_hurry(&flow);
    assert_int_equal(brg__flow_write(&flow, big, MAX, &written, UINT64_MAX), BRG_CLOSED); /* it would wait */
    assert_int_equal(written, MAX - 100);
    brg__flow_close(&flow);
    assert_int_equal(brg__flow_write(&flow, big, 1, &written, 0), BRG_CLOSED);
    assert_int_equal(brg__flow_force(&flow, big, 1), BRG_CLOSED);
    assert_int_equal(brg__flow_read(&flow, big, MAX, &got, UINT64_MAX), BRG_OK); /* what is in it comes out */
    assert_int_equal(got, MAX);
    assert_int_equal(brg__flow_read(&flow, big, 1, &got, UINT64_MAX), BRG_CLOSED);
    brg__flow_done(&flow);
    brg__flow_init(&flow, MAX);
    brg__flow_drop(&flow);
    for (int i = 0; i < 10; i++)
        assert_int_equal(brg__flow_write(&flow, big, MAX, &written, 0), BRG_OK);
    assert_true(brg__flow_is_empty(&flow));
    brg__flow_done(&flow);
}

static void memory_may_fail(void **state)
{
    (void)state;
    brg__flow flow;
    size_t written = 7, got = 0;
    char byte = 'x';
    brg__flow_init(&flow, MAX);
    brg__fault_arm("allocate", 1);
    assert_int_equal(brg__flow_write(&flow, &byte, 1, &written, 0), BRG_NO_MEMORY);
    assert_int_equal(written, 0);
    assert_int_equal(brg__flow_write(&flow, &byte, 1, &written, 0), BRG_OK);
    brg__fault_disarm();
    assert_int_equal(brg__flow_read(&flow, &byte, 1, &got, 0), BRG_OK);
    assert_int_equal(byte, 'x');
    brg__flow_done(&flow);
}

enum { TOTAL = 1 << 20 };

static void *write_all(void *argument)
{
    brg__flow *flow = argument;
    unsigned char piece[1000];
    size_t written = 0;
    for (size_t done = 0; done < TOTAL; done += written) {
        for (size_t i = 0; i < sizeof(piece); i++)
            piece[i] = (unsigned char)((done + i) % 251);
        size_t size = TOTAL - done < sizeof(piece) ? TOTAL - done : sizeof(piece);
        if (brg__flow_write(flow, piece, size, &written, UINT64_MAX) != BRG_OK)
            break;
    }
    brg__flow_close(flow);
    return NULL;
}

static void two_threads_wait_for_each_other(void **state)
{
    (void)state;
    brg__flow flow;
    pthread_t thread;
    unsigned char piece[333];
    size_t done = 0, got = 0;
    brg__flow_init(&flow, 4096);
    assert_int_equal(pthread_create(&thread, NULL, write_all, &flow), 0);
    while (brg__flow_read(&flow, piece, sizeof(piece), &got, UINT64_MAX) == BRG_OK) {
        for (size_t i = 0; i < got; i++)
            assert_int_equal(piece[i], (done + i) % 251);
        done += got;
    }
    assert_int_equal(done, TOTAL);
    pthread_join(thread, NULL);
    brg__flow_done(&flow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_in_order),         cmocka_unit_test(bound_holds),
        cmocka_unit_test(closed_hurried_dropped),          cmocka_unit_test(memory_may_fail),
        cmocka_unit_test(two_threads_wait_for_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
