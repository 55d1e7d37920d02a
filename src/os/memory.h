/* SPDX-License-Identifier: MIT */
/* Heap and mapped memory. Every size is bytes. NULL, or BRG_NO_MEMORY / BRG_SYSTEM with the errno, on failure. */
#ifndef BRG_OS_MEMORY_H
#define BRG_OS_MEMORY_H

#include <brigade/status.h>

void *brg__malloc(size_t size);               /* not zeroed */
void *brg__calloc(size_t count, size_t size); /* zeroed, overflow-checked */
void *brg__realloc(void *memory, size_t size);
char *brg__strdup(const char *string);
void brg__mfree(void *memory); /* accepts NULL */
/* Zeroed, aligned to a cache line; end with brg__mfree_aligned. */
void *brg__calloc_aligned(size_t size);
void brg__mfree_aligned(void *memory);

/* Fills `error` with BRG_NO_MEMORY and what was wanted; returns BRG_NO_MEMORY. */
void brg__error_set_memory(brg_error *error, const char *what);
static inline brg_status brg__error_memory(brg_error *error, const char *what)
{
    brg__error_set_memory(error, what);
    return BRG_NO_MEMORY;
}
/* Fills `error` with BRG_SYSTEM (BRG_NO_MEMORY for ENOMEM), the errno and its text; returns that status. */
brg_status brg__error_errno(brg_error *error, const char *what, int os_errno);

/* The same, but it can still be frozen. */
brg_status brg__memfd_create_freezable(int *out, const char *name, size_t size, brg_error *error);
/* No new writable mapping of it from here on. False: the kernel has no such seal (before 5.1), or it was sealed for
 * good. */
bool brg__memfd_freeze(int fd);
/* Whether `fd`, which another process sent, is a memory file of `size` bytes, whole pages, that nobody can shrink or
 * grow, and that can be mapped for reading, or for writing too: then no access to the mapping faults. */
bool brg__memfd_is_sound(int fd, size_t size, bool writable);
/* Gives all its pages back, for everybody who maps it: they read as zero. Not of a frozen one: the kernel refuses. */
void brg__memfd_empty(int fd, size_t size);
/* Zeroes bytes [offset, offset + size) of the file mapped at `memory`, but touches no page that was never written. */
void brg__memfd_clear(int fd, void *memory, size_t offset, size_t size);
size_t brg__page_size(void);

/* A sealed (no shrink, no grow) shared memory file of `size` bytes, sparse, close-on-exec. */
brg_status brg__memfd_create(int *out, const char *name, size_t size, brg_error *error);
/* Backs bytes [offset, offset + size) with pages now, so that touching them cannot fault later. */
brg_status brg__memfd_reserve(int fd, size_t offset, size_t size, brg_error *error);
/* Gives the pages of a range back (they read as zero afterwards). */
void brg__memory_discard(void *memory, size_t size);
/* Maps the file's first `size` bytes shared, read and write. */
brg_status brg__map_shared(void **out, int fd, size_t size, brg_error *error);
/* The same, for reading only. */
brg_status brg__map_shared_read(void **out, int fd, size_t size, brg_error *error);
/* Anonymous private memory; pages come when touched. */
brg_status brg__map_private(void **out, size_t size, brg_error *error);
void brg__unmap(void *memory, size_t size); /* accepts NULL */

#endif
