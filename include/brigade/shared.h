/* SPDX-License-Identifier: MIT */
/*
 * Shared memory: bytes that several workers see at once, thread or process, with atomic operations, wait and notify.
 * Put into a value (brg_builder_shared) it travels by reference; it lives until the last holder anywhere lets go.
 *
 *     brg_shared *shared;
 *     brg_shared_create(&shared, brg_shared_opts(.size_bytes = 4096), &error);
 *     brg_shared_add32(shared, 0, 1, NULL);
 *     brg_shared_notify(shared, 0, 1, NULL);                  // somebody sat in
 *     brg_shared_wait32(shared, 0, 0, BRG_FOREVER);           // this
 *
 * Every holder sees the same bytes, a process that may be buggy or hostile too: where it is not trusted, copy before
 * checking. Such a process can spoil the content and make waits last, but not make these functions crash or read
 * outside. Mutexes, semaphores, queues and so on lie on it: brigade/sync.h.
 *
 * In the child of a fork that brigade did not make, what waits or grows gives BRG_FORKED; reading and the atomics work.
 */
#ifndef BRIGADE_SHARED_H
#define BRIGADE_SHARED_H

#include <brigade/loop.h>
#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_shared brg_shared;

typedef struct brg_shared_options {
    size_t size;
    size_t size_bytes;     /* at the start; needed unless size_max_bytes is set */
    size_t size_max_bytes; /* as far as it may grow; default size_bytes: it does not grow. Costs addresses, no memory */
} brg_shared_options;

#define brg_shared_opts(...) BRG_OPTIONS(brg_shared_options, __VA_ARGS__)

/*
 * Shared memory of size_bytes zeroed bytes, with memory behind all of them: touching them cannot fail later. Errors:
 * BRG_INVALID (both sizes 0, or the maximum below the size); BRG_TOO_LARGE; BRG_NO_MEMORY; BRG_SYSTEM. Any thread.
 * End it with brg_shared_unref.
 */
BRG_API brg_status brg_shared_create(brg_shared **out, const brg_shared_options *options, brg_error *error);

/* Another holder in this process; the last unref lets go of it here. unref accepts NULL. Any thread. */
BRG_API brg_shared *brg_shared_ref(brg_shared *shared);
BRG_API void brg_shared_unref(brg_shared *shared);

/* Where it starts: aligned to a page, never moves, borrowed while the handle lives. Bytes up to brg_shared_size may
 * be touched, with C11 atomics too. NULL never. Any thread. */
BRG_API void *brg_shared_data(const brg_shared *shared);

/* How large it is now: it only grows, and who sees a size may touch all of it. And how far it may grow. Any thread. */
BRG_API size_t brg_shared_size(const brg_shared *shared);
BRG_API size_t brg_shared_size_max(const brg_shared *shared);

/*
 * Makes it at least `size_bytes` large, at once for all holders; new bytes are zero. Does nothing where it is that
 * large. Errors: BRG_RANGE above the maximum; BRG_NO_MEMORY, BRG_SYSTEM: the size stays; BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_shared_grow(brg_shared *shared, size_t size_bytes, brg_error *error);

/* ---- atomic operations ------------------------------------------------------------------------------------- */
/*
 * All are sequentially consistent, and atomic between threads and processes, also beside C11 atomics of the same
 * width. `offset` is in bytes from the start and a multiple of the width. `old` (may be NULL) receives what was there
 * before. Integers wrap around. Errors of all: BRG_RANGE where it is not all inside the size; BRG_INVALID where it is
 * not aligned, or `out` is NULL; then nothing was changed. Any thread.
 */

/* Whether atomics of so many bytes need no lock: 1, 2, 4 and 8 are, here; others are not there. Any thread. */
BRG_API bool brg_is_lock_free(size_t width_bytes);

BRG_API brg_status brg_shared_load8(const brg_shared *shared, size_t offset, uint8_t *out);
BRG_API brg_status brg_shared_load16(const brg_shared *shared, size_t offset, uint16_t *out);
BRG_API brg_status brg_shared_load32(const brg_shared *shared, size_t offset, uint32_t *out);
BRG_API brg_status brg_shared_load64(const brg_shared *shared, size_t offset, uint64_t *out);

