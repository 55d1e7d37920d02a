/* SPDX-License-Identifier: MIT */
/* Buffers: owned bytes that move. Putting one into a value moves it there; the sender's handle becomes NULL. */
#ifndef BRIGADE_BUFFER_H
#define BRIGADE_BUFFER_H

#include <brigade/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_buffer brg_buffer;

/*
 * A buffer of `size_bytes` zeroed bytes. Errors: BRG_NO_MEMORY; BRG_TOO_LARGE above PTRDIFF_MAX.
 * Any thread. End it with brg_buffer_unref unless it moved into a value.
 */
BRG_API brg_status brg_buffer_create(brg_buffer **out, size_t size_bytes, brg_error *error);

/*
 * Wraps memory of the caller's without copying. `release(memory, user_data)` runs exactly once, on any
 * thread, when the last holder lets go. Errors as above; on failure the caller still owns `memory`.
 */
BRG_API brg_status brg_buffer_wrap(brg_buffer **out, void *memory, size_t size_bytes,
                                   void (*release)(void *memory, void *user_data), void *user_data, brg_error *error);

/* The bytes, borrowed while the handle lives, and how many. Any thread, one at a time. */
BRG_API void *brg_buffer_data(const brg_buffer *buffer);
BRG_API size_t brg_buffer_size(const brg_buffer *buffer);

/* Another holder of the same bytes; the last unref frees them. unref accepts NULL. Any thread. */
BRG_API brg_buffer *brg_buffer_ref(brg_buffer *buffer);
BRG_API void brg_buffer_unref(brg_buffer *buffer);

#ifdef __cplusplus
}
#endif

#endif
