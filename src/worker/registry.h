/* SPDX-License-Identifier: MIT */
/* The workers of this program by id: weak, a worker that nobody holds is not found. Any thread. */
#ifndef BRG_WORKER_REGISTRY_H
#define BRG_WORKER_REGISTRY_H

#include <brigade/worker.h>

/* Once, before its thread or process exists. BRG_NO_MEMORY. */
brg_status brg__registry_add(brg_worker *worker, brg_error *error);
/* Its last reference is gone. Does nothing for one that was not added. */
void brg__registry_remove(brg_worker *worker);

/* The worker with that id and one more reference (brg__worker_unref), whatever state it is in; NULL when there is
 * none. */
brg_worker *brg__registry_find(uint64_t id);

#endif
