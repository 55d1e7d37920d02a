/* SPDX-License-Identifier: MIT */
/*
 * The last minute of a pool. It keeps how its counters stood at the seconds gone by, and what its histograms gained in
 * each of the last parts of ten seconds; the part that is not over is the difference to now. Nobody needs to wake for
 * it: whoever comes first after a border moves it on, before it counts anything itself. What was counted between a
 * border and that is then known to have been counted before the border.
 *
 * It knows no clock and no lock: the pool calls it under its own.
 */
#ifndef BRG_POOL_RECENT_H
#define BRG_POOL_RECENT_H

#include <stdbool.h>

#include "pool/histogram.h"

#define BRG__RECENT_SECOND_NS UINT64_C(1000000000)
#define BRG__RECENT_NS (60 * BRG__RECENT_SECOND_NS)
#define BRG__RECENT_PARTS 6
#define BRG__RECENT_PART_NS (BRG__RECENT_NS / BRG__RECENT_PARTS)
#define BRG__RECENT_BORDERS 128 /* two a second when every other one is left out */

typedef enum brg__recent_time { BRG__TIME_WAIT = 0, BRG__TIME_RUN, BRG__TIME_COUNT } brg__recent_time;

/* Counters, which only grow. */
typedef struct brg__totals {
    uint64_t settled, busy_ns, worker_ns;
} brg__totals;

typedef struct brg__recent_border {
    uint64_t at_ns;
    brg__totals totals;
} brg__recent_border;

typedef struct brg__recent_part {
    uint64_t sum;
    uint32_t counts[BRG__HISTOGRAM_BUCKETS];
} brg__recent_part;

typedef struct brg__recent {
    uint64_t xnext_ns; /* the next border */
    uint64_t begin_ns;
    uint64_t part;              /* number of the one that is not over */
    uint64_t borders;           /* kept so far; the last ones are there */
    uint64_t settled_in_second; /* most in one second */
    brg__recent_border border[BRG__RECENT_BORDERS];
    brg__histogram before[BRG__TIME_COUNT]; /* as they stood when the part began */
    brg__recent_part parts[BRG__RECENT_PARTS][BRG__TIME_COUNT];
} brg__recent;

/* `recent` is zeroed. */
void brg__recent_init(brg__recent *recent, uint64_t now_ns);
/* Whether a part is over, so that brg__recent_move needs the histograms. */
bool brg__recent_wants_times(const brg__recent *recent, uint64_t now_ns);
/* A border has passed; `times`: as they stand now, NULL if they are not wanted. */
void brg__recent_move(brg__recent *recent, uint64_t now_ns, const brg__totals *totals, const brg__histogram *times);

/* ---- reading; nothing is due --------------------------------------------------------------------------------- */

/* What was counted since the last border that is at least `span_ns` ago, or the oldest; returns how long that is. */
uint64_t brg__recent_since(const brg__recent *recent, uint64_t now_ns, uint64_t span_ns, const brg__totals *totals,
                           brg__totals *gained);
/* What the histograms gained in the last 60 to 70 seconds, given as they stand: `times` becomes that. Returns how long
 * that is. */
uint64_t brg__recent_times(const brg__recent *recent, uint64_t now_ns, brg__histogram *times);

#endif
