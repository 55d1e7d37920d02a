/* SPDX-License-Identifier: MIT */
#include "pool/recent.h"

#include <string.h>

static void recent_push(brg__recent *recent, uint64_t at_ns, const brg__totals *totals)
{
    recent->border[recent->borders++ % BRG__RECENT_BORDERS] = (brg__recent_border){.at_ns = at_ns, .totals = *totals};
}

static const brg__recent_border *recent_last(const brg__recent *recent)
{
    return &recent->border[(recent->borders - 1) % BRG__RECENT_BORDERS];
}

void brg__recent_init(brg__recent *recent, uint64_t now_ns)
{
    recent->begin_ns = now_ns;
    recent->xnext_ns = now_ns + BRG__RECENT_SECOND_NS;
    recent_push(recent, now_ns, &(brg__totals){0});
}

static uint64_t recent_part_of(const brg__recent *recent, uint64_t now_ns)
{
    return (now_ns - recent->begin_ns) / BRG__RECENT_PART_NS;
}

bool brg__recent_wants_times(const brg__recent *recent, uint64_t now_ns)
{
    return recent_part_of(recent, now_ns) != recent->part;
}

/* The part that was not over is: it gets all that was gained. Those it skips stay empty. */
static void recent_move_part(brg__recent *recent, uint64_t part, const brg__histogram *times)
{
    for (int time = 0; time < BRG__TIME_COUNT; time++) {
        const brg__histogram *now = &times[time];
        brg__histogram *before = &recent->before[time];
        brg__recent_part *to = &recent->parts[recent->part % BRG__RECENT_PARTS][time];
        for (uint32_t i = 0; i < BRG__HISTOGRAM_BUCKETS; i++)
            to->counts[i] = (uint32_t)brg__min(now->xcounts[i] - before->xcounts[i], UINT32_MAX);
        to->sum = now->xsum - before->xsum;
        *before = *now;
    }
    uint64_t skipped = brg__min(part - recent->part - 1, BRG__RECENT_PARTS);
    for (uint64_t i = 1; i <= skipped; i++)
        memset(recent->parts[(recent->part + i) % BRG__RECENT_PARTS], 0, sizeof(recent->parts[0]));
    recent->part = part;
}

void brg__recent_move(brg__recent *recent, uint64_t now_ns, const brg__totals *totals, const brg__histogram *times)
{
    if (now_ns < recent->xnext_ns)
        return;
    uint64_t settled = totals->settled - recent_last(recent)->totals.settled;
    recent->settled_in_second = brg__max(recent->settled_in_second, settled);
    recent_push(recent, recent->xnext_ns, totals);
    uint64_t second = (now_ns - recent->begin_ns) / BRG__RECENT_SECOND_NS;
    uint64_t at_ns = recent->begin_ns + second * BRG__RECENT_SECOND_NS;
    if (at_ns != recent->xnext_ns) /* nothing was counted in those between */
        recent_push(recent, at_ns, totals);
    uint64_t part = recent_part_of(recent, now_ns);
    if (part != recent->part)
        recent_move_part(recent, part, times);
    brg_store_relaxed(&recent->xnext_ns, at_ns + BRG__RECENT_SECOND_NS);
}

uint64_t brg__recent_since(const brg__recent *recent, uint64_t now_ns, uint64_t span_ns, const brg__totals *totals,
                           brg__totals *gained)
{
    uint64_t kept = brg__min(recent->borders, BRG__RECENT_BORDERS);
    const brg__recent_border *from = recent_last(recent);
    for (uint64_t i = 1; i <= kept && now_ns - from->at_ns < span_ns; i++)
        from = &recent->border[(recent->borders - i) % BRG__RECENT_BORDERS];
    *gained = (brg__totals){.settled = totals->settled - from->totals.settled,
                            .busy_ns = totals->busy_ns - from->totals.busy_ns,
                            .worker_ns = totals->worker_ns - from->totals.worker_ns};
    return now_ns - from->at_ns;
}

uint64_t brg__recent_times(const brg__recent *recent, uint64_t now_ns, brg__histogram *times)
{
    for (int time = 0; time < BRG__TIME_COUNT; time++) {
        brg__histogram *to = &times[time];
        const brg__histogram *before = &recent->before[time];
        uint32_t highest = 0;
        to->xsum -= before->xsum;
        for (uint32_t part = 0; part < BRG__RECENT_PARTS; part++)
            to->xsum += recent->parts[part][time].sum;
        for (uint32_t i = 0; i < BRG__HISTOGRAM_BUCKETS; i++) {
            to->xcounts[i] -= before->xcounts[i];
            for (uint32_t part = 0; part < BRG__RECENT_PARTS; part++)
                to->xcounts[i] += recent->parts[part][time].counts[i];
            highest = to->xcounts[i] != 0 ? i : highest;
        }
        if (to->xcounts[highest] == 0)
            to->xmax = 0;
        else if (highest != BRG__HISTOGRAM_BUCKETS - 1) /* within 1/16: only the maximum of all is exact */
            to->xmax = brg__min(to->xmax, brg__histogram_low(highest + 1) - 1);
    }
    uint64_t first = recent->part > BRG__RECENT_PARTS ? recent->part - BRG__RECENT_PARTS : 0;
    return now_ns - recent->begin_ns - first * BRG__RECENT_PART_NS;
}
