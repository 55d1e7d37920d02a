/* SPDX-License-Identifier: MIT */
/*
 * Regions: memory files mapped here that other processes can be handed. A buffer of a certain size lies in one, a
 * brg_shared is one. The file is sealed against shrinking and growing, so that no other process can make a read of
 * ours fault.
 *
 * Two counts. `xrefs` is the life of the struct and its mapping. `xusers` counts the handles (buffers, shareds) in this
 * process and the holds of other processes; each user has a reference too. When the users fall to zero the region is
 * idle: one that another process lent us goes back (`idle` tells that process; a later message may lend it again); one
 * made here goes to a small cache, from which brg__region_take serves the next buffer of about that size, or is
 * retired. Links also keep a plain reference on regions the other process has mapped, so that sending one again needs
 * no descriptor and no mapping.
 *
 * From zero the cache raises the users again, and a link that finds the region by its number in a message: for a lent
 * one that is how it is lent again; for one made here the other process names what it had let go of, a lie or a
 * message that came too late. That does no harm to the counts: a region that is in the cache while it is used is not
 * taken from there, and finds itself there when it falls idle again. Its content is anything.
 *
 * `idle` runs once for each fall, on the thread that was last, which still has its reference; when it runs the region
 * may be in use again, and another fall may be calling it. So it is only a reason to look, under the lock under which
 * the link raises the users.
 *
 * Retired: its pages are given back at once (a hole in the file), also where other processes still map it, and links
 * drop their references when they next look. So ends a region that the cache has no room for, and one that was exposed
 * to a worker: that may keep its mapping whatever it says, and must not see what the program does next. One that is
 * frozen too, but the kernel makes no hole in it: its pages stay until the last mapping goes.
 *
 * A forked process (a worker, of its template) has the same files mapped, and its buffers are its parent's. It neither
 * takes those from the cache nor puts them there, and makes no holes in them.
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
    size_t size;        /* of file and mapping; a multiple of the page size */
    int64_t process_id; /* who made the struct */
    bool is_lent;       /* another process made the file */
    bool is_read_only;  /* lent, and mapped for reading only */
    uint32_t xfrozen;   /* read-only for all handles; sealed against new writable mappings; never used again */
    uint32_t xexposed;  /* a worker, which is not trusted, has seen it */
    uint64_t viewer;    /* the worker it was made for; its seeing it is no exposure. 0: none */
    uint32_t xretired;
    bool is_dirty;                            /* taken from the cache: it has old content */
    bool is_cached;                           /* under the cache's lock */
    void (*idle)(struct brg__region *region); /* lent: the last user went. Under no lock */
    void (*gone)(struct brg__region *region); /* lent: the last reference went. Under no lock */
    void *owner;                              /* of who set the two, before it is shared */
    brg__node node;                           /* in the cache */
} brg__region;

/*
 * A region of at least `size` bytes with one user and its reference; fresh ones read as zero. From the cache if `any`
 * content will do and one fits (at most twice the size). BRG_NO_MEMORY, BRG_SYSTEM (no descriptor), BRG_TOO_LARGE. Any
 * thread.
 */
brg_status brg__region_take(brg__region **out, size_t size, bool any, brg_error *error);
/* The same for a worker, `viewer`: from the cache only one that was made for it, with what was left there. */
brg_status brg__region_take_for(brg__region **out, size_t size, uint64_t viewer, brg_error *error);
/* A number for a worker to be known by here; and its end: what was made for it is not used again. Any thread. */
uint64_t brg__region_viewer_new(void);
void brg__region_viewer_gone(uint64_t viewer);
/* Of one just taken: its bytes from `offset` on read as zero. To be done for all that its user does not write: whoever
 * is sent any part of a region sees all of it. */
void brg__region_clear(brg__region *region, size_t offset);

/*
 * Wraps a descriptor that another process sent: takes `fd` on success. It must be a memory file of `size` bytes sealed
 * against shrinking and growing, else BRG_MALFORMED; `writable` maps it so. One reference, no user; `idle` unset,
 * is_lent set, is_read_only if not `writable`, whatever later messages say about it.
 */
brg_status brg__region_open(brg__region **out, int fd, size_t size, bool writable, brg_error *error);

void brg__region_ref(brg__region *region);
void brg__region_unref(brg__region *region);  /* the last one unmaps and closes */
void brg__region_use(brg__region *region);    /* one more user, with its reference. Under any lock */
void brg__region_unuse(brg__region *region);  /* under no lock */
void brg__region_expose(brg__region *region); /* it is being sent to a worker. Under any lock */

/* All handles on it are read-only. Seals one made here against new writable mappings; those that are stay. Idempotent.
 * Any thread. */
void brg__region_freeze(brg__region *region);

/* In a template: what it made would be shared by all workers that are forked from it. So it takes none:
 * BRG_UNSUPPORTED. */
void brg__region_forbid(bool forbidden);

/* Empties the cache: for tests, and when memory is short. */
void brg__region_trim(void);

#endif
