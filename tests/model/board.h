/* SPDX-License-Identifier: MIT */
/* What tasks of the model write down, in memory that thread and process workers share with the test. */
#ifndef TESTS_MODEL_BOARD_H
#define TESTS_MODEL_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BOARD_ORDERS 640

/* Of one task, at the index that is its "id". */
typedef struct board_line {
    _Atomic uint32_t starts, ends;                      /* attempts that began; that came to their last line */
    _Atomic uint32_t attempt;                           /* the last that began */
    _Atomic uint32_t runs;                              /* one is between these two now */
    _Atomic uint64_t first_start, last_start, last_end; /* by board->clock */
    _Atomic uint64_t config;                            /* the version that its last attempt saw */
} board_line;

typedef struct board {
    _Atomic uint32_t gate; /* tasks that wait at it go on when it is not 0 */
    _Atomic uint32_t held; /* tasks that came to it */
    _Atomic uint64_t clock;
    _Atomic uint32_t wrong; /* things that must not be: see wrong_what */
    _Atomic uint32_t wrong_id, wrong_what;
    _Atomic uint32_t warmed; /* runs of the prewarm task */
    uint32_t has_batches;    /* 1: an attempt that ran out of another's time begins again */
    board_line lines[BOARD_ORDERS];
} board;

typedef enum board_wrong {
    BOARD_TWICE_AT_ONCE = 1, /* a task began while it ran */
    BOARD_ATTEMPT_BACK,      /* an attempt began that was not later than the one before */
    BOARD_BAD_INPUT,
    BOARD_PROGRESS, /* a status that sending does not have */
    BOARD_FORK      /* a join without what was forked */
} board_wrong;

static inline void board_say_wrong(board *all, uint32_t id, board_wrong what)
{
    if (atomic_fetch_add(&all->wrong, 1u) == 0) {
        atomic_store(&all->wrong_id, id);
        atomic_store(&all->wrong_what, (uint32_t)what);
    }
}

static inline board_line *board_begin(board *all, uint32_t id, uint32_t attempt)
{
    board_line *line = &all->lines[id % BOARD_ORDERS];
    uint64_t now = atomic_fetch_add(&all->clock, 1u) + 1;
    uint64_t none = 0;
    if (id >= BOARD_ORDERS)
        board_say_wrong(all, id, BOARD_BAD_INPUT);
    atomic_fetch_add(&line->starts, 1u);
    if (atomic_exchange(&line->attempt, attempt) >= attempt + all->has_batches)
        board_say_wrong(all, id, BOARD_ATTEMPT_BACK);
    if (atomic_exchange(&line->runs, 1u) != 0 && attempt == 1 && !all->has_batches)
        board_say_wrong(all, id, BOARD_TWICE_AT_ONCE);
    atomic_compare_exchange_strong(&line->first_start, &none, now);
    atomic_store(&line->last_start, now);
    return line;
}

static inline void board_end(board *all, board_line *line)
{
    atomic_store(&line->last_end, atomic_fetch_add(&all->clock, 1u) + 1);
    atomic_fetch_add(&line->ends, 1u);
    atomic_store(&line->runs, 0u);
}

#endif
