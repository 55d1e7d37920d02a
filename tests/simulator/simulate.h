/* SPDX-License-Identifier: MIT */
/* The parts of the program. */
#ifndef SIMULATOR_SIMULATE_H
#define SIMULATOR_SIMULATE_H

#include "model.h"

/* Ends the program when it cannot. */
sim_measures sim_simulate(const sim_setup *setup, const sim_load *load, sim_insight *insight);

/* predict.c: prints a table, or all; false: none is called that. */
bool sim_predict(const char *table, const sim_costs *costs);

/* command.c: one load and one pool, described by words of key=value. */
void sim_load_command(int argc, char **argv);

#endif
