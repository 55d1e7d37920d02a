/* SPDX-License-Identifier: MIT */
/*
 * Groups by their key, with open addressing, and the sums of each; and tallies: how often each value came in each group,
 * which is what percentiles and distinct counts are made of. Both are filled by the scan of a chunk and by merging.
 */
#ifndef BRIGADE_ANALYZE_GROUPS_H
#define BRIGADE_ANALYZE_GROUPS_H

#include <math.h>

#include "arena.h"
#include "plan.h"

/*
 * A sum with its rounding errors kept apart (Knuth's TwoSum; Ogita, Rump and Oishi, "Accurate sum and dot product",
 * SIAM J. Sci. Comput. 2005): as if added with twice the digits. In chunk order the result is the same bit for bit,
 * however many workers there are. Where the sum so far leaves the doubles it is put into `over`, and the next begins:
 * so means are right, and so are sums that come back.
 */
typedef struct group_cell {
    uint64_t count;
    double sum, error, low, high;
    double over; /* times 2^64; 0 in almost all */
} group_cell;

/* a + b; what was rounded off is added to `error`. */
static inline double group_two_sum(double a, double b, double *error)
{
    double sum = a + b, part = sum - a;
    *error += (a - (sum - part)) + (b - part);
    return sum;
}

/* Adds to the part that no double holds. */
void analyze_cell_over(group_cell *cell, double over);

static inline void group_sum(group_cell *cell, double number)
{
    double error = cell->error, sum = group_two_sum(cell->sum, number, &error);
    if (__builtin_expect(isfinite(sum), 1)) {
        cell->sum = sum;
        cell->error = error;
        return;
    }
    analyze_cell_over(cell, cell->sum * 0x1p-64);
    cell->sum = number;
}

/* Infinite where no double holds it. */
double analyze_cell_sum(const group_cell *cell);
/* A cell with numbers has one, whatever their sum is. */
double analyze_cell_mean(const group_cell *cell);

static inline void group_add(group_cell *cell, double number)
{
    if (cell->count++ == 0)
        cell->low = cell->high = number;
    cell->low = number < cell->low ? number : cell->low;
    cell->high = number > cell->high ? number : cell->high;
    group_sum(cell, number);
}

void analyze_cell_merge(group_cell *cell, const group_cell *other);

typedef struct group_head {
    char *key;
    uint32_t key_size;
    uint32_t hash; /* the upper half */
    uint64_t rows;
} group_head;

typedef struct group_table {
    group_head *list; /* in the order they came */
    size_t count, capacity, cell_count;
    group_cell *cells; /* cell_count of each group */
    uint64_t *slots;   /* upper half of the hash, index + 1; 0: free */
    size_t slot_count; /* a power of two */
    text_arena keys;
} group_table;

bool analyze_groups_init(group_table *groups, size_t cell_count);
void analyze_groups_done(group_table *groups);
void analyze_groups_clear(group_table *groups);

/* The index of the group with this key, made if it is not there; SIZE_MAX without memory. */
size_t analyze_groups_find(group_table *groups, const char *key, uint32_t key_size);

/* wyhash's mixing (Wang Yi, public domain): two factors folded into one word. */
static inline uint64_t analyze_mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t analyze_hash(const char *data, size_t size);

typedef struct tally_entry {
    uint64_t value, count; /* count 0: free */
    uint32_t owner;        /* group * tally_count + tally */
} tally_entry;

/*
 * A hash table of the values that come first; it stays as small as a cache. Where there are more different ones, those
 * that are not in it are listed, one entry each time they come, and sorted once by who needs to know (tallies.c): that
 * touches memory in order, which for many values is several times as fast as a large table. A value may be in both.
 */
typedef struct tally_table {
    tally_entry *entries;
    size_t count, capacity; /* a power of two */
    tally_entry *list;      /* of values that were not in the table */
    size_t list_count, list_capacity;
    uint32_t looked, missed; /* since the table is full: values looked for, and not found */
    bool is_useless;         /* few are found: none is looked for any more */
} tally_table;

#define TALLIES_TABLE_MAX ((size_t)16 << 10) /* values in the table */

bool analyze_tallies_init(tally_table *tallies);
void analyze_tallies_done(tally_table *tallies);
void analyze_tallies_clear(tally_table *tallies);

/* A hint that this one is added soon. */
void analyze_tallies_prefetch(const tally_table *tallies, uint32_t owner, uint64_t value);

/* False without memory. */
bool analyze_tallies_add(tally_table *tallies, uint32_t owner, uint64_t value, uint64_t count);

/* Adds an entry to the list, without a look at the table. False without memory. */
bool analyze_tallies_list(tally_table *tallies, const tally_entry *entry);
/* Empties the table, not the list. */
void analyze_tallies_empty(tally_table *tallies);

/*
 * Numbers as words that sort as they do; and the words of a sketch, which keep 7 bits of the mantissa: DDSketch with the
 * linear mapping (Masson, Rim and Lee, "DDSketch", PVLDB 2019). The middle of what falls together is at most 1/256 off.
 */
#define ANALYZE_SKETCH_BITS 45 /* cut off */
static inline uint64_t analyze_order(double number)
{
    uint64_t bits;
    number += 0.0; /* -0 counts as 0 */
    memcpy(&bits, &number, sizeof(bits));
    return bits >> 63 != 0 ? ~bits : bits | UINT64_C(1) << 63;
}

static inline uint64_t analyze_sketch_word(double number)
{
    uint64_t bits;
    number += 0.0;
    memcpy(&bits, &number, sizeof(bits));
    bits = bits >> ANALYZE_SKETCH_BITS << ANALYZE_SKETCH_BITS;
    return bits >> 63 != 0 ? ~bits : bits | UINT64_C(1) << 63;
}

/* The number of such a word; of a sketch's the middle of its bucket. */
double analyze_number_of_word(uint64_t word, bool sketch);

#endif