BRG_API brg_status brg_shared_store8(brg_shared *shared, size_t offset, uint8_t value);
BRG_API brg_status brg_shared_store16(brg_shared *shared, size_t offset, uint16_t value);
BRG_API brg_status brg_shared_store32(brg_shared *shared, size_t offset, uint32_t value);
BRG_API brg_status brg_shared_store64(brg_shared *shared, size_t offset, uint64_t value);

BRG_API brg_status brg_shared_add8(brg_shared *shared, size_t offset, uint8_t value, uint8_t *old);
BRG_API brg_status brg_shared_add16(brg_shared *shared, size_t offset, uint16_t value, uint16_t *old);
BRG_API brg_status brg_shared_add32(brg_shared *shared, size_t offset, uint32_t value, uint32_t *old);
BRG_API brg_status brg_shared_add64(brg_shared *shared, size_t offset, uint64_t value, uint64_t *old);

BRG_API brg_status brg_shared_sub8(brg_shared *shared, size_t offset, uint8_t value, uint8_t *old);
BRG_API brg_status brg_shared_sub16(brg_shared *shared, size_t offset, uint16_t value, uint16_t *old);
BRG_API brg_status brg_shared_sub32(brg_shared *shared, size_t offset, uint32_t value, uint32_t *old);
BRG_API brg_status brg_shared_sub64(brg_shared *shared, size_t offset, uint64_t value, uint64_t *old);

BRG_API brg_status brg_shared_and8(brg_shared *shared, size_t offset, uint8_t value, uint8_t *old);
BRG_API brg_status brg_shared_and16(brg_shared *shared, size_t offset, uint16_t value, uint16_t *old);
BRG_API brg_status brg_shared_and32(brg_shared *shared, size_t offset, uint32_t value, uint32_t *old);
BRG_API brg_status brg_shared_and64(brg_shared *shared, size_t offset, uint64_t value, uint64_t *old);

BRG_API brg_status brg_shared_or8(brg_shared *shared, size_t offset, uint8_t value, uint8_t *old);
BRG_API brg_status brg_shared_or16(brg_shared *shared, size_t offset, uint16_t value, uint16_t *old);
BRG_API brg_status brg_shared_or32(brg_shared *shared, size_t offset, uint32_t value, uint32_t *old);
BRG_API brg_status brg_shared_or64(brg_shared *shared, size_t offset, uint64_t value, uint64_t *old);

BRG_API brg_status brg_shared_xor8(brg_shared *shared, size_t offset, uint8_t value, uint8_t *old);
BRG_API brg_status brg_shared_xor16(brg_shared *shared, size_t offset, uint16_t value, uint16_t *old);
BRG_API brg_status brg_shared_xor32(brg_shared *shared, size_t offset, uint32_t value, uint32_t *old);
BRG_API brg_status brg_shared_xor64(brg_shared *shared, size_t offset, uint64_t value, uint64_t *old);

BRG_API brg_status brg_shared_exchange8(brg_shared *shared, size_t offset, uint8_t value, uint8_t *old);
BRG_API brg_status brg_shared_exchange16(brg_shared *shared, size_t offset, uint16_t value, uint16_t *old);
BRG_API brg_status brg_shared_exchange32(brg_shared *shared, size_t offset, uint32_t value, uint32_t *old);
BRG_API brg_status brg_shared_exchange64(brg_shared *shared, size_t offset, uint64_t value, uint64_t *old);

/*
 * Stores `value` where `expected` is: BRG_OK, or BRG_NOT_EQUAL and nothing changed; *old is what was there in both
 * cases.
 */
BRG_API brg_status brg_shared_compare_exchange8(brg_shared *shared, size_t offset, uint8_t expected, uint8_t value,
                                                uint8_t *old);
BRG_API brg_status brg_shared_compare_exchange16(brg_shared *shared, size_t offset, uint16_t expected, uint16_t value,
                                                 uint16_t *old);
BRG_API brg_status brg_shared_compare_exchange32(brg_shared *shared, size_t offset, uint32_t expected, uint32_t value,
                                                 uint32_t *old);
BRG_API brg_status brg_shared_compare_exchange64(brg_shared *shared, size_t offset, uint64_t expected, uint64_t value,
                                                 uint64_t *old);

