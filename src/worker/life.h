/* SPDX-License-Identifier: MIT */
/* The life of a worker: one table of state x event. The manual's diagram is this table. */
#ifndef BRG_WORKER_LIFE_H
#define BRG_WORKER_LIFE_H

#include <brigade/worker.h>

typedef enum brg__life_event {
    BRG__LIFE_STARTED = 0, /* worker_start succeeded */
    BRG__LIFE_ASKED,       /* the owner asked it to end */
    BRG__LIFE_ENDED,       /* thread body returned, or process reaped, or never started */
    BRG__LIFE_ABANDONED,   /* a thread did not end within its grace */
    BRG__LIFE_EVENT_COUNT
} brg__life_event;

/* The state after `event` in `state`; the same state where the event changes nothing. */
brg_worker_state brg__life_next(brg_worker_state state, brg__life_event event);

#endif
