/* SPDX-License-Identifier: MIT */
/* The owner's loop, as workers and pools use it. */
#ifndef BRG_LOOP_LOOP_H
#define BRG_LOOP_LOOP_H

#include <brigade/loop.h>

#include "base/list.h"

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

/*
 * Something that uses a loop and lets go of it when the loop must end, as that of a worker does: `ending` is called
 * once, if it is still there, and detaches. Owner thread.
 */
typedef struct brg__loop_user {
    brg__node node;
    void (*ending)(struct brg__loop_user *user);
} brg__loop_user;
void brg__loop_user_add(brg_loop *loop, brg__loop_user *user);
void brg__loop_user_remove(brg__loop_user *user); /* nothing where it is not there */

bool brg__loop_is_owner(const brg_loop *loop);

/* Owner thread: dispatches until `done(argument)` or the deadline; false then. Sleeps in between. */
bool brg__loop_dispatch_until(brg_loop *loop, bool (*done)(void *argument), void *argument, uint64_t deadline_ns);

/* Makes a sleeping brg__loop_dispatch_until or loop look again. Any thread. */
void brg__loop_nudge(brg_loop *loop);

/* For adapters: a loop with its descriptor, and the end of one. */
brg_status brg__loop_new(brg_loop **out, const brg_loop_options *options, brg_error *error);
void brg__loop_set_adapter(brg_loop *loop, const brg__loop_adapter *adapter, void *state);
void *brg__loop_adapter_state(const brg_loop *loop);

/*
 * The loop of a worker. `bell` becomes readable when somebody rings: it is cleared, then `rung` is called. `sleeps` and
 * `woke` come around every wait of the loop for events, whoever runs it; libuv runs I/O callbacks before the second,
 * which therefore says how long the loop really slept. All on the owner thread.
 */
typedef struct brg__loop_resident {
    int bell;
    void (*rung)(void *argument);
    void (*sleeps)(void *argument);
    void (*woke)(void *argument, uint64_t slept_ns);
    void *argument;
} brg__loop_resident;
brg_status brg__loop_create_resident(brg_loop **out, const brg__loop_resident *resident, brg_error *error);
/* One round: sleeps until something happened or the deadline (0: does not sleep), and runs what is due. */
void brg__loop_round(brg_loop *loop, uint64_t deadline_ns);
/* From now on brg_loop_run returns BRG_CLOSED, the running one too. */
void brg__loop_refuse_runs(brg_loop *loop);
/* Ends it with all that is on it. What uses it still, and is no brg__loop_user, keeps its memory: then it leaks.
 * Accepts NULL. */
void brg__loop_end_resident(brg_loop *loop);

/* In uv.c: gives `loop` a libuv loop of its own. */
brg_status brg__loop_uv_own(brg_loop *loop, brg_error *error);

#endif
