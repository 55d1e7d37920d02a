/* SPDX-License-Identifier: MIT */
/*
 * Recursive work that forks and joins, the same for all who run it: fib(27), where each call forks one and calls the
 * other; skynet, ten children a node, six levels, a million leaves whose numbers are added up; and n queens, a child
 * for each square that is left, without a cutoff. Two threads each.
 */
#ifndef BENCH_FORKS_H
#define BENCH_FORKS_H

#include "harness.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FORKS_FIB 27
#define FORKS_FIB_RESULT 196418
#define FORKS_FIB_COUNT 317810 /* forks */
#define FORKS_SKYNET_CHILDREN 10
#define FORKS_SKYNET_LEAVES 1000000
#define FORKS_SKYNET_RESULT 499999500000
#define FORKS_QUEENS 12
#define FORKS_QUEENS_RESULT 14200

/* Runs it again and again; prints the median time under `key`, divided by `divisor`, in nanoseconds. */
void forks_measure(const char *key, double divisor, uint64_t expected, uint64_t (*run)(void *state), void *state);

/* A board: the columns and diagonals taken, seen from the next row. */
typedef struct forks_board {
    uint32_t columns, left, right;
} forks_board;

/* The squares that are left in the next row, a bit each. */
static inline uint32_t forks_free(const forks_board *board)
{
    return ~(board->columns | board->left | board->right) & ((1u << FORKS_QUEENS) - 1);
}

static inline bool forks_is_full(const forks_board *board) { return board->columns == (1u << FORKS_QUEENS) - 1; }

static inline forks_board forks_place(const forks_board *board, uint32_t square)
{
    forks_board next = {board->columns | square, (board->left | square) << 1, (board->right | square) >> 1};
    return next;
}

#ifdef __cplusplus
}
#endif

#endif
