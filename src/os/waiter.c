/* SPDX-License-Identifier: MIT */
/*
 * A waiter is handed on when its thread ends, by a key's destructor. Fields that wakers read (gate, scope) are only
 * written again where somebody changed them, so that a waker that is late races with nothing.
 */
#include "os/waiter.h"

#include <pthread.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/memory.h"

#define WAITER_SPIN_NS 50000u
#define WAITER_SLICE_NS 20000000u

static pthread_once_t waiter_once = PTHREAD_ONCE_INIT;
static pthread_key_t waiter_key;
static bool waiter_has_key;
static brg__lock waiter_lock = BRG__LOCK_INIT(BRG__RANK_LEAF, "waiters");
static brg__waiter *waiter_free; /* under waiter_lock */
static _Thread_local brg__waiter *waiter_mine;

/* A destructor of another key may wait afterwards: it gets one anew, and this runs again. */
static void waiter_give_back(void *argument)
{
    brg__waiter *waiter = argument;
    waiter_mine = NULL;
    brg__lock_acquire(&waiter_lock);
    waiter->next_free = waiter_free;
    waiter_free = waiter;
    brg__lock_release(&waiter_lock);
}

static void waiter_make_key(void) { waiter_has_key = pthread_key_create(&waiter_key, waiter_give_back) == 0; }

static void (*waiter_other_look)(void *argument);
static uint64_t waiter_other_every_ns = UINT64_MAX;
static void *waiter_other_argument;

void brg__waiter_set_other(void (*look)(void *argument), uint64_t look_every_ns, void *argument)
{
    waiter_other_look = look;
    waiter_other_every_ns = look_every_ns;
    waiter_other_argument = argument;
}

static void waiter_reset(brg__waiter *waiter)
{
    if (waiter->gate != &waiter->own)
        waiter->gate = &waiter->own;
    if (waiter->scope != BRG__FUTEX_PRIVATE)
        waiter->scope = BRG__FUTEX_PRIVATE;
    brg__spinner_init(&waiter->spinner, WAITER_SPIN_NS);
    waiter->look = waiter_other_look;
    waiter->look_every_ns = waiter_other_every_ns;
    waiter->missed = NULL;
    waiter->argument = waiter_other_argument;
    waiter->asked = NULL;
    waiter->asked_argument = NULL;
    waiter->next_free = NULL;
}

static brg__waiter *waiter_take(void)
{
    brg__lock_acquire(&waiter_lock);
    brg__waiter *waiter = waiter_free;
    if (waiter != NULL)
        waiter_free = waiter->next_free;
    brg__lock_release(&waiter_lock);
    return waiter != NULL ? waiter : brg__calloc_aligned(sizeof(*waiter));
}

brg__waiter *brg__waiter_current(void)
{
    if (BRG__LIKELY(waiter_mine != NULL))
        return waiter_mine;
    pthread_once(&waiter_once, waiter_make_key);
    brg__waiter *waiter = waiter_has_key ? waiter_take() : NULL;
    if (waiter == NULL)
        return NULL;
    waiter_reset(waiter);
    if (pthread_setspecific(waiter_key, waiter) != 0) {
        waiter_give_back(waiter);
        return NULL;
    }
    waiter_mine = waiter;
    return waiter;
}

typedef struct waiter_look {
    brg__waiter *waiter;
    const brg__wait *wait;
} waiter_look;

static bool waiter_is_over(const waiter_look *look)
{
    return look->wait->ready(look->wait->argument) || (look->wait->until_asked && brg__waiter_is_asked(look->waiter));
}

static bool waiter_is_ready(void *argument)
{
    const waiter_look *look = argument;
    if (look->waiter->look != NULL)
        look->waiter->look(look->waiter->argument);
    if (look->wait->look != NULL)
        look->wait->look(look->wait->argument);
    return waiter_is_over(look);
}

/* After somebody else looks for the wait; for the thread itself nobody else does. */
static bool waiter_is_ready_at_last(const waiter_look *look)
{
    if (look->waiter->look != NULL)
        look->waiter->look(look->waiter->argument);
    return waiter_is_over(look);
}

/* One sleep; false when it lasted to the deadline. */
static bool waiter_sleep(const waiter_look *look, uint64_t deadline_ns)
{
    brg__waiter *waiter = look->waiter;
    uint64_t until = deadline_ns;
    if (waiter->look_every_ns != UINT64_MAX)
        until = brg__min(until, brg__add_saturated(brg__now(), waiter->look_every_ns));
    brg__gate_prepare(waiter->gate);
    if (look->wait->unlook != NULL)
        look->wait->unlook(look->wait->argument);
    if (waiter_is_ready_at_last(look)) {
        brg__gate_cancel(waiter->gate);
        return true;
    }
    if (brg__gate_wait(waiter->gate, until, waiter->scope))
        return true;
    if (until < deadline_ns && waiter->missed != NULL)
        waiter->missed(waiter->argument);
    return until < deadline_ns;
}

bool brg__waiter_wait(brg__waiter *waiter, const brg__wait *wait, uint64_t deadline_ns)
{
    waiter_look look = {waiter, wait};
    bool in_time = true;
    while (!brg__spinner_spin(&waiter->spinner, NULL, waiter_is_ready, &look)) {
        if (!in_time)
            return false;
        in_time = waiter_sleep(&look, deadline_ns);
    }
    return wait->ready(wait->argument);
}

uint64_t brg__waiter_slice(uint64_t deadline_ns)
{
    const brg__waiter *waiter = brg__waiter_current();
    if (waiter == NULL || waiter->asked == NULL)
        return deadline_ns;
    return brg__min(deadline_ns, brg__deadline(WAITER_SLICE_NS));
}
