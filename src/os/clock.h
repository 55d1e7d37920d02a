/* SPDX-License-Identifier: MIT */
/* Time: monotonic nanoseconds. Under a fake clock (os/fault.h) it moves only when the test moves it. */
#ifndef BRG_OS_CLOCK_H
#define BRG_OS_CLOCK_H

#include <stdint.h>

#include "base/util.h"
#include "os/sys.h"

static inline uint64_t brg__now(void) { return brg__os.clock_now(); }

/* When a wait of `timeout_ns` that starts now ends; BRG_FOREVER stays for ever. */
static inline uint64_t brg__deadline(uint64_t timeout_ns)
{
    return timeout_ns == UINT64_MAX ? UINT64_MAX : brg__add_saturated(brg__now(), timeout_ns);
}

/* Cheap real time for spin bounds, never faked: CLOCK_MONOTONIC by the vDSO. */
uint64_t brg__now_real(void);

#endif
