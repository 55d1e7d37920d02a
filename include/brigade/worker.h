/* SPDX-License-Identifier: MIT */
/*
 * One worker: an isolated unit of execution with its own mailbox, on a thread or in a process.
 *
 *     brg_worker_create(&worker, brg_worker_opts(.loop = loop, .module = "./photos.so",
 *                                                .isolation = BRG_ISOLATION_PROCESS, .on_message = got), &error);
 *     brg_worker_post(worker, value, 0, &error);
 *
 * Life: starting -> online -> (idle <-> busy) -> stopping -> exited, or lost for an abandoned thread. Events on
 * the owner's loop: online once, message, message_error, error, and exit: always last, exactly once.
 * Messages posted before online wait; messages sent before exit arrive before it.
 */
#ifndef BRIGADE_WORKER_H
#define BRIGADE_WORKER_H

#include <brigade/loop.h>
#include <brigade/module.h>
#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_worker brg_worker;

typedef enum brg_worker_state {
    BRG_WORKER_STARTING = 0,
    BRG_WORKER_ONLINE,   /* started; idle or busy */
    BRG_WORKER_STOPPING, /* asked to end */
    BRG_WORKER_EXITED,
    BRG_WORKER_LOST /* a thread that did not end within its grace: abandoned, counted, its results dropped */
} brg_worker_state;

/* "starting", "online", ... Static. Any thread. */
BRG_API const char *brg_worker_state_name(brg_worker_state state);

/* How a worker ended. */
typedef struct brg_exit {
    brg_status status; /* BRG_OK: ended as asked or by itself with code 0; else CRASHED, EXITED, LOST, PROTOCOL, ... */
    int exit_code;     /* of a process that exited */
    int signal;        /* that ended a process, or 0 */
    bool requested;    /* the owner had asked it to end */
    brg_error error;   /* the whole story: message, backtrace */
} brg_exit;

/* Limits of one worker; zero means the default. */
typedef struct brg_limits {
    size_t stack_bytes;       /* thread stack; default 1 MiB for threads, the system's for processes */
    size_t arena_bytes_max;   /* brg_context_alloc, both isolations; default 256 MiB */
    size_t memory_bytes_max;  /* process: private memory beyond the template's (RLIMIT_DATA); default none */
    uint32_t files_max;       /* process: open descriptors; default 256 */
    uint32_t cpu_seconds_max; /* process: CPU time of its whole life; default none */
    size_t address_bytes_max; /* process: address space beyond what it has when it starts (RLIMIT_AS); default none */
    size_t rss_bytes_max;     /* process: resident memory, all of it, looked at ten times a second: above it the worker
                                 is ended with BRG_NO_MEMORY; default none */
} brg_limits;

/* Where a standard stream of a worker leads. */
typedef enum brg_stdio {
    BRG_STDIO_INHERIT = 0, /* straight through: the program's own */
    BRG_STDIO_NULL,        /* reads as empty; what is written is dropped */
    BRG_STDIO_PIPE         /* to the owner: on_stdout, on_stderr, brg_worker_read_output; brg_worker_write_stdin */
} brg_stdio;

typedef enum brg_output { BRG_OUTPUT_STDOUT = 1, BRG_OUTPUT_STDERR = 2 } brg_output;

/* The body of a thread worker without a module. Ends the worker when it returns; an error is its exit status. */
typedef brg_status (*brg_worker_fn)(brg_context *context, void *argument);

