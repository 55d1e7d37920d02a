/* SPDX-License-Identifier: MIT */
/*
 * Broadcast: a message posted under a name is heard by everybody else who has that name open, in the program and in its
 * workers of both isolations.
 *
 *     brg_broadcast_open(&news, "news", brg_broadcast_opts(.loop = loop, .on_message = heard), &error);
 *     brg_broadcast_post(news, message, 0, &error);
 *
 * A handle does not hear what was posted to it; other handles on the name do, those of the same thread too. Inside
 * the program all of them are given the same value, not copies. What one handle posts arrives everywhere in that order;
 * what several post arrives in some order, which may differ between receivers. Nobody waits for a slow receiver: what
 * finds its queue full is dropped for it alone, the newest, and counted.
 */
#ifndef BRIGADE_BROADCAST_H
#define BRIGADE_BROADCAST_H

#include <brigade/loop.h>
#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BRG_BROADCAST_NAME_MAX 255     /* bytes of UTF-8; at least 1 */
#define BRG_BROADCASTS_MAX 65536       /* open handles in a program, all its workers included */
#define BRG_BROADCASTS_WORKER_MAX 1024 /* of them, those of one process worker */

typedef struct brg_broadcast brg_broadcast;

typedef struct brg_broadcast_options {
    size_t size;
    uint32_t messages_max; /* waiting for this handle; default 1024, at most 1048576 */
    size_t bytes_max;      /* of them, buffers included, but one message always passes; default 64 MiB */
    brg_loop *loop;        /* where on_message runs; NULL: use brg_broadcast_receive */
    uint32_t batch_max;    /* messages before others on the loop get their turn; default 32 */
    bool is_background;    /* it does not keep its loop running */
    void (*on_message)(brg_broadcast *broadcast, brg_value *message, void *user_data); /* borrowed; ref to keep */
    void (*on_message_error)(brg_broadcast *broadcast, const brg_error *error,
                             void *user_data);                   /* one was unreadable */
    void (*on_close)(brg_broadcast *broadcast, void *user_data); /* once: its worker ended; not after close */
    void (*release)(void *user_data); /* exactly once, when brigade lets go of user_data; never if open failed */
    void *user_data;
} brg_broadcast_options;

#define brg_broadcast_opts(...) BRG_OPTIONS(brg_broadcast_options, __VA_ARGS__)

/*
 * Opens `name`: what is posted under it from now on arrives. `options` may be NULL. A process worker asks the program
 * and waits for the answer. Errors: BRG_INVALID for the name or an option; BRG_TOO_LARGE past BRG_BROADCASTS_MAX or
 * BRG_BROADCASTS_WORKER_MAX; BRG_CLOSED when the program is gone; BRG_CANCELLED when the worker is asked to end;
 * BRG_FORKED; BRG_NO_MEMORY. With a loop: its owner thread; without: any thread. End it with brg_broadcast_close.
 */
BRG_API brg_status brg_broadcast_open(brg_broadcast **out, const char *name, const brg_broadcast_options *options,
                                      brg_error *error);

/*
 * Posts to all others: taken on success, whether anybody hears it or not. It waits up to `timeout_ns` for room on the
 * way there, not for receivers; 0 tries once. There is none for a moment while other threads post much to the same
 * handle, or, in a process worker, while the program is behind. Errors: BRG_INVALID for NULL and for a value with a
 * port or descriptor in it, which only one could have; BRG_CLOSED; BRG_FULL or BRG_TIMED_OUT; BRG_TOO_LARGE;
 * BRG_NO_MEMORY. Any thread.
 */
BRG_API brg_status brg_broadcast_post(brg_broadcast *broadcast, brg_value *message, uint64_t timeout_ns,
                                      brg_error *error);

/*
 * Takes the next message; the caller's to unref. Waits up to `timeout_ns`; 0 tries once. Errors: BRG_EMPTY (timeout 0),
 * BRG_TIMED_OUT, BRG_STATE with a loop, BRG_CLOSED once its worker ended and all was taken, BRG_MALFORMED (the next
 * call takes the next one). Any thread, one at a time.
 */
BRG_API brg_status brg_broadcast_receive(brg_broadcast *broadcast, brg_value **message, uint64_t timeout_ns);

/*
 * How many messages this handle has missed because its queue was full. In a process worker it asks the program and
 * waits; 0 when that is gone. Any thread.
 */
BRG_API uint64_t brg_broadcast_dropped(const brg_broadcast *broadcast);

/* Its name, borrowed while the handle lives. Any thread. */
BRG_API const char *brg_broadcast_name(const brg_broadcast *broadcast);

/* Whether a handle with a loop keeps it running; it does unless told not to. Idempotent. Owner thread. */
BRG_API void brg_broadcast_keep_loop(brg_broadcast *broadcast, bool keep);

/*
 * Closes and frees; what waits is dropped, what it posted still arrives. No callback runs after it but release, inside.
 * Accepts NULL. With a loop: its owner thread, safe inside its own callbacks; else any thread, once.
 */
BRG_API void brg_broadcast_close(brg_broadcast *broadcast);

#ifdef __cplusplus
}
#endif

#endif
