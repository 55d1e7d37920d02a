/* SPDX-License-Identifier: MIT */
#ifndef BRG_WORKER_LIMITS_H
#define BRG_WORKER_LIMITS_H

#include <brigade/worker.h>

/* Looks at its resident memory until it ends, where that is limited. Once it was started. */
void brg__limits_watch(brg_worker *worker);

#endif
