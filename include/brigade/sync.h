/* SPDX-License-Identifier: MIT */
/*
 * What people build on shared memory: mutex, reader-writer lock, condition, semaphore, barrier, latch, once and a
 * bounded queue, between threads and processes alike. Each is an object at an offset of a brg_shared, of the size
 * given here, at a multiple of 64; all who use it name the same shared memory and offset. Objects do not move and
 * have no end: where nobody uses one any more, its bytes are free.
 *
 *     brg_mutex_lock(shared, 0, BRG_FOREVER);
 *     ...
 *     brg_mutex_unlock(shared, 0);
 *
 * Timeouts are in nanoseconds; BRG_FOREVER waits without a bound, 0 tries once and gives BRG_TIMED_OUT where it would
 * wait. Waiting spins a little, then sleeps. Who waits longest is not always served first. In a worker that is asked to
 * end, or whose task is, waiting ends within some milliseconds: BRG_CANCELLED in place of BRG_TIMED_OUT.
 *
 * When a process dies, brigade notices and frees what it held: a mutex, a write lock and a once tell the next holder
 * by BRG_OWNER_DIED; read locks just go. Letting go of the last handle on the shared memory counts as dying for what
 * is still held. A semaphore's permits, and who had arrived at a barrier or latch, stay as they are. A process that
 * writes over these bytes can make others wait or err, not crash.
 *
 * Errors of all functions: BRG_RANGE where the object is not all inside the shared memory; BRG_INVALID where the
 * offset is not a multiple of 64; of those that wait, BRG_FORKED in the child of a fork that brigade did not make.
 * All of them: any thread.
 */
#ifndef BRIGADE_SYNC_H
#define BRIGADE_SYNC_H

#include <brigade/shared.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of each object; offsets are multiples of BRG_SYNC_ALIGNMENT. */
#define BRG_SYNC_ALIGNMENT 64
#define BRG_MUTEX_BYTES 64
#define BRG_RWLOCK_BYTES 256
#define BRG_CONDITION_BYTES 64
#define BRG_SEMAPHORE_BYTES 64
#define BRG_BARRIER_BYTES 64
#define BRG_LATCH_BYTES 64
#define BRG_ONCE_BYTES 64
/* Of a queue of `slots` items of `item_bytes` each. */
#define BRG_QUEUE_BYTES(slots, item_bytes)                                                                             \
    ((((size_t)192 + (size_t)(slots) * (((size_t)(item_bytes) + 7) & ~(size_t)7)) + 63) & ~(size_t)63)

/* ---- mutex: zeroed bytes are a free one -------------------------------------------------------------------- */

/* Makes a free mutex of whatever is there; nobody may use it meanwhile. Needed only to use bytes again. */
BRG_API brg_status brg_mutex_init(brg_shared *shared, size_t offset);

/*
 * Takes the mutex. BRG_OWNER_DIED: the caller has it too, but who had it before died holding it, so that what it
 * guards may be half changed: repair that and call brg_mutex_recovered, or just unlock, which makes the mutex
 * unusable. Errors: BRG_TIMED_OUT; BRG_DEADLOCK when the calling thread has it; BRG_STATE when it became unusable so.
 */
BRG_API brg_status brg_mutex_lock(brg_shared *shared, size_t offset, uint64_t timeout_ns);

/* Gives it back. Errors: BRG_STATE when the calling thread does not have it. */
BRG_API brg_status brg_mutex_unlock(brg_shared *shared, size_t offset);

/* What it guards is in order again after BRG_OWNER_DIED. Errors: BRG_STATE when the calling thread does not have it. */
BRG_API brg_status brg_mutex_recovered(brg_shared *shared, size_t offset);

/* ---- reader-writer lock: zeroed bytes are a free one ------------------------------------------------------- */

/* Processes that hold one lock for reading at the same time, with any number of threads each; others wait. */
#define BRG_RWLOCK_READERS_MAX 12

/* Makes a free one of whatever is there; nobody may use it meanwhile. Needed only to use bytes again. */
BRG_API brg_status brg_rwlock_init(brg_shared *shared, size_t offset);

/*
 * Takes it for reading, together with others, or for writing, alone. A writer that waits goes before new readers. So
 * a thread that reads must not ask again: it would wait for itself. BRG_OWNER_DIED: the caller has the lock, but a
 * writer died holding it; all get this until brg_rwlock_recovered. Errors: BRG_TIMED_OUT; BRG_DEADLOCK when the calling
 * thread has it for writing.
 */
BRG_API brg_status brg_rwlock_read(brg_shared *shared, size_t offset, uint64_t timeout_ns);
BRG_API brg_status brg_rwlock_write(brg_shared *shared, size_t offset, uint64_t timeout_ns);

/* Gives a read lock back. Errors: BRG_STATE when the calling process has none. */
BRG_API brg_status brg_rwlock_end_read(brg_shared *shared, size_t offset);

/* Gives the write lock back. Errors: BRG_STATE when the calling thread does not have it. */
BRG_API brg_status brg_rwlock_end_write(brg_shared *shared, size_t offset);

/* What it guards is in order again. Errors: BRG_STATE when the calling thread does not have the write lock. */
BRG_API brg_status brg_rwlock_recovered(brg_shared *shared, size_t offset);

/* ---- condition: zeroed bytes are one ----------------------------------------------------------------------- */

