/* SPDX-License-Identifier: MIT */
#include "os/clock.h"

uint64_t brg__now_real(void) { return brg__os_real.clock_now(); }
