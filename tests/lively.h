/* SPDX-License-Identifier: MIT */
/* A task of the progress module that shows signs of life, and how long it went without. */
#ifndef TESTS_LIVELY_H
#define TESTS_LIVELY_H

#include "scenario.h"

#define LIVELY_BEAT BRG_SECONDS(1) /* the pool's heartbeat */

/* Whether one that shows signs of life for so long lives: it does, unless it could not show any for a heartbeat. */
bool lively_lives(brg_pool *pool, const char *how, int64_t ms);

#endif
