/* SPDX-License-Identifier: MIT */
/* Buffers made for one worker: see "for one worker" in message/region.c. */
#include "worker/process.h"

brg_status brg_worker_buffer(brg_worker *worker, size_t size_bytes, brg_buffer **out, brg_error *error)
{
    if (worker == NULL || out == NULL)
        return brg_error_set(error, BRG_INVALID, "worker", "a buffer for a worker needs both");
    bool is_process = worker->options.isolation == BRG_ISOLATION_PROCESS;
    return brg__buffer_create_for(out, size_bytes, is_process ? brg__process_of(worker)->link.viewer : 0, error);
}
