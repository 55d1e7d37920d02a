/* SPDX-License-Identifier: MIT */
/* A shared object that is no brigade module. */
extern int not_a_module;
int not_a_module = 1;
