/* SPDX-License-Identifier: MIT */
/* Pipes for the standard streams of processes. */
#ifndef BRG_OS_PIPE_H
#define BRG_OS_PIPE_H

#include <brigade/status.h>

/* out[0] reads what out[1] writes; close-on-exec; `ours` (0 or 1) is non-blocking, the other is for a stranger and
 * blocks. */
brg_status brg__pipe_create(int out[2], int ours, brg_error *error);
/* /dev/null, to read and write; close-on-exec. */
brg_status brg__null_open(int *out, brg_error *error);

/* One read or write, without waiting and without SIGPIPE. BRG_EMPTY, BRG_FULL, BRG_CLOSED (the other side),
 * BRG_SYSTEM. */
brg_status brg__pipe_read(int fd, void *bytes, size_t size, size_t *got);
brg_status brg__pipe_write(int fd, const void *bytes, size_t size, size_t *written);
/* Until a write would do something, an error included; false when the deadline passed. */
bool brg__pipe_wait_writable(int fd, uint64_t deadline_ns);

/* In a process that is about to become somebody's: `fd` becomes `standard` (0 to 2). */
void brg__pipe_become(int fd, int standard);

#endif
