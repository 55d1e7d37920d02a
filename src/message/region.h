/* SPDX-License-Identifier: MIT */
/*
 * Regions: memory files mapped here that other processes can be handed. A buffer of a certain size lies in one, a
 * brg_shared is one. The file is sealed against shrinking and growing, so that no other process can make a read of
 * ours fault.
 *
 * Two counts. `xrefs` is the life of the struct and its mapping. `xusers` counts the handles (buffers, shareds) in this
 * process and the holds of other processes; each user has a reference too. When the users fall to zero the region is idle: one
 * that another process lent us goes back (`idle` tells that process; a later message may lend it again); one made here goes to
 * a small cache, from which brg__region_take serves the next buffer of about that size, or is retired. From zero only the cache
 * and, for a lent one, the link that lent it raise the users of a region again. Links also keep a plain reference on
 * regions the other process has mapped, so that sending one again needs no descriptor and no mapping.
 *
 * Retired: its pages are given back at once (a hole in the file), also where other processes still map it, and links drop their
 * references when they next look. So ends a region that is frozen, that the cache has no room for, and one that was exposed to a
 * worker: that may keep its mapping whatever it says, and must not see what the program does next.
 */
#ifndef BRG_MESSAGE_REGION_H
#define BRG_MESSAGE_REGION_H

#include <brigade/status.h>

#include "base/list.h"

typedef struct brg__region {
    uint32_t xrefs;
    uint32_t xusers;
    uint64_t id; /* unique in this process, never reused */
    int fd;
    void *memory;
    size_t size; /* of file and mapping; a multiple of the page size */
    bool is_lent;     /* another process made it */
    uint32_t xfrozen; /* sealed against new writable mappings; never used again */
    uint32_t xexposed; /* a worker, which is not trusted, has seen it */
    uint32_t xretired;
    bool is_dirty;                            /* taken from the cache: it has old content */
    void (*idle)(struct brg__region *region); /* lent: the last user went. Under no lock */
    void (*gone)(struct brg__region *region); /* lent: the last reference went. Under no lock */
    void *owner;                              /* of who set the two, before it is shared */
    brg__node node;                           /* in the cache */
} brg__region;

/* A region of at least `size` bytes with one user and its reference; fresh ones read as zero. From the cache if `any` content
 * will do and one fits (at most twice the size). BRG_NO_MEMORY, BRG_SYSTEM (no descriptor). Any thread. */
brg_status brg__region_take(brg__region **out, size_t size, bool any, brg_error *error);

/*
 * Wraps a descriptor that another process sent: takes `fd` on success. It must be a memory file of `size` bytes sealed
 * against shrinking and growing, else BRG_MALFORMED; `writable` maps it so. One reference, no user; `idle` unset, is_lent set.
 */
brg_status brg__region_open(brg__region **out, int fd, size_t size, bool writable, brg_error *error);

void brg__region_ref(brg__region *region);
void brg__region_unref(brg__region *region); /* the last one unmaps and closes */
void brg__region_use(brg__region *region); /* one more user, with its reference. Under any lock */
void brg__region_unuse(brg__region *region);
void brg__region_expose(brg__region *region); /* it is being sent to a worker. Under any lock */

/* Seals it against new writable mappings. Idempotent. Any thread. */
void brg__region_freeze(brg__region *region);

/* Empties the cache: for tests, and when memory is short. */
void brg__region_trim(void);

#endif
