/* SPDX-License-Identifier: MIT */
/* The same loads for real, through the public API: thread workers, tasks that turn a calibrated loop or sleep. */
#ifndef SIMULATOR_REAL_H
#define SIMULATOR_REAL_H

#include "traffic.h"

/*
 * Fills the times of `run`'s records; ends the program on errors. `options` as sim_setup has them. False: it does not
 * count, since the machine turned out to be faster after it than it was found to be before.
 */
bool sim_real_run(const brg_pool_options *options, const sim_load *load, sim_run *run);

#endif