/*
 * Gives the mutex (of the same shared memory) back, waits for a signal, and takes the mutex again, whatever comes. It
 * may also return without a signal: look at what you wait for, in a loop. Errors: BRG_TIMED_OUT, with the mutex held;
 * as brg_mutex_lock, BRG_OWNER_DIED (held) and BRG_STATE (not held) go before it; BRG_STATE when the calling thread
 * does not have the mutex.
 */
BRG_API brg_status brg_condition_wait(brg_shared *shared, size_t offset, size_t mutex_offset, uint64_t timeout_ns);

/* Wakes one who waits, or all. Better with the mutex held or after it, never before the change. */
BRG_API brg_status brg_condition_signal(brg_shared *shared, size_t offset);
BRG_API brg_status brg_condition_broadcast(brg_shared *shared, size_t offset);

/* ---- semaphore: zeroed bytes are one without permits ------------------------------------------------------- */

/* Sets how many permits there are; nobody may use it meanwhile. */
BRG_API brg_status brg_semaphore_init(brg_shared *shared, size_t offset, uint32_t permits);

/* Takes one permit. Errors: BRG_TIMED_OUT. */
BRG_API brg_status brg_semaphore_acquire(brg_shared *shared, size_t offset, uint64_t timeout_ns);

/* Gives `count` permits; any thread may, also one that took none. Errors: BRG_TOO_LARGE above UINT32_MAX in all. */
BRG_API brg_status brg_semaphore_release(brg_shared *shared, size_t offset, uint32_t count);

/* Permits there are at this moment. */
BRG_API brg_status brg_semaphore_count(brg_shared *shared, size_t offset, uint32_t *out);

/* ---- barrier ----------------------------------------------------------------------------------------------- */

/* A barrier for `parties`, at least 1 (BRG_INVALID); nobody may use it meanwhile. */
BRG_API brg_status brg_barrier_init(brg_shared *shared, size_t offset, uint32_t parties);

/*
 * Waits until all parties have arrived, then all go on and the barrier begins anew. *is_leader (may be NULL) is true
 * for one of them, the last to arrive. BRG_TIMED_OUT: the caller has withdrawn, and the others wait for it or another
 * still; with timeout 0 only the last one gets through. Errors also: BRG_STATE where no barrier was made.
 */
BRG_API brg_status brg_barrier_wait(brg_shared *shared, size_t offset, uint64_t timeout_ns, bool *is_leader);

/* ---- latch: zeroed bytes are an open one ------------------------------------------------------------------- */

/* Sets how many counts it waits for; nobody may use it meanwhile. */
BRG_API brg_status brg_latch_init(brg_shared *shared, size_t offset, uint32_t count);

/* Counts down by `count`, and opens it at 0. Errors: BRG_RANGE when fewer are left; nothing was changed. */
BRG_API brg_status brg_latch_count_down(brg_shared *shared, size_t offset, uint32_t count);

/* Waits until it is open; it stays so. Errors: BRG_TIMED_OUT. */
BRG_API brg_status brg_latch_wait(brg_shared *shared, size_t offset, uint64_t timeout_ns);

/* Counts that are left. */
BRG_API brg_status brg_latch_count(brg_shared *shared, size_t offset, uint32_t *out);

/* ---- once: zeroed bytes are one that was not done ---------------------------------------------------------- */

/*
 * Asks who does it. *run true: the caller, which then calls brg_once_end; BRG_OWNER_DIED says so too, after one who
 * began it died. *run false: it is done. Waits while somebody does it. Errors: BRG_TIMED_OUT; BRG_DEADLOCK when the
 * calling thread is doing it.
 */
BRG_API brg_status brg_once_begin(brg_shared *shared, size_t offset, uint64_t timeout_ns, bool *run);

/* It is done, or (`done` false) it failed and the next one may try. Errors: BRG_STATE when the calling thread is not
 * doing it. */
BRG_API brg_status brg_once_end(brg_shared *shared, size_t offset, bool done);

/* ---- bounded queue of items of one size, for many producers and consumers ---------------------------------- */

/*
 * Makes an empty, open queue in BRG_QUEUE_BYTES(slots, item_bytes) bytes; nobody may use it meanwhile. Errors:
 * BRG_INVALID for 0 of either; BRG_RANGE where it does not fit.
 */
BRG_API brg_status brg_queue_init(brg_shared *shared, size_t offset, uint32_t slots, uint32_t item_bytes);

/*
 * Copies an item in at the end, or the first one out, and waits for room or an item. An item is in it whole or not at
 * all, also when its producer dies. Errors: BRG_FULL or BRG_EMPTY with timeout 0, else BRG_TIMED_OUT; BRG_CLOSED: for
 * push at once, for pop when all is taken; BRG_INVALID where `item_bytes` is not the queue's; BRG_STATE where no
 * queue was made.
 */
BRG_API brg_status brg_queue_push(brg_shared *shared, size_t offset, const void *item, size_t item_bytes,
                                  uint64_t timeout_ns);
BRG_API brg_status brg_queue_pop(brg_shared *shared, size_t offset, void *item, size_t item_bytes, uint64_t timeout_ns);

/*
 * No more pushes; what is in it can be taken. Whoever waits is told. Idempotent. Errors: BRG_STATE where no queue was
 * made.
 */
BRG_API brg_status brg_queue_close(brg_shared *shared, size_t offset);

/* Items in it at this moment. Errors: BRG_STATE where no queue was made. */
BRG_API brg_status brg_queue_count(brg_shared *shared, size_t offset, uint32_t *out);

#ifdef __cplusplus
}
#endif

#endif
