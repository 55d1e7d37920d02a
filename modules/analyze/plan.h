/* SPDX-License-Identifier: MIT */
/*
 * What is asked of every row: made by the command from its options and the header, packed, and unpacked by each worker.
 * A slot is one column (or JSON path) that something needs; everything else names slots.
 */
#ifndef BRIGADE_ANALYZE_PLAN_H
#define BRIGADE_ANALYZE_PLAN_H

#include "pack.h"

#define ANALYZE_SLOTS_MAX 64
#define ANALYZE_NODES_MAX 256
#define ANALYZE_COLUMNS_MAX 65536
#define ANALYZE_DEPTH_MAX 64 /* of filters and of JSON */

typedef enum analyze_format { ANALYZE_CSV, ANALYZE_NDJSON } analyze_format;

typedef struct analyze_slot {
    uint32_t column; /* CSV: from 0 */
    char *path;      /* NDJSON: keys joined by dots */
    uint32_t path_size;
} analyze_slot;

typedef enum analyze_operator {
    ANALYZE_EQUAL,
    ANALYZE_UNEQUAL,
    ANALYZE_LESS,
    ANALYZE_LESS_EQUAL,
    ANALYZE_GREATER,
    ANALYZE_GREATER_EQUAL,
    ANALYZE_CONTAINS
} analyze_operator;

typedef enum analyze_node_kind { ANALYZE_COMPARE, ANALYZE_AND, ANALYZE_OR, ANALYZE_NOT } analyze_node_kind;

/* A node of the filter; its operands stand before it, so there is no circle. */
typedef struct analyze_node {
    analyze_node_kind kind;
    uint32_t left, right; /* of and, or; left of not */
    uint32_t slot;        /* of compare, as all below */
    analyze_operator relation;
    bool numeric;
    double number;
    char *text;
    uint32_t text_size;
} analyze_node;

/* What is counted by value: numbers cut to a few bits, whole numbers, or texts by their hash. */
typedef enum analyze_tally_kind { ANALYZE_SKETCH, ANALYZE_EXACT, ANALYZE_DISTINCT } analyze_tally_kind;

typedef struct analyze_tally {
    analyze_tally_kind kind;
    uint32_t of; /* which of `values`; for distinct which of `slots` */
} analyze_tally;

typedef struct analyze_sort {
    uint32_t slot;
    bool descending;
} analyze_sort;

typedef struct analyze_plan {
    analyze_format format;
    char delimiter;
    uint32_t columns;       /* that every row of a CSV has */
    uint64_t row_max;       /* bytes */
    uint32_t malformed_max; /* how many are described */
    analyze_slot slots[ANALYZE_SLOTS_MAX];
    uint32_t slot_count;
    analyze_node nodes[ANALYZE_NODES_MAX]; /* the last is the root */
    uint32_t node_count;
    uint32_t groups[ANALYZE_SLOTS_MAX], group_count; /* slots */
    uint32_t values[ANALYZE_SLOTS_MAX], value_count; /* slots of numbers */
    analyze_tally tallies[ANALYZE_SLOTS_MAX];
    uint32_t tally_count;
    bool rows; /* rows themselves are wanted, not sums of groups */
    uint32_t select[ANALYZE_SLOTS_MAX], select_count;
    analyze_sort sort[ANALYZE_SLOTS_MAX]; /* of rows */
    uint32_t sort_count;
    bool sorted;    /* rows as sorted runs, to be merged (sorted.h); else the best `limit` of them are kept */
    uint64_t limit; /* of rows; UINT64_MAX: none */
} analyze_plan;

void analyze_plan_pack(const analyze_plan *plan, pack_writer *writer);
/* False, with nothing to free, where it is no plan or memory is out. */
bool analyze_plan_unpack(analyze_plan *plan, pack_reader *reader);
void analyze_plan_done(analyze_plan *plan);

#endif
