/* SPDX-License-Identifier: MIT */
/* A nested tree of 1000 leaves of several types: 10 sections of 10 groups. bench/peers/tree.mjs has the same one. */
#ifndef BENCH_TREE_H
#define BENCH_TREE_H

#include <brigade.h>

/* strings 600, flags 100, doubles 0 + ... + 99, ints 10 n + 3 ... 10 n + 9 */
#define BENCH_TREE_SUM (600 + 100 + 4950 + 346500 + 4200)

/* Builds it; the caller's to unref. Ends the program when it cannot. */
brg_value *bench_tree_encode(brg_builder *builder);

/* The sum of a number from every leaf, each key read on the way; -1 where a key is missing. */
int64_t bench_tree_read(brg_view node);

#endif
