/* SPDX-License-Identifier: MIT */
/*
 * Each band its share of what is served: the one that is furthest behind its share goes next. Everything O(1).
 *
 * This is start-time fair queueing (Goyal, Vin, Cheng 1996). A band has a tag, what it was served divided by its
 * share; the least goes next, the more urgent of equals, and adds its item's cost over its share. The virtual time is
 * the tag of the last one served. While two bands have work, what they get for their shares differs by at most one item
 * of each, however long that is.
 *
 * A band that was empty does not come back with credit: it starts at the virtual time, or at its own tag if it was
 * served beyond that, so that who sends one task at a time gets no more than its share either. After a time when
 * nothing waited all start equal.
 *
 * Tags are kept relative to the virtual time ("ahead"), so they stay as small as a few items and never overflow.
 * Bands with share 0 are strict: they go before the others, the more urgent first, and count for nothing.
 */
#include <string.h>

#include "base/util.h"
#include "pool/queue.h"

#define WEIGHTED_UNIT (UINT64_C(1) << 16)     /* what one task costs the band with the largest share */
#define WEIGHTED_STEP_MAX (UINT64_C(1) << 36) /* ... and one with a millionth of it, or less */
#define WEIGHTED_AHEAD_MAX (INT64_C(1) << 60) /* far beyond what pops and their undoing can reach */

typedef struct weighted_queue {
    brg__list bands[BRG_BAND_COUNT];
    int64_t ahead[BRG_BAND_COUNT];   /* of the virtual time; below it while empty, and after push_front */
    int64_t largest;                 /* that one item moved a tag; since the last new start */
    uint64_t step[BRG_BAND_COUNT];   /* virtual time of a task; 0: the band is strict */
    uint32_t shares[BRG_BAND_COUNT]; /* that step was made from */
} weighted_queue;

static void weighted_restart(weighted_queue *queue)
{
    memset(queue->ahead, 0, sizeof(queue->ahead));
    queue->largest = 0;
}

static void weighted_set_shares(weighted_queue *queue, const uint32_t shares[BRG_BAND_COUNT])
{
    uint32_t most = 0;
    for (int i = 0; i < BRG_BAND_COUNT; i++)
        most = shares[i] > most ? shares[i] : most;
    for (int i = 0; i < BRG_BAND_COUNT; i++) {
        uint64_t step = shares[i] == 0 ? 0 : (most * WEIGHTED_UNIT + shares[i] / 2) / shares[i];
        queue->step[i] = brg__min(step, WEIGHTED_STEP_MAX);
    }
    weighted_restart(queue);
    memcpy(queue->shares, shares, sizeof(queue->shares));
}

/* New shares are a new start; other changes leave the counts alone. */
static void weighted_tune(void *state, const brg_pool_options *options)
{
    static const uint32_t none[BRG_BAND_COUNT] = {0}, usual[BRG_BAND_COUNT] = {0, 50, 40, 10};
    weighted_queue *queue = state;
    const uint32_t *shares = memcmp(options->shares, none, sizeof(none)) == 0 ? usual : options->shares;
    if (memcmp(shares, queue->shares, sizeof(queue->shares)) != 0)
        weighted_set_shares(queue, shares);
}

static void weighted_init(void *state, const brg_pool_options *options)
{
    weighted_queue *queue = state;
    for (int i = 0; i < BRG_BAND_COUNT; i++)
        brg__list_init(&queue->bands[i]);
    weighted_tune(state, options);
}

static int64_t weighted_clamp(int64_t ahead)
{
    if (ahead > WEIGHTED_AHEAD_MAX)
        return WEIGHTED_AHEAD_MAX;
    return ahead < -WEIGHTED_AHEAD_MAX ? -WEIGHTED_AHEAD_MAX : ahead;
}

/* Whether nothing waits in the bands that have shares. */
static bool weighted_is_idle(const weighted_queue *queue)
{
    for (int i = 0; i < BRG_BAND_COUNT; i++)
        if (queue->step[i] != 0 && !brg__list_is_empty(&queue->bands[i]))
            return false;
    return true;
}