typedef struct brg_worker_options {
    size_t size;
    brg_loop *loop; /* where the callbacks run; NULL: none run, use receive and wait */
    brg_isolation isolation;
    const char *module;              /* path of a shared object, or */
    const brg_module *linked_module; /* a module of this program (thread isolation), or */
    brg_worker_fn entry;             /* a function of this program (thread isolation) */
    void *entry_argument;
    const char *name;          /* default "brigade-<id>"; the first 15 bytes name the thread */
    brg_value *init_data;      /* taken on success */
    uint32_t mailbox_max;      /* messages waiting in each direction; default 1024 */
    size_t message_bytes_max;  /* one message, its buffers included but for those in regions; default 64 MiB */
    uint64_t start_timeout_ns; /* until online; default 30 s */
    uint64_t grace_ns;         /* between asking a worker to end and ending it; default 500 ms */
    uint64_t spin_ns;          /* longest spin before sleeping, adaptive; default 50 us; BRG_FOREVER is refused */
    bool no_spin;              /* never spin */
    brg_limits limits;
    const char *helper; /* path of the worker program; default: found beside the library */

    void (*on_online)(brg_worker *worker, void *user_data);
    void (*on_message)(brg_worker *worker, brg_value *message, void *user_data);           /* borrowed; ref to keep */
    void (*on_message_error)(brg_worker *worker, const brg_error *error, void *user_data); /* one could not be read */
    void (*on_error)(brg_worker *worker, const brg_error *error, void *user_data); /* a hook or handler failed */
    void (*on_exit)(brg_worker *worker, const brg_exit *exit, void *user_data);
    void (*release)(void *user_data); /* exactly once, when brigade lets go of user_data; never if create failed */
    void *user_data;

    const char *const *arguments; /* ended by NULL; copied: brg_context_argument. NULL: none */
    const char *const
        *environment; /* "NAME=value", ended by NULL; copied. NULL: what the creating program, or worker, has now */
    bool share_environment; /* thread: the program's own, changes and all; `environment` must be NULL */

    brg_stdio stdin_mode, stdout_mode, stderr_mode;
    size_t stdio_bytes_max; /* captured bytes waiting, per stream; default 256 KiB, at least 4 KiB */
    /* A piece of a captured stream, borrowed: in order, none empty, the last one before on_exit. Needed with a loop. */
    void (*on_stdout)(brg_worker *worker, const void *bytes, size_t size_bytes, void *user_data);
    void (*on_stderr)(brg_worker *worker, const void *bytes, size_t size_bytes, void *user_data);
} brg_worker_options;

#define brg_worker_opts(...) BRG_OPTIONS(brg_worker_options, __VA_ARGS__)

/*
 * Starts a worker and returns at once; start-up failures arrive as error and exit. With a loop: owner thread.
 * Without: any thread. Errors: BRG_INVALID naming the option; BRG_NO_MEMORY; BRG_SYSTEM; BRG_UNSUPPORTED (options from
 * a newer header; a function pointer, or share_environment, with process isolation); BRG_CLOSED in a worker that has
 * been abandoned. On failure init_data stays the caller's.
 *
 * A worker that is created inside a worker, on its thread, ends with it at the latest: when the outer one ends, what it
 * left running is asked to end and waited for. Its handle is the outer one's to destroy, but no callback comes any
 * more.
 */
BRG_API brg_status brg_worker_create(brg_worker **out, const brg_worker_options *options, brg_error *error);

/*
 * Ends the worker if it lives (as terminate, and waits for the bound), then frees it. No callback of it runs
 * after this returns but release, which runs inside. Accepts NULL. Owner thread; without a loop any thread, once.
 * Safe inside the worker's own callbacks.
 */
BRG_API void brg_worker_destroy(brg_worker *worker);

/*
 * Sends a message to the worker: taken on success. Waits up to `timeout_ns` for room in the mailbox; 0 tries once.
 * Errors: BRG_FULL or BRG_TIMED_OUT; BRG_TOO_LARGE; BRG_CLOSED once it is stopping; BRG_NO_MEMORY; BRG_FORKED. Any
 * thread.
 */
BRG_API brg_status brg_worker_post(brg_worker *worker, brg_value *message, uint64_t timeout_ns, brg_error *error);

/*
 * A buffer to be sent to this worker. A process worker keeps what it was sent mapped; so a buffer that it has let go of
 * is used again for this, but for nothing else, without the cost of fresh memory. The worker may be able to read and
 * change it from now on, so put nothing into it that is not meant for this worker. `size_bytes` of unspecified content.
 * Errors: BRG_TOO_LARGE, BRG_NO_MEMORY. Any thread.
 */
BRG_API brg_status brg_worker_buffer(brg_worker *worker, size_t size_bytes, brg_buffer **out, brg_error *error);

/*
 * Takes the next message of a worker without a loop; the caller's to unref. Waits up to `timeout_ns`. Errors: BRG_EMPTY
 * (timeout 0), BRG_TIMED_OUT, BRG_CLOSED when the worker has ended and all was taken, BRG_STATE with a loop,
 * BRG_MALFORMED when a message could not be read (the next call takes the next one). Any thread, one at a time.
 */
BRG_API brg_status brg_worker_receive(brg_worker *worker, brg_value **message, uint64_t timeout_ns);

/* Asks it to end (cancel flag, closed mailbox), ends it after grace_ns. Returns at once; exit follows. Any thread. */
BRG_API brg_status brg_worker_terminate(brg_worker *worker);

