/* SPDX-License-Identifier: MIT */
/*
 * A place where many tasks meet the test, in either isolation: each says that it is there and stays until it is let go.
 * Two FIFOs that the test keeps open at both ends, so that nobody waits to open one and no byte is lost.
 */
#ifndef TESTS_CROWD_H
#define TESTS_CROWD_H

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "scenario.h"

typedef struct crowd {
    scenario_gate gate;
    int reach, hold;
} crowd;

static inline void crowd_open(crowd *self)
{
    scenario_gate_open(&self->gate);
    self->reach = open(self->gate.reach, O_RDWR | O_CLOEXEC);
    self->hold = open(self->gate.hold, O_RDWR | O_CLOEXEC);
    assert_true(self->reach >= 0 && self->hold >= 0);
}

static inline void crowd_close(crowd *self)
{
    close(self->reach);
    close(self->hold);
    scenario_gate_close(&self->gate);
}

static inline brg_value *crowd_input(const crowd *self) { return scenario_gate_input(&self->gate, true); }

/* Until so many more are there, at most some minutes. */
static inline void crowd_wait(const crowd *self, int count)
{
    for (int i = 0; i < count; i++) {
        char byte;
        struct pollfd poller = {.fd = self->reach, .events = POLLIN};
        assert_int_equal(poll(&poller, 1, (int)(SCENARIO_BOUND / 1000000)), 1);
        assert_int_equal(read(self->reach, &byte, 1), 1);
    }
}

static inline bool crowd_is_there(const crowd *self)
{
    struct pollfd poller = {.fd = self->reach, .events = POLLIN};
    return poll(&poller, 1, 0) == 1;
}

static inline void crowd_release(const crowd *self, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(write(self->hold, "x", 1), 1);
}

#endif
