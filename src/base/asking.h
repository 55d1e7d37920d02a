/* SPDX-License-Identifier: MIT */
#ifndef BRG_BASE_ASKING_H
#define BRG_BASE_ASKING_H

#include <stdint.h>

/* Something that the running function is part of, and may be asked to end with: a flow. On its thread's stack. */
typedef struct brg__asking {
    const uint32_t *xasked;
    const struct brg__asking *outer;
} brg__asking;

#endif