/* Waits until it is online (BRG_OK), or ended before that (BRG_START_FAILED), or `timeout_ns` passed. Any thread. */
BRG_API brg_status brg_worker_wait_online(brg_worker *worker, uint64_t timeout_ns, brg_error *error);

/* Waits until it ended; fills *out (which may be NULL). Errors: BRG_TIMED_OUT. Any thread. */
BRG_API brg_status brg_worker_wait(brg_worker *worker, uint64_t timeout_ns, brg_exit *out);

/* What it is. Ids are never reused; those of workers that a process worker makes are large numbers. Process id 0 for
 * threads and before start. Any thread. */
BRG_API uint64_t brg_worker_id(const brg_worker *worker);
BRG_API const char *brg_worker_name(const brg_worker *worker);
BRG_API brg_worker_state brg_worker_get_state(const brg_worker *worker);
BRG_API int64_t brg_worker_process_id(const brg_worker *worker);

/* The id of the worker that the calling thread is; 0 on any other thread. Any thread. */
BRG_API uint64_t brg_worker_current_id(void);

/*
 * Whether the worker keeps its loop running (brg_loop_run, a libuv loop) until it has ended; it does unless told not
 * to. Its events come either way while the loop runs. No effect without a loop. Idempotent. Owner thread.
 */
BRG_API void brg_worker_keep_loop(brg_worker *worker, bool keep);
BRG_API bool brg_worker_keeps_loop(const brg_worker *worker);

/* ---- standard streams -------------------------------------------------------------------------------------- */

/*
 * Writes to the worker's stdin, where stdin_mode is BRG_STDIO_PIPE. Waits up to `timeout_ns` until all is written; 0
 * writes what there is room for. *written (may be NULL) says how much, also on failure. Errors: BRG_FULL (timeout 0) or
 * BRG_TIMED_OUT with a part written; BRG_CLOSED when it was closed here or nobody reads there any more; BRG_STATE
 * where it is no pipe. Any thread, one at a time.
 */
BRG_API brg_status brg_worker_write_stdin(brg_worker *worker, const void *bytes, size_t size_bytes, size_t *written,
                                          uint64_t timeout_ns, brg_error *error);

/* The worker reads the end of its stdin after what was written. Idempotent. Any thread, one at a time. */
BRG_API void brg_worker_close_stdin(brg_worker *worker);

/*
 * Takes captured bytes of a worker without a loop: 1 to `capacity` of them, as they come. Waits up to `timeout_ns`.
 * Errors: BRG_EMPTY (timeout 0), BRG_TIMED_OUT, BRG_CLOSED when the worker is at its end and all was taken, BRG_STATE
 * with a loop or where the stream is not captured, BRG_INVALID. Any thread, one at a time per stream.
 */
BRG_API brg_status brg_worker_read_output(brg_worker *worker, brg_output stream, void *buffer, size_t capacity,
                                          size_t *size_bytes, uint64_t timeout_ns);

/* ---- usage ------------------------------------------------------------------------------------------------- */

/* What a worker has used since it came online; set .size first. */
typedef struct brg_usage {
    size_t size;
    uint64_t cpu_ns;    /* CPU time of its thread, or its process with all of its threads */
    uint64_t busy_ns;   /* in tasks, handlers, callbacks of its loop, entry function */
    uint64_t idle_ns;   /* waiting for them, brg_context_receive and its loop included */
    uint64_t tasks;     /* started */
    uint64_t messages;  /* handled or received */
    uint64_t rss_bytes; /* process: resident memory now; 0 once it ended, and for threads */
} brg_usage;

/*
 * Reads it while the worker runs, or after. What a process worker says of itself (all but cpu_ns and rss_bytes) is only
 * as good as the worker. Errors: BRG_INVALID. Any thread.
 */
BRG_API brg_status brg_worker_usage(const brg_worker *worker, brg_usage *usage);

/* What was used between two readings; rss_bytes is the later one. *out may be either of them. Any thread. */
BRG_API void brg_usage_delta(const brg_usage *later, const brg_usage *earlier, brg_usage *out);

/* busy / (busy + idle), from 0 to 1; 0 where both are 0. Any thread. */
BRG_API double brg_usage_utilization(const brg_usage *usage);

/* Thread workers abandoned in this process since it started and still running. Any thread. */
BRG_API size_t brg_workers_lost(void);

#ifdef __cplusplus
}
#endif

#endif
