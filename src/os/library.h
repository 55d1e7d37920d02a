/* SPDX-License-Identifier: MIT */
/* Shared objects. */
#ifndef BRG_OS_LIBRARY_H
#define BRG_OS_LIBRARY_H

#include <brigade/status.h>

/* False when `path` names a file (has a slash) that is not there; a bare name is left to the loader's search. */
bool brg__library_exists(const char *path);
/* dlopen, all symbols bound now and local. BRG_NOT_FOUND when the file is missing, else BRG_START_FAILED with the
 * loader's words. */
brg_status brg__library_open(void **out, const char *path, brg_error *error);
/* BRG_NOT_FOUND when it has no such symbol. */
brg_status brg__library_symbol(void *library, const char *name, void **out, brg_error *error);
void brg__library_close(void *library); /* accepts NULL */

#endif
