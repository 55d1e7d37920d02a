/* SPDX-License-Identifier: MIT */
/*
 * One thread, one poller, one timer heap, one list of calls. The lock (BRG__RANK_SUPERVISOR) guards heap and list;
 * callbacks run without it. The poller is woken only for a timer that is due before it wakes anyway, or a first call:
 * timers that are set and cleared again, as most are, cost no wake-up.
 *
 * The thread is never joined: it lives as long as the program, so its children live as long as it. A forked
 * child does not have the thread; it notices by the fork generation and starts over with fresh state.
 */
#include "worker/supervisor.h"

#include "os/atomic.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/lock.h"
#include "os/memory.h"
#include "os/thread.h"

typedef struct supervisor {
    brg__lock lock;
    brg__poller poller;
    brg__heap timers;
    uint64_t wakes_at; /* when the poller wakes by itself */
    brg__call *calls_first, *calls_last;
    uint32_t thread; /* brg__thread_id of the supervisor, once it runs */
} supervisor;

static brg__lock supervisor_start_lock = BRG__LOCK_INIT(BRG__RANK_LIBRARY, "library");
static supervisor *xsupervisor_current; /* reachable for ever: a thread uses it */
static uint32_t xsupervisor_generation; /* the fork generation it belongs to */

static supervisor *supervisor_get(void) { return brg_load_acquire(&xsupervisor_current); }

static void supervisor_run_calls(supervisor *self)
{
    brg__lock_acquire(&self->lock);
    brg__call *call = self->calls_first;
    self->calls_first = self->calls_last = NULL;
    brg__lock_release(&self->lock);
    while (call != NULL) {
        brg__call *next = call->next;
        call->run(call);
        call = next;
    }
}

/* Fires what is due; returns when to look again. */
static uint64_t supervisor_run_timers(supervisor *self)
{
    for (;;) {
        brg__lock_acquire(&self->lock);
        brg__heap_item *item = brg__heap_peek(&self->timers);
        uint64_t now = brg__now();
        if (item == NULL || item->key > now) {
            uint64_t next = item == NULL ? UINT64_MAX : item->key;
            if (self->calls_first != NULL)
                next = 0;
            else if (self->wakes_at >
                     now) /* a promise stays: one idle wake-up, for many timers set meanwhile without one */
                next = brg__min(next, self->wakes_at);
            self->wakes_at = next;
            brg__lock_release(&self->lock);
            return next;
        }
        brg__heap_remove(&self->timers, item);
        brg__lock_release(&self->lock);
        brg__timer *timer = brg__container_of(item, brg__timer, item);
        timer->fire(timer);
    }
}

static void supervisor_main(void *argument)
{
    supervisor *self = argument;
    brg_store_release(&self->thread, brg__thread_id()); /* pairs with supervisor_is_current */
    for (;;) {
        supervisor_run_calls(self);
        uint64_t next = supervisor_run_timers(self);
        brg__poller_wait(&self->poller, next);
    }
}

static brg_status supervisor_start(brg_error *error)
{
    supervisor *self = brg__calloc(1, sizeof(*self));
    if (self == NULL)
        return brg__error_memory(error, "the supervisor");
    brg__lock_init(&self->lock, BRG__RANK_SUPERVISOR, "supervisor");
    brg_status status = brg__poller_init(&self->poller, error);
    if (status != BRG_OK) {
        brg__mfree(self);
        return status;
    }
    brg__thread thread;
    status = brg__thread_start(&thread, "brigade-super", (size_t)256 << 10, supervisor_main, self, error);
    if (status != BRG_OK) {
        brg__poller_done(&self->poller);
        brg__mfree(self);
        return status;
    }
    brg__thread_detach(&thread);
    brg_store_relaxed(&xsupervisor_generation, brg__fork_generation());
    brg_store_release(&xsupervisor_current, self); /* pairs with supervisor_get */
    return BRG_OK;
}

brg_status brg__supervisor_ensure(brg_error *error)
{
    if (supervisor_get() != NULL && brg_load_relaxed(&xsupervisor_generation) == brg__fork_generation())
        return BRG_OK;
    if (brg_load_relaxed(&xsupervisor_generation) != brg__fork_generation())
        brg__lock_init(&supervisor_start_lock, BRG__RANK_LIBRARY, "library"); /* its holder did not survive the fork */
    brg__lock_acquire(&supervisor_start_lock);
    brg_status status = BRG_OK;
    if (supervisor_get() == NULL || brg_load_relaxed(&xsupervisor_generation) != brg__fork_generation())
        status = supervisor_start(error);
    brg__lock_release(&supervisor_start_lock);
    return status;
}

bool brg__supervisor_is_current(void)
{
    supervisor *self = supervisor_get();
    return self != NULL && brg_load_acquire(&self->thread) == brg__thread_id();
}

bool brg__supervisor_timer_set(brg__timer *timer, uint64_t deadline_ns)
{
    supervisor *self = supervisor_get();
    brg__lock_acquire(&self->lock);
    bool was_set = brg__heap_is_linked(&timer->item);
    if (was_set)
        brg__heap_remove(&self->timers, &timer->item);
    bool too_late = false;
    if (deadline_ns != UINT64_MAX) {
        brg__heap_insert(&self->timers, &timer->item, deadline_ns);
        too_late = deadline_ns < self->wakes_at;
        if (too_late)
            self->wakes_at = deadline_ns;
    }
    brg__lock_release(&self->lock);
    if (too_late && !brg__supervisor_is_current())
        brg__poller_wake(&self->poller);
    return was_set;
}

void brg__supervisor_call(brg__call *call)
{
    supervisor *self = supervisor_get();
    call->next = NULL;
    brg__lock_acquire(&self->lock);
    bool first = self->calls_first == NULL;
    if (first)
        self->calls_first = call;
    else
        self->calls_last->next = call;
    self->calls_last = call;
    brg__lock_release(&self->lock);
    if (first)
        brg__poller_wake(&self->poller);
}

typedef struct supervisor_sync {
    brg__call call;
    void (*run)(void *argument);
    void *argument;
    uint32_t xdone;
} supervisor_sync;

static void supervisor_sync_run(brg__call *call)
{
    supervisor_sync *sync = (supervisor_sync *)call;
    sync->run(sync->argument);
    /* The waiter owns `sync` and may return at once: waking takes its address only, and a stray wake is harmless. */
    brg_store_release(&sync->xdone, 1u); /* pairs with the load in call_wait */
    brg__futex_wake(&sync->xdone, 1, BRG__FUTEX_PRIVATE);
}

void brg__supervisor_call_wait(void (*run)(void *argument), void *argument)
{
    if (brg__supervisor_is_current()) {
        run(argument);
        return;
    }
    supervisor_sync sync = {.call.run = supervisor_sync_run, .run = run, .argument = argument};
    brg__supervisor_call(&sync.call);
    while (brg_load_acquire(&sync.xdone) == 0)
        brg__futex_wait(&sync.xdone, 0, UINT64_MAX, BRG__FUTEX_PRIVATE);
}

brg_status brg__supervisor_watch(brg__poll_source *source, brg_error *error)
{
    return brg__poller_add(&supervisor_get()->poller, source, error);
}

void brg__supervisor_unwatch(brg__poll_source *source) { brg__poller_remove(&supervisor_get()->poller, source); }
