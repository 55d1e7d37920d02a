/* SPDX-License-Identifier: MIT */
/*
 * Channels and ports. A channel is two joined ports; a value posted to one arrives at the other, in order. Each port
 * can be sent in a value, to another thread or process, and to another still; what is posted to it meanwhile follows
 * it.
 *
 *     brg_port *ours, *theirs;
 *     brg_channel_create(&ours, &theirs, NULL, &error);
 *     brg_builder_port(builder, &theirs);              // theirs is NULL now: it moved
 *     brg_port_receive(ours, &answer, BRG_FOREVER);
 *
 * A port is read in one of two ways: brg_port_receive on any thread, or, once brg_port_start gave it a loop, callbacks
 * on that loop (in a worker: brg_context_loop). What waits in front of a port is bounded by the channel's limits,
 * counted from post to receipt wherever it is; a sender can try, wait, or be told on its loop when there is room.
 *
 * Close is a marker: what was posted before arrives, then both sides hear of the close, once. A port that dies with its
 * worker closes too.
 */
#ifndef BRIGADE_PORT_H
#define BRIGADE_PORT_H

#include <brigade/loop.h>
#include <brigade/status.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_port brg_port;

/* Limits of each direction of a channel; zero means the default. */
typedef struct brg_channel_options {
    size_t size;
    uint32_t messages_max; /* posted and not yet received; default 1024, at most 1048576 */
    size_t bytes_max;      /* of them, buffers included, but one message always passes; default 64 MiB */
} brg_channel_options;

#define brg_channel_opts(...) BRG_OPTIONS(brg_channel_options, __VA_ARGS__)

/* Two joined ports. `options` may be NULL. Errors: BRG_INVALID; BRG_NO_MEMORY. Any thread. End both with
 * brg_port_destroy. */
BRG_API brg_status brg_channel_create(brg_port **one, brg_port **other, const brg_channel_options *options,
                                      brg_error *error);

/*
 * Posts a value: taken on success. Waits up to `timeout_ns` for room; 0 tries once. All or nothing: after an error the
 * value, with every port and descriptor in it, is the caller's as before. Errors: BRG_FULL or BRG_TIMED_OUT;
 * BRG_CLOSED; BRG_CANCELLED in a worker that is asked to end while it waits; BRG_INVALID for a value with this port or
 * its other end in it (or a port in whose queue that one waits), or with a port or descriptor that was taken from it;
 * BRG_TOO_LARGE (for another process: above its message_bytes_max); BRG_UNSUPPORTED for what cannot travel there;
 * BRG_NO_MEMORY. Any thread.
 */
BRG_API brg_status brg_port_post(brg_port *port, brg_value *value, uint64_t timeout_ns, brg_error *error);

/*
 * Takes the next value; the caller's to unref. Waits up to `timeout_ns`; 0 tries once. Errors: BRG_EMPTY (timeout 0),
 * BRG_TIMED_OUT, BRG_CANCELLED in a worker that is asked to end, BRG_CLOSED when either side closed and all was taken,
 * BRG_STATE once started on a loop, BRG_MALFORMED when a value could not be read (the next call takes the next one).
 * Any thread, one at a time.
 */
BRG_API brg_status brg_port_receive(brg_port *port, brg_value **value, uint64_t timeout_ns);

typedef struct brg_port_options {
    size_t size;
    brg_loop *loop;     /* where the callbacks run; needed */
    uint32_t batch_max; /* messages before other ports, timers and I/O of the loop get their turn; default 32 */
    bool is_background; /* it does not keep its loop running: as brg_port_keep_loop(port, false) */

    void (*on_message)(brg_port *port, brg_value *message, void *user_data); /* borrowed; ref to keep. Needed */
    void (*on_message_error)(brg_port *port, const brg_error *error, void *user_data); /* one could not be read */
    void (*on_room)(brg_port *port, void *user_data);  /* there is room again after a post that found none */
    void (*on_close)(brg_port *port, void *user_data); /* last, once, whichever side closed; not after destroy */
    void (*release)(void *user_data); /* exactly once, when brigade lets go of user_data; never if start failed */
    void *user_data;
} brg_port_options;

#define brg_port_opts(...) BRG_OPTIONS(brg_port_options, __VA_ARGS__)

/*
 * Reads the port by callbacks on a loop from now on, what waits already first. The loop keeps running while a started
 * port is open. A started port cannot be sent. Errors: BRG_INVALID; BRG_STATE when started, or closed on this side
 * (where the other one closed, on_close follows what it had posted). Owner thread of the loop.
 */
BRG_API brg_status brg_port_start(brg_port *port, const brg_port_options *options, brg_error *error);

/* Whether a started port keeps its loop running; it does unless told not to. Idempotent. Owner thread. */
BRG_API void brg_port_keep_loop(brg_port *port, bool keep);
BRG_API bool brg_port_keeps_loop(const brg_port *port);

/*
 * Closes both sides: the other one still gets what was posted to it, then hears of it; what waits here is dropped. The
 * handle stays until destroy. Later calls do nothing. Any thread.
 */
BRG_API void brg_port_close(brg_port *port);

/* Closes and frees; no callback runs after it but release, inside. Accepts NULL. Owner thread once started, else any,
 * once. Safe inside its own callbacks. */
BRG_API void brg_port_destroy(brg_port *port);

/* Whether either side has closed; there may still be values to take. Values that wait here to be taken. Any thread. */
BRG_API bool brg_port_is_closed(const brg_port *port);
BRG_API size_t brg_port_waiting(const brg_port *port);

/* Ports that exist in this process, those inside values and those on their way too: for leak checks. Any thread. */
BRG_API size_t brg_ports_open(void);

/* ---- in values --------------------------------------------------------------------------------------------- */

/*
 * Moves *port in and sets it to NULL; on a stuck error *port stays the caller's. BRG_INVALID sticks for NULL,
 * BRG_CLOSED for a closed port, BRG_STATE for a started one. A value with a port in it that is dropped closes the port.
 */
BRG_API void brg_builder_port(brg_builder *builder, brg_port **port);

/* Takes the port of a port node out of its value, the caller's from now on. Errors: BRG_WRONG_TYPE; BRG_EMPTY when it
 * was taken before. Any thread. */
BRG_API brg_status brg_view_take_port(brg_view view, brg_port **port);

/* The same two for a file descriptor, which the value owns (and closes, if nobody takes it). BRG_INVALID sticks for a
 * negative or closed one. */
BRG_API void brg_builder_fd(brg_builder *builder, int *fd);
BRG_API brg_status brg_view_take_fd(brg_view view, int *fd);

#ifdef __cplusplus
}
#endif

#endif
