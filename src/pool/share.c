/* SPDX-License-Identifier: MIT */
/*
 * What a worker gets that comes when others have a backlog: with a placement that assigns and does not steal, all that
 * waits is in the queues of those who were there.
 *
 * Evenly: it is due as many as its part would be. Whenever it has nothing it takes some of them from the longest queue,
 * from the front as a thief would, until it had them all or finds none. So the lock is held for a few dozen items at a
 * time, what is moved runs soon, several that come at once end up even, and round robin's turns stay as they are.
 *
 * By key: a key's tasks must all wait in one queue to stay in order, so those that are its own now move at once, before
 * the next one is put. A queue is taken apart and put together again by pop and push_front, which undo each other, and
 * those that move leave by remove: so they count as served nowhere.
 */
#include "pool/schedule.h"

/* Items on their way, by link[0]: it is nobody's while they are in no queue. */
static void share_chain(brg_item **first, brg_item *item)
{
    item->link[0] = *first;
    *first = item;
}

static brg_item *share_unchain(brg_item **first)
{
    brg_item *item = *first;
    if (item != NULL)
        *first = item->link[0];
    return item;
}

static bool share_fits(const brg__schedule *schedule, const brg__seat *seat, const brg_item *item)
{
    uint64_t needs = schedule->lanes[item->reserved_1].needs;
    return (seat->seen.tags & needs) == needs;
}

/* ---- evenly ------------------------------------------------------------------------------------------------------ */

/* Up to `wanted` of the first items of `from` that fit: how many. */
static uint32_t share_move(brg__schedule *schedule, brg__seat *seat, brg__seat *from, uint32_t wanted, uint64_t now_ns)
{
    uint32_t moved = 0;
    brg_item *stay = NULL, *item;
    for (uint32_t left = BRG__SHARE_LOOK; left != 0 && from->count != 0 && moved < wanted; left--) {
        item = brg__schedule_pop(schedule, from, NULL, now_ns);
        if (!share_fits(schedule, seat, item)) {
            share_chain(&stay, item);
            continue;
        }
        brg__schedule_push(schedule, seat, item, schedule->queue->push);
        moved++;
    }
    while ((item = share_unchain(&stay)) != NULL)
        brg__schedule_push(schedule, from, item, schedule->queue->push_front);
    return moved;
}

brg_item *brg__share_take(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns)
{
    uint32_t moved = 0, others = BRG__SHARE_SEATS;
    brg__seat *longest = brg__schedule_longest(schedule, seat);
    if (longest != NULL) {
        uint64_t part = schedule->xassigned / brg__max(schedule->usable_count, 1u) + 1;
        uint64_t most = brg__min(brg__min(part, (longest->count + 1) / 2), BRG__STEAL_MAX);
        moved = share_move(schedule, seat, longest, (uint32_t)brg__min(most, seat->due), now_ns);
    }
    for (uint32_t i = 0; longest != NULL && moved == 0 && others != 0 && i < schedule->seat_count; i++) {
        brg__seat *other = brg__seat_of(schedule->seats[i]);
        if (other == seat || other == longest || other->count == 0)
            continue;
        moved = share_move(schedule, seat, other, 1, now_ns); /* the longest had none that fits */
        others--;
    }
    seat->due = moved == 0 ? 0 : seat->due - moved;
    return moved == 0 ? NULL : brg__schedule_pop(schedule, seat, NULL, now_ns);
}

/* ---- by key ------------------------------------------------------------------------------------------------------ */

/* Whose item it is; of those without a key each so many-th, by *turn. */
static bool share_is_of(brg__schedule *schedule, const brg__seat *seat, bool is_shared, const brg_item *item,
                        uint32_t *turn)
{
    if (!share_fits(schedule, seat, item))
        return false;
    if (item->key != 0)
        return brg__schedule_choose(schedule, item) == seat;
    return !is_shared && ++*turn % schedule->usable_count == 0;
}

/* Of the first `count` items of `from`, or of `lane` where that is NULL. */
static void share_sort(brg__schedule *schedule, brg__seat *seat, brg__seat *from, brg__lane *lane, uint32_t count,
                       uint64_t now_ns)
{
    brg_item *all = NULL, *own = NULL, *item;
    uint32_t turn = 0;
    while (count-- != 0)
        share_chain(&all, brg__schedule_pop(schedule, from, lane, now_ns));
    while ((item = share_unchain(&all)) != NULL) { /* the last one first */
        brg__schedule_push(schedule, from, item, schedule->queue->push_front);
        if (!share_is_of(schedule, seat, from == NULL, item, &turn))
            continue;
        brg__schedule_remove(schedule, item);
        share_chain(&own, item);
    }
    while ((item = share_unchain(&own)) != NULL)
        brg__schedule_push(schedule, seat, item, schedule->queue->push);
}

static void share_by_key(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns)
{
    uint32_t left = BRG__SHARE_KEYS;
    for (uint32_t i = 0; schedule->xshared != 0 && i < schedule->xlane_count; i++) { /* the oldest: nobody fitted */
        brg__lane *lane = &schedule->lanes[i];
        uint32_t count = (uint32_t)brg__min(lane->count, left);
        share_sort(schedule, seat, NULL, lane, count, now_ns);
        left -= count;
    }
    for (uint32_t i = 0; i < schedule->seat_count; i++) {
        brg__seat *from = brg__seat_of(schedule->seats[i]);
        uint32_t count = from == seat ? 0 : (uint32_t)brg__min(from->count, left);
        share_sort(schedule, seat, from, NULL, count, now_ns);
        left -= count;
    }
}

void brg__share_begin(brg__schedule *schedule, brg__seat *seat, uint64_t now_ns)
{
    brg_share share = schedule->steals ? BRG_SHARE_NONE : schedule->placement->share;
    if (!schedule->assigns || share == BRG_SHARE_NONE)
        return;
    if (share == BRG_SHARE_BY_KEY)
        share_by_key(schedule, seat, now_ns);
    else
        seat->due = schedule->xassigned / schedule->usable_count;
}
