/* SPDX-License-Identifier: MIT */
#include "worker/life.h"

#define LIFE_STATES (BRG_WORKER_LOST + 1)

static const unsigned char life_table[LIFE_STATES][BRG__LIFE_EVENT_COUNT] = {
    /* state                  STARTED              ASKED                ENDED              ABANDONED */
    [BRG_WORKER_STARTING] = {BRG_WORKER_ONLINE, BRG_WORKER_STOPPING, BRG_WORKER_EXITED, BRG_WORKER_LOST},
    [BRG_WORKER_ONLINE] = {BRG_WORKER_ONLINE, BRG_WORKER_STOPPING, BRG_WORKER_EXITED, BRG_WORKER_LOST},
    [BRG_WORKER_STOPPING] = {BRG_WORKER_STOPPING, BRG_WORKER_STOPPING, BRG_WORKER_EXITED, BRG_WORKER_LOST},
    [BRG_WORKER_EXITED] = {BRG_WORKER_EXITED, BRG_WORKER_EXITED, BRG_WORKER_EXITED, BRG_WORKER_EXITED},
    [BRG_WORKER_LOST] = {BRG_WORKER_LOST, BRG_WORKER_LOST, BRG_WORKER_LOST, BRG_WORKER_LOST},
};

brg_worker_state brg__life_next(brg_worker_state state, brg__life_event event)
{
    return (brg_worker_state)life_table[state][event];
}

const char *brg_worker_state_name(brg_worker_state state)
{
    static const char *const names[LIFE_STATES] = {"starting", "online", "stopping", "exited", "lost"};
    return (unsigned)state < LIFE_STATES ? names[state] : "?";
}
