/* SPDX-License-Identifier: MIT */
/* Values as bytes for a ring to another process: flat block and buffers in one stretch. */
#ifndef BRG_MESSAGE_WIRE_H
#define BRG_MESSAGE_WIRE_H

#include <brigade/value.h>

/* Bytes brg__wire_write will write; 0 for a NULL value. */
size_t brg__wire_size(const brg_value *value);
/* Writes exactly brg__wire_size(value) bytes at `to` (8-byte aligned). */
void brg__wire_write(const brg_value *value, void *to);
/*
 * Reads what a possibly hostile process wrote, which may change while we look: everything is copied once, then
 * checked, never looked at again. `bytes` is 8-byte aligned. size 0 gives *out = NULL and BRG_OK.
 * Errors: BRG_MALFORMED, BRG_TOO_LARGE, BRG_NO_MEMORY.
 */
brg_status brg__wire_read(brg_value **out, const void *bytes, size_t size_bytes, brg_error *error);

#endif
