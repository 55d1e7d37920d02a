/* SPDX-License-Identifier: MIT */
/* For the tests of shared memory: threads, and processes that open it as strangers do. */
#ifndef BRG_MESSAGE_SHARED_FIXTURE_H
#define BRG_MESSAGE_SHARED_FIXTURE_H

#include "os/test_support.h"

#include <sched.h>

#include "message/sync.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/process.h"

#define BOUND TEST_BOUND_NS

static inline brg_shared *make_shared(size_t size_bytes)
{
    brg_shared *shared = NULL;
    assert_int_equal(brg_shared_create(&shared, brg_shared_opts(.size_bytes = size_bytes), NULL), BRG_OK);
    return shared;
}

/* Until so many stand in the table of waits. Who is on its way into it counts before it has looked at the value, and
 * holds the lock meanwhile. */
static inline void until_waiting(brg_shared *shared, uint32_t count)
{
    uint32_t settled;
    do {
        while (brg_load_seq_cst(&shared->header->xwaiters) != count)
            sched_yield();
        brg__shared_lock(shared);
        settled = brg_load_seq_cst(&shared->header->xwaiters);
        brg__shared_unlock(shared);
    } while (settled != count);
}

/* Until so many sleep on the bell at this offset. */
static inline void until_sleeping(brg_shared *shared, size_t bell_offset, uint32_t count)
{
    const brg__bell *bell = (const void *)(shared->data + bell_offset);
    while (brg_load_seq_cst(&bell->xsleepers) != count)
        sched_yield();
}

/* A child that opens the shared memory by its descriptor and an id that the parent allocated. */
typedef struct stranger {
    brg_shared *parents;
    uint32_t participant;
    void (*body)(brg_shared *shared);
    pid_t pid;
} stranger;

static inline void stranger_main(void *argument)
{
    stranger *self = argument;
    brg__region *parents = brg__shared_region(self->parents), *region = NULL;
    brg_shared *shared = NULL;
    int fd = dup(parents->fd);
    child_check(brg__region_open(&region, fd, parents->size, true, NULL) == BRG_OK);
    child_check(brg__shared_from_region(&shared, region, self->participant, NULL) == BRG_OK);
    brg__region_unref(region);
    self->body(shared);
    brg_shared_unref(shared);
}

static inline void stranger_start(stranger *self, brg_shared *shared, void (*body)(brg_shared *shared))
{
    *self = (stranger){.parents = shared, .body = body};
    assert_int_equal(brg__shared_join(shared, &self->participant), BRG_OK);
    self->pid = test_fork(stranger_main, self);
}

static inline void stranger_must_succeed(stranger *self)
{
    assert_int_equal(test_wait(self->pid), 0);
    brg__shared_bury(self->parents, self->participant);
}

static inline void stranger_kill(stranger *self)
{
    kill(self->pid, SIGKILL);
    assert_true(WIFSIGNALED(test_wait(self->pid)));
    brg__shared_bury(self->parents, self->participant);
}

/* In a child: tells the parent by the word at `offset`, and stays until it is killed. */
static inline void say_and_stay(brg_shared *shared, size_t offset)
{
    brg_shared_store32(shared, offset, 1);
    brg_shared_notify(shared, offset, UINT32_MAX, NULL);
    for (;;)
        pause();
}

/* In the parent: until a child said so. */
static inline void until_said(brg_shared *shared, size_t offset)
{
    brg_status status = brg_shared_wait32(shared, offset, 0, BOUND);
    assert_true(status == BRG_OK || status == BRG_NOT_EQUAL);
}

#endif
