/* SPDX-License-Identifier: MIT */
/* Numbers as cells have them: a decimal, with an exponent or without, in the C locale whatever the program's. */
#ifndef BRIGADE_ANALYZE_NUMBER_H
#define BRIGADE_ANALYZE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether the whole text, blanks around it aside, is a finite decimal number; *out is the nearest double. Short ones are
 * exact in one operation (Clinger, "How to read floating point numbers accurately", PLDI 1990, the fast path); the others
 * go to strtod.
 */
bool analyze_number(const char *text, size_t size, double *out);

#endif
