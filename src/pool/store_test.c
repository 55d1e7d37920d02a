/* SPDX-License-Identifier: MIT */
/* Stores of records: what is read is what was written, in order, within bounds, with all that is missing counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/thread.h"
#include "pool/store.h"

static brg__record record_at(uint64_t time, uint64_t task) { return (brg__record){.time_ns = time, .task = task}; }

typedef struct reader {
    uint64_t count, last_ns, stop_at;
    uint64_t last[4]; /* of each writer: in `key` */
} reader;

static bool read_one(void *argument, const brg__record *record)
{
    reader *self = argument;
    assert_true(record->time_ns >= self->last_ns);
    assert_true(record->task > self->last[record->key]);
    self->last_ns = record->time_ns;
    self->last[record->key] = record->task;
    return ++self->count != self->stop_at;
}

/* Three writers in turn; who reads gets them merged by time, in pieces, and nothing that is not older. */
static void writers_are_merged(void **state)
{
    (void)state;
    brg__store *store = brg__store_new(BRG_EVENTS_ALL, 10000, false);
    brg__chunk *chunks[3] = {NULL};
    reader self = {.stop_at = 100};
    for (uint64_t i = 0; i < 3000; i++) {
        brg__record record = record_at(1000 + i, i + 1);
        record.key = i * i % 3;
        brg__store_write(store, &chunks[record.key], (uint32_t)record.key, &record);
    }
    brg__store_drain(store, 1000, read_one, &self);
    assert_int_equal(self.count, 0);
    brg__store_drain(store, 3000, read_one, &self);
    assert_int_equal(self.count, 100);
    self.stop_at = 0;
    brg__store_drain(store, 3000, read_one, &self);
    assert_int_equal(self.count, 2000);
    brg__store_drain(store, UINT64_MAX, read_one, &self);
    assert_int_equal(self.count, 3000);
    brg__store_drain(store, UINT64_MAX, read_one, &self);
    assert_int_equal(self.count, 3000);
    assert_int_equal(brg__store_take_lost(store), 0);
    brg__store_unref(store);
    brg__store_unref(NULL);
}

static void room_is_bounded_and_comes_back(void **state)
{
    (void)state;
    brg__store *store = brg__store_new(BRG_EVENTS_ALL, 2 * BRG__CHUNK_RECORDS, false);
    brg__chunk *chunk = NULL;
    uint64_t records, lost, bytes, written = 0;
    reader self = {.stop_at = 0};
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 10 * BRG__CHUNK_RECORDS; i++) {
            written++;
            brg__record record = record_at(written, written);
            brg__store_write(store, &chunk, 0, &record);
        }
        brg__store_count(store, &records, &lost, &bytes);
        assert_true(records <= 3 * BRG__CHUNK_RECORDS); /* and one chunk for the writer */
        assert_true(records >= 2 * BRG__CHUNK_RECORDS);
        assert_int_equal(bytes, 3 * sizeof(brg__chunk));
        brg__store_drain(store, UINT64_MAX, read_one, &self);
    }
    assert_int_equal(self.count + brg__store_take_lost(store), written);
    assert_int_equal(brg__store_take_lost(store), 0);
    brg__store_unref(store);
}

static void the_newest_are_kept_whole(void **state)
{
    (void)state;
    brg__store *store = brg__store_new(BRG_EVENTS_ALL, 4 * BRG__CHUNK_RECORDS, true);
    brg__chunk *busy = NULL, *idle = NULL;
    brg__record *copy = NULL;
    size_t count = 1;
    assert_true(brg__store_copy(store, UINT64_MAX, &copy, &count));
    assert_null(copy);
    assert_int_equal(count, 0);
    brg__record old = record_at(1, 1);
    brg__store_write(store, &idle, 1, &old); /* it stays in its chunk, with a gap after it */
    const uint64_t written = 20 * BRG__CHUNK_RECORDS;
    for (uint64_t i = 2; i <= written; i++) {
        brg__record record = record_at(i, i);
        brg__store_write(store, &busy, 0, &record);
    }
    assert_true(brg__store_copy(store, written, &copy, &count)); /* but the last */
    assert_true(count >= 3 * BRG__CHUNK_RECORDS);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(copy[i].task, written - count + i); /* without a gap */
    brg__mfree(copy);
    uint64_t records, lost, bytes;
    brg__store_count(store, &records, &lost, &bytes);
    assert_int_equal(records + lost, written);
    brg__store_unref(store);
}

/* ---- together ---------------------------------------------------------------------------------------------------- */

#define WRITES 100000

typedef struct writer {
    brg__thread thread;
    brg__store *store;
    uint32_t number;
    uint32_t *xdone;
} writer;

static void writer_run(void *argument)
{
    writer *self = argument;
    brg__chunk *chunk = NULL;
    for (uint64_t i = 1; i <= WRITES; i++) {
        brg__record record = record_at(brg__now_real(), i);
        record.key = self->number;
        brg__store_write(self->store, &chunk, self->number, &record);
    }
    brg_add_acq_rel(self->xdone, 1u);
}

static bool check_one(void *argument, const brg__record *record)
{
    reader *self = argument;
    assert_true(record->task > self->last[record->key]);
    self->last[record->key] = record->task;
    self->count++;
    return true;
}

static void together(bool keeps_newest)
{
    uint32_t done = 0;
    writer writers[3];
    reader self = {.stop_at = 0};
    brg__store *store = brg__store_new(BRG_EVENTS_ALL, 3000, keeps_newest);
    for (uint32_t i = 0; i < 3; i++) {
        writers[i] = (writer){.store = store, .number = i, .xdone = &done};
        assert_int_equal(brg__thread_start(&writers[i].thread, "writer", 0, writer_run, &writers[i], NULL), BRG_OK);
    }
    bool was_done;
    do {
        was_done = brg_load_acquire(&done) == 3;
        if (!keeps_newest) {
            brg__store_drain(store, was_done ? UINT64_MAX : brg__now_real(), check_one, &self);
            continue;
        }
        brg__record *copy = NULL;
        size_t count = 0;
        reader one = {.stop_at = 0};
        assert_true(brg__store_copy(store, brg__now_real(), &copy, &count));
        for (size_t i = 0; i < count; i++) {
            assert_true(i == 0 || copy[i].time_ns >= copy[i - 1].time_ns);
            (void)check_one(&one, &copy[i]); /* none is in it twice */
        }
        brg__mfree(copy);
    } while (!was_done);
    for (int i = 0; i < 3; i++)
        brg__thread_join(&writers[i].thread);
    uint64_t records, lost, bytes;
    brg__store_count(store, &records, &lost, &bytes);
    if (keeps_newest)
        assert_int_equal(records + lost, 3 * WRITES);
    else
        assert_int_equal(self.count + brg__store_take_lost(store), 3 * WRITES);
    brg__store_unref(store);
}

static void read_while_it_is_written(void **state)
{
    (void)state;
    together(false);
}

static void copied_while_it_is_written(void **state)
{
    (void)state;
    together(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_are_merged),         cmocka_unit_test(room_is_bounded_and_comes_back),
        cmocka_unit_test(the_newest_are_kept_whole),  cmocka_unit_test(read_while_it_is_written),
        cmocka_unit_test(copied_while_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
