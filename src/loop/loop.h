/* SPDX-License-Identifier: MIT */
/* The owner's loop, as workers and pools use it. */
#ifndef BRG_LOOP_LOOP_H
#define BRG_LOOP_LOOP_H

#include <brigade/loop.h>

/* Something to run once on the owner thread. Lives in the object it completes; free again once run() was called. */
typedef struct brg__completion {
    struct brg__completion *next;
    void (*run)(struct brg__completion *completion);
} brg__completion;

/* How a kind of loop keeps itself alive, runs and ends. Owner thread; NULL entries do nothing. */
typedef struct brg__loop_adapter {
    void (*hold)(brg_loop *loop, bool held); /* completions are out, or not */
    brg_status (*run)(brg_loop *loop);
    void (*stop)(brg_loop *loop);
    void (*close)(brg_loop *loop); /* lets go of the descriptor and frees the adapter's part */
} brg__loop_adapter;

/* Hands a completion over: it runs in the order of posting. Never fails. Any thread. */
void brg__loop_post(brg_loop *loop, brg__completion *completion);

/* One more completion will come some day (hold) or one was delivered (unhold). Any thread. */
void brg__loop_hold(brg_loop *loop);
void brg__loop_unhold(brg_loop *loop);

/* Objects that use the loop: it refuses to end before they do. Any thread. */
void brg__loop_attach(brg_loop *loop);
void brg__loop_detach(brg_loop *loop);

bool brg__loop_is_owner(const brg_loop *loop);

/* Owner thread: dispatches until `done(argument)` or the deadline; false then. Sleeps in between. */
bool brg__loop_dispatch_until(brg_loop *loop, bool (*done)(void *argument), void *argument, uint64_t deadline_ns);

/* Makes a sleeping brg__loop_dispatch_until or loop look again. Any thread. */
void brg__loop_nudge(brg_loop *loop);

/* For adapters: a loop with its descriptor, and the end of one. */
brg_status brg__loop_new(brg_loop **out, const brg_loop_options *options, brg_error *error);
void brg__loop_set_adapter(brg_loop *loop, const brg__loop_adapter *adapter, void *state);
void *brg__loop_adapter_state(const brg_loop *loop);

/* In uv.c: gives `loop` a libuv loop of its own. */
brg_status brg__loop_uv_own(brg_loop *loop, brg_error *error);

#endif
