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
} brg_limits;

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
    size_t message_bytes_max;  /* one message, buffers included; default 64 MiB */
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
} brg_worker_options;

#define brg_worker_opts(...) BRG_OPTIONS(brg_worker_options, __VA_ARGS__)

/*
 * Starts a worker and returns at once; start-up failures arrive as error and exit. With a loop: owner thread.
 * Without: any thread. Errors: BRG_INVALID naming the option; BRG_NO_MEMORY; BRG_SYSTEM; BRG_UNSUPPORTED (options from
 * a newer header; a function pointer with process isolation). On failure init_data stays the caller's.
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
 * Errors: BRG_FULL or BRG_TIMED_OUT; BRG_TOO_LARGE; BRG_CLOSED once it is stopping; BRG_NO_MEMORY; BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_worker_post(brg_worker *worker, brg_value *message, uint64_t timeout_ns, brg_error *error);

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

/* What it is. Ids start at 1 and are never reused. Process id 0 for threads and before start. Any thread. */
BRG_API uint64_t brg_worker_id(const brg_worker *worker);
BRG_API const char *brg_worker_name(const brg_worker *worker);
BRG_API brg_worker_state brg_worker_get_state(const brg_worker *worker);
BRG_API int64_t brg_worker_process_id(const brg_worker *worker);

/* Thread workers abandoned in this process since it started and still running. Any thread. */
BRG_API size_t brg_workers_lost(void);

#ifdef __cplusplus
}
#endif

#endif
