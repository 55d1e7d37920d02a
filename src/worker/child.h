/* SPDX-License-Identifier: MIT */
/* Inside a worker process and a template: what the worker program runs. */
#ifndef BRG_WORKER_CHILD_H
#define BRG_WORKER_CHILD_H

#include <brigade/module.h>

#include "worker/protocol.h"

/* The body of a worker process, on its inherited descriptors. Never returns. */
_Noreturn void brg__child_main(const brg_module *module, int fds[BRG__FD_COUNT], size_t segment_bytes);

/*
 * main() of the worker program: a template. Arguments: module path, owner's pid, protocol version; descriptor 3
 * is the socket to the supervisor. Exported for brigade-worker only.
 */
BRG_API int brg__worker_main(int argc, char **argv);

/* The worker program's allocator says that memory ran out. Exported for brigade-worker only. */
BRG_API void brg__worker_memory_failed(void);

#endif