/* ---- wait and notify --------------------------------------------------------------------------------------- */

/* As many as wait at once on one shared memory, all its offsets and holders together. */
#define BRG_SHARED_WAITERS_MAX 1024

/*
 * Sleeps while nobody notifies `offset`, if the number there is `expected`: compared and queued in one step, so that
 * who changes it and then notifies is never missed. BRG_OK: it was notified; there are no spurious wake-ups, but a late
 * notify, for a change that was seen before, wakes too: look again, in a loop.
 * BRG_NOT_EQUAL: it held another number, without waiting. BRG_TIMED_OUT: `timeout_ns` passed (0: at once).
 * BRG_CANCELLED, within some milliseconds: the thread is a worker that is asked to end, or its task is. Errors also:
 * BRG_RANGE, BRG_INVALID as for the atomics; BRG_FULL when BRG_SHARED_WAITERS_MAX wait already; BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_shared_wait32(brg_shared *shared, size_t offset, uint32_t expected, uint64_t timeout_ns);
BRG_API brg_status brg_shared_wait64(brg_shared *shared, size_t offset, uint64_t expected, uint64_t timeout_ns);

/*
 * Wakes up to `count` of those who wait at `offset`, whatever width they wait on, in the order in which they came to
 * wait; UINT32_MAX: all. *woken (may be NULL) receives how many. Costs a fence and a load where nobody waits. Errors:
 * BRG_RANGE, BRG_INVALID (an offset that is no multiple of 4); BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_shared_notify(brg_shared *shared, size_t offset, uint32_t count, uint32_t *woken);

/* One asynchronous wait. */
typedef struct brg_shared_wait brg_shared_wait;

typedef struct brg_shared_wait_options {
    size_t size;
    brg_loop *loop;      /* where `done` runs; needed */
    uint64_t timeout_ns; /* default: BRG_FOREVER */
    bool is_background;  /* it does not keep its loop running */

    /* Once, later, never inside the call that started it: BRG_OK (notified), BRG_TIMED_OUT or BRG_CANCELLED. Needed. */
    void (*done)(brg_status status, void *user_data);
    void (*release)(void *user_data); /* exactly once, after done; never if the wait was not started */
    void *user_data;
} brg_shared_wait_options;

#define brg_shared_wait_opts(...) BRG_OPTIONS(brg_shared_wait_options, __VA_ARGS__)

/*
 * The same wait without a thread that sleeps: it stands in the same queue as the others, and `done` runs on the loop.
 * BRG_OK: it waits. BRG_NOT_EQUAL: it did not start. *out (`out` may be NULL) is a handle for cancelling, to be ended
 * with brg_shared_wait_unref. The loop and the shared memory stay while it waits. Errors as above, and BRG_INVALID
 * (options); BRG_NO_MEMORY; BRG_SYSTEM (no thread). On failure nothing runs, not even release. Any thread.
 */
BRG_API brg_status brg_shared_wait_async32(brg_shared *shared, size_t offset, uint32_t expected,
                                           const brg_shared_wait_options *options, brg_shared_wait **out,
                                           brg_error *error);
BRG_API brg_status brg_shared_wait_async64(brg_shared *shared, size_t offset, uint64_t expected,
                                           const brg_shared_wait_options *options, brg_shared_wait **out,
                                           brg_error *error);

/* It leaves the queue and is done with BRG_CANCELLED, unless it is done already; later calls do nothing. Any thread. */
BRG_API void brg_shared_wait_cancel(brg_shared_wait *wait);

/* Lets go of the handle; the wait goes on. Accepts NULL. Any thread, once. */
BRG_API void brg_shared_wait_unref(brg_shared_wait *wait);

/* ---- in values --------------------------------------------------------------------------------------------- */

/* Puts it into a value by reference; the caller keeps its handle. BRG_INVALID sticks for NULL. */
BRG_API void brg_builder_shared(brg_builder *builder, brg_shared *shared);

/* The shared memory of such a node, borrowed from the value; brg_shared_ref keeps it longer. NULL for other types. Any
 * thread. */
BRG_API brg_shared *brg_view_shared(brg_view view);

#ifdef __cplusplus
}
#endif

#endif
