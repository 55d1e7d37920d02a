/* SPDX-License-Identifier: MIT */
/* Work of a known length: a chain of multiplications that nothing can shorten, counted out beforehand. */
#ifndef BRIGADE_WORK_SPIN_H
#define BRIGADE_WORK_SPIN_H

#include <stdint.h>

/* Measures how many steps this machine computes in a nanosecond of CPU time; about 10 ms, once. */
void spin_calibrate(void);

/* Computes `steps` steps; the result depends on each. Any thread. */
uint64_t spin_steps(uint64_t steps);

/* How many steps take `ns` of CPU time on a CPU that does nothing else. */
uint64_t spin_count(uint64_t ns);

#endif