/* An empty band gets work. The place for this is here and not where it ran empty: until now pops could be undone. */
static void weighted_wake(weighted_queue *queue, int band)
{
    if (weighted_is_idle(queue))
        weighted_restart(queue);
    else if (queue->ahead[band] < 0)
        queue->ahead[band] = 0;
}

static void weighted_push(void *state, brg_item *item)
{
    weighted_queue *queue = state;
    brg__list *band = &queue->bands[item->band];
    if (brg__list_is_empty(band) && queue->step[item->band] != 0)
        weighted_wake(queue, item->band);
    brg__list_push_back(band, brg__item_node(item));
}

/*
 * How far behind a band may be whose pop is undone when it has nothing else: undone at once, it is no further behind
 * any other than what one item cost that. If others were served meanwhile it could be, and that would be credit.
 */
static int64_t weighted_least(const weighted_queue *queue, int band)
{
    int64_t least = INT64_MAX;
    for (int i = 0; i < BRG_BAND_COUNT; i++)
        if (i != band && queue->step[i] != 0 && !brg__list_is_empty(&queue->bands[i]) && queue->ahead[i] < least)
            least = queue->ahead[i];
    return least == INT64_MAX ? 0 : least - queue->largest;
}

static void weighted_push_front(void *state, brg_item *item)
{
    weighted_queue *queue = state;
    int band = item->band;
    int64_t ahead = queue->ahead[band] - (int64_t)(queue->step[band] * item->cost);
    if (brg__list_is_empty(&queue->bands[band])) {
        int64_t least = weighted_least(queue, band);
        ahead = ahead < least ? least : ahead;
    }
    queue->ahead[band] = weighted_clamp(ahead);
    brg__list_push_front(&queue->bands[band], brg__item_node(item));
}

/* The band to serve; -1: all are empty. */
static int weighted_choose(const weighted_queue *queue)
{
    int best = -1;
    for (int i = 0; i < BRG_BAND_COUNT; i++) {
        if (brg__list_is_empty(&queue->bands[i]))
            continue;
        if (queue->step[i] == 0)
            return i;
        if (best < 0 || queue->ahead[i] < queue->ahead[best])
            best = i;
    }
    for (int i = best + 1; best >= 0 && i < BRG_BAND_COUNT; i++) /* a strict one behind it goes first all the same */
        if (queue->step[i] == 0 && !brg__list_is_empty(&queue->bands[i]))
            return i;
    return best;
}

/* `band` was served an item: its tag is the virtual time now, and then grows. */
static void weighted_count(weighted_queue *queue, int band, uint16_t cost)
{
    int64_t step = (int64_t)(queue->step[band] * cost);
    queue->largest = step > queue->largest ? step : queue->largest;
    int64_t moved = queue->ahead[band];
    for (int i = 0; i < BRG_BAND_COUNT; i++)
        queue->ahead[i] = weighted_clamp(queue->ahead[i] - moved);
    queue->ahead[band] += step;
}

static brg_item *weighted_pop(void *state, uint64_t now_ns)
{
    (void)now_ns;
    weighted_queue *queue = state;
    int band = weighted_choose(queue);
    if (band < 0)
        return NULL;
    brg_item *item = brg__node_item(brg__list_pop_front(&queue->bands[band]));
    if (queue->step[band] != 0)
        weighted_count(queue, band, item->cost);
    return item;
}

static void weighted_remove(void *state, brg_item *item)
{
    (void)state;
    brg__list_remove(brg__item_node(item));
}

/* Strict bands go first in whichever queue they are; between the others the shares decide, not the rank. */
static uint64_t weighted_rank(void *state, uint64_t now_ns)
{
    (void)now_ns;
    const weighted_queue *queue = state;
    int band = weighted_choose(queue);
    return band >= 0 && queue->step[band] == 0 ? (uint64_t)band : BRG_BAND_COUNT;
}

static const brg_queue_policy weighted = {.size = sizeof(brg_queue_policy),
                                          .name = "weighted",
                                          .state_bytes = sizeof(weighted_queue),
                                          .init = weighted_init,
                                          .tune = weighted_tune,
                                          .push = weighted_push,
                                          .push_front = weighted_push_front,
                                          .pop = weighted_pop,
                                          .remove = weighted_remove,
                                          .rank = weighted_rank};
const brg_queue_policy *const brg_queue_weighted = &weighted;
