/* SPDX-License-Identifier: MIT */
#include "pool/schedule.h"

#include "os/atomic.h"
#include "os/memory.h"

#define SCHEDULE_OTHER_TURN 61 /* each so many takes the shared queue goes before the seat's own (Go's number) */

/* ---- counts ------------------------------------------------------------------------------------------------------ */

static void seat_count_changed(brg__seat *seat)
{
    brg_store_relaxed(&seat->xready, seat->count + seat->pinned_count);
    seat->seen.load = seat->count + seat->pinned_count + seat->held;
}

/* One more, or one less, in the queue of a seat. */
static void seat_count_add(brg__schedule *schedule, brg__seat *seat, int32_t change)
{
    seat->count += (uint32_t)change;
    brg_store_relaxed(&schedule->xassigned, schedule->xassigned + (uint32_t)change);
    seat_count_changed(seat);
}

static void schedule_count(brg__schedule *schedule, int32_t change)
{
    brg_store_relaxed(&schedule->xready, schedule->xready + (uint32_t)change);
}

void brg__seat_hold(brg__seat *seat, uint32_t held)
{
    seat->held = held;
    seat_count_changed(seat);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void *schedule_new_queue(brg__schedule *schedule)
{
    void *state = brg__calloc(1, schedule->queue->state_bytes);
    if (state != NULL)
        schedule->queue->init(state, schedule->options);
    return state;
}

static void schedule_free_queue(brg__schedule *schedule, void *state)
{
    if (state != NULL && schedule->queue->done != NULL)
        schedule->queue->done(state);
    brg__mfree(state);
}

brg_status brg__schedule_init(brg__schedule *schedule, const brg_pool_options *options)
{
    schedule->options = options;
    schedule->queue = options->queue;
    schedule->placement = options->placement;
    schedule->assigns = options->placement->choose != NULL;
    schedule->steals = options->placement->steals;
    schedule->wants_time = options->queue->wants_time;
    brg__list_init(&schedule->idle);
    if (schedule->placement->state_bytes != 0) {
        schedule->placement_state = brg__calloc(1, schedule->placement->state_bytes);
        if (schedule->placement_state == NULL)
            return BRG_NO_MEMORY;
    }
    if (schedule->placement->init != NULL)
        schedule->placement->init(schedule->placement_state, options);
    return brg__schedule_lane(schedule, 0) == 0 ? BRG_OK : BRG_NO_MEMORY;
}

void brg__schedule_done(brg__schedule *schedule)
{
    for (uint32_t i = 0; i < schedule->xlane_count; i++)
        schedule_free_queue(schedule, schedule->lanes[i].state);
    brg__mfree(schedule->placement_state);
}

void brg__schedule_tune(brg__schedule *schedule)
{
    if (schedule->queue->tune == NULL)
        return;
    for (uint32_t i = 0; i < schedule->xlane_count; i++)
        schedule->queue->tune(schedule->lanes[i].state, schedule->options);
    for (uint32_t i = 0; i < schedule->seat_count; i++)
        if (brg__seat_of(schedule->seats[i])->state != NULL)
            schedule->queue->tune(brg__seat_of(schedule->seats[i])->state, schedule->options);
}

int brg__schedule_lane(brg__schedule *schedule, uint64_t needs)
{
    for (uint32_t i = 0; i < schedule->xlane_count; i++)
        if (schedule->lanes[i].needs == needs)
            return (int)i;
    if (schedule->xlane_count == BRG__LANES_MAX)
        return -2;
    void *state = schedule_new_queue(schedule);
    if (state == NULL)
        return -1;
    schedule->lanes[schedule->xlane_count] = (brg__lane){.needs = needs, .state = state};
    brg_store_relaxed(&schedule->xlane_count, schedule->xlane_count + 1);
    return (int)schedule->xlane_count - 1;
}

brg_status brg__seat_init(brg__schedule *schedule, brg__seat *seat, uint32_t index, uint64_t tags)
{
    seat->seen = (brg_seat){.index = index, .tags = tags};
    brg__list_init(&seat->pinned);
    if (schedule->assigns) {
        seat->state = schedule_new_queue(schedule);
        if (seat->state == NULL)
            return BRG_NO_MEMORY;
    }
    return BRG_OK;
}

void brg__seat_done(brg__schedule *schedule, brg__seat *seat)
{
    schedule_free_queue(schedule, seat->state);
    seat->state = NULL;
}

void brg__seat_open(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns)
{
    if (seat->seen.is_usable)
        return;
    schedule->usable_count++;
    seat->seen.is_usable = true;
    brg__share_begin(schedule, seat, now_ns);
}

void brg__seat_close(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns)
{
    if (seat->seen.is_usable)
        schedule->usable_count--;
    seat->seen.is_usable = false;
    seat->due = 0;
    brg__seat_set_idle(schedule, seat, false);
    while (seat->count != 0) {
        brg_item *item = schedule->queue->pop(seat->state, now_ns);
        seat_count_add(schedule, seat, -1);
        schedule_count(schedule, -1);
        brg__schedule_put(schedule, item, item->reserved_1, BRG_SEAT_ANY, now_ns);
    }
}

void brg__seat_set_idle(brg__schedule *schedule, brg__seat *seat, bool idle)
{
    if (seat->seen.is_idle == idle)
        return;
    seat->seen.is_idle = idle;
    if (!idle) {
        brg__list_remove(&seat->idle_node);
        return;
    }
    seat->due = 0; /* it found nothing more */
    brg__list_push_front(&schedule->idle, &seat->idle_node);
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

static brg__seat *schedule_choose(brg__schedule *schedule, const brg_item *item, int lane, uint32_t from,
                                  uint64_t now_ns)
{
    if (schedule->usable_count == 0)
        return NULL;
    brg_seats seats = {.seats = schedule->seats,
                       .count = schedule->seat_count,
                       .usable_count = schedule->usable_count,
                       .from = from,
                       .needs = schedule->lanes[lane].needs,
                       .now_ns = now_ns};
    uint32_t index = schedule->placement->choose(schedule->placement_state, &seats, item);
    if (index >= schedule->seat_count || !brg_seat_fits(&seats, index))
        return NULL;
    return brg__seat_of(schedule->seats[index]);
}

static void schedule_push_shared(brg__schedule *schedule, brg_item *item, void (*push)(void *state, brg_item *item))
{
    brg__lane *lane = &schedule->lanes[item->reserved_1];
    schedule_count(schedule, 1);
    item->reserved_2 = BRG_SEAT_ANY;
    push(lane->state, item);
    lane->count++;
    brg_store_relaxed(&schedule->xshared, schedule->xshared + 1);
}

static void schedule_push(brg__schedule *schedule, brg__seat *seat, brg_item *item,
                          void (*push)(void *state, brg_item *item))
{
    if (seat == NULL) {
        schedule_push_shared(schedule, item, push);
        return;
    }
    schedule_count(schedule, 1);
    item->reserved_2 = seat->seen.index;
    push(seat->state, item);
    seat_count_add(schedule, seat, 1);
}

brg__seat *brg__schedule_put(brg__schedule *schedule, brg_item *item, int lane, uint32_t from, uint64_t now_ns)
{
    item->reserved_1 = (uint8_t)lane;
    if (BRG__LIKELY(!schedule->assigns) || (schedule->steals && lane != 0)) { /* who steals takes any: none with tags */
        schedule_push_shared(schedule, item, schedule->queue->push);
        return NULL;
    }
    brg__seat *seat = schedule_choose(schedule, item, lane, from, now_ns);
    schedule_push(schedule, seat, item, schedule->queue->push);
    return seat;
}

brg__seat *brg__schedule_put_back(brg__schedule *schedule, brg_item *item)
{
    if (item->reserved_1 == BRG__LANE_PINNED) {
        brg__seat *own = brg__seat_of(schedule->seats[item->reserved_2]);
        brg__schedule_pin_before(schedule, own, item, own->pinned.head.next);
        return own;
    }
    brg__seat *seat = item->reserved_2 == BRG_SEAT_ANY ? NULL : brg__seat_of(schedule->seats[item->reserved_2]);
    if (seat != NULL && !seat->seen.is_usable)
        seat = schedule_choose(schedule, item, item->reserved_1, BRG_SEAT_ANY, 0);
    schedule_push(schedule, seat, item, schedule->queue->push_front);
    return seat;
}

void brg__schedule_pin(brg__schedule *schedule, brg__seat *seat, brg_item *item)
{
    brg__schedule_pin_before(schedule, seat, item, &seat->pinned.head);
}

void brg__schedule_pin_before(brg__schedule *schedule, brg__seat *seat, brg_item *item, brg__node *next)
{
    item->reserved_1 = BRG__LANE_PINNED;
    item->reserved_2 = seat->seen.index;
    brg__list_insert_before(next, brg__item_node(item));
    seat->pinned_count++;
    schedule_count(schedule, 1);
    seat_count_changed(seat);
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

void brg__schedule_remove(brg__schedule *schedule, brg_item *item)
{
    schedule_count(schedule, -1);
    if (item->reserved_2 == BRG_SEAT_ANY) {
        brg__lane *lane = &schedule->lanes[item->reserved_1];
        schedule->queue->remove(lane->state, item);
        lane->count--;
        brg_store_relaxed(&schedule->xshared, schedule->xshared - 1);
        return;
    }
    brg__seat *seat = brg__seat_of(schedule->seats[item->reserved_2]);
    if (item->reserved_1 == BRG__LANE_PINNED) {
        brg__list_remove(brg__item_node(item));
        seat->pinned_count--;
        seat_count_changed(seat);
    } else {
        schedule->queue->remove(seat->state, item);
        seat_count_add(schedule, seat, -1);
    }
}

static brg_item *take_pinned(brg__schedule *schedule, brg__seat *seat)
{
    brg__node *node = brg__list_pop_front(&seat->pinned);
    seat->pinned_count--;
    schedule_count(schedule, -1);
    seat_count_changed(seat);
    return brg__node_item(node);
}

static brg_item *take_own(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns)
{
    brg_item *item = schedule->queue->pop(seat->state, now_ns);
    seat_count_add(schedule, seat, -1);
    schedule_count(schedule, -1);
    return item;
}

static brg_item *take_lane(brg__schedule *schedule, brg__lane *lane, uint64_t now_ns)
{
    lane->count--;
    brg_store_relaxed(&schedule->xshared, schedule->xshared - 1);
    schedule_count(schedule, -1);
    return schedule->queue->pop(lane->state, now_ns);
}

static uint64_t schedule_rank(const brg__schedule *schedule, void *state, uint64_t now_ns)
{
    return schedule->queue->rank == NULL ? 0 : schedule->queue->rank(state, now_ns);
}

/* The lane to serve: least rank, among equals the one that needs most tags, but now and then the least, so that no lane
 * waits for ever. NULL: none that fits. */
static brg__lane *schedule_best_lane(const brg__schedule *schedule, uint64_t tags, uint64_t now_ns)
{
    const brg__lane *best = NULL;
    uint64_t best_rank = 0;
    bool other = schedule->turns % SCHEDULE_OTHER_TURN == 0;
    for (uint32_t i = 0; i < schedule->xlane_count; i++) {
        const brg__lane *lane = &schedule->lanes[i];
        if (lane->count == 0 || (lane->needs & tags) != lane->needs)
            continue;
        uint64_t rank = schedule_rank(schedule, lane->state, now_ns);
        int more = best == NULL ? 1 : __builtin_popcountll(lane->needs) - __builtin_popcountll(best->needs);
        if (best == NULL || rank < best_rank || (rank == best_rank && (other ? more < 0 : more > 0))) {
            best = lane;
            best_rank = rank;
        }
    }
    return (brg__lane *)best;
}

static brg__lane *schedule_lane_for(const brg__schedule *schedule, const brg__seat *seat, uint64_t now_ns)
{
    if (schedule->xshared == 0)
        return NULL;
    if (BRG__LIKELY(schedule->xlane_count == 1))
        return (brg__lane *)&schedule->lanes[0];
    return schedule_best_lane(schedule, seat->seen.tags, now_ns);
}

brg__seat *brg__schedule_longest(const brg__schedule *schedule, const brg__seat *except)
{
    brg__seat *longest = NULL;
    for (uint32_t i = 0; schedule->xassigned != 0 && i < schedule->seat_count; i++) {
        brg__seat *seat = brg__seat_of(schedule->seats[i]);
        if (seat != except && seat->count != 0 && (longest == NULL || seat->count > longest->count))
            longest = seat;
    }
    return longest;
}

/* The seat that this one takes from when it has nothing; NULL: from none. */
static brg__seat *schedule_victim(const brg__schedule *schedule, const brg__seat *thief)
{
    return schedule->steals || thief->due != 0 ? brg__schedule_longest(schedule, thief) : NULL;
}

/* Half of what waits for the victim, in its order. None of it asks for tags. */
static brg_item *take_stolen(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns)
{
    if (!schedule->steals)
        return seat->due == 0 ? NULL : brg__share_take(schedule, seat, now_ns);
    brg__seat *victim = schedule_victim(schedule, seat);
    if (victim == NULL)
        return NULL;
    uint32_t half = (uint32_t)brg__min((victim->count + 1) / 2, BRG__STEAL_MAX);
    for (uint32_t i = 0; i < half; i++) {
        brg_item *item = take_own(schedule, victim, now_ns);
        schedule_push(schedule, seat, item, schedule->queue->push);
    }
    schedule->stolen += half;
    return take_own(schedule, seat, now_ns);
}

brg_item *brg__schedule_take(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns)
{
    if (schedule->xready == 0)
        return NULL;
    if (seat->pinned_count != 0)
        return take_pinned(schedule, seat);
    schedule->turns++;
    if (BRG__LIKELY(!schedule->assigns && schedule->xlane_count == 1))
        return schedule->xshared == 0 ? NULL : take_lane(schedule, &schedule->lanes[0], now_ns);
    brg__lane *lane = schedule_lane_for(schedule, seat, now_ns);
    if (seat->count == 0)
        return lane != NULL ? take_lane(schedule, lane, now_ns) : take_stolen(schedule, seat, now_ns);
    bool shared_first = false;
    if (lane != NULL) {
        uint64_t own = schedule_rank(schedule, seat->state, now_ns);
        uint64_t other = schedule_rank(schedule, lane->state, now_ns);
        shared_first = other < own || (other == own && schedule->turns % SCHEDULE_OTHER_TURN == 0);
    }
    return shared_first ? take_lane(schedule, lane, now_ns) : take_own(schedule, seat, now_ns);
}

brg_item *brg__schedule_take_any(brg__schedule *schedule)
{
    for (uint32_t i = 0; i < schedule->xlane_count; i++)
        if (schedule->lanes[i].count != 0)
            return take_lane(schedule, &schedule->lanes[i], 0);
    for (uint32_t i = 0; schedule->xready != 0 && i < schedule->seat_count; i++) {
        brg__seat *seat = brg__seat_of(schedule->seats[i]);
        if (seat->pinned_count != 0)
            return take_pinned(schedule, seat);
        if (seat->count != 0)
            return take_own(schedule, seat, 0);
    }
    return NULL;
}

bool brg__schedule_has_work(const brg__schedule *schedule, const brg__seat *seat)
{
    return schedule->xready != 0 && (seat->xready != 0 || schedule_lane_for(schedule, seat, 0) != NULL ||
                                     schedule_victim(schedule, seat) != NULL);
}

/* Whether a usable seat but `except` has all these tags. */
static bool schedule_is_served(const brg__schedule *schedule, uint64_t needs, const brg__seat *except)
{
    for (uint32_t i = 0; i < schedule->seat_count; i++) {
        const brg_seat *seen = schedule->seats[i];
        if (seen->is_usable && (seen->tags & needs) == needs && (except == NULL || seen != &except->seen))
            return true;
    }
    return false;
}

bool brg__schedule_misses(const brg__schedule *schedule, uint64_t tags, const brg__seat *except)
{
    for (uint32_t i = 1; i < schedule->xlane_count; i++) {
        const brg__lane *lane = &schedule->lanes[i];
        if (lane->count != 0 && (lane->needs & tags) == lane->needs &&
            !schedule_is_served(schedule, lane->needs, except))
            return true;
    }
    return false;
}

uint32_t brg__schedule_portion(const brg__schedule *schedule, const brg__seat *seat, uint32_t wanted)
{
    uint32_t workers = (uint32_t)brg__max(schedule->usable_count, 1u);
    uint32_t own = seat->xready, shared = (schedule->xshared + workers - 1) / workers;
    if (schedule->steals)
        own = (own + 1) / 2;
    return (uint32_t)brg__min(wanted, brg__max(own + shared, 1u));
}

brg__seat *brg__schedule_idle_for(const brg__schedule *schedule)
{
    brg__list_for_each(node, &schedule->idle) {
        brg__seat *seat = brg__container_of(node, brg__seat, idle_node);
        if (BRG__LIKELY(schedule->xlane_count == 1 && schedule->xshared != 0) || brg__schedule_has_work(schedule, seat))
            return seat;
    }
    return NULL;
}

/* ---- for share.c ------------------------------------------------------------------------------------------------- */

void brg__schedule_push(brg__schedule *schedule, brg__seat *seat, brg_item *item, brg__push_fn push)
{
    schedule_push(schedule, seat, item, push);
}

brg_item *brg__schedule_pop(brg__schedule *schedule, brg__seat *seat, brg__lane *lane, uint64_t now_ns)
{
    return seat != NULL ? take_own(schedule, seat, now_ns) : take_lane(schedule, lane, now_ns);
}

brg__seat *brg__schedule_choose(brg__schedule *schedule, const brg_item *item)
{
    return schedule_choose(schedule, item, item->reserved_1, BRG_SEAT_ANY, 0);
}
