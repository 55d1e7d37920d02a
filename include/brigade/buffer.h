/* SPDX-License-Identifier: MIT */
/*
 * Buffers: owned bytes that move. Putting one into a value moves it there; the sender's handle becomes NULL.
 *
 * A handle is one holder of some bytes. brg_buffer_ref gives another handle on the same bytes, brg_buffer_slice one on
 * a part of them, brg_buffer_copy one on bytes of its own. Who shares bytes and does not freeze them must agree on
 * who writes.
 *
 * Sent within a process, buffers move by pointer, whatever they are made of. Between processes those that lie in a
 * region (memory the kernel can show to two processes) are handed over without a copy: all that brg_buffer_create makes
 * with BRG_BUFFER_REGION_BYTES and more, and those of brg_buffer_create_region. Regions are kept and used again, so
 * that a hand-over is O(1) once both sides have seen one. The bytes of other buffers are copied once on each side.
 * A buffer that came from a process worker may still be seen and written by that process: where it is not trusted, copy
 * before checking. And who is sent a slice of a region can see all of the region: send a copy where the rest is secret.
 */
#ifndef BRIGADE_BUFFER_H
#define BRIGADE_BUFFER_H

#include <brigade/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_buffer brg_buffer;

/* From this size on brg_buffer_create takes a region, where the system gives one. */
#define BRG_BUFFER_REGION_BYTES ((size_t)1 << 20)

/*
 * A buffer of `size_bytes` zeroed bytes. Errors: BRG_NO_MEMORY; BRG_TOO_LARGE above PTRDIFF_MAX.
 * Any thread. End it with brg_buffer_unref unless it moved into a value.
 */
BRG_API brg_status brg_buffer_create(brg_buffer **out, size_t size_bytes, brg_error *error);

/* The same in a region, whatever its size. Errors also: BRG_SYSTEM where the system gives none; BRG_UNSUPPORTED in
 * preload, where all workers would share it. */
BRG_API brg_status brg_buffer_create_region(brg_buffer **out, size_t size_bytes, brg_error *error);

/*
 * Wraps memory of the caller's without copying. `release(memory, user_data)` runs exactly once, on any
 * thread, when the last holder lets go. Errors as above; on failure the caller still owns `memory`.
 */
BRG_API brg_status brg_buffer_wrap(brg_buffer **out, void *memory, size_t size_bytes,
                                   void (*release)(void *memory, void *user_data), void *user_data, brg_error *error);

/* A buffer of its own with the same bytes. Errors as for create. Any thread. */
BRG_API brg_status brg_buffer_copy(brg_buffer **out, const brg_buffer *buffer, brg_error *error);

/*
 * Another handle on bytes [offset, offset + size_bytes) of the same memory, which stays as long as any handle.
 * Errors: BRG_RANGE where they are not all inside; BRG_NO_MEMORY. Any thread.
 */
BRG_API brg_status brg_buffer_slice(brg_buffer **out, brg_buffer *buffer, size_t offset, size_t size_bytes,
                                    brg_error *error);

/*
 * From now on the bytes are read-only, for all handles on them and for good: brg_buffer_data gives NULL,
 * brg_buffer_bytes still works. Another process gets them without the right to write, from Linux 5.1 on; one that
 * had them before keeps its right. Pointers taken earlier must not be written through any more. Any thread, one at a
 * time.
 */
BRG_API void brg_buffer_freeze(brg_buffer *buffer);
BRG_API bool brg_buffer_is_frozen(const brg_buffer *buffer);

/* Whether another process can be handed its bytes without a copy: it lies in a region. Any thread. */
BRG_API bool brg_buffer_is_region(const brg_buffer *buffer);

/* The bytes to write and read, borrowed while the handle lives; NULL once frozen. Any thread, one at a time. */
BRG_API void *brg_buffer_data(const brg_buffer *buffer);

/* The bytes to read, frozen or not, and how many. Any thread. */
BRG_API const void *brg_buffer_bytes(const brg_buffer *buffer);
BRG_API size_t brg_buffer_size(const brg_buffer *buffer);

/* Another holder of this handle; the last unref frees it. unref accepts NULL. Any thread. */
BRG_API brg_buffer *brg_buffer_ref(brg_buffer *buffer);
BRG_API void brg_buffer_unref(brg_buffer *buffer);

#ifdef __cplusplus
}
#endif

#endif
