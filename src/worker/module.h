/* SPDX-License-Identifier: MIT */
/* Loading modules: checked, and preloaded once. */
#ifndef BRG_WORKER_MODULE_H
#define BRG_WORKER_MODULE_H

#include <brigade/module.h>

/* Opens `path` and checks its entry: BRG_NOT_FOUND, BRG_START_FAILED, BRG_UNSUPPORTED (another ABI). Does not preload.
 * */
brg_status brg__module_open(const char *path, const brg_module **out, void **library, brg_error *error);

/* Whether a module struct can be used here. */
brg_status brg__module_check(const brg_module *module, brg_error *error);

/*
 * For thread workers: the module of `path` or the linked-in one, open and preloaded once per program; others wait
 * meanwhile. Stays loaded. Any thread.
 */
brg_status brg__module_shared(const char *path, const brg_module *linked, const brg_module **out, brg_error *error);

#endif
