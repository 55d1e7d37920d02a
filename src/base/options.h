/* SPDX-License-Identifier: MIT */
/* Reading size-first option structs of older and newer callers. */
#ifndef BRG_BASE_OPTIONS_H
#define BRG_BASE_OPTIONS_H

#include <brigade/status.h>

/*
 * Copies the caller's options (`from`, whose first field is a size_t size; NULL means all defaults) into `to`,
 * `to_size` bytes, zero-filling what an older caller lacks. A size under sizeof(size_t) is BRG_INVALID; a
 * newer caller's unknown tail that is not all zero is BRG_UNSUPPORTED. `what` names the struct in messages.
 */
brg_status brg__options_read(void *to, size_t to_size, const void *from, const char *what, brg_error *error);

#endif
